#include "worker/engine_lists.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_paths.h"

enum { FINGERPRINT_LENGTH = 32 };

struct gathering {
    const json_t *context;
    json_t *lists;
};

static void add_list(struct gathering *gathering, const json_t *list)
{
    size_t i;
    json_t *known;
    json_array_foreach(gathering->lists, i, known)
    {
        if (known == list) {
            return;
        }
    }
    json_array_append(gathering->lists, (json_t *)(uintptr_t)list);
}

/* The lists of objects right within an object that is read as a whole. */
static void add_members(struct gathering *gathering, const json_t *object)
{
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, name, member)
    {
        if (json_is_object(json_array_get(member, 0))) {
            add_list(gathering, member);
        }
    }
}

/* The first list on the way. */
static void gather_path(const struct expr_path *path, void *arg)
{
    struct gathering *gathering = arg;
    const json_t *at = json_object_get(gathering->context, "body");
    if (path->count && !path_named(path, 0, "body")) {
        return;
    }
    for (size_t i = 1; json_is_object(at) && expr_path_name(path, i); i++) {
        at = json_object_get(at, expr_path_name(path, i));
    }
    if (json_is_array(at)) {
        add_list(gathering, at);
    } else {
        add_members(gathering, at);
    }
}

json_t *lists_read(const struct run *run, const json_t *request)
{
    static const char *const parts[] = {"success", "save", "expect", "found", "that", "already", "missing", "poll"};
    struct gathering gathering = {run->context, json_array()};
    const json_t *require = json_object_get(request, "require");
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        paths_each(json_object_get(request, parts[i]), gather_path, &gathering);
    }
    paths_each(json_is_object(require) ? json_object_get(require, "that") : require, gather_path, &gathering);
    return gathering.lists;
}

json_t *lists_in(const struct run *run, const json_t *value)
{
    struct gathering gathering = {run->context, json_array()};
    paths_each(value, gather_path, &gathering);
    return gathering.lists;
}

/* Does every item have an id, and are there several? One alone may be what the items of several pages have in common. */
static bool have_ids(const json_t *list)
{
    size_t i;
    json_t *item;
    bool all = json_array_size(list) > 1;
    json_array_foreach(list, i, item)
    {
        const json_t *id = json_object_get(item, "id");
        all = all && (json_is_string(id) || json_is_integer(id)) &&
              (i == 0 || !json_equal(id, json_object_get(json_array_get(list, i - 1), "id")));
    }
    return all;
}

static void add_items(struct buf *text, const json_t *list)
{
    bool ids = have_ids(list);
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        char *one = json_text(ids ? json_object_get(item, "id") : item);
        buf_addf(text, "%s,", one);
        free(one);
    }
}

size_t lists_size(const json_t *lists)
{
    size_t i;
    json_t *list;
    size_t sum = 0;
    json_array_foreach(lists, i, list)
    {
        sum += json_array_size(list);
    }
    return sum;
}

char *lists_fingerprint(const struct run *run, const json_t *request)
{
    json_t *lists = lists_read(run, request);
    struct buf text = BUF_INIT;
    char hash[ID_SHA256_HEX_SIZE];
    size_t i;
    json_t *list;
    json_array_foreach(lists, i, list)
    {
        add_items(&text, list);
    }
    json_decref(lists);
    id_sha256_hex(text.data, text.len, hash);
    char *fingerprint = text.len ? mem_printf("%.*s", FINGERPRINT_LENGTH, hash) : NULL;
    buf_release(&text);
    return fingerprint;
}
