/* offboard-scheduler: publishes what is due. One rule, for stages, retries, polls, reminders and the post-90-day clean-up.
 *
 * One pass, in one transaction: DELETE the earliest due rows FOR UPDATE SKIP LOCKED RETURNING what they stand for, build
 * the job messages (or `phase.due` events, or records of the roster) from PostgreSQL, produce them, wait until all are acknowledged, commit. A crash
 * in between publishes them again with the same id and attempt, which workers skip. Several replicas share the work by
 * SKIP LOCKED. LISTEN on channel `due` wakes it; else it sleeps until the next due row, at most scheduler.poll.
 *
 * It starts only when the logger has reached the end offsets of offboard.events and offboard.control as they were when it connected:
 * a restored backup must not publish the past. What waits in Kafka for its worker then is not published a second time. Once every scheduler.republish_every it looks at jobs that have no answer
 * scheduler.republish_after past their time. Those whose message still waits for its worker are left alone. Of those that are
 * lost it says so, with the event `job.lost`: the logger makes the next attempt of it, which is due at once.
 *
 * When the date of a waiting offboarding comes, it asks the planner, which counts starts: a record `due/<id>` on offboard.roster, which
 * stays there until it is answered. By `ended/<id>` and `approved/<id>` it tells the planner what became of offboardings.
 *
 * It writes nothing in PostgreSQL but the deletion from `due` and `roster_notice`. What is due, and the messages, are SQL:
 * schema/005_schedule.sql. */
#ifndef OFFBOARD_SCHEDULER_H
#define OFFBOARD_SCHEDULER_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/err.h"
#include "lib/every.h"
#include "lib/id.h"
#include "lib/kafka.h"
#include "lib/keyring.h"
#include "lib/pg.h"

struct scheduler;

struct scheduler *scheduler_new(const struct conf *conf, struct err *err);
void scheduler_free(struct scheduler *scheduler);

/* Until daemon_stopping. Temporary trouble (database or broker away) is waited out and logged once. */
int scheduler_run(struct scheduler *scheduler, struct err *err);

/* gate.c: has the logger reached the end offsets as they were at the first call? */
int scheduler_gate_open(struct scheduler *scheduler, bool *open, struct err *err);
void scheduler_gate_close(struct scheduler *scheduler); /* the ends are read anew */

/* due.c: one pass. `published` gets the number of rows, `late_us` how late the latest of them was. */
int scheduler_publish_due(struct scheduler *scheduler, int *published, int64_t *late_us, struct err *err);

/* ---- publish.c: messages to Kafka -------------------------------------------------------------------------------- */

/* A system's two topics. One whose topics are not there is barred for a while, so that it stops nobody else's jobs. Where they have never been
 * there, the company has no such system: its jobs are skipped. */
struct lane {
    char *system;
    char *jobs_topic;
    char *urgent_topic;
    bool open;            /* the topics are there, and the producer knows them */
    bool absent;          /* the topics are not there, and never were */
    int64_t missed_at;    /* monotonic: when topics that never were there were missed first; 0: they were not */
    int64_t barred_until; /* monotonic; 0: not barred */
};

/* One row on its way to Kafka. */
struct delivery {
    struct publisher *publisher;
    struct lane *lane; /* NULL: an event */
    json_t *failure;   /* what to say if it can never be published: context of job.failed; owned; NULL for events */
    char *reason;      /* why it failed; NULL: it did not. Owned */
    char *key;
    int64_t doubt; /* of kafka_produce() */
    enum err_class class;
};

/* waiting.c: jobs in Kafka that no worker has read yet, by the ids of their records. */
struct waiting {
    void *ids; /* of tsearch(3) */
    size_t count;
};

struct publisher {
    const struct conf *conf;
    struct kafka_producer *producer;
    struct kafka_health *health;
    struct keyring *keyring;
    rd_kafka_t *client; /* for metadata and offsets */
    char *events_topic;
    char *roster_topic;
    char *control_topic;
    struct lane **lanes;
    size_t lane_count;
    struct delivery **deliveries;
    size_t delivery_count;
    size_t open;            /* not yet reported */
    bool keys_away;         /* in this pass a key was waited for in vain */
    struct waiting waiting; /* as of the connection to PostgreSQL */
};

/* The system whose jobs a topic holds, NULL when it is another kind of topic. Borrowed from `topic`. */
const char *system_of_topic(const struct conf *conf, const char *topic);

int waiting_read(struct waiting *waiting, struct publisher *publisher, struct err *err);
bool waiting_has(const struct waiting *waiting, const char *id);
void waiting_clear(struct waiting *waiting);

int publisher_init(struct publisher *publisher, const struct conf *conf, struct err *err);
void publisher_release(struct publisher *publisher);

/* The rows of due_messages() to Kafka, and waits until all are acknowledged; stale ones, and jobs that wait there, are left out. A job too large for
 * Kafka is answered with a job.failed event in its stead. ERR_RETRY: not all are out; systems to blame are barred, the
 * others' may be published again. */
int publisher_publish(struct publisher *publisher, PGresult *rows, struct err *err);

/* An event of our own; borrowed, but for `context`. */
struct own_event {
    const char *name;
    const char *key; /* the offboarding; of `system.…` the system */
    const char *message;
    json_t *context; /* taken over */
    const char *traceparent;
};

/* Such events, between a begin and an end, which waits until all are acknowledged. */
int publisher_begin(struct publisher *publisher, struct err *err);
void publisher_event(struct publisher *publisher, const struct own_event *event);
int publisher_end(struct publisher *publisher, struct err *err);

/* Systems barred now, as an array literal for due_messages(). The caller frees. */
char *publisher_barred(struct publisher *publisher);

/* ---- queues.c: how far the workers have come --------------------------------------------------------------------- */

/* A partition of a system's topic. */
struct place {
    int64_t low;
    int64_t high;
    int64_t committed; /* by its workers; -1: nothing */
};

/* Where its workers read on: from the beginning when they have committed nothing, or something that isn't there. */
int64_t place_reads_from(const struct place *place);

/* Of all partitions of a topic of the system's; the caller frees. NULL with an err. */
struct place *places_of(const struct conf *conf, rd_kafka_t *client, const char *system, const char *topic,
                        int32_t *count, struct err *err);

/* Where an answer may stand: on offboard.events, and on offboard.results.<system>. */
enum { SAID_BY_US, SAID_BY_WORKER, ANSWERS };

/* One system's topics, and offboard.events, as they are at one moment. */
struct queue {
    struct queue *next;
    char *system;            /* NULL: there are only the events */
    bool known;              /* Kafka has answered */
    struct place *places[2]; /* of its jobs, and of the urgent ones */
    int32_t counts[2];
    char *answer_topics[ANSWERS]; /* NULL: there is none */
    struct kafka_range *answers[ANSWERS];
    int32_t answer_counts[ANSWERS];
};

/* The system's, asked for at the first call. NULL: Kafka doesn't answer, which is logged. */
const struct queue *queues_of(struct queue **queues, struct publisher *publisher, const char *system);
void queues_free(struct queue *queues);

/* ---- lost.c, suspect.c -------------------------------------------------------------------------------------------- */

/* lost.c: jobs that are lost, and phases that nobody answered for, are reported in events. Of several schedulers one does it.
 * `told` gets how many; `soon`: some will be known to be lost, or not, within seconds. */
int scheduler_find_lost(struct scheduler *scheduler, int *told, bool *soon, struct err *err);
/* What was published and has no answer. */
struct suspect {
    char id[ID_SIZE]; /* the job's; of a phase its offboarding's */
    int64_t attempt;  /* of a phase its position */
    int64_t read_to;  /* end of its partition when it was first looked at: its message lies before */
    bool read;        /* its message had been read when it was looked at */
    int64_t answered_to
        [ANSWERS]; /* then: the ends of the partitions where its answer would stand; it lies before one of them */
};

struct suspects {
    struct suspect *list; /* sorted by id and attempt */
    size_t count;
};

void suspects_release(struct suspects *suspects);

/* suspect.c: is it lost? `place`: its partition at its system; NULL for a phase, whose message is an event. `ends` (of the partitions
 * where its answer would stand) were read after `place`, and `recorded`, how far the logger is in them, before PostgreSQL was asked
 * whether it is still unanswered. */
bool suspect_lost(struct suspect *suspect, const struct place *place, const int64_t ends[ANSWERS],
                  const int64_t recorded[ANSWERS]);

/* ---- attend.c ----------------------------------------------------------------------------------------------------- */

/* Systems whose jobs wait while no worker is there, and those that have one again: told in events when it changes. Kafka is asked every
 * scheduler.figures_every on a thread of its own, by a client of its own: what is due does not wait for a coordinator that is slow. */
struct attendance {
    const struct conf *conf;
    rd_kafka_t *client;
    struct every *every;
    atomic_bool wanted; /* by the scheduler that tells */
    bool trouble;       /* Kafka didn't answer, and it was said; the thread's */
    pthread_mutex_t lock;
    json_t
        *asked; /* under the lock: system to whether jobs wait there for a worker that isn't there; NULL: nothing new */
    json_t *seen; /* system to when it was first seen without a worker, microseconds */
    json_t *told; /* system to the event that was told last */
};

int attendance_start(struct attendance *attendance, const struct conf *conf, struct err *err);
void attendance_stop(
    struct attendance *attendance); /* waits for a question under way; harmless when it was not started */
/* Tells what has changed since the last answer. */
int scheduler_look_at_workers(struct scheduler *scheduler, struct err *err);

/* ---- figures.c --------------------------------------------------------------------------------------------------- */

/* Figures of the state as metrics, read every scheduler.figures_every on a thread of its own. */
struct figures {
    struct pg *pg;
    bool leader;    /* holds the lock of the one who tells */
    bool trouble;   /* and it was said */
    PGresult *told; /* rows of state_figures(), as told last */
    struct series *read_at;
    struct every *every;
};

int figures_start(struct figures *figures, const struct conf *conf, struct err *err);
void figures_stop(struct figures *figures); /* waits for a statement under way; harmless when it was not started */

/* ---- scheduler.c ------------------------------------------------------------------------------------------------- */

/* End of one partition that the logger has to reach. */
struct gate_end {
    char *topic;
    int32_t partition;
    int64_t offset;
};

struct scheduler_metrics {
    struct metric *published;
    struct series *lateness;
    struct series *overdue;
    struct series *gate_open;
};

struct scheduler {
    const struct conf *conf;
    struct pg *pg;
    struct publisher publisher;
    struct gate_end *ends;
    size_t end_count;
    bool gate_known; /* `ends` is complete */
    bool gate_open;
    bool session_ready;
    bool leader;     /* holds the lock of those who look for what is lost */
    int64_t look_at; /* monotonic; when it is looked for next */
    struct suspects suspects;
    struct attendance attendance;
    int64_t
        next_due; /* monotonic; when the earliest row of `due` is due, or scheduler.poll from now; 0: not asked yet */
    int64_t backlog_late; /* lateness of the worst row since it fell behind; 0: it keeps up */
    int64_t backlog_count;
    atomic_bool ready;
    struct scheduler_metrics metrics;
    struct figures figures;
};

#endif
