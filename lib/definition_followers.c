/* What is checked of `mirror` and `notify`: jobs that carry the results of others to somebody. */
#include <stdlib.h>
#include <string.h>

#include "lib/definition_steps.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/runbook.h"

static const struct check_key target_keys[] = {
    {"system", CHECK_TEXT, true},   {"action", CHECK_TEXT, true}, {"needs", CHECK_TEXTS, false},
    {"if", CHECK_PREDICATE, false}, {"with", CHECK_MAP, false},
};

static const struct check_key notify_keys[] = {
    {"on_failure", CHECK_LIST, false},
    {"on_phase_end", CHECK_LIST, false},
};

/* It goes on when the offboarding is cancelled, as often as there are results: nothing may change by it. */
static void check_tells(struct check *check, const char *pointer, const json_t *action)
{
    const char *effect = json_string_at(action, "effect");
    if (effect && strcmp(effect, "notify") != 0) {
        check_problem(check, pointer, "who is told of results needs an action whose effect is notify, not %s", effect);
    }
}

static void check_target(struct check *check, const struct steps *steps, const char *pointer, const json_t *target)
{
    if (!check_map(check, pointer, target, target_keys, COUNT_OF(target_keys))) {
        return;
    }
    struct step step = {.tree = target, .id = "a follower", .phase = SIZE_MAX, .pointer = (char *)(uintptr_t)pointer};
    step.action = check_step_action(check, pointer, target);
    if (step.action) {
        check_step_with(check, &step);
        check_tells(check, pointer, step.action);
    }
    char *with = mem_printf("%s/with", pointer);
    check_expressions(check, with, json_object_get(target, "with"));
    free(with);
    check_follower_reads(check, steps, &step);
}

static void check_targets(struct check *check, const struct steps *steps, const char *pointer, const json_t *targets)
{
    size_t i;
    json_t *target;
    json_array_foreach(targets, i, target)
    {
        char *at = mem_printf("%s/%zu", pointer, i);
        check_target(check, steps, at, target);
        free(at);
    }
}

/* Orders name jobs by their steps. */
static void check_names(struct check *check, const struct steps *steps)
{
    json_t *followers = runbook_followers(check->definitions, check->definition);
    size_t i;
    json_t *follower;
    json_array_foreach(followers, i, follower)
    {
        const char *name = json_string_at(follower, "id");
        const struct step *step = steps_find(steps, name);
        if (step) {
            check_problem(check, step->pointer, "\"%s\" is what the jobs of %s are called: give the step another id",
                          name, json_string_at(follower, "at"));
        }
    }
    json_decref(followers);
}

void check_followers(struct check *check, const struct steps *steps)
{
    const json_t *tree = check->definition->tree;
    const json_t *notify = json_object_get(tree, "notify");
    check_names(check, steps);
    check_targets(check, steps, "/mirror", json_object_get(tree, "mirror"));
    if (json_is_object(notify) && check_map(check, "/notify", notify, notify_keys, COUNT_OF(notify_keys))) {
        check_targets(check, steps, "/notify/on_failure", json_object_get(notify, "on_failure"));
        check_targets(check, steps, "/notify/on_phase_end", json_object_get(notify, "on_phase_end"));
    }
}
