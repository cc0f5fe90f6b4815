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

void rest_begin(struct system *system, int64_t wait, int64_t grace)
{
    int64_t now = time_monotonic();
    system->rest_interrupt = sooner(system->resting ? system->rest_interrupt : 0, now + wait);
    system->rest_force = sooner(system->resting ? system->rest_force : 0, now + grace);
    system->resting = true;
    dispatch_drop_unstarted(system);
    tasks_interrupt(system, INTERRUPT_DRAIN, true); /* what waits for a vendor that is down need not wait here */
    system_look_again(system);
}

static void system_close(struct system *system)
{
    if (system->closing) {
        return;
    }
    system->closing = true;
    rd_kafka_queue_destroy(system->group_events);
    system->group_events = NULL;
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(system->consumer, system->commit_events);
    if (error) {
        log_warning("could not leave the group", "system", system->name, "error", rd_kafka_error_string(error), NULL);
        rd_kafka_error_destroy(error);
        system->closed = true;
    }
}

static bool finished(struct system *system)
{
    if (system->tasks) {
        return false;
    }
    if (!commit_clean(system)) {
        if (!system->committing && !system->commit_due) {
            commit_now(system);
        }
        return false;
    }
    return true;
}

static void drained(struct worker *worker)
{
    for (size_t i = 0; i < worker->system_count; i++) {
        if (!worker->systems[i]->closed) {
            return;
        }
    }
    void (*done)(void *arg) = worker->drained;
    worker->drained = NULL;
    if (done) {
        done(worker->drained_arg);
    }
}

static void check_closed(struct system *system)
{
    if (!system->closed && rd_kafka_consumer_closed(system->consumer)) {
        system->closed = true;
    }
    if (!system->closed && time_monotonic() >= system->worker->drain_force) {
        log_warning("could not leave the group in time", "system", system->name, NULL);
        system->closed = true;
    }
    if (system->closed) {
        drained(system->worker);
    }
}

void rest_step(struct system *system)
{
    if (system->closing) {
        check_closed(system);
        return;
    }
    if (!system->resting) {
        return;
    }
    int64_t now = time_monotonic();
    if (now >= system->rest_interrupt) {
        tasks_interrupt(system, INTERRUPT_DRAIN, false);
    }
    bool forced = now >= system->rest_force;
    bool nothing_held = system->revoking && !system->held && !system->worker->draining;
    if (!forced && !nothing_held && !finished(system)) {
        return;
    }
    if (forced && system->tasks) {
        log_warning("jobs left behind: they did not come to rest in time", "system", system->name, NULL);
    }
    if (system->revoking) {
        assignment_answer_revoke(system);
    }
    if (system->worker->draining) {
        system_close(system);
        check_closed(system);
    } else {
        system->resting = false;
        system_look_again(system);
    }
}

void worker_drain(struct worker *worker, void (*done)(void *arg), void *arg)
{
    if (worker->draining) {
        return;
    }
    int64_t grace = conf_duration(worker->conf, "worker.drain_grace");
    worker->draining = true;
    worker->drained = done;
    worker->drained_arg = arg;
    worker->drain_force = time_monotonic() + grace + CLOSE_S * TIME_SECOND;
    log_info("draining", NULL);
    for (size_t i = 0; i < worker->system_count; i++) {
        rest_begin(worker->systems[i], grace * 3 / 5, grace);
    }
}
