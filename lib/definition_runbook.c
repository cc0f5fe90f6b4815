/* What is checked of a runbook: its phases and steps, and that every system, action and parameter is there. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/definition_steps.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/runbook.h"
#include "lib/time.h"

static const struct check_key runbook_keys[] = {
    {"runbook", CHECK_NAME, true}, {"description", CHECK_TEXT, false}, {"phases", CHECK_LIST, true},
    {"mirror", CHECK_LIST, false}, {"notify", CHECK_MAP, false},
};

static const struct check_key phase_keys[] = {
    {"name", CHECK_NAME, true},    {"title", CHECK_TEXT, false}, {"after", CHECK_DURATION, false},
    {"beside", CHECK_BOOL, false}, {"steps", CHECK_LIST, true},  {"ends_access", CHECK_BOOL, false},
};

static const struct check_key step_keys[] = {
    {"id", CHECK_NAME, true},           {"system", CHECK_TEXT, true},      {"action", CHECK_TEXT, true},
    {"description", CHECK_TEXT, false}, {"needs", CHECK_TEXTS, false},     {"when", CHECK_TEXT, false},
    {"if", CHECK_PREDICATE, false},     {"with", CHECK_MAP, false},        {"after", CHECK_DURATION, false},
    {"expires", CHECK_DURATION, false}, {"on_missing", CHECK_TEXT, false}, {"verify", CHECK_TEXTS, false},
    {"title", CHECK_TEXT, false},       {"quiet", CHECK_BOOL, false},
};

/* Of a step that runs another runbook. */
static const struct check_key run_keys[] = {
    {"id", CHECK_NAME, true},           {"run", CHECK_TEXT, true},      {"needs", CHECK_TEXTS, false},
    {"when", CHECK_TEXT, false},        {"if", CHECK_PREDICATE, false}, {"after", CHECK_DURATION, false},
    {"description", CHECK_TEXT, false},
};

static const char *const whens[] = {"on_success", "on_failure", "unless_failed", "any", "always"};
static const char *const on_missings[] = {"cancel_phase"};

/* ---- system, action, parameters ------------------------------------------------------------------------------------------- */

void check_step_with(struct check *check, const struct step *step)
{
    const char *action = json_string_at(step->tree, "action");
    const json_t *declared = json_object_get(step->action, "with");
    const json_t *given = json_object_get(step->tree, "with");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)given, name, value)
    {
        if (!json_object_get(declared, name)) {
            char *at = mem_printf("%s/with/%s", step->pointer, name);
            char *hint = check_hint_keys(name, declared);
            check_problem(check, at, "action \"%s\" has no parameter \"%s\"%s", action, name, hint);
            free(hint);
            free(at);
        }
    }
    json_object_foreach((json_t *)(uintptr_t)declared, name, value)
    {
        bool wanted = json_true_at(value, "required") && !json_object_get(value, "default");
        if (wanted && !json_object_get(given, name)) {
            check_problem(check, step->pointer, "parameter \"%s\" of action \"%s\" is missing", name, action);
        }
    }
}

const json_t *check_step_action(struct check *check, const char *pointer, const json_t *tree)
{
    const char *system = json_string_at(tree, "system");
    const char *name = json_string_at(tree, "action");
    const struct definition *connector = definition_find(check->definitions, DEFINITION_CONNECTOR, system);
    if (system && !connector) {
        char *at = mem_printf("%s/system", pointer);
        const char *near = definition_nearest(check->definitions, DEFINITION_CONNECTOR, system);
        check_problem(check, at, "there is no connector for system \"%s\"%s%s%s", system,
                      near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        free(at);
    }
    const json_t *actions = connector ? json_object_get(connector->tree, "actions") : NULL;
    const json_t *action = name ? json_object_get(actions, name) : NULL;
    if (connector && name && !action) {
        char *at = mem_printf("%s/action", pointer);
        char *hint = check_hint_keys(name, actions);
        check_problem(check, at, "system \"%s\" has no action \"%s\"%s", system, name, hint);
        free(hint);
        free(at);
    }
    return action;
}

/* ---- steps ---------------------------------------------------------------------------------------------------------------- */

/* The text under `key` must be one of `words`; `which` is how a reader is told of them. */
static void check_word(struct check *check, const char *pointer, const json_t *step, const char *key,
                       const char *const *words, size_t count, const char *which)
{
    const char *word = json_string_at(step, key);
    bool known = !word;
    for (size_t i = 0; i < count; i++) {
        known = known || strcmp(words[i], word) == 0;
    }
    if (!known) {
        char *at = mem_printf("%s/%s", pointer, key);
        char *hint = check_hint(word, words, count);
        check_problem(check, at, "\"%s\" must be %s%s", key, which, hint);
        free(hint);
        free(at);
    }
}

static int64_t after_of(const json_t *owner)
{
    int64_t after = 0;
    const char *text = json_string_at(owner, "after");
    return text && time_parse_duration(text, &after, NULL) == 0 ? after : 0;
}

static void add_step(struct check *check, struct steps *steps, const json_t *phase, size_t number, size_t index)
{
    const json_t *tree = json_array_get(json_object_get(phase, "steps"), index);
    char *pointer = mem_printf("/phases/%zu/steps/%zu", number, index);
    bool runs = json_object_get(tree, "run") != NULL;
    if (!check_map(check, pointer, tree, runs ? run_keys : step_keys,
                   runs ? COUNT_OF(run_keys) : COUNT_OF(step_keys))) {
        free(pointer);
        return;
    }
    const char *id = json_string_at(tree, "id");
    if (id && steps_find(steps, id)) {
        check_problem(check, pointer, "there is already a step \"%s\"; ids are unique within a runbook", id);
    }
    check_word(check, pointer, tree, "when", whens, COUNT_OF(whens),
               "on_success, on_failure, unless_failed, any or always");
    check_word(check, pointer, tree, "on_missing", on_missings, COUNT_OF(on_missings), "cancel_phase");
    if (json_object_get(tree, "after") && after_of(tree) < after_of(phase)) {
        check_warning(check, pointer,
                      "\"after\" counts from the offboarding's start: the step runs with its phase, after %s",
                      json_string_at(phase, "after"));
    }
    struct step step = {.tree = tree, .id = id, .phase = number, .pointer = pointer};
    step.action = runs ? NULL : check_step_action(check, pointer, tree);
    if (step.action) {
        check_step_with(check, &step);
    }
    check_read_backs(check, &step);
    check_run(check, &step);
    char *with = mem_printf("%s/with", pointer);
    check_expressions(check, with, json_object_get(tree, "with"));
    free(with);
    steps->items = mem_realloc(steps->items, (steps->count + 1) * sizeof *steps->items);
    steps->items[steps->count++] = step;
}

/* ---- phases --------------------------------------------------------------------------------------------------------------- */

/* The phase that this one waits for, when neither runs beside others; NULL: none. */
static const json_t *phase_before(const json_t *phases, size_t number)
{
    bool beside = json_true_at(json_array_get(phases, number), "beside");
    while (!beside && number > 0) {
        const json_t *phase = json_array_get(phases, --number);
        if (!json_true_at(phase, "beside")) {
            return phase;
        }
    }
    return NULL;
}

static void check_phase_order(struct check *check, const char *pointer, const json_t *phases, size_t number)
{
    const json_t *phase = json_array_get(phases, number);
    const json_t *before = phase_before(phases, number);
    if (json_object_get(phase, "after") && after_of(phase) < after_of(before)) {
        check_problem(check, pointer, "this phase's time (%s) comes before that of the phase above it (%s)",
                      json_string_at(phase, "after"), json_string_at(before, "after"));
    }
    const char *name = json_string_at(phase, "name");
    for (size_t i = 0; i < number; i++) {
        const char *other = json_string_at(json_array_get(phases, i), "name");
        if (name && other && strcmp(name, other) == 0) {
            check_problem(check, pointer, "there is already a phase \"%s\"", name);
        }
    }
    if (name && strcmp(name, RUNBOOK_READ_BACKS) == 0) {
        check_problem(check, pointer, "give the phase another name: \"%s\" is the one of all later read-backs", name);
    }
}

static void read_phases(struct check *check, struct steps *steps, const json_t *phases)
{
    size_t number;
    json_t *phase;
    json_array_foreach(phases, number, phase)
    {
        char *pointer = mem_printf("/phases/%zu", number);
        if (check_map(check, pointer, phase, phase_keys, COUNT_OF(phase_keys))) {
            const json_t *list = json_object_get(phase, "steps");
            check_phase_order(check, pointer, phases, number);
            if (json_is_array(list) && json_array_size(list) == 0) {
                check_problem(check, pointer, "a phase has at least one step");
            }
            for (size_t i = 0; i < json_array_size(list); i++) {
                add_step(check, steps, phase, number, i);
            }
        }
        free(pointer);
    }
}

void check_runbook(struct check *check)
{
    const json_t *tree = check->definition->tree;
    const json_t *phases = json_object_get(tree, "phases");
    if (!check_map(check, "", tree, runbook_keys, COUNT_OF(runbook_keys))) {
        return;
    }
    if (json_is_array(phases) && json_array_size(phases) == 0) {
        check_problem(check, "/phases", "a runbook has at least one phase");
    }
    struct steps steps = {0};
    read_phases(check, &steps, phases);
    check_needs(check, &steps);
    check_followers(check, &steps);
    check_facts(check);
    for (size_t i = 0; i < steps.count; i++) {
        free(steps.items[i].pointer);
    }
    free(steps.items);
}
