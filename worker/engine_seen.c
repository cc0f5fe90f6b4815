/* What a predicate looked at, for the record: the values that it reads, by path. A vendor's whole object or list may hold home addresses
 * and phone numbers: of one that is read as a whole only those members are kept that the predicate is about. */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/text.h"
#include "worker/engine_internal.h"
#include "worker/engine_paths.h"

enum { SEEN_MAX = 500 /* bytes of one value */, ITEMS_MAX = 20, DEPTH_MAX = 5 };

struct seeing {
    const json_t *context;
    const char *expect;
    json_t *names; /* {<member>: true}: what its data name (`.body[$with.field]`); owned */
    json_t *seen;
};

/* ---- which members ----------------------------------------------------------------------------------------------- */

static bool is_part_of_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Does the expression have this name in it, as a whole? */
static bool is_written(const char *text, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = len ? strstr(text, name) : NULL; at; at = strstr(at + 1, name)) {
        if ((at == text || !is_part_of_name(at[-1])) && !is_part_of_name(at[len])) {
            return true;
        }
    }
    return false;
}

static bool is_kept(const struct seeing *seeing, const char *name)
{
    return strcmp(name, "id") == 0 || strcmp(name, "dn") == 0 || is_written(seeing->expect, name) ||
           json_object_get(seeing->names, name);
}

static void add_names(json_t *names, const json_t *value, int depth)
{
    const char *name;
    json_t *member;
    size_t i;
    if (json_is_string(value)) {
        json_object_set_new(names, json_string_value(value), json_true());
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        json_object_set_new(names, name, json_true());
        if (depth < DEPTH_MAX) {
            add_names(names, member, depth + 1);
        }
    }
    json_array_foreach(value, i, member)
    {
        if (depth < DEPTH_MAX) {
            add_names(names, member, depth + 1);
        }
    }
}

/* Settings, parameters and saved values may be the names of members. */
static void name_path(const struct expr_path *path, void *arg)
{
    struct seeing *seeing = arg;
    static const char *const places[] = {"settings", "with", "saved", "before", "item", "derived"};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        if (path_named(path, 0, places[i])) {
            json_t *value = expr_path_value(path, seeing->context);
            add_names(seeing->names, value, 0);
            json_decref(value);
        }
    }
}

/* ---- what of them ------------------------------------------------------------------------------------------------ */

/* New reference. */
static json_t *kept_of(const struct seeing *seeing, const json_t *value, int depth)
{
    const char *name;
    json_t *member;
    size_t i;
    if (depth > DEPTH_MAX || !(json_is_object(value) || json_is_array(value))) {
        return depth > DEPTH_MAX ? json_null() : json_incref((json_t *)(uintptr_t)value);
    }
    json_t *kept = json_is_object(value) ? json_object() : json_array();
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        if (is_kept(seeing, name)) {
            json_object_set_new(kept, name, kept_of(seeing, member, depth + 1));
        }
    }
    json_array_foreach(value, i, member)
    {
        if (i < ITEMS_MAX) {
            json_array_append_new(kept, kept_of(seeing, member, depth + 1));
        }
    }
    return kept;
}

/* Takes over `value`. */
static void put_seen(struct seeing *seeing, const char *name, json_t *value)
{
    char *text = json_text(value);
    if (strlen(text) > SEEN_MAX) {
        json_object_set_new(seeing->seen, name, json_stringn(text, text_cut(text, SEEN_MAX)));
    } else {
        json_object_set(seeing->seen, name, value);
    }
    json_decref(value);
    free(text);
}

static void see_whole_body(struct seeing *seeing)
{
    const json_t *body = json_object_get(seeing->context, "body");
    put_seen(seeing, "body", kept_of(seeing, body, 0));
    if (json_array_size(body) > ITEMS_MAX) {
        json_object_set_new(seeing->seen, "body | length", json_integer((json_int_t)json_array_size(body)));
    }
}

static void see_path(const struct expr_path *path, void *arg)
{
    struct seeing *seeing = arg;
    if (path_named(path, 0, "body") && path->count == 1) {
        see_whole_body(seeing);
    } else if (path_named(path, 0, "body") || path_named(path, 0, "status")) {
        char *name = expr_path_text(path);
        put_seen(seeing, name, expr_path_value(path, seeing->context));
        free(name);
    }
}

json_t *evidence_seen(const struct run *run, const char *expect)
{
    struct seeing seeing = {run->context, expect ? expect : "", json_object(), json_object()};
    json_object_set(seeing.seen, "status", json_object_get(run->context, "status"));
    expr_paths(seeing.expect, name_path, &seeing);
    expr_paths(seeing.expect, see_path, &seeing);
    json_decref(seeing.names);
    return seeing.seen;
}

char *evidence_seen_text(const struct run *run, const char *expect)
{
    json_t *seen = evidence_seen(run, expect);
    char *text = json_text(seen);
    json_decref(seen);
    return text;
}
