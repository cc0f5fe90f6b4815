/* Between edge.c (HTTP and Kafka), submit.c (HR events) and orders.c (operators' orders). */
#ifndef OFFBOARD_PRODUCER_EDGE_INTERNAL_H
#define OFFBOARD_PRODUCER_EDGE_INTERNAL_H

#include "lib/escrow.h"
#include "lib/http_server.h"
#include "lib/metrics.h"
#include "producer/producer.h"

struct edge {
    int magic;
    const struct conf *conf;
    uv_loop_t *loop;
    uv_poll_t poll;
    struct http_server *server;
    struct kafka_producer *producer;
    struct planner *planner;
    struct definitions *definitions; /* the edge's own: expressions belong to one thread */
    char *intake;
    char *events;
    char *control;
    struct escrow_key *escrow; /* producer.escrow_private_key; NULL: not set */
    struct metric *requests;
    struct exchange *open; /* requests whose records are on their way */
};

/* A request that is answered when all of its records are in Kafka, or after EDGE_WAIT_MS. */
struct exchange {
    struct exchange *next;
    struct edge *edge;
    struct http_request *request; /* NULL once answered */
    json_t *answer;               /* of `status`; owned */
    int status;                   /* when all has arrived: 202, unless set to another */
    uv_timer_t timer;
    size_t pending; /* records without a delivery report */
    bool sealed;    /* all records were handed over */
    bool timer_closed;
    struct err failed; /* why a record did not arrive: the first reason */
};

struct exchange *exchange_new(struct edge *edge, struct http_request *request);
/* Hands one record over; a refusal counts as a failed delivery. */
void exchange_produce(struct exchange *exchange, const struct kafka_record *record);
/* No more records: answers 202 (or exchange->status) with `answer` (taken over) when all have arrived. */
void exchange_seal(struct exchange *exchange, json_t *answer);

/* The name of the caller's token when it has the role; else the request is answered (401, 403) and NULL returned.
 * The name is the caller's to free. */
char *edge_authorize(struct edge *edge, struct http_request *request, const char *role);

/* A problem made of an err, whose text names the field first: 400 for what can't be read, 422 for what can't be right.
 * Releases the err. */
void edge_refuse(struct edge *edge, struct http_request *request, int status, struct err *err);
/* The field that such a text names, NULL when it names none. The caller frees. */
char *edge_field(const char *text);
void edge_count(struct edge *edge, int status);

void submit_handle(struct edge *edge, struct http_request *request);  /* POST /v1/offboardings */
void orders_handle(struct edge *edge, struct http_request *request);  /* POST /v1/orders */
void reveals_handle(struct edge *edge, struct http_request *request); /* POST /v1/reveals */

#define SIGNALS_PATH "/v1/signals/"
void signals_handle(struct edge *edge, struct http_request *request); /* POST /v1/signals/<source> */

#endif
