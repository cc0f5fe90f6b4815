/* Figures of the state in PostgreSQL, as metrics. A thread and a connection of their own: a view over a hundred thousand open
 * offboardings takes its time, and what is due doesn't wait for it. Of several schedulers one tells; the others tell 0. */
#include <stdlib.h>
#include <string.h>

#include "lib/daemon.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/time.h"
#include "scheduler/scheduler.h"

enum column { FIGURE, FIRST_LABEL, SECOND_LABEL, THIRD_LABEL, VALUE };

static const struct {
    const char *figure; /* of state_figures() */
    const char *name;
    const char *labels;
    const char *help;
} table[] = {
    {"offboardings", "offboard_offboardings", "status", "Live offboardings that are not over, by status."},
    {"failed_jobs", "offboard_failed_jobs", "system effect outcome",
     "Jobs of live offboardings that a person must retry or skip."},
    {"stuck_jobs", "offboard_stuck_jobs", "system",
     "Jobs a quarter of an hour past their time without an answer, but for paused systems."},
    {"held_oldest", "offboard_held_oldest_timestamp_seconds", "",
     "When the HR event of the longest-held offboarding came; 0: none is held."},
    {"early_oldest", "offboard_early_answers_oldest_timestamp_seconds", "",
     "When the oldest answer of a worker was recorded whose offboarding is not; 0: there is none."},
    {"due_rows", "offboard_due_rows", "", "Rows due and not yet published, at most 10,000 counted."},
};

static const char *text_at(PGresult *rows, int row, enum column column)
{
    return PQgetisnull(rows, row, (int)column) ? NULL : PQgetvalue(rows, row, (int)column);
}

static struct series *series_at(PGresult *rows, int row)
{
    const char *figure = text_at(rows, row, FIGURE);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (strcmp(table[i].figure, figure) == 0) {
            struct metric *metric = metric_new(METRIC_GAUGE, table[i].name, table[i].labels, table[i].help);
            return metric_series(metric, text_at(rows, row, FIRST_LABEL), text_at(rows, row, SECOND_LABEL),
                                 text_at(rows, row, THIRD_LABEL), NULL);
        }
    }
    return NULL;
}

static bool among(struct series *series, PGresult *rows)
{
    for (int i = 0; rows && i < PQntuples(rows); i++) {
        if (series_at(rows, i) == series) {
            return true;
        }
    }
    return false;
}

/* Takes `rows` over (NULL: somebody else tells). What was told before and is no more is 0 now. */
static void tell(struct figures *figures, PGresult *rows)
{
    for (int i = 0; rows && i < PQntuples(rows); i++) {
        struct series *series = series_at(rows, i);
        if (series) {
            series_set(series, strtod(PQgetvalue(rows, i, VALUE), NULL));
        }
    }
    for (int i = 0; figures->told && i < PQntuples(figures->told); i++) {
        struct series *series = series_at(figures->told, i);
        if (series && !among(series, rows)) {
            series_set(series, 0);
        }
    }
    PQclear(figures->told);
    figures->told = rows;
}

/* NULL when another scheduler tells (no err) or it can't be told now. */
static PGresult *read_figures(struct figures *figures, struct err *err)
{
    if (!pg_connected(figures->pg)) {
        figures->leader = false;
        if (pg_connect(figures->pg, err) != 0 ||
            pg_run(figures->pg, err, "SET jit = off; SET statement_timeout = '20s'", 0, NULL) != 0) {
            return NULL;
        }
    }
    if (!figures->leader) { /* the lock belongs to the session */
        PGresult *row =
            pg_query(figures->pg, err, "SELECT pg_try_advisory_lock(hashtext('offboard figures'))", 0, NULL);
        figures->leader = row && strcmp(PQgetvalue(row, 0, 0), "t") == 0;
        PQclear(row);
    }
    return figures->leader ? pg_query(figures->pg, err, "SELECT * FROM state_figures()", 0, NULL) : NULL;
}

static void look(void *arg)
{
    struct figures *figures = arg;
    struct err err = ERR_INIT;
    PGresult *rows = read_figures(figures, &err);
    bool trouble = err.class != ERR_NONE;
    if (!trouble) { /* else nobody knows better than what was told last, and how old that is */
        tell(figures, rows);
        series_set(figures->read_at, rows ? (double)time_now() / (double)TIME_SECOND : 0);
    }
    if (trouble && !figures->trouble) {
        log_warning("could not read the figures for metrics", "error", err_text(&err), NULL);
    }
    figures->trouble = trouble;
    err_release(&err);
}

int figures_start(struct figures *figures, const struct conf *conf, struct err *err)
{
    figures->read_at = metric_series(metric_new(METRIC_GAUGE, "offboard_figures_last_read_timestamp_seconds", "",
                                                "When the figures of the state in PostgreSQL were read last: how old "
                                                "those are that are told. 0: another scheduler tells."),
                                     NULL);
    figures->pg = pg_new_primary(conf_string(conf, "postgres.scheduler"), "offboard-scheduler figures");
    pg_stop_with(figures->pg, &daemon_stopping);
    figures->every = every_start(conf_duration(conf, "scheduler.figures_every"), look, figures, "reads figures", err);
    return figures->every ? 0 : -1;
}

void figures_stop(struct figures *figures)
{
    every_stop(figures->every);
    figures->every = NULL;
    PQclear(figures->told);
    figures->told = NULL;
    pg_free(figures->pg);
    figures->pg = NULL;
}
