/* Thin layer over librdkafka: what every process sets the same way, and the few patterns we rely on.
 *
 * Partitioner `murmur2_random` everywhere, idempotent producers, acks=all; topic names carry the configured
 * prefix; topic handles are opened at start (the first produce to an unseen topic costs a second); kafka.properties
 * go through to librdkafka. librdkafka's own log lines become ours. */
#ifndef OFFBOARD_LIB_KAFKA_H
#define OFFBOARD_LIB_KAFKA_H

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/err.h"
#include "lib/id.h"

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* "offboard.jobs.scim" for kafka_topic(conf, "jobs", "scim"); `system` NULL for intake, received, events, control,
 * dead. The caller frees. */
char *kafka_topic(const struct conf *conf, const char *kind, const char *system);

/* Is it the topic of that kind, which all systems share? */
bool kafka_topic_is(const struct conf *conf, const char *kind, const char *topic);

/* The system of a topic of that kind: "scim" for kafka_topic_system(conf, "jobs", "offboard.jobs.scim"). Borrowed from `topic`; NULL when
 * the topic is none of that kind. */
const char *kafka_topic_system(const struct conf *conf, const char *kind, const char *topic);

/* The partition that murmur2_random gives this key (Java's default too). */
int32_t kafka_partition(const void *key, size_t len, int32_t partitions);

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* Everything is borrowed. */
struct kafka_record {
    const char *topic; /* with prefix */
    int32_t partition; /* RD_KAFKA_PARTITION_UA: by key */
    const char *key;
    size_t key_len;
    const void *value; /* NULL: tombstone */
    size_t value_len;
    int64_t timestamp; /* milliseconds since 1970; 0: now */
    /* Headers, NULL-ended list of name, value; NULL: none. */
    const char *const *headers;
    /* All headers of this message are copied first (forwarding, dead letters), or those of this list; NULL: none. */
    const rd_kafka_message_t *headers_of;
    const rd_kafka_headers_t *copied_headers;
    /* The offboarding under whose key the value is sealed (lib/seal.h); NULL: it goes in clear. The header content-type says so. */
    const char *seal;
    int64_t *doubt; /* of keyring_find(), while the key is not known; NULL: kafka_produce() waits for an answer */
};

/* ---- producing --------------------------------------------------------------------------------------------------- */

struct kafka_producer;
struct keyring;

/* Called once for every record, from kafka_producer_poll(), kafka_producer_wait() or kafka_producer_free(): `err` is
 * NULL when all in-sync replicas have it. */
typedef void kafka_delivered(void *arg, const struct err *err);

/* Topics that will be produced to are opened by kafka_producer_open(). Thread-safe. */
struct kafka_producer *kafka_producer_new(const struct conf *conf, struct err *err);
int kafka_producer_open(struct kafka_producer *producer, const char *topic, struct err *err);

/* Records that say `seal` are sealed with keys of this keyring, which is borrowed. Without it, or without the key, they are not sent. */
void kafka_producer_seal_with(struct kafka_producer *producer, struct keyring *keyring);

/* Copies the record. `delivered` may be NULL. ERR_RETRY when the local queue is full or the record's key is not known yet, ERR_PERMANENT
 * when the record is too large or its key was erased. */
int kafka_produce(struct kafka_producer *producer, const struct kafka_record *record, kafka_delivered *delivered,
                  void *arg, struct err *err);

/* Was an ERR_PERMANENT of kafka_produce() that the offboarding's key was erased? Then nothing is ever to be said of it again. */
bool kafka_key_erased(struct kafka_producer *producer, const struct kafka_record *record);

/* A descriptor (eventfd, non-blocking) that becomes readable when there are delivery reports to poll: for event loops.
 * Read it empty, then poll. */
int kafka_producer_fd(struct kafka_producer *producer);
void kafka_producer_poll(struct kafka_producer *producer);

/* Blocks until everything produced so far was reported, at most `timeout` microseconds. -1 with ERR_RETRY when
 * records are still open or one of those since the last wait failed (the text says the first reason). For
 * single-threaded use. */
int kafka_producer_wait(struct kafka_producer *producer, int64_t timeout, struct err *err);

/* Waits for open records up to `timeout` microseconds, then frees. NULL is accepted. */
void kafka_producer_free(struct kafka_producer *producer, int64_t timeout);

/* ---- is Kafka there? --------------------------------------------------------------------------------------------- */

/* Asks every few seconds, on a thread of its own, through the producer's connections. NULL with an err. */
struct kafka_health *kafka_health_start(struct kafka_producer *producer, struct err *err);
void kafka_health_stop(struct kafka_health *health);         /* before the producer is freed; NULL is accepted */
bool kafka_answers(struct kafka_health *health, char **why); /* else `why`, which the caller frees */

/* ---- dead letters ------------------------------------------------------------------------------------------------ */

/* Everything is borrowed. */
struct kafka_dead {
    const rd_kafka_message_t *message;
    const char *process;
    const char *reason;
    size_t size; /* of the value as it came, when the caller has shortened it; 0: the message's */
};

/* Puts a message as it came on <prefix>.dead, with its key, its headers and `dead_topic`, `dead_partition`,
 * `dead_offset`, `dead_size`, `dead_reason`, `dead_process`. One that is larger than what we may write goes there without
 * its value. lib/dead.h reads them. */
int kafka_produce_dead(struct kafka_producer *producer, const struct conf *conf, const struct kafka_dead *dead,
                       kafka_delivered *delivered, void *arg, struct err *err);

/* ---- consuming --------------------------------------------------------------------------------------------------- */

/* Base configuration of a consumer handle: brokers, properties, log callback, `group.id` (NULL: none, for assign()),
 * auto commit and offset store off, range assignor (cooperative-sticky loses assignments under frequent commits:
 * tried), allow.auto.create.topics false, auto.offset.reset earliest. The caller sets the rest and hands it to
 * rd_kafka_new(). */
rd_kafka_conf_t *kafka_consumer_conf(const struct conf *conf, const char *group, struct err *err);

/* A consumer from such a configuration, which is taken over in any case (NULL: it failed, and the err says why). NULL with
 * an err. */
rd_kafka_t *kafka_consumer_new(rd_kafka_conf_t *settings, struct err *err);

/* Reads partitions of `topic` that are assigned from their beginning again: those of `numbers`. */
void kafka_read_again(rd_kafka_t *rk, const char *topic, const int32_t *numbers, size_t count);

/* 0 while the consumer may go on; -1 with an ERR_FATAL when it has met an error that only a new process recovers from, as when
 * another consumer took its `group.instance.id`. */
int kafka_consumer_sound(rd_kafka_t *rk, struct err *err);

/* An ERR_RETRY that says why no broker answers: what librdkafka said of one within the last minute, else `why`. Returns -1. */
int kafka_unreachable(const char *why, struct err *err);

/* All topics that there are; the caller frees it with rd_kafka_metadata_destroy(). NULL with an ERR_RETRY when Kafka does not answer within
 * `timeout_ms`. */
const struct rd_kafka_metadata *kafka_topics(rd_kafka_t *rk, int timeout_ms, struct err *err);

/* Number of partitions of a topic; waits for it to exist up to `timeout` microseconds. -1 with an err. */
int32_t kafka_partition_count(rd_kafka_t *rk, const char *topic, int64_t timeout, struct err *err);

/* The same, asked once: 0 when there is no such topic, -1 with an ERR_RETRY when Kafka does not answer. */
int32_t kafka_partitions(rd_kafka_t *rk, const char *topic, struct err *err);

/* What a partition holds: from `low` up to, but not including, `high`. */
struct kafka_range {
    int64_t low;
    int64_t high;
};

/* Of the first `count` partitions of a topic. -1 with an err. */
int kafka_ends(rd_kafka_t *rk, const char *topic, struct kafka_range *ranges, int32_t count, struct err *err);

/* Of those partitions, in their order. -1 with an err. */
int kafka_ends_of(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *partitions, struct kafka_range *ranges,
                  struct err *err);

/* What a consumer group has committed there, whoever asks; -1 where that is nothing. -1 with an err. */
int kafka_group_offsets(const struct conf *conf, const char *group, const char *topic, int64_t *offsets, int32_t count,
                        struct err *err);

/* How many members each of `count` groups has, 0 where Kafka does not know the group; -1 where it gives no answer about one. -1 with an
 * err unless all brokers answered. */
int kafka_group_members(rd_kafka_t *rk, char *const *groups, int *members, size_t count, struct err *err);

/* Part of a partition: from an offset up to, but not including, another. */
struct kafka_part {
    char *topic; /* borrowed */
    int32_t partition;
    int64_t from;
    int64_t to;
};

/* Reads parts of topics as a member of no group, until `*stop` is set. -1 with an ERR_RETRY when Kafka gives nothing for
 * `patience` microseconds, or when it was stopped. */
int kafka_read_parts(const struct conf *conf, const struct kafka_part *parts, size_t count, int64_t patience,
                     void (*each)(const rd_kafka_message_t *message, void *arg), void *arg,
                     const volatile sig_atomic_t *stop, struct err *err);

/* Value of a message header, NULL when absent; not NUL-terminated, borrowed. */
const char *kafka_message_header(const rd_kafka_message_t *message, const char *name, size_t *len);
char *kafka_message_header_text(const rd_kafka_message_t *message, const char *name); /* a copy the caller frees */

/* The record's key as a text ("" when it has none), which the caller frees. */
char *kafka_message_key_text(const rd_kafka_message_t *message);

/* The offboarding that the record's key names, in lower case. -1 when it names none; `id` is not written then. */
int kafka_message_id(const rd_kafka_message_t *message, char id[ID_SIZE]);

/* Reads a compacted topic whole: `each` gets every message up to the end offsets as they were at the call, in
 * partition order. The handle that comes back stays assigned: go on with rd_kafka_consumer_poll(), end with
 * rd_kafka_consumer_close() and rd_kafka_destroy(). NULL with an err. */
rd_kafka_t *kafka_follow(const struct conf *conf, const char *topic, int64_t timeout,
                         void (*each)(const rd_kafka_message_t *message, void *arg), void *arg, struct err *err);

#endif
