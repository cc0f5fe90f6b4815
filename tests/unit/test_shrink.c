/* Shrinking events: the outcome stays, what is left out is said, a deferred job without its state fails. */
/* links: worker/shrink.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "worker/shrink.h"

static const char offboarding[] = "698b8655-2830-4a67-a17e-6c28d8bb8acd";

static json_t *event_with(const char *name, const char *outcome, const char *message)
{
    json_t *context = json_pack("{s:s, s:s, s:[{},{}], s:i, s:{s:s}, s:n, s:{s:i}}", "job_id", "j", "outcome", outcome,
                                "calls", "calls_left_out", 3, "outputs", "key", "IT-1", "verified", "state", "at", 2);
    json_object_set_new(context, "due_at", json_string("2026-11-23T00:00:00.000000Z"));
    json_t *event = message_event_new(name, offboarding, context);
    message_event_response(event, 200, message);
    return event;
}

static void test_least_missed_first(void **state)
{
    (void)state;
    json_t *event = event_with("job.succeeded", "succeeded", "done");
    int step = 0;
    assert_true(event_shrink(event, step++));
    assert_null(json_at(event, "context.calls"));
    assert_int_equal(json_int_at(event, "context.calls_left_out", 0), 5);
    assert_non_null(json_at(event, "context.outputs"));
    assert_true(event_shrink(event, step++));
    assert_null(json_at(event, "context.outputs"));
    assert_non_null(strstr(json_string_at(event, "response.message"), "outputs left out"));
    while (event_shrink(event, step++)) {
        assert_true(step < 20);
    }
    assert_null(json_at(event, "context.state"));
    assert_string_equal(json_string_at(event, "name"), "job.succeeded");
    assert_string_equal(json_string_at(event, "context.outcome"), "succeeded");
    assert_string_equal(json_string_at(event, "context.offboarding_id"), offboarding);
    assert_int_equal(json_int_at(event, "response.statusCode", 0), 200);
    json_decref(event);
}

static void test_deferred_without_state_fails(void **state)
{
    (void)state;
    json_t *event = event_with("job.deferred", "deferred", "later");
    for (int step = 0; json_at(event, "context.state"); step++) {
        assert_string_equal(json_string_at(event, "name"), "job.deferred");
        assert_true(event_shrink(event, step));
    }
    assert_string_equal(json_string_at(event, "name"), "job.failed");
    assert_string_equal(json_string_at(event, "context.outcome"), "failed");
    assert_null(json_at(event, "context.due_at"));
    json_decref(event);
}

/* A message that is itself the large part is cut, never within a character. */
static void test_long_message_is_cut(void **state)
{
    (void)state;
    size_t count = 5000;
    char *message = mem_alloc(2 * count + 2);
    message[0] = 'x';
    for (size_t i = 0; i < count; i++) {
        memcpy(message + 1 + 2 * i, "ü", 2);
    }
    json_t *event = event_with("job.failed", "failed", message);
    assert_true(event_shrink(event, 0));
    const char *cut = json_string_at(event, "response.message");
    assert_non_null(cut);
    assert_true(strlen(cut) < 2100);
    assert_int_equal(strncmp(cut, message, 1999), 0);
    assert_non_null(strstr(cut, "calls left out"));
    json_decref(event);
    event = message_event_new("job.failed", offboarding, NULL); /* has nothing but its message */
    message_event_response(event, 0, message);
    assert_true(event_shrink(event, 0));
    assert_true(strlen(json_string_at(event, "response.message")) < 2100);
    assert_false(event_shrink(event, 1));
    json_decref(event);
    free(message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least_missed_first),
        cmocka_unit_test(test_deferred_without_state_fails),
        cmocka_unit_test(test_long_message_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
