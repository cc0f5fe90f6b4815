/* What the files around the engine share: the worker, its systems, the partitions they hold, the jobs in hand.
 *
 * A record's way: dispatch.c reads it from a stream, partition.c makes it a task or knows it already, lane.c says
 * when it is its turn, task.c runs it on a fiber, emit.c makes the event, outbox.c brings it to Kafka, task.c marks
 * it finished, commit.c commits. feed.c is a system's consumer, assignment.c takes and gives partitions, rest.c
 * brings a system to rest, follow.c listens to orders.
 *
 * All on the loop's thread; only assignment.c asks Kafka from libuv's pool. */
#ifndef OFFBOARD_WORKER_INTERNAL_H
#define OFFBOARD_WORKER_INTERNAL_H

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/keyring.h"
#include "lib/message.h"
#include "lib/metrics.h"
#include "lib/tail.h"
#include "worker/answered.h"
#include "worker/fiber.h"
#include "worker/lane.h"
#include "worker/memory.h"
#include "worker/progress.h"
#include "worker/worker.h"

enum {
    WORKER_MAGIC = 0x574f524b,
    FEED_MAGIC = 0x46454544,
    TASK_MAGIC = 0x5441534b,
    HAND = 200,        /* most unfinished jobs in hand of one stream; keeps the offset metadata small too */
    READ_BACK = 10000, /* records of a stream looked at again on assignment, to know what ran (design) */
};

struct worker;
struct feed;
struct partition;
struct outgoing;
struct follower;
struct poll;
struct watch;

/* One partition of one of a system's two topics. */
struct stream {
    struct partition *partition;
    bool urgent;
    rd_kafka_queue_t *queue; /* NULL: not read (any more) */
    struct progress *progress;
    struct tail tail;
    unsigned int generation;   /* counts how often the topic was made anew: offsets of another one mean other records */
    int64_t committed;         /* offset when the partition was taken: what lies before it is only remembered */
    int64_t forgotten;         /* records before this offset may have been answered: feed->answered knows; 0: none */
    bool restored;             /* everything before `committed` was looked at */
    rd_kafka_message_t *first; /* read a record too far while restoring, or one whose key is not known yet */
    int64_t doubt;             /* of keyring_open(), about that one */
    size_t in_hand;            /* unfinished jobs */
    bool dirty;                /* something is to be committed that `progress_changed` no longer tells */
    bool sent;                 /* part of the commit under way */
    bool failed;               /* was part of the last commit, in vain */
};

enum { NORMAL, URGENT, STREAMS };

/* Partition n of both topics: always with one worker. Lives until it is let go and its last task has ended. */
struct partition {
    struct feed *feed;
    int32_t number;
    struct stream streams[STREAMS];
    struct memory *memory;
    bool held;    /* ours to read and to commit */
    size_t tasks; /* that point here */
};

enum task_state {
    TASK_WAITING,  /* behind another job of its offboarding */
    TASK_READY,    /* its turn; waits for a slot */
    TASK_RUNNING,  /* on a fiber in the engine */
    TASK_EMITTING, /* its event (or dead letter) is on the way to Kafka */
};

/* A record that repeats a job in hand: finished when that one is. */
struct twin {
    struct twin *next;
    struct stream *stream;
    unsigned int generation;
    int64_t offset;
};

/* One record in hand. */
struct task {
    int magic;
    enum task_state state;
    struct task *next; /* all in hand of the system */
    struct task *previous;
    struct task *next_ready;
    struct stream *stream;
    unsigned int generation; /* of the stream when it was read */
    int64_t offset;
    int64_t timestamp;  /* of the record, microseconds */
    struct job job;     /* job.message is owned; NULL: a dead letter */
    const char *job_id; /* borrowed from job.message, as are the next two */
    const char *offboarding_id;
    const char *action;
    int64_t attempt;
    char *traceparent; /* a child of the record's */
    char trace_id[TRACE_ID_SIZE];
    struct twin *twins;
    int64_t started;        /* monotonic */
    int64_t held_since;     /* monotonic; 0: its clock runs */
    int64_t held;           /* microseconds its clock stood still */
    unsigned int told;      /* interruptions the engine was told, a bit each */
    struct fiber *beginner; /* waits for the commit of its begin */
    int begin_result;
    bool begin_sent; /* the begin is part of the commit under way */
    json_t *event;
    int shrunk; /* how much of the event was left out already */
};

struct task_queue {
    struct task *first;
    struct task *last;
    size_t count;
};

enum assignment { ASSIGNMENT_NONE, ASSIGNMENT_PREPARING, ASSIGNMENT_HELD };

/* A system as this worker reads it: its consumer, what it holds, what it has in hand. */
struct feed {
    int magic;
    struct worker *worker;
    char *name;
    char *topics[STREAMS];
    char *results; /* the topic of what is said of its jobs */
    rd_kafka_t *consumer;
    rd_kafka_queue_t *group_events;  /* rebalances, errors */
    rd_kafka_queue_t *commit_events; /* results of commits; the last rebalance while closing */
    int wake_fd;                     /* eventfd that librdkafka writes to when a queue is no longer empty */
    uv_poll_t wake;
    uv_async_t again; /* look once more: something changed on our side */
    bool again_sent;

    /* assignment.c */
    enum assignment assignment;
    uint64_t round;        /* counts the group's assignments: an older one's preparation is worth nothing */
    int64_t prepare_again; /* monotonic; 0: no failed preparation waits to be tried again */
    rd_kafka_topic_partition_list_t *assigning;
    bool revoking; /* the group waits for our answer */
    bool assigned_once;
    int32_t partition_count; /* of each topic */
    struct partition **partitions;
    size_t held;
    size_t cursor;             /* where reading goes on: partitions take turns */
    int64_t anew[STREAMS];     /* monotonic; when the topic was last found to be made anew; 0: never */
    struct answered *answered; /* when Kafka has forgotten our offsets; NULL: it has not */

    /* dispatch.c and task.c */
    struct lanes *lanes;
    struct task *tasks;
    struct task_queue ready[STREAMS];
    size_t running[STREAMS];
    size_t in_flight; /* worker.in_flight */
    size_t reserved;  /* of these, kept for urgent jobs */
    bool refused;     /* we asked for a pause and have not seen it yet */

    /* commit.c */
    bool committing;
    uint64_t commit_round; /* `round` when the commit under way was sent */
    int64_t commit_due;    /* monotonic; 0: nothing to commit */
    uv_timer_t commit_timer;

    /* rest.c */
    bool resting;
    int64_t rest_interrupt; /* monotonic: then running jobs are interrupted */
    int64_t rest_force;     /* monotonic: then we go on without them */
    bool closing;
    bool closed;

    const char *told;    /* tell.c: the system's state as told last; NULL: nothing was */
    struct poll *polls;  /* poll.c: sources that ask this system; a list */
    struct watch *watch; /* watch.c; NULL: the system's check is not made */

    struct series *jobs_running;
    struct series *job_duration;
    struct series *time_to_revoke;
    struct series *lag[STREAMS];
    struct series *circuit_open;
    struct series *paused;
    struct series *repeats;
    struct series *partitions_held;
};

struct worker {
    int magic;
    uv_loop_t *loop;
    const struct conf *conf;
    struct definitions *definitions;
    struct engine *engine;
    struct kafka_producer *producer;
    struct kafka_health *health;
    struct keyring *keyring;
    uv_poll_t producer_poll;
    struct outgoing *outbox;
    struct control *control;
    struct follower *follower;
    struct feed **feeds;
    size_t feed_count;
    uv_timer_t tick;
    size_t open_handles; /* libuv handles and requests of ours */
    int64_t job_time;
    bool draining;
    volatile sig_atomic_t leaving; /* as `draining`, for what reads in the pool */
    bool freeing;
    int64_t drain_force; /* monotonic */
    void (*drained)(void *arg);
    void *drained_arg;
    struct metric *jobs_total;
    struct series *commit_failures;
};

/* ---- feed.c ------------------------------------------------------------------------------------------------------ */

struct feed *feed_new(struct worker *worker, const char *name);
int feed_start(struct feed *feed, struct err *err); /* joins its group; what there is to do is heard of by the loop */
void feed_go_on(struct feed *feed);                 /* serves, reads, starts; from the loop */
void feed_look_again(struct feed *feed);            /* feed_go_on() soon; from anywhere on our thread */
void feed_end(const struct feed *feed, const char *why) __attribute__((noreturn)); /* Kafka takes no commits of ours */
void feed_close_handles(struct feed *feed);
bool feed_leads(
    const struct feed *feed);      /* does this process hold partition 0, and is it here to stay? One of all replicas */
void feed_free(struct feed *feed); /* after its handles are closed and the outbox is empty */

/* ---- assignment.c ------------------------------------------------------------------------------------------------ */

void assignment_event(struct feed *feed, rd_kafka_event_t *event);
void assignment_step(struct feed *feed);          /* tries a failed preparation again */
void assignment_answer_revoke(struct feed *feed); /* lets all partitions go and tells the group */
void assignment_lost(struct feed *feed);          /* another worker may have them already */

/* ---- partition.c ------------------------------------------------------------------------------------------------- */

/* Where to start reading a stream, and what its offset metadata said. */
struct stream_start {
    int64_t committed;
    int64_t from;
    const char *metadata; /* borrowed; NULL: none */
    bool fresh;           /* Kafka had no offset that counts */
    int64_t forgotten;    /* the records before this offset may have been answered; 0: none */
};

struct partition *partition_new(struct feed *feed, int32_t number);
void stream_open(struct stream *stream, const struct stream_start *start);
void partition_let_go(struct partition *partition);  /* stops reading; what still runs is not committed */
void partition_release(struct partition *partition); /* one task less; frees it when it was the last and it is let go */
bool partition_restored(const struct partition *partition);
int64_t record_time(const rd_kafka_message_t *record); /* its timestamp in microseconds, 0: none */
bool stream_read(struct stream *stream);               /* takes one record; false when there is none */
/* Its offset means the record that was read; not so when the topic was made anew since. */
void stream_finished(struct stream *stream, unsigned int generation, int64_t offset);

/* ---- dispatch.c -------------------------------------------------------------------------------------------------- */

void dispatch(struct feed *feed); /* serves Kafka's events, reads what there is room for, starts what may start */
bool dispatch_open(const struct feed *feed); /* may jobs of the system start now? */
void dispatch_ready(struct task *task);      /* it is the task's turn: it waits for a slot from now on */
void dispatch_drop_unstarted(struct feed *feed);

/* ---- task.c ------------------------------------------------------------------------------------------------------ */

void task_ask_for_pause(struct feed *feed); /* when the engine says that the system refuses our credentials */

/* Takes over `message`. */
struct task *task_new(struct stream *stream, const rd_kafka_message_t *record, json_t *message);
void task_drop(struct task *task);    /* it was not started, or ends without a word: uncommitted */
void task_start(struct task *task);   /* a ready one */
void task_settled(struct task *task); /* its event, or dead letter, is in Kafka */
void task_resume_begin(struct task *task, int result);
void tasks_interrupt(struct feed *feed, enum interruption why, bool held_only);
void tasks_interrupt_cancelled(struct feed *feed);
void tasks_check_clocks(struct feed *feed);
const char *task_cancelled(const struct task *task); /* the reason, NULL when it isn't */

/* ---- emit.c, outbox.c -------------------------------------------------------------------------------------------- */

/* Emits the task's event; takes over nothing. `context` is merged into the event's. */
void emit_result(struct task *task, const char *outcome, int status, const char *message, const json_t *context);
void emit_dead(struct task *task, rd_kafka_message_t *record, const char *reason); /* takes the record over */
void emit_pause(struct feed *feed, const char *reason);
void emit_system(struct feed *feed, const struct system_health *health);     /* the event `system.<state>` */
int emit_before(struct job *job, const json_t *image, const json_t *sealed); /* struct job's before() */

/* Told once, from the loop: NULL when Kafka has it, or when its offboarding was erased; else an ERR_PERMANENT (too large). */
typedef void outbox_settled(void *arg, const struct err *err);

/* A record for Kafka; everything is owned. `dead` set: a dead letter with `reason`, the rest unused. */
struct outgoing {
    struct outgoing *next;
    struct worker *worker;
    char *topic;
    char *key;
    char *type;
    char *id;
    char *traceparent;
    char *value;
    size_t value_len;
    rd_kafka_message_t *dead;
    size_t dead_size; /* bytes of its value as it came */
    char *reason;
    char *seal;      /* the offboarding under whose key the value is sealed; NULL: it goes in clear */
    int64_t doubt;   /* of kafka_produce() */
    bool erased;     /* that key is gone: nothing is said any more */
    bool structured; /* the value is a CloudEvent in structured form */
    bool stubborn;   /* tried again even when Kafka refuses it for its size */
    outbox_settled *settled;
    void *arg;
    int64_t again; /* monotonic: when it is tried again */
    struct err refused;
};

void outbox_send(struct worker *worker, struct outgoing *outgoing); /* taken over */
void outbox_step(struct worker *worker);                            /* tries again what is due */
void outbox_release(struct worker *worker);

/* ---- commit.c ---------------------------------------------------------------------------------------------------- */

void commit_start(struct feed *feed);
void commit_soon(struct feed *feed);
void commit_now(struct feed *feed);
void commit_event(struct feed *feed, rd_kafka_event_t *event);
bool commit_clean(const struct feed *feed); /* everything that is finished is committed */
int commit_begin(struct job *job);          /* struct job's begin() */

/* ---- rest.c ------------------------------------------------------------------------------------------------------ */

/* No new job; what runs is interrupted after `wait` and left behind after `grace` (microseconds). */
void rest_begin(struct feed *feed, int64_t wait, int64_t grace);
void rest_step(struct feed *feed); /* goes on when a task has ended, a commit came back or time has passed */

/* ---- poll.c ------------------------------------------------------------------------------------------------------ */

/* Sources with `poll` that ask this system. Whoever holds partition 0 of its jobs asks: one process at a time. */
int polls_start(struct feed *feed, struct err *err);
void polls_step(
    struct feed *feed); /* from the loop: begins what is due, ends what runs while the system comes to rest */
bool polls_running(const struct feed *feed);
void polls_free(struct feed *feed); /* none may be running */

/* ---- watch.c ----------------------------------------------------------------------------------------------------- */

void watch_start(struct feed *feed);
void watch_step(struct feed *feed); /* from the loop, as polls_step() */
bool watch_running(const struct feed *feed);
void watch_free(struct feed *feed); /* it may not be running */

/* ---- tell.c ------------------------------------------------------------------------------------------------------- */

void tell_step(struct feed *feed); /* from the loop: tells what has changed with the system */

/* ---- measure.c --------------------------------------------------------------------------------------------------- */

void measure_worker(struct worker *worker);
void measure_feed(struct feed *feed);
void measure_lag(struct feed *feed);
void measure_job(const struct task *task, const char *outcome); /* once for each that ended */

/* ---- follow.c ---------------------------------------------------------------------------------------------------- */

/* Reads offboard.control to its end. */
struct follower *follow_start(struct worker *worker, struct err *err);
void follow_stop(struct worker *worker); /* the handle closes later */
void follow_free(struct worker *worker);

#endif
