/* Credentials are looked after before a leaver needs them: every worker.check_every the `check` of a system's connector is made.
 * Of all replicas only the one that holds partition 0 of the system's jobs does so. A refusal is told in metrics and log; nothing
 * is paused for it, as no job was refused yet. */
#include <stdlib.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

enum { AGAIN_S = 60 /* after an attempt that told nothing, when `every` is longer */, ELSEWHERE = -1 };

struct watch {
    int64_t every; /* microseconds; 0: never */
    int64_t due;   /* monotonic */
    bool running;
    bool refused; /* as the last attempt said */
    struct job job;
    struct series *ok;
};

static void say(const struct feed *feed, enum credential credential, const struct err *err)
{
    const struct watch *watch = feed->watch;
    if (credential == CREDENTIAL_REFUSED && !watch->refused) {
        log_error("the system refuses our credentials", "system", feed->name, "error", err_text(err), NULL);
    } else if (credential == CREDENTIAL_TAKEN && watch->refused) {
        log_info("the system takes our credentials again", "system", feed->name, NULL);
    }
}

static void run(void *arg)
{
    struct feed *feed = arg;
    struct watch *watch = feed->watch;
    struct err err = ERR_INIT;
    watch->job = (struct job){.owner = watch};
    enum credential credential = engine_credential(feed->worker->engine, feed->name, &watch->job, &err);
    int64_t wait = watch->every;
    if (credential == CREDENTIAL_UNKNOWN) {
        wait = wait < AGAIN_S * TIME_SECOND ? wait : AGAIN_S * TIME_SECOND;
    } else {
        say(feed, credential, &err);
        watch->refused = credential == CREDENTIAL_REFUSED;
        series_set(watch->ok, watch->refused ? 0 : 1);
    }
    watch->due = time_monotonic() + wait;
    err_release(&err);
    watch->running = false;
    feed_look_again(feed); /* who comes to rest waits for it */
}

void watch_step(struct feed *feed)
{
    struct watch *watch = feed->watch;
    if (!watch) {
        return;
    }
    if (!feed_leads(feed)) {
        watch->due = 0;
        series_set(watch->ok, ELSEWHERE);
        if (watch->running && watch->job.interruption != INTERRUPT_DRAIN) {
            engine_interrupt(&watch->job, INTERRUPT_DRAIN);
        }
        return;
    }
    if (!watch->running && time_monotonic() >= watch->due && engine_available(feed->worker->engine, feed->name)) {
        watch->running = true;
        fiber_start(run, feed);
    }
}

bool watch_running(const struct feed *feed)
{
    return feed->watch && feed->watch->running;
}

void watch_start(struct feed *feed)
{
    const struct worker *worker = feed->worker;
    int64_t expires = engine_expires(worker->engine, feed->name);
    if (expires) {
        series_set(metric_series(metric_new(METRIC_GAUGE, "offboard_credential_expiry_timestamp_seconds", "system",
                                            "When the system's credential ends, as its configuration says."),
                                 feed->name, NULL),
                   (double)(expires / TIME_SECOND));
    }
    int64_t every = conf_duration(worker->conf, "worker.check_every");
    if (every == 0 || !engine_has_check(worker->engine, feed->name)) {
        return;
    }
    feed->watch = MEM_NEW(struct watch);
    feed->watch->every = every;
    feed->watch->ok = metric_series(
        metric_new(METRIC_GAUGE, "offboard_credential_ok", "system",
                   "1 when the system's check was taken, 0 when it was refused, -1 when another process makes it."),
        feed->name, NULL);
    series_set(feed->watch->ok, ELSEWHERE);
}

void watch_free(struct feed *feed)
{
    free(feed->watch);
    feed->watch = NULL;
}
