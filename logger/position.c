/* Which partitions this logger has, and from where it reads them. Kafka's group says the first, PostgreSQL the second. */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "logger/logger.h"

struct partition *position_find(struct logger *logger, const char *topic, int32_t id)
{
    for (size_t i = 0; i < logger->partition_count; i++) {
        if (logger->partitions[i].id == id && strcmp(logger->partitions[i].topic, topic) == 0) {
            return &logger->partitions[i];
        }
    }
    return NULL;
}

/* ---- the group --------------------------------------------------------------------------------------------------- */

static void own(struct logger *logger, const char *topic, int32_t id)
{
    struct partition *partition = position_find(logger, topic, id);
    if (!partition) {
        logger->partitions =
            mem_realloc(logger->partitions, (logger->partition_count + 1) * sizeof *logger->partitions);
        partition = &logger->partitions[logger->partition_count++];
        *partition = (struct partition){.topic = mem_strdup(topic), .id = id, .next = -1};
        origin_of(&partition->origin, logger->conf, topic);
    }
    partition->owned = true;
}

/* Offsets are asked from PostgreSQL, which may be away: here the consumer gets nothing to read, position_place() does the
 * rest. Called from rd_kafka_consumer_poll() only, so never while a batch is being stored. */
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    (void)rk;
    struct logger *logger = opaque;
    for (size_t i = 0; i < logger->partition_count; i++) {
        logger->partitions[i].owned = false;
    }
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        for (int i = 0; i < list->cnt; i++) {
            own(logger, list->elems[i].topic, list->elems[i].partition);
        }
        position_lift(logger);
        return;
    }
    logger->placed = false;
    batch_clear(&logger->batch);
    rd_kafka_assign(logger->consumer, NULL);
}

static rd_kafka_t *consumer_new(struct logger *logger, struct err *err)
{
    char *group = mem_printf("%s.logger", conf_string(logger->conf, "kafka.prefix"));
    rd_kafka_conf_t *settings = kafka_consumer_conf(logger->conf, group, err);
    free(group);
    if (!settings) {
        return NULL;
    }
    char why[512];
    rd_kafka_conf_set_opaque(settings, logger);
    rd_kafka_conf_set_rebalance_cb(settings, on_rebalance);
    rd_kafka_conf_set(settings, "enable.partition.eof", "true", why, sizeof why);                /* see store_ends() */
    rd_kafka_conf_set(settings, "topic.metadata.refresh.interval.ms", "10000", why, sizeof why); /* new systems */
    rd_kafka_t *consumer = kafka_consumer_new(settings, err);
    if (consumer) {
        rd_kafka_poll_set_consumer(consumer);
    }
    return consumer;
}

/* A regular expression for what begins so: "^offboard\.results\." */
static char *pattern_of(const char *prefix)
{
    struct buf out = BUF_INIT;
    buf_adds(&out, "^");
    for (; *prefix; prefix++) {
        buf_addf(&out, *prefix == '.' ? "\\%c" : "%c", *prefix);
    }
    return buf_take(&out);
}

/* The topics that are there in any case, and a pattern for those of the systems: a new system's is found when it is made. */
static int add_topics(struct logger *logger, rd_kafka_topic_partition_list_t *topics, struct err *err)
{
    static const char *const kinds[] = {"events", "orders", "control"};
    int result = 0;
    for (size_t i = 0; i < COUNT_OF(kinds) && result == 0; i++) {
        char *topic = kafka_topic(logger->conf, kinds[i], NULL);
        rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
        result = kafka_partition_count(logger->consumer, topic, TIME_SECOND, err) < 0 ? -1 : 0;
        free(topic);
    }
    char *results = kafka_topic(logger->conf, "results", "");
    char *pattern = pattern_of(results);
    rd_kafka_topic_partition_list_add(topics, pattern, RD_KAFKA_PARTITION_UA);
    free(pattern);
    free(results);
    return result;
}

int position_subscribe(struct logger *logger, struct err *err)
{
    if (!logger->consumer) {
        logger->consumer = consumer_new(logger, err);
        if (!logger->consumer) {
            return -1;
        }
    }
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(4);
    int result = add_topics(logger, topics, err);
    if (result != 0) {
        rd_kafka_topic_partition_list_destroy(topics);
        return -1;
    }
    rd_kafka_resp_err_t code = rd_kafka_subscribe(logger->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return err_set(err, ERR_FATAL, "could not subscribe: %s", rd_kafka_err2str(code));
    }
    return 0;
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

void position_lift(struct logger *logger)
{
    logger->placed = false;
    batch_clear(&logger->batch);
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
    rd_kafka_assign(logger->consumer, none);
    rd_kafka_topic_partition_list_destroy(none);
}

void position_forget_dead(struct partition *partition)
{
    size_t kept = 0;
    for (size_t i = 0; i < partition->dead_count; i++) {
        if (partition->dead[i] >= partition->next) {
            partition->dead[kept++] = partition->dead[i];
        }
    }
    partition->dead_count = kept;
}

/* "{a,b}": an array literal of the owned partitions' topics or numbers; topic names hold no character that needs a quote. */
static char *owned_array(const struct logger *logger, bool topics)
{
    struct buf out = BUF_INIT;
    buf_adds(&out, "{");
    for (size_t i = 0; i < logger->partition_count; i++) {
        const struct partition *partition = &logger->partitions[i];
        if (partition->owned) {
            const char *separator = out.len > 1 ? "," : "";
            if (topics) {
                buf_addf(&out, "%s%s", separator, partition->topic);
            } else {
                buf_addf(&out, "%s%d", separator, partition->id);
            }
        }
    }
    buf_adds(&out, "}");
    return buf_take(&out);
}

static PGresult *ask_offsets(struct logger *logger, struct err *err)
{
    char *topics = owned_array(logger, true);
    char *numbers = owned_array(logger, false);
    const char *const values[] = {topics, numbers};
    PGresult *rows = NULL;
    if (pg_run(logger->pg, err,
               "INSERT INTO kafka_offset (topic, kafka_partition) SELECT * FROM unnest($1::text[], $2::integer[])"
               " ON CONFLICT DO NOTHING",
               2, values) == 0) {
        rows =
            pg_query(logger->pg, err,
                     "SELECT topic, kafka_partition, next FROM kafka_offset WHERE topic = ANY ($1::text[])", 1, values);
    }
    free(topics);
    free(numbers);
    return rows;
}

static int read_offsets(struct logger *logger, struct err *err)
{
    PGresult *rows = ask_offsets(logger, err);
    for (int i = 0; rows && i < PQntuples(rows); i++) {
        struct partition *partition =
            position_find(logger, PQgetvalue(rows, i, 0), (int32_t)strtol(PQgetvalue(rows, i, 1), NULL, 10));
        if (partition && partition->owned) {
            partition->next = partition->expected = strtoll(PQgetvalue(rows, i, 2), NULL, 10);
            partition->end = -1;
            position_forget_dead(partition);
        }
    }
    PQclear(rows);
    return rows ? 0 : -1;
}

int position_check(struct logger *logger, struct err *err)
{
    for (size_t i = 0; i < logger->partition_count; i++) {
        const struct partition *partition = &logger->partitions[i];
        if (partition->went_back) {
            return err_set(
                err, ERR_FATAL,
                "%s, partition %d is read from its beginning again, but PostgreSQL has recorded it up to offset "
                "%lld: the topic was made anew, or has lost its end",
                partition->topic, partition->id, (long long)partition->next);
        }
    }
    return 0;
}

/* A consumer started beyond the end would begin anew, and record everything twice. */
static int check_end(const struct partition *partition, const struct kafka_range *range, struct err *err)
{
    if (partition->next > range->high) {
        return err_set(
            err, ERR_FATAL,
            "%s, partition %d ends at offset %lld, but PostgreSQL has recorded it up to %lld: the topic was made "
            "anew, or database and Kafka do not belong together",
            partition->topic, partition->id, (long long)range->high, (long long)partition->next);
    }
    if (range->low > partition->next) {
        char *lost = mem_printf("%lld", (long long)(range->low - partition->next));
        log_line(partition->origin.writer == WRITER_CONTROL ? LOG_INFO : LOG_WARNING,
                 "offsets are gone from Kafka before they were recorded", "topic", partition->topic, "offsets", lost,
                 NULL);
        free(lost);
    }
    return 0;
}

static int check_ends(struct logger *logger, const rd_kafka_topic_partition_list_t *list, struct err *err)
{
    struct kafka_range *ranges = mem_alloc(((size_t)list->cnt + 1) * sizeof *ranges);
    int result = kafka_ends_of(logger->consumer, list, ranges, err);
    for (int i = 0; i < list->cnt && result == 0; i++) {
        result = check_end(position_find(logger, list->elems[i].topic, list->elems[i].partition), &ranges[i], err);
    }
    free(ranges);
    return result;
}

/* What is owned, from where it is to be read. The caller destroys it. */
static rd_kafka_topic_partition_list_t *owned_list(const struct logger *logger)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)logger->partition_count);
    for (size_t i = 0; i < logger->partition_count; i++) {
        const struct partition *partition = &logger->partitions[i];
        if (partition->owned) {
            rd_kafka_topic_partition_list_add(list, partition->topic, partition->id)->offset = partition->next;
        }
    }
    return list;
}

int position_place(struct logger *logger, struct err *err)
{
    if (read_offsets(logger, err) != 0) {
        return -1;
    }
    rd_kafka_topic_partition_list_t *list = owned_list(logger);
    int result = check_ends(logger, list, err);
    if (result == 0 && list->cnt > 0) {
        rd_kafka_resp_err_t code = rd_kafka_assign(logger->consumer, list);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            result = err_set(err, ERR_RETRY, "could not start reading: %s", rd_kafka_err2str(code));
        }
    }
    logger->placed = result == 0;
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}
