/* The circuit breaker: opens after failures in a row, probes with doubling waits, closes at the first answer. */
/* links: worker/circuit.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/circuit.h"

static void test_opens_after_failures_in_a_row(void **state)
{
    (void)state;
    struct circuit circuit;
    circuit_init(&circuit, 3, 10, 60);
    assert_false(circuit_failure(&circuit, "a", false));
    assert_false(circuit_failure(&circuit, "b", false));
    assert_false(circuit_success(&circuit)); /* was not open; the count begins anew */
    assert_false(circuit_failure(&circuit, "a", false));
    assert_false(circuit_failure(&circuit, "b", false));
    assert_false(circuit.open);
    assert_true(circuit_failure(&circuit, "b", false));
    assert_true(circuit.open);
}

/* A request that the vendor can't answer is asked for again and again; nobody else is to wait for it. */
static void test_one_offboarding_opens_nothing(void **state)
{
    (void)state;
    struct circuit circuit;
    circuit_init(&circuit, 3, 10, 60);
    for (int i = 0; i < 100; i++) {
        assert_false(circuit_failure(&circuit, "a", false));
    }
    assert_false(circuit.open);
    assert_true(circuit_failure(&circuit, "b", false)); /* it isn't the only one */
}

/* Who has failed before a success counts for nothing after it. */
static void test_others_before_a_success(void **state)
{
    (void)state;
    struct circuit circuit;
    circuit_init(&circuit, 2, 10, 60);
    assert_false(circuit_failure(&circuit, "a", false));
    circuit_success(&circuit);
    for (int i = 0; i < 10; i++) {
        assert_false(circuit_failure(&circuit, "b", false));
    }
}

/* A closed port is closed for all. */
static void test_nobody_there(void **state)
{
    (void)state;
    struct circuit circuit;
    circuit_init(&circuit, 3, 10, 60);
    assert_false(circuit_failure(&circuit, "a", true));
    assert_false(circuit_failure(&circuit, "a", true));
    assert_false(circuit_failure(&circuit, "a", false)); /* it was reached: the row of those begins anew */
    assert_false(circuit_failure(&circuit, "a", true));
    assert_false(circuit_failure(&circuit, "a", true));
    assert_true(circuit_failure(&circuit, "a", true));
}

/* Calls that were under way when it opened open it no second time: one prober is enough. */
static void test_opens_once(void **state)
{
    (void)state;
    struct circuit circuit;
    circuit_init(&circuit, 1, 10, 60);
    assert_true(circuit_failure(&circuit, "a", true));
    assert_false(circuit_failure(&circuit, "b", true));
    assert_true(circuit.open);
}

static void test_probes_wait_longer_and_longer(void **state)
{
    (void)state;
    static const int64_t waits[] = {20, 40, 60, 60};
    struct circuit circuit;
    circuit_init(&circuit, 1, 10, 60);
    circuit_failure(&circuit, "a", true);
    assert_int_equal(circuit.wait, 10);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        circuit_probe_failed(&circuit);
        assert_int_equal(circuit.wait, waits[i]);
        assert_true(circuit.open);
    }
}

static void test_closes_at_the_first_answer(void **state)
{
    (void)state;
    struct circuit circuit;
    circuit_init(&circuit, 1, 10, 60);
    circuit_failure(&circuit, "a", true);
    circuit_probe_failed(&circuit);
    assert_true(circuit_success(&circuit));
    assert_false(circuit.open);
    assert_false(circuit_success(&circuit));
    assert_true(circuit_failure(&circuit, "a", true)); /* a new outage begins with the short wait */
    assert_int_equal(circuit.wait, 10);
}

static void test_never_zero_failures(void **state)
{
    (void)state;
    struct circuit circuit;
    circuit_init(&circuit, 0, 10, 60);
    assert_false(circuit.open);
    assert_true(circuit_failure(&circuit, "a", true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_after_failures_in_a_row),
        cmocka_unit_test(test_one_offboarding_opens_nothing),
        cmocka_unit_test(test_others_before_a_success),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_opens_once),
        cmocka_unit_test(test_probes_wait_longer_and_longer),
        cmocka_unit_test(test_closes_at_the_first_answer),
        cmocka_unit_test(test_never_zero_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
