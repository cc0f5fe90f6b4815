/* Between definition_runbook.c, definition_needs.c, definition_followers.c, definition_run.c and definition_facts.c. */
#ifndef OFFBOARD_LIB_DEFINITION_STEPS_H
#define OFFBOARD_LIB_DEFINITION_STEPS_H

#include "lib/definition_check.h"

/* A step while its runbook is examined. */
struct step {
    const json_t *tree;
    const char *id; /* NULL when it has none (said already) */
    const json_t
        *action; /* of the connector; NULL when system or action are unknown (said already), or it runs a runbook */
    size_t phase;
    char *pointer;
    enum { STEP_NEW, STEP_ON_PATH, STEP_DONE } mark; /* of the search for cycles */
    struct step *next_on_path;
};

struct steps {
    struct step *items;
    size_t count;
};

/* NULL when there is none of that id. */
struct step *steps_find(const struct steps *steps, const char *id);

/* What steps need, in a circle or not, and what their expressions read of others. */
void check_needs(struct check *check, struct steps *steps);

/* The action that a step or a follower names; NULL after a problem when system or action is unknown. */
const json_t *check_step_action(struct check *check, const char *pointer, const json_t *tree);

/* Are the parameters it gives those that its action has? */
void check_step_with(struct check *check, const struct step *step);

/* `mirror` and `notify` of the runbook. */
void check_followers(struct check *check, const struct steps *steps);

/* What a follower needs and reads: as a step that comes last, and `.results`. */
void check_follower_reads(struct check *check, const struct steps *steps, const struct step *follower);

/* Is what the runbook, and those that it runs, read of the leaver's managers known by then? (definition_facts.c) */
void check_facts(struct check *check);

/* Of a step with `verify: [1h, 30d]`: the read-back of its action alone, that long after its success. */
void check_read_backs(struct check *check, const struct step *step);

/* Of a step with `run: RUNBOOK`: is there one, and doesn't it run this one? */
void check_run(struct check *check, const struct step *step);

#endif
