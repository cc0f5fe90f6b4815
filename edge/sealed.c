/* Messages about an offboarding, which are sealed with its key. Mostly the key is known. Else the message waits until the keyring has read
 * the topic of keys to its present end: then the key is known, or the offboarding has none. */
#include <stdlib.h>
#include <string.h>

#include "edge/edge.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"

enum { LOOK_EVERY_MS = 20, NO_KEY_STATUS = 404 };

/* A message that was not handed over yet; everything is owned but the exchange. */
struct waiting {
    struct waiting *next;
    struct exchange *exchange;
    char *topic;
    int32_t partition;
    char *key;
    char *text;
    char *keyless; /* NULL: none */
    char *seal;    /* NULL: it goes in clear by now */
    int64_t doubt;
    struct message_headers headers;
    kafka_delivered *delivered;
    void *arg;
};

static struct waiting *waiting_new(struct exchange *exchange, const struct edge_message *message)
{
    struct waiting *waiting = MEM_NEW(struct waiting);
    waiting->exchange = exchange;
    waiting->topic = mem_strdup(message->topic);
    waiting->partition = message->partition;
    waiting->key = mem_strdup(message->key);
    waiting->text = json_text(message->value);
    waiting->keyless = message->keyless ? json_text(message->keyless) : NULL;
    waiting->seal = mem_strdup(message->seal);
    message_headers(&waiting->headers, exchange->edge->service->source, message->type, message->id,
                    message->traceparent);
    return waiting;
}

static void waiting_free(struct waiting *waiting)
{
    message_headers_release(&waiting->headers);
    free(waiting->topic);
    free(waiting->key);
    free(waiting->text);
    free(waiting->keyless);
    free(waiting->seal);
    free(waiting);
}

static struct kafka_record record_of(struct waiting *waiting)
{
    return (struct kafka_record){.topic = waiting->topic,
                                 .partition = waiting->partition,
                                 .key = waiting->key,
                                 .key_len = strlen(waiting->key),
                                 .value = waiting->text,
                                 .value_len = strlen(waiting->text),
                                 .headers = waiting->headers.list,
                                 .seal = waiting->seal,
                                 .doubt = &waiting->doubt};
}

/* The record goes without what only its key may show. */
static void do_without_key(struct waiting *waiting)
{
    free(waiting->text);
    free(waiting->seal);
    waiting->text = waiting->keyless;
    waiting->keyless = waiting->seal = NULL;
}

/* It fails: as who waits for its delivery has to be told, in the same way. */
static void fail(struct waiting *waiting, const struct err *err, bool erased)
{
    struct exchange *exchange = waiting->exchange;
    if (erased && exchange->failed.class == ERR_NONE) {
        exchange->failed_status = NO_KEY_STATUS;
        err_set(&exchange->failed, ERR_PERMANENT, "there is no offboarding %s here, or it was erased", waiting->seal);
    }
    waiting->delivered(waiting->arg, err);
    waiting_free(waiting);
}

/* False: it waits on. */
static bool try(struct waiting *waiting)
{
    struct kafka_producer *producer = waiting->exchange->edge->producer;
    struct err err = ERR_INIT;
    struct kafka_record record = record_of(waiting);
    int result = kafka_produce(producer, &record, waiting->delivered, waiting->arg, &err);
    bool erased = result != 0 && err.class == ERR_PERMANENT && kafka_key_erased(producer, &record);
    bool waits = result != 0 && err.class == ERR_RETRY && waiting->seal && waiting->doubt;
    if (erased && waiting->keyless) {
        err_release(&err);
        do_without_key(waiting);
        return try(waiting);
    }
    if (result == 0) {
        waiting_free(waiting);
    } else if (!waits) {
        fail(waiting, &err, erased);
    }
    err_release(&err);
    return !waits;
}

static void keep(struct waiting *waiting);

static void on_look(uv_timer_t *timer)
{
    struct edge *edge = timer->data;
    struct waiting *list = edge->waiting;
    edge->waiting = NULL;
    while (list) {
        struct waiting *waiting = list;
        list = waiting->next;
        if (!try(waiting)) {
            keep(waiting);
        }
    }
}

static void keep(struct waiting *waiting)
{
    struct edge *edge = waiting->exchange->edge;
    waiting->next = edge->waiting;
    edge->waiting = waiting;
    uv_timer_start(&edge->waiting_timer, on_look, LOOK_EVERY_MS, 0);
}

void sealed_produce(struct exchange *exchange, const struct edge_message *message, kafka_delivered *delivered,
                    void *arg)
{
    struct waiting *waiting = waiting_new(exchange, message);
    waiting->delivered = delivered;
    waiting->arg = arg;
    exchange->pending++;
    if (!try(waiting)) {
        keep(waiting);
    }
}

void sealed_give_up(struct edge *edge)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_RETRY, "the edge is stopping; send the same id again");
    struct waiting *list = edge->waiting;
    edge->waiting = NULL;
    while (list) {
        struct waiting *waiting = list;
        list = waiting->next;
        fail(waiting, &err, false);
    }
    err_release(&err);
}
