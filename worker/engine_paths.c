#include "worker/engine_paths.h"

#include <stdint.h>
#include <string.h>

#include "lib/json.h"

bool path_named(const struct expr_path *path, size_t index, const char *name)
{
    const char *own = expr_path_name(path, index);
    return own && strcmp(own, name) == 0;
}

enum reach path_follow(const json_t *context, const struct expr_path *path, const json_t **value)
{
    const json_t *at = context;
    *value = NULL;
    for (size_t i = 0; i < path->count && path->segments[i].kind != EXPR_SEGMENT_SLICE; i++) {
        const struct expr_segment *segment = &path->segments[i];
        bool list = segment->kind == EXPR_SEGMENT_INDEX && json_is_array(at);
        json_int_t size = (json_int_t)json_array_size(at);
        json_int_t index = segment->index < 0 ? size + segment->index : segment->index;
        at = segment->kind == EXPR_SEGMENT_NAME ? json_object_get(at, segment->name)
             : index >= 0                       ? json_array_get(at, (size_t)index)
                                                : NULL;
        if (!at) {
            return list ? REACH_BEYOND : REACH_ABSENT;
        }
    }
    *value = at;
    return json_is_null(at) ? REACH_NULL : REACH_VALUE;
}

void paths_each(const json_t *value, void (*each)(const struct expr_path *, void *), void *arg)
{
    size_t i;
    const char *name;
    json_t *member;
    if (json_is_string(value)) {
        expr_paths(json_string_value(value), each, arg);
    }
    json_array_foreach(value, i, member)
    {
        paths_each(member, each, arg);
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        paths_each(member, each, arg);
    }
}

struct reading {
    const char *first; /* segments that are looked for */
    const char *second;
    bool found;
};

static void note_reading(const struct expr_path *path, void *arg)
{
    struct reading *reading = arg;
    reading->found =
        reading->found || (path->count == 0 && !reading->second) || /* all that there is */
        (path_named(path, 0, reading->first) && (!reading->second || path_named(path, 1, reading->second)));
}

bool paths_read(const json_t *value, const char *first, const char *second)
{
    struct reading reading = {.first = first, .second = second};
    paths_each(value, note_reading, &reading);
    return reading.found;
}
