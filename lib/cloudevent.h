/* CloudEvents 1.0 as their senders write them: the JSON format, and the HTTP protocol binding 1.0.2. What a CloudEvent must have
 * is checked by message_cloudevent_check(). */
#ifndef OFFBOARD_LIB_CLOUDEVENT_H
#define OFFBOARD_LIB_CLOUDEVENT_H

#include <jansson.h>

#include "lib/err.h"
#include "lib/request.h"

enum cloudevent_mode {
    CLOUDEVENT_NONE, /* the request carries none */
    CLOUDEVENT_STRUCTURED,
    CLOUDEVENT_BATCH,
    CLOUDEVENT_BINARY,
};

/* By Content-Type and the header ce-specversion. */
enum cloudevent_mode cloudevent_mode(const struct request *request);

/* The event of a request in binary mode, as a structured one: all ce- headers become attributes, without their encoding (quoted
 * strings, then one round of percent-decoding: binding, 3.1.3.2), and `data` its data. A new reference; NULL with an ERR_PERMANENT. */
json_t *cloudevent_from_headers(const struct request *request, json_t *data, struct err *err);

/* Replaces data_base64 (JSON format, 3.1) by the JSON that it holds. 0 also when there is none; -1 with an ERR_PERMANENT when it
 * is none such, or can't be JSON by its datacontenttype. */
int cloudevent_open_data(json_t *event, struct err *err);

#endif
