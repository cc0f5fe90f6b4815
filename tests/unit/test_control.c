/* What offboard.control says: pauses, cancellations of offboardings and of persons, and since when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/control.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

#define ID    "2bc3467d-afdb-5b9e-989f-407688933d12"
#define OTHER "5f102b3d-cd48-5792-8cab-975d70c6bb02"

static int64_t instant(const char *text)
{
    int64_t at = 0;
    assert_int_equal(time_parse(text, &at, NULL), 0);
    return at;
}

/* Applies a record; `value` NULL is a tombstone. The values that are read lie in the record's copies. */
static int apply(struct control *control, const char *key, const char *value, struct err *err)
{
    char *copied_key = mem_strdup(key);
    char *copied = mem_strdup(value);
    rd_kafka_message_t record = {
        .key = copied_key, .key_len = strlen(key), .payload = copied, .len = value ? strlen(value) : 0};
    int result = control_apply(control, &record, err);
    free(copied_key);
    free(copied);
    return result;
}

static void order(struct control *control, const char *key, const char *reason, const char *at)
{
    char *value = mem_printf("{\"version\": 1, \"reason\": \"%s\", \"actor\": null, \"at\": \"%s\"}", reason, at);
    assert_int_equal(apply(control, key, value, NULL), 0);
    free(value);
}

static json_t *object_of(const char *user)
{
    json_t *object = json_pack("{s:o}", "user", json_parse(user, strlen(user), NULL));
    assert_non_null(object);
    return object;
}

static void test_pause_and_resume(void **state)
{
    (void)state;
    struct control *control = control_new();
    assert_false(control_paused(control, "scim"));
    assert_null(control_pause_reason(control, "scim"));
    order(control, "pause/scim", "maintenance", "2026-11-23T10:00:00Z");
    assert_true(control_paused(control, "scim"));
    assert_false(control_paused(control, "sci"));
    assert_false(control_paused(control, "jira"));
    assert_string_equal(control_pause_reason(control, "scim"), "maintenance");
    order(control, "pause/scim", "longer", "2026-11-23T11:00:00Z");
    assert_string_equal(control_pause_reason(control, "scim"), "longer");
    assert_int_equal(apply(control, "pause/scim", NULL, NULL), 0);
    assert_false(control_paused(control, "scim"));
    assert_int_equal(apply(control, "pause/scim", NULL, NULL), 0); /* a tombstone of nothing is fine */
    control_free(control);
}

static void test_cancelled_by_id_whenever(void **state)
{
    (void)state;
    struct control *control = control_new();
    json_t *object = object_of("{\"email\": \"jane@example.com\"}");
    int64_t at = instant("2026-11-23T10:00:00Z");
    assert_null(control_cancelled(control, ID, object, at));
    assert_int_equal(control_name_cancelled_when(control, ID, 0), 0);
    order(control, "cancel/" ID, "wrong Jane", "2026-11-23T10:00:00Z");
    assert_string_equal(control_cancelled(control, ID, object, at), "wrong Jane");
    assert_string_equal(control_cancelled(control, ID, NULL, at + TIME_DAY), "wrong Jane");
    assert_int_equal(control_name_cancelled_when(control, ID, 0), at);
    assert_null(control_cancelled(control, OTHER, object, at));
    assert_int_equal(apply(control, "cancel/" ID, NULL, NULL), 0);
    assert_null(control_cancelled(control, ID, object, at));
    json_decref(object);
    control_free(control);
}

/* Somebody without e-mail and employee id is known by the accounts that the event names; others are not. */
static void test_cancelled_by_account(void **state)
{
    (void)state;
    struct control *control = control_new();
    int64_t at = instant("2026-11-23T10:00:00Z");
    order(control, "cancel/okta:00U7", "HR called", "2026-11-23T10:00:00Z");
    json_t *nameless = object_of("{\"name\": \"Jane\"}");
    json_t *known = object_of("{\"email\": \"jane@example.com\"}");
    json_object_set_new(nameless, "given_ids", json_pack("{s:[s, s]}", "okta", "00U6", "00U7"));
    json_object_set_new(known, "given_ids", json_pack("{s:[s]}", "okta", "00U7"));
    assert_string_equal(control_cancelled(control, OTHER, nameless, at), "HR called");
    assert_null(control_cancelled(control, OTHER, nameless, at + 1));
    assert_null(control_cancelled(control, OTHER, known, at));
    json_decref(nameless);
    json_decref(known);
    control_free(control);
}

/* The planner writes the time of HR's event, perhaps after an order that came later. */
static void test_the_latest_cancellation_counts(void **state)
{
    (void)state;
    struct control *control = control_new();
    json_t *object = object_of("{\"email\": \"jane@example.com\"}");
    order(control, "cancel/jane@example.com", "ordered", "2026-11-23T10:00:00Z");
    order(control, "cancel/jane@example.com", "HR called", "2026-11-23T08:00:00Z");
    assert_string_equal(control_cancelled(control, OTHER, object, instant("2026-11-23T09:00:00Z")), "ordered");
    json_decref(object);
    control_free(control);
}

/* A person's cancellation ends what was planned up to then; who comes back and leaves again is offboarded. */
static void test_cancelled_by_person_up_to_then(void **state)
{
    (void)state;
    struct control *control = control_new();
    int64_t at = instant("2026-11-23T10:00:00Z");
    order(control, "cancel/jane@example.com", "HR called", "2026-11-23T10:00:00Z");
    order(control, "cancel/Emp-7", "HR called", "2026-11-23T10:00:00Z");
    order(control, "cancel/j\xc3\xb6rg@example.com", "HR called", "2026-11-23T10:00:00Z");
    static const struct {
        const char *user;
        bool concerned;
    } cases[] = {
        {"{\"email\": \"jane@example.com\"}", true},
        {"{\"email\": \"Jane@Example.COM\"}", true},
        {"{\"email\": \"j.doe@example.com\", \"emails\": [\"x@example.com\", \"JANE@example.com\"]}", true},
        {"{\"employee_id\": \"Emp-7\"}", true},
        {"{\"email\": \"new@example.com\", \"employee_id\": \"Emp-7\"}", true},
        {"{\"employee_id\": \"Emp-70\"}", false},
        {"{\"employee_id\": \"EMP-7\"}", false}, /* two people may differ in nothing else */
        {"{\"employee_id\": \"emp-7\"}", false},
        {"{\"email\": \"J\u00d6RG@example.com\"}", true},
        {"{\"email\": \"jo\u0308rg@example.com\"}", true}, /* with two characters for the \u00f6 */
        {"{\"email\": \"jorg@example.com\"}", false},
        {"{\"email\": \"ane@example.com\"}", false},
        {"{}", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *object = object_of(cases[i].user);
        assert_int_equal(control_cancelled(control, OTHER, object, at - 1) != NULL, cases[i].concerned);
        assert_int_equal(control_cancelled(control, OTHER, object, at) != NULL, cases[i].concerned);
        assert_null(control_cancelled(control, OTHER, object, at + 1));
        json_decref(object);
    }
    assert_int_equal(control_name_cancelled_when(control, "JANE@example.com", at), at);
    assert_int_equal(control_name_cancelled_when(control, "Emp-7", at - 1), at);
    assert_int_equal(control_name_cancelled_when(control, "Emp-7", at + 1), 0);
    assert_int_equal(control_name_cancelled_when(control, "emp-7", at), 0);
    control_note_cancelled(control, "okta:00u1", NULL, at + 5); /* before it comes back from the topic */
    assert_int_equal(control_name_cancelled_when(control, "okta:00u1", at + 5), at + 5);
    control_free(control);
}

static void test_a_bad_record_changes_nothing(void **state)
{
    (void)state;
    struct control *control = control_new();
    order(control, "pause/scim", "maintenance", "2026-11-23T10:00:00Z");
    static const struct {
        const char *key;
        const char *value;
        const char *named;
    } cases[] = {
        {"pause/scim", "{\"version\": 1, \"reason\": 5, \"at\": \"2026-11-23T10:00:00Z\"}", "reason"},
        {"pause/scim", "{\"version\": 1, \"reason\": \"x\", \"at\": \"soon\"}", "at"},
        {"pause/scim", "{\"version\": 9}", "version"},
        {"pause/scim", "no JSON", "JSON"},
        {"stop/scim", "{}", "key"},
        {"pause/", "{}", "key"},
        {"cancel/j\xe4ne@example.com", "{\"version\": 1, \"at\": \"2026-11-23T10:00:00Z\"}", "UTF-8"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(apply(control, cases[i].key, cases[i].value, &err), -1);
        assert_int_equal(err.class, ERR_PERMANENT);
        assert_non_null(strstr(err_text(&err), cases[i].named));
        err_release(&err);
    }
    assert_string_equal(control_pause_reason(control, "scim"), "maintenance");
    control_free(control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pause_and_resume),
        cmocka_unit_test(test_cancelled_by_id_whenever),
        cmocka_unit_test(test_cancelled_by_person_up_to_then),
        cmocka_unit_test(test_cancelled_by_account),
        cmocka_unit_test(test_the_latest_cancellation_counts),
        cmocka_unit_test(test_a_bad_record_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
