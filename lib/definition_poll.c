/* What is checked of a source that is polled: whom the worker asks, how often, and what becomes an event. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/definition_steps.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

static const struct check_key poll_keys[] = {
    {"system", CHECK_NAME, true},    {"action", CHECK_NAME, true},    {"with", CHECK_MAP, false},
    {"every", CHECK_DURATION, true}, {"items", CHECK_TEMPLATE, true}, {"id", CHECK_TEMPLATE, true},
    {"type", CHECK_TEMPLATE, false},
};

/* It runs for nobody, again and again: it must only read, and be about no account. */
static void check_action(struct check *check, const json_t *poll)
{
    const json_t *action = check_step_action(check, "/poll", poll);
    if (!action) {
        return;
    }
    const char *name = json_string_at(poll, "action");
    const char *effect = json_string_at(action, "effect");
    const char *accounts = json_string_at(action, "accounts");
    const struct definition *connector =
        definition_find(check->definitions, DEFINITION_CONNECTOR, json_string_at(poll, "system"));
    bool nobody = (accounts && strcmp(accounts, "none") == 0) || !json_object_get(connector->tree, "identify");
    if (!effect || strcmp(effect, "identify") != 0 || json_true_at(action, "once")) {
        check_problem(check, "/poll/action",
                      "action \"%s\" can't be polled: only one that reads can, with `effect: identify`", name);
    }
    if (!nobody) {
        check_problem(check, "/poll/action",
                      "action \"%s\" can't be polled: it is about a person's account; one with "
                      "`accounts: none` can",
                      name);
    }
    struct step step = {.pointer = (char *)(uintptr_t) "/poll", .tree = poll, .action = action};
    check_step_with(check, &step);
}

static void read_outputs(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    (void)arg;
    static const char *const members[] = {"outputs", "now"};
    check_member(check, pointer, path, 0, members, COUNT_OF(members));
}

static void read_now(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    (void)arg;
    static const char *const members[] = {"now"};
    check_member(check, pointer, path, 0, members, COUNT_OF(members));
}

static void read_item(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    (void)arg;
    static const char *const members[] = {"item", "now"};
    check_member(check, pointer, path, 0, members, COUNT_OF(members));
}

static void check_type(struct check *check, const json_t *poll)
{
    const json_t *types = json_object_get(check->definition->tree, "types");
    const char *type = json_string_at(poll, "type");
    if (!json_object_get(poll, "type") && json_object_size(types) > 1) {
        check_problem(check, "/poll", "\"type\" is missing: which of the source's types has an item?");
    } else if (type && !expr_has(type) && !json_object_get(types, type)) {
        char *hint = check_hint_keys(type, types);
        check_problem(check, "/poll/type", "the source takes no type \"%s\"%s", type, hint);
        free(hint);
    }
}

void check_polled(struct check *check)
{
    const json_t *poll = json_object_get(check->definition->tree, "poll");
    if (!json_is_object(poll) || !check_map(check, "/poll", poll, poll_keys, COUNT_OF(poll_keys))) {
        return;
    }
    int64_t every = 1;
    const char *text = json_string_at(poll, "every");
    if (text && time_parse_duration(text, &every, NULL) == 0 && every <= 0) {
        check_problem(check, "/poll/every", "\"every\" must be a duration above 0, such as 5m");
    }
    check_action(check, poll);
    check_type(check, poll);
    check_expressions(check, "/poll/with", json_object_get(poll, "with"));
    check_paths(check, "/poll/with", json_object_get(poll, "with"), read_now, NULL);
    check_paths(check, "/poll/items", json_object_get(poll, "items"), read_outputs, NULL);
    check_paths(check, "/poll/id", json_object_get(poll, "id"), read_item, NULL);
    check_paths(check, "/poll/type", json_object_get(poll, "type"), read_item, NULL);
    static const char *const expressions[] = {"items", "id"};
    for (size_t i = 0; i < COUNT_OF(expressions); i++) {
        const char *said = json_string_at(poll, expressions[i]);
        if (said && !expr_has(said)) {
            char *at = mem_printf("/poll/%s", expressions[i]);
            check_problem(check, at, "\"%s\" must be an expression \"${ … }\" in quotes", expressions[i]);
            free(at);
        }
    }
}
