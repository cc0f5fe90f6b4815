/* offboard-scheduler: publishes what is due. One rule, for stages, retries, polls, reminders and the post-90-day clean-up.
 *
 * One pass, in one transaction: DELETE the earliest due rows FOR UPDATE SKIP LOCKED RETURNING what they stand for, build
 * the job messages (or `phase.due` events) from PostgreSQL, produce them, wait until all are acknowledged, commit. A crash
 * in between publishes them again with the same id and attempt, which workers skip. Several replicas share the work by
 * SKIP LOCKED. LISTEN on channel `due` wakes it; else it sleeps until the next due row, at most scheduler.poll.
 *
 * It starts only when the logger has reached the end offsets of offboard.events as they were at start: a restored backup
 * must not publish the past. Once every scheduler.republish_every it publishes again (same id, same attempt) the jobs
 * `ready` without a row in `due` and scheduler.republish_after past their time, unless their system is paused.
 *
 * It writes nothing in PostgreSQL but the deletion from `due`. */
#ifndef OFFBOARD_SCHEDULER_H
#define OFFBOARD_SCHEDULER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/err.h"
#include "lib/kafka.h"
#include "lib/pg.h"

struct scheduler;

struct scheduler *scheduler_new(const struct conf *conf, struct err *err);
void scheduler_free(struct scheduler *scheduler);

/* Until daemon_stopping. Temporary trouble (database or broker away) is waited out and logged once. */
int scheduler_run(struct scheduler *scheduler, struct err *err);

/* gate.c: has the logger reached the end offsets as they were at the first call? */
int scheduler_gate_open(struct scheduler *scheduler, bool *open, struct err *err);

/* due.c: one pass. `published` gets the number of rows, `late_us` how late the latest of them was. */
int scheduler_publish_due(struct scheduler *scheduler, int *published, int64_t *late_us, struct err *err);

/* republish.c: jobs nobody answered for. */
int scheduler_republish(struct scheduler *scheduler, int *published, struct err *err);

#endif
