/* What is checked of `mirror` and `notify`: jobs that carry the results of others to somebody. */
#include <stdlib.h>
#include <string.h>

#include "lib/definition_steps.h"
#include "lib/json.h"
#include "lib/mem.h"

static const struct check_key target_keys[] = {
    {"system", CHECK_TEXT, true, false},   {"action", CHECK_TEXT, true, false}, {"needs", CHECK_TEXTS, false, false},
    {"if", CHECK_PREDICATE, false, false}, {"with", CHECK_MAP, false, false},
};

static const struct check_key notify_keys[] = {
    {"on_failure", CHECK_LIST, false, false},
    {"on_phase_end", CHECK_LIST, false, false},
};

static void check_target(struct check *check, const struct steps *steps, const char *pointer, const json_t *target)
{
    if (!check_map(check, pointer, target, target_keys, COUNT_OF(target_keys))) {
        return;
    }
    struct step step = {.tree = target, .id = "a follower", .phase = SIZE_MAX, .pointer = (char *)(uintptr_t)pointer};
    step.action = check_step_action(check, pointer, target);
    if (step.action) {
        check_step_with(check, &step);
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

void check_followers(struct check *check, const struct steps *steps)
{
    const json_t *tree = check->definition->tree;
    const json_t *notify = json_object_get(tree, "notify");
    check_targets(check, steps, "/mirror", json_object_get(tree, "mirror"));
    if (json_is_object(notify) && check_map(check, "/notify", notify, notify_keys, COUNT_OF(notify_keys))) {
        check_targets(check, steps, "/notify/on_failure", json_object_get(notify, "on_failure"));
        check_targets(check, steps, "/notify/on_phase_end", json_object_get(notify, "on_phase_end"));
    }
}
