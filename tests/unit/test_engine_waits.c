/* Jobs that wait: for the circuit, for their limit's turn, between tries; and what ends a wait. */
/* links: tests/unit/engine_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "tests/unit/engine_stand.h"
#include "tests/unit/helpers.h"
#include "worker/engine_internal.h"

enum { CROWD = 200 };

#define CALL "POST /users/u1/disable"
#define GONE                                                                                                           \
    {                                                                                                                  \
        "GET /users/u1", 200, "{\"active\": false}", NULL                                                              \
    }

static struct trial *started(struct engine_stand *stand, const char *action, const char *job)
{
    struct trial *trial = trial_new(stand, action, NULL, job);
    trial_start(trial);
    return trial;
}

static void assert_outcome(const struct trial *trial, const char *outcome)
{
    if (!trial->ended || strcmp(trial->result.outcome, outcome) != 0) {
        fail_msg("%s: %s", trial->result.outcome ? trial->result.outcome : "runs", trial->result.message);
    }
}

/* Seconds from now until it is due; a job that is not put off fails the test. */
static int64_t due_in(const struct trial *trial)
{
    int64_t due_at = 0;
    assert_outcome(trial, "deferred");
    assert_int_equal(time_parse(json_string_at(trial->result.context, "due_at"), &due_at, NULL), 0);
    return (due_at - time_now()) / TIME_SECOND;
}

/* ---- the circuit ------------------------------------------------------------------------------------------------- */

static size_t count_held(struct trial *const *crowd)
{
    size_t held = 0;
    for (size_t i = 0; i < CROWD; i++) {
        held += crowd[i]->holds;
    }
    return held;
}

/* A vendor that is down costs no job a try: all wait, with their clocks stopped, and go on when it is back. */
static void test_circuit(void **state)
{
    (void)state;
    struct engine_stand *stand =
        engine_stand_new("circuit_failures: 2, circuit_wait: 10ms, circuit_wait_max: 50ms, retry_wait: 60s");
    struct trial *crowd[CROWD];
    vendor_stub_always(stand->vendor, STUB_HANG_UP, NULL);
    assert_true(engine_available(stand->engine, "vendor"));
    for (size_t i = 0; i < CROWD; i++) {
        crowd[i] = started(stand, i % 2 ? "disable" : "echo", NULL);
    }
    while (count_held(crowd) < CROWD) {
        uv_run(&stand->loop, UV_RUN_ONCE);
    }
    assert_false(engine_available(stand->engine, "vendor"));
    assert_in_range(vendor_stub_count(stand->vendor), 1, CROWD / 2); /* most jobs have asked for nothing */
    size_t before = vendor_stub_count(stand->vendor);
    while (vendor_stub_count(stand->vendor) < before + 3) { /* probes, one at a time */
        uv_run(&stand->loop, UV_RUN_ONCE);
    }
    assert_int_equal(count_held(crowd), CROWD);
    vendor_stub_always(stand->vendor, 200, "{\"active\": false}");
    for (size_t i = 0; i < CROWD; i++) {
        trial_finish(crowd[i]);
        assert_outcome(crowd[i], "succeeded");
        assert_false(crowd[i]->holds);
        trial_free(crowd[i]);
    }
    assert_true(engine_available(stand->engine, "vendor"));
    assert_in_range(vendor_stub_most_at_once(stand->vendor), 2, 5); /* in_flight is 4, and a probe */
    engine_stand_free(stand);
}

/* Who waits for the circuit can be sent away; and an engine can go while it is open. */
static void test_circuit_interrupted(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_new("circuit_failures: 2, circuit_wait: 1h, circuit_wait_max: 1h");
    vendor_stub_always(stand->vendor, 503, NULL);
    struct trial *first = started(stand, "disable", NULL);
    struct trial *second = started(stand, "disable", NULL);
    while (!first->holds || !second->holds) {
        uv_run(&stand->loop, UV_RUN_ONCE);
    }
    engine_interrupt(&first->job, INTERRUPT_DRAIN);
    engine_interrupt(&second->job, INTERRUPT_CANCELLED);
    trial_finish(first);
    trial_finish(second);
    assert_in_range(due_in(first) + 1, 0, 1);
    assert_outcome(second, "cancelled");
    assert_false(first->holds || second->holds);
    assert_false(engine_available(stand->engine, "vendor"));
    trial_free(first);
    trial_free(second);
    engine_stand_free(stand);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

/* A quarter of in_flight 4 is one at a time: first come, first served. */
static void test_turns_are_in_order(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_new("");
    struct exchange script[] = {{"GET /echo/0/end", 200, NULL, NULL}, {"GET /echo/1/end", 200, NULL, NULL},
                                {"GET /echo/2/end", 200, NULL, NULL}, {"GET /echo/3/end", 200, NULL, NULL},
                                {"GET /echo/4/end", 200, NULL, NULL}, {0}};
    struct trial *trials[COUNT_OF(script) - 1];
    vendor_stub_script(stand->vendor, script);
    engine_set_share(stand->engine, "vendor", 0.25);
    for (size_t i = 0; i < COUNT_OF(trials); i++) {
        char *job = mem_printf("{\"with\": {\"path\": \"%zu\"}}", i);
        trials[i] = started(stand, "echo", job);
        free(job);
    }
    for (size_t i = 0; i < COUNT_OF(trials); i++) {
        trial_finish(trials[i]);
        assert_outcome(trials[i], "succeeded");
        trial_free(trials[i]);
    }
    assert_null(vendor_stub_complaint(stand->vendor));
    assert_int_equal(vendor_stub_most_at_once(stand->vendor), 1);
    engine_stand_free(stand);
}

/* Who leaves the line early lets the others on. */
static void test_leaving_the_line(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_new("");
    struct trial *trials[3];
    vendor_stub_always(stand->vendor, 200, NULL);
    engine_set_share(stand->engine, "vendor", 0.25);
    for (size_t i = 0; i < COUNT_OF(trials); i++) {
        trials[i] = started(stand, "echo", NULL);
    }
    engine_interrupt(&trials[1]->job, INTERRUPT_TOO_LONG);
    for (size_t i = 0; i < COUNT_OF(trials); i++) {
        trial_finish(trials[i]);
        assert_outcome(trials[i], i == 1 ? "deferred" : "succeeded");
        trial_free(trials[i]);
    }
    assert_int_equal(vendor_stub_count(stand->vendor), 2);
    engine_stand_free(stand);
}

/* ---- between tries ----------------------------------------------------------------------------------------------- */

/* Within the worker while it is short; then a deferral of five minutes at first, half of it jittered. */
static void test_trouble_that_lasts(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_new("retry_wait: 100ms");
    vendor_stub_always(stand->vendor, 500, NULL);
    struct trial *trial = started(stand, "disable", NULL);
    trial_finish(trial);
    assert_in_range(due_in(trial), 149, 301);
    assert_int_equal(json_int_at(trial->result.context, "state.troubles.u1/requests/0.deferrals", -1), 1);
    assert_non_null(json_string_at(trial->result.context, "state.troubles.u1/requests/0.since"));
    assert_contains(trial->result.message, "500");
    trial_free(trial);
    engine_stand_free(stand);
}

static void test_interrupted_between_tries(void **state)
{
    (void)state;
    static const struct exchange script[] = {{CALL, 429, NULL, "Retry-After: 50\r\n"}, {0}};
    struct engine_stand *stand = engine_stand_new("retry_wait: 1h");
    vendor_stub_script(stand->vendor, script);
    struct trial *trial = started(stand, "disable", NULL);
    while (!trial->job.engaged->slot) {
        uv_run(&stand->loop, UV_RUN_ONCE);
    }
    engine_interrupt(&trial->job, INTERRUPT_TOO_LONG);
    trial_finish(trial);
    assert_in_range(due_in(trial) + 1, 0, 1);
    assert_null(vendor_stub_complaint(stand->vendor));
    trial_free(trial);
    engine_stand_free(stand);
}

/* ---- a call under way -------------------------------------------------------------------------------------------- */

struct interrupting {
    struct trial *trial;
    size_t at; /* the request that brings it */
    enum interruption why;
};

static void on_request(size_t count, void *arg)
{
    struct interrupting *interrupting = arg;
    if (count == interrupting->at) {
        engine_interrupt(&interrupting->trial->job, interrupting->why);
    }
}

/* One job, interrupted as its n-th request is at the vendor's. */
static void interrupted_at(struct engine_stand *stand, const char *action, const struct exchange *script, size_t at,
                           enum interruption why, struct trial **out)
{
    struct interrupting interrupting = {trial_new(stand, action, NULL, NULL), at, why};
    vendor_stub_script(stand->vendor, script);
    vendor_stub_on_request(stand->vendor, on_request, &interrupting);
    trial_start(interrupting.trial);
    trial_finish(interrupting.trial);
    vendor_stub_on_request(stand->vendor, NULL, NULL);
    assert_null(vendor_stub_complaint(stand->vendor));
    *out = interrupting.trial;
}

/* When the grace is over a call ends without its answer; that says nothing about the vendor. */
static void test_drained_in_a_call(void **state)
{
    (void)state;
    static const struct exchange plain[] = {{CALL, STUB_SILENCE, NULL, NULL}, {0}};
    static const struct exchange once[] = {
        {"GET /tickets?job=job-1", 200, "{}", NULL}, {"POST /tickets", STUB_SILENCE, NULL, NULL}, {0}};
    struct engine_stand *stand = engine_stand_new("circuit_failures: 1");
    struct trial *trial;
    interrupted_at(stand, "disable", plain, 1, INTERRUPT_DRAIN, &trial);
    assert_in_range(due_in(trial) + 1, 0, 1);
    trial_free(trial);
    interrupted_at(stand, "ticket", once, 2, INTERRUPT_DRAIN, &trial);
    assert_in_range(due_in(trial), 85, 95);
    assert_true(json_true_at(trial->result.context, "state.begun"));
    trial_free(trial);
    assert_true(engine_available(stand->engine, "vendor"));
    engine_stand_free(stand);
}

/* Cancelled: no further change; but what a change did is seen through, so that the record is true. */
static void test_cancelled(void **state)
{
    (void)state;
    static const struct exchange before[] = {{"GET /groups", 200, "{\"groups\": [\"a\", \"b\"]}", NULL}, {0}};
    static const struct exchange between[] = {
        {"GET /groups", 200, "{\"groups\": [\"a\", \"b\"]}", NULL}, {"DELETE /groups/a", 204, NULL, NULL}, {0}};
    static const struct exchange after[] = {{CALL, 200, NULL, NULL}, GONE, {0}};
    struct engine_stand *stand = engine_stand_new("");
    struct trial *trial;
    interrupted_at(stand, "leave", before, 1, INTERRUPT_CANCELLED, &trial);
    assert_outcome(trial, "cancelled");
    assert_null(strstr(trial->result.message, "stays so"));
    trial_free(trial);
    interrupted_at(stand, "leave", between, 2, INTERRUPT_CANCELLED, &trial);
    assert_outcome(trial, "cancelled");
    assert_contains(trial->result.message, "what this job had changed before stays so");
    trial_free(trial);
    interrupted_at(stand, "disable", after, 1, INTERRUPT_CANCELLED, &trial);
    assert_outcome(trial, "succeeded");
    trial_free(trial);
    engine_stand_free(stand);
}

/* ---- the day's limit ---------------------------------------------------------------------------------------------- */

static const char two_a_day[] = "system: vendor\n"
                                "settings: {url: {required: true}}\n"
                                "limits: {default: {in_flight: 1}, orders: {per_day: 2}}\n"
                                "actions:\n"
                                "  order:\n"
                                "    effect: notify\n"
                                "    accounts: none\n"
                                "    requests: [{post: /orders, limit: orders}]\n"
                                "  look:\n"
                                "    effect: identify\n"
                                "    accounts: none\n"
                                "    requests: [{get: /orders}]\n";

/* What a day has no room for is put off to the next, at the scheduler's; other limits go on. */
static void test_limit_of_the_day(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(two_a_day, "", "");
    vendor_stub_always(stand->vendor, 200, NULL);
    static const char *const actions[] = {"order", "order", "order", "look"};
    static const char *const outcomes[] = {"succeeded", "succeeded", "deferred", "succeeded"};
    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        struct trial *trial = started(stand, actions[i], NULL);
        trial_finish(trial);
        assert_outcome(trial, outcomes[i]);
        if (strcmp(outcomes[i], "deferred") == 0) {
            int64_t left = TIME_DAY / TIME_SECOND - time_now() / TIME_SECOND % (TIME_DAY / TIME_SECOND);
            assert_in_range(due_in(trial), left - 5, left + 1);
            assert_contains(trial->result.message, "the limit \"orders\" of 2 a day is used up");
        }
        trial_free(trial);
    }
    assert_int_equal(vendor_stub_count(stand->vendor), 3);
    engine_stand_free(stand);
}

/* ---- answers that don't come, or don't end ----------------------------------------------------------------------- */

static void test_no_answer_in_time(void **state)
{
    (void)state;
    static const struct exchange script[] = {{CALL, STUB_SILENCE, NULL, NULL}, GONE, {0}};
    struct engine_stand *stand = engine_stand_new("request_timeout: 60ms");
    vendor_stub_script(stand->vendor, script);
    struct trial *trial = started(stand, "disable", NULL);
    trial_finish(trial);
    assert_outcome(trial, "succeeded");
    assert_contains(trial->result.message, "reading back shows that it is done");
    assert_null(vendor_stub_complaint(stand->vendor));
    trial_free(trial);
    engine_stand_free(stand);
}

static void test_answer_too_large(void **state)
{
    (void)state;
    const size_t size = 17 * 1024 * 1024;
    char *body = mem_alloc(size + 1);
    memset(body, 'x', size);
    struct engine_stand *stand = engine_stand_new("retry_wait: 0s");
    vendor_stub_always(stand->vendor, 200, body);
    struct trial *trial = started(stand, "echo", NULL);
    trial_finish(trial);
    assert_outcome(trial, "failed"); /* it would be as large next time */
    assert_contains(trial->result.message, "larger than 16 MiB");
    trial_free(trial);
    engine_stand_free(stand);
    free(body);
}

int main(void)
{
    log_init("test", LOG_ERROR); /* circuits open and close */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_circuit),
        cmocka_unit_test(test_circuit_interrupted),
        cmocka_unit_test(test_turns_are_in_order),
        cmocka_unit_test(test_leaving_the_line),
        cmocka_unit_test(test_trouble_that_lasts),
        cmocka_unit_test(test_interrupted_between_tries),
        cmocka_unit_test(test_drained_in_a_call),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_limit_of_the_day),
        cmocka_unit_test(test_no_answer_in_time),
        cmocka_unit_test(test_answer_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
