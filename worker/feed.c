/* A system as a worker has it: its consumer with the two topics, its wake-ups, its beginning and end. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

enum { TOPIC_TIMEOUT_S = 60 }; /* for the topics to be there at start */

/* ---- waking up --------------------------------------------------------------------------------------------------- */

void feed_go_on(struct feed *feed)
{
    if (feed->closed) {
        return;
    }
    dispatch(feed);
    rest_step(feed);
}

/* librdkafka tells when a queue is no longer empty, and not again until it was empty: whoever stops reading before
 * has to look again by himself. */
static void on_wake(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct feed *feed = poll->data;
    uint64_t count;
    (void)!read(feed->wake_fd, &count, sizeof count);
    feed_go_on(feed);
}

static void on_again(uv_async_t *async)
{
    struct feed *feed = async->data;
    feed->again_sent = false;
    feed_go_on(feed);
}

void feed_look_again(struct feed *feed)
{
    if (!feed->again_sent && !feed->worker->freeing) {
        feed->again_sent = true;
        uv_async_send(&feed->again);
    }
}

/* Another worker may have our partitions already: nothing that runs here can be committed, so the process ends at once, as it
 * would in a crash, and its successors do what it leaves. */
void feed_end(const struct feed *feed, const char *why)
{
    struct err fatal = ERR_INIT;
    bool sound = kafka_consumer_sound(feed->consumer, &fatal) == 0;
    log_error("could not go on; ending", "system", feed->name, "error", sound ? why : err_text(&fatal), NULL);
    _exit(1);
}

bool feed_leads(const struct feed *feed)
{
    if (feed->worker->draining || feed->resting || feed->assignment != ASSIGNMENT_HELD) {
        return false;
    }
    for (size_t i = 0; i < feed->held; i++) {
        if (feed->partitions[i]->number == 0) {
            return partition_restored(feed->partitions[i]);
        }
    }
    return false;
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

static rd_kafka_t *consumer_new(const struct feed *feed, struct err *err)
{
    const struct conf *conf = feed->worker->conf;
    char *group = mem_printf("%s.%s", conf_string(conf, "kafka.prefix"), feed->name);
    rd_kafka_conf_t *settings = kafka_consumer_conf(conf, group, err);
    free(group);
    if (!settings) {
        return NULL;
    }
    char why[512];
    /* The end of a partition tells that everything before the committed offset was read back. */
    rd_kafka_conf_set(settings, "enable.partition.eof", "true", why, sizeof why);
    /* Of each partition; librdkafka's 64 MB times two topics, times twelve partitions, is too much to hold of a backlog.
     * A partition at its limit is asked again after a second: still some thousand jobs a second. */
    rd_kafka_conf_set(settings, "queued.max.messages.kbytes", "8192", why, sizeof why);
    rd_kafka_conf_set_events(settings, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR);
    return kafka_consumer_new(settings, err);
}

static int check_topics(struct feed *feed, struct err *err)
{
    int32_t counts[STREAMS];
    for (int kind = 0; kind < STREAMS; kind++) {
        counts[kind] = kafka_partition_count(feed->consumer, feed->topics[kind], TOPIC_TIMEOUT_S * TIME_SECOND, err);
        if (counts[kind] < 0) {
            return -1;
        }
    }
    if (counts[NORMAL] != counts[URGENT]) {
        return err_set(err, ERR_FATAL,
                       "%s has %d partitions and %s has %d: they must be equal, or two workers serve one offboarding",
                       feed->topics[NORMAL], counts[NORMAL], feed->topics[URGENT], counts[URGENT]);
    }
    feed->partition_count = counts[NORMAL];
    return kafka_partition_count(feed->consumer, feed->results, TOPIC_TIMEOUT_S * TIME_SECOND, err) < 0
               ? -1
               : kafka_producer_open(feed->worker->producer, feed->results, err);
}

static void attach(struct feed *feed)
{
    static const uint64_t one = 1;
    uv_loop_t *loop = feed->worker->loop;
    feed->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uv_poll_init(loop, &feed->wake, feed->wake_fd);
    uv_async_init(loop, &feed->again, on_again);
    feed->wake.data = feed;
    feed->again.data = feed;
    feed->worker->open_handles += 2;
    uv_poll_start(&feed->wake, UV_READABLE, on_wake);
    commit_start(feed);
    rd_kafka_poll_set_consumer(feed->consumer);
    feed->group_events = rd_kafka_queue_get_consumer(feed->consumer);
    feed->commit_events = rd_kafka_queue_new(feed->consumer);
    rd_kafka_queue_io_event_enable(feed->group_events, feed->wake_fd, &one, sizeof one);
    rd_kafka_queue_io_event_enable(feed->commit_events, feed->wake_fd, &one, sizeof one);
}

static int subscribe(struct feed *feed, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(STREAMS);
    for (int kind = 0; kind < STREAMS; kind++) {
        rd_kafka_topic_partition_list_add(list, feed->topics[kind], RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t code = rd_kafka_subscribe(feed->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? err_set(err, ERR_FATAL, "could not subscribe: %s", rd_kafka_err2str(code)) : 0;
}

static void set_slots(struct feed *feed)
{
    int64_t in_flight = conf_int(feed->worker->conf, "worker.in_flight");
    int64_t urgent = conf_int(feed->worker->conf, "worker.urgent_slots");
    feed->in_flight = in_flight > 0 ? (size_t)in_flight : 1;
    feed->reserved = urgent > 0 ? (size_t)urgent : 0;
    if (feed->reserved >= feed->in_flight) {
        feed->reserved = feed->in_flight - 1; /* normal jobs must go on too */
    }
}

struct feed *feed_new(struct worker *worker, const char *name)
{
    struct feed *feed = MEM_NEW(struct feed);
    feed->magic = FEED_MAGIC;
    feed->worker = worker;
    feed->name = mem_strdup(name);
    feed->topics[NORMAL] = kafka_topic(worker->conf, "jobs", name);
    feed->topics[URGENT] = kafka_topic(worker->conf, "urgent", name);
    feed->results = kafka_topic(worker->conf, "results", name);
    feed->wake_fd = -1;
    feed->lanes = lanes_new();
    set_slots(feed);
    measure_feed(feed);
    return feed;
}

int feed_start(struct feed *feed, struct err *err)
{
    feed->consumer = consumer_new(feed, err);
    if (!feed->consumer || check_topics(feed, err) != 0) {
        return err_prefix(err, "%s", feed->name);
    }
    attach(feed);
    watch_start(feed);
    return polls_start(feed, err) == 0 ? subscribe(feed, err) : -1;
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

static void on_handle_closed(uv_handle_t *handle)
{
    struct feed *feed = handle->data;
    feed->worker->open_handles--;
}

void feed_close_handles(struct feed *feed)
{
    if (feed->wake.data) {
        uv_close((uv_handle_t *)&feed->wake, on_handle_closed);
        uv_close((uv_handle_t *)&feed->again, on_handle_closed);
        uv_close((uv_handle_t *)&feed->commit_timer, on_handle_closed);
    }
}

void feed_free(struct feed *feed)
{
    size_t held = feed->held;
    feed->held = 0;
    for (size_t i = 0; i < held; i++) {
        partition_let_go(feed->partitions[i]);
    }
    while (feed->tasks) {
        task_drop(feed->tasks);
    }
    if (feed->group_events) {
        rd_kafka_queue_destroy(feed->group_events);
    }
    if (feed->commit_events) {
        rd_kafka_queue_destroy(feed->commit_events);
    }
    if (feed->consumer) {
        bool left = rd_kafka_consumer_closed(feed->consumer);
        rd_kafka_destroy_flags(feed->consumer, left ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    if (feed->wake_fd >= 0) {
        close(feed->wake_fd);
    }
    if (feed->assigning) {
        rd_kafka_topic_partition_list_destroy(feed->assigning);
    }
    polls_free(feed);
    watch_free(feed);
    answered_free(feed->answered);
    lanes_free(feed->lanes);
    free(feed->partitions);
    free(feed->topics[NORMAL]);
    free(feed->topics[URGENT]);
    free(feed->results);
    free(feed->name);
    free(feed);
}
