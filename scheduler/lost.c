/* What has no answer long after it was published: what waits is left alone, what is lost is reported, and so published again. */
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/time.h"
#include "scheduler/scheduler.h"

/* Columns of unanswered(). */
enum column { KIND, ID, ATTEMPT, OFFBOARDING_ID, PRIORITY, SYSTEM, TRACEPARENT, CONTEXT };

/* One look at all that has no answer. */
struct look {
    struct scheduler *scheduler;
    PGresult *recorded; /* topic, partition, how far the logger is */
    struct queue *queues;
    struct suspects found; /* in place of those of the look before */
    int told;
    bool soon;
};

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

/* ---- suspects ---------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const struct suspect *left = a;
    const struct suspect *right = b;
    int order = strcmp(left->id, right->id);
    return order ? order : (left->attempt > right->attempt) - (left->attempt < right->attempt);
}

void suspects_release(struct suspects *suspects)
{
    free(suspects->list);
    *suspects = (struct suspects){0};
}

/* As the look before knew it, or a new one; goes into `found`. */
static struct suspect *suspect_of(struct look *look, PGresult *rows, int i, const struct place *place)
{
    struct suspect suspect = {.attempt = strtoll(PQgetvalue(rows, i, ATTEMPT), NULL, 10),
                              .read_to = place ? place->high : 0};
    if (id_parse(PQgetvalue(rows, i, ID), suspect.id) != 0) {
        suspect.id[0] = '\0'; /* PostgreSQL's uuid is one */
    }
    const struct suspects *before = &look->scheduler->suspects;
    const struct suspect *known =
        before->count ? bsearch(&suspect, before->list, before->count, sizeof suspect, compare) : NULL;
    struct suspects *found = &look->found;
    if ((found->count & (found->count - 1)) == 0) { /* doubles */
        found->list = mem_realloc(found->list, (found->count ? 2 * found->count : 1) * sizeof suspect);
    }
    found->list[found->count] = known ? *known : suspect;
    return &found->list[found->count++];
}

/* ---- one row ----------------------------------------------------------------------------------------------------- */

static void tell(struct look *look, PGresult *rows, int i)
{
    bool job = strcmp(PQgetvalue(rows, i, KIND), "job") == 0;
    publisher_event(&look->scheduler->publisher,
                    &(struct own_event){
                        .name = job ? "job.lost" : "phase.again",
                        .key = PQgetvalue(rows, i, OFFBOARDING_ID),
                        .message = job ? "the workers have read past the job's message, or it is gone, and there is no "
                                         "answer to it: it is published again as a new attempt"
                                       : "nobody has answered that the phase's time has come: it is said again",
                        .context = json_loads(PQgetvalue(rows, i, CONTEXT), 0, NULL),
                        .traceparent = PQgetisnull(rows, i, TRACEPARENT) ? NULL : PQgetvalue(rows, i, TRACEPARENT)});
    look->told++;
}

static const struct place *place_of(const struct queue *queue, PGresult *rows, int i)
{
    const char *key = PQgetvalue(rows, i, OFFBOARDING_ID);
    int kind = strcmp(PQgetvalue(rows, i, PRIORITY), "urgent") == 0;
    return queue->system ? &queue->places[kind][kafka_partition(key, strlen(key), queue->counts[kind])] : NULL;
}

static int64_t recorded_of(const struct look *look, const char *topic, int32_t partition)
{
    for (int i = 0; i < PQntuples(look->recorded); i++) {
        if (strtol(PQgetvalue(look->recorded, i, 1), NULL, 10) == partition &&
            strcmp(PQgetvalue(look->recorded, i, 0), topic) == 0) {
            return strtoll(PQgetvalue(look->recorded, i, 2), NULL, 10);
        }
    }
    return 0;
}

static bool is_lost(const struct look *look, const struct queue *queue, struct suspect *suspect,
                    const struct place *place, const char *key)
{
    int64_t ends[ANSWERS] = {0}, recorded[ANSWERS] = {0};
    for (int i = 0; i < ANSWERS && queue->answer_topics[i]; i++) {
        int32_t partition = kafka_partition(key, strlen(key), queue->answer_counts[i]);
        ends[i] = queue->answers[i][partition].high;
        recorded[i] = recorded_of(look, queue->answer_topics[i], partition);
    }
    return suspect_lost(suspect, place, ends, recorded);
}

static void look_at(struct look *look, PGresult *rows, int i)
{
    const char *key = PQgetvalue(rows, i, OFFBOARDING_ID);
    const char *system = PQgetisnull(rows, i, SYSTEM) ? NULL : PQgetvalue(rows, i, SYSTEM);
    const struct queue *queue = queues_of(&look->queues, &look->scheduler->publisher, system);
    if (!queue) {
        return;
    }
    const struct place *place = place_of(queue, rows, i);
    struct suspect *suspect = suspect_of(look, rows, i, place);
    if (is_lost(look, queue, suspect, place, key)) {
        tell(look, rows, i);
        suspect->read = false; /* our event is an answer, too: nothing is said twice before it is recorded */
    } else if (suspect->read) {
        look->soon = true;
    }
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* How far the logger is; before it is asked what has no answer. */
static int read_recorded(struct look *look, struct err *err)
{
    look->recorded =
        pg_query(look->scheduler->pg, err, "SELECT topic, kafka_partition, next FROM kafka_offset", 0, NULL);
    return look->recorded ? 0 : -1;
}

static int open_cursor(struct scheduler *scheduler, struct err *err)
{
    char *older =
        mem_printf("%lld microseconds", (long long)conf_duration(scheduler->conf, "scheduler.republish_after"));
    const char *const values[] = {older};
    int result =
        pg_run(scheduler->pg, err, "DECLARE unanswered NO SCROLL CURSOR FOR SELECT * FROM unanswered($1)", 1, values);
    free(older);
    return result;
}

/* The next rows; `count` gets how many there were. */
static int look_at_next(struct look *look, int *count, struct err *err)
{
    struct scheduler *scheduler = look->scheduler;
    char *fetch =
        mem_printf("FETCH %lld FROM unanswered", (long long)conf_int(scheduler->conf, "scheduler.batch_size"));
    PGresult *rows = pg_query(scheduler->pg, err, fetch, 0, NULL);
    free(fetch);
    int result = rows ? publisher_begin(&scheduler->publisher, err) : -1;
    for (int i = 0; result == 0 && i < PQntuples(rows); i++) {
        look_at(look, rows, i);
    }
    if (result == 0) {
        result = publisher_end(&scheduler->publisher, err);
        *count = PQntuples(rows);
    }
    PQclear(rows);
    return result;
}

static int look_at_all(struct look *look, struct err *err)
{
    struct scheduler *scheduler = look->scheduler;
    int result = pg_run(scheduler->pg, err, "BEGIN", 0, NULL) == 0 ? read_recorded(look, err) : -1;
    result = result == 0 ? open_cursor(scheduler, err) : -1;
    int rows = 1;
    while (result == 0 && rows > 0) {
        result = look_at_next(look, &rows, err);
    }
    if (pg_connected(scheduler->pg)) {
        pg_run(scheduler->pg, NULL, "ROLLBACK", 0, NULL); /* it only read */
    }
    return result;
}

int scheduler_find_lost(struct scheduler *scheduler, int *told, bool *soon, struct err *err)
{
    struct look look = {.scheduler = scheduler};
    if (become_leader(scheduler, err) != 0) {
        return -1;
    }
    int result = scheduler->leader ? look_at_all(&look, err) : 0;
    series_add(metric_series(scheduler->metrics.published, "lost", NULL), look.told);
    if (result == 0) {
        suspects_release(&scheduler->suspects);
        scheduler->suspects = look.found;
        if (look.found.count) {
            qsort(scheduler->suspects.list, scheduler->suspects.count, sizeof *scheduler->suspects.list, compare);
        }
    } else {
        suspects_release(&look.found);
    }
    *told = look.told;
    *soon = look.soon;
    queues_free(look.queues);
    PQclear(look.recorded);
    return result;
}
