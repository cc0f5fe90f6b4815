/* Rows into PostgreSQL: one transaction, bisected when one of its rows is refused for its data. */
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics_process.h"
#include "logger/logger.h"

#define PARTITIONS_EVERY TIME_HOUR
#define PARTITIONS_AGAIN (5 * TIME_MINUTE)
#define DEAD_TIMEOUT     (30 * TIME_SECOND)

/* A batch has at most 16 MB of messages; sealed ones are written twice, opened and in hexadecimal digits. */
enum { MONTHS_AHEAD = 2, COPY_MAX = 256 * 1024 * 1024 };

/* ---- the session ------------------------------------------------------------------------------------------------- */

static int prepare_session(struct logger *logger, struct err *err)
{
    char *poll = mem_printf("%lld microseconds", (long long)conf_duration(logger->conf, "scheduler.poll"));
    const char *const values[] = {poll};
    /* Just-in-time compilation costs more than these statements; a lock that is not had in a minute is given up. */
    int result =
        pg_run(logger->pg, err,
               "SET jit = off; SET statement_timeout = '60s'; SET timezone = 'UTC'; SELECT open_stage()", 0, NULL);
    if (result == 0) {
        result = pg_run(logger->pg, err, "SELECT set_config('offboard.poll', $1, false)", 1, values);
    }
    free(poll);
    result = result == 0 ? keys_bring(logger, err) : -1;
    logger->session_ready = result == 0;
    return result;
}

/* A backup that reads the table holds them up; that is no reason to wait: they are made two months ahead. */
static int make_partitions(struct logger *logger, struct err *err)
{
    char *sql =
        mem_printf("SET lock_timeout = '2s'; SELECT make_event_partitions(%d); RESET lock_timeout", MONTHS_AHEAD);
    int result = pg_run(logger->pg, err, sql, 0, NULL);
    free(sql);
    PGresult *row =
        result == 0 ? pg_query(logger->pg, err, "SELECT extract(epoch FROM event_partitions_end())", 0, NULL) : NULL;
    if (!row) {
        return -1;
    }
    logger_metrics_partitions(logger, strtod(PQgetvalue(row, 0, 0), NULL));
    PQclear(row);
    return 0;
}

static void look_after_partitions(struct logger *logger)
{
    struct err err = ERR_INIT;
    if (logger->partitions_due && time_monotonic() < logger->partitions_due) {
        return;
    }
    bool made = make_partitions(logger, &err) == 0;
    logger->partitions_due = time_monotonic() + (made ? PARTITIONS_EVERY : PARTITIONS_AGAIN);
    if (!made) {
        log_warning("could not make the next months' partitions of the table event, trying again in 5 minutes", "error",
                    err_text(&err), NULL);
    }
    err_release(&err);
}

int store_connect(struct logger *logger, struct err *err)
{
    if (!pg_connected(logger->pg)) {
        logger->session_ready = false;
        if (pg_connect(logger->pg, err) != 0) {
            return -1;
        }
    }
    if (!logger->session_ready && prepare_session(logger, err) != 0) {
        return -1;
    }
    look_after_partitions(logger);
    return pg_connected(logger->pg) ? 0 : err_set(err, ERR_RETRY, "the connection to PostgreSQL was lost");
}

/* ---- setting aside ----------------------------------------------------------------------------------------------- */

static bool is_aside(const struct partition *partition, int64_t offset)
{
    for (size_t i = 0; i < partition->dead_count; i++) {
        if (partition->dead[i] == offset) {
            return true;
        }
    }
    return false;
}

/* Once: a message that was set aside before the batch had to be read again is not set aside again. */
static int set_aside(struct logger *logger, const struct row *row, struct err *err)
{
    const char *topic = rd_kafka_topic_name(row->message->rkt);
    struct partition *partition = position_find(logger, topic, row->message->partition);
    if (is_aside(partition, row->message->offset)) {
        return 0;
    }
    struct err why = ERR_INIT;
    struct kafka_dead dead = {row->message, "logger", row->refused, 0};
    int result = kafka_produce_dead(logger->producer, logger->conf, &dead, NULL, NULL, &why);
    if (result == 0) {
        result = kafka_producer_wait(logger->producer, DEAD_TIMEOUT, &why);
    }
    if (result != 0 && why.class != ERR_PERMANENT) {
        err_set(err, why.class, "%s", err_text(&why));
        err_release(&why);
        return -1;
    }
    char *offset = mem_printf("%lld", (long long)row->message->offset);
    char *id = mem_printf("%d", partition->id);
    log_error(result == 0 ? "a message can't be recorded and was set aside"
                          : "a message can't be recorded nor set aside",
              "topic", topic, "partition", id, "offset", offset, "reason", row->refused, "error",
              result == 0 ? NULL : err_text(&why), NULL);
    free(offset);
    free(id);
    err_release(&why);
    partition->dead = mem_realloc(partition->dead, (partition->dead_count + 1) * sizeof *partition->dead);
    partition->dead[partition->dead_count++] = row->message->offset;
    series_add(dead_letters(), 1);
    return 0;
}

/* ---- one transaction --------------------------------------------------------------------------------------------- */

/* How far one transaction moves each partition. */
struct move {
    struct partition *partition;
    int64_t after;
};

struct moves {
    struct move *items;
    size_t count;
};

static void move_to(struct moves *moves, struct partition *partition, int64_t after)
{
    for (size_t i = 0; i < moves->count; i++) {
        if (moves->items[i].partition == partition) {
            moves->items[i].after = after;
            return;
        }
    }
    moves->items = mem_realloc(moves->items, (moves->count + 1) * sizeof *moves->items);
    moves->items[moves->count++] = (struct move){partition, after};
}

/* The arguments of apply_batch() as array literals; topic names hold no character that needs a quote. */
static int apply(struct logger *logger, const struct moves *moves, struct err *err)
{
    struct buf arrays[4] = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
    for (size_t i = 0; i < moves->count; i++) {
        const char *separator = i ? "," : "{";
        buf_addf(&arrays[0], "%s%s", separator, moves->items[i].partition->topic);
        buf_addf(&arrays[1], "%s%d", separator, moves->items[i].partition->id);
        buf_addf(&arrays[2], "%s%lld", separator, (long long)moves->items[i].partition->next);
        buf_addf(&arrays[3], "%s%lld", separator, (long long)moves->items[i].after);
    }
    const char *values[4];
    for (size_t i = 0; i < COUNT_OF(arrays); i++) {
        buf_adds(&arrays[i], "}");
        values[i] = buf_text(&arrays[i]);
    }
    int result = pg_run(logger->pg, err, "SELECT apply_batch($1, $2, $3, $4)", 4, values);
    for (size_t i = 0; i < COUNT_OF(arrays); i++) {
        buf_release(&arrays[i]);
    }
    return result;
}

static int copy_rows(struct logger *logger, struct row *rows, size_t count, struct err *err)
{
    struct buf text = {.max = COPY_MAX};
    batch_number_waves(rows, count);
    batch_copy(rows, count, &text);
    int result = text.len ? pg_copy(logger->pg, err, batch_copy_sql, buf_text(&text), text.len) : 0;
    buf_release(&text);
    return result;
}

/* Data errors (22, 23), too many rows for a subquery (21) and too large for an index (54) are this message's fault, and no
 * wait cures them. Everything else, a schema that is not there yet included, is waited out. */
static bool data_refused(const struct logger *logger)
{
    static const char *const classes[] = {"21", "22", "23", "54"};
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
        if (strncmp(pg_sqlstate(logger->pg), classes[i], 2) == 0) {
            return true;
        }
    }
    return false;
}

/* What became of a transaction. */
enum stored {
    STORED_ALL,
    STORED_NOT,     /* ERR_RETRY */
    STORED_REFUSED, /* one of the rows is refused for its data; the err has the reason */
    STORED_SLOW,    /* statement_timeout: fewer rows take less time */
};

static enum stored stored(const struct logger *logger)
{
    if (!pg_connected(logger->pg)) {
        return STORED_NOT;
    }
    return data_refused(logger)                            ? STORED_REFUSED
           : strcmp(pg_sqlstate(logger->pg), "57014") == 0 ? STORED_SLOW
                                                           : STORED_NOT;
}

static enum stored transact(struct logger *logger, struct row *rows, size_t count, const struct moves *moves,
                            struct err *err)
{
    if (pg_run(logger->pg, err, "BEGIN", 0, NULL) == 0 && keys_copy(logger, rows, count, err) == 0 &&
        copy_rows(logger, rows, count, err) == 0 && apply(logger, moves, err) == 0 &&
        pg_run(logger->pg, err, "COMMIT", 0, NULL) == 0) {
        for (size_t i = 0; i < moves->count; i++) {
            moves->items[i].partition->next = moves->items[i].after;
            position_forget_dead(moves->items[i].partition);
        }
        logger->digests_there = logger->digests_there || logger->digests_sent;
        return STORED_ALL;
    }
    enum stored why = stored(logger);
    if (strcmp(pg_sqlstate(logger->pg), "OB002") == 0) { /* somebody has emptied the table of keys */
        logger->keys_missed = true;
        logger->session_ready = false;
    }
    if (pg_connected(logger->pg)) {
        pg_run(logger->pg, NULL, "ROLLBACK", 0, NULL);
    }
    if (why != STORED_REFUSED && err->class == ERR_PERMANENT) {
        err->class = ERR_RETRY;
    }
    return why;
}

/* ---- halving ----------------------------------------------------------------------------------------------------- */

static enum stored store_some(struct logger *logger, struct row *rows, size_t count, struct err *err)
{
    struct moves moves = {0};
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_message_t *message = rows[i].message;
        struct partition *partition = position_find(logger, rd_kafka_topic_name(message->rkt), message->partition);
        move_to(&moves, partition, message->offset + 1);
    }
    enum stored result = transact(logger, rows, count, &moves, err);
    free(moves.items);
    return result;
}

/* A batch that holds what is refused, or takes too long, is halved until what is at fault stands alone. */
static int store_rows(struct logger *logger, struct row *rows, size_t count, struct err *err)
{
    enum stored result = store_some(logger, rows, count, err);
    if (result == STORED_ALL || result == STORED_NOT || (result == STORED_SLOW && count == 1)) {
        return result == STORED_ALL ? 0 : -1;
    }
    if (count == 1) {
        row_refuse(&rows[0], err_text(err));
        err_release(err);
        return set_aside(logger, &rows[0], err) == 0 ? store_rows(logger, rows, count, err) : -1;
    }
    if (result == STORED_SLOW) {
        char *size = mem_printf("%zu", count);
        log_warning("a batch took too long to record, halving it", "rows", size, "error", err_text(err), NULL);
        free(size);
    }
    err_release(err);
    size_t half = count / 2;
    return store_rows(logger, rows, half, err) == 0 ? store_rows(logger, rows + half, count - half, err) : -1;
}

int store_batch(struct logger *logger, struct err *err)
{
    struct batch *batch = &logger->batch;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->rows[i].refused && set_aside(logger, &batch->rows[i], err) != 0) {
            return -1;
        }
    }
    return store_rows(logger, batch->rows, batch->count, err);
}

int store_ends(struct logger *logger, struct err *err)
{
    struct moves moves = {0};
    for (size_t i = 0; i < logger->partition_count; i++) {
        struct partition *partition = &logger->partitions[i];
        if (partition->owned && partition->end > partition->next) {
            move_to(&moves, partition, partition->end);
        }
    }
    enum stored result = moves.count ? transact(logger, NULL, 0, &moves, err) : STORED_ALL;
    free(moves.items);
    return result == STORED_ALL ? 0 : -1;
}
