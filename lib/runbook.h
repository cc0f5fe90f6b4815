/* A runbook as it is planned: steps that run another runbook (`run`) are replaced by its steps, and steps that are read back
 * later (`verify`) are followed by those read-backs. Pure. */
#ifndef OFFBOARD_LIB_RUNBOOK_H
#define OFFBOARD_LIB_RUNBOOK_H

#include <jansson.h>

#include "lib/definition.h"

#define RUNBOOK_READ_BACKS "read-backs" /* the phase of all later read-backs, beside the others */

/* The phases, [{name, after, steps}]; later read-backs have one of their own, the last: a phase is over when its own steps are, weeks before
 * they are looked at again. A step has the members it has in its file, but `run` and `verify`, with these changes:
 *
 *   id            STEP, STEP.CHILDSTEP (a step of the runbook that STEP runs), STEP.verify-1h (its later read-back)
 *   needs         such ids; who needs a step that runs a runbook needs all steps of it
 *   after         of a child's step: that of the step that runs it, and the child's own
 *   inside        STEP, of its children: what `.steps` leaves out before the ids
 *   run_if        [{if, inside}]: conditions of the steps that run it, from the outermost on
 *   behind        ids that must be over (succeeded or skipped) before: those of the child's phase before this one
 *   reads         ids, besides `needs`, whose results expressions may read
 *   only_verify   true: only the read-back of the action
 *   wait          of such a one: how long after the success of the step it needs
 *   at            JSON pointer of the step of the runbook's own file that it comes from
 *
 * What is unknown or runs itself is left out (definitions_load() has said so). New reference. */
json_t *runbook_expand(const struct definitions *definitions, const struct definition *runbook);

/* What its `mirror` and `notify` say, [{id, kind, at, needs, …}]: the members of their targets, named (`id`) mirror-1, on-failure-1,
 * on-phase-end-1 and so on, `kind` being mirror, on_failure or on_phase_end. Those of the runbooks that it runs stay unheard:
 * the runbook that is started says who is told. New reference. (runbook_followers.c) */
json_t *runbook_followers(const struct definitions *definitions, const struct definition *runbook);

/* What the `needs` of a step or a follower of this runbook stand for: ids as of runbook_expand(). New reference. */
json_t *runbook_needs(const struct definitions *definitions, const struct definition *runbook, const json_t *step);

/* The runbooks that it runs, directly or not, {name: hash}. New reference; empty when it runs none. */
json_t *runbook_children(const struct definitions *definitions, const struct definition *runbook);

#endif
