/* Whether what a runbook reads of a leaver's managers is known when it is read (rules.md 4): a source guarantees it, or a step
 * that is needed provides it. Looked at with the steps of the runbooks that it runs in their place. */
#include <stdlib.h>
#include <string.h>

#include "lib/definition_steps.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/runbook.h"

/* Who finds one out starts from those before it in this list, as far as they are known. */
static const char *const facts[] = {"user.manager", "user.manager_chain"};

/* One step of an expanded runbook, and where it stands. */
struct reader {
    const json_t *phases;
    const json_t *step;
    const json_t *action;
};

static const json_t *action_of(const struct check *check, const json_t *step)
{
    return definition_action(check->definitions, json_string_at(step, "system"), json_string_at(step, "action"));
}

/* Is `path` the fact or a member of it? */
static bool belongs(const char *path, const char *fact)
{
    size_t len = strlen(fact);
    return path && strncmp(path, fact, len) == 0 && (path[len] == '\0' || path[len] == '.');
}

static bool provides(const json_t *action, const char *fact)
{
    size_t i;
    json_t *path;
    json_array_foreach(json_object_get(action, "provides"), i, path)
    {
        if (belongs(json_string_value(path), fact)) {
            return true;
        }
    }
    return false;
}

/* ---- sources ----------------------------------------------------------------------------------------------------------- */

/* Can an event of this source start an offboarding with the runbook? */
static bool can_choose(const struct definition *source, const char *runbook)
{
    const char *chosen = json_string_at(source->tree, "map.runbook");
    return chosen && (expr_has(chosen) || strcmp(chosen, runbook) == 0);
}

/* One source that guarantees it is enough: with an event of another one the step is blocked and says what is missing. */
static bool guaranteed(const struct check *check, const char *fact)
{
    for (size_t i = 0; i < definition_count(check->definitions, DEFINITION_SOURCE); i++) {
        const struct definition *source = definition_item(check->definitions, DEFINITION_SOURCE, i);
        size_t j;
        json_t *path;
        json_array_foreach(json_object_get(source->tree, "guarantees"), j, path)
        {
            bool this_one = json_is_string(path) && strcmp(json_string_value(path), fact) == 0;
            if (this_one && can_choose(source, check->definition->name)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- steps --------------------------------------------------------------------------------------------------------------- */

static const json_t *step_named(const json_t *phases, const char *id)
{
    size_t i, j;
    json_t *phase, *step;
    json_array_foreach(phases, i, phase)
    {
        json_array_foreach(json_object_get(phase, "steps"), j, step)
        {
            const char *own = json_string_at(step, "id");
            if (own && id && strcmp(own, id) == 0) {
                return step;
            }
        }
    }
    return NULL;
}

/* Does a step that this one needs, directly or not, provide it? `seen` holds those that were looked at. */
static bool needs_provider(const struct check *check, const json_t *phases, const json_t *step, const char *fact,
                           json_t *seen)
{
    size_t i;
    json_t *need;
    json_array_foreach(json_object_get(step, "needs"), i, need)
    {
        const char *id = json_string_value(need);
        const json_t *needed = id && !json_object_get(seen, id) ? step_named(phases, id) : NULL;
        if (needed) {
            json_object_set_new(seen, id, json_true());
        }
        if (needed && (provides(action_of(check, needed), fact) || needs_provider(check, phases, needed, fact, seen))) {
            return true;
        }
    }
    return false;
}

/* May this action read the fact without knowing it? */
static bool finds_out(const json_t *action, size_t fact)
{
    bool finds = false;
    for (size_t i = fact; i < COUNT_OF(facts); i++) {
        finds = finds || provides(action, facts[i]);
    }
    return finds;
}

static void read_fact(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    const struct reader *reader = arg;
    for (size_t i = 0; i < COUNT_OF(facts); i++) {
        if (!expr_path_within(path, facts[i]) || finds_out(reader->action, i) || guaranteed(check, facts[i])) {
            continue;
        }
        json_t *seen = json_object();
        if (!needs_provider(check, reader->phases, reader->step, facts[i], seen)) {
            check_problem(
                check, pointer,
                ".%s is used by \"%s\", but no step that it needs provides one, and no source that can choose this "
                "runbook guarantees one (`guarantees: [%s]`)",
                facts[i], json_string_at(reader->step, "id"), facts[i]);
        }
        json_decref(seen);
    }
}

/* What the step says, what the action reads by itself, and the defaults that the step leaves as they are. */
static void check_step(struct check *check, struct reader *reader)
{
    static const char *const said[] = {"if", "run_if", "with"};
    static const char *const parts[] = {"before", "outputs", "requests", "target", "verify"};
    const char *at = json_string_at(reader->step, "at");
    bool own = !json_object_get(reader->step, "inside");
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        char *pointer = own ? mem_printf("%s/%s", at, said[i]) : mem_strdup(at);
        check_paths(check, pointer, json_object_get(reader->step, said[i]), read_fact, reader);
        free(pointer);
    }
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        check_paths(check, at, json_object_get(reader->action, parts[i]), read_fact, reader);
    }
    const char *name;
    json_t *parameter;
    json_object_foreach(json_object_get(reader->action, "with"), name, parameter)
    {
        if (!json_object_get(json_object_get(reader->step, "with"), name)) {
            check_paths(check, at, json_object_get(parameter, "default"), read_fact, reader);
        }
    }
}

/* ---- the runbook ----------------------------------------------------------------------------------------------------------- */

/* Does another runbook run this one? Then what it reads is looked at there, after what is done there before. */
static bool is_run(const struct check *check)
{
    bool found = false;
    for (size_t i = 0; i < definition_count(check->definitions, DEFINITION_RUNBOOK) && !found; i++) {
        const struct definition *other = definition_item(check->definitions, DEFINITION_RUNBOOK, i);
        json_t *children = other != check->definition ? runbook_children(check->definitions, other) : NULL;
        found = json_object_get(children, check->definition->name) != NULL;
        json_decref(children);
    }
    return found;
}

static void check_readers(struct check *check, const json_t *phases, const json_t *steps)
{
    size_t i;
    json_t *step;
    json_array_foreach(steps, i, step)
    {
        struct reader reader = {phases, step, action_of(check, step)};
        if (!json_object_get(step, "only_verify")) { /* it reads what its step reads */
            check_step(check, &reader);
        }
    }
}

void check_facts(struct check *check)
{
    json_t *followers = runbook_followers(check->definitions, check->definition);
    json_t *phases = runbook_expand(check->definitions, check->definition);
    const json_t *looked_at = is_run(check) ? NULL : phases;
    size_t i;
    json_t *phase;
    json_array_foreach(looked_at, i, phase)
    {
        check_readers(check, phases, json_object_get(phase, "steps"));
    }
    check_readers(check, phases, followers); /* heard only where this runbook itself is started */
    json_decref(phases);
    json_decref(followers);
}
