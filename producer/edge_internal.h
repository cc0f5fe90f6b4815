/* Between edge.c (start and stop), edge_route.c (who may ask what), edge_exchange.c (HTTP and Kafka), submit.c (HR events), webhook.c (what systems send themselves), signals.c, and orders.c,
 * reveals.c and replays.c (what operators ask for). */
#ifndef OFFBOARD_PRODUCER_EDGE_INTERNAL_H
#define OFFBOARD_PRODUCER_EDGE_INTERNAL_H

#include "lib/escrow.h"
#include "lib/http_server.h"
#include "lib/metrics.h"
#include "lib/request.h"
#include "lib/webhook.h"
#include "producer/producer.h"

/* Lines of the log about requests that were refused: not more than some in a while. */
struct refusal_log {
    int64_t window;          /* when it began, monotonic */
    int lines;               /* in it */
    unsigned long long more; /* not told of since the last line */
};

struct edge {
    int magic;
    const struct conf *conf;
    uv_loop_t *loop;
    uv_poll_t poll;
    struct http_server *server;         /* the API */
    struct http_server *process_server; /* metrics and health; NULL: none */
    struct kafka_producer *producer;
    struct kafka_health *health;
    struct planner *planner;
    struct definitions *definitions; /* the edge's own: expressions belong to one thread */
    char *intake;
    char *events;
    char *control;
    struct escrow_key *escrow; /* producer.escrow_private_key; NULL: not set */
    struct metric *requests;
    struct metric *turned_away;
    json_t *secrets; /* of sources: {<source>: {<setting>: [value, …]}} */
    struct metric *denied;
    struct refusal_log denials;      /* of callers with tokens of ours, or none */
    struct refusal_log turned_aways; /* of senders to sources */
    struct exchange *open;           /* requests whose records are on their way */
    struct keyset *keysets;          /* of senders that sign tokens */
    struct replay *replay;           /* the one that is under way; NULL: none */
    bool draining;                   /* no longer ready; what comes is taken, for a while */
    uv_timer_t drain_timer;
    void (*drained)(void *arg);
    void *drained_arg;
    bool closed; /* freed with the last of its requests */
};

/* A request that is answered when all of its records are in Kafka, or after EDGE_WAIT_MS. */
struct exchange {
    struct exchange *next;
    struct edge *edge;
    struct http_request *request; /* NULL once answered */
    json_t *answer;               /* when all has arrived; owned */
    int status;                   /* of it */
    json_t *unavailable;          /* when it has not, instead of a problem; owned, may be NULL */
    int unavailable_status;
    uv_timer_t timer;
    size_t pending; /* records without a delivery report */
    bool sealed;    /* all records were handed over */
    bool timer_closed;
    struct err failed; /* why a record did not arrive: the first reason */
};

struct exchange *exchange_new(struct edge *edge, struct http_request *request);
/* Hands one record over; a refusal counts as a failed delivery. */
void exchange_produce(struct exchange *exchange, const struct kafka_record *record);
/* The same, and calls `then` with `note` (taken over) when Kafka has the record, be the request answered by then or not:
 * what it hands over is awaited, too. */
void exchange_produce_then(struct exchange *exchange, const struct kafka_record *record,
                           void (*then)(struct exchange *exchange, json_t *note), json_t *note);
/* Hands one of our own events over (taken), keyed so; `traceparent` may be NULL. */
void exchange_produce_event(struct exchange *exchange, const char *key, json_t *event, const char *traceparent);
/* Answers after `ms` at the latest, instead of EDGE_WAIT_MS. */
void exchange_limit(struct exchange *exchange, unsigned int ms);
/* No more records: answers `status` with `answer` (taken over) when all have arrived. */
void exchange_seal(struct exchange *exchange, json_t *answer);

/* Answers 202 (as sealed) or another status with its trouble. */
void edge_exchange_answer(struct exchange *exchange, int status, const char *trouble);
void edge_free_when_done(struct edge *edge);

/* For the server: http_options.admit and .handle. */
bool edge_on_head(struct http_request *request, void *arg);
void edge_on_request(struct http_request *request, void *arg);

/* True when the caller's token has one of the roles (a NULL-ended list): request->caller is its name. Else the request is answered
 * (401, 403), logged and counted. */
bool edge_admit(struct edge *edge, struct http_request *request, const char *const *roles);
bool edge_may(const struct edge *edge, const char *token, const char *const *roles);
void edge_deny_role(struct edge *edge, struct http_request *request, const char *role); /* 403 for request->caller */
/* Logs a refusal with the client's address, but not every one of many. `source` or `token` may be NULL. */
void edge_log_refusal(struct refusal_log *log, const struct http_request *request, const char *source,
                      const char *token, const char *why);
void edge_refuse_method(struct edge *edge, struct http_request *request); /* 405 */

/* A problem made of an err, whose text names the field first: 400 for what can't be read, 422 for what can't be right.
 * Releases the err. */
void edge_refuse(struct edge *edge, struct http_request *request, int status, struct err *err);
/* The field that such a text names, NULL when it names none. The caller frees. */
char *edge_field(const char *text);
void edge_count(struct edge *edge, int status);
/* A request as lib/ knows one; `headers` is http_headers(). Borrows both. */
struct request edge_request(const struct http_request *http, const json_t *headers);

void submit_handle(struct edge *edge, struct http_request *request); /* POST /v1/offboardings */
/* Puts an event on intake, under the key `person`. */
void submit_produce(struct exchange *exchange, const json_t *event, const char *person, const char *traceparent);

#define SOURCES_PATH "/v1/sources/"
void webhook_handle(struct edge *edge, struct http_request *request); /* POST, GET and OPTIONS /v1/sources/<source> */
bool webhook_admit(struct edge *edge, struct http_request *request);
/* Does the head of a request hold what `source` asks for? Else it is answered. */
bool webhook_sender_plausible(struct edge *edge, struct http_request *request, const struct definition *source);
/* Answers when it is a sender that asks by OPTIONS whether it may send here, as web hooks do; else false. */
bool webhook_handshake(struct edge *edge, struct http_request *request);

/* keysets.c: the published keys of senders that sign tokens. */
typedef void keysets_resume(struct edge *edge, struct http_request *request);
const json_t *keysets_find(struct edge *edge, const char *url); /* borrowed; NULL: not known, or too old */
/* True when the keys are being fetched: `resume` is called with the request when they are there or not, or it is answered
 * (503). False when they are not fetched again so soon: `*away` says why nobody can tell whether the sender has a key that is not known
 * (the caller frees). NULL: it has none, because the keys were fetched for this request. */
bool keysets_wait(struct edge *edge, const char *url, struct http_request *request, keysets_resume *resume,
                  char **away);
void keysets_stop(struct edge *edge); /* before the server: requests that wait are its to answer */

/* Whether a request proves what the source asks for. Else it is answered (401, 404, 503), or waits for the sender's keys and is
 * handed to `resume` then. */
bool webhook_sender_known(struct edge *edge, struct http_request *http, struct webhook *webhook,
                          keysets_resume *resume);
/* The secrets of all sources, and whether those that are keys can be read (else -1 with an ERR_FATAL that names the option). */
json_t *webhook_secrets(struct definitions *definitions, const struct conf *conf);
int webhook_check_keys(struct definitions *definitions, const json_t *secrets, struct err *err);
void orders_handle(struct edge *edge, struct http_request *request);  /* POST /v1/orders */
void reveals_handle(struct edge *edge, struct http_request *request); /* POST /v1/reveals */
void replays_handle(struct edge *edge, struct http_request *request); /* POST /v1/replays */
void replays_stop(struct edge *edge); /* waits for the one that is reading, and answers it */

#define SIGNALS_PATH "/v1/signals/"
void signals_handle(struct edge *edge, struct http_request *request); /* POST /v1/signals/<source> */
bool signals_admit(struct edge *edge, struct http_request *request);

#endif
