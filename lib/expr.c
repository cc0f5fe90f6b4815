#include "lib/expr.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/expr_allow.h"
#include "lib/expr_jq.h"
#include "lib/expr_paths.h"
#include "lib/mem.h"

enum { SET_MAX = 4096 };

/* One part of a string: literal text, or an expression. */
struct part {
    char *literal; /* NULL for an expression */
    char *expression;
    char **path; /* keys of a plain path (.a.b), NULL-ended; NULL: jq evaluates */
    bool whole;  /* it may read any member of the context */
    struct jq_program *program;
    size_t index; /* of the expression in the program */
};

struct template {
    struct template *next;
    char *text;
    struct part *parts;
    size_t count;
};

enum { BUCKETS = 1024 };

struct expr_set {
    struct template *buckets[BUCKETS];
    size_t count;
    struct jq_program **programs;
    size_t program_count;
};

bool expr_has(const char *text)
{
    return text && strstr(text, "${") != NULL;
}

/* ---- reading a string ------------------------------------------------------------------------------------------------ */

/* The "}" that closes the "${" before `at`; NULL when there is none. */
static const char *closing(const char *at)
{
    int depth = 0;
    bool quoted = false;
    for (; *at; at++) {
        if (quoted) {
            if (*at == '\\' && at[1]) {
                at++;
            } else if (*at == '"') {
                quoted = false;
            }
        } else if (*at == '"') {
            quoted = true;
        } else if (*at == '{') {
            depth++;
        } else if (*at == '}' && depth-- == 0) {
            return at;
        }
    }
    return NULL;
}

const char *expr_end(const char *open)
{
    const char *close = closing(open + 2);
    return close ? close + 1 : open + strlen(open);
}

static void path_free(char **path)
{
    for (char **key = path; key && *key; key++) {
        free(*key);
    }
    free(path);
}

/* ".a.b", ".a[\"b-c\"]" as keys; NULL when it is more than that. */
static char **plain_path(const char *expression)
{
    char **keys = mem_alloc(sizeof *keys);
    size_t count = 0;
    const char *at = expression;
    while (*at) {
        const char *from;
        size_t len;
        if (*at == '.' && (isalpha((unsigned char)at[1]) || at[1] == '_')) {
            from = ++at;
            while (isalnum((unsigned char)*at) || *at == '_') {
                at++;
            }
            len = (size_t)(at - from);
        } else if (count && strncmp(at, "[\"", 2) == 0) {
            from = at + 2;
            len = strcspn(from, "\"\\");
            if (strncmp(from + len, "\"]", 2) != 0) {
                break;
            }
            at = from + len + 2;
        } else {
            break;
        }
        keys = mem_realloc(keys, (count + 2) * sizeof *keys);
        keys[count++] = mem_strndup(from, len);
        keys[count] = NULL;
    }
    if (*at || !count) {
        path_free(keys);
        return NULL;
    }
    return keys;
}

static struct part *add_part(struct template *template)
{
    template->parts = mem_realloc(template->parts, (template->count + 1) * sizeof *template->parts);
    struct part *part = &template->parts[template->count++];
    *part = (struct part){0};
    return part;
}

static void add_literal(struct template *template, const char *from, size_t len)
{
    if (!len) {
        return;
    }
    struct part *last = template->count ? &template->parts[template->count - 1] : NULL;
    if (last && last->literal) {
        char *joined = mem_printf("%s%.*s", last->literal, (int)len, from);
        free(last->literal);
        last->literal = joined;
    } else {
        add_part(template)->literal = mem_strndup(from, len);
    }
}

static int add_expression(struct template *template, const char *from, const char *to, struct err *err)
{
    while (from < to && isspace((unsigned char)*from)) {
        from++;
    }
    while (to > from && isspace((unsigned char)to[-1])) {
        to--;
    }
    char *expression = mem_strndup(from, (size_t)(to - from));
    if (!*expression || expr_allowed(expression, err) != 0) {
        if (!*expression) {
            err_set(err, ERR_PERMANENT, "the expression is empty");
        }
        err_prefix(err, "in ${ %s }", expression);
        free(expression);
        return -1;
    }
    struct part *part = add_part(template);
    part->expression = expression;
    part->path = plain_path(expression);
    part->whole = expr_reads(expression, NULL, NULL);
    return 0;
}

static void template_free(struct template *template)
{
    for (size_t i = 0; i < template->count; i++) {
        free(template->parts[i].literal);
        free(template->parts[i].expression);
        path_free(template->parts[i].path);
    }
    free(template->parts);
    free(template->text);
    free(template);
}

static int split_text(struct template *template, struct err *err)
{
    const char *at = template->text;
    while (*at) {
        const char *open = strstr(at, "${");
        if (!open) {
            add_literal(template, at, strlen(at));
            return 0;
        }
        if (open > at && open[-1] == '$') { /* "$${" is a literal "${" */
            add_literal(template, at, (size_t)(open - at) - 1);
            add_literal(template, "${", 2);
            at = open + 2;
            continue;
        }
        add_literal(template, at, (size_t)(open - at));
        const char *close = closing(open + 2);
        if (!close) {
            return err_set(err, ERR_PERMANENT,
                           "\"${\" is not closed in \"%s\": put the whole value in quotes (YAML ends it at \" #\" and in { } at "
                           "\"}\"), or write \"$${\" for the two characters",
                           template->text);
        }
        if (add_expression(template, open + 2, close, err) != 0) {
            return -1;
        }
        at = close + 1;
    }
    return 0;
}

/* ---- the set ------------------------------------------------------------------------------------------------------------ */

struct expr_set *expr_set_new(void)
{
    return MEM_NEW(struct expr_set);
}

static void set_clear(struct expr_set *set)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (set->buckets[i]) {
            struct template *template = set->buckets[i];
            set->buckets[i] = template->next;
            template_free(template);
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
static struct template *template_of(struct expr_set *set, const char *text, struct err *err)
{
    size_t bucket = bucket_of(text);
    for (struct template *template = set->buckets[bucket]; template; template = template->next) {
        if (strcmp(template->text, text) == 0) {
            return template;
        }
    }
    if (set->count >= SET_MAX) {
        set_clear(set); /* texts come with jobs: many runbooks may pass by; what is in use comes back */
    }
    struct template *template = MEM_NEW(struct template);
    template->text = mem_strdup(text);
    if (split_text(template, err) != 0) {
        template_free(template);
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

static int compile_part(struct expr_set *set, struct part *part, struct err *err)
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
static struct part **open_parts(struct expr_set *set, size_t *count)
{
    struct part **parts = NULL;
    *count = 0;
    for (size_t b = 0; b < BUCKETS; b++) {
        for (struct template *template = set->buckets[b]; template; template = template->next) {
            for (size_t i = 0; i < template->count; i++) {
                struct part *part = &template->parts[i];
                if (part->expression && !part->path && !part->program) {
                    parts = mem_realloc(parts, (*count + 1) * sizeof(struct part *));
                    parts[(*count)++] = part;
                }
            }
        }
    }
    return parts;
}

static int compile_singly(struct expr_set *set, struct part **parts, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (compile_part(set, parts[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

int expr_set_compile(struct expr_set *set, struct err *err)
{
    size_t count;
    struct part **parts = open_parts(set, &count);
    const char **expressions = mem_alloc((count + 1) * sizeof *expressions);
    for (size_t i = 0; i < count; i++) {
        expressions[i] = parts[i]->expression;
    }
    int result = 0;
    struct jq_program *program = count ? jq_program_new(expressions, count, NULL) : NULL;
    if (program) {
        keep_program(set, program);
        for (size_t i = 0; i < count; i++) {
            parts[i]->program = program;
            parts[i]->index = i;
        }
    } else {
        result = compile_singly(set, parts, count, err); /* names the one that is wrong */
    }
    free(expressions);
    free(parts);
    return result;
}

/* ---- evaluation --------------------------------------------------------------------------------------------------------- */

static json_t *follow(char *const *path, const json_t *context, struct err *err)
{
    const json_t *at = context;
    for (; *path; path++) {
        if (!at || json_is_null(at)) {
            return json_null();
        }
        if (!json_is_object(at)) {
            err_set(err, ERR_PERMANENT, "could not look up \"%s\" in a value that is no object", *path);
            return NULL;
        }
        at = json_object_get(at, *path);
    }
    return at ? json_incref((json_t *)(uintptr_t)at) : json_null();
}

static json_t *part_value(struct expr_set *set, struct part *part, const json_t *context, struct err *err)
{
    json_t *value = NULL;
    if (part->path) {
        value = follow(part->path, context, err);
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
static int add_text(struct buf *out, const struct part *part, const json_t *value, struct err *err)
{
    if (json_is_string(value)) {
        return buf_add(out, json_string_value(value), json_string_length(value));
    }
    if (json_is_null(value) || json_is_object(value) || json_is_array(value)) {
        return err_set(err, ERR_PERMANENT, "in ${ %s }: %s can't stand within a text", part->expression,
                       json_is_null(value) ? "null" : json_is_object(value) ? "an object" : "a list");
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    buf_adds(out, text);
    free(text);
    return 0;
}

static int render_into(struct expr_set *set, struct template *template, const json_t *context, struct buf *out,
                       struct err *err)
{
    for (size_t i = 0; i < template->count; i++) {
        struct part *part = &template->parts[i];
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
    struct template *template = template_of(set, text, err);
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
        json_object_foreach((json_t *)(uintptr_t)tmpl, key, value) {
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
        json_array_foreach(tmpl, i, value) {
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
    struct template *template = template_of(set, text, err);
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

/* ---- paths ---------------------------------------------------------------------------------------------------------------- */

void expr_paths(const char *text, void (*each)(const char *path, void *arg), void *arg)
{
    const char *at = text;
    while (at && (at = strstr(at, "${"))) {
        const char *close = closing(at + 2);
        if (!close) {
            return;
        }
        if (at == text || at[-1] != '$') {
            char *expression = mem_strndup(at + 2, (size_t)(close - at - 2));
            expr_reads(expression, each, arg);
            free(expression);
        }
        at = close;
    }
}
