#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/time.h"
#include "scheduler/scheduler.h"

enum { KIND, LATE_US = 8 };

/* Lateness is PostgreSQL's: its clock says what is due. */
static const char take_sql[] =
    "SELECT m.*, (extract(epoch FROM clock_timestamp() - m.due_at) * 1000000)::bigint AS late_us"
    " FROM due_messages($1, $2) m";

static PGresult *take(struct scheduler *scheduler, struct err *err)
{
    char *most = mem_printf("%lld", (long long)conf_int(scheduler->conf, "scheduler.batch_size"));
    char *barred = publisher_barred(&scheduler->publisher);
    const char *const values[] = {most, barred};
    PGresult *rows = pg_query(scheduler->pg, err, take_sql, 2, values);
    free(most);
    free(barred);
    return rows;
}

static int64_t count(struct scheduler *scheduler, PGresult *rows)
{
    int64_t latest = 0;
    for (int i = 0; i < PQntuples(rows); i++) {
        const char *kind = PQgetvalue(rows, i, KIND);
        int64_t late = strtoll(PQgetvalue(rows, i, LATE_US), NULL, 10);
        series_add(metric_series(scheduler->metrics.published, kind, NULL), 1);
        if (strcmp(kind, "stale") != 0) {
            series_observe(scheduler->metrics.lateness, (double)late / (double)TIME_SECOND);
            latest = late > latest ? late : latest;
        }
    }
    return latest;
}

int scheduler_publish_due(struct scheduler *scheduler, int *published, int64_t *late_us, struct err *err)
{
    if (pg_run(scheduler->pg, err, "BEGIN", 0, NULL) != 0) {
        return -1;
    }
    PGresult *rows = take(scheduler, err);
    int result = rows ? publisher_publish(&scheduler->publisher, rows, err) : -1;
    if (result == 0) {
        result = pg_run(scheduler->pg, err, "COMMIT", 0, NULL);
    } else if (pg_connected(scheduler->pg)) {
        pg_run(scheduler->pg, NULL, "ROLLBACK", 0, NULL);
    }
    if (result == 0) {
        *published = PQntuples(rows);
        *late_us = count(scheduler, rows);
    }
    PQclear(rows);
    return result;
}
