/* HTTP in, Kafka out, an answer when Kafka has it: what the producer's edge and the vault have in common. edge.c starts and stops, route.c
 * says who may ask what, exchange.c has the requests whose records are on their way, serve.c takes signals. */
#ifndef OFFBOARD_EDGE_EDGE_H
#define OFFBOARD_EDGE_EDGE_H

#include "lib/conf.h"
#include "lib/definition.h"
#include "lib/escrow.h"
#include "lib/http_server.h"
#include "lib/kafka.h"
#include "lib/keyring.h"
#include "lib/metrics.h"
#include "lib/request.h"

struct planner;
struct results;

/* Lines of the log about requests that were refused: not more than some in a while. */
struct refusal_log {
    int64_t window;          /* when it began, monotonic */
    int lines;               /* in it */
    unsigned long long more; /* not told of since the last line */
};

struct edge;

struct edge_route {
    const char *path; /* one that ends in "/" is that of all paths below it */
    bool (*admit)(struct edge *, struct http_request *);
    void (*handle)(struct edge *, struct http_request *);
    const char *method;                                  /* NULL: the two look at it */
    bool (*first)(struct edge *, struct http_request *); /* true: it has answered; NULL: none */
};

/* What a program serves. */
struct edge_service {
    const char *source;                              /* of its events */
    const char *listen;                              /* option: the API's address */
    const char *process_listen;                      /* option: that of metrics and health */
    const struct edge_route *routes;                 /* ended by one without a path */
    const char *paths;                               /* for people who ask for another */
    int (*read)(struct edge *edge, struct err *err); /* its definitions and keys */
    int (*open)(struct edge *edge, struct err *err); /* its topics; NULL: only `orders` */
    bool (*ready)(struct edge *edge, char **why);    /* NULL: always */
    void (*stop)(struct edge *edge);                 /* before the server; NULL: nothing */
    void (*release)(struct edge *edge);              /* what it has read and opened */
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
    struct keyring *keyring; /* borrowed */
    struct waiting *waiting; /* messages that wait for the key of their offboarding (edge/sealed.c) */
    uv_timer_t waiting_timer;
    const struct edge_service *service;
    char *orders; /* the topic of what the API itself says: orders, signals, replays, reveals */
    struct metric *requests;
    struct metric *denied;
    struct refusal_log denials; /* of callers with tokens of ours, or none */
    struct exchange *open;      /* requests whose records are on their way */

    /* The producer's. */
    struct planner *planner;
    struct definitions *definitions; /* the edge's own: expressions belong to one thread */
    char *received;                  /* the topic of HR events */
    char *control;
    json_t *secrets; /* of sources: {<source>: {<setting>: [value, …]}} */
    struct metric *turned_away;
    struct refusal_log turned_aways; /* of senders to sources */
    struct keyset *keysets;          /* of senders that sign tokens */
    struct replay *replay;           /* the one that is under way; NULL: none */
    struct results *results;         /* what became of orders and HR events; NULL: nobody can ask */

    struct escrow_key *escrow; /* the vault's */

    bool draining; /* no longer ready; what comes is taken, for a while */
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
    bool problem;                 /* it is an RFC 9457 problem */
    json_t *unavailable;          /* when it has not, instead of a problem; owned, may be NULL */
    int unavailable_status;
    uv_timer_t timer;
    size_t pending; /* records without a delivery report */
    bool sealed;    /* all records were handed over */
    bool timer_closed;
    void (*settle)(struct exchange *exchange); /* see exchange_settle() */
    unsigned int settle_ms;                    /* since it has begun; while it settles, what is left */
    uint64_t begun;                            /* uv_now() */
    bool settling;
    json_t *note;      /* for `settle`; owned, may be NULL */
    struct err failed; /* why a record did not arrive: the first reason */
    int failed_status; /* of the answer then; 0: by the class of the reason */
};

struct exchange *exchange_new(struct edge *edge, struct http_request *request);
/* Hands one record over; a refusal counts as a failed delivery. */
void exchange_produce(struct exchange *exchange, const struct kafka_record *record);
/* The same, and calls `then` with `note` (taken over) when Kafka has the record, be the request answered by then or not:
 * what it hands over is awaited, too. */
void exchange_produce_then(struct exchange *exchange, const struct kafka_record *record,
                           void (*then)(struct exchange *exchange, json_t *note), json_t *note);
/* A message of ours, with our headers; all borrowed. */
struct edge_message {
    const char *topic;
    int32_t partition; /* RD_KAFKA_PARTITION_UA: by the key */
    const char *key;
    const json_t *value; /* NULL: a tombstone */
    const char *type;
    const char *id;
    const char *traceparent; /* may be NULL */
    const char *order;       /* header MESSAGE_ORDER; NULL: none */
    const char *seal;        /* the offboarding under whose key it is sealed; NULL: it goes in clear */
    const json_t
        *keyless; /* what goes in clear instead when the offboarding has no key; NULL: the request fails (404) */
};
/* Hands it over; `then` and `note` as above, or both NULL. */
void exchange_produce_message(struct exchange *exchange, const struct edge_message *message,
                              void (*then)(struct exchange *exchange, json_t *note), json_t *note);
/* Hands one of our own events over (taken), keyed so, and sealed when it is about an offboarding; `traceparent` may be NULL. `keyless` as
 * above, borrowed. */
void exchange_produce_event(struct exchange *exchange, const char *key, json_t *event, const json_t *keyless,
                            const char *traceparent);
/* When all has arrived, `settle` is called once instead of the answer: it finds out more, and answers, within `ms` of the request. After that the request is
 * answered as if there were nothing more to say. `note` (taken over) is kept for it. */
void exchange_settle(struct exchange *exchange, void (*settle)(struct exchange *exchange), json_t *note,
                     unsigned int ms);
/* Answers after `ms` at the latest, instead of EDGE_WAIT_MS. */
void exchange_limit(struct exchange *exchange, unsigned int ms);
/* No more records: answers `status` with `answer` (taken over) when all have arrived. */
void exchange_seal(struct exchange *exchange, json_t *answer);

/* ---- sealed.c: messages about an offboarding --------------------------------------------------------------------- */

/* Hands the message over as soon as its key is known; `delivered` as of kafka_produce(). It counts as pending from now on. */
void sealed_produce(struct exchange *exchange, const struct edge_message *message, kafka_delivered *delivered,
                    void *arg);
void sealed_give_up(struct edge *edge); /* what waits fails */

/* Answers 202 (as sealed) or another status with its trouble. */
void edge_exchange_answer(struct exchange *exchange, int status, const char *trouble);
/* Of who settles an exchange: it stays until exchange_settled(), which answers it, unless it was answered meanwhile. */
void exchange_hold(struct exchange *exchange);
void exchange_settled(struct exchange *exchange);
void edge_free_when_done(struct edge *edge);

/* Starts an edge; `planner` is the producer's (NULL: none). `keyring` outlives it. */
struct edge *edge_start(const struct conf *conf, uv_loop_t *loop, const struct edge_service *service,
                        struct planner *planner, struct keyring *keyring, struct err *err);
int edge_check(const struct conf *conf, const struct edge_service *service, struct err *err); /* --check-config */
/* Serves until a signal ends it in good order (edge/serve.c). */
void edge_serve(struct edge *edge);
/* No longer ready: takes requests for edge.drain_wait, then closes its port, answers what is open, within edge.drain_grace, and calls
 * `drained`. */
void edge_drain(struct edge *edge, void (*drained)(void *arg), void *arg);
void edge_stop(struct edge *edge); /* answers what is open, flushes, frees; NULL is accepted */

bool edge_admit_anybody(struct edge *edge, struct http_request *request); /* who has any token of ours */
void edge_version(struct edge *edge, struct http_request *request);       /* GET /v1/version */

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

#endif
