/* The gate: nothing is published before the logger has recorded what was in Kafka when we connected to PostgreSQL. After a restore,
 * after a fail-over, and after an outage in which our own publications were acknowledged and not committed, the database may think that
 * jobs are due which were done, cancelled or skipped long ago. Those that nobody has answered, as they wait for their workers, are
 * known by their messages (waiting.c). */
#include <stdlib.h>

#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/time.h"
#include "scheduler/scheduler.h"

enum { METADATA_MS = 5000 };

static int read_ends_of(struct scheduler *scheduler, const char *topic, struct err *err)
{
    rd_kafka_t *client = scheduler->publisher.client;
    int32_t partitions = kafka_partition_count(client, topic, TIME_SECOND, err);
    if (partitions < 0) {
        return -1;
    }
    struct kafka_range *ranges = mem_alloc((size_t)partitions * sizeof *ranges);
    int result = kafka_ends(client, topic, ranges, partitions, err);
    for (int32_t i = 0; i < partitions && result == 0; i++) {
        scheduler->ends = mem_realloc(scheduler->ends, (scheduler->end_count + 1) * sizeof *scheduler->ends);
        scheduler->ends[scheduler->end_count++] = (struct gate_end){mem_strdup(topic), i, ranges[i].high};
    }
    free(ranges);
    return result;
}

static void forget_ends(struct scheduler *scheduler)
{
    for (size_t i = 0; i < scheduler->end_count; i++) {
        free(scheduler->ends[i].topic);
    }
    free(scheduler->ends);
    scheduler->ends = NULL;
    scheduler->end_count = 0;
}

static int read_ends_of_systems(struct scheduler *scheduler, struct err *err)
{
    const struct rd_kafka_metadata *metadata = kafka_topics(scheduler->publisher.client, METADATA_MS, err);
    if (!metadata) {
        return -1;
    }
    int result = 0;
    for (int i = 0; i < metadata->topic_cnt && result == 0; i++) {
        const char *topic = metadata->topics[i].topic;
        result = kafka_topic_system(scheduler->conf, "results", topic) ? read_ends_of(scheduler, topic, err) : 0;
    }
    rd_kafka_metadata_destroy(metadata);
    return result;
}

/* All that the logger reads: what we wrote, orders, and what the workers answered. */
static int read_ends(struct scheduler *scheduler, struct err *err)
{
    static const char *const kinds[] = {"events", "orders", "control"};
    forget_ends(scheduler);
    int result = 0;
    for (size_t i = 0; i < COUNT_OF(kinds) && result == 0; i++) {
        char *topic = kafka_topic(scheduler->conf, kinds[i], NULL);
        result = read_ends_of(scheduler, topic, err);
        free(topic);
    }
    result = result == 0 ? read_ends_of_systems(scheduler, err) : result;
    scheduler->gate_known = result == 0;
    return result;
}

/* 1 when the logger is there, 0 when not, -1 with an err. */
static int reached(struct scheduler *scheduler, const struct gate_end *end, struct err *err)
{
    char *partition = mem_printf("%d", end->partition);
    char *offset = mem_printf("%lld", (long long)end->offset);
    const char *const values[] = {end->topic, partition, offset};
    PGresult *row =
        pg_query(scheduler->pg, err,
                 "SELECT FROM kafka_offset WHERE topic = $1 AND kafka_partition = $2 AND next >= $3", 3, values);
    free(partition);
    free(offset);
    if (!row) {
        return -1;
    }
    int found = PQntuples(row) > 0;
    PQclear(row);
    return found;
}

void scheduler_gate_close(struct scheduler *scheduler)
{
    scheduler->gate_open = false;
    scheduler->gate_known = false;
    series_set(scheduler->metrics.gate_open, 0);
}

int scheduler_gate_open(struct scheduler *scheduler, bool *open, struct err *err)
{
    if (!scheduler->gate_open) {
        /* What waits first: what is read, and answered, after that lies before the ends. */
        if (!scheduler->gate_known && (waiting_read(&scheduler->publisher.waiting, &scheduler->publisher, err) != 0 ||
                                       read_ends(scheduler, err) != 0)) {
            return -1;
        }
        int there = 1;
        for (size_t i = 0; i < scheduler->end_count && there == 1; i++) {
            there = scheduler->ends[i].offset > 0 ? reached(scheduler, &scheduler->ends[i], err) : 1;
        }
        if (there < 0) {
            return -1;
        }
        scheduler->gate_open = there == 1;
        if (scheduler->gate_open) {
            forget_ends(scheduler);
        }
    }
    *open = scheduler->gate_open;
    return 0;
}
