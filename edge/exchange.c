/* Requests whose records are on their way to Kafka: each is answered when all of them are there, or when that takes too long. */
#include "edge/edge.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/message.h"

enum { EDGE_WAIT_MS = 10000 };

static void unlink_exchange(struct exchange *exchange)
{
    struct exchange **at = &exchange->edge->open;
    while (*at && *at != exchange) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = exchange->next;
    }
}

static void release_when_done(struct exchange *exchange)
{
    if (!exchange->request && exchange->pending == 0 && exchange->timer_closed) {
        struct edge *edge = exchange->edge;
        unlink_exchange(exchange);
        json_decref(exchange->answer);
        json_decref(exchange->unavailable);
        json_decref(exchange->note);
        err_release(&exchange->failed);
        free(exchange);
        edge_free_when_done(edge);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct exchange *exchange = handle->data;
    exchange->timer_closed = true;
    release_when_done(exchange);
}

void edge_exchange_answer(struct exchange *exchange, int status, const char *trouble)
{
    struct http_request *request = exchange->request;
    exchange->request = NULL;
    if (status == 202) {
        edge_count(exchange->edge, exchange->status);
        if (exchange->problem) {
            http_reply_problem(request, exchange->status, json_incref(exchange->answer));
        } else {
            http_reply(request, exchange->status, NULL, json_incref(exchange->answer));
        }
    } else if (exchange->unavailable) {
        edge_count(exchange->edge, exchange->unavailable_status);
        http_reply(request, exchange->unavailable_status, NULL, json_incref(exchange->unavailable));
    } else {
        edge_count(exchange->edge, status);
        http_problem(request, status, http_reason(status), NULL, trouble);
    }
    uv_close((uv_handle_t *)&exchange->timer, on_timer_closed);
}

static void on_timeout(uv_timer_t *timer)
{
    struct exchange *exchange = timer->data;
    if (exchange->request && exchange->settling) {
        edge_exchange_answer(exchange, 202, NULL);
    } else if (exchange->request) {
        edge_exchange_answer(exchange, 503, "Kafka did not acknowledge in time; sending the same id again is safe");
    }
}

static void answer_when_delivered(struct exchange *exchange)
{
    if (exchange->request && exchange->sealed && exchange->pending == 0 && !exchange->settling) {
        enum err_class class = exchange->failed.class;
        if (class == ERR_NONE && exchange->settle) {
            uint64_t passed = uv_now(exchange->edge->loop) - exchange->begun;
            exchange->settling = true;
            exchange->settle_ms = passed < exchange->settle_ms ? exchange->settle_ms - (unsigned int)passed : 1;
            uv_timer_start(&exchange->timer, on_timeout, exchange->settle_ms, 0);
            exchange->settle(exchange);
            return;
        }
        edge_exchange_answer(exchange,
                             class == ERR_NONE         ? 202
                             : exchange->failed_status ? exchange->failed_status
                             : class == ERR_PERMANENT  ? 413
                                                       : 503,
                             err_text(&exchange->failed));
    }
}

/* The first reason stays. A producer that has met a fatal error takes nothing more: the process ends and is started
 * anew. */
static void note_failure(struct exchange *exchange, const struct err *err)
{
    if (err->class == ERR_FATAL) {
        log_error("the edge can't go on", "error", err_text(err), NULL);
        exit(1);
    }
    if (exchange->failed.class == ERR_NONE) {
        err_set(&exchange->failed, err->class, "%s", err_text(err));
    }
}

static void on_delivered(void *arg, const struct err *err)
{
    struct exchange *exchange = arg;
    exchange->pending--;
    if (err) {
        note_failure(exchange, err);
    }
    answer_when_delivered(exchange);
    release_when_done(exchange);
}

/* A record after whose delivery there is something to do. */
struct sequel {
    struct exchange *exchange;
    void (*then)(struct exchange *exchange, json_t *note);
    json_t *note;
};

static void on_first_delivered(void *arg, const struct err *err)
{
    struct sequel *sequel = arg;
    if (!err) {
        sequel->then(sequel->exchange, sequel->note); /* while this one is pending still: the exchange stays */
    }
    on_delivered(sequel->exchange, err);
    json_decref(sequel->note);
    free(sequel);
}

struct exchange *exchange_new(struct edge *edge, struct http_request *request)
{
    struct exchange *exchange = MEM_NEW(struct exchange);
    exchange->edge = edge;
    exchange->request = request;
    exchange->status = 202;
    exchange->begun = uv_now(edge->loop);
    exchange->next = edge->open;
    edge->open = exchange;
    uv_timer_init(edge->loop, &exchange->timer);
    exchange->timer.data = exchange;
    uv_timer_start(&exchange->timer, on_timeout, EDGE_WAIT_MS, 0);
    return exchange;
}

void exchange_settle(struct exchange *exchange, void (*settle)(struct exchange *exchange), json_t *note,
                     unsigned int ms)
{
    exchange->settle = settle;
    exchange->note = note;
    exchange->settle_ms = ms;
}

void exchange_hold(struct exchange *exchange)
{
    exchange->pending++;
}

void exchange_settled(struct exchange *exchange)
{
    if (exchange->request) {
        edge_exchange_answer(exchange, 202, NULL);
    }
    exchange->pending--;
    release_when_done(exchange);
}

void exchange_limit(struct exchange *exchange, unsigned int ms)
{
    uv_timer_start(&exchange->timer, on_timeout, ms, 0);
}

static bool hand_over(struct exchange *exchange, const struct kafka_record *record, kafka_delivered *delivered,
                      void *arg)
{
    struct err err = ERR_INIT;
    exchange->pending++;
    if (kafka_produce(exchange->edge->producer, record, delivered, arg, &err) == 0) {
        return true;
    }
    exchange->pending--;
    note_failure(exchange, &err);
    err_release(&err);
    return false;
}

void exchange_produce(struct exchange *exchange, const struct kafka_record *record)
{
    hand_over(exchange, record, on_delivered, exchange);
}

void exchange_produce_then(struct exchange *exchange, const struct kafka_record *record,
                           void (*then)(struct exchange *exchange, json_t *note), json_t *note)
{
    struct sequel *sequel = MEM_NEW(struct sequel);
    *sequel = (struct sequel){exchange, then, note};
    if (!hand_over(exchange, record, on_first_delivered, sequel)) {
        json_decref(note);
        free(sequel);
    }
}

/* A message in clear. */
static void produce_clear(struct exchange *exchange, const struct edge_message *message,
                          void (*then)(struct exchange *exchange, json_t *note), json_t *note)
{
    char *text = message->value ? json_text(message->value) : NULL;
    struct message_headers headers;
    message_headers(&headers, exchange->edge->service->source, message->type, message->id, message->traceparent);
    message_headers_add(&headers, MESSAGE_ORDER, message->order);
    struct kafka_record record = {.topic = message->topic,
                                  .partition = message->partition,
                                  .key = message->key,
                                  .key_len = strlen(message->key),
                                  .value = text,
                                  .value_len = text ? strlen(text) : 0,
                                  .headers = headers.list};
    if (then) {
        exchange_produce_then(exchange, &record, then, note);
    } else {
        exchange_produce(exchange, &record);
    }
    message_headers_release(&headers);
    free(text);
}

void exchange_produce_message(struct exchange *exchange, const struct edge_message *message,
                              void (*then)(struct exchange *exchange, json_t *note), json_t *note)
{
    if (!message->seal) {
        produce_clear(exchange, message, then, note);
        return;
    }
    if (!then) {
        sealed_produce(exchange, message, on_delivered, exchange);
        return;
    }
    struct sequel *sequel = MEM_NEW(struct sequel);
    *sequel = (struct sequel){exchange, then, note};
    sealed_produce(exchange, message, on_first_delivered, sequel);
}

void exchange_produce_event(struct exchange *exchange, const char *key, json_t *event, const json_t *keyless,
                            const char *traceparent)
{
    exchange_produce_message(exchange,
                             &(struct edge_message){.topic = exchange->edge->orders,
                                                    .partition = RD_KAFKA_PARTITION_UA,
                                                    .key = key,
                                                    .value = event,
                                                    .type = json_string_at(event, "name"),
                                                    .id = json_string_at(event, "id"),
                                                    .traceparent = traceparent,
                                                    .seal = json_string_at(event, "context.offboarding_id"),
                                                    .keyless = keyless},
                             NULL, NULL);
    json_decref(event);
}

void exchange_seal(struct exchange *exchange, json_t *body)
{
    exchange->answer = body;
    exchange->sealed = true;
    answer_when_delivered(exchange);
}
