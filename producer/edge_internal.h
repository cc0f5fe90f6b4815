/* The producer's API: api.c (what there is), submit.c (HR events), webhook.c and keysets.c (what systems send themselves), signals.c, and
 * orders.c and replays.c (what operators ask for). */
#ifndef OFFBOARD_PRODUCER_EDGE_INTERNAL_H
#define OFFBOARD_PRODUCER_EDGE_INTERNAL_H

#include "edge/edge.h"
#include "lib/dead.h"
#include "lib/webhook.h"
#include "producer/producer.h"

void submit_handle(struct edge *edge, struct http_request *request); /* POST /v1/offboardings */
/* Puts an event on the topic `received`, under the key `person`. */
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
void orders_handle(struct edge *edge, struct http_request *request); /* POST /v1/orders */
/* Answers with the ids when Kafka has the orders; or with what became of them, when the caller wants to wait for it. `answer` is taken over. */
void order_answer(struct exchange *exchange, json_t *answer);
#define ORDER_PATH "/v1/orders/"
void order_handle(struct edge *edge, struct http_request *request);   /* GET /v1/orders/<id>: what became of it */
void replays_handle(struct edge *edge, struct http_request *request); /* POST /v1/replays */
/* replay_origin.c: for each of the letters, whether its topic does not hold it where it says. The caller frees; NULL with
 * an err when Kafka does not answer. */
bool *replay_forged(const struct conf *conf, const struct dead_letters *letters, struct err *err);
bool replay_is_ours(const struct conf *conf, const char *topic); /* may letters name it? */
void replays_stop(struct edge *edge);                            /* waits for the one that is reading, and answers it */

#define SIGNALS_PATH "/v1/signals/"
void signals_handle(struct edge *edge, struct http_request *request); /* POST /v1/signals/<source> */
bool signals_admit(struct edge *edge, struct http_request *request);

#endif
