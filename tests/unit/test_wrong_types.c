/* A member of the wrong type, anywhere in a job or in an HR event, stops no worker and no planner: the message is refused with a reason, or
 * the member is overlooked. */
/* links: tests/fuzz/fuzz.c tests/fuzz/vendors.c tests/fuzz/planner_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fuzz/planner_stand.h"
#include "tests/fuzz/vendors.h"
#include "tests/unit/variants.h"

/* ---- jobs ------------------------------------------------------------------------------------------------------------------------ */

/* What a job may carry besides what it must. */
static const char all_of_a_job[] =
    "{'job': {'if': '${ .user.email != null }', 'when': 'always', 'needs': ['a'], 'due_at': '2026-01-01T00:00:00Z', "
    "'expires_us': 1000,"
    "  'after_us': 5, 'only_verify': false, 'inside': 'x', 'run_if': [{'if': '${ true }', 'inside': 'x'}], "
    "'traceparent': 'x',"
    "  'published_at': '2026-01-01T00:00:00Z', 'follower': 'on_phase_end', 'steps': {'a': {'state': 'succeeded', "
    "'outputs': {'key': 'k'}}},"
    "  'results': [{'phase': 'p', 'step': 's', 'system': 'x', 'action': 'y', 'effect': 'revoke', 'state': 'failed', "
    "'outcome': 'failed',"
    "    'message': 'm', 'at': '2026-01-01T00:00:00Z', 'outputs': {'open': [{'what': 'w'}]}}],"
    "  'signals': [{'id': 'i', 'name': 'task', 'key': 'k', 'source': 's', 'actor': {'kind': 'token', 'id': 'i', "
    "'name': 'n'},"
    "    'data': {'done': true}, 'at': '2026-01-01T00:00:00Z'}],"
    "  'undo_of': 'a', 'before': {'u1': {'groups': ['g']}},"
    "  'state': {'begun': false, 'outputs': {'a': 1}, 'troubles': {'0': {'since': '2026-01-01T00:00:00Z', 'deferrals': "
    "2}},"
    "    'search': {'done': ['email'], 'found': ['u1'], 'searched': {'email': true}, 'place': {'at': 0, 'saved': {}}},"
    "    'accounts': {'u1': {'at': 1, 'saved': {'sessions': ['s1']}, 'items_left': ['s1'], 'page': {'link': 'x'}, "
    "'verifying': true,"
    "      'verify_since': '2026-01-01T00:00:00Z', 'polled_since': '2026-01-01T00:00:00Z', 'awaits_since': "
    "'2026-01-01T00:00:00Z',"
    "      'heard': ['i'], 'reminders': 1, 'imaged': true, 'ended': 'failed', 'why': 'w', 'verified': {'expected': "
    "'e', 'seen': 's'}}}}},"
    " 'ids': {'golden': ['u1'], 'scim': ['u1'], 'ad': ['cn=u1'], 'okta': []}, 'given_ids': {'golden': ['u1']}, "
    "'actor': {'kind': 'k'},"
    " 'received_at': '2026-01-01T00:00:00Z', 'effective_at': '2026-01-01T00:00:00Z', 'zone': 'Europe/Berlin', "
    "'reason': 'r'}";

static json_t *all_of_it(void)
{
    char *text = mem_strdup(all_of_a_job);
    for (char *c = text; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    json_t *value = read_json(text);
    free(text);
    return value;
}

/* The vendor finds the account at once and confirms whatever it is asked. */
static void run_job(const json_t *message)
{
    static const char answers[] = "200\n\n{\"id\": \"u1\", \"ids\": [\"u1\"], \"blocked\": true, \"active\": false, "
                                  "\"key\": \"k\", \"more\": false}";
    struct fuzz_input input = {(const uint8_t *)answers, strlen(answers)};
    vendors_run(message, &input);
}

/* Nobody finds or does anything. */
static void run_job_in_vain(const json_t *message)
{
    static const char answers[] = "404\n\n{\"error\": \"no\"}\n---\n503\nretry-after: 100000\n\n\n---\n403\n\nno";
    struct fuzz_input input = {(const uint8_t *)answers, strlen(answers)};
    vendors_run(message, &input);
}

static void test_jobs(void **state)
{
    (void)state;
    static const char *const actions[][2] = {{"golden", "block"},         {"golden", "open"}, {"golden", "tell"},
                                             {"scim", "deactivate_user"}, {"manual", "task"}, {"jira", "comment"}};
    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        json_t *message = vendors_job(actions[i][0], actions[i][1]);
        json_t *more = all_of_it();
        if (!message) {
            fail_msg("%s has no action %s", actions[i][0], actions[i][1]);
        }
        run_job(message);
        json_object_update(json_object_get(message, "job"), json_object_get(more, "job"));
        json_object_del(more, "job");
        json_object_update(message, more);
        json_object_del(json_object_get(message, "job"), "expires_us");
        try_variants(message, message, run_job);
        json_object_del(json_object_get(message, "job"), "undo_of");
        json_object_set_new(json_object_get(message, "job"), "state", json_null());
        try_variants(message, message, run_job);
        try_variants(message, message, run_job_in_vain);
        json_decref(more);
        json_decref(message);
    }
    assert_true(variants > 10000);
}

/* ---- HR events ------------------------------------------------------------------------------------------------------------------- */

/* What the planner is told is decided once, and an open offboarding is moved or cancelled by what comes next. */
static void plan_event(const json_t *message)
{
    static const char *const types[] = {"leaver.created", "leaver.changed", "leaver.cancelled"};
    char *lines[COUNT_OF(types)];
    struct fuzz_input input;
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        json_t *event = json_copy((json_t *)(uintptr_t)message);
        char *id = mem_printf("event-%zu", i);
        if (json_is_string(json_object_get(event, "type"))) {
            json_put_string(event, "type", types[i]);
        }
        if (json_is_string(json_object_get(event, "id"))) {
            json_put_string(event, "id", id);
        }
        lines[i] = json_text(event);
        json_decref(event);
        free(id);
    }
    char *records = mem_printf("%s\n%s\n%s", lines[0], lines[1], lines[2]);
    input = (struct fuzz_input){(const uint8_t *)records, strlen(records)};
    planner_stand_decide(input);
    free(records);
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        free(lines[i]);
    }
}

static void test_hr_events(void **state)
{
    (void)state;
    json_t *event = golden("hr_event.json");
    json_t *more = read_json(
        "{\"effective_at\": \"2030-01-01\", \"zone\": \"Europe/Berlin\", \"priority\": \"urgent\", \"mode\": \"live\", "
        "\"ids\": "
        "{\"okta\": [\"u1\"]}, \"reason\": \"r\", \"requested_by\": \"kim\", \"runbook\": \"standard-leaver\"}");
    json_t *data = json_object_get(event, "data");
    json_object_update_missing(data, more);
    json_object_set_new(json_object_get(data, "user"), "emails", read_json("[\"a@example.com\"]"));
    plan_event(event);
    try_variants(event, event, plan_event);
    json_decref(more);
    json_decref(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_jobs), cmocka_unit_test(test_hr_events)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
