/* Which partitions this logger has, and from where it reads them. Kafka's group says the first, PostgreSQL the second. */
#include <stdlib.h>
#include <string.h>

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
        partition->control = strcmp(topic, logger->control_topic) == 0;
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
    rd_kafka_conf_set(settings, "enable.partition.eof", "true", why, sizeof why); /* see store_ends() */
    rd_kafka_t *consumer = kafka_consumer_new(settings, err);
    if (consumer) {
        rd_kafka_poll_set_consumer(consumer);
    }
    return consumer;
}

int position_subscribe(struct logger *logger, struct err *err)
{
    if (!logger->consumer) {
        logger->consumer = consumer_new(logger, err);
        if (!logger->consumer) {
            return -1;
        }
    }
    if (kafka_partition_count(logger->consumer, logger->events_topic, TIME_SECOND, err) < 0 ||
        kafka_partition_count(logger->consumer, logger->control_topic, TIME_SECOND, err) < 0) {
        return -1;
    }
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(2);
    rd_kafka_topic_partition_list_add(topics, logger->events_topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_topic_partition_list_add(topics, logger->control_topic, RD_KAFKA_PARTITION_UA);
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

static int read_next(struct logger *logger, struct partition *partition, struct err *err)
{
    char *id = mem_printf("%d", partition->id);
    const char *const values[] = {partition->topic, id};
    PGresult *row = NULL;
    if (pg_run(logger->pg, err,
               "INSERT INTO kafka_offset (topic, kafka_partition) VALUES ($1, $2) ON CONFLICT DO NOTHING", 2,
               values) == 0) {
        row = pg_query(logger->pg, err, "SELECT next FROM kafka_offset WHERE topic = $1 AND kafka_partition = $2", 2,
                       values);
    }
    free(id);
    if (!row) {
        return -1;
    }
    partition->next = strtoll(PQgetvalue(row, 0, 0), NULL, 10);
    partition->expected = partition->next;
    partition->end = -1;
    position_forget_dead(partition);
    PQclear(row);
    return 0;
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
static int check_end(struct logger *logger, const struct partition *partition, struct err *err)
{
    int64_t low = 0;
    int64_t high = 0;
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(logger->consumer, partition->topic, partition->id, &low, &high, 5000);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return err_set(err, ERR_RETRY, "could not read the offsets of %s: %s", partition->topic,
                       rd_kafka_err2str(code));
    }
    if (partition->next > high) {
        return err_set(
            err, ERR_FATAL,
            "%s, partition %d ends at offset %lld, but PostgreSQL has recorded it up to %lld: the topic was made "
            "anew, or database and Kafka do not belong together",
            partition->topic, partition->id, (long long)high, (long long)partition->next);
    }
    if (low > partition->next) {
        char *lost = mem_printf("%lld", (long long)(low - partition->next));
        log_line(partition->control ? LOG_INFO : LOG_WARNING, "offsets are gone from Kafka before they were recorded",
                 "topic", partition->topic, "offsets", lost, NULL);
        free(lost);
    }
    return 0;
}

int position_place(struct logger *logger, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)logger->partition_count);
    int result = 0;
    for (size_t i = 0; i < logger->partition_count && result == 0; i++) {
        struct partition *partition = &logger->partitions[i];
        if (partition->owned) {
            result = read_next(logger, partition, err) == 0 ? check_end(logger, partition, err) : -1;
            rd_kafka_topic_partition_list_add(list, partition->topic, partition->id)->offset = partition->next;
        }
    }
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
