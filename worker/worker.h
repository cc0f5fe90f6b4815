/* offboard-worker: takes jobs of one or more systems from Kafka, makes their connector's calls, emits events.
 *
 * One libuv loop. dispatch.c reads a system's two topics (jobs, urgent) with one Kafka consumer a system, partition queue
 * by partition queue; lane.c runs the jobs of one offboarding one after another; each running job is a fiber in the engine;
 * emit.c puts its event on Kafka; when that is acknowledged, progress.c marks it finished and the offset (with its
 * metadata) is committed.
 *
 * A job's offset is committed after its event is in Kafka. A `once` call starts only after its begin is committed. A job
 * that was read as begun but not finished is deferred by its connector's `settle`, with `begun` in its state. A job
 * that is met twice is known (memory.c) and run once. */
#ifndef OFFBOARD_WORKER_H
#define OFFBOARD_WORKER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/conf.h"
#include "lib/control.h"
#include "lib/definition.h"
#include "lib/err.h"
#include "lib/kafka.h"

/* ---- engine.c and its files: one job, connector calls, retries ----------------------------------------------------- */

struct engine;

/* Why a running job should come to rest soon. */
enum interruption {
    INTERRUPT_NONE,
    INTERRUPT_DRAIN,     /* the process stops or the partition goes: defer what is left, due at once */
    INTERRUPT_TOO_LONG,  /* worker.job_time is over (circuit waits not counted) */
    INTERRUPT_CANCELLED, /* offboarding cancelled: end as `cancelled` before the next changing call */
};

/* One job as the engine sees it. The caller owns everything; it must outlive engine_run(). */
struct job {
    json_t *message; /* offboarding object with `job` */
    const char *system;
    bool begun_before; /* a `once` call began, or may have begun, in a life before this */
    /* Called on the job's fiber before the first `once` call: returns when the begin is committed (0), or -1 when the
     * partition is lost: then the call must not be made. */
    int (*begin)(struct job *job);
    /* Called on the job's fiber before the first change to an account: returns when Kafka has the before-image and the sealed
     * values (borrowed, either may be NULL; schema/messages.md, `job.before`), -1 when they can't be kept: then nothing may be
     * changed. */
    int (*before)(struct job *job, const json_t *image, const json_t *sealed);
    /* Told whenever the engine starts (true) or ends (false) waiting for the circuit or a pause: the job's clock stops meanwhile. */
    void (*held)(struct job *job, bool held);
    /* Told of each request right before it is sent (borrowed, masked): {at, search, look, changes, method, url, body, request,
     * context}, where `request` is the connector's and `context` what its expressions see. NULL: nobody wants to know. */
    void (*asks)(struct job *job, const json_t *question);
    void *owner;

    /* The engine's own. */
    enum interruption interruption;
    struct engaged *engaged; /* what its fibers sleep on or send */
    int held_fibers;         /* how many of them wait for the circuit */
};

/* Sets what a job calls to what one needs that changes nothing and is on no partition: a check, a poll. */
void job_only_reads(struct job *job);

/* What became of it. Everything is owned by the result; release with engine_result_release(). */
struct engine_result {
    const char *
        outcome; /* "succeeded", "already_done", "skipped", "missing", "deferred", "failed", "blocked", "denied", "cancelled" */
    int status;    /* last HTTP status, 0: none */
    char *message; /* one sentence, masked */
    json_t *
        context; /* outputs, due_at, state, pinned, verified, calls, provides: the event's part that the engine knows */
    json_t *trace;  /* after engine_trace(): every call, with `sent` and `received` {headers, body}; NULL: none */
    bool abandoned; /* begin() said the partition is lost: emit nothing */
};

/* Connectors of `systems` (NULL-ended) must be loaded and their required settings given, else ERR_FATAL that names them. */
struct engine *engine_new(uv_loop_t *loop, const struct conf *conf, struct definitions *definitions,
                          const char *const *systems, struct err *err);
void engine_free(struct engine *engine);

/* Runs a job to a result, on the calling fiber. Never fails: trouble is an outcome. */
void engine_run(struct engine *engine, struct job *job, struct engine_result *result);
void engine_result_release(struct engine_result *result);

/* For who tries a connector. Results hold every call as it went out and came back. A job whose vendor can't be reached fails at once
 * instead of trying again. */
void engine_trace(struct engine *engine);
void engine_impatient(struct engine *engine);

/* Brings a waiting job to rest; called from the loop. Harmless when it doesn't wait: it is seen at the next wait. */
void engine_interrupt(struct job *job, enum interruption why);

/* Part of the rate limits this process may use: partitions held / partitions of the topic, 0..1. */
void engine_set_share(struct engine *engine, const char *system, double share);

/* May this system be called now? False while its circuit is open: stop reading its partitions. */
bool engine_available(const struct engine *engine, const char *system);

/* How a system is: `state` "down", "refused" (it rejects our credentials), "throttled" or "up", NULL: nobody knows yet. `since` is a
 * point in time, `status` the vendor's HTTP status (0: none). */
struct system_health {
    const char *state;
    int64_t since;
    int status;
    const char *why; /* borrowed; NULL when it is up */
};
void engine_health(const struct engine *engine, const char *system, struct system_health *health);

/* `check` of a connector, on the calling fiber: 0, or -1 with the reason. */
int engine_check(struct engine *engine, const char *system, struct err *err);
bool engine_has_check(const struct engine *engine, const char *system);

enum credential { CREDENTIAL_UNKNOWN, CREDENTIAL_TAKEN, CREDENTIAL_REFUSED };

/* The same as a word about the credential: one attempt, on the calling fiber, with an err but when it is taken. Unknown: the system
 * didn't say. `job` is zeroed by the caller; with it the attempt can be interrupted. */
enum credential engine_credential(struct engine *engine, const char *system, struct job *job, struct err *err);

/* When the system's credential ends, by `systems.<system>.expires`; 0: nobody said. */
int64_t engine_expires(const struct engine *engine, const char *system);

/* What configuration lacks for some actions of a system, which will be blocked; NULL: nothing. The caller frees. */
char *engine_lacks(const struct engine *engine, const char *system);

/* True (once) when a `denied` outcome was confirmed by a failing `check`: the caller pauses the system. `why` is for the
 * caller to free. */
bool engine_refused(struct engine *engine, const char *system, char **why);

/* Microseconds, real time, that a begun `once` job of this action waits before it is looked at again. */
int64_t engine_settle(struct engine *engine, const char *system, const char *action); /* microseconds */

/* ---- consume.c and its files ------------------------------------------------------------------------------------------ */

struct worker;

/* `systems` is a NULL-ended list. Reads offboard.control to its end before it subscribes. */
struct worker *worker_new(uv_loop_t *loop, const struct conf *conf, struct definitions *definitions,
                          const char *const *systems, struct err *err);

/* Starts draining: no new job; what runs is given worker.drain_grace, then deferred; offsets committed; `done` called. */
void worker_drain(struct worker *worker, void (*done)(void *arg), void *arg);
void worker_free(struct worker *worker);
bool worker_ready(struct worker *worker, char **why);

#endif
