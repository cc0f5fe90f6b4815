/* What one batch of intake records will publish, in stages: each stage is acknowledged before the next begins, and
 * the offsets are committed after the last. Keys come first, as later stages are sealed with them; then the roster: what was decided is on
 * record before anybody is told. */
#ifndef OFFBOARD_PRODUCER_BATCH_H
#define OFFBOARD_PRODUCER_BATCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "lib/keyring.h"
#include "producer/producer.h"

enum stage {
    STAGE_KEYS,
    STAGE_ROSTER,
    STAGE_DEFINITIONS,
    STAGE_INITIATED,
    STAGE_CONTROL,
    STAGE_JOBS,
    STAGE_EVENTS,
    STAGE_ERASURES, /* tombstones of keys: nothing that is sealed comes after them */
    STAGE_ERASED,   /* that it is done */
    STAGE_NOTICES,  /* tombstones of what was answered */
    STAGES
};

struct batch;

/* `keyring` is borrowed, and that of the producer which batch_publish() is given. */
struct batch *batch_new(const struct conf *conf, struct keyring *keyring);
void batch_free(struct batch *batch);
void batch_clear(struct batch *batch);
bool batch_is_empty(const struct batch *batch);

/* What is added from now on belongs to this record (NULL: to none): when Kafka refuses one of its outputs for good, the later ones
 * are left out. It must outlive batch_publish(). */
void batch_begin(struct batch *batch, const rd_kafka_message_t *message);

/* Takes over `value` (a JSON object; NULL: a tombstone). `topic` is the full name. Returns how long the value is. */
size_t batch_add(struct batch *batch, enum stage stage, const char *topic, const char *key, json_t *value,
                 const char *type, const char *id, const char *traceparent);

/* The offboarding gets a key, unless it has one or gets one in this batch already. The keyring must have been read
 * to its end since this process plans: keyring_catch_up(). */
void batch_make_key(struct batch *batch, const char *offboarding_id);

/* What counts as the key of each offboarding that got a second value is written again: of two, compaction keeps the last. */
void batch_settle_keys(struct batch *batch);

/* Its key is erased with this batch. */
void batch_erase_key(struct batch *batch, const char *offboarding_id);

/* Has the offboarding a key, or does it get one in this batch? False: it was erased. */
bool batch_has_key(struct batch *batch, const char *offboarding_id);

/* What was added last, and what may stand for it, is sealed with the key of this offboarding. */
void batch_seal(struct batch *batch, const char *offboarding_id);

/* What was added last is published in this form (taken over) when Kafka refuses it as too large. */
void batch_or(struct batch *batch, json_t *value);

/* When Kafka refuses what was added last, this event (taken over) is published in its stead, under the same key: what was told before
 * stays true. */
void batch_else(struct batch *batch, const char *topic, json_t *event);

/* A roster_write(): of each key the last value of a batch is written. */
void batch_write_roster(void *batch, const char *key, json_t *value);

/* The record goes to the dead letters. */
void batch_dead(struct batch *batch, const rd_kafka_message_t *message, const char *reason);

/* Publishes stage after stage; waits out temporary trouble until `*stopping`. 0 when all is acknowledged or refused for good; -1: the
 * process has to end, and the batch must stay until the producer is freed. */
int batch_publish(struct batch *batch, struct kafka_producer *producer, const atomic_bool *stopping, struct err *err);

/* The records whose outputs were refused, one after the other: `*at` is 0 at first. NULL: no more. */
const rd_kafka_message_t *batch_refused(const struct batch *batch, size_t *at, const char **reason);

#endif
