/* A topic made anew begins with offsets that were read before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/tail.h"

enum { NOW = 1000000 };

static void test_ahead(void **state)
{
    (void)state;
    struct tail tail;
    tail_start(&tail, 7, NOW);
    assert_int_equal(tail_read(&tail, 7, NOW - 500, NOW + 1), TAIL_AHEAD); /* a backlog is older than its reader */
    assert_int_equal(tail_read(&tail, 8, NOW - 400, NOW + 2), TAIL_AHEAD);
    assert_int_equal(tail_read(&tail, 12, 0, NOW + 3), TAIL_AHEAD); /* offsets have gaps; a time may be missing */
    assert_int_equal(tail.next, 13);
}

static void test_made_anew(void **state)
{
    (void)state;
    struct tail tail;
    tail_start(&tail, 5, NOW);
    assert_int_equal(tail_read(&tail, 5, NOW + 10, NOW + 10), TAIL_AHEAD);
    assert_int_equal(tail_read(&tail, 0, NOW + 20, NOW + 21), TAIL_ANEW);
    assert_int_equal(tail_read(&tail, 1, NOW + 20, NOW + 22), TAIL_AHEAD); /* once is enough */
    assert_int_equal(tail.next, 2);
}

static void test_made_anew_before_anything_was_read(void **state)
{
    (void)state;
    struct tail tail;
    tail_start(&tail, 5, NOW);
    assert_int_equal(tail_read(&tail, 0, NOW + 1, NOW + 2), TAIL_ANEW);
}

/* A log that lost its end is read from its beginning, which is known; then come records that nobody has read. */
static void test_lost_its_end(void **state)
{
    (void)state;
    struct tail tail;
    tail_start(&tail, 0, NOW);
    for (int64_t offset = 0; offset < 10; offset++) {
        assert_int_equal(tail_read(&tail, offset, NOW + offset, NOW + 20), TAIL_AHEAD);
    }
    for (int64_t offset = 0; offset < 8; offset++) {
        assert_int_equal(tail_read(&tail, offset, NOW + offset, NOW + 30), TAIL_AGAIN);
    }
    assert_int_equal(tail_read(&tail, 8, NOW + 25, NOW + 30), TAIL_ANEW);
    assert_int_equal(tail_read(&tail, 9, NOW + 26, NOW + 30), TAIL_AHEAD);
}

static void test_a_clock_that_is_ahead(void **state)
{
    (void)state;
    struct tail tail;
    tail_start(&tail, 0, NOW);
    assert_int_equal(tail_read(&tail, 0, NOW * 1000, NOW + 1), TAIL_AHEAD);
    assert_int_equal(tail_read(&tail, 1, NOW + 2, NOW + 2), TAIL_AHEAD);
    assert_int_equal(tail_read(&tail, 0, NOW + 3, NOW + 3), TAIL_ANEW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ahead),
        cmocka_unit_test(test_made_anew),
        cmocka_unit_test(test_made_anew_before_anything_was_read),
        cmocka_unit_test(test_lost_its_end),
        cmocka_unit_test(test_a_clock_that_is_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
