/* Jobs nobody answered for: published again, with the same id and attempt, so that whoever has it done skips it. */
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/time.h"
#include "scheduler/scheduler.h"

/* The lock belongs to the session: who has it keeps it until the connection ends. */
static int become_leader(struct scheduler *scheduler, struct err *err)
{
    if (scheduler->leader) {
        return 0;
    }
    PGresult *row =
        pg_query(scheduler->pg, err, "SELECT pg_try_advisory_lock(hashtext('offboard republish'))", 0, NULL);
    if (!row) {
        return -1;
    }
    scheduler->leader = strcmp(PQgetvalue(row, 0, 0), "t") == 0;
    PQclear(row);
    return 0;
}

static int open_cursor(struct scheduler *scheduler, struct err *err)
{
    char *older =
        mem_printf("%lld microseconds", (long long)conf_duration(scheduler->conf, "scheduler.republish_after"));
    const char *const values[] = {older};
    int result = pg_run(scheduler->pg, err,
                        "DECLARE unanswered NO SCROLL CURSOR FOR SELECT * FROM unanswered_messages($1)", 1, values);
    free(older);
    return result;
}

/* The next rows, published; `rows` gets how many there were. */
static int publish_next(struct scheduler *scheduler, int *rows, struct err *err)
{
    char *fetch =
        mem_printf("FETCH %lld FROM unanswered", (long long)conf_int(scheduler->conf, "scheduler.batch_size"));
    PGresult *messages = pg_query(scheduler->pg, err, fetch, 0, NULL);
    free(fetch);
    int result = messages ? publisher_publish(&scheduler->publisher, messages, rows, err) : -1;
    PQclear(messages);
    return result;
}

int scheduler_republish(struct scheduler *scheduler, int *published, struct err *err)
{
    if (become_leader(scheduler, err) != 0) {
        return -1;
    }
    int total = 0;
    int result = 0;
    if (scheduler->leader) {
        result = pg_run(scheduler->pg, err, "BEGIN", 0, NULL) == 0 ? open_cursor(scheduler, err) : -1;
        int rows = 1;
        while (result == 0 && rows > 0) {
            result = publish_next(scheduler, &rows, err);
            total += result == 0 ? rows : 0;
        }
        if (pg_connected(scheduler->pg)) {
            pg_run(scheduler->pg, NULL, "ROLLBACK", 0, NULL); /* it only read */
        }
    }
    series_add(metric_series(scheduler->metrics.published, "again", NULL), total);
    if (result == 0) {
        *published = total;
    }
    return result;
}
