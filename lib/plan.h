/* Planning: runbook + offboarding = the frozen plan that travels in `initiated` (schema/messages.md, "plan"). Pure: no
 * network, and of the clock only what plan_job_message() notes. */
#ifndef OFFBOARD_LIB_PLAN_H
#define OFFBOARD_LIB_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/definition.h"
#include "lib/err.h"

/* Builds the plan of `offboarding` (its `id`, `runbook`, `source` are read). `day` is clock.day: `after` becomes
 * `after_us`, already scaled. ERR_PERMANENT when the runbook is unknown (names the nearest). New reference. */
json_t *plan_build(const struct definitions *definitions, const json_t *offboarding, int64_t day, struct err *err);

/* Job ids that may run as soon as the offboarding starts: steps without `needs` and `after` in phases without `after`, the first one and
 * those that run `beside`. New reference to an array of ids; empty when the first phase waits. */
json_t *plan_first_wave(const json_t *plan);

/* The job message (schema/messages.md, "job") of one planned step: the offboarding object with a `job` member, due and
 * published now. `state` and `steps` may be NULL. New reference; NULL when the plan has no such job. */
json_t *plan_job_message(const json_t *offboarding, const json_t *plan, const char *job_id, int attempt,
                         const json_t *state, const json_t *steps);

/* Systems a plan uses, without repeats, in order. New reference to an array of names. */
json_t *plan_systems(const json_t *plan);

/* Marks the steps of a system that the company lacks: people are not told of them beforehand. */
void plan_mark_absent(json_t *plan, const char *system);

#endif
