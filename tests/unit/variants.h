/* Variants of a message: each of its members, at any depth, is left out and replaced by a value of every kind. Include after <cmocka.h>. */
#ifndef OFFBOARD_TESTS_UNIT_VARIANTS_H
#define OFFBOARD_TESTS_UNIT_VARIANTS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/yaml.h"

/* What each member becomes in turn, as JSON; a test may choose fewer. */
static const char *variant_values =
    "[null, true, -1, 7, 1e300, \"\", \"text\", \"${ .user }\", \"\\u20ac\", [], [null], "
    "[[\"a\"], {}], {}, {\"a\": null}, "
    "{\"\": [7]}]";

static inline json_t *read_json(const char *text)
{
    json_t *value = json_parse(text, strlen(text), NULL);
    assert_non_null(value);
    return value;
}

static inline json_t *golden(const char *name)
{
    char *path = mem_printf("tests/golden/v1/%s", name);
    size_t len;
    char *text = yaml_read_file(path, &len, NULL);
    if (!text) {
        fail_msg("could not read %s; the working directory must be the checkout", path);
    }
    json_t *value = json_parse(text, len, NULL);
    assert_non_null(value);
    free(text);
    free(path);
    return value;
}

/* ---- variants -------------------------------------------------------------------------------------------------------------------- */

typedef void reader(const json_t *message);

static size_t variants;         /* made so far */
static char variant_path[1000]; /* what the variant in hand has changed, as "context.plan.0" */

static inline void try_variants(json_t *root, json_t *at, reader *read);

/* Adds a step to `variant_path`; the length to come back to. */
static inline size_t variant_descend(const char *key, size_t index)
{
    size_t len = strlen(variant_path);
    const char *dot = len ? "." : "";
    if (key) {
        snprintf(variant_path + len, sizeof variant_path - len, "%s%s", dot, key);
    } else {
        snprintf(variant_path + len, sizeof variant_path - len, "%s%zu", dot, index);
    }
    return len;
}

/* Replaces a member, an item of a list when `key` is NULL, by each of the others; then goes down into it. */
static inline void replace(json_t *root, json_t *at, const char *key, size_t index, reader *read)
{
    json_t *own = json_incref(key ? json_object_get(at, key) : json_array_get(at, index));
    json_t *values = read_json(variant_values), *value;
    size_t i, back = variant_descend(key, index);
    json_array_foreach(values, i, value)
    {
        key ? json_object_set(at, key, value) : json_array_set(at, index, value);
        read(root);
        variants++;
    }
    if (key) {
        json_object_del(at, key);
        read(root);
        json_object_set(at, key, own);
    } else {
        json_array_set(at, index, own);
    }
    try_variants(root, own, read);
    variant_path[back] = '\0';
    json_decref(values);
    json_decref(own);
}

/* Calls `read` with every variant of `root` in which something below `at` is another. */
static inline void try_variants(json_t *root, json_t *at, reader *read)
{
    json_t *names = json_array();
    const char *name;
    json_t *value;
    size_t i;
    json_object_foreach(at, name, value)
    {
        json_array_append_new(names, json_string(name));
    }
    json_array_foreach(names, i, value)
    {
        replace(root, at, json_string_value(value), 0, read);
    }
    for (i = 0; i < json_array_size(at); i++) {
        replace(root, at, NULL, i, read);
    }
    json_decref(names);
}

#endif
