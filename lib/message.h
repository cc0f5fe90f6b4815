/* The wire contract in code: reading what comes from Kafka, with errors that name the field. See schema/messages.md. */
#ifndef OFFBOARD_LIB_MESSAGE_H
#define OFFBOARD_LIB_MESSAGE_H

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

enum { MESSAGE_VERSION = 1 };

/* Each parses and checks one value and returns it as a new reference, or NULL with an ERR_PERMANENT that names the
 * field: unknown version, missing or mistyped members, invalid UTF-8, NUL characters (PostgreSQL stores none). */
json_t *message_job(const void *value, size_t len, struct err *err);
json_t *message_event(const void *value, size_t len, struct err *err);
json_t *message_control(const char *key, size_t key_len, const void *value, size_t len, struct err *err);

/* The key of a control record as everything here writes it: an offboarding's id in lower case. The caller frees. */
char *message_control_key(const char *key, size_t len);

/* A CloudEvent from a Kafka record, structured or binary mode (Kafka protocol binding 1.0.2: headers ce_…), as one
 * object in structured form. */
json_t *message_cloudevent(const rd_kafka_message_t *record, struct err *err);

/* Checks a structured CloudEvent (required attributes, types). -1 with the attribute's name in the text. */
int message_cloudevent_check(const json_t *event, struct err *err);

/* What comes from outside may not be nested so deeply that a message of ours that carries it can't be read. -1 with the field's name. */
int message_check_depth(const char *field, const json_t *value, struct err *err);

/* A new event object with version, id (UUIDv7), timestamp (now), name, and a context holding offboarding_id when given.
 * `context` is taken over (NULL: empty). */
json_t *message_event_new(const char *name, const char *offboarding_id, json_t *context);
void message_event_response(json_t *event, int status, const char *message);

/* A copy of an event without these members of its context; the message of its response becomes `message`. A new reference. */
json_t *message_event_without(const json_t *event, const char *const *members, size_t count, const char *message);

/* Lower-case e-mail, else employee id: the key of intake (borrowed from nothing; the caller frees). NULL when the
 * user has neither. */
char *message_person_key(const json_t *user);

/* Header of a record of control that has no value: who gave the order and why, {actor, reason}. A value would stay in the
 * compacted topic. */
#define MESSAGE_ORDER "offboard_order"

/* Headers of a record we produce: ce_id, ce_source ("/offboard/<process>"), ce_type, ce_specversion, content-type,
 * traceparent. Fill with message_headers(), read `list`, free with message_headers_release(). */
struct message_headers {
    const char *list[16];
    char *owned[8];
};
void message_headers(struct message_headers *headers, const char *process, const char *type, const char *id,
                     const char *traceparent);

/* One header more, `name` a constant; NULL: none. */
void message_headers_add(struct message_headers *headers, const char *name, const char *value);
void message_headers_release(struct message_headers *headers);

/* A new W3C traceparent, or a child of `parent` (same trace id, new span id) when that is valid. The caller frees. */
char *message_traceparent(const char *parent);

enum { TRACE_ID_SIZE = 33, SPAN_ID_SIZE = 17 };

/* The two ids of a traceparent, for logs and events; "" when it is not valid. */
void message_trace_id(const char *traceparent, char trace_id[TRACE_ID_SIZE]);
void message_span_id(const char *traceparent, char span_id[SPAN_ID_SIZE]);

#endif
