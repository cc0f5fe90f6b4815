/* The gate before a call: whose failures open the circuit, who is woken when it closes, and turns that nobody used. */
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
#include "worker/engine_internal.h"

#define PATIENCE (10 * TIME_SECOND)

static struct trial *started(struct engine_stand *stand)
{
    struct trial *trial = trial_new(stand, "echo", NULL, NULL);
    trial_start(trial);
    return trial;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Runs the loop until `done` says so; false: it didn't within PATIENCE. */
static bool run_until(struct engine_stand *stand, bool (*done)(void *arg), void *arg)
{
    int64_t end = time_monotonic() + PATIENCE;
    uv_timer_t timer;
    uv_timer_init(&stand->loop, &timer);
    uv_timer_start(&timer, on_tick, 10, 10);
    bool is_done = done(arg);
    while (!is_done && time_monotonic() < end) {
        uv_run(&stand->loop, UV_RUN_ONCE);
        is_done = done(arg);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&stand->loop, UV_RUN_NOWAIT);
    return is_done;
}

static bool both_hold(void *arg)
{
    struct trial **trials = arg;
    return trials[0]->holds && trials[1]->holds;
}

static bool both_ended(void *arg)
{
    struct trial **trials = arg;
    return trials[0]->ended && trials[1]->ended;
}

static bool one_ended(void *arg)
{
    return ((struct trial *)arg)->ended;
}

static bool one_holds(void *arg)
{
    return ((struct trial *)arg)->holds;
}

/* ---- whose failures count ---------------------------------------------------------------------------------------- */

/* What one job asks for may be more than the vendor can do: nobody else waits for that. */
static void test_one_jobs_trouble(void **state)
{
    (void)state;
    static const int answers[] = {500, 503, STUB_SILENCE, STUB_HANG_UP};
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct engine_stand *stand =
            engine_stand_new("circuit_failures: 2, circuit_wait: 1h, circuit_wait_max: 1h, retry_wait: 3s, "
                             "request_timeout: 40ms");
        vendor_stub_always(stand->vendor, answers[i], NULL);
        struct trial *trial = started(stand);
        assert_true(run_until(stand, one_ended, trial));
        assert_string_equal(trial->result.outcome, "deferred");
        assert_true(vendor_stub_count(stand->vendor) >= 3);
        assert_true(engine_available(stand->engine, "vendor"));
        struct trial *other = started(stand); /* has the same trouble: then it is the vendor's */
        assert_true(run_until(stand, one_holds, other));
        assert_false(engine_available(stand->engine, "vendor"));
        engine_interrupt(&other->job, INTERRUPT_DRAIN);
        assert_true(run_until(stand, one_ended, other));
        trial_free(trial);
        trial_free(other);
        engine_stand_free(stand);
    }
}

static const char nobody_there[] = "system: vendor\n"
                                   "settings: {url: {required: true}}\n"
                                   "base: \"http://127.0.0.1:1\"\n"
                                   "actions:\n"
                                   "  echo: {effect: notify, accounts: none, requests: [{get: /x}]}\n";

static void test_a_closed_port_is_closed_for_all(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(nobody_there, "ca_file: \"\"",
                                                   "circuit_failures: 2, circuit_wait: 1h,"
                                                   " circuit_wait_max: 1h");
    struct trial *trial = started(stand);
    assert_true(run_until(stand, one_holds, trial));
    assert_false(engine_available(stand->engine, "vendor"));
    engine_interrupt(&trial->job, INTERRUPT_DRAIN);
    assert_true(run_until(stand, one_ended, trial));
    trial_free(trial);
    engine_stand_free(stand);
}

/* ---- who goes on ------------------------------------------------------------------------------------------------- */

/* The next probe is an hour away; a call that was under way is answered, and all go on at once. */
static void test_a_late_answer_wakes_the_line(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_new("circuit_failures: 1, circuit_wait: 1h, circuit_wait_max: 1h");
    vendor_stub_always(stand->vendor, 503, NULL);
    struct trial *trials[] = {started(stand), started(stand)};
    assert_true(run_until(stand, both_hold, trials));
    vendor_stub_always(stand->vendor, 200, "{}");
    gate_result(engine_system(stand->engine, "vendor"), &(struct response){.status = 200}, "another");
    assert_true(run_until(stand, both_ended, trials));
    for (size_t i = 0; i < COUNT_OF(trials); i++) {
        assert_string_equal(trials[i]->result.outcome, "succeeded");
        trial_free(trials[i]);
    }
    assert_false(engine_system(stand->engine, "vendor")->probing);
    engine_stand_free(stand);
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

static const char limited[] = "system: vendor\n"
                              "settings: {url: {required: true}}\n"
                              "limits: {default: {per_minute: 150, in_flight: 1}}\n"
                              "actions:\n"
                              "  echo: {effect: notify, accounts: none, requests: [{get: /x}]}\n";

struct in_line {
    const struct waiting_line *line;
};

static bool somebody_waits(void *arg)
{
    return ((struct in_line *)arg)->line->first != NULL;
}

/* A job that comes to the head of its line as the circuit opens gives its turn back, place and token, every time. */
static void test_turns_are_given_back(void **state)
{
    (void)state;
    struct engine_stand *stand =
        engine_stand_with(limited, "ca_file: \"\"", "circuit_failures: 1, circuit_wait: 1h, circuit_wait_max: 1h");
    struct system *system = engine_system(stand->engine, "vendor");
    struct limit *limit = &system->limits[0].limit;
    const struct response ill = {.ill = true, .unreached = true}, well = {.status = 200};
    struct in_line in_line = {&system->limits[0].line};
    limit->in_flight = 1; /* somebody's call is under way */
    struct trial *trial = started(stand);
    for (int i = 0; i < 20; i++) {
        assert_true(run_until(stand, somebody_waits, &in_line));
        gate_result(system, &ill, "another");
        limit_give_back(limit);
        line_wake_first(&system->limits[0].line);
        assert_true(run_until(stand, one_holds, trial));
        assert_int_equal(limit->in_flight, 0);
        assert_true(limit->tokens > 2.4);
        limit->in_flight = 1; /* somebody else was faster */
        gate_result(system, &well, "another");
    }
    assert_int_equal(vendor_stub_count(stand->vendor), 0);
    engine_interrupt(&trial->job, INTERRUPT_DRAIN);
    assert_true(run_until(stand, one_ended, trial));
    trial_free(trial);
    engine_stand_free(stand);
}

static const char none_left_today[] = "system: vendor\n"
                                      "settings: {url: {required: true}}\n"
                                      "limits: {default: {per_minute: 60, per_day: 1}}\n"
                                      "actions:\n"
                                      "  echo: {effect: notify, accounts: none, requests: [{get: /x}]}\n";

static void test_the_day_takes_no_token(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(none_left_today, "ca_file: \"\"", "");
    struct limit *limit = &engine_system(stand->engine, "vendor")->limits[0].limit;
    assert_int_equal(limit_take_of_day(limit, 1, time_now(), TIME_DAY), 0);
    struct trial *trial = started(stand);
    assert_true(run_until(stand, one_ended, trial));
    assert_string_equal(trial->result.outcome, "deferred");
    assert_int_equal(limit->in_flight, 0);
    assert_true(limit->tokens >= 1);
    trial_free(trial);
    engine_stand_free(stand);
}

int main(void)
{
    log_init("test", LOG_ERROR); /* circuits open and close */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_jobs_trouble),
        cmocka_unit_test(test_a_closed_port_is_closed_for_all),
        cmocka_unit_test(test_a_late_answer_wakes_the_line),
        cmocka_unit_test(test_turns_are_given_back),
        cmocka_unit_test(test_the_day_takes_no_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
