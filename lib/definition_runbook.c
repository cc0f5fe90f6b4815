/* What is checked of a runbook: phases, steps, what they need, and that every system, action and parameter is there. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/definition_check.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

static const struct check_key runbook_keys[] = {
    {"runbook", CHECK_TEXT, true, false}, {"description", CHECK_TEXT, false, false}, {"phases", CHECK_LIST, true, false},
    {"mirror", CHECK_LIST, false, true},  {"notify", CHECK_MAP, false, true},
};

static const struct check_key phase_keys[] = {
    {"name", CHECK_TEXT, true, false},
    {"after", CHECK_DURATION, false, false},
    {"steps", CHECK_LIST, true, false},
};

static const struct check_key step_keys[] = {
    {"id", CHECK_TEXT, true, false},      {"system", CHECK_TEXT, true, false},     {"action", CHECK_TEXT, true, false},
    {"description", CHECK_TEXT, false, false}, {"needs", CHECK_LIST, false, false}, {"when", CHECK_TEXT, false, false},
    {"if", CHECK_PREDICATE, false, false}, {"with", CHECK_MAP, false, false},      {"after", CHECK_DURATION, false, false},
    {"expires", CHECK_DURATION, false, true}, {"on_missing", CHECK_TEXT, false, true}, {"verify", CHECK_ANY, false, true},
    {"run", CHECK_TEXT, false, true},
};

static const char *const whens[] = {"on_success", "on_failure", "always"};

/* A step while its runbook is examined. */
struct step {
    const json_t *tree;
    const char *id;
    size_t phase;
    char *pointer;
    int mark; /* of the search for cycles: 0 new, 1 on the path, 2 done */
};

struct steps {
    struct step *items;
    size_t count;
};

static struct step *find(const struct steps *steps, const char *id)
{
    for (size_t i = 0; i < steps->count; i++) {
        if (id && steps->items[i].id && strcmp(steps->items[i].id, id) == 0) {
            return &steps->items[i];
        }
    }
    return NULL;
}

static char *step_hint(const struct steps *steps, const char *wrong)
{
    const char **names = mem_alloc((steps->count + 1) * sizeof *names);
    for (size_t i = 0; i < steps->count; i++) {
        names[i] = steps->items[i].id ? steps->items[i].id : "";
    }
    char *hint = check_hint(wrong, names, steps->count);
    free(names);
    return hint;
}

/* ---- system, action, parameters --------------------------------------------------------------------------------------- */

static void check_with(struct check *check, const struct step *step, const json_t *action)
{
    const json_t *declared = json_object_get(action, "with");
    const json_t *given = json_object_get(step->tree, "with");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)given, name, value) {
        char *at = mem_printf("%s/with/%s", step->pointer, name);
        if (!json_object_get(declared, name)) {
            char *hint = check_hint_keys(name, declared);
            check_problem(check, at, "action \"%s\" has no parameter \"%s\"%s", json_string_at(step->tree, "action"), name, hint);
            free(hint);
        }
        check_expressions(check, at, value);
        free(at);
    }
    json_object_foreach((json_t *)(uintptr_t)declared, name, value) {
        if (json_true_at(value, "required") && !json_object_get(given, name)) {
            check_problem(check, step->pointer, "parameter \"%s\" of action \"%s\" is missing", name,
                          json_string_at(step->tree, "action"));
        }
    }
}

static void check_action(struct check *check, const struct step *step)
{
    const char *system = json_string_at(step->tree, "system");
    const char *name = json_string_at(step->tree, "action");
    if (!system || !name) {
        return; /* said already */
    }
    char *at = mem_printf("%s/system", step->pointer);
    const struct definition *connector = definition_find(check->definitions, DEFINITION_CONNECTOR, system);
    if (!connector) {
        const char *near = definition_nearest(check->definitions, DEFINITION_CONNECTOR, system);
        check_problem(check, at, "there is no connector for system \"%s\"%s%s%s", system, near ? "; did you mean \"" : "",
                      near ? near : "", near ? "\"?" : "");
    } else {
        const json_t *actions = json_object_get(connector->tree, "actions");
        const json_t *action = json_object_get(actions, name);
        if (action) {
            check_with(check, step, action);
        } else {
            char *hint = check_hint_keys(name, actions);
            free(at);
            at = mem_printf("%s/action", step->pointer);
            check_problem(check, at, "system \"%s\" has no action \"%s\"%s", system, name, hint);
            free(hint);
        }
    }
    free(at);
}

/* ---- needs ------------------------------------------------------------------------------------------------------------- */

static void check_needs(struct check *check, const struct steps *steps, const struct step *step)
{
    size_t i;
    json_t *need;
    json_array_foreach(json_object_get(step->tree, "needs"), i, need) {
        char *at = mem_printf("%s/needs/%zu", step->pointer, i);
        const char *id = json_string_value(need);
        const struct step *needed = find(steps, id);
        if (!needed) {
            char *hint = step_hint(steps, id ? id : "");
            check_problem(check, at, "there is no step \"%s\"%s", id ? id : "", hint);
            free(hint);
        } else if (needed->phase > step->phase) {
            check_problem(check, at, "step \"%s\" comes in a later phase", id);
        } else {
            const char *effect = definition_effect(check->definitions, json_string_at(step->tree, "system"),
                                                   json_string_at(step->tree, "action"));
            const char *other = json_string_at(needed->tree, "system");
            if (effect && strcmp(effect, "revoke") == 0 && other &&
                strcmp(other, json_string_at(step->tree, "system")) != 0) {
                check_warning(check, at, "\"%s\" takes access away, but waits for \"%s\" of another system", step->id, id);
            }
        }
        free(at);
    }
}

/* Depth first; says the cycle by its steps once. */
static bool find_cycle(struct check *check, const struct steps *steps, struct step *step)
{
    if (step->mark == 2) {
        return false;
    }
    if (step->mark == 1) {
        check_problem(check, step->pointer, "step \"%s\" waits for itself", step->id);
        return true;
    }
    step->mark = 1;
    size_t i;
    json_t *need;
    bool found = false;
    json_array_foreach(json_object_get(step->tree, "needs"), i, need) {
        struct step *needed = find(steps, json_string_value(need));
        if (needed && !found) {
            found = find_cycle(check, steps, needed);
            if (found) {
                check_problem(check, step->pointer, "the circle goes through \"%s\" (needs \"%s\")", step->id, needed->id);
            }
        }
    }
    step->mark = 2;
    return found;
}

/* ---- expressions that read steps or the manager ------------------------------------------------------------------------- */

struct reading {
    struct check *check;
    const struct steps *steps;
    const struct step *step;
    const char *pointer;
};

static bool needs_step(const struct step *step, const char *id)
{
    size_t i;
    json_t *need;
    json_array_foreach(json_object_get(step->tree, "needs"), i, need) {
        if (json_is_string(need) && strcmp(json_string_value(need), id) == 0) {
            return true;
        }
    }
    return false;
}

/* rules.md 4: who uses the manager needs a source that guarantees one. */
static bool manager_guaranteed(const struct definitions *definitions)
{
    for (size_t i = 0; i < definition_count(definitions, DEFINITION_SOURCE); i++) {
        size_t j;
        json_t *path;
        json_array_foreach(json_object_get(definition_item(definitions, DEFINITION_SOURCE, i)->tree, "guarantees"), j, path) {
            if (json_is_string(path) && strcmp(json_string_value(path), "user.manager") == 0) {
                return true;
            }
        }
    }
    return false;
}

static void read_path(const char *path, void *arg)
{
    struct reading *reading = arg;
    if (strncmp(path, "steps.", 6) == 0) {
        char *id = mem_strndup(path + 6, strcspn(path + 6, "."));
        if (!find(reading->steps, id)) {
            char *hint = step_hint(reading->steps, id);
            check_problem(reading->check, reading->pointer, "there is no step \"%s\"%s", id, hint);
            free(hint);
        } else if (!needs_step(reading->step, id)) {
            check_problem(reading->check, reading->pointer, "\"%s\" reads step \"%s\" but doesn't need it: add it to `needs`",
                          reading->step->id, id);
        }
        free(id);
    }
    if (strncmp(path, "user.manager", 12) == 0 && !manager_guaranteed(reading->check->definitions)) {
        check_problem(reading->check, reading->pointer,
                      "it uses .user.manager, which no source guarantees (`guarantees: [user.manager]`)");
    }
}

static void read_tree(struct reading *reading, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_string(value)) {
        expr_paths(json_string_value(value), read_path, reading);
    } else if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, key, member) {
            read_tree(reading, member);
        }
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member) {
            read_tree(reading, member);
        }
    }
}

static void check_reads(struct check *check, const struct steps *steps, const struct step *step)
{
    static const char *const places[] = {"if", "with"};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        char *at = mem_printf("%s/%s", step->pointer, places[i]);
        struct reading reading = {check, steps, step, at};
        read_tree(&reading, json_object_get(step->tree, places[i]));
        free(at);
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------ */

static void add_step(struct check *check, struct steps *steps, size_t phase, size_t index, const json_t *tree)
{
    char *pointer = mem_printf("/phases/%zu/steps/%zu", phase, index);
    const char *id = json_string_at(tree, "id");
    bool map = check_map(check, pointer, tree, step_keys, COUNT_OF(step_keys));
    if (map && id && find(steps, id)) {
        check_problem(check, pointer, "there is already a step \"%s\"; ids are unique within a runbook", id);
    }
    const char *when = json_string_at(tree, "when");
    bool known = !when;
    for (size_t i = 0; i < COUNT_OF(whens); i++) {
        known = known || strcmp(whens[i], when) == 0;
    }
    if (!known) {
        char *hint = check_hint(when, whens, COUNT_OF(whens));
        check_problem(check, pointer, "`when` must be on_success, on_failure or always%s", hint);
        free(hint);
    }
    if (!map) {
        free(pointer);
        return;
    }
    steps->items = mem_realloc(steps->items, (steps->count + 1) * sizeof *steps->items);
    steps->items[steps->count++] = (struct step){.tree = tree, .id = id, .phase = phase, .pointer = pointer};
}

static int64_t phase_after(const json_t *phase)
{
    int64_t after = 0;
    const char *text = json_string_at(phase, "after");
    if (text) {
        time_parse_duration(text, &after, NULL);
    }
    return after;
}

static void read_phases(struct check *check, struct steps *steps, const json_t *phases)
{
    size_t p, s;
    json_t *phase, *step;
    int64_t before = 0;
    json_array_foreach(phases, p, phase) {
        char *pointer = mem_printf("/phases/%zu", p);
        if (check_map(check, pointer, phase, phase_keys, COUNT_OF(phase_keys))) {
            if (phase_after(phase) < before) {
                check_problem(check, pointer, "phase \"%s\" comes before the one above it", json_string_at(phase, "name"));
            }
            before = phase_after(phase);
            for (size_t q = 0; q < p; q++) {
                const char *name = json_string_at(phase, "name");
                const char *other = json_string_at(json_array_get(phases, q), "name");
                if (name && other && strcmp(name, other) == 0) {
                    check_problem(check, pointer, "there is already a phase \"%s\"", name);
                }
            }
            json_array_foreach(json_object_get(phase, "steps"), s, step) {
                add_step(check, steps, p, s, step);
            }
        }
        free(pointer);
    }
}

void check_runbook(struct check *check)
{
    const json_t *tree = check->definition->tree;
    if (!check_map(check, "", tree, runbook_keys, COUNT_OF(runbook_keys))) {
        return;
    }
    struct steps steps = {0};
    const json_t *phases = json_object_get(tree, "phases");
    read_phases(check, &steps, phases);
    if (json_is_array(phases) && steps.count == 0) {
        check_problem(check, "/phases", "a runbook has at least one step");
    }
    bool circle = false;
    for (size_t i = 0; i < steps.count; i++) {
        check_action(check, &steps.items[i]);
        check_needs(check, &steps, &steps.items[i]);
        check_reads(check, &steps, &steps.items[i]);
        circle = circle || (steps.items[i].id && find_cycle(check, &steps, &steps.items[i]));
    }
    for (size_t i = 0; i < steps.count; i++) {
        free(steps.items[i].pointer);
    }
    free(steps.items);
}
