/* Orders: offboard.control is read to its end before the first job, then followed on the loop. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

enum { READ_TIMEOUT_S = 60, COUNT_TIMEOUT_S = 60, AGAIN_MS = 200 };

struct follower {
    struct worker *worker;
    char *topic;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    int64_t *next; /* of every partition: first offset not read */
    int32_t partitions;
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
    struct follower *follower = arg;
    apply(follower->worker, record);
    if (record->partition < follower->partitions) {
        follower->next[record->partition] = record->offset + 1;
    }
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

static rd_kafka_t *consumer_new(const struct conf *conf, struct err *err)
{
    char *group =
        mem_printf("%s.control-follower", conf_string(conf, "kafka.prefix")); /* demanded by assign(); never joined */
    rd_kafka_conf_t *settings = kafka_consumer_conf(conf, group, err);
    free(group);
    if (!settings) {
        return NULL;
    }
    char why[512];
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, settings, why, sizeof why);
    if (!consumer) {
        rd_kafka_conf_destroy(settings);
        err_set(err, ERR_FATAL, "could not set up a Kafka consumer: %s", why);
    } else {
        rd_kafka_poll_set_consumer(consumer);
    }
    return consumer;
}

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
}

static void assign(struct follower *follower)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(follower->partitions);
    for (int32_t p = 0; p < follower->partitions; p++) {
        int64_t next = follower->next[p];
        rd_kafka_topic_partition_list_add(list, follower->topic, p)->offset = next ? next : RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_assign(follower->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* Kafka may be starting too: what may succeed later is tried until READ_TIMEOUT_S have passed. What was read in vain is
 * applied again, which changes nothing. */
static int read_to_end(struct follower *follower, struct err *err)
{
    int64_t end = time_monotonic() + READ_TIMEOUT_S * TIME_SECOND;
    for (;;) {
        int64_t left = end - time_monotonic();
        if (kafka_read_to_end(follower->worker->conf, follower->topic, left, on_first, follower, err) == 0) {
            err_release(err);
            return 0;
        }
        if (err->class != ERR_RETRY || time_monotonic() + AGAIN_MS * 1000 >= end) {
            return -1;
        }
        uv_sleep(AGAIN_MS);
    }
}

struct follower *follow_start(struct worker *worker, struct err *err)
{
    rd_kafka_t *consumer = consumer_new(worker->conf, err);
    if (!consumer) {
        return NULL;
    }
    struct follower *follower = MEM_NEW(struct follower);
    follower->worker = worker;
    follower->wake_fd = -1;
    follower->consumer = consumer;
    follower->topic = kafka_topic(worker->conf, "control", NULL);
    follower->partitions = kafka_partition_count(consumer, follower->topic, COUNT_TIMEOUT_S * TIME_SECOND, err);
    if (follower->partitions > 0) {
        follower->next = mem_alloc((size_t)follower->partitions * sizeof *follower->next);
        if (read_to_end(follower, err) == 0) {
            listen_on(follower);
            assign(follower);
            return follower;
        }
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
    rd_kafka_consumer_close(follower->consumer);
    rd_kafka_destroy(follower->consumer);
    if (follower->wake_fd >= 0) {
        close(follower->wake_fd);
    }
    free(follower->topic);
    free(follower->next);
    free(follower);
}
