/* What one batch of intake records will publish, in stages: each stage is acknowledged before the next begins, and
 * the offsets are committed after the last. */
#ifndef OFFBOARD_PRODUCER_BATCH_H
#define OFFBOARD_PRODUCER_BATCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "producer/producer.h"

enum stage { STAGE_DEFINITIONS, STAGE_INITIATED, STAGE_JOBS, STAGE_CONTROL, STAGE_EVENTS, STAGES };

struct batch;

struct batch *batch_new(const struct conf *conf);
void batch_free(struct batch *batch);
void batch_clear(struct batch *batch);

/* Takes over `value` (a JSON object). `topic` is the full name. */
void batch_add(struct batch *batch, enum stage stage, const char *topic, const char *key, json_t *value,
               const char *type, const char *id, const char *traceparent);

/* The message goes to where its person belongs, or to the dead letters. It must outlive batch_publish(). */
void batch_forward(struct batch *batch, const rd_kafka_message_t *message, const char *person);
void batch_dead(struct batch *batch, const rd_kafka_message_t *message, const char *reason);

/* Publishes stage after stage; waits out temporary trouble until `*stopping`. 0 when all is acknowledged. */
int batch_publish(struct batch *batch, struct kafka_producer *producer, const atomic_bool *stopping, struct err *err);

#endif
