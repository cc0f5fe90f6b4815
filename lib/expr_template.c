/* A string with expressions in it: its parts, and what they read. */
#include "lib/expr_template.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/expr.h"
#include "lib/expr_allow.h"
#include "lib/expr_code.h"
#include "lib/expr_guard.h"
#include "lib/expr_jq.h"
#include "lib/expr_paths.h"
#include "lib/mem.h"

bool expr_has(const char *text)
{
    return text && strstr(text, "${") != NULL;
}

/* The brackets and quotes that are open at a place of an expression. */
struct brackets {
    char open[256];
    size_t count;
};

/* Goes past one character within a text; an expression may begin in it. */
static const char *skip_quoted(struct brackets *brackets, const char *at)
{
    if (*at == '"') {
        brackets->count--;
    } else if (at[0] == '\\' && at[1]) {
        if (at[1] == '(') {
            brackets->open[brackets->count++] = '(';
        }
        return at + 2;
    }
    return at + 1;
}

/* Closes what `bracket` opened; false when nothing did. What was left open within it (which is said later) is closed, too. */
static bool close_bracket(struct brackets *brackets, char bracket)
{
    size_t count = brackets->count;
    while (count && brackets->open[count - 1] != bracket) {
        count--;
    }
    brackets->count = count ? count - 1 : brackets->count;
    return count > 0;
}

/* The "}" that closes the "${" before `at`; NULL when there is none. */
static const char *closing(const char *at)
{
    struct brackets brackets = {.count = 0};
    while (*at && brackets.count < sizeof brackets.open) {
        if (brackets.count && brackets.open[brackets.count - 1] == '"') {
            at = skip_quoted(&brackets, at);
            continue;
        }
        if (strchr("\"({", *at)) {
            brackets.open[brackets.count++] = *at;
        } else if (*at == ')') {
            close_bracket(&brackets, '(');
        } else if (*at == '}' && !close_bracket(&brackets, '{')) {
            return at;
        }
        at++;
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

static void note_member(const struct expr_path *path, void *arg)
{
    struct expr_part *part = arg;
    const char *name = expr_path_name(path, 0);
    part->whole = part->whole || !path->count;
    if (name) {
        json_object_set_new(part->reads, name, json_true());
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
    part->tree = expr_parse(part->expression, err);
    if (!part->tree || expr_allowed(part->tree, err) != 0) {
        return err_prefix(err, "in ${ %s }", part->expression);
    }
    part->guarded = expr_guarded(part->expression, part->tree);
    part->reads = json_object();
    expr_paths_plain(part->tree, &part->path);
    part->code = part->path.count ? NULL : expr_code_new(part->tree);
    expr_paths_of(part->tree, note_member, part);
    return 0;
}

void expr_template_free(struct expr_template *template)
{
    for (size_t i = 0; i < template->count; i++) {
        free(template->parts[i].refused);
        if (template->parts[i].own) {
            jq_program_free(template->parts[i].program);
        }
        free(template->parts[i].literal);
        free(template->parts[i].expression);
        free(template->parts[i].guarded);
        json_decref(template->parts[i].reads);
        expr_code_free(template->parts[i].code);
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
