/* The worker as a whole: its producer, its systems, the tick, its end. */
#include <stdlib.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

enum {
    TICK_MS = 200, /* clocks, deadlines, what failed and is tried again; keeps max.poll.interval.ms too */
    PRODUCER_FREE_S = 5,
};

/* ---- waking up --------------------------------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    outbox_step(worker);
    for (size_t i = 0; i < worker->feed_count; i++) {
        struct feed *feed = worker->feeds[i];
        if (!feed->closed) {
            assignment_step(feed);
            tasks_check_clocks(feed);
            polls_step(feed);
            watch_step(feed);
            feed_go_on(feed);
        }
        series_set(feed->circuit_open, engine_available(worker->engine, feed->name) ? 0 : 1);
        series_set(feed->paused, control_paused(worker->control, feed->name) || feed->refused ? 1 : 0);
        measure_lag(feed);
        tell_step(feed);
    }
}

static void on_reports(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct worker *worker = poll->data;
    uint64_t count;
    (void)!read(kafka_producer_fd(worker->producer), &count, sizeof count);
    kafka_producer_poll(worker->producer);
}

/* ---- the worker -------------------------------------------------------------------------------------------------- */

static int producer_start(struct worker *worker, struct err *err)
{
    worker->producer = kafka_producer_new(worker->conf, err);
    if (!worker->producer) {
        return -1;
    }
    char *dead = kafka_topic(worker->conf, "dead", NULL);
    int opened = kafka_producer_open(worker->producer, dead, err);
    free(dead);
    worker->keyring = opened == 0 ? keyring_start(worker->conf, NULL, err) : NULL;
    if (!worker->keyring) {
        return -1;
    }
    kafka_producer_seal_with(worker->producer, worker->keyring);
    worker->health = kafka_health_start(worker->producer, err);
    if (!worker->health) {
        return -1;
    }
    uv_poll_init(worker->loop, &worker->producer_poll, kafka_producer_fd(worker->producer));
    worker->producer_poll.data = worker;
    worker->open_handles++;
    uv_poll_start(&worker->producer_poll, UV_READABLE, on_reports);
    return 0;
}

static void warn_of_lack(const struct engine *engine, const char *system)
{
    char *lack = engine_lacks(engine, system);
    if (lack) {
        log_warning("some actions can't run", "system", system, "why", lack, NULL);
    }
    free(lack);
}

static int worker_start(struct worker *worker, const char *const *systems, struct err *err)
{
    worker->engine = engine_new(worker->loop, worker->conf, worker->definitions, systems, err);
    if (!worker->engine || producer_start(worker, err) != 0) {
        return -1;
    }
    worker->follower = follow_start(worker, err);
    if (!worker->follower) {
        return -1;
    }
    for (const char *const *name = systems; *name; name++) {
        worker->feeds = mem_realloc(worker->feeds, (worker->feed_count + 1) * sizeof *worker->feeds);
        warn_of_lack(worker->engine, *name);
        struct feed *feed = feed_new(worker, *name);
        worker->feeds[worker->feed_count++] = feed;
        if (feed_start(feed, err) != 0) {
            return -1;
        }
    }
    return 0;
}

struct worker *worker_new(uv_loop_t *loop, const struct conf *conf, struct definitions *definitions,
                          const char *const *systems, struct err *err)
{
    struct worker *worker = MEM_NEW(struct worker);
    worker->magic = WORKER_MAGIC;
    worker->loop = loop;
    worker->conf = conf;
    worker->definitions = definitions;
    worker->control = control_new();
    worker->job_time = conf_duration(conf, "worker.job_time");
    measure_worker(worker);
    uv_timer_init(loop, &worker->tick);
    worker->tick.data = worker;
    worker->open_handles++;
    if (worker_start(worker, systems, err) != 0) {
        worker_free(worker);
        return NULL;
    }
    uv_timer_start(&worker->tick, on_tick, TICK_MS, TICK_MS);
    return worker;
}

bool worker_ready(struct worker *worker, char **why)
{
    for (size_t i = 0; i < worker->feed_count; i++) {
        const struct feed *feed = worker->feeds[i];
        if (!feed->assigned_once || feed->assignment != ASSIGNMENT_HELD) {
            *why = mem_printf("%s: no partitions assigned yet", feed->name);
            return false;
        }
        for (size_t p = 0; p < feed->held; p++) {
            if (!partition_restored(feed->partitions[p])) {
                *why = mem_printf("%s: still reading back what ran before", feed->name);
                return false;
            }
        }
    }
    return keyring_ready(worker->keyring, why) && kafka_answers(worker->health, why);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void on_worker_handle_closed(uv_handle_t *handle)
{
    struct worker *worker = handle->data;
    worker->open_handles--;
}

static void close_handles(struct worker *worker)
{
    uv_close((uv_handle_t *)&worker->tick, on_worker_handle_closed);
    if (worker->producer_poll.data) {
        uv_close((uv_handle_t *)&worker->producer_poll, on_worker_handle_closed);
    }
    follow_stop(worker);
    for (size_t i = 0; i < worker->feed_count; i++) {
        feed_close_handles(worker->feeds[i]);
    }
    while (worker->open_handles) {
        uv_run(worker->loop, UV_RUN_ONCE);
    }
}

static bool fibers_alive(const struct worker *worker)
{
    for (size_t i = 0; i < worker->feed_count; i++) {
        const struct feed *feed = worker->feeds[i];
        if (feed->running[NORMAL] || feed->running[URGENT] || polls_running(feed) || watch_running(feed)) {
            return true;
        }
    }
    return false;
}

void worker_free(struct worker *worker)
{
    if (!worker) {
        return;
    }
    if (fibers_alive(worker)) {
        return; /* jobs that would not come to rest stand on what would be freed; the process ends anyway */
    }
    worker->freeing = true;
    close_handles(worker);
    kafka_health_stop(worker->health);
    kafka_producer_free(worker->producer, PRODUCER_FREE_S * TIME_SECOND);
    keyring_stop(worker->keyring);
    outbox_release(worker);
    for (size_t i = 0; i < worker->feed_count; i++) {
        feed_free(worker->feeds[i]);
    }
    follow_free(worker);
    engine_free(worker->engine);
    control_free(worker->control);
    free(worker->feeds);
    free(worker);
}
