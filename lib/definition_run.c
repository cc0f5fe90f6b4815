/* What is checked of the steps that become more than one job: those that are read back later, and those that run another
 * runbook. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/definition_steps.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

/* ---- read-backs ----------------------------------------------------------------------------------------------------------- */

/* Does a look of the read-back itself save what the path reads? */
static bool saved_by_looks(const json_t *verify, const struct expr_path *path)
{
    const char *name = expr_path_name(path, 1);
    bool found = name && json_object_get(json_object_get(verify, "save"), name);
    size_t i;
    json_t *look;
    json_array_foreach(verify, i, look)
    {
        found = found || saved_by_looks(look, path);
    }
    return found;
}

static void read_saved(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    const struct step *step = arg;
    if (expr_path_within(path, "saved") && !saved_by_looks(json_object_get(step->action, "verify"), path)) {
        char *text = expr_path_text(path);
        check_problem(check, pointer, "action \"%s\" can't be read back later: its `verify` reads .%s, gone by then",
                      json_string_at(step->tree, "action"), text);
        free(text);
    }
}

static void check_read_back(struct check *check, const char *pointer, const json_t *list, size_t index)
{
    const char *text = json_string_value(json_array_get(list, index));
    int64_t wait = 0;
    struct err err = ERR_INIT;
    if (text && time_parse_duration(text, &wait, &err) != 0) {
        check_problem(check, pointer, "\"verify\": %s", err_text(&err));
    } else if (text && wait == 0) {
        check_problem(check, pointer, "\"verify\" says how long after the step it is read back: not %s", text);
    }
    err_release(&err);
    for (size_t i = 0; i < index; i++) {
        if (json_equal(json_array_get(list, i), json_array_get(list, index))) {
            check_problem(check, pointer, "\"verify\" has %s twice", text ? text : "it");
        }
    }
}

void check_read_backs(struct check *check, const struct step *step)
{
    const json_t *list = json_object_get(step->tree, "verify");
    const json_t *verify = json_object_get(step->action, "verify");
    char *at = mem_printf("%s/verify", step->pointer);
    for (size_t i = 0; i < json_array_size(list); i++) {
        check_read_back(check, at, list, i);
    }
    if (list && step->action && !verify) {
        check_problem(check, at, "action \"%s\" has no `verify`: there is nothing to read back later",
                      json_string_at(step->tree, "action"));
    }
    if (list) {
        check_paths(check, at, verify, read_saved, (void *)(uintptr_t)step);
    }
    free(at);
}

/* ---- other runbooks ------------------------------------------------------------------------------------------------------- */

/* How `runbook` comes to run the one under examination, directly or not: "a -> b"; NULL when it doesn't. `seen` holds those that
 * were looked at. The caller frees. */
static char *way_back(const struct check *check, const struct definition *runbook, json_t *seen)
{
    if (runbook == check->definition) {
        return mem_strdup(runbook->name);
    }
    if (json_object_get(seen, runbook->name)) {
        return NULL;
    }
    json_object_set_new(seen, runbook->name, json_true());
    size_t i, j;
    json_t *phase, *step;
    json_array_foreach(json_object_get(runbook->tree, "phases"), i, phase)
    {
        json_array_foreach(json_object_get(phase, "steps"), j, step)
        {
            const char *name = json_string_at(step, "run");
            const struct definition *child = definition_find(check->definitions, DEFINITION_RUNBOOK, name);
            char *rest = child ? way_back(check, child, seen) : NULL;
            char *way = rest ? mem_printf("%s -> %s", runbook->name, rest) : NULL;
            free(rest);
            if (way) {
                return way;
            }
        }
    }
    return NULL;
}

void check_run(struct check *check, const struct step *step)
{
    const char *name = json_string_at(step->tree, "run");
    const struct definition *child = definition_find(check->definitions, DEFINITION_RUNBOOK, name);
    char *at = mem_printf("%s/run", step->pointer);
    json_t *seen = json_object();
    char *way = child ? way_back(check, child, seen) : NULL;
    if (name && !child) {
        const char *near = definition_nearest(check->definitions, DEFINITION_RUNBOOK, name);
        check_problem(check, at, "there is no runbook \"%s\"%s%s%s", name, near ? "; did you mean \"" : "",
                      near ? near : "", near ? "\"?" : "");
    } else if (way) {
        check_problem(check, at, "the runbooks run each other: %s -> %s", check->definition->name, way);
    }
    json_decref(seen);
    free(way);
    free(at);
}
