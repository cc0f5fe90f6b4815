/* Jobs that wait in Kafka for their workers when we connect to PostgreSQL. To a database that knows less than we did (restored from a
 * backup, failed over, or our last transaction is lost) they may still be due: they are not published a second time. */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "lib/daemon.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "scheduler/scheduler.h"

#define PATIENCE (10 * TIME_SECOND)

/* Parts of topics that are still to be read. */
struct parts {
    struct kafka_part *list;
    size_t count;
};

/* ---- the set: "<job id>/<attempt>" ------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

void waiting_clear(struct waiting *waiting)
{
    tdestroy(waiting->ids, free);
    *waiting = (struct waiting){0};
}

bool waiting_has(const struct waiting *waiting, const char *id)
{
    return tfind(id, &waiting->ids, compare) != NULL;
}

static void add(const rd_kafka_message_t *message, void *arg)
{
    struct waiting *waiting = arg;
    char *id = kafka_message_header_text(message, "ce_id");
    if (id && !waiting_has(waiting, id)) {
        tsearch(id, &waiting->ids, compare);
        waiting->count++;
    } else {
        free(id);
    }
}

/* ---- what nobody has read ---------------------------------------------------------------------------------------- */

static void add_part(struct parts *parts, const char *topic, int32_t partition, const struct place *place)
{
    parts->list = mem_realloc(parts->list, (parts->count + 1) * sizeof *parts->list);
    parts->list[parts->count++] =
        (struct kafka_part){mem_strdup(topic), partition, place_reads_from(place), place->high};
}

static int add_topic(struct parts *parts, struct publisher *publisher, const char *topic, const char *system,
                     struct err *err)
{
    int32_t count;
    struct place *places = places_of(publisher->conf, publisher->client, system, topic, &count, err);
    if (!places) {
        return -1;
    }
    for (int32_t i = 0; i < count; i++) {
        if (places[i].low < places[i].high) {
            add_part(parts, topic, i, &places[i]);
        }
    }
    free(places);
    return 0;
}

const char *system_of_topic(const struct conf *conf, const char *topic)
{
    static const char *const kinds[] = {"jobs", "urgent"};
    const char *system = NULL;
    for (size_t i = 0; i < COUNT_OF(kinds) && !system; i++) {
        system = kafka_topic_system(conf, kinds[i], topic);
    }
    return system;
}

static int find_parts(struct parts *parts, struct publisher *publisher, struct err *err)
{
    const struct rd_kafka_metadata *metadata = kafka_topics(publisher->client, (int)(PATIENCE / 1000), err);
    if (!metadata) {
        return -1;
    }
    int result = 0;
    for (int i = 0; i < metadata->topic_cnt && result == 0; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        /* One that is being deleted is listed for a while, without partitions. */
        const char *system = topic->partition_cnt ? system_of_topic(publisher->conf, topic->topic) : NULL;
        result = system ? add_topic(parts, publisher, topic->topic, system, err) : 0;
    }
    rd_kafka_metadata_destroy(metadata);
    return result;
}

static void parts_release(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        free(parts->list[i].topic);
    }
    free(parts->list);
}

int waiting_read(struct waiting *waiting, struct publisher *publisher, struct err *err)
{
    struct parts parts = {0};
    waiting_clear(waiting);
    int result = find_parts(&parts, publisher, err);
    if (result == 0) {
        result =
            kafka_read_parts(publisher->conf, parts.list, parts.count, PATIENCE, add, waiting, &daemon_stopping, err);
    }
    parts_release(&parts);
    if (result == 0 && waiting->count) {
        char *count = mem_printf("%zu", waiting->count);
        log_info("jobs wait in Kafka for their workers: they are not published again", "jobs", count, NULL);
        free(count);
    }
    return result;
}
