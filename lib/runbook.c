#include "lib/runbook.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

/* A runbook in hand: the one that is expanded, or one that it runs, with what the step that runs it hands down. */
struct level {
    const struct level *outer; /* NULL: nobody runs it here */
    const struct definitions *definitions;
    const struct definition *runbook;
    char *prefix; /* before the ids of its steps: "", "STEP.", "STEP.CHILDSTEP." */
    char *at;     /* pointer of the outermost step that runs it; NULL at the top */
    char *after;  /* as of `run`; NULL: none */
    const char *when;
    json_t *needs;  /* for steps that need nothing of their own */
    json_t *reads;  /* of the conditions */
    json_t *run_if; /* [{if, inside}] */
    json_t *behind; /* of the outer levels */
};

static json_t *level_phases(const struct level *level)
{
    return json_object_get(level->runbook->tree, "phases");
}

/* Definitions with faults are expanded, too: what is missing is empty. */
static const char *text_of(const json_t *text)
{
    return json_is_string(text) ? json_string_value(text) : "";
}

static void extend(json_t *list, json_t *more)
{
    json_array_extend(list, more);
    json_decref(more);
}

static void put_list(json_t *object, const char *key, json_t *list)
{
    if (json_array_size(list) > 0) {
        json_object_set(object, key, list);
    }
    json_decref(list);
}

/* ---- times ------------------------------------------------------------------------------------------------------- */

/* The longer one of two durations as written; either may be NULL. */
static const char *longer(const char *a, const char *b)
{
    int64_t length_a = 0, length_b = 0;
    if (!a || !b) {
        return a ? a : b;
    }
    time_parse_duration(a, &length_a, NULL);
    time_parse_duration(b, &length_b, NULL);
    return length_a >= length_b ? a : b;
}

/* The time of a step; NULL: none. At the top the phase keeps its own. The caller frees. */
static char *step_after(const struct level *level, const json_t *phase, const json_t *step)
{
    const char *own = json_string_at(step, "after");
    if (level->outer) {
        own = longer(own, json_string_at(phase, "after"));
    }
    return level->after && own ? mem_printf("%s%s", level->after, own) : mem_strdup(level->after ? level->after : own);
}

/* ---- levels ------------------------------------------------------------------------------------------------------ */

/* The runbook that a step runs; NULL when it runs none, an unknown one, or one that runs this one. */
static const struct definition *child_of(const struct level *level, const json_t *step)
{
    const struct definition *child =
        definition_find(level->definitions, DEFINITION_RUNBOOK, json_string_at(step, "run"));
    for (const struct level *at = level; child && at; at = at->outer) {
        child = at->runbook == child ? NULL : child;
    }
    return child;
}

/* A level below, for names only: what it hands down is left out. Release with level_release(). */
static struct level level_below(const struct level *outer, const struct definition *child, const json_t *step)
{
    return (struct level){.outer = outer,
                          .definitions = outer->definitions,
                          .runbook = child,
                          .prefix = mem_printf("%s%s.", outer->prefix, text_of(json_object_get(step, "id")))};
}

static void level_release(struct level *level)
{
    free(level->prefix);
    free(level->at);
    free(level->after);
    json_decref(level->needs);
    json_decref(level->reads);
    json_decref(level->run_if);
    json_decref(level->behind);
}

/* ---- ids --------------------------------------------------------------------------------------------------------- */

static json_t *phase_ids(const struct level *level, const json_t *phase);

/* The ids that a step of this level becomes: one, or those of all steps of the runbook it runs. */
static json_t *step_ids(const struct level *level, const json_t *step)
{
    json_t *ids = json_array();
    const char *id = text_of(json_object_get(step, "id"));
    size_t i;
    json_t *item;
    if (!json_object_get(step, "run")) {
        json_array_append_new(ids, json_sprintf("%s%s", level->prefix, id));
        return ids;
    }
    const struct definition *child = child_of(level, step);
    if (child) {
        struct level below = level_below(level, child, step);
        json_array_foreach(level_phases(&below), i, item)
        {
            extend(ids, phase_ids(&below, item));
        }
        level_release(&below);
    }
    return ids;
}

static json_t *phase_ids(const struct level *level, const json_t *phase)
{
    json_t *ids = json_array();
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(phase, "steps"), i, step)
    {
        extend(ids, step_ids(level, step));
    }
    return ids;
}

/* What the `needs` of a step of this level stand for. */
static json_t *needed_ids(const struct level *level, const json_t *step)
{
    json_t *ids = json_array();
    size_t i, j, k;
    json_t *need, *phase, *other;
    json_array_foreach(json_object_get(step, "needs"), i, need)
    {
        json_array_foreach(level_phases(level), j, phase)
        {
            json_array_foreach(json_object_get(phase, "steps"), k, other)
            {
                if (json_equal(json_object_get(other, "id"), need)) {
                    extend(ids, step_ids(level, other));
                }
            }
        }
    }
    return ids;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* What phases of this level before that one are, and what the level itself is behind. */
static json_t *behind_of(const struct level *level, size_t phase)
{
    json_t *behind = json_copy(level->behind);
    if (level->outer && phase > 0) {
        extend(behind, phase_ids(level, json_array_get(level_phases(level), phase - 1)));
    }
    return behind;
}

/* "STEP" for "STEP." */
static json_t *inside_of(const struct level *level)
{
    return json_stringn(level->prefix, level->prefix[0] ? strlen(level->prefix) - 1 : 0);
}

/* The step's own members and those that tell where it comes from. */
static json_t *step_new(const struct level *level, const json_t *step, const char *at, json_t *id)
{
    json_t *made = json_copy((json_t *)(uintptr_t)step);
    json_object_del(made, "verify");
    json_object_set_new(made, "id", id);
    json_object_set_new(made, "at", json_string(level->at ? level->at : at));
    if (level->outer) {
        json_object_set_new(made, "inside", inside_of(level));
    }
    return made;
}

static void put_read_backs(const struct level *level, const json_t *step, const char *at, const json_t *made,
                           json_t *into)
{
    static const char *const left_out[] = {"if", "after", "expires", "when", "on_missing"};
    size_t i;
    json_t *wait;
    json_array_foreach(json_object_get(step, "verify"), i, wait)
    {
        const char *id = json_string_at(made, "id");
        json_t *look = step_new(level, step, at, json_sprintf("%s.verify-%s", id, text_of(wait)));
        for (size_t j = 0; j < COUNT_OF(left_out); j++) {
            json_object_del(look, left_out[j]);
        }
        json_object_set_new(look, "needs", json_pack("[s]", id));
        put_list(look, "reads", json_incref(json_object_get(made, "needs")));
        json_object_set_new(look, "only_verify", json_true());
        json_object_set(look, "wait", wait);
        json_array_append_new(into, look);
    }
}

static void expand_phase(const struct level *level, size_t number, json_t *into);

/* Puts the steps of the runbook that `step` runs. */
static void put_children(const struct level *level, const struct definition *child, size_t number, const json_t *step,
                         const char *at, json_t *into)
{
    const json_t *phase = json_array_get(level_phases(level), number);
    const json_t *condition = json_object_get(step, "if");
    struct level below = level_below(level, child, step);
    json_t *needs = needed_ids(level, step);
    bool own = json_array_size(needs) > 0;
    below.at = mem_strdup(level->at ? level->at : at);
    below.after = step_after(level, phase, step);
    below.when = own ? json_string_at(step, "when") : level->when;
    below.needs = json_copy(own ? needs : level->needs);
    below.reads = json_copy(level->reads);
    below.run_if = json_copy(level->run_if);
    below.behind = behind_of(level, number);
    if (condition) {
        json_array_extend(below.reads, needs);
        json_array_append_new(below.run_if, json_pack("{s:O, s:o}", "if", condition, "inside", inside_of(level)));
    }
    json_decref(needs);
    for (size_t i = 0; i < json_array_size(level_phases(&below)); i++) {
        expand_phase(&below, i, into);
    }
    level_release(&below);
}

static void put_step(const struct level *level, size_t number, const json_t *step, const char *at, json_t *into)
{
    const json_t *phase = json_array_get(level_phases(level), number);
    json_t *made = step_new(level, step, at, json_sprintf("%s%s", level->prefix, text_of(json_object_get(step, "id"))));
    json_t *needs = needed_ids(level, step);
    char *after = step_after(level, phase, step);
    json_put_string(made, "after", after);
    free(after);
    if (level->outer && json_array_size(needs) == 0) {
        extend(needs, json_copy(level->needs));
        json_put_string(made, "when", level->when);
    }
    put_list(made, "needs", needs);
    put_list(made, "reads", json_copy(level->reads));
    put_list(made, "run_if", json_copy(level->run_if));
    put_list(made, "behind", behind_of(level, number));
    json_array_append_new(into, made);
    put_read_backs(level, step, at, made, into);
}

static void expand_phase(const struct level *level, size_t number, json_t *into)
{
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(json_array_get(level_phases(level), number), "steps"), i, step)
    {
        char *at = mem_printf("/phases/%zu/steps/%zu", number, i);
        const struct definition *child = child_of(level, step);
        if (child) {
            put_children(level, child, number, step, at, into);
        } else if (!json_object_get(step, "run")) {
            put_step(level, number, step, at, into);
        }
        free(at);
    }
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static struct level level_top(const struct definitions *definitions, const struct definition *runbook)
{
    return (struct level){.definitions = definitions,
                          .runbook = runbook,
                          .prefix = mem_strdup(""),
                          .needs = json_array(),
                          .reads = json_array(),
                          .run_if = json_array(),
                          .behind = json_array()};
}

/* The steps of a phase: the later read-backs among them go into `later`. */
static json_t *steps_of(const struct level *top, size_t number, json_t *later)
{
    json_t *all = json_array(), *steps = json_array();
    size_t i;
    json_t *step;
    expand_phase(top, number, all);
    json_array_foreach(all, i, step)
    {
        json_array_append(json_object_get(step, "only_verify") ? later : steps, step);
    }
    json_decref(all);
    return steps;
}

json_t *runbook_expand(const struct definitions *definitions, const struct definition *runbook)
{
    struct level top = level_top(definitions, runbook);
    json_t *phases = json_array(), *later = json_array();
    size_t i;
    json_t *phase;
    json_array_foreach(level_phases(&top), i, phase)
    {
        json_t *made = json_copy(phase);
        json_object_set_new(made, "steps", steps_of(&top, i, later));
        json_array_append_new(phases, made);
    }
    if (json_array_size(later) > 0) {
        json_array_append_new(phases, json_pack("{s:s, s:s, s:b, s:O}", "name", RUNBOOK_READ_BACKS, "title",
                                                "what was done is looked at again", "beside", 1, "steps", later));
    }
    json_decref(later);
    level_release(&top);
    return phases;
}

json_t *runbook_needs(const struct definitions *definitions, const struct definition *runbook, const json_t *step)
{
    struct level top = level_top(definitions, runbook);
    json_t *ids = needed_ids(&top, step);
    level_release(&top);
    return ids;
}

static void note_children(const struct level *level, json_t *children)
{
    size_t i, j;
    json_t *phase, *step;
    json_array_foreach(level_phases(level), i, phase)
    {
        json_array_foreach(json_object_get(phase, "steps"), j, step)
        {
            const struct definition *child = child_of(level, step);
            if (child) {
                struct level below = level_below(level, child, step);
                json_object_set_new(children, child->name, json_string(child->hash));
                note_children(&below, children);
                level_release(&below);
            }
        }
    }
}

json_t *runbook_children(const struct definitions *definitions, const struct definition *runbook)
{
    struct level top = level_top(definitions, runbook);
    json_t *children = json_object();
    note_children(&top, children);
    level_release(&top);
    return children;
}
