/* lib/message.h, lib/control.h: records of our own topics. What is taken is taken again when it is written anew; an order that is taken
 * is in force. The first line is the kind: job, event, control or cloudevent; the rest is the record. */
/* links: tests/fuzz/record.c */
#include "lib/control.h"
#include "lib/id.h"
#include "lib/message.h"
#include "tests/fuzz/record.h"

/* `read` takes what it has taken before. */
static void check_again(json_t *value, json_t *(*read)(const void *, size_t, struct err *))
{
    char *text = json_text(value);
    json_t *again = read(text, strlen(text), NULL);
    FUZZ_CHECK(json_equal(value, again));
    json_decref(again);
    free(text);
}

static void check_job(json_t *job)
{
    check_again(job, message_job);
    FUZZ_CHECK(id_valid(json_string_at(job, "job.id")));
    FUZZ_CHECK(json_string_at(job, "job.system") && json_string_at(job, "job.action"));
    char *person = message_person_key(json_object_get(job, "user"));
    FUZZ_CHECK(!person || *person);
    free(person);
}

static void check_control(const rd_kafka_message_t *record)
{
    struct err err = ERR_INIT;
    struct control *control = control_new();
    bool applied = control_apply(control, record, &err) == 0;
    char *key = mem_strndup(record->key ? record->key : "", record->key_len);
    char *slash = strchr(key, '/');
    FUZZ_CHECK(applied || err.class == ERR_PERMANENT);
    if (applied) {
        bool cancels = strncmp(key, "cancel/", 7) == 0, known = strncmp(key, "order/", 6) == 0; /* the edge's memory */
        bool in_force =
            cancels ? control_cancelled(control, slash + 1, NULL, 0) != NULL : control_paused(control, slash + 1);
        FUZZ_CHECK(known || in_force == (record->payload != NULL));
        FUZZ_CHECK(!known || !in_force);
    }
    free(key);
    err_release(&err);
    control_free(control);
}

static void check_traceparent(const char *text)
{
    char parent_id[TRACE_ID_SIZE], child_id[TRACE_ID_SIZE];
    char *child = message_traceparent(text);
    message_trace_id(text, parent_id);
    message_trace_id(child, child_id);
    FUZZ_CHECK(strlen(child) == 55 && strlen(child_id) == 32);
    FUZZ_CHECK(!*parent_id || strcmp(parent_id, child_id) == 0);
    free(child);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *kind = fuzz_line(&input);
    rd_kafka_message_t *record = fuzz_record(&input);
    struct err err = ERR_INIT;
    json_t *value = NULL;
    if (strcmp(kind, "job") == 0 && (value = message_job(record->payload, record->len, &err))) {
        check_job(value);
    } else if (strcmp(kind, "event") == 0 && (value = message_event(record->payload, record->len, &err))) {
        check_again(value, message_event);
    } else if (strcmp(kind, "cloudevent") == 0 && (value = message_cloudevent(record, &err))) {
        FUZZ_CHECK(message_cloudevent_check(value, NULL) == 0);
    } else if (strcmp(kind, "control") == 0) {
        check_control(record);
    } else {
        check_traceparent(kind);
    }
    json_decref(value);
    err_release(&err);
    fuzz_record_free(record);
    free(kind);
    return 0;
}
