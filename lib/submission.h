/* What is sent to POST /v1/offboardings: plain JSON, or CloudEvents structured, batched or binary. The edge takes it so, and
 * `offboard plan` shows with the same checks what would become of it. */
#ifndef OFFBOARD_LIB_SUBMISSION_H
#define OFFBOARD_LIB_SUBMISSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/mapping.h"
#include "lib/request.h"

enum { SUBMISSION_EVENTS_MAX = 1000 /* of one request */ };

/* The JSON of a body; a byte-order mark before it is passed over. NULL with an ERR_PERMANENT. */
json_t *submission_json(const struct request *request, struct err *err);

/* The events of a request as structured CloudEvents, not yet checked: a list (new reference). `token` names the sender of plain
 * JSON. `*batch`: the answer is a list, too. NULL with an ERR_PERMANENT, and `*status` of the refusal: 400 or 415. */
json_t *submission_events(const struct request *request, const char *token, bool *batch, int *status, struct err *err);

/* Whether it is a CloudEvent that can be read: checks it, and opens its data. -1 with an ERR_PERMANENT that names the attribute. */
int submission_check(json_t *event, struct err *err);

/* Checks one event as the planner will, and says what becomes of it as far as that can be told without knowing who is leaving
 * already. `event` gets the attributes that only we set: `actor` is who sent it (a token). `source` NULL: the one that takes its
 * type. 0 with `*mapped` filled (the caller releases it); the status of a refusal with an ERR_PERMANENT: 400 when it is no
 * CloudEvent, 422 when its content can't be right. */
int submission_examine(struct definitions *definitions, const struct conf *conf, json_t *event, const char *actor,
                       const char *source, int64_t now, struct mapped *mapped, struct err *err);

#endif
