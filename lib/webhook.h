/* What a request to the address of a source (/v1/sources/<source>) means: who sent it, which events are in it, and what is answered.
 * Knows neither HTTP servers nor Kafka: the edge takes requests by it, and `offboard plan` shows one that was kept. */
#ifndef OFFBOARD_LIB_WEBHOOK_H
#define OFFBOARD_LIB_WEBHOOK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/definition.h"
#include "lib/err.h"
#include "lib/request.h"
#include "lib/signature.h"

/* A request in hand. Fill in the first four, and end with webhook_release(). */
struct webhook {
    struct definitions *definitions;
    const struct conf *conf;
    const struct definition *source;
    const struct request *request;
    json_t *
        context; /* what expressions see: body, headers, settings; `data` while one event is made, and what an answer may say */
    json_t *claims; /* of a token that its sender signed: webhook_verify() */
};

void webhook_release(struct webhook *webhook);

/* Does the source take requests: does it say how its sender proves who it is, and turn them into events? */
bool webhook_open(const struct definition *source);

/* ---- who sends ---------------------------------------------------------------------------------------------------- */

/* The keys by which a sender is known. */
struct webhook_ring {
    const json_t *secrets; /* source_secrets() of the source */
    const json_t *(*key_set)(const char *url,
                             void *arg); /* the JWK set at an address, borrowed; NULL: it is not known */
    void *arg;
};

/* Checks all that the source asks for; see signature_check() and jwt_check(). */
enum signature_verdict webhook_verify(struct webhook *webhook, const struct webhook_ring *ring, int64_t now,
                                      struct err *err);

/* Before the body is there: SIGNATURE_GOOD when a shared secret in a header fits, and the headers that signatures need are there. */
enum signature_verdict webhook_check_head(struct webhook *webhook, const struct webhook_ring *ring, struct err *err);

/* The address of the sender's JWK set; NULL: the source has no `jwt`, or its settings don't say it. The caller frees. */
char *webhook_key_address(const struct webhook *webhook);

/* The body of a request that is a token, as webhook_verify() read it; NULL: the body is no token. Borrowed. */
json_t *webhook_token_body(const struct webhook *webhook);

/* ---- what is in it ------------------------------------------------------------------------------------------------ */

struct webhook_reading {
    json_t *challenge; /* the body that answers a challenge, and then there is nothing else; owned */
    json_t *items;     /* a list of {"event": …} or {"error": "…"}; owned */
};
void webhook_reading_release(struct webhook_reading *reading);

/* The answer to the challenge of a GET; NULL with an ERR_PERMANENT, or without one when it poses none. */
json_t *webhook_challenge(struct webhook *webhook, struct err *err);

/* Reads a POST. 0, or the status of a refusal of the whole (400, 415, 422) with an ERR_PERMANENT: of a request none of whose
 * events can be made, too. An event that can't be made loses none of the others. */
int webhook_read(struct webhook *webhook, struct webhook_reading *reading, struct err *err);

/* ---- what is answered --------------------------------------------------------------------------------------------- */

/* What the planner will make of an item, as far as it can be told without knowing who is leaving already: {event, outcome,
 * why, id}, the outcome "accepted", "ignored", "refused", or "unreadable" of one that is no event. `*person` is the key of its
 * record (NULL: there is none; the caller frees). New reference. */
json_t *webhook_foresee(const struct webhook *webhook, const json_t *item, int64_t now, char **person);

struct webhook_reply {
    int status;
    json_t *body;
    int unavailable_status; /* when Kafka did not take the events in time */
    json_t *unavailable;    /* NULL: a problem */
};
void webhook_reply_release(struct webhook_reply *reply);

/* Does the answer depend on what the planner decides? Then a result may have a `decision`, a row of results_of_events(). */
bool webhook_answers_decision(const struct webhook *webhook);

/* The answer, by what was foreseen of each item: of several events the first that was refused speaks for all. When one can't be
 * read, the request is no success (422), so that its sender learns of it; sending all of it again changes nothing for the
 * others. */
void webhook_answer(struct webhook *webhook, const json_t *items, const json_t *results, struct webhook_reply *reply);

#endif
