#include "lib/polled.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mapping.h"
#include "lib/mem.h"
#include "lib/message.h"

bool source_polls(const struct definitions *definitions, const char *system)
{
    for (size_t i = 0; i < definition_count(definitions, DEFINITION_SOURCE); i++) {
        const char *polled = json_string_at(definition_item(definitions, DEFINITION_SOURCE, i)->tree, "poll.system");
        if (polled && strcmp(polled, system) == 0) {
            return true;
        }
    }
    return false;
}

json_t *polled_items(struct definitions *definitions, const struct definition *source, const json_t *outputs,
                     const char *now, struct err *err)
{
    json_t *context = json_pack("{s:O, s:s}", "outputs", outputs, "now", now);
    json_t *items = expr_render(definitions_exprs(definitions), json_at(source->tree, "poll.items"), context, err);
    json_decref(context);
    if (items && !json_is_array(items)) {
        json_decref(items);
        items = NULL;
        err_set(err, ERR_PERMANENT, "poll.items is no list");
    } else if (!items) {
        err_prefix(err, "poll.items");
    }
    return items;
}

/* `id` or `type` of an item. NULL with the err. The caller frees. */
static char *text_of(struct definitions *definitions, const json_t *spec, const char *name, const json_t *context,
                     struct err *err)
{
    char *text = expr_text(definitions_exprs(definitions), json_string_at(spec, name), context, err);
    if (text && !*text) {
        free(text);
        text = NULL;
        err_set(err, ERR_PERMANENT, "it is empty");
    }
    return text ? text : (err_prefix(err, "poll.%s", name), NULL);
}

/* Without `type` it is the only one that the source takes. */
static char *type_of(struct definitions *definitions, const struct definition *source, const json_t *context,
                     struct err *err)
{
    const json_t *spec = json_object_get(source->tree, "poll");
    const char *only = json_object_iter_key(json_object_iter(json_object_get(source->tree, "types")));
    return json_object_get(spec, "type") ? text_of(definitions, spec, "type", context, err) : mem_strdup(only);
}

json_t *polled_event(struct definitions *definitions, const struct definition *source, const json_t *item,
                     const char *now, struct err *err)
{
    json_t *context = json_pack("{s:O, s:s}", "item", item, "now", now);
    char *id = text_of(definitions, json_object_get(source->tree, "poll"), "id", context, err);
    char *type = id ? type_of(definitions, source, context, err) : NULL;
    json_t *event = NULL;
    if (type) {
        event = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:O}", "specversion", "1.0", "id", id, "source", source->name,
                          "type", type, "time", now, MAPPING_SOURCE, source->name, "data", item);
    }
    if (event && message_cloudevent_check(event, err) != 0) {
        json_decref(event);
        event = NULL;
    }
    free(id);
    free(type);
    json_decref(context);
    return event;
}
