#include "scheduler/scheduler.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/daemon.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/time.h"

#define WAIT_FIRST (200 * (TIME_SECOND / 1000))
#define WAIT_MAX   (5 * TIME_SECOND)
#define LATE       (5 * TIME_SECOND) /* later than this is worth a log line */
#define LOOK_AGAIN (2 * TIME_SECOND) /* what is lost, or is not, will be known by then */

struct scheduler *scheduler_new(const struct conf *conf, struct err *err)
{
    if (!conf_string(conf, "postgres.scheduler")) {
        err_set(err, ERR_FATAL,
                "postgres.scheduler is not set: the connection string of a member of offboard_scheduler");
        return NULL;
    }
    struct scheduler *scheduler = MEM_NEW(struct scheduler);
    scheduler->conf = conf;
    scheduler->pg = pg_new_primary(conf_string(conf, "postgres.scheduler"), "offboard-scheduler");
    pg_stop_with(scheduler->pg, &daemon_stopping);
    scheduler->metrics = (struct scheduler_metrics){
        .published = metric_new(METRIC_COUNTER, "offboard_scheduler_published_total", "kind",
                                "Rows dealt with: job, phase, start (the planner is asked), ended, "
                                "approved and erase (it is told), stale (dropped); and lost, jobs and "
                                "phases that are published again."),
        .lateness = metric_series(
            metric_new(METRIC_HISTOGRAM, "offboard_scheduler_lateness_seconds", "", "Time from due to published."),
            NULL),
        .overdue = metric_series(metric_new(METRIC_GAUGE, "offboard_scheduler_overdue_seconds", "",
                                            "Age of the earliest row that is due and not yet published; while "
                                            "PostgreSQL is away, time since one may have been."),
                                 NULL),
        .gate_open = metric_series(metric_new(METRIC_GAUGE, "offboard_scheduler_gate_open", "",
                                              "0 until the logger has recorded what was in Kafka when the scheduler "
                                              "connected to PostgreSQL; then 1."),
                                   NULL)};
    if (publisher_init(&scheduler->publisher, conf, err) != 0 || figures_start(&scheduler->figures, conf, err) != 0 ||
        attendance_start(&scheduler->attendance, conf, err) != 0) {
        scheduler_free(scheduler);
        return NULL;
    }
    return scheduler;
}

void scheduler_free(struct scheduler *scheduler)
{
    if (!scheduler) {
        return;
    }
    figures_stop(&scheduler->figures);
    attendance_stop(&scheduler->attendance);
    publisher_release(&scheduler->publisher);
    suspects_release(&scheduler->suspects);
    pg_free(scheduler->pg);
    for (size_t i = 0; i < scheduler->end_count; i++) {
        free(scheduler->ends[i].topic);
    }
    free(scheduler->ends);
    free(scheduler);
}

static int connect_session(struct scheduler *scheduler, struct err *err)
{
    if (!pg_connected(scheduler->pg)) {
        scheduler->session_ready = false;
        scheduler->leader = false;
        scheduler_gate_close(scheduler); /* it may lead to a server that knows less: a standby, or a restored backup */
        if (pg_connect(scheduler->pg, err) != 0) {
            return -1;
        }
    }
    if (!scheduler->session_ready) {
        int result = pg_run(scheduler->pg, err,
                            "SET jit = off; SET statement_timeout = '60s'; SET timezone = 'UTC'; LISTEN due", 0, NULL);
        scheduler->session_ready = result == 0;
        return result;
    }
    return 0;
}

/* ---- sleeping ---------------------------------------------------------------------------------------------------- */

/* Waits for a notification, at most `wait`, in slices: a signal between the check and the poll must not cost `wait`. */
static void sleep_for(struct scheduler *scheduler, int64_t wait)
{
    int64_t end = time_monotonic() + wait;
    bool woken = false;
    while (!daemon_stopping && !woken && time_monotonic() < end) {
        int64_t left = end - time_monotonic();
        PGconn *conn = pg_conn(scheduler->pg);
        struct pollfd fd = {.fd = conn ? PQsocket(conn) : -1, .events = POLLIN};
        int ready = poll(&fd, 1, (int)((left < TIME_SECOND / 4 ? left : TIME_SECOND / 4) / 1000) + 1);
        if (ready > 0 && PQconsumeInput(conn) != 1) {
            return; /* the next statement says why */
        }
        PGnotify *notify;
        while (conn && (notify = PQnotifies(conn))) {
            PQfreemem(notify);
            woken = true;
        }
    }
}

/* Time until the earliest row of `due` is due (negative: it is), at most scheduler.poll. */
static int until_next(struct scheduler *scheduler, int64_t *wait, struct err *err)
{
    PGresult *row =
        pg_query(scheduler->pg, err,
                 "SELECT (extract(epoch FROM min(due_at) - clock_timestamp()) * 1000000)::bigint FROM due", 0, NULL);
    if (!row) {
        return -1;
    }
    int64_t poll_every = conf_duration(scheduler->conf, "scheduler.poll");
    int64_t next = PQgetisnull(row, 0, 0) ? poll_every : strtoll(PQgetvalue(row, 0, 0), NULL, 10);
    PQclear(row);
    scheduler->next_due = time_monotonic() + next;
    *wait = next < poll_every ? next : poll_every;
    return 0;
}

/* Known while PostgreSQL is away as well: what was due then becomes later and later. */
static void tell_overdue(struct scheduler *scheduler)
{
    int64_t late = scheduler->next_due ? time_monotonic() - scheduler->next_due : 0;
    series_set(scheduler->metrics.overdue, late > 0 ? (double)late / (double)TIME_SECOND : 0);
}

/* ---- lateness ---------------------------------------------------------------------------------------------------- */

static void say_late(const char *text, int64_t late, int64_t count)
{
    char *seconds = mem_printf("%.1f", (double)late / (double)TIME_SECOND);
    char *published = count ? mem_printf("%lld", (long long)count) : NULL;
    log_warning(text, "late_seconds", seconds, "published", published, NULL);
    free(seconds);
    free(published);
}

static void watch_lateness(struct scheduler *scheduler, int published, int64_t late)
{
    if (late > LATE && !scheduler->backlog_late) {
        say_late("behind, catching up in the order of the due times", late, 0);
    }
    if (late > LATE) {
        scheduler->backlog_late = late > scheduler->backlog_late ? late : scheduler->backlog_late;
        scheduler->backlog_count += published;
    } else if (scheduler->backlog_late) {
        say_late("caught up", scheduler->backlog_late, scheduler->backlog_count);
        scheduler->backlog_late = 0;
        scheduler->backlog_count = 0;
    }
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static int look_for_lost(struct scheduler *scheduler, struct err *err)
{
    if (time_monotonic() < scheduler->look_at) {
        return 0;
    }
    int told = 0;
    bool soon = false;
    if (scheduler_find_lost(scheduler, &told, &soon, err) != 0) {
        return -1;
    }
    int64_t every = conf_duration(scheduler->conf, "scheduler.republish_every");
    scheduler->look_at = time_monotonic() + (soon && every > LOOK_AGAIN ? LOOK_AGAIN : every);
    if (told > 0) {
        char *count = mem_printf("%d", told);
        log_warning("jobs were lost, or the word that a phase is due: they are published again", "count", count, NULL);
        free(count);
    }
    return 0;
}

/* One pass; `wait` gets how long there is nothing to do. */
static int step(struct scheduler *scheduler, int64_t *wait, struct err *err)
{
    bool open = false;
    if (connect_session(scheduler, err) != 0 || scheduler_gate_open(scheduler, &open, err) != 0) {
        return -1;
    }
    series_set(scheduler->metrics.gate_open, open ? 1 : 0);
    if (!open) {
        return err_set(err, ERR_RETRY, "the logger has not yet recorded what is in Kafka");
    }
    atomic_store(&scheduler->ready, true);
    int published = 0;
    int64_t late = 0;
    if (until_next(scheduler, wait, err) != 0 || scheduler_publish_due(scheduler, &published, &late, err) != 0) {
        return -1;
    }
    watch_lateness(scheduler, published, late);
    if (published == conf_int(scheduler->conf, "scheduler.batch_size")) {
        *wait = 0;
        return 0;
    }
    if (look_for_lost(scheduler, err) != 0 || scheduler_look_at_workers(scheduler, err) != 0 ||
        until_next(scheduler, wait, err) != 0) {
        return -1;
    }
    if (*wait <= 0 && published == 0) {
        *wait = conf_duration(scheduler->conf, "scheduler.poll"); /* another scheduler's rows, or a barred system's */
    }
    return 0;
}

int scheduler_run(struct scheduler *scheduler, struct err *err)
{
    char *said = NULL;
    int64_t backoff = WAIT_FIRST;
    int result = 0;
    while (!daemon_stopping && result == 0) {
        struct err why = ERR_INIT;
        int64_t wait = 0;
        bool good = step(scheduler, &wait, &why) == 0;
        tell_overdue(scheduler);
        if (good) {
            if (said) {
                log_info("going on", NULL);
                free(said);
                said = NULL;
            }
            backoff = WAIT_FIRST;
        } else if (why.class == ERR_FATAL) {
            result = err_set(err, ERR_FATAL, "%s", err_text(&why));
        } else {
            if (!said || strcmp(said, err_text(&why)) != 0) {
                log_warning("waiting", "error", err_text(&why), NULL);
                free(said);
                said = mem_strdup(err_text(&why));
            }
            atomic_store(&scheduler->ready, false);
            wait = backoff;
            backoff = backoff * 2 < WAIT_MAX ? backoff * 2 : WAIT_MAX;
        }
        err_release(&why);
        if (wait > 0 && result == 0) {
            sleep_for(scheduler, wait);
        }
    }
    free(said);
    return result;
}
