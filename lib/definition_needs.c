/* What is checked between the steps of a runbook: what they wait for, and what their expressions read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/definition_steps.h"
#include "lib/json.h"
#include "lib/mem.h"

struct step *steps_find(const struct steps *steps, const char *id)
{
    for (size_t i = 0; i < steps->count; i++) {
        if (id && steps->items[i].id && strcmp(steps->items[i].id, id) == 0) {
            return &steps->items[i];
        }
    }
    return NULL;
}

/* "; did you mean …?" or "". The caller frees. */
static char *steps_hint(const struct steps *steps, const char *wrong)
{
    const char **names = mem_alloc((steps->count + 1) * sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < steps->count; i++) {
        if (steps->items[i].id) {
            names[count++] = steps->items[i].id;
        }
    }
    char *hint = check_hint(wrong, names, count);
    free(names);
    return hint;
}

/* ---- needs ---------------------------------------------------------------------------------------------------------------- */

/* rules.md 10: access is cut at once; what waits for another system waits for its outages, too. */
static void warn_revoke_waits(struct check *check, const char *pointer, const struct step *step,
                              const struct step *needed)
{
    const char *effect = json_string_at(step->action, "effect");
    const char *system = json_string_at(step->tree, "system");
    const char *other = json_string_at(needed->tree, "system");
    if (effect && strcmp(effect, "revoke") == 0 && system && other && strcmp(other, system) != 0) {
        check_warning(check, pointer, "\"%s\" takes access away, but waits for \"%s\" of another system",
                      step->id ? step->id : "", needed->id);
    }
}

static void check_step_needs(struct check *check, const struct steps *steps, const struct step *step)
{
    size_t i;
    json_t *need;
    const json_t *needs = json_object_get(step->tree, "needs");
    json_array_foreach(needs, i, need)
    {
        char *at = mem_printf("%s/needs/%zu", step->pointer, i);
        const char *id = json_string_value(need);
        const struct step *needed = steps_find(steps, id);
        if (id && !needed) {
            char *hint = steps_hint(steps, id);
            check_problem(check, at, "there is no step \"%s\"%s", id, hint);
            free(hint);
        } else if (needed && needed->phase > step->phase) {
            check_problem(check, at, "step \"%s\" comes in a later phase", id);
        } else if (needed) {
            warn_revoke_waits(check, at, step, needed);
        }
        free(at);
    }
    const char *when = json_string_at(step->tree, "when");
    if (when && strcmp(when, "on_failure") == 0 && json_array_size(needs) == 0) {
        check_problem(check, step->pointer,
                      "`when: on_failure` says how the steps in `needs` must have ended, and there are none");
    }
}

/* ---- cycles --------------------------------------------------------------------------------------------------------------- */

/* "a -> b -> a": each needs the next. `from` is on the path already. */
static void report_cycle(struct check *check, const struct step *from)
{
    struct buf names = BUF_INIT;
    buf_adds(&names, from->id);
    for (const struct step *at = from->next_on_path; at != from; at = at->next_on_path) {
        buf_addf(&names, " -> %s", at->id);
    }
    check_problem(check, from->pointer, "the steps wait for each other: %s -> %s", buf_text(&names), from->id);
    buf_release(&names);
}

/* Depth first: a step met again on the way that leads to it waits for itself. */
static void find_cycles(struct check *check, const struct steps *steps, struct step *step)
{
    step->mark = STEP_ON_PATH;
    size_t i;
    json_t *need;
    json_array_foreach(json_object_get(step->tree, "needs"), i, need)
    {
        struct step *needed = steps_find(steps, json_string_value(need));
        step->next_on_path = needed;
        if (needed && needed->mark == STEP_ON_PATH) {
            report_cycle(check, needed);
        } else if (needed && needed->mark == STEP_NEW) {
            find_cycles(check, steps, needed);
        }
    }
    step->mark = STEP_DONE;
}

/* ---- what expressions read ------------------------------------------------------------------------------------------------ */

struct reading {
    const struct steps *steps;
    const struct step *step;
    bool follower;
};

static bool step_needs(const struct step *step, const char *id)
{
    size_t i;
    json_t *need;
    json_array_foreach(json_object_get(step->tree, "needs"), i, need)
    {
        if (json_is_string(need) && strcmp(json_string_value(need), id) == 0) {
            return true;
        }
    }
    return false;
}

/* `path` reads the step's result. */
static void read_result(struct check *check, const char *pointer, const struct step *needed,
                        const struct expr_path *path)
{
    static const char *const members[] = {"outcome", "outputs", "state"};
    const json_t *outputs = json_object_get(needed->action, "outputs");
    const char *member = expr_path_name(path, 2);
    const char *output = member && strcmp(member, "outputs") == 0 ? expr_path_name(path, 3) : NULL;
    check_member(check, pointer, path, 2, members, COUNT_OF(members));
    if (output && needed->action && !json_object_get(outputs, output)) {
        char *hint = check_hint_keys(output, outputs);
        check_problem(check, pointer, "step \"%s\" has no output \"%s\"%s", needed->id, output, hint);
        free(hint);
    }
}

static void read_step(struct check *check, const char *pointer, const struct reading *reading,
                      const struct expr_path *path, const char *id)
{
    const struct step *needed = steps_find(reading->steps, id);
    if (!needed) {
        char *hint = steps_hint(reading->steps, id);
        check_problem(check, pointer, "there is no step \"%s\"%s", id, hint);
        free(hint);
    } else if (!step_needs(reading->step, id)) {
        check_problem(check, pointer, "\"%s\" reads step \"%s\" without needing it: add it to `needs`",
                      reading->step->id ? reading->step->id : "", id);
    } else if (json_object_get(needed->tree, "run")) {
        check_problem(check, pointer, "step \"%s\" runs a runbook and has no result of its own", id);
    } else {
        read_result(check, pointer, needed, path);
    }
}

static void read_path(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    static const char *const members[] = {"report", "results",     "actor",  "agenda",   "ids",   "job",
                                          "now",    "offboarding", "phases", "settings", "steps", "user"};
    const struct reading *reading = arg;
    size_t hidden = reading->follower ? 0 : 2; /* only followers have results to carry */
    const char *id = check_path_member(path, "steps");
    check_member(check, pointer, path, 0, members + hidden, COUNT_OF(members) - hidden);
    if (id) {
        read_step(check, pointer, arg, path, id);
    }
}

static void check_reads(struct check *check, const struct steps *steps, const struct step *step, bool follower)
{
    static const char *const places[] = {"if", "with"};
    struct reading reading = {steps, step, follower};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        char *at = mem_printf("%s/%s", step->pointer, places[i]);
        check_paths(check, at, json_object_get(step->tree, places[i]), read_path, &reading);
        free(at);
    }
}

void check_needs(struct check *check, struct steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        struct step *step = &steps->items[i];
        check_step_needs(check, steps, step);
        check_reads(check, steps, step, false);
        if (step->mark == STEP_NEW && step->id) {
            find_cycles(check, steps, step);
        }
    }
}

void check_follower_reads(struct check *check, const struct steps *steps, const struct step *follower)
{
    check_step_needs(check, steps, follower);
    check_reads(check, steps, follower, true);
}
