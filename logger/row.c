/* Reading one message. What comes out fits the columns of `stage` (schema/004_apply.sql); PostgreSQL still judges the inside
 * of the body. */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/dead.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/seal.h"
#include "lib/text.h"
#include "logger/logger.h"

/* Events that change an offboarding; "job.", "order." and "phase." stand for all that begin so. */
static const char *const changing[] = {"initiated", "moved",  "started", "held",
                                       "cancelled", "phase.", "job.",    "order."};

void row_refuse(struct row *row, const char *reason)
{
    if (!row->refused) {
        row->refused = mem_strdup(reason);
    }
}

/* Headers come from anybody: what is not printable ASCII is left out rather than refused by PostgreSQL. */
static char *header(const rd_kafka_message_t *message, const char *name)
{
    char *text = kafka_message_header_text(message, name);
    for (const char *c = text; c && *c; c++) {
        if (*c < 0x20 || *c > 0x7e) {
            free(text);
            return NULL;
        }
    }
    return text;
}

/* Copies the id at `path` of `event`; -1 when there is something else than an id or null. */
static int read_id(const json_t *event, const char *path, char out[ID_SIZE])
{
    const json_t *value = json_at(event, path);
    if (!value || json_is_null(value)) {
        return 0;
    }
    return id_parse(json_string_value(value), out);
}

/* An order to erase what is recorded of a person without an offboarding: it changes none. */
static bool is_of_person(const char *name, const json_t *event)
{
    const char *digest = json_string_at(event, "context.person_digest");
    return digest && strcmp(name, "order.erase") == 0 && !json_string_at(event, "context.offboarding_id") &&
           strlen(digest) == SEAL_DIGEST_HEX_SIZE - 1 && digest[strspn(digest, "0123456789abcdef")] == '\0';
}

static void read_members(struct row *row, const json_t *event)
{
    int64_t at = 0;
    time_parse(json_string_at(event, "timestamp"), &at, NULL); /* checked by message_event() */
    time_format(at, row->occurred_at);
    id_parse(json_string_at(event, "id"), row->id); /* checked as well */
    row->name = mem_strdup(json_string_at(event, "name"));
    row->wave = text_in_families(row->name, changing, COUNT_OF(changing)) && !is_of_person(row->name, event);
    if (read_id(event, "context.offboarding_id", row->offboarding_id) != 0) {
        row_refuse(row, "context.offboarding_id is wrong, must be a UUID or null");
    } else if (read_id(event, "context.job_id", row->job_id) != 0) {
        row_refuse(row, "context.job_id is wrong, must be a UUID or null");
    } else if (row->wave && !row->offboarding_id[0]) {
        row_refuse(row, "context.offboarding_id is missing, must be a UUID");
    } else if (strncmp(row->name, "control.", 8) == 0) {
        row_refuse(row, "name is wrong: control. stands for records of offboard.control");
    }
}

/* A record that the API put back after it had been set aside: of the worker that it came from. */
static bool was_put_back(const rd_kafka_message_t *message, const struct origin *origin, struct origin *first)
{
    char *topic = origin->writer == WRITER_EDGE ? header(message, DEAD_BACK_TO) : NULL;
    bool is = topic && origin_of(first, origin->conf, topic) && first->writer == WRITER_SYSTEM;
    free(topic);
    return is;
}

/* An event about an offboarding must be sealed with its key. Two kinds need not be: orders, which may name any offboarding, and the
 * event that the key was erased. */
static bool must_be_sealed(const struct row *row, const struct origin *origin)
{
    return row->offboarding_id[0] && origin->writer != WRITER_EDGE && strcmp(row->name, "erased") != 0;
}

static void judge(struct row *row, const json_t *event, const struct origin *origin)
{
    struct origin first = {0};
    const struct origin *from = was_put_back(row->message, origin, &first) ? &first : origin;
    const char *topic = rd_kafka_topic_name(row->message->rkt);
    row->note = origin_objection(from, topic, row->name, json_string_at(event, "context.system"));
    if (!row->note && !row->sealed && must_be_sealed(row, from)) {
        row->note = mem_printf("not believed: %s of an offboarding came on %s in clear", row->name, topic);
    }
    if (row->note) {
        free(row->name);
        row->name = mem_strdup("violation");
        row->wave = 0;
    }
    origin_release(&first);
}

/* What was sealed for one offboarding says nothing of another. */
static bool is_of_key(const struct row *row)
{
    char id[ID_SIZE];
    return kafka_message_id(row->message, id) == 0 && strcmp(id, row->offboarding_id) == 0;
}

static void read_event(struct row *row, const struct origin *origin, const char *text, size_t len)
{
    const rd_kafka_message_t *message = row->message;
    struct err err = ERR_INIT;
    json_t *event = message_event(text, len, &err);
    if (!event) {
        row_refuse(row, err_text(&err));
        err_release(&err);
        return;
    }
    read_members(row, event);
    judge(row, event, origin);
    json_decref(event);
    row->body = mem_strndup(text, len);
    row->published_by = header(message, "ce_source");
    row->traceparent = header(message, "traceparent");
    if (row->sealed && !is_of_key(row)) {
        row_refuse(
            row,
            "context.offboarding_id is wrong, must be the offboarding that the record's key names, as it is sealed");
    }
}

/* The id in the headers; a record that has none gets the same one whenever it is read. */
static void record_id(const rd_kafka_message_t *message, char out[ID_SIZE])
{
    char *order = kafka_message_header_text(message, "ce_id");
    if (id_valid(order)) {
        memcpy(out, order, ID_SIZE);
        free(order);
        return;
    }
    free(order);
    static const char url_namespace[] = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"; /* RFC 9562, 6.6 */
    char *name = mem_printf("kafka:%s/%d/%lld", rd_kafka_topic_name(message->rkt), message->partition,
                            (long long)message->offset);
    id_v5(url_namespace, name, strlen(name), out);
    free(name);
}

/* {"key", "value", "order"}: the value byte for byte as it came; `order` of a record without value, whose header has who gave
 * the order and why. The caller frees. */
static char *control_body(const rd_kafka_message_t *message, const char *subject)
{
    struct buf body = BUF_INIT;
    json_t *key = json_string(subject);
    char *key_text = json_text(key);
    char *order_text = message->payload ? NULL : header(message, MESSAGE_ORDER);
    struct err err = ERR_INIT;
    json_t *order = order_text ? json_parse(order_text, strlen(order_text), &err) : NULL;
    buf_addf(&body, "{\"key\":%s,\"value\":", key_text);
    if (message->payload) {
        buf_add(&body, message->payload, message->len);
    } else {
        buf_adds(&body, "null");
    }
    if (json_is_object(order)) {
        buf_addf(&body, ",\"order\":%s", order_text);
    }
    buf_adds(&body, "}");
    err_release(&err);
    json_decref(order);
    json_decref(key);
    free(order_text);
    free(key_text);
    return buf_take(&body);
}

/* What a record says, or its tombstone. */
static const char *control_name(const char *key, bool said)
{
    if (strncmp(key, "pause/", 6) == 0) {
        return said ? "control.pause" : "control.resume";
    }
    if (strncmp(key, "order/", 6) == 0) {
        return said ? "control.key" : "control.unkey";
    }
    return said ? "control.cancel" : "control.uncancel";
}

static void read_control(struct row *row)
{
    const rd_kafka_message_t *message = row->message;
    struct err err = ERR_INIT;
    json_t *value = message_control(message->key, message->key_len, message->payload, message->len, &err);
    if (!value) {
        row_refuse(row, err_text(&err));
        err_release(&err);
        return;
    }
    char *subject = message_control_key(message->key, message->key_len);
    bool cancel = strncmp(subject, "cancel/", 7) == 0;
    row->name = mem_strdup(control_name(subject, json_is_object(value)));
    int64_t at = rd_kafka_message_timestamp(message, NULL) * (TIME_SECOND / 1000);
    const char *said = json_string_at(value, "at"); /* checked by message_control() */
    if (said) {
        time_parse(said, &at, NULL);
    }
    time_format(at, row->occurred_at);
    record_id(message, row->id);
    if (!cancel || id_parse(strchr(subject, '/') + 1, row->offboarding_id) != 0) {
        row->offboarding_id[0] = '\0';
    }
    row->body = control_body(message, subject);
    json_decref(value);
    free(subject);
    row->published_by = header(message, "ce_source");
    row->traceparent = header(message, "traceparent");
}

void row_read(struct row *row, rd_kafka_message_t *message, const struct origin *origin, const struct opened *opened)
{
    *row = (struct row){.message = message, .sealed = opened && opened->owned};
    if (origin->writer == WRITER_CONTROL) {
        read_control(row);
    } else if (opened) {
        read_event(row, origin, opened->text, opened->len);
    } else {
        read_event(row, origin, message->payload, message->len);
    }
}

/* What its headers say in clear, as an event. */
static char *erased_body(const struct row *row)
{
    char *said = header(row->message, "ce_type");
    json_t *event = message_event_new(said ? said : "erased", row->offboarding_id, NULL);
    json_put_string(event, "id", row->id);
    json_put_string(event, "timestamp", row->occurred_at);
    message_event_response(event, 0, ROW_ERASED);
    char *text = json_text(event);
    json_decref(event);
    free(said);
    return text;
}

void row_read_erased(struct row *row, rd_kafka_message_t *message)
{
    *row = (struct row){.message = message, .sealed = true, .erased = true};
    kafka_message_id(message, row->offboarding_id);
    record_id(message, row->id);
    time_format(rd_kafka_message_timestamp(message, NULL) * (TIME_SECOND / 1000), row->occurred_at);
    row->name = mem_strdup("erased");
    row->note = mem_strdup(ROW_ERASED);
    row->body = erased_body(row);
    row->published_by = header(message, "ce_source");
    row->traceparent = header(message, "traceparent");
}

void row_release(struct row *row)
{
    if (row->message) {
        rd_kafka_message_destroy(row->message);
    }
    free(row->refused);
    free(row->name);
    free(row->body);
    free(row->note);
    free(row->published_by);
    free(row->traceparent);
    *row = (struct row){0};
}
