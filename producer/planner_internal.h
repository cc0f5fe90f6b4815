/* Between planner.c (the thread), leader.c (who plans, and its memory), streams.c (the topics of HR events), intake.c (all their
 * partitions as one), decide.c (one record) and outputs.c (what is published about it). */
#ifndef OFFBOARD_PRODUCER_PLANNER_INTERNAL_H
#define OFFBOARD_PRODUCER_PLANNER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/metrics.h"
#include "lib/tail.h"
#include "producer/batch.h"
#include "producer/producer.h"
#include "producer/roster.h"

enum writer { WRITER_HR, WRITER_EDGE, WRITER_WORKER };

/* A topic that HR events come on. */
struct stream {
    char *topic;
    enum writer writer;
    const char *system; /* whose worker writes it, else NULL; borrowed from the definitions */
    int32_t partitions; /* that are read */
    int64_t anew;       /* monotonic; when it was last found to be made anew; 0: never */
    bool missing;       /* it was not there when last looked for, and that is said */
    bool times_told;    /* it is said that its records have their senders' times */
    struct series *lag;
    struct series *lost;
    struct series *violations;
};

/* One partition of a stream, as the leader reads it. */
struct intake {
    struct stream *stream;
    int32_t number;
    int64_t committed; /* the first record that is not decided, or perhaps not all of whose outputs are out */
    int64_t next;      /* the offset that is expected */
    struct tail tail;
    rd_kafka_message_t **records; /* fetched and not taken yet: a ring */
    size_t first, count, room;
    bool at_end;         /* there was no more when it was last looked at */
    bool paused;         /* enough of it is in hand */
    int64_t empty_since; /* monotonic: not at its end, and nothing in hand; 0: it isn't so */
};

struct planner {
    int magic;
    const struct conf *conf;
    struct definitions *definitions;
    struct kafka_producer *producer;
    struct keyring *keyring;
    struct batch *batch;
    struct order_keys *order_keys;
    struct control *control;
    rd_kafka_t *control_rk;
    rd_kafka_t *roster_rk; /* the group of those who may lead */
    rd_kafka_t *rk;        /* reads the streams while this process leads */
    char *events;
    char *control_topic;
    char *roster_topic;
    bool leads;            /* the roster's partition is ours */
    struct roster *roster; /* NULL: not read yet */
    int64_t roster_next;   /* the next offset of its topic */
    bool roster_read;      /* to its end */
    bool reads;            /* and the streams are being read */
    bool doubted;          /* it was said that nobody confirms that this process leads */
    json_t *notices;       /* of the scheduler: key to {value, traceparent}; not answered yet */
    struct stream *streams;
    size_t stream_count;
    struct intake *intakes;
    size_t intake_count;
    int64_t looked_at; /* monotonic; when the number of partitions was last asked for, and the roster swept */
    json_t *published; /* hashes of definitions this process has published */
    json_t *lanes;     /* systems whose topics are there: true; else when they were last looked for, monotonic */
    struct metric *dispositions;
    struct metric *last_event;
    struct metric *without_effect;
    struct series *erased;
    struct series *leading;
    struct series *remembered;
    pthread_t thread;
    atomic_bool stopping;
    atomic_bool ready;
};

/* ---- leader.c ---------------------------------------------------------------------------------------------------- */

int leader_open(struct planner *planner, struct err *err);
void leader_subscribe(struct planner *planner);
/* Follows the group for at most `wait_ms`. True while this process leads and remembers: reads the memory first where it has to. */
bool leader_follow(struct planner *planner, int wait_ms);
/* Does Kafka confirm that nobody else leads? Asked before anything is decided: a process that stood still may not know yet. */
bool leader_confirmed(struct planner *planner);
bool leader_has_notices(const struct planner *planner);
/* Answers the scheduler's notices: outputs go to the planner's batch. */
void leader_answer(struct planner *planner);
void leader_drop(struct planner *planner); /* forgets the memory, and what was read of the streams */

/* ---- streams.c --------------------------------------------------------------------------------------------------- */

void streams_open(struct planner *planner); /* intake, received, and one for each system that a source polls */
void streams_close(struct planner *planner);
struct stream *stream_find(struct planner *planner, const char *topic);
struct stream *stream_of(struct planner *planner, const rd_kafka_message_t *message);
/* How many partitions the topic has; 0: that of a polled system may be missing, which is said. -1 with an err: Kafka does not
 * answer, or another topic is missing after `timeout`. */
int32_t stream_partitions(struct planner *planner, struct stream *stream, int64_t timeout, struct err *err);
/* Keeps of an event what may be believed of a record on this topic. `*dropped` says what was taken away (the caller frees; NULL:
 * nothing). -1 with an err: its writer may not write this event. */
int stream_believe(const struct stream *stream, const struct definitions *definitions, json_t *event, char **dropped,
                   struct err *err);

/* ---- intake.c ---------------------------------------------------------------------------------------------------- */

/* Finds all partitions and where to go on. -1 with an err. */
int intake_find_all(struct planner *planner, struct err *err);
bool intake_is_unfinished(const struct place *place, void *planner);
void intake_read(struct planner *planner); /* begins to read them */
/* Reads partitions that came. True: a whole topic came, whose records may have been decided before, so that the roster is to be read
 * again. */
bool intake_look_for_more(struct planner *planner);
void intake_release_all(struct planner *planner);
/* Takes at most `most` records in the order of their times; waits a little for the first. The caller destroys them. */
size_t intake_take(struct planner *planner, rd_kafka_message_t **messages, size_t most);
void intake_put_back(struct planner *planner, rd_kafka_message_t **messages, size_t count);
void intake_commit(struct planner *planner, rd_kafka_message_t **messages, size_t count);

/* ---- decide.c ---------------------------------------------------------------------------------------------------- */

/* What becomes of one record; outputs go to the planner's batch. */
void decide_record(struct planner *planner, const rd_kafka_message_t *message);
/* Its outputs can't be published: it is set aside, and forgotten. */
void decide_refused(struct planner *planner, const rd_kafka_message_t *message, const char *reason);

/* ---- planner.c --------------------------------------------------------------------------------------------------- */

/* Whether the topics of the system are there. Else the scheduler publishes its jobs: it waits for each system by itself. */
bool planner_publishes(struct planner *planner, const char *system);

/* ---- outputs.c --------------------------------------------------------------------------------------------------- */

/* One record in hand. */
struct record {
    struct planner *planner;
    const rd_kafka_message_t *message;
    struct stream *stream; /* NULL: it is no record's */
    int64_t received_at;
    json_t *event;
    bool forged;   /* its writer may not write it */
    char *dropped; /* what its writer may not say, and was taken away; NULL: nothing */
    struct mapped mapped;
    json_t *plan; /* of a start */
    struct decision decision;
    char *traceparent;
};

/* All that the record's decision leads to. */
void outputs_add(struct record *record);
/* What became of the record, for the table `intake`. */
void outputs_add_intake(struct record *record, enum disposition disposition, const char *offboarding_id,
                        const char *why);
/* The leader's answer to the scheduler: one that waits starts, or is held. */
void outputs_add_start(struct planner *planner, const char *id, bool starts, const char *due_at,
                       const char *traceparent);
/* That the key of an offboarding is gone: an event in clear, as it has to stay. */
void outputs_add_erased(struct planner *planner, const char *id, const char *traceparent);

#endif
