/* A system as a worker has it: its consumer with the two topics, its wake-ups, its beginning and end. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/mem.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

enum { TOPIC_TIMEOUT_S = 60 }; /* for the topics to be there at start */

/* ---- waking up --------------------------------------------------------------------------------------------------- */

void system_go_on(struct system *system)
{
    if (system->closed) {
        return;
    }
    dispatch(system);
    rest_step(system);
}

/* librdkafka tells when a queue is no longer empty, and not again until it was empty: whoever stops reading before
 * has to look again by himself. */
static void on_wake(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct system *system = poll->data;
    uint64_t count;
    (void)!read(system->wake_fd, &count, sizeof count);
    system_go_on(system);
}

static void on_again(uv_async_t *async)
{
    struct system *system = async->data;
    system->again_sent = false;
    system_go_on(system);
}

void system_look_again(struct system *system)
{
    if (!system->again_sent && !system->worker->freeing) {
        system->again_sent = true;
        uv_async_send(&system->again);
    }
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

static void register_metrics(struct system *system)
{
    struct {
        struct series **series;
        enum metric_type type;
        const char *name;
        const char *help;
    } metrics[] = {
        {&system->jobs_running, METRIC_GAUGE, "offboard_jobs_running", "Jobs that run now."},
        {&system->job_duration, METRIC_HISTOGRAM, "offboard_job_duration_seconds",
         "From a job's start to its outcome."},
        {&system->circuit_open, METRIC_GAUGE, "offboard_circuit_open", "1 while the system is taken to be down."},
        {&system->paused, METRIC_GAUGE, "offboard_system_paused", "1 while an order keeps jobs from starting."},
        {&system->repeats, METRIC_COUNTER, "offboard_job_repeats_total", "Jobs published twice and run once."},
        {&system->partitions_held, METRIC_GAUGE, "offboard_partitions_held", "Partition numbers this process holds."},
    };
    for (size_t i = 0; i < COUNT_OF(metrics); i++) {
        struct metric *metric = metric_new(metrics[i].type, metrics[i].name, "system", metrics[i].help);
        *metrics[i].series = metric_series(metric, system->name, NULL);
    }
}

static rd_kafka_t *consumer_new(const struct system *system, struct err *err)
{
    const struct conf *conf = system->worker->conf;
    char *group = mem_printf("%s.%s", conf_string(conf, "kafka.prefix"), system->name);
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
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, settings, why, sizeof why);
    if (!consumer) {
        rd_kafka_conf_destroy(settings);
        err_set(err, ERR_FATAL, "could not set up a Kafka consumer: %s", why);
    }
    return consumer;
}

static int check_topics(struct system *system, struct err *err)
{
    int32_t counts[STREAMS];
    for (int kind = 0; kind < STREAMS; kind++) {
        counts[kind] =
            kafka_partition_count(system->consumer, system->topics[kind], TOPIC_TIMEOUT_S * TIME_SECOND, err);
        if (counts[kind] < 0) {
            return -1;
        }
    }
    if (counts[NORMAL] != counts[URGENT]) {
        return err_set(err, ERR_FATAL,
                       "%s has %d partitions and %s has %d: they must be equal, or two workers serve one offboarding",
                       system->topics[NORMAL], counts[NORMAL], system->topics[URGENT], counts[URGENT]);
    }
    system->partition_count = counts[NORMAL];
    return 0;
}

static void attach(struct system *system)
{
    static const uint64_t one = 1;
    uv_loop_t *loop = system->worker->loop;
    system->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uv_poll_init(loop, &system->wake, system->wake_fd);
    uv_async_init(loop, &system->again, on_again);
    system->wake.data = system;
    system->again.data = system;
    system->worker->open_handles += 2;
    uv_poll_start(&system->wake, UV_READABLE, on_wake);
    commit_start(system);
    rd_kafka_poll_set_consumer(system->consumer);
    system->group_events = rd_kafka_queue_get_consumer(system->consumer);
    system->commit_events = rd_kafka_queue_new(system->consumer);
    rd_kafka_queue_io_event_enable(system->group_events, system->wake_fd, &one, sizeof one);
    rd_kafka_queue_io_event_enable(system->commit_events, system->wake_fd, &one, sizeof one);
}

static int subscribe(struct system *system, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(STREAMS);
    for (int kind = 0; kind < STREAMS; kind++) {
        rd_kafka_topic_partition_list_add(list, system->topics[kind], RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t code = rd_kafka_subscribe(system->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? err_set(err, ERR_FATAL, "could not subscribe: %s", rd_kafka_err2str(code)) : 0;
}

static void set_slots(struct system *system)
{
    int64_t in_flight = conf_int(system->worker->conf, "worker.in_flight");
    int64_t urgent = conf_int(system->worker->conf, "worker.urgent_slots");
    system->in_flight = in_flight > 0 ? (size_t)in_flight : 1;
    system->reserved = urgent > 0 ? (size_t)urgent : 0;
    if (system->reserved >= system->in_flight) {
        system->reserved = system->in_flight - 1; /* normal jobs must go on too */
    }
}

struct system *system_new(struct worker *worker, const char *name)
{
    struct system *system = MEM_NEW(struct system);
    system->magic = SYSTEM_MAGIC;
    system->worker = worker;
    system->name = mem_strdup(name);
    system->topics[NORMAL] = kafka_topic(worker->conf, "jobs", name);
    system->topics[URGENT] = kafka_topic(worker->conf, "urgent", name);
    system->wake_fd = -1;
    system->lanes = lanes_new();
    set_slots(system);
    register_metrics(system);
    return system;
}

int system_start(struct system *system, struct err *err)
{
    system->consumer = consumer_new(system, err);
    if (!system->consumer || check_topics(system, err) != 0) {
        return err_prefix(err, "%s", system->name);
    }
    attach(system);
    return subscribe(system, err);
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

static void on_system_handle_closed(uv_handle_t *handle)
{
    struct system *system = handle->data;
    system->worker->open_handles--;
}

void system_close_handles(struct system *system)
{
    if (system->wake.data) {
        uv_close((uv_handle_t *)&system->wake, on_system_handle_closed);
        uv_close((uv_handle_t *)&system->again, on_system_handle_closed);
        uv_close((uv_handle_t *)&system->commit_timer, on_system_handle_closed);
    }
}

void system_free(struct system *system)
{
    size_t held = system->held;
    system->held = 0;
    for (size_t i = 0; i < held; i++) {
        partition_let_go(system->partitions[i]);
    }
    while (system->tasks) {
        task_drop(system->tasks);
    }
    if (system->group_events) {
        rd_kafka_queue_destroy(system->group_events);
    }
    if (system->commit_events) {
        rd_kafka_queue_destroy(system->commit_events);
    }
    if (system->consumer) {
        bool left = rd_kafka_consumer_closed(system->consumer);
        rd_kafka_destroy_flags(system->consumer, left ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    if (system->wake_fd >= 0) {
        close(system->wake_fd);
    }
    if (system->assigning) {
        rd_kafka_topic_partition_list_destroy(system->assigning);
    }
    lanes_free(system->lanes);
    free(system->partitions);
    free(system->topics[NORMAL]);
    free(system->topics[URGENT]);
    free(system->name);
    free(system);
}
