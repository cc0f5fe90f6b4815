/* What is checked of a source: how HR events of some types become offboardings. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/definition_check.h"
#include "lib/json.h"
#include "lib/mem.h"

static const struct check_key source_keys[] = {
    {"source", CHECK_TEXT, true, false},     {"description", CHECK_TEXT, false, false},
    {"types", CHECK_MAP, true, false},       {"criteria", CHECK_MAP, false, false},
    {"map", CHECK_MAP, true, false},         {"guarantees", CHECK_LIST, false, false},
    {"signature", CHECK_MAP, false, true},   {"challenge", CHECK_MAP, false, true},
    {"poll", CHECK_MAP, false, true},        {"ignore", CHECK_ANY, false, true},
};

static const struct check_key map_keys[] = {
    {"user", CHECK_ANY, true, false},      {"effective_at", CHECK_TEMPLATE, false, false},
    {"zone", CHECK_TEMPLATE, false, false}, {"runbook", CHECK_TEMPLATE, false, false},
    {"priority", CHECK_TEMPLATE, false, false}, {"mode", CHECK_TEMPLATE, false, false},
    {"ids", CHECK_ANY, false, false},      {"reason", CHECK_TEMPLATE, false, false},
    {"requested_by", CHECK_TEMPLATE, false, false},
};

static const char *const intents[] = {"start", "change", "cancel", "rehire"};

/* schema/messages.md: events never carry these. */
static const char *const private_names[] = {"address", "home_address", "phone", "home_phone", "mobile", "birth_date"};

static bool listed(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (name && strcmp(list[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void check_types(struct check *check, const json_t *types)
{
    const char *type;
    json_t *intent;
    json_object_foreach((json_t *)(uintptr_t)types, type, intent) {
        const char *word = json_string_value(intent);
        if (!listed(intents, COUNT_OF(intents), word)) {
            char *at = mem_printf("/types/%s", type);
            char *hint = check_hint(word ? word : "", intents, COUNT_OF(intents));
            check_problem(check, at, "\"%s\" must be start, change, cancel or rehire%s", type, hint);
            free(hint);
            free(at);
        }
    }
    /* Two sources that take the same type would make the choice a matter of luck. */
    for (size_t i = 0; i < definition_count(check->definitions, DEFINITION_SOURCE); i++) {
        const struct definition *other = definition_item(check->definitions, DEFINITION_SOURCE, i);
        if (other == check->definition) {
            return;
        }
        json_object_foreach((json_t *)(uintptr_t)types, type, intent) {
            if (json_object_get(json_object_get(other->tree, "types"), type)) {
                check_problem(check, "/types", "type \"%s\" is taken by source \"%s\" already", type, other->name);
            }
        }
    }
}

static void check_user(struct check *check, const json_t *user)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)user, name, value) {
        if (listed(private_names, COUNT_OF(private_names), name)) {
            char *at = mem_printf("/map/user/%s", name);
            check_problem(check, at, "\"%s\" never travels in events; the job that ships a box fetches it", name);
            free(at);
        }
    }
}

void check_source(struct check *check)
{
    const json_t *tree = check->definition->tree;
    if (!check_map(check, "", tree, source_keys, COUNT_OF(source_keys))) {
        return;
    }
    check_types(check, json_object_get(tree, "types"));
    const json_t *map = json_object_get(tree, "map");
    if (json_is_object(map) && check_map(check, "/map", map, map_keys, COUNT_OF(map_keys))) {
        check_user(check, json_object_get(map, "user"));
        check_expressions(check, "/map/user", json_object_get(map, "user"));
        check_expressions(check, "/map/ids", json_object_get(map, "ids"));
        const char *runbook = json_string_at(map, "runbook");
        if (runbook && !expr_has(runbook) && !definition_find(check->definitions, DEFINITION_RUNBOOK, runbook)) {
            const char *near = definition_nearest(check->definitions, DEFINITION_RUNBOOK, runbook);
            check_problem(check, "/map/runbook", "there is no runbook \"%s\"%s%s%s", runbook, near ? "; did you mean \"" : "",
                          near ? near : "", near ? "\"?" : "");
        }
    }
    const char *name;
    json_t *criterion;
    json_object_foreach((json_t *)(uintptr_t)json_object_get(tree, "criteria"), name, criterion) {
        char *at = mem_printf("/criteria/%s", name);
        check_expressions(check, at, criterion);
        free(at);
    }
}
