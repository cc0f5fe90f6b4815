/* A string with expressions in it: its parts, and what they read. */
#include "lib/expr_template.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/expr.h"
#include "lib/expr_allow.h"
#include "lib/expr_paths.h"
#include "lib/mem.h"

bool expr_has(const char *text)
{
    return text && strstr(text, "${") != NULL;
}

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

static struct expr_part *add_part(struct expr_template *template)
{
    template->parts = mem_realloc(template->parts, (template->count + 1) * sizeof *template->parts);
    struct expr_part *part = &template->parts[template->count++];
    *part = (struct expr_part){0};
    return part;
}

static void add_literal(struct expr_template *template, const char *from, size_t len)
{
    if (!len) {
        return;
    }
    struct expr_part *last = template->count ? &template->parts[template->count - 1] : NULL;
    if (last && last->literal) {
        char *joined = mem_printf("%s%.*s", last->literal, (int)len, from);
        free(last->literal);
        last->literal = joined;
    } else {
        add_part(template)->literal = mem_strndup(from, len);
    }
}

static int add_expression(struct expr_template *template, const char *from, const char *to, struct err *err)
{
    while (from < to && isspace((unsigned char)*from)) {
        from++;
    }
    while (to > from && isspace((unsigned char)to[-1])) {
        to--;
    }
    struct expr_part *part = add_part(template);
    part->expression = mem_strndup(from, (size_t)(to - from));
    part->tree = expr_allowed(part->expression, err) == 0 ? expr_parse(part->expression, err) : NULL;
    if (!part->tree) {
        return err_prefix(err, "in ${ %s }", part->expression);
    }
    expr_paths_plain(part->tree, &part->path);
    part->whole = expr_paths_of(part->tree, NULL, NULL);
    return 0;
}

void expr_template_free(struct expr_template *template)
{
    for (size_t i = 0; i < template->count; i++) {
        free(template->parts[i].literal);
        free(template->parts[i].expression);
        expr_node_free(template->parts[i].tree);
        free((void *)(uintptr_t) template->parts[i].path.segments);
    }
    free(template->parts);
    free(template->text);
    free(template);
}

static int split_text(struct expr_template *template, struct err *err)
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
            return err_set(
                err, ERR_PERMANENT,
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

struct expr_template *expr_template_new(const char *text, struct err *err)
{
    struct expr_template *template = MEM_NEW(struct expr_template);
    template->text = mem_strdup(text);
    if (split_text(template, err) != 0) {
        expr_template_free(template);
        return NULL;
    }
    return template;
}

/* ---- paths ---------------------------------------------------------------------------------------------------------------- */

void expr_paths(const char *text, expr_path_fn *each, void *arg)
{
    const char *at = text;
    while (at && (at = strstr(at, "${"))) {
        const char *close = closing(at + 2);
        if (!close) {
            return;
        }
        if (at == text || at[-1] != '$') {
            char *expression = mem_strndup(at + 2, (size_t)(close - at - 2));
            struct expr_node *tree = expr_parse(expression, NULL);
            free(expression);
            if (!tree) {
                return;
            }
            expr_paths_of(tree, each, arg);
            expr_node_free(tree);
        }
        at = close;
    }
}

struct looking_for {
    const char *first;
    bool found;
};

static void look_at(const struct expr_path *path, void *arg)
{
    struct looking_for *looking = arg;
    looking->found = looking->found || expr_path_within(path, looking->first);
}

bool expr_reads(const char *text, const char *first)
{
    struct looking_for looking = {first, false};
    expr_paths(text, look_at, &looking);
    return looking.found;
}

bool expr_reads_in(const json_t *value, const char *first)
{
    const char *key;
    json_t *member;
    size_t i;
    bool found = json_is_string(value) && expr_reads(json_string_value(value), first);
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        found = found || expr_reads_in(member, first);
    }
    json_array_foreach(value, i, member)
    {
        found = found || expr_reads_in(member, first);
    }
    return found;
}
