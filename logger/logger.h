/* offboard-logger: events to PostgreSQL, exactly once.
 *
 * A batch of messages from offboard.events, .orders, .results.<system> and .control becomes rows, job states, `due` rows and
 * `UPDATE kafka_offset SET next = $new WHERE next = $old` in one transaction; no row updated means that another logger owns
 * the partition: roll back, let go. Offsets live in PostgreSQL only; Kafka's group shares the partitions between replicas.
 *
 * Order within a batch is kept per offboarding: the statements are set-based, in waves that hold at most one event of each
 * offboarding. One function in SQL, change_job_state(), changes a job's state. A message that can't be decoded, or that
 * PostgreSQL refuses for its data (the batch is then bisected), is set aside on offboard.dead with the reason; everything
 * else is waited out.
 *
 * Each event row carries a hash chain per Kafka partition: hash = SHA-256(previous hash, the row's fields in clear, the
 * commitment to the rest), commitment = SHA-256(the sealed bytes), or of what came in clear SHA-256(salt, body): both can be erased later
 * without breaking the chain. What a batch does is SQL: schema/004_apply.sql.
 *
 * There is one recovery, for a database that is away, a lost partition and a restart alike: forget what is in hand, read
 * kafka_offset, and consume from there (position.c). */
#ifndef OFFBOARD_LOGGER_H
#define OFFBOARD_LOGGER_H

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/conf.h"
#include "lib/err.h"
#include "lib/id.h"
#include "lib/kafka.h"
#include "lib/keyring.h"
#include "lib/pg.h"
#include "lib/time.h"
#include "logger/origin.h"

struct logger;

struct logger *logger_new(const struct conf *conf, struct err *err);
void logger_free(struct logger *logger);

/* Until daemon_stopping. */
int logger_run(struct logger *logger, struct err *err);

/* ---- row.c: one message, read; pure ------------------------------------------------------------------------------ */

struct row {
    rd_kafka_message_t *message; /* owned */
    char *refused;               /* why it can't be recorded (goes to offboard.dead); NULL: it can. Owned */
    int wave; /* how many events of its offboarding came before it in the batch, from 1; 0: changes none */
    char id[ID_SIZE];
    char occurred_at[TIME_TEXT_SIZE];
    char offboarding_id[ID_SIZE]; /* "" when there is none */
    char job_id[ID_SIZE];         /* "" when there is none */
    char *name;
    char *body;         /* JSON text */
    char *note;         /* why it is not believed: it is recorded, and changes nothing. NULL: it is believed */
    char *published_by; /* header ce_source; NULL when absent */
    char *traceparent;  /* header; NULL when absent */
    bool sealed;        /* the message's value is, under the key of `offboarding_id` */
    bool erased;        /* and the key is gone: nobody knows what it says */
};

/* Takes the message over and reads it: an event, or a record of offboard.control, as `origin` says. `opened`: what a sealed one says;
 * NULL: its value says it. */
void row_read(struct row *row, rd_kafka_message_t *message, const struct origin *origin, const struct opened *opened);

#define ROW_ERASED "its key was erased"

/* The same of an event whose key was erased: that there was one is recorded, and changes nothing. */
void row_read_erased(struct row *row, rd_kafka_message_t *message);

void row_release(struct row *row);

/* Marks the row as one that can't be recorded; the first reason stays. */
void row_refuse(struct row *row, const char *reason);

/* ---- batch.c: rows in the order they came; pure ------------------------------------------------------------------ */

struct batch {
    struct row *rows;
    size_t count;
    size_t size; /* bytes of the messages */
};

struct row *batch_add(struct batch *batch); /* zeroed; valid until the next batch_add() */
void batch_clear(struct batch *batch);      /* keeps the memory */
void batch_release(struct batch *batch);

/* Numbers the waves of `count` rows, in their order; but an offboarding's `initiated`, which stands on another topic than its jobs' results,
 * is in the first. */
void batch_number_waves(struct row *rows, size_t count);

/* The rows that can be recorded as COPY's text format, columns as in `batch_copy_sql`. */
extern const char batch_copy_sql[];
void batch_copy(const struct row *rows, size_t count, struct buf *out);

/* ---- position.c: which partitions, and how far ------------------------------------------------------------------- */

/* One partition. Those lost are kept, so that what was set aside is known when they come back. */
struct partition {
    char *topic;
    int32_t id;
    bool owned;
    struct origin origin;
    int64_t next;     /* as kafka_offset has it; -1: not known */
    int64_t expected; /* next, behind what is in hand */
    bool went_back;   /* an offset before `expected` came again */
    int64_t end;      /* end of the partition as the consumer last met it; -1: not met */
    int64_t *dead;    /* offsets from `next` on that this process has set aside */
    size_t dead_count;
};

/* Offboardings whose keys are gone from Kafka, and whose rows in PostgreSQL are still to be emptied. */
struct erasures {
    pthread_mutex_t lock;
    char (*ids)[ID_SIZE];
    size_t count;
};

struct logger {
    const struct conf *conf;
    struct pg *pg;
    struct kafka_producer *producer; /* of dead letters */
    struct kafka_health *health;
    struct keyring *keyring;
    struct erasures erasures;
    bool digests_there; /* PostgreSQL has the key of digests */
    bool digests_sent;  /* in the transaction that is under way */
    bool keys_missed;   /* and missed another one: all are brought once more */
    int64_t keys_due;   /* monotonic; when it is looked for them next */
    int64_t search_due; /* monotonic; when it is searched for single ones that are missing */
    rd_kafka_t *consumer;
    struct partition *partitions;
    size_t partition_count;
    bool placed;            /* the consumer reads from where kafka_offset says */
    bool session_ready;     /* the connection has its stage and settings */
    int64_t partitions_due; /* monotonic; when the next partitions of `event` are to be looked after; 0: at once */
    struct batch batch;
    atomic_bool ready;
    struct logger_metrics *metrics;
};

struct partition *position_find(struct logger *logger, const char *topic, int32_t id); /* NULL when not known */

/* The consumer with its group, subscribed. Waits for the topics up to a second: ERR_RETRY while they are not there. */
int position_subscribe(struct logger *logger, struct err *err);

/* Reads kafka_offset and lets the consumer start there. ERR_RETRY when PostgreSQL or Kafka is away; ERR_FATAL when a
 * partition ends before what kafka_offset has (the topic was made anew, or this is the wrong cluster). */
int position_place(struct logger *logger, struct err *err);

/* ERR_FATAL when a partition that is being read went back before what kafka_offset has: its topic was made anew, or lost its end. */
int position_check(struct logger *logger, struct err *err);

/* Forgets what was set aside before `next`. */
void position_forget_dead(struct partition *partition);

/* Stops fetching and forgets what is in hand, until the next position_place(). The group is kept. */
void position_lift(struct logger *logger);

/* ---- store.c: rows into PostgreSQL ------------------------------------------------------------------------------- */

/* Connects, prepares the session, looks after the months of `event`. */
int store_connect(struct logger *logger, struct err *err);

/* Records the batch in hand, in one transaction, or in several when it has to be bisected. On ERR_RETRY nothing in hand is
 * good any more: position_lift(). */
int store_batch(struct logger *logger, struct err *err);

/* Moves offsets over ends of partitions that hold no message (compaction, retention). */
int store_ends(struct logger *logger, struct err *err);

/* ---- keys.c: keys of personal data for PostgreSQL ----------------------------------------------------------------- */

/* At the beginning of a session: fills the table of keys when it is empty, and finds what was erased meanwhile. ERR_RETRY while the keyring
 * has not read its topic. */
int keys_bring(struct logger *logger, struct err *err);

/* Are they still there? Else an ERR_RETRY, and the session begins anew. Now and then, whatever comes from Kafka. */
int keys_look(struct logger *logger, struct err *err);

/* In the transaction of these rows, before they are applied: the keys of offboardings that they may be the first of. */
int keys_copy(struct logger *logger, const struct row *rows, size_t count, struct err *err);

void erasures_init(struct erasures *erasures);
void erasures_release(struct erasures *erasures);

/* The key is gone; `arg`: the erasures. Called on the keyring's thread. */
void keys_erased(const char id[ID_SIZE], void *arg);

/* Empties the rows of those whose keys are gone. What could not be done is done the next time. */
int keys_erase(struct logger *logger, struct err *err);

/* ---- metrics.c --------------------------------------------------------------------------------------------------- */

struct logger_metrics;
struct logger_metrics *logger_metrics_new(void);
/* Counts the batch that was stored, and tells of what is not believed. */
void logger_metrics_stored(struct logger *logger, const struct batch *batch, int64_t duration);
void logger_metrics_lag(struct logger *logger);
void logger_metrics_partitions(struct logger *logger, double end); /* seconds since 1970 */

#endif
