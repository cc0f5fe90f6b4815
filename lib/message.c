#include "lib/message.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "lib/buf.h"
#include "lib/cloudevent.h"
#include "lib/fold.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/kafka.h"
#include "lib/mem.h"
#include "lib/time.h"

/* ---- checks ------------------------------------------------------------------------------------------------------ */

enum {
    DEPTH_MAX = 32,       /* of a CloudEvent: our own messages carry it, deeper, and must stay far below 128 levels */
    ATTRIBUTE_MAX = 1000, /* bytes of a CloudEvent's id, source or type: they become parts of ids, keys and rows */
};

enum kind { TEXT, TEXT_OR_NULL, ID, OBJECT, OBJECT_OR_NULL, ARRAY, NUMBER, INSTANT, INSTANT_OR_NULL };

struct member {
    const char *path;
    enum kind kind;
};

static const char *const kind_names[] = {"a text",         "a text or null",        "a UUID",
                                         "an object",      "an object or null",     "a list",
                                         "a whole number", "an RFC 3339 date-time", "an RFC 3339 date-time or null"};

static bool is_kind(const json_t *value, enum kind kind)
{
    int64_t at;
    switch (kind) {
    case TEXT:
        return json_is_string(value) && json_string_length(value) > 0;
    case TEXT_OR_NULL:
        return !value || json_is_null(value) || json_is_string(value);
    case ID:
        return json_is_string(value) && id_valid(json_string_value(value));
    case OBJECT:
        return json_is_object(value);
    case OBJECT_OR_NULL:
        return !value || json_is_null(value) || json_is_object(value);
    case ARRAY:
        return json_is_array(value);
    case NUMBER:
        return json_is_integer(value);
    case INSTANT:
        return json_is_string(value) && time_parse(json_string_value(value), &at, NULL) == 0;
    case INSTANT_OR_NULL:
        return !value || json_is_null(value) || is_kind(value, INSTANT);
    }
    return false;
}

static int check_members(const json_t *object, const struct member *members, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_at(object, members[i].path);
        if (!is_kind(value, members[i].kind)) {
            return err_set(err, ERR_PERMANENT, "%s %s, must be %s", members[i].path, value ? "is wrong" : "is missing",
                           kind_names[members[i].kind]);
        }
    }
    return 0;
}

/* Parses an object of our own: UTF-8, no NUL (PostgreSQL stores none), the version we know. */
static json_t *parse_own(const void *value, size_t len, struct err *err)
{
    if (!value) {
        err_set(err, ERR_PERMANENT, "the record has no value");
        return NULL;
    }
    json_t *object = json_parse(value, len, err);
    if (object && !json_is_object(object)) {
        err_set(err, ERR_PERMANENT, "the value is no JSON object");
    } else if (object && json_int_at(object, "version", -1) != MESSAGE_VERSION) {
        err_set(err, ERR_PERMANENT, "version is missing or unknown, must be %d", MESSAGE_VERSION);
    } else {
        return object;
    }
    json_decref(object);
    return NULL;
}

static json_t *checked(json_t *object, const struct member *members, size_t count, struct err *err)
{
    if (object && check_members(object, members, count, err) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *message_job(const void *value, size_t len, struct err *err)
{
    static const struct member members[] = {
        {"id", ID},
        {"user", OBJECT},
        {"runbook", TEXT},
        {"mode", TEXT},
        {"ids", OBJECT},
        {"job", OBJECT},
        {"job.id", ID},
        {"job.phase", TEXT},
        {"job.step", TEXT},
        {"job.system", TEXT},
        {"job.action", TEXT},
        {"job.with", OBJECT_OR_NULL},
        {"job.attempt", NUMBER},
        {"job.state", OBJECT_OR_NULL},
        {"job.steps", OBJECT_OR_NULL},
    };
    return checked(parse_own(value, len, err), members, COUNT_OF(members), err);
}

json_t *message_event(const void *value, size_t len, struct err *err)
{
    static const struct member members[] = {
        {"id", ID}, {"name", TEXT}, {"timestamp", INSTANT}, {"context", OBJECT}, {"response", OBJECT_OR_NULL},
    };
    static const struct member job_members[] = {
        {"context.offboarding_id", ID},
        {"context.job_id", ID},
        {"context.attempt", NUMBER},
        {"context.outcome", TEXT},
    };
    static const struct member before_members[] = {
        {"context.offboarding_id", ID},
        {"context.job_id", ID},
        {"context.before", OBJECT},
    };
    json_t *event = checked(parse_own(value, len, err), members, COUNT_OF(members), err);
    if (event && strcmp(json_string_at(event, "name"), "job.before") == 0) {
        return checked(event, before_members, COUNT_OF(before_members), err);
    }
    if (event && strncmp(json_string_at(event, "name"), "job.", 4) == 0) {
        return checked(event, job_members, COUNT_OF(job_members), err);
    }
    return event;
}

static bool is_text(const char *bytes, size_t len)
{
    json_t *text = memchr(bytes, '\0', len) ? NULL : json_stringn(bytes, len);
    json_decref(text);
    return text != NULL;
}

json_t *message_control(const char *key, size_t key_len, const void *value, size_t len, struct err *err)
{
    bool pause = key_len > 6 && strncmp(key, "pause/", 6) == 0;
    bool cancel = key_len > 7 && strncmp(key, "cancel/", 7) == 0;
    bool known = key_len > 6 && strncmp(key, "order/", 6) == 0;
    if (!pause && !cancel && !known) {
        err_set(err, ERR_PERMANENT, "the key must be pause/<system>, cancel/<offboarding id or person> or order/<key>");
        return NULL;
    }
    if (!is_text(key, key_len)) {
        err_set(err, ERR_PERMANENT, "the key is no UTF-8 text, or holds a NUL character");
        return NULL;
    }
    if (!value) {
        return json_null();
    }
    static const struct member members[] = {
        {"reason", TEXT_OR_NULL}, {"at", INSTANT_OR_NULL}, {"actor", OBJECT_OR_NULL}};
    return checked(parse_own(value, len, err), members, COUNT_OF(members), err);
}

char *message_control_key(const char *key, size_t len)
{
    char *copy = mem_strndup(key, len);
    char *subject = strchr(copy, '/');
    char id[ID_SIZE];
    if (subject && id_parse(subject + 1, id) == 0) {
        memcpy(subject + 1, id, ID_LEN);
    }
    return copy;
}

/* ---- CloudEvents ------------------------------------------------------------------------------------------------- */

/* Is `value` nested deeper than `levels`? */
static bool too_deep(const json_t *value, int levels)
{
    const char *name;
    json_t *member;
    size_t i;
    bool deep = levels < 0;
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        deep = deep || too_deep(member, levels - 1);
    }
    json_array_foreach(value, i, member)
    {
        deep = deep || too_deep(member, levels - 1);
    }
    return deep;
}

int message_check_depth(const char *field, const json_t *value, struct err *err)
{
    return too_deep(value, DEPTH_MAX)
               ? err_set(err, ERR_PERMANENT, "%s is nested deeper than %d levels", field, DEPTH_MAX)
               : 0;
}

int message_cloudevent_check(const json_t *event, struct err *err)
{
    static const struct member members[] = {{"id", TEXT}, {"source", TEXT}, {"type", TEXT}, {"specversion", TEXT}};
    if (!json_is_object(event)) {
        return err_set(err, ERR_PERMANENT, "a CloudEvent is a JSON object");
    }
    if (check_members(event, members, COUNT_OF(members), err) != 0) {
        return -1;
    }
    if (strcmp(json_string_at(event, "specversion"), "1.0") != 0) {
        return err_set(err, ERR_PERMANENT, "specversion is \"%s\", must be \"1.0\"",
                       json_string_at(event, "specversion"));
    }
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        if (json_string_length(json_object_get(event, members[i].path)) > ATTRIBUTE_MAX) {
            return err_set(err, ERR_PERMANENT, "%s is longer than %d bytes", members[i].path, ATTRIBUTE_MAX);
        }
    }
    const json_t *time = json_object_get(event, "time");
    int64_t at;
    if (time && (!json_is_string(time) || time_parse(json_string_value(time), &at, err) != 0)) {
        return json_is_string(time) ? err_prefix(err, "time") : err_set(err, ERR_PERMANENT, "time must be a text");
    }
    const char *name;
    json_t *attribute;
    json_object_foreach((json_t *)(uintptr_t)event, name, attribute)
    {
        if (message_check_depth(name, attribute, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void add_attribute(json_t *event, const char *name, const void *value, size_t len)
{
    /* What is no UTF-8, or holds a NUL, is left out: a required attribute is then found missing. */
    json_t *text = memchr(value, '\0', len) ? NULL : json_stringn(value, len);
    if (text && strcmp(name, "datacontenttype") != 0) {
        json_object_set_new(event, name, text);
    } else {
        json_decref(text);
    }
}

/* Binary mode: attributes in ce_… headers, the data as value. */
static json_t *binary_event(const rd_kafka_message_t *record, const rd_kafka_headers_t *headers, struct err *err)
{
    json_t *data = record->len ? json_parse(record->payload, record->len, err) : json_null();
    if (!data) {
        err_prefix(err, "data");
        return NULL;
    }
    json_t *event = json_object();
    const char *name;
    const void *value;
    size_t size;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        if (strncmp(name, "ce_", 3) == 0 && value) {
            add_attribute(event, name + 3, value, size);
        }
    }
    json_object_set_new(event, "data", data);
    return event;
}

json_t *message_cloudevent(const rd_kafka_message_t *record, struct err *err)
{
    rd_kafka_headers_t *headers = NULL;
    size_t len = 0;
    json_t *event;
    bool binary = rd_kafka_message_headers(record, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
                  kafka_message_header(record, "ce_specversion", &len) &&
                  kafka_message_header(record, "content-type", &len);
    if (binary) {
        const char *type = kafka_message_header(record, "content-type", &len);
        binary = !(len >= 28 && strncasecmp(type, "application/cloudevents+json", 28) == 0);
    } else {
        binary = headers && kafka_message_header(record, "ce_specversion", &len);
    }
    if (binary) {
        event = binary_event(record, headers, err);
    } else if (!record->payload) {
        err_set(err, ERR_PERMANENT, "the record has no value");
        return NULL;
    } else {
        event = json_parse(record->payload, record->len, err);
    }
    if (event && (cloudevent_open_data(event, err) != 0 || message_cloudevent_check(event, err) != 0)) {
        json_decref(event);
        return NULL;
    }
    return event;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

json_t *message_event_new(const char *name, const char *offboarding_id, json_t *context)
{
    char id[ID_SIZE];
    char now[TIME_TEXT_SIZE];
    id_v7(id);
    time_format(time_now(), now);
    if (!context) {
        context = json_object();
    }
    json_object_set_new(context, "offboarding_id", offboarding_id ? json_string(offboarding_id) : json_null());
    return json_pack("{s:i, s:s, s:s, s:s, s:{s:i, s:s}, s:o}", "version", MESSAGE_VERSION, "id", id, "name", name,
                     "timestamp", now, "response", "statusCode", 0, "message", "", "context", context);
}

void message_event_response(json_t *event, int status, const char *message)
{
    json_object_set_new(event, "response",
                        json_pack("{s:i, s:s}", "statusCode", status, "message", message ? message : ""));
}

json_t *message_event_without(const json_t *event, const char *const *members, size_t count, const char *message)
{
    json_t *copy = json_deep_copy(event);
    for (size_t i = 0; i < count; i++) {
        json_object_del(json_object_get(copy, "context"), members[i]);
    }
    message_event_response(copy, 0, message);
    return copy;
}

char *message_person_key(const json_t *user)
{
    const char *email = json_string_at(user, "email");
    if (email && *email) {
        return fold_text(email);
    }
    const char *employee = json_string_at(user, "employee_id");
    return employee && *employee ? mem_strdup(employee) : NULL;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static bool hex(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i]) && !(text[i] >= 'a' && text[i] <= 'f')) {
            return false;
        }
    }
    return true;
}

/* "00-<32 hex>-<16 hex>-<2 hex>", W3C Trace Context 3.2. */
static bool traceparent_valid(const char *text)
{
    return text && strlen(text) == 55 && strncmp(text, "00-", 3) == 0 && hex(text + 3, 32) && text[35] == '-' &&
           hex(text + 36, 16) && text[52] == '-' && hex(text + 53, 2) && strspn(text + 3, "0") < 32 &&
           strspn(text + 36, "0") < 16;
}

char *message_traceparent(const char *parent)
{
    unsigned char random[24];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        memset(random, 1, sizeof random);
    }
    struct buf out = BUF_INIT;
    buf_adds(&out, "00-");
    if (traceparent_valid(parent)) {
        buf_add(&out, parent + 3, 32);
    } else {
        for (size_t i = 0; i < 16; i++) {
            buf_addf(&out, "%02x", random[i]);
        }
    }
    buf_adds(&out, "-");
    for (size_t i = 16; i < 24; i++) {
        buf_addf(&out, "%02x", random[i]);
    }
    buf_adds(&out, "-01");
    return buf_take(&out);
}

/* `size` with the end of the text. */
static void copy_id(const char *traceparent, size_t from, char *id, size_t size)
{
    bool valid = traceparent_valid(traceparent);
    memcpy(id, valid ? traceparent + from : "", valid ? size - 1 : 0);
    id[valid ? size - 1 : 0] = '\0';
}

void message_trace_id(const char *traceparent, char trace_id[TRACE_ID_SIZE])
{
    copy_id(traceparent, 3, trace_id, TRACE_ID_SIZE);
}

void message_span_id(const char *traceparent, char span_id[SPAN_ID_SIZE])
{
    copy_id(traceparent, 36, span_id, SPAN_ID_SIZE);
}

void message_headers(struct message_headers *headers, const char *process, const char *type, const char *id,
                     const char *traceparent)
{
    *headers = (struct message_headers){0};
    headers->owned[0] = mem_printf("/offboard/%s", process);
    headers->owned[1] = mem_strdup(type);
    headers->owned[2] = mem_strdup(id);
    headers->owned[3] = message_traceparent(traceparent);
    const char *const list[] = {"ce_specversion", "1.0",
                                "ce_source",      headers->owned[0],
                                "ce_type",        headers->owned[1],
                                "ce_id",          headers->owned[2],
                                "content-type",   "application/json",
                                "traceparent",    headers->owned[3]};
    memcpy(headers->list, list, sizeof list);
}

void message_headers_add(struct message_headers *headers, const char *name, const char *value)
{
    size_t next = 0;
    while (headers->list[next]) {
        next += 2;
    }
    if (value) {
        headers->owned[next / 2] = mem_strdup(value);
        headers->list[next] = name;
        headers->list[next + 1] = headers->owned[next / 2];
    }
}

void message_headers_release(struct message_headers *headers)
{
    for (size_t i = 0; i < COUNT_OF(headers->owned); i++) {
        free(headers->owned[i]);
    }
    *headers = (struct message_headers){0};
}
