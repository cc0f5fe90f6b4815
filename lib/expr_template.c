/* A string with expressions in it: its parts, and what they read. */
#include "lib/expr_template.h"

#include <ctype.h>
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
    char *expression = mem_strndup(from, (size_t)(to - from));
    if (!*expression || expr_allowed(expression, err) != 0) {
        if (!*expression) {
            err_set(err, ERR_PERMANENT, "the expression is empty");
        }
        err_prefix(err, "in ${ %s }", expression);
        free(expression);
        return -1;
    }
    struct expr_part *part = add_part(template);
    part->expression = expression;
    part->path = plain_path(expression);
    part->whole = expr_reads(expression, NULL, NULL);
    return 0;
}

void expr_template_free(struct expr_template *template)
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
