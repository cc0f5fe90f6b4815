#include "lib/expr.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/expr_jq.h"
#include "lib/expr_template.h"
#include "lib/mem.h"

enum {
    SET_MAX = 4096,
    BUCKETS = 1024,
    PROGRAM_SIZE =
        256 /* expressions in one jq program: compiling takes the square of their number, and 15 ms besides */
};

struct expr_set {
    struct expr_template *buckets[BUCKETS];
    size_t count;
    struct jq_program **programs;
    size_t program_count;
};

/* ---- the set ------------------------------------------------------------------------------------------------------------ */

struct expr_set *expr_set_new(void)
{
    return MEM_NEW(struct expr_set);
}

static void set_clear(struct expr_set *set)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (set->buckets[i]) {
            struct expr_template *template = set->buckets[i];
            set->buckets[i] = template->next;
            expr_template_free(template);
        }
    }
    for (size_t i = 0; i < set->program_count; i++) {
        jq_program_free(set->programs[i]);
    }
    free(set->programs);
    set->programs = NULL;
    set->program_count = 0;
    set->count = 0;
}

void expr_set_free(struct expr_set *set)
{
    if (set) {
        set_clear(set);
        free(set);
    }
}

static size_t bucket_of(const char *text)
{
    size_t hash = 5381;
    for (; *text; text++) {
        hash = hash * 33 + (unsigned char)*text;
    }
    return hash % BUCKETS;
}

/* The template of `text`, made when it is new. NULL with an err. */
static struct expr_template *template_of(struct expr_set *set, const char *text, struct err *err)
{
    size_t bucket = bucket_of(text);
    for (struct expr_template *template = set->buckets[bucket]; template; template = template->next) {
        if (strcmp(template->text, text) == 0) {
            return template;
        }
    }
    if (set->count >= SET_MAX) {
        set_clear(set); /* texts come with jobs: many runbooks may pass by; what is in use comes back */
    }
    struct expr_template *template = expr_template_new(text, err);
    if (!template) {
        return NULL;
    }
    template->next = set->buckets[bucket];
    set->buckets[bucket] = template;
    set->count++;
    return template;
}

static void keep_program(struct expr_set *set, struct jq_program *program)
{
    set->programs = mem_realloc(set->programs, (set->program_count + 1) * sizeof(struct jq_program *));
    set->programs[set->program_count++] = program;
}

static int compile_part(struct expr_set *set, struct expr_part *part, struct err *err)
{
    const char *expression = part->expression;
    struct jq_program *program = jq_program_new(&expression, 1, err);
    if (!program) {
        return err_prefix(err, "in ${ %s }", part->expression);
    }
    keep_program(set, program);
    part->program = program;
    part->index = 0;
    return 0;
}

int expr_check(struct expr_set *set, const char *text, struct err *err)
{
    return template_of(set, text, err) ? 0 : -1;
}

/* All parts that jq has to evaluate and that are not compiled yet; the caller frees the array. */
static struct expr_part **open_parts(struct expr_set *set, size_t *count)
{
    struct expr_part **parts = NULL;
    *count = 0;
    for (size_t b = 0; b < BUCKETS; b++) {
        for (struct expr_template *template = set->buckets[b]; template; template = template->next) {
            for (size_t i = 0; i < template->count; i++) {
                struct expr_part *part = &template->parts[i];
                if (part->expression && !part->path.count && !part->program) {
                    parts = mem_realloc(parts, (*count + 1) * sizeof(struct expr_part *));
                    parts[(*count)++] = part;
                }
            }
        }
    }
    return parts;
}

static int compile_singly(struct expr_set *set, struct expr_part **parts, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (compile_part(set, parts[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* All of them in one program. */
static int compile_together(struct expr_set *set, struct expr_part **parts, size_t count, struct err *err)
{
    const char *expressions[PROGRAM_SIZE];
    for (size_t i = 0; i < count; i++) {
        expressions[i] = parts[i]->expression;
    }
    struct jq_program *program = jq_program_new(expressions, count, NULL);
    if (!program) {
        return compile_singly(set, parts, count, err); /* names the one that is wrong */
    }
    keep_program(set, program);
    for (size_t i = 0; i < count; i++) {
        parts[i]->program = program;
        parts[i]->index = i;
    }
    return 0;
}

int expr_set_compile(struct expr_set *set, struct err *err)
{
    size_t count;
    struct expr_part **parts = open_parts(set, &count);
    int result = 0;
    for (size_t from = 0; result == 0 && from < count; from += PROGRAM_SIZE) {
        result = compile_together(set, parts + from, count - from < PROGRAM_SIZE ? count - from : PROGRAM_SIZE, err);
    }
    free(parts);
    return result;
}

/* ---- evaluation --------------------------------------------------------------------------------------------------------- */

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

static json_t *part_value(struct expr_set *set, struct expr_part *part, const json_t *context, struct err *err)
{
    json_t *value = NULL;
    if (part->path.count) {
        value = follow(&part->path, context, err);
    } else if (part->program || compile_part(set, part, err) == 0) {
        value = jq_program_run(part->program, part->index, part->whole ? NULL : part->expression, context, err);
    } else {
        return NULL; /* compile_part() named the expression */
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

static int render_into(struct expr_set *set, struct expr_template *template, const json_t *context, struct buf *out,
                       struct err *err)
{
    for (size_t i = 0; i < template->count; i++) {
        struct expr_part *part = &template->parts[i];
        if (part->literal) {
            buf_adds(out, part->literal);
            continue;
        }
        json_t *value = part_value(set, part, context, err);
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
    struct expr_template *template = template_of(set, text, err);
    if (!template) {
        return NULL;
    }
    if (template->count == 1 && template->parts[0].expression) {
        return part_value(set, &template->parts[0], context, err);
    }
    struct buf out = BUF_INIT;
    json_t *value = NULL;
    if (render_into(set, template, context, &out, err) == 0) {
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
    struct expr_template *template = template_of(set, text, err);
    struct buf out = BUF_INIT;
    if (!template || render_into(set, template, context, &out, err) != 0) {
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
