/* Between planner.c (the thread), decide.c (one record) and intake.c (partitions and their memory). */
#ifndef OFFBOARD_PRODUCER_PLANNER_INTERNAL_H
#define OFFBOARD_PRODUCER_PLANNER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/metrics.h"
#include "lib/tail.h"
#include "producer/batch.h"
#include "producer/producer.h"

/* One intake partition that is ours. */
struct intake {
    int32_t number;
    int64_t committed; /* records before it are only remembered */
    struct tail tail;
    struct roster *roster;
};

struct planner {
    int magic;
    const struct conf *conf;
    struct definitions *definitions;
    struct kafka_producer *producer;
    struct batch *batch;
    struct control *control;
    rd_kafka_t *control_rk;
    rd_kafka_t *rk;
    char *topic;
    char *events;
    char *control_topic;
    int32_t partitions; /* of the intake topic */
    struct intake *intakes;
    size_t intake_count;
    int64_t anew;      /* monotonic; when the topic was last found to be made anew; 0: never */
    json_t *published; /* hashes of definitions this process has published */
    json_t *dead;      /* "partition/offset" of the records before the committed offsets that were set aside */
    struct metric *dispositions;
    struct metric *last_event;
    struct series *lag;
    unsigned generation; /* changes with every assignment: what was fetched before it is not ours to decide any more */
    pthread_t thread;
    atomic_bool stopping;
    atomic_bool ready;
};

/* intake.c */
void intake_rebalanced(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *arg);
struct intake *intake_find(struct planner *planner, int32_t number);
void intake_release_all(struct planner *planner);
/* Is the record to be planned, or only remembered? Notes that it was read. */
bool intake_plans(struct planner *planner, struct intake *intake, const rd_kafka_message_t *message);
/* Was a record that is only remembered set aside when it was its turn? Then it did nothing, whatever it would do today. */
bool intake_was_dead(const struct planner *planner, const rd_kafka_message_t *message);

/* decide.c: what becomes of one record; outputs go to the planner's batch. `remember_only`: the record lies before the
 * committed offset. */
void decide_record(struct planner *planner, struct intake *intake, const rd_kafka_message_t *message,
                   bool remember_only);

#endif
