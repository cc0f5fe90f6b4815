/* The order of all values, as jq 1.6 has it, and what rests on it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/expr_run.h"
#include "lib/mem.h"

/* ---- comparing ------------------------------------------------------------------------------------------------------------- */

static int kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        return 0;
    case JSON_FALSE:
        return 1;
    case JSON_TRUE:
        return 2;
    case JSON_INTEGER:
    case JSON_REAL:
        return 3;
    case JSON_STRING:
        return 4;
    case JSON_ARRAY:
        return 5;
    default:
        return 6;
    }
}

static int compare_texts(const json_t *a, const json_t *b)
{
    size_t left = json_string_length(a), right = json_string_length(b);
    int order = memcmp(json_string_value(a), json_string_value(b), left < right ? left : right);
    return order ? order : left < right ? -1 : left > right;
}

static int compare_numbers(const json_t *a, const json_t *b)
{
    double left = json_number_value(a), right = json_number_value(b);
    return left < right ? -1 : left > right;
}

static int compare_lists(const json_t *a, const json_t *b)
{
    size_t i;
    json_t *item;
    json_array_foreach(a, i, item)
    {
        json_t *other = json_array_get(b, i);
        int order = other ? code_compare(item, other) : 1;
        if (order) {
            return order;
        }
    }
    return json_array_size(a) < json_array_size(b) ? -1 : 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the members in order; the caller frees the array. */
static const char **names_of(const json_t *object)
{
    const char **names = mem_alloc((json_object_size(object) + 1) * sizeof *names);
    size_t count = 0;
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, key, member)
    {
        names[count++] = key;
    }
    qsort(names, count, sizeof *names, compare_names);
    return names;
}

/* First by the names of the members, then by their values. */
static int compare_objects(const json_t *a, const json_t *b)
{
    size_t left = json_object_size(a), right = json_object_size(b);
    const char **ours = names_of(a), **theirs = names_of(b);
    int order = 0;
    for (size_t i = 0; !order && i < left && i < right; i++) {
        order = strcmp(ours[i], theirs[i]);
    }
    order = order ? order : left < right ? -1 : left > right;
    for (size_t i = 0; !order && i < left; i++) {
        order = code_compare(json_object_get(a, ours[i]), json_object_get(b, ours[i]));
    }
    free(ours);
    free(theirs);
    return order;
}

int code_compare(const json_t *a, const json_t *b)
{
    int kind = kind_of(a), other = kind_of(b);
    if (a == b || kind != other) {
        return kind - other;
    }
    return kind == 3   ? compare_numbers(a, b)
           : kind == 4 ? compare_texts(a, b)
           : kind == 5 ? compare_lists(a, b)
           : kind == 6 ? compare_objects(a, b)
                       : 0;
}

/* ---- sorting --------------------------------------------------------------------------------------------------------------- */

struct entry {
    json_t *item;
    json_t *key;
    size_t at;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    int order = code_compare(left->key, right->key);
    return order ? order : left->at < right->at ? -1 : 1;
}

json_t *code_sort(json_t *list, json_t *keys, bool merge)
{
    size_t count = json_array_size(list);
    struct entry *entries = mem_alloc((count + 1) * sizeof *entries);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct entry){json_array_get(list, i), json_array_get(keys, i), i};
    }
    qsort(entries, count, sizeof *entries, compare_entries);
    json_t *sorted = json_array();
    for (size_t i = 0; i < count; i++) {
        if (!merge || i == 0 || code_compare(entries[i].key, entries[i - 1].key) != 0) {
            json_array_append(sorted, entries[i].item);
        }
    }
    free(entries);
    return sorted;
}

/* ---- containing ------------------------------------------------------------------------------------------------------------ */

static bool holds(const json_t *value, const json_t *part);

static bool list_holds(const json_t *list, const json_t *parts)
{
    size_t i, j;
    json_t *part, *item;
    json_array_foreach(parts, i, part)
    {
        bool found = false;
        json_array_foreach(list, j, item)
        {
            found = found || holds(item, part);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool object_holds(const json_t *object, const json_t *parts)
{
    const char *key;
    json_t *part;
    json_object_foreach((json_t *)(uintptr_t)parts, key, part)
    {
        json_t *member = json_object_get(object, key);
        if (!member || !holds(member, part)) {
            return false;
        }
    }
    return true;
}

/* Is `part` of the same kind and within the value? */
static bool holds(const json_t *value, const json_t *part)
{
    if (json_is_string(value) && json_is_string(part)) {
        return strstr(json_string_value(value), json_string_value(part)) != NULL;
    }
    if (json_is_array(value) && json_is_array(part)) {
        return list_holds(value, part);
    }
    return json_is_object(value) && json_is_object(part) ? object_holds(value, part) : code_compare(value, part) == 0;
}

enum code_end code_contains(const json_t *value, const json_t *part, bool *contains)
{
    if (kind_of(value) != kind_of(part)) {
        return CODE_ERROR;
    }
    *contains = holds(value, part);
    return CODE_DONE;
}
