/* The wire contract: golden files of released versions stay readable, what is wrong is refused with the field's
 * name. */
/* links: tests/unit/mock_cluster.c */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/kafka.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/shipped.h"
#include "lib/time.h"
#include "lib/yaml.h"
#include "tests/unit/mock_cluster.h"

/* The checkout's tests/golden/v1: beside the schema that the program finds. */
static char *golden_path(const char *name)
{
    char *schema = shipped_directory("schema");
    assert_non_null(schema);
    char *path = mem_printf("%s/../tests/golden/v1/%s", schema, name);
    free(schema);
    return path;
}

static char *golden_text(const char *name, size_t *len)
{
    char *path = golden_path(name);
    struct err err = ERR_INIT;
    char *text = yaml_read_file(path, len, &err);
    if (!text) {
        fail_msg("%s", err_text(&err));
    }
    free(path);
    return text;
}

static json_t *golden(const char *name)
{
    size_t len;
    char *text = golden_text(name, &len);
    json_t *value = json_parse(text, len, NULL);
    free(text);
    assert_non_null(value);
    return value;
}

/* ---- golden files ------------------------------------------------------------------------------------------------ */

/* Reads a value as its receiver does; the kind is in the file's name. */
static json_t *read_as(const char *name, const char *text, size_t len, struct err *err)
{
    if (strncmp(name, "event.", 6) == 0) {
        return message_event(text, len, err);
    }
    if (strcmp(name, "control.pause.json") == 0) {
        return message_control("pause/scim", 10, text, len, err);
    }
    if (strcmp(name, "control.cancel.json") == 0) {
        return message_control("cancel/jane@example.com", 23, text, len, err);
    }
    if (strcmp(name, "hr_event.json") == 0) {
        json_t *event = json_parse(text, len, err);
        assert_int_equal(message_cloudevent_check(event, err), 0);
        return event;
    }
    assert_string_equal(name, "job.json");
    return message_job(text, len, err);
}

/* Events are called after their file: event.<name>[-<variant>].json. */
static void assert_named(const char *file, const json_t *value)
{
    size_t len =
        strcspn(file + 6, "-") < strlen(file + 6) ? strcspn(file + 6, "-") : strlen(file + 6) - strlen(".json");
    const char *name = json_string_at(value, "name");
    assert_int_equal(strlen(name), len);
    assert_memory_equal(name, file + 6, len);
}

static void test_golden_files_stay_readable(void **state)
{
    (void)state;
    char *path = golden_path("");
    DIR *directory = opendir(path);
    assert_non_null(directory);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (!strstr(entry->d_name, ".json")) {
            continue;
        }
        size_t len;
        struct err err = ERR_INIT;
        char *text = golden_text(entry->d_name, &len);
        json_t *value = read_as(entry->d_name, text, len, &err);
        if (!value) {
            fail_msg("%s: %s", entry->d_name, err_text(&err));
        }
        if (strncmp(entry->d_name, "event.", 6) == 0) {
            assert_named(entry->d_name, value);
        }
        json_decref(value);
        free(text);
        count++;
    }
    closedir(directory);
    free(path);
    assert_true(count >= 24);
}

/* Every name of the contract's table has its golden file. */
static void test_golden_files_are_complete(void **state)
{
    (void)state;
    static const char *const names[] = {
        "initiated",     "intake",      "moved",        "cancelled",     "job.succeeded", "job.already_done",
        "job.skipped",   "job.missing", "job.deferred", "job.failed",    "job.blocked",   "job.denied",
        "job.cancelled", "phase.due",   "definition",   "order.approve", "order.retry",   "order.skip",
        "job.before",    "order.undo",  "started",      "held",          "job.lost",      "phase.again",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *file = mem_printf("event.%s.json", names[i]);
        json_decref(golden(file));
        free(file);
    }
}

/* The ids in them are those that the contract defines. */
static void test_golden_ids(void **state)
{
    (void)state;
    json_t *initiated = golden("event.initiated.json"), *job = golden("job.json"),
           *intake = golden("event.intake.json");
    char id[ID_SIZE];
    id_offboarding("/hr/example", "2026-0042", id);
    assert_string_equal(json_string_at(initiated, "context.offboarding_id"), id);
    assert_string_equal(json_string_at(job, "id"), id);
    char other[ID_SIZE];
    id_initiated(id, other);
    assert_string_equal(json_string_at(initiated, "id"), other);
    id_job(id, "initial", "reminder", other);
    assert_string_equal(json_string_at(job, "job.id"), other);
    id_intake("/hr/example", "2026-0042", "offboard.intake/3/1042", other);
    assert_string_equal(json_string_at(intake, "id"), other);
    json_decref(initiated);
    json_decref(job);
    json_decref(intake);
}

/* ---- what is wrong ----------------------------------------------------------------------------------------------- */

static void assert_refused(const json_t *value, json_t *(*read)(const void *, size_t, struct err *), const char *named)
{
    char *text = json_text(value);
    struct err err = ERR_INIT;
    json_t *got = read(text, strlen(text), &err);
    if (got || err.class != ERR_PERMANENT || !strstr(err_text(&err), named)) {
        fail_msg("%s: %s", named, got ? "was taken" : err_text(&err));
    }
    err_release(&err);
    free(text);
}

/* Each of these members is set to a wrong value, then left out (`needed`), in an otherwise good message. */
static void assert_members_checked(const char *file, json_t *(*read)(const void *, size_t, struct err *),
                                   const char *const *paths, bool needed)
{
    for (; *paths; paths++) {
        json_t *message = golden(file);
        const char *dot = strrchr(*paths, '.');
        char *parent = dot ? mem_strndup(*paths, (size_t)(dot - *paths)) : mem_strdup("");
        const char *last = dot ? dot + 1 : *paths;
        json_object_set_new(json_at(message, parent), last, json_true());
        assert_refused(message, read, *paths);
        if (needed) {
            json_object_del(json_at(message, parent), last);
            assert_refused(message, read, *paths);
        }
        free(parent);
        json_decref(message);
    }
}

static void test_members_are_checked(void **state)
{
    (void)state;
    assert_members_checked("job.json", message_job,
                           (const char *const[]){"version", "id", "user", "runbook", "mode", "ids", "job", "job.id",
                                                 "job.phase", "job.step", "job.system", "job.action", "job.attempt",
                                                 NULL},
                           true);
    assert_members_checked("job.json", message_job, (const char *const[]){"job.with", "job.state", "job.steps", NULL},
                           false);
    assert_members_checked("event.job.succeeded.json", message_event,
                           (const char *const[]){"version", "id", "name", "timestamp", "context",
                                                 "context.offboarding_id", "context.job_id", "context.attempt",
                                                 "context.outcome", NULL},
                           true);
    assert_members_checked("event.phase.due.json", message_event, (const char *const[]){"response", NULL}, false);
}

static json_t *read_cancel(const void *value, size_t len, struct err *err)
{
    return message_control("cancel/x", 8, value, len, err);
}

static void test_control_is_checked(void **state)
{
    (void)state;
    assert_members_checked("control.cancel.json", read_cancel, (const char *const[]){"version", NULL}, true);
    assert_members_checked("control.cancel.json", read_cancel, (const char *const[]){"reason", "actor", "at", NULL},
                           false);
    static const char *const keys[] = {"", "pause", "pause/", "cancel/", "resume/scim", "x"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct err err = ERR_INIT;
        assert_null(message_control(keys[i], strlen(keys[i]), NULL, 0, &err));
        assert_non_null(strstr(err_text(&err), "key"));
        err_release(&err);
    }
    assert_null(message_control("cancel/jane\0doe", 15, NULL, 0, NULL));
    json_t *tombstone = message_control("pause/scim", 10, NULL, 0, NULL);
    assert_true(json_is_null(tombstone));
    json_decref(tombstone);
}

static void test_what_is_no_message(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *named;
    } wrong[] = {
        {"", "JSON"},
        {"{\"id\": ", "line 1"},
        {"[]", "object"},
        {"7", "object"},
        {"{}", "version"},
        {"{\"version\": 2}", "version"},
        {"{\"version\": 1, \"id\": \"\xff\"}", "UTF-8"},
        {"{\"version\": 1, \"id\": \"a\\u0000\"}", "u0000"},
        {"{\"version\": 1, \"version\": 1}", "duplicate"},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct err err = ERR_INIT;
        assert_null(message_event(wrong[i].text, strlen(wrong[i].text), &err));
        assert_int_equal(err.class, ERR_PERMANENT);
        if (!strstr(err_text(&err), wrong[i].named)) {
            fail_msg("%s: %s", wrong[i].text, err_text(&err));
        }
        err_release(&err);
    }
    struct err err = ERR_INIT;
    assert_null(message_job(NULL, 0, &err));
    assert_non_null(strstr(err_text(&err), "no value"));
    err_release(&err);
}

/* ---- CloudEvents ------------------------------------------------------------------------------------------------- */

static void test_cloudevent_attributes(void **state)
{
    (void)state;
    static const char *const needed[] = {"id", "source", "type", "specversion"};
    for (size_t i = 0; i < COUNT_OF(needed); i++) {
        json_t *event = golden("hr_event.json");
        json_t *wrong[] = {json_string(""), json_integer(5), json_null()};
        for (size_t j = 0; j < COUNT_OF(wrong); j++) {
            struct err err = ERR_INIT;
            json_object_set_new(event, needed[i], wrong[j]);
            assert_int_equal(message_cloudevent_check(event, &err), -1);
            assert_non_null(strstr(err_text(&err), needed[i]));
            err_release(&err);
        }
        json_decref(event);
    }
    json_t *event = golden("hr_event.json");
    struct err err = ERR_INIT;
    json_object_set_new(event, "time", json_string("yesterday"));
    assert_int_equal(message_cloudevent_check(event, &err), -1);
    assert_non_null(strstr(err_text(&err), "time"));
    json_object_del(event, "time");
    assert_int_equal(message_cloudevent_check(event, &err), 0);
    char *longer = mem_alloc(1002);
    memset(longer, 'x', 1001);
    json_object_set_new(event, "id", json_string(longer));
    assert_int_equal(message_cloudevent_check(event, &err), -1);
    assert_non_null(strstr(err_text(&err), "id is longer"));
    err_release(&err);
    free(longer);
    json_decref(event);
}

static void put(struct kafka_producer *producer, const char *value, const char *const *headers)
{
    struct err err = ERR_INIT;
    struct kafka_record record = {.topic = "offboard.intake",
                                  .partition = 0,
                                  .key = "k",
                                  .key_len = 1,
                                  .value = value,
                                  .value_len = strlen(value),
                                  .headers = headers};
    assert_int_equal(kafka_produce(producer, &record, NULL, NULL, &err), 0);
}

static const char structured[] = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/"
                                 "hr\",\"type\":\"leaver.created\",\"data\":{\"user\":{\"email\":\"a@b.c\"}}}";

static void test_cloudevents_from_kafka(void **state)
{
    static const struct {
        const char *value;
        const char *headers[12];
        const char *named; /* NULL: it is understood */
    } cases[] = {
        {structured, {"content-type", "application/cloudevents+json; charset=UTF-8", NULL}, NULL},
        {structured, {NULL}, NULL},
        {structured,
         {"ce_specversion", "1.0", "ce_id", "other", "content-type", "application/cloudevents+json", NULL},
         NULL},
        {"{\"user\":{\"email\":\"a@b.c\"}}",
         {"ce_specversion", "1.0", "ce_id", "1", "ce_source", "/hr", "ce_type", "leaver.created", "content-type",
          "application/json"},
         NULL},
        {"{\"user\":{\"email\":\"a@b.c\"}}",
         {"ce_specversion", "1.0", "ce_id", "1", "ce_source", "/hr", "ce_type", "leaver.created"},
         NULL},
        {"{\"user\":{}}", {"ce_specversion", "1.0", "ce_id", "1", "ce_type", "leaver.created", NULL}, "source"},
        {"{\"user\":{}}", {"ce_specversion", "1.0", "ce_id", "\xff", "ce_source", "/hr", "ce_type", "x", NULL}, "id"},
        {"<user/>", {"ce_specversion", "1.0", "ce_id", "1", "ce_source", "/hr", "ce_type", "x", NULL}, "data"},
        {"{\"user\":{}}", {NULL}, "id"},
        {"no JSON", {NULL}, "JSON"},
    };
    struct err err = ERR_INIT;
    struct kafka_producer *producer = kafka_producer_new(mock_cluster_conf(*state), &err);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        put(producer, cases[i].value, cases[i].headers);
    }
    assert_int_equal(kafka_producer_wait(producer, 10 * TIME_SECOND, &err), 0);
    kafka_producer_free(producer, TIME_SECOND);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        rd_kafka_message_t *message = i ? mock_next_message(*state) : mock_first_message(*state, "offboard.intake");
        assert_non_null(message);
        json_t *event = message_cloudevent(message, &err);
        rd_kafka_message_destroy(message);
        if (cases[i].named) {
            assert_null(event);
            assert_int_equal(err.class, ERR_PERMANENT);
            assert_non_null(strstr(err_text(&err), cases[i].named));
        } else {
            assert_non_null(event);
            assert_string_equal(json_string_at(event, "id"), "1");
            assert_string_equal(json_string_at(event, "source"), "/hr");
            assert_string_equal(json_string_at(event, "data.user.email"), "a@b.c");
        }
        json_decref(event);
        err_release(&err);
    }
}

static int setup(void **state)
{
    *state = mock_cluster_new((const char *const[]){"b", "c", "d", "e", "f", "g", "h", "i", "j", NULL});
    return 0;
}

static int teardown(void **state)
{
    mock_cluster_free(*state);
    return 0;
}

/* ---- what we write ----------------------------------------------------------------------------------------------- */

static void test_a_new_event_is_a_good_one(void **state)
{
    (void)state;
    json_t *event =
        message_event_new("order.approve", "2bc3467d-afdb-5b9e-989f-407688933d12", json_pack("{s:s}", "a", "b"));
    message_event_response(event, 204, "fine");
    char *text = json_text(event);
    json_t *read = message_event(text, strlen(text), NULL);
    assert_non_null(read);
    assert_string_equal(json_string_at(read, "context.a"), "b");
    assert_string_equal(json_string_at(read, "context.offboarding_id"), "2bc3467d-afdb-5b9e-989f-407688933d12");
    assert_int_equal(json_int_at(read, "response.statusCode", 0), 204);
    json_decref(read);
    json_decref(event);
    free(text);
    event = message_event_new("definition", NULL, NULL);
    assert_true(json_is_null(json_at(event, "context.offboarding_id")));
    json_decref(event);
}

static void test_person_key(void **state)
{
    (void)state;
    static const struct {
        const char *user;
        const char *key;
    } cases[] = {
        {"{\"email\": \"Jane.DOE@Example.com\", \"employee_id\": \"A1\"}", "jane.doe@example.com"},
        {"{\"employee_id\": \"A1\"}", "A1"},
        {"{\"email\": \"\", \"employee_id\": \"A1\"}", "A1"},
        {"{\"name\": \"x\"}", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *user = json_parse(cases[i].user, strlen(cases[i].user), NULL);
        char *key = message_person_key(user);
        assert_true(key == NULL || cases[i].key != NULL);
        assert_string_equal(key ? key : "", cases[i].key ? cases[i].key : "");
        free(key);
        json_decref(user);
    }
}

static void test_traceparent(void **state)
{
    (void)state;
    const char *parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    char *child = message_traceparent(parent);
    assert_int_equal(strlen(child), 55);
    assert_memory_equal(child, parent, 36);
    assert_memory_not_equal(child + 36, parent + 36, 16);
    free(child);
    char trace_id[TRACE_ID_SIZE];
    char span_id[SPAN_ID_SIZE];
    message_trace_id(parent, trace_id);
    message_span_id(parent, span_id);
    assert_string_equal(trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(span_id, "b7ad6b7169203331");
    message_trace_id("00-0af7", trace_id);
    message_span_id(NULL, span_id);
    assert_string_equal(trace_id, "");
    assert_string_equal(span_id, "");
    static const char *const wrong[] = {
        NULL,
        "",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        char *fresh = message_traceparent(wrong[i]);
        char *again = message_traceparent(fresh); /* what we make is valid */
        assert_memory_equal(again, fresh, 36);
        assert_memory_not_equal(fresh + 3, parent + 3, 32);
        free(fresh);
        free(again);
    }
}

static void test_headers(void **state)
{
    (void)state;
    struct message_headers headers;
    message_headers(&headers, "planner", "initiated", "the id", NULL);
    static const char *const expected[] = {
        "ce_specversion", "1.0",    "ce_source",    "/offboard/planner", "ce_type",    "initiated",
        "ce_id",          "the id", "content-type", "application/json",  "traceparent"};
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        assert_string_equal(headers.list[i], expected[i]);
    }
    assert_int_equal(strlen(headers.list[11]), 55);
    assert_null(headers.list[12]);
    message_headers_release(&headers);
    assert_null(headers.list[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_files_stay_readable),
        cmocka_unit_test(test_golden_files_are_complete),
        cmocka_unit_test(test_golden_ids),
        cmocka_unit_test(test_members_are_checked),
        cmocka_unit_test(test_control_is_checked),
        cmocka_unit_test(test_what_is_no_message),
        cmocka_unit_test(test_cloudevent_attributes),
        cmocka_unit_test_setup_teardown(test_cloudevents_from_kafka, setup, teardown),
        cmocka_unit_test(test_a_new_event_is_a_good_one),
        cmocka_unit_test(test_person_key),
        cmocka_unit_test(test_traceparent),
        cmocka_unit_test(test_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
