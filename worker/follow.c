/* Orders: offboard.control is read to its end before the first job, then followed on the loop. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

enum { READ_TIMEOUT_S = 120, AGAIN_MS = 200 };

struct follower {
    struct worker *worker;
    char *topic;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    int wake_fd;
    uv_poll_t wake;
};

/* ---- records ----------------------------------------------------------------------------------------------------- */

static void apply(struct worker *worker, const rd_kafka_message_t *record)
{
    struct err err = ERR_INIT;
    if (control_apply(worker->control, record, &err) != 0) {
        char *offset = mem_printf("%lld", (long long)record->offset);
        log_warning("order skipped: it can't be understood", "topic", rd_kafka_topic_name(record->rkt), "offset",
                    offset, "error", err_text(&err), NULL);
        free(offset);
    }
    err_release(&err);
}

static void on_first(const rd_kafka_message_t *record, void *arg)
{
    apply(arg, record);
}

/* Pauses begin or end, running jobs may be cancelled ones now. */
static void on_changed(struct worker *worker)
{
    for (size_t i = 0; i < worker->feed_count; i++) {
        struct feed *feed = worker->feeds[i];
        if (control_paused(worker->control, feed->name)) {
            feed->refused = false; /* our order has come round; from now on it holds, until somebody resumes */
        }
        tasks_interrupt_cancelled(feed);
        feed_look_again(feed);
    }
}

static void on_wake(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct follower *follower = poll->data;
    uint64_t count;
    (void)!read(follower->wake_fd, &count, sizeof count);
    bool changed = false;
    rd_kafka_message_t *record;
    while ((record = rd_kafka_consumer_poll(follower->consumer, 0))) {
        if (!record->err) {
            apply(follower->worker, record);
            changed = true;
        }
        rd_kafka_message_destroy(record);
    }
    if (changed) {
        on_changed(follower->worker);
    }
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

static void listen_on(struct follower *follower)
{
    static const uint64_t one = 1;
    follower->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uv_poll_init(follower->worker->loop, &follower->wake, follower->wake_fd);
    follower->wake.data = follower;
    follower->worker->open_handles++;
    uv_poll_start(&follower->wake, UV_READABLE, on_wake);
    follower->queue = rd_kafka_queue_get_consumer(follower->consumer);
    rd_kafka_queue_io_event_enable(follower->queue, follower->wake_fd, &one, sizeof one);
    (void)!write(follower->wake_fd, &one, sizeof one); /* what came before nobody tells of: look once */
}

/* Kafka may be starting too: what may succeed later is tried until READ_TIMEOUT_S have passed. What was read in vain is
 * applied again, which changes nothing. */
static rd_kafka_t *read_to_end(struct follower *follower, struct err *err)
{
    int64_t end = time_monotonic() + READ_TIMEOUT_S * TIME_SECOND;
    for (;;) {
        int64_t left = end - time_monotonic();
        rd_kafka_t *consumer =
            kafka_follow(follower->worker->conf, follower->topic, left, on_first, follower->worker, err);
        if (consumer) {
            err_release(err);
            return consumer;
        }
        if (err->class != ERR_RETRY || time_monotonic() + AGAIN_MS * 1000 >= end) {
            return NULL;
        }
        uv_sleep(AGAIN_MS);
    }
}

struct follower *follow_start(struct worker *worker, struct err *err)
{
    struct follower *follower = MEM_NEW(struct follower);
    follower->worker = worker;
    follower->wake_fd = -1;
    follower->topic = kafka_topic(worker->conf, "control", NULL);
    log_info("reading orders before the first job", "topic", follower->topic, NULL);
    follower->consumer = read_to_end(follower, err);
    if (follower->consumer) {
        listen_on(follower);
        return follower;
    }
    worker->follower = follower;
    follow_free(worker);
    return NULL;
}

static void on_closed(uv_handle_t *handle)
{
    struct follower *follower = handle->data;
    follower->worker->open_handles--;
}

void follow_stop(struct worker *worker)
{
    if (worker->follower) {
        uv_close((uv_handle_t *)&worker->follower->wake, on_closed);
    }
}

void follow_free(struct worker *worker)
{
    struct follower *follower = worker->follower;
    worker->follower = NULL;
    if (!follower) {
        return;
    }
    if (follower->queue) {
        rd_kafka_queue_io_event_enable(follower->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(follower->queue);
    }
    if (follower->consumer) {
        rd_kafka_consumer_close(follower->consumer);
        rd_kafka_destroy(follower->consumer);
    }
    if (follower->wake_fd >= 0) {
        close(follower->wake_fd);
    }
    free(follower->topic);
    free(follower);
}
