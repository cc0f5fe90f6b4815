#include "lib/expr.h"

#include <stdint.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "lib/expr_code.h"
#include "lib/expr_jq.h"
#include "lib/expr_set.h"

/* A plain path of names. */
static json_t *follow(const struct expr_path *path, const json_t *context, struct err *err)
{
    const json_t *at = context;
    for (size_t i = 0; i < path->count; i++) {
        const char *name = expr_path_name(path, i);
        if (!at || json_is_null(at)) {
            return json_null();
        }
        if (!json_is_object(at)) {
            err_set(err, ERR_PERMANENT, "could not look up \"%s\" in a value that is no object", name);
            return NULL;
        }
        at = json_object_get(at, name);
    }
    return at ? json_incref((json_t *)(uintptr_t)at) : json_null();
}

static json_t *part_value(struct expr_part *part, const json_t *context, struct err *err)
{
    json_t *value = part->code ? expr_code_value(part->code, (json_t *)(uintptr_t)context) : NULL;
    if (value) {
        return value;
    }
    if (part->path.count) {
        value = follow(&part->path, context, err);
    } else if (part->program || expr_set_compile_part(part, err) == 0) {
        value = jq_program_run(part->program, part->index, part->whole ? NULL : part->reads, context, err);
    } else {
        return NULL; /* expr_set_compile_part() named the expression */
    }
    if (!value) {
        err_prefix(err, "in ${ %s }", part->expression);
    }
    return value;
}

/* Appends a value to a text; null, objects and lists have no place there. */
static int add_text(struct buf *out, const struct expr_part *part, const json_t *value, struct err *err)
{
    if (json_is_string(value)) {
        return buf_add(out, json_string_value(value), json_string_length(value));
    }
    if (json_is_null(value) || json_is_object(value) || json_is_array(value)) {
        return err_set(err, ERR_PERMANENT, "in ${ %s }: %s can't stand within a text", part->expression,
                       json_is_null(value)     ? "null"
                       : json_is_object(value) ? "an object"
                                               : "a list");
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    buf_adds(out, text);
    free(text);
    return 0;
}

static int render_into(struct expr_template *template, const json_t *context, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < template->count; i++) {
        struct expr_part *part = &template->parts[i];
        if (part->literal) {
            buf_adds(out, part->literal);
            continue;
        }
        json_t *value = part_value(part, context, err);
        int result = value ? add_text(out, part, value, err) : -1;
        json_decref(value);
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

static json_t *render_text(struct expr_set *set, const char *text, const json_t *context, struct err *err)
{
    struct expr_template *template = expr_set_template(set, text, err);
    if (!template) {
        return NULL;
    }
    if (template->count == 1 && template->parts[0].expression) {
        return part_value(&template->parts[0], context, err);
    }
    struct buf out = BUF_INIT;
    json_t *value = NULL;
    if (render_into(template, context, &out, err) == 0) {
        value = json_stringn(buf_text(&out), out.len);
    }
    buf_release(&out);
    return value;
}

json_t *expr_render(struct expr_set *set, const json_t *tmpl, const json_t *context, struct err *err)
{
    json_t *result;
    json_t *value;
    if (json_is_string(tmpl)) {
        const char *text = json_string_value(tmpl);
        return expr_has(text) ? render_text(set, text, context, err) : json_incref((json_t *)(uintptr_t)tmpl);
    }
    if (json_is_object(tmpl)) {
        result = json_object();
        const char *key;
        json_object_foreach((json_t *)(uintptr_t)tmpl, key, value)
        {
            json_t *member = expr_render(set, value, context, err);
            if (!member) {
                err_prefix(err, "%s", key);
                json_decref(result);
                return NULL;
            }
            json_object_set_new(result, key, member);
        }
        return result;
    }
    if (json_is_array(tmpl)) {
        result = json_array();
        size_t i;
        json_array_foreach(tmpl, i, value)
        {
            json_t *item = expr_render(set, value, context, err);
            if (!item) {
                json_decref(result);
                return NULL;
            }
            json_array_append_new(result, item);
        }
        return result;
    }
    return tmpl ? json_incref((json_t *)(uintptr_t)tmpl) : json_null();
}

char *expr_text(struct expr_set *set, const char *text, const json_t *context, struct err *err)
{
    struct expr_template *template = expr_set_template(set, text, err);
    struct buf out = BUF_INIT;
    if (!template || render_into(template, context, &out, err) != 0) {
        buf_release(&out);
        return NULL;
    }
    return buf_take(&out);
}

bool expr_true(struct expr_set *set, const json_t *tmpl, const json_t *context, bool otherwise)
{
    if (!tmpl || json_is_null(tmpl)) {
        return otherwise;
    }
    json_t *value = expr_render(set, tmpl, context, NULL);
    bool result = value && !json_is_null(value) && !json_is_false(value);
    json_decref(value);
    return result;
}
