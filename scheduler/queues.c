/* How far the workers of a system have come, and where the topics of answers end: what Kafka says of it, once a pass. */
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "scheduler/scheduler.h"

/* Those of SAID_BY_WORKER only for a system. */
static int ask_answers(struct queue *queue, struct publisher *publisher, struct err *err)
{
    queue->answer_topics[SAID_BY_US] = mem_strdup(publisher->events_topic);
    queue->answer_topics[SAID_BY_WORKER] =
        queue->system ? kafka_topic(publisher->conf, "results", queue->system) : NULL;
    int result = 0;
    for (int i = 0; i < ANSWERS && result == 0 && queue->answer_topics[i]; i++) {
        int32_t count = kafka_partition_count(publisher->client, queue->answer_topics[i], 0, err);
        if (count < 0) {
            return -1;
        }
        queue->answer_counts[i] = count;
        queue->answers[i] = mem_alloc((size_t)count * sizeof *queue->answers[i]);
        result = kafka_ends(publisher->client, queue->answer_topics[i], queue->answers[i], count, err);
    }
    return result;
}

/* What is committed is asked for first: it may only be further than what is known of the ends. */
struct place *places_of(const struct conf *conf, rd_kafka_t *client, const char *system, const char *topic,
                        int32_t *count, struct err *err)
{
    *count = kafka_partition_count(client, topic, 0, err);
    if (*count < 0) {
        return NULL;
    }
    char *group = kafka_topic(conf, system, NULL);
    int64_t *committed = mem_alloc((size_t)*count * sizeof *committed);
    struct kafka_range *ranges = mem_alloc((size_t)*count * sizeof *ranges);
    struct place *places = NULL;
    if (kafka_group_offsets(conf, group, topic, committed, *count, err) == 0 &&
        kafka_ends(client, topic, ranges, *count, err) == 0) {
        places = mem_alloc((size_t)*count * sizeof *places);
        for (int32_t i = 0; i < *count; i++) {
            places[i] = (struct place){ranges[i].low, ranges[i].high, committed[i]};
        }
    }
    free(ranges);
    free(committed);
    free(group);
    return places;
}

static int ask_topic(struct queue *queue, int kind, struct publisher *publisher, struct err *err)
{
    static const char *const kinds[] = {"jobs", "urgent"};
    char *topic = kafka_topic(publisher->conf, kinds[kind], queue->system);
    queue->places[kind] =
        places_of(publisher->conf, publisher->client, queue->system, topic, &queue->counts[kind], err);
    free(topic);
    return queue->places[kind] ? 0 : -1;
}

static void ask(struct queue *queue, struct publisher *publisher)
{
    struct err err = ERR_INIT;
    queue->known =
        (!queue->system || (ask_topic(queue, 0, publisher, &err) == 0 && ask_topic(queue, 1, publisher, &err) == 0)) &&
        ask_answers(queue, publisher, &err) == 0; /* after the others: see suspect_lost() */
    if (!queue->known) {
        log_warning("could not find out which unanswered jobs are lost; trying again", "system",
                    queue->system ? queue->system : "", "error", err_text(&err), NULL);
    }
    err_release(&err);
}

const struct queue *queues_of(struct queue **queues, struct publisher *publisher, const char *system)
{
    struct queue *queue = *queues;
    while (queue && (system ? !queue->system || strcmp(queue->system, system) != 0 : queue->system != NULL)) {
        queue = queue->next;
    }
    if (!queue) {
        queue = MEM_NEW(struct queue);
        queue->system = system ? mem_strdup(system) : NULL;
        queue->next = *queues;
        *queues = queue;
        ask(queue, publisher);
    }
    return queue->known ? queue : NULL;
}

void queues_free(struct queue *queues)
{
    while (queues) {
        struct queue *queue = queues;
        queues = queue->next;
        free(queue->system);
        free(queue->places[0]);
        free(queue->places[1]);
        for (int i = 0; i < ANSWERS; i++) {
            free(queue->answer_topics[i]);
            free(queue->answers[i]);
        }
        free(queue);
    }
}
