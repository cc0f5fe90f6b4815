/* One path: its text, and what stands there. */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/expr.h"
#include "lib/expr_read.h"
#include "lib/mem.h"
#include "lib/utf8.h"

const char *expr_path_name(const struct expr_path *path, size_t i)
{
    return i < path->count && path->segments[i].kind == EXPR_SEGMENT_NAME ? path->segments[i].name : NULL;
}

bool expr_path_within(const struct expr_path *path, const char *place)
{
    for (size_t i = 0; *place; i++) {
        size_t len = strcspn(place, ".");
        const char *name = expr_path_name(path, i);
        if (!name || strlen(name) != len || strncmp(name, place, len) != 0) {
            return false;
        }
        place += len + (place[len] == '.');
    }
    return true;
}

/* ---- text ---------------------------------------------------------------------------------------------------------------- */

static void add_name(struct buf *text, const char *name)
{
    if (*name && expr_read_name(name) == strlen(name)) {
        buf_addf(text, "%s%s", text->len ? "." : "", name);
        return;
    }
    json_t *value = json_string(name);
    char *quoted = json_dumps(value, JSON_ENCODE_ANY);
    buf_addf(text, "[%s]", quoted ? quoted : "\"\"");
    free(quoted);
    json_decref(value);
}

static void add_bound(struct buf *text, const struct expr_bound *bound)
{
    if (!bound->open) {
        buf_addf(text, "%lld", (long long)bound->at);
    }
}

char *expr_path_text(const struct expr_path *path)
{
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < path->count; i++) {
        const struct expr_segment *segment = &path->segments[i];
        if (segment->kind == EXPR_SEGMENT_NAME) {
            add_name(&text, segment->name);
        } else if (segment->kind == EXPR_SEGMENT_INDEX) {
            buf_addf(&text, "[%lld]", (long long)segment->index);
        } else {
            buf_adds(&text, "[");
            add_bound(&text, &segment->from);
            buf_adds(&text, ":");
            add_bound(&text, &segment->to);
            buf_adds(&text, "]");
        }
    }
    return buf_take(&text);
}

/* ---- value --------------------------------------------------------------------------------------------------------------- */

/* A bound as a position in something of `length` items, as jq takes it. */
static size_t position(const struct expr_bound *bound, size_t length, size_t otherwise)
{
    json_int_t at = bound->at < 0 ? bound->at + (json_int_t)length : bound->at;
    if (bound->open) {
        return otherwise;
    }
    return at < 0 ? 0 : at > (json_int_t)length ? length : (size_t)at;
}

static bool begins_character(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

/* Past `count` characters of a text. */
static const char *skip(const char *at, const char *end, size_t count)
{
    for (; at < end && count; count--) {
        do {
            at++;
        } while (at < end && !begins_character(*at));
    }
    return at;
}

static json_t *slice_text(const json_t *value, const struct expr_segment *slice)
{
    const char *text = json_string_value(value);
    const char *end = text + json_string_length(value);
    size_t length = utf8_count(text, json_string_length(value));
    size_t from = position(&slice->from, length, 0);
    size_t to = position(&slice->to, length, length);
    const char *start = skip(text, end, from);
    return json_stringn(start, to > from ? (size_t)(skip(start, end, to - from) - start) : 0);
}

static json_t *slice_list(const json_t *value, const struct expr_segment *slice)
{
    size_t length = json_array_size(value);
    size_t to = position(&slice->to, length, length);
    json_t *part = json_array();
    for (size_t i = position(&slice->from, length, 0); i < to; i++) {
        json_array_append(part, json_array_get(value, i));
    }
    return part;
}

/* One step from `value`; NULL when nothing stands there. New reference. */
static json_t *step(const json_t *value, const struct expr_segment *segment)
{
    if (segment->kind == EXPR_SEGMENT_NAME) {
        return json_incref(json_object_get(value, segment->name));
    }
    if (segment->kind == EXPR_SEGMENT_INDEX) {
        json_int_t size = (json_int_t)json_array_size(value);
        json_int_t index = segment->index < 0 ? segment->index + size : segment->index;
        return index < 0 ? NULL : json_incref(json_array_get(value, (size_t)index));
    }
    return json_is_string(value)  ? slice_text(value, segment)
           : json_is_array(value) ? slice_list(value, segment)
                                  : NULL;
}

json_t *expr_path_value(const struct expr_path *path, const json_t *context)
{
    json_t *at = json_incref((json_t *)(uintptr_t)context);
    for (size_t i = 0; at && i < path->count; i++) {
        json_t *next = step(at, &path->segments[i]);
        json_decref(at);
        at = next;
    }
    return at ? at : json_null();
}
