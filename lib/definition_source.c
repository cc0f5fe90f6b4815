/* What is checked of a source: how HR events of some types become offboardings. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/definition_check.h"
#include "lib/json.h"
#include "lib/mapping_internal.h"
#include "lib/mem.h"
#include "lib/time.h"

static const struct check_key source_keys[] = {
    {"source", CHECK_NAME, true},       {"description", CHECK_TEXT, false}, {"types", CHECK_MAP, false},
    {"criteria", CHECK_MAP, false},     {"map", CHECK_MAP, false},          {"guarantees", CHECK_TEXTS, false},
    {"poll", CHECK_MAP, false},         {"signal", CHECK_MAP, false},       {"settings", CHECK_MAP, false},
    {"signature", CHECK_MAP, false},    {"token", CHECK_MAP, false},        {"challenge", CHECK_MAP, false},
    {"events", CHECK_PREDICATE, false}, {"event", CHECK_MAP, false},        {"authorize", CHECK_ANY, false},
    {"answer", CHECK_MAP, false},       {"jwt", CHECK_MAP, false},          {"members", CHECK_TEXTS, false},
    {"title", CHECK_TEXT, false},
};

static const struct check_key map_keys[] = {
    {"user", CHECK_ANY, false},    {"effective_at", CHECK_TEMPLATE, false}, {"zone", CHECK_TEMPLATE, false},
    {"runbook", CHECK_ANY, false}, {"priority", CHECK_TEMPLATE, false},     {"mode", CHECK_TEMPLATE, false},
    {"ids", CHECK_ANY, false},     {"reason", CHECK_TEMPLATE, false},       {"requested_by", CHECK_TEMPLATE, false},
    {"actor", CHECK_MAP, false},
};

static const struct check_key actor_keys[] = {
    {"kind", CHECK_NAME, true},
    {"id", CHECK_TEMPLATE, true},
    {"name", CHECK_TEMPLATE, false},
};

static const struct check_key table_keys[] = {
    {"by", CHECK_TEMPLATE, true},
    {"of", CHECK_MAP, true},
};

static const struct check_key signal_keys[] = {
    {"name", CHECK_TEMPLATE, true},
    {"key", CHECK_TEMPLATE, true},
    {"id", CHECK_TEMPLATE, false},
    {"data", CHECK_MAP, false},
};

static const char *const intents[] = {"start", "change", "cancel", "rehire"};
static const char *const priorities[] = {"normal", "urgent"};
static const char *const modes[] = {"live", "dry_run"};

static bool listed(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (name && strcmp(list[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- types --------------------------------------------------------------------------------------------------------------- */

/* Two sources that take the same type would make the choice a matter of luck; the later one is told. What comes to a
 * source's own address is its own, whatever its type. */
static void check_type_free(struct check *check, const char *pointer, const char *type)
{
    if (json_object_get(check->definition->tree, "event")) {
        return;
    }
    for (size_t i = 0; i < definition_count(check->definitions, DEFINITION_SOURCE); i++) {
        const struct definition *other = definition_item(check->definitions, DEFINITION_SOURCE, i);
        if (other == check->definition) {
            return;
        }
        if (!json_object_get(other->tree, "event") && json_object_get(json_object_get(other->tree, "types"), type)) {
            check_problem(check, pointer, "type \"%s\" is taken by source \"%s\" already", type, other->name);
        }
    }
}

static void check_types(struct check *check, const json_t *types)
{
    const char *type;
    json_t *intent;
    if (json_is_object(types) && json_object_size(types) == 0) {
        check_problem(check, "/types", "a source takes at least one type of event");
    }
    json_object_foreach((json_t *)(uintptr_t)types, type, intent)
    {
        char *at = mem_printf("/types/%s", type);
        const char *word = json_string_value(intent);
        if (!listed(intents, COUNT_OF(intents), word)) {
            char *hint = check_hint(word ? word : "", intents, COUNT_OF(intents));
            check_problem(check, at, "\"%s\" must be start, change, cancel or rehire%s", type, hint);
            free(hint);
        }
        check_type_free(check, at, type);
        free(at);
    }
}

/* ---- criteria -------------------------------------------------------------------------------------------------------------- */

static void check_criteria(struct check *check, const json_t *criteria)
{
    const char *name;
    json_t *criterion;
    json_object_foreach((json_t *)(uintptr_t)criteria, name, criterion)
    {
        char *at = mem_printf("/criteria/%s", name);
        if (!json_is_string(criterion) || !expr_has(json_string_value(criterion))) {
            check_problem(check, at, "criterion \"%s\" must be an expression \"${ … }\" in quotes", name);
        }
        check_expressions(check, at, criterion);
        free(at);
    }
}

/* ---- map ------------------------------------------------------------------------------------------------------------------- */

/* schema/messages.md: events never carry these, however deep they lie. */
static void check_private(struct check *check, const char *pointer, const json_t *user)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)user, name, value)
    {
        char *at = mem_printf("%s/%s", pointer, name);
        if (mapping_is_private(name)) {
            check_problem(check, at, "\"%s\" never travels in events; the job that ships a box fetches it", name);
        }
        check_private(check, at, value);
        free(at);
    }
}

static void check_user(struct check *check, const json_t *user, const json_t *ids)
{
    bool expression = json_is_string(user) && expr_has(json_string_value(user));
    if (!user && ids) {
        return; /* an account is enough; a step provides the rest */
    }
    if (!user) {
        check_problem(check, "/map", "\"user\" is missing: who leaves? (An account in \"ids\" is enough.)");
        return;
    }
    if (!expression && !json_is_object(user)) {
        check_problem(check, "/map/user", "\"user\" must be a map, or an expression in quotes that yields one");
    } else if (json_is_object(user) && !json_object_get(user, "email") && !json_object_get(user, "employee_id") &&
               !ids) {
        check_problem(check, "/map/user", "\"user\" needs email or employee_id, or \"ids\" an account: who leaves?");
    }
    check_private(check, "/map/user", user);
    check_expressions(check, "/map/user", user);
}

/* A word that is no expression can be told to be wrong here already. */
static void check_word(struct check *check, const json_t *map, const char *key, const char *const *words, size_t count)
{
    const char *word = json_string_at(map, key);
    if (word && !expr_has(word) && !listed(words, count, word)) {
        char *at = mem_printf("/map/%s", key);
        char *hint = check_hint(word, words, count);
        check_problem(check, at, "\"%s\" must be %s or %s%s", key, words[0], words[1], hint);
        free(hint);
        free(at);
    }
}

static void check_map_words(struct check *check, const json_t *map)
{
    check_word(check, map, "priority", priorities, COUNT_OF(priorities));
    check_word(check, map, "mode", modes, COUNT_OF(modes));
    const char *zone = json_string_at(map, "zone");
    if (zone && !expr_has(zone) && !time_zone_known(zone)) {
        check_problem(check, "/map/zone", "there is no time zone \"%s\"; zones are named as in Europe/Berlin", zone);
    }
}

static void check_runbook_named(struct check *check, const char *pointer, const json_t *value)
{
    const char *runbook = json_string_value(value);
    if (!runbook) {
        check_problem(check, pointer, "a runbook's name must be a text");
    } else if (!expr_has(runbook) && !definition_find(check->definitions, DEFINITION_RUNBOOK, runbook)) {
        const char *near = definition_nearest(check->definitions, DEFINITION_RUNBOOK, runbook);
        check_problem(check, pointer, "there is no runbook \"%s\"%s%s%s", runbook, near ? "; did you mean \"" : "",
                      near ? near : "", near ? "\"?" : "");
    }
}

/* A name, or a table of them. */
static void check_runbook_choice(struct check *check, const json_t *runbook)
{
    if (!json_is_object(runbook)) {
        if (runbook) {
            check_runbook_named(check, "/map/runbook", runbook);
            check_expressions(check, "/map/runbook", runbook);
        }
        return;
    }
    const char *key;
    json_t *name;
    check_map(check, "/map/runbook", runbook, table_keys, COUNT_OF(table_keys));
    json_object_foreach(json_object_get(runbook, "of"), key, name)
    {
        char *at = mem_printf("/map/runbook/of/%s", key);
        check_runbook_named(check, at, name);
        free(at);
    }
}

static void check_actor(struct check *check, const json_t *actor)
{
    if (json_is_object(actor)) {
        check_map(check, "/map/actor", actor, actor_keys, COUNT_OF(actor_keys));
    }
}

static void check_guarantees(struct check *check, const json_t *guarantees)
{
    size_t i;
    json_t *path;
    json_array_foreach(guarantees, i, path)
    {
        const char *text = json_string_value(path);
        if (text && strncmp(text, "user.", 5) != 0) {
            char *at = mem_printf("/guarantees/%zu", i);
            check_problem(check, at, "a guarantee names a member of user, as in user.manager");
            free(at);
        }
    }
}

/* ---- signals --------------------------------------------------------------------------------------------------------------- */

/* What it takes in completes a step, and starts nobody's offboarding. */
static void check_signal(struct check *check, const json_t *signal)
{
    static const char *const useless[] = {"types", "map",       "guarantees", "poll",   "events",
                                          "event", "authorize", "answer",     "members"};
    for (size_t i = 0; i < COUNT_OF(useless); i++) {
        if (json_object_get(check->definition->tree, useless[i])) {
            char *at = mem_printf("/%s", useless[i]);
            check_problem(check, at, "a source with \"signal\" has no \"%s\": it starts no offboarding", useless[i]);
            free(at);
        }
    }
    if (check_map(check, "/signal", signal, signal_keys, COUNT_OF(signal_keys))) {
        check_private(check, "/signal/data", json_object_get(signal, "data"));
        check_expressions(check, "/signal/data", json_object_get(signal, "data"));
    }
}

void check_source(struct check *check)
{
    const json_t *tree = check->definition->tree;
    const json_t *map = json_object_get(tree, "map");
    if (!check_map(check, "", tree, source_keys, COUNT_OF(source_keys))) {
        return;
    }
    check_criteria(check, json_object_get(tree, "criteria"));
    check_proof(check);
    check_webhook(check);
    if (json_object_get(tree, "signal")) {
        check_signal(check, json_object_get(tree, "signal"));
        return;
    }
    static const char *const needed[] = {"types", "map"};
    for (size_t i = 0; i < COUNT_OF(needed); i++) {
        if (!json_object_get(tree, needed[i])) {
            check_problem(check, "", "\"%s\" is missing", needed[i]);
        }
    }
    check_types(check, json_object_get(tree, "types"));
    check_polled(check);
    check_guarantees(check, json_object_get(tree, "guarantees"));
    if (json_is_object(map) && check_map(check, "/map", map, map_keys, COUNT_OF(map_keys))) {
        check_user(check, json_object_get(map, "user"), json_object_get(map, "ids"));
        check_expressions(check, "/map/ids", json_object_get(map, "ids"));
        check_map_words(check, map);
        check_actor(check, json_object_get(map, "actor"));
        check_runbook_choice(check, json_object_get(map, "runbook"));
    }
}
