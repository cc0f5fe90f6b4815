#include "lib/json.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/time.h"

json_t *json_at(const json_t *root, const char *path)
{
    const json_t *at = root;
    while (at && *path) {
        size_t len = strcspn(path, ".");
        if (json_is_array(at)) {
            at = strspn(path, "0123456789") == len ? json_array_get(at, strtoul(path, NULL, 10)) : NULL;
        } else {
            char *key = mem_strndup(path, len);
            at = json_object_get(at, key);
            free(key);
        }
        path += len + (path[len] == '.');
    }
    return (json_t *)at;
}

const char *json_string_at(const json_t *root, const char *path)
{
    return json_string_value(json_at(root, path));
}

bool json_says(const json_t *root, const char *path, const char *text)
{
    const char *value = json_string_at(root, path);
    return value && text && strcmp(value, text) == 0;
}

size_t json_count(const json_t *list, const char *path, const char *text)
{
    size_t count = 0;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        count += json_says(item, path, text);
    }
    return count;
}

json_int_t json_int_at(const json_t *root, const char *path, json_int_t otherwise)
{
    const json_t *value = json_at(root, path);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool json_true_at(const json_t *root, const char *path)
{
    return json_is_true(json_at(root, path));
}

void json_put(json_t *object, const char *key, json_t *value)
{
    if (value) {
        json_object_set_new(object, key, value);
    }
}

void json_put_string(json_t *object, const char *key, const char *value)
{
    if (value) {
        json_object_set_new(object, key, json_string(value));
    }
}

void json_append_once(json_t *list, const char *text)
{
    size_t i;
    json_t *other;
    json_array_foreach(list, i, other)
    {
        if (strcmp(json_string_value(other), text) == 0) {
            return;
        }
    }
    json_array_append_new(list, json_string(text));
}

void json_put_instant(json_t *object, const char *key, int64_t at)
{
    char text[TIME_TEXT_SIZE];
    time_format(at, text);
    json_object_set_new(object, key, json_string(text));
}

static char *dump(const json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags | JSON_COMPACT | JSON_ENCODE_ANY);
    return text ? text : mem_strdup("null");
}

char *json_text(const json_t *value)
{
    return dump(value, 0);
}

char *json_canonical(const json_t *value)
{
    return dump(value, JSON_SORT_KEYS);
}

char *json_lower(const char *text)
{
    char *copy = mem_strdup(text);
    for (char *c = copy; c && *c; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            *c = (char)(*c + 32);
        }
    }
    return copy;
}
