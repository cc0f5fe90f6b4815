/* Sources, runbooks and connectors of two configurations. */
#include <stdlib.h>
#include <string.h>

#include "cli/compare.h"
#include "lib/buf.h"
#include "lib/mem.h"

static void add_key(struct buf *out, const char *outer, const char *key)
{
    buf_addf(out, "%s%s%s%s", out->len ? ", " : "", outer ? outer : "", outer ? "." : "", key);
}

static void add_differences(struct buf *out, const json_t *here, const json_t *there, const char *outer)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)here, key, value)
    {
        const json_t *other = json_object_get(there, key);
        if (json_equal(value, (json_t *)(uintptr_t)other)) {
            continue;
        }
        if (!outer && json_is_object(value) && json_is_object(other)) {
            add_differences(out, value, other, key);
        } else {
            add_key(out, outer, key);
        }
    }
    json_object_foreach((json_t *)(uintptr_t)there, key, value)
    {
        if (!json_object_get(here, key)) {
            add_key(out, outer, key);
        }
    }
}

char *compare_trees(const json_t *here, const json_t *there)
{
    struct buf out = BUF_INIT;
    add_differences(&out, here, there, NULL);
    return out.len ? buf_take(&out) : mem_strdup("comments or order only");
}

static void compare_definition(struct comparison *comparison, const struct definition *definition)
{
    const struct definition *other = definition_find(comparison->there_definitions, definition->kind, definition->name);
    char *what = mem_printf("%s %s", definition_kind_name(definition->kind), definition->name);
    if (!other) {
        compare_add(comparison, COMPARE_ERROR, "definition", what, definition->file, NULL, "lacking there");
    } else if (strcmp(definition->hash, other->hash) != 0) {
        char *keys = compare_trees(definition->tree, other->tree);
        char *why = mem_printf("they differ in %s", keys);
        compare_add(comparison, COMPARE_WARNING, "definition", what, definition->file, other->file, why);
        free(why);
        free(keys);
    }
    free(what);
}

void compare_definitions(struct comparison *comparison)
{
    for (int kind = DEFINITION_SOURCE; comparison->there_definitions && kind <= DEFINITION_CONNECTOR; kind++) {
        for (size_t i = 0; i < definition_count(comparison->definitions, (enum definition_kind)kind); i++) {
            compare_definition(comparison, definition_item(comparison->definitions, (enum definition_kind)kind, i));
        }
        for (size_t i = 0; i < definition_count(comparison->there_definitions, (enum definition_kind)kind); i++) {
            const struct definition *other =
                definition_item(comparison->there_definitions, (enum definition_kind)kind, i);
            if (!definition_find(comparison->definitions, other->kind, other->name)) {
                char *what = mem_printf("%s %s", definition_kind_name(other->kind), other->name);
                compare_add(comparison, COMPARE_NOTE, "definition", what, NULL, other->file, "only there");
                free(what);
            }
        }
    }
}
