/* Coming to rest: before partitions go, and before the process ends. Unstarted jobs are dropped uncommitted; running
 * ones get a while, then the engine defers what is left; what is finished is committed; then the group is answered. */
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

enum {
    CLOSE_S = 3, /* beyond the grace: for leaving the group */
};

static int64_t sooner(int64_t a, int64_t b)
{
    return a && a < b ? a : b;
}

void rest_begin(struct feed *feed, int64_t wait, int64_t grace)
{
    int64_t now = time_monotonic();
    feed->rest_interrupt = sooner(feed->resting ? feed->rest_interrupt : 0, now + wait);
    feed->rest_force = sooner(feed->resting ? feed->rest_force : 0, now + grace);
    feed->resting = true;
    dispatch_drop_unstarted(feed);
    feed_look_again(feed);
}

static void feed_close(struct feed *feed)
{
    if (feed->closing) {
        return;
    }
    feed->closing = true;
    rd_kafka_queue_destroy(feed->group_events);
    feed->group_events = NULL;
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(feed->consumer, feed->commit_events);
    if (error) {
        log_warning("could not leave the group", "system", feed->name, "error", rd_kafka_error_string(error), NULL);
        rd_kafka_error_destroy(error);
        feed->closed = true;
    }
}

static bool finished(struct feed *feed)
{
    if (feed->tasks || polls_running(feed) || watch_running(feed)) {
        return false;
    }
    if (!commit_clean(feed)) {
        if (!feed->committing && !feed->commit_due) {
            commit_now(feed);
        }
        return false;
    }
    return true;
}

static void drained(struct worker *worker)
{
    for (size_t i = 0; i < worker->feed_count; i++) {
        if (!worker->feeds[i]->closed) {
            return;
        }
    }
    void (*done)(void *arg) = worker->drained;
    worker->drained = NULL;
    if (done) {
        done(worker->drained_arg);
    }
}

static void check_closed(struct feed *feed)
{
    if (!feed->closed && rd_kafka_consumer_closed(feed->consumer)) {
        feed->closed = true;
    }
    if (!feed->closed && time_monotonic() >= feed->worker->drain_force) {
        log_warning("could not leave the group in time", "system", feed->name, NULL);
        feed->closed = true;
    }
    if (feed->closed) {
        drained(feed->worker);
    }
}

void rest_step(struct feed *feed)
{
    if (feed->closing) {
        check_closed(feed);
        return;
    }
    if (!feed->resting) {
        return;
    }
    int64_t now = time_monotonic();
    tasks_interrupt(feed, INTERRUPT_DRAIN,
                    now < feed->rest_interrupt); /* what waits for a vendor that is down: at once */
    bool forced = now >= feed->rest_force;
    bool nothing_held = feed->revoking && !feed->held && !feed->worker->draining;
    if (!forced && !nothing_held && !finished(feed)) {
        return;
    }
    if (forced && feed->tasks) {
        log_warning("jobs left behind: they did not come to rest in time", "system", feed->name, NULL);
    }
    if (feed->revoking) {
        assignment_answer_revoke(feed);
    }
    if (feed->worker->draining) {
        feed_close(feed);
        check_closed(feed);
    } else {
        feed->resting = false;
        feed_look_again(feed);
    }
}

void worker_drain(struct worker *worker, void (*done)(void *arg), void *arg)
{
    if (worker->draining) {
        return;
    }
    int64_t grace = conf_duration(worker->conf, "worker.drain_grace");
    worker->draining = true;
    worker->leaving = 1;
    worker->drained = done;
    worker->drained_arg = arg;
    worker->drain_force = time_monotonic() + grace + CLOSE_S * TIME_SECOND;
    log_info("draining", NULL);
    for (size_t i = 0; i < worker->feed_count; i++) {
        rest_begin(worker->feeds[i], grace * 3 / 5, grace);
    }
}
