#include "lib/mapping.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/mapping_internal.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/nearest.h"
#include "lib/source_settings.h"
#include "lib/time.h"

void mapped_release(struct mapped *mapped)
{
    json_decref(mapped->offboarding);
    json_decref(mapped->seen);
    free(mapped->person);
    free(mapped->refused);
    *mapped = (struct mapped){0};
}

/* ---- choosing the source ----------------------------------------------------------------------------------------- */

/* A source with `event` has an address of its own; nobody reaches it by a type. */
static const struct definition *source_for(const struct definitions *definitions, const char *type)
{
    for (size_t i = 0; i < definition_count(definitions, DEFINITION_SOURCE); i++) {
        const struct definition *source = definition_item(definitions, DEFINITION_SOURCE, i);
        if (!json_object_get(source->tree, "event") && json_object_get(json_object_get(source->tree, "types"), type)) {
            return source;
        }
    }
    return NULL;
}

/* NULL with the err when none takes the type. */
static const struct definition *choose_source(const struct definitions *definitions, const char *name, const char *type,
                                              bool any_type, enum intent *intent, struct err *err)
{
    static const char *const words[] = {"start", "change", "cancel", "rehire"};
    const struct definition *found =
        name ? definition_find(definitions, DEFINITION_SOURCE, name) : source_for(definitions, type);
    if (!found && name) {
        err_set(err, ERR_PERMANENT, "there is no source \"%s\"", name);
        return NULL;
    }
    const char *word = found ? json_string_value(json_object_get(json_object_get(found->tree, "types"), type)) : NULL;
    for (size_t i = 0; word && i < COUNT_OF(words); i++) {
        if (strcmp(words[i], word) == 0) {
            *intent = (enum intent)i;
            return found;
        }
    }
    if (found && any_type) {
        *intent = INTENT_START; /* its fate is type_taken()'s */
        return found;
    }
    err_set(err, ERR_PERMANENT,
            "type: no source takes \"%s\" (the built-in one takes leaver.created, leaver.changed, "
            "leaver.cancelled and leaver.rehired)",
            type);
    return NULL;
}

/* What a sender sends to its source's address, and the source has no word for, is no mistake of anybody's. */
static bool type_taken(const struct definition *source, const json_t *event, struct mapped *mapped)
{
    const char *type = json_string_at(event, "type");
    if (!json_object_get(event, MAPPING_SOURCE) || json_object_get(json_object_get(source->tree, "types"), type)) {
        return true;
    }
    mapped->ignored_by = "types";
    mapped->seen = json_string(type);
    return false;
}

/* The first criterion that is not met decides. */
static bool criteria_met(struct definitions *definitions, const struct definition *source, const json_t *event,
                         struct mapped *mapped)
{
    const char *name;
    json_t *criterion;
    json_object_foreach(json_object_get(source->tree, "criteria"), name, criterion)
    {
        if (!expr_true(definitions_exprs(definitions), criterion, event, true)) {
            mapped->ignored_by = name;
            mapped->seen = json_incref(json_object_get(event, "data") ? json_object_get(event, "data") : json_null());
            return false;
        }
    }
    return true;
}

/* Whether whoever asked may: the first rule that does not hold says why not. One that can't say it refuses all the same. */
static bool authorized(struct definitions *definitions, const struct definition *source, const json_t *event,
                       struct mapped *mapped)
{
    const json_t *authorize = json_object_get(source->tree, "authorize");
    json_t *rules = json_is_array(authorize) ? json_incref((json_t *)(uintptr_t)authorize)
                    : authorize              ? json_pack("[O]", authorize)
                                             : json_array();
    size_t i;
    json_t *rule;
    json_array_foreach(rules, i, rule)
    {
        if (!mapped->refused &&
            !expr_true(definitions_exprs(definitions), json_object_get(rule, "that"), event, false)) {
            mapped->refused = expr_text(definitions_exprs(definitions), json_string_at(rule, "why"), event, NULL);
            mapped->refused = mapped->refused ? mapped->refused : mem_strdup("whoever asked may not");
        }
    }
    json_decref(rules);
    return !mapped->refused;
}

/* Of a source that lists the members of its events another one is a mistake: `runbok` must not start the default runbook. */
static int check_members(const struct mapping *mapping)
{
    enum { MOST = 64 };
    const json_t *members = json_object_get(mapping->source->tree, "members");
    const char *right[MOST];
    size_t count = 0, i;
    json_t *member;
    json_array_foreach(members, i, member)
    {
        right[count] = json_string_value(member);
        count += count + 1 < MOST;
    }
    const char *wrong = members ? nearest_unknown(json_object_get(mapping->event, "data"), right, count) : NULL;
    const char *near = wrong ? nearest_name(wrong, right, count) : NULL;
    if (!wrong) {
        return 0;
    }
    return err_set(mapping->err, ERR_PERMANENT, "%.*s: source %s knows no such member%s%s%s", MAPPING_TEXT_MAX, wrong,
                   mapping->source->name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* ---- the rest of the map ----------------------------------------------------------------------------------------- */

json_t *mapping_value(const struct mapping *mapping, const char *key)
{
    const json_t *tmpl = json_object_get(json_object_get(mapping->source->tree, "map"), key);
    json_t *value = expr_render(definitions_exprs(mapping->definitions), tmpl, mapping->event, mapping->err);
    if (!value) {
        err_prefix(mapping->err, "source %s: map.%s", mapping->source->name, key);
    }
    return value;
}

int mapping_text(const struct mapping *mapping, const char *key, const char *const *words, size_t count, char **text)
{
    json_t *value = mapping_value(mapping, key);
    if (!value || mapping_check_text(key, value, mapping->err) != 0) {
        json_decref(value);
        return -1;
    }
    const char *given = json_string_value(value);
    bool known = !given || !count;
    for (size_t i = 0; i < count && given; i++) {
        known = known || strcmp(words[i], given) == 0;
    }
    if (!known) {
        err_set(mapping->err, ERR_PERMANENT, "%s: \"%s\" must be %s or %s", key, given, words[0], words[1]);
    } else {
        *text = given && *given ? mem_strdup(given) : NULL;
    }
    json_decref(value);
    return known ? 0 : -1;
}

/* ---- which runbook ------------------------------------------------------------------------------------------------ */

/* What a table of runbooks is looked up by; numbers as JSON writes them. NULL: nothing is said. The caller frees. */
static char *table_key(const struct mapping *mapping, const json_t *table)
{
    json_t *by =
        expr_render(definitions_exprs(mapping->definitions), json_object_get(table, "by"), mapping->event, NULL);
    bool number = json_is_number(by);
    char *key = json_is_string(by) ? mem_strdup(json_string_value(by)) : number ? json_text(by) : NULL;
    json_decref(by);
    return key;
}

static const json_t *runbook_table(const struct mapping *mapping)
{
    const json_t *runbook = json_at(mapping->source->tree, "map.runbook");
    return json_is_object(runbook) ? runbook : NULL;
}

/* NULL with `*runbook` NULL is "not given", or a gap in the table. */
static int map_runbook(const struct mapping *mapping, char **runbook)
{
    const json_t *table = runbook_table(mapping);
    if (!table) {
        return mapping_text(mapping, "runbook", NULL, 0, runbook);
    }
    char *key = table_key(mapping, table);
    const char *found = key ? json_string_value(json_object_get(json_object_get(table, "of"), key)) : NULL;
    *runbook = found ? mem_strdup(found) : NULL;
    free(key);
    return 0;
}

/* What the HR system asks for, and no runbook serves, is told to operators by its name: it is a gap to be filled. */
static char *runbook_gap(const struct mapping *mapping)
{
    const json_t *table = runbook_table(mapping);
    char *key = table_key(mapping, table);
    struct buf served = BUF_INIT;
    const char *name;
    json_t *runbook;
    json_object_foreach(json_object_get(table, "of"), name, runbook)
    {
        buf_addf(&served, "%s%s", served.len ? ", " : "", name);
    }
    char *text = mem_printf("no runbook serves \"%.*s\": source %s has them for %s", MAPPING_TEXT_MAX, key ? key : "",
                            mapping->source->name, served.len ? buf_text(&served) : "nothing");
    buf_release(&served);
    free(key);
    return text;
}

static int put_choices(const struct mapping *mapping, json_t *offboarding)
{
    static const char *const priorities[] = {"normal", "urgent"};
    static const char *const modes[] = {"live", "dry_run"};
    char *priority = NULL, *mode = NULL, *runbook = NULL, *reason = NULL;
    int result = -1;
    if (mapping_text(mapping, "priority", priorities, COUNT_OF(priorities), &priority) == 0 &&
        mapping_text(mapping, "mode", modes, COUNT_OF(modes), &mode) == 0 && map_runbook(mapping, &runbook) == 0 &&
        mapping_text(mapping, "reason", NULL, 0, &reason) == 0) {
        json_put_string(offboarding, "priority", priority ? priority : "normal");
        json_put_string(offboarding, "mode", mode ? mode : "live");
        json_put_string(offboarding, "runbook", runbook);
        json_put_string(offboarding, "reason", reason);
        result = 0;
    }
    free(priority);
    free(mode);
    free(runbook);
    free(reason);
    return result;
}

static int check_runbook_known(const struct mapping *mapping, const json_t *offboarding)
{
    const char *runbook = json_string_at(offboarding, "runbook");
    if (!runbook) {
        return err_set(mapping->err, ERR_PERMANENT, "runbook is missing, and source \"%s\" has no default",
                       mapping->source->name);
    }
    if (!definition_find(mapping->definitions, DEFINITION_RUNBOOK, runbook)) {
        const char *near = definition_nearest(mapping->definitions, DEFINITION_RUNBOOK, runbook);
        return err_set(mapping->err, ERR_PERMANENT, "runbook: there is no runbook \"%s\"%s%s%s", runbook,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return 0;
}

/* `map.actor`, of an event whose sender is known: a token's owner can't speak in somebody's name. */
static json_t *mapped_actor(const struct mapping *mapping)
{
    static const char *const names[] = {"kind", "id", "name"};
    const json_t *tmpl = json_at(mapping->source->tree, "map.actor");
    if (!tmpl || !json_object_get(mapping->event, MAPPING_SOURCE)) {
        return NULL;
    }
    json_t *actor = expr_render(definitions_exprs(mapping->definitions), tmpl, mapping->event, NULL);
    bool texts = json_string_at(actor, "id") != NULL;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        texts = texts && mapping_check_text(names[i], json_object_get(actor, names[i]), NULL) == 0;
    }
    if (!texts) {
        json_decref(actor);
        return NULL;
    }
    if (!json_object_get(actor, "name")) {
        json_object_set_new(actor, "name", json_null());
    }
    return actor;
}

static void put_actor(const struct mapping *mapping, json_t *offboarding)
{
    json_t *given = mapped_actor(mapping);
    if (given) {
        json_put(offboarding, "actor", given);
        return;
    }
    const char *token = json_string_at(mapping->event, "offboardactor");
    json_t *name = mapping_value(mapping, "requested_by");
    json_t *actor = json_pack("{s:s, s:s}", "kind", token ? "token" : "source", "id",
                              token ? token : json_string_at(mapping->event, "source"));
    bool named = json_is_string(name) && json_string_length(name) <= MAPPING_TEXT_MAX;
    const char *title = token ? NULL : json_string_at(mapping->source->tree, "title"); /* how people call the sender */
    json_put(actor, "name", named ? json_incref(name) : title ? json_string(title) : json_null());
    json_decref(name);
    json_put(offboarding, "actor", actor);
}

json_t *mapping_event_summary(const json_t *event)
{
    json_t *summary = json_object();
    static const char *const names[] = {"source", "id", "type", "time"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        json_t *value = json_object_get(event, names[i]);
        json_object_set_new(summary, names[i], value ? json_incref(value) : json_null());
    }
    const char *time = json_string_at(event, "time");
    int64_t at;
    if (time && time_parse(time, &at, NULL) == 0) {
        json_put_instant(summary, "time", at);
    }
    return summary;
}

static json_t *base_offboarding(const struct mapping *mapping)
{
    char id[ID_SIZE], received[TIME_TEXT_SIZE];
    id_offboarding(json_string_at(mapping->event, "source"), json_string_at(mapping->event, "id"), id);
    time_format(mapping->received_at, received);
    json_t *offboarding = json_pack("{s:i, s:s, s:s, s:s}", "version", MESSAGE_VERSION, "id", id, "source",
                                    mapping->source->name, "received_at", received);
    json_put(offboarding, "event", mapping_event_summary(mapping->event));
    return offboarding;
}

static int map_event(const struct mapping *mapping, struct mapped *mapped)
{
    mapped->offboarding = base_offboarding(mapping);
    if (mapping_put_person(mapping, mapped) != 0) {
        return -1;
    }
    put_actor(mapping, mapped->offboarding);
    if (mapping_put_times(mapping, mapped->offboarding, &mapped->dated) != 0 ||
        put_choices(mapping, mapped->offboarding) != 0) {
        return -1;
    }
    bool plans = mapped->intent == INTENT_START || mapped->intent == INTENT_CHANGE;
    if (plans && runbook_table(mapping) && !json_string_at(mapped->offboarding, "runbook")) {
        mapped->refused = mapped->refused ? mapped->refused : runbook_gap(mapping);
        return 0;
    }
    return plans ? check_runbook_known(mapping, mapped->offboarding) : 0;
}

/* What a source's expressions see: the event, and the settings of the source. New reference. */
static json_t *context_for(const struct definition *source, const struct conf *conf, const json_t *event)
{
    json_t *context = json_copy((json_t *)(uintptr_t)event);
    if (json_object_get(source->tree, "settings")) {
        json_object_set_new(context, "settings", source_settings(source, conf));
    }
    return context;
}

static int apply(struct mapping *mapping, struct mapped *result)
{
    struct definitions *definitions = mapping->definitions;
    if (check_members(mapping) != 0) {
        return -1;
    }
    if (!type_taken(mapping->source, mapping->event, result) ||
        !criteria_met(definitions, mapping->source, mapping->event, result) ||
        !authorized(definitions, mapping->source, mapping->event, result)) {
        /* Recorded as ignored or refused, with what can be said of the person. */
        mapping->err = NULL;
        map_event(mapping, result);
        return 0;
    }
    return map_event(mapping, result);
}

int mapping_apply(struct definitions *definitions, const struct conf *conf, const json_t *event, const char *source,
                  int64_t received_at, struct mapped *mapped, struct err *err)
{
    struct mapping mapping = {definitions, conf, NULL, NULL, received_at, err};
    struct mapped result = {0};
    const char *address = json_string_at(event, MAPPING_SOURCE);
    mapping.source = choose_source(definitions, source ? source : address, json_string_at(event, "type"),
                                   address != NULL, &result.intent, err);
    if (!mapping.source) {
        return -1;
    }
    result.source = mapping.source->name;
    json_t *context = context_for(mapping.source, conf, event);
    mapping.event = context;
    int failed = apply(&mapping, &result);
    json_decref(context);
    if (failed) {
        mapped_release(&result);
        return -1;
    }
    *mapped = result;
    return 0;
}
