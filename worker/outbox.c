/* The outbox: what has to be on Kafka is produced again and again until it is there. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

enum {
    AGAIN_MS = 500,
    KEY_AGAIN_MS = 50,
    DEAD_EXCERPT = 64 * 1024, /* bytes kept of a dead letter that is too large with its new headers */
};

static void outgoing_free(struct outgoing *outgoing)
{
    if (outgoing->dead) {
        rd_kafka_message_destroy(outgoing->dead);
    }
    free(outgoing->topic);
    free(outgoing->key);
    free(outgoing->type);
    free(outgoing->id);
    free(outgoing->traceparent);
    free(outgoing->value);
    free(outgoing->seal);
    free(outgoing->reason);
    err_release(&outgoing->refused);
    free(outgoing);
}

static void keep(struct outgoing *outgoing, int64_t wait)
{
    outgoing->again = time_monotonic() + wait;
    outgoing->next = outgoing->worker->outbox;
    outgoing->worker->outbox = outgoing;
}

static void settle(struct outgoing *outgoing, const struct err *err)
{
    if (outgoing->settled) {
        outgoing->settled(outgoing->arg, err);
    }
    outgoing_free(outgoing);
}

/* A message that came as large as its topic allows may be too large with our headers: its beginning has to do. */
static bool shorten(struct outgoing *outgoing)
{
    if (!outgoing->dead || outgoing->dead->len <= DEAD_EXCERPT) {
        return false;
    }
    char *reason = mem_printf("%s (shortened from %zu bytes)", outgoing->reason, outgoing->dead->len);
    free(outgoing->reason);
    outgoing->reason = reason;
    outgoing->dead->len = DEAD_EXCERPT;
    return true;
}

static void on_delivered(void *arg, const struct err *err)
{
    struct outgoing *outgoing = arg;
    if (!err || (err->class == ERR_PERMANENT && !outgoing->stubborn && !shorten(outgoing))) {
        settle(outgoing, err);
        return;
    }
    if (!outgoing->worker->freeing) {
        log_warning("could not produce; trying again", "error", err_text(err), NULL);
    }
    keep(outgoing, AGAIN_MS * 1000);
}

/* Its offboarding was erased while its job ran: what came of the job concerns nobody any more. */
static void give_up(struct outgoing *outgoing)
{
    log_warning("an event is not sent: the key of its offboarding was erased", "offboarding_id", outgoing->seal,
                "event", outgoing->type, NULL);
    series_add(records_without_key(), 1);
    keep(outgoing, 0);
}

static int produce(struct outgoing *outgoing, struct err *err)
{
    struct worker *worker = outgoing->worker;
    if (outgoing->dead) {
        struct kafka_dead dead = {outgoing->dead, "worker", outgoing->reason, outgoing->dead_size};
        return kafka_produce_dead(worker->producer, worker->conf, &dead, on_delivered, outgoing, err);
    }
    struct message_headers headers;
    message_headers(&headers, "worker", outgoing->type, outgoing->id, outgoing->traceparent);
    const char *const structured[] = {"content-type", "application/cloudevents+json", "traceparent", headers.owned[3],
                                      NULL};
    struct kafka_record record = {.topic = outgoing->topic,
                                  .partition = RD_KAFKA_PARTITION_UA,
                                  .key = outgoing->key,
                                  .key_len = strlen(outgoing->key),
                                  .value = outgoing->value,
                                  .value_len = outgoing->value_len,
                                  .headers = outgoing->structured ? structured : headers.list,
                                  .seal = outgoing->seal,
                                  .doubt = &outgoing->doubt};
    int result = kafka_produce(worker->producer, &record, on_delivered, outgoing, err);
    outgoing->erased = result != 0 && kafka_key_erased(worker->producer, &record);
    message_headers_release(&headers);
    return result;
}

/* Never settles at once: callers may stand on a fiber, or in the middle of their own bookkeeping. */
void outbox_send(struct worker *worker, struct outgoing *outgoing)
{
    struct err err = ERR_INIT;
    outgoing->worker = worker;
    outgoing->next = NULL;
    if (produce(outgoing, &err) == 0) {
        return;
    }
    if (err.class == ERR_FATAL) {
        /* An idempotent producer that lost its order of records never works again: the successor starts anew, and
         * what we could not say is not committed. */
        log_error("could not produce; ending", "error", err_text(&err), NULL);
        _exit(1);
    }
    if (outgoing->erased) {
        give_up(outgoing);
        err_release(&err);
        return;
    }
    if (err.class == ERR_PERMANENT && !outgoing->stubborn) {
        if (!shorten(outgoing)) {
            outgoing->refused = err; /* told with the next step */
            err = (struct err)ERR_INIT;
        }
        keep(outgoing, 0);
        err_release(&err);
        return;
    }
    err_release(&err);
    keep(outgoing, outgoing->doubt ? KEY_AGAIN_MS * 1000 : AGAIN_MS * 1000);
}

void outbox_step(struct worker *worker)
{
    int64_t now = time_monotonic();
    struct outgoing *waiting = worker->outbox;
    worker->outbox = NULL;
    while (waiting) {
        struct outgoing *outgoing = waiting;
        waiting = outgoing->next;
        if (outgoing->again > now) {
            outgoing->next = worker->outbox;
            worker->outbox = outgoing;
        } else if (outgoing->erased) {
            settle(outgoing, NULL);
        } else if (outgoing->refused.class != ERR_NONE) {
            settle(outgoing, &outgoing->refused);
        } else {
            outbox_send(worker, outgoing);
        }
    }
}

void outbox_release(struct worker *worker)
{
    while (worker->outbox) {
        struct outgoing *outgoing = worker->outbox;
        worker->outbox = outgoing->next;
        outgoing_free(outgoing);
    }
}
