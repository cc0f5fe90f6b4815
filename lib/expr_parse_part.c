/* The grammar: what stands in brackets of its own kind, behind a term, within an object, behind `as`. */
#include <stdlib.h>
#include <string.h>

#include "lib/expr_parse.h"
#include "lib/mem.h"

/* ---- suffixes ------------------------------------------------------------------------------------------------------------ */

static struct expr_node *field(const char *name, size_t len)
{
    struct expr_node *index = expr_node_new(EXPR_INDEX);
    expr_node_add(index, expr_node_text(name, len));
    return index;
}

static struct expr_node *missing_bound(void)
{
    struct expr_node *node = expr_node_new(EXPR_LITERAL);
    node->value = json_null();
    return node;
}

/* Behind the ":" of [a:b]. */
static int parse_upper_bound(struct expr_reader *reader, struct expr_node *slice)
{
    slice->kind = EXPR_SLICE;
    if (!slice->count) {
        expr_node_add(slice, missing_bound());
    } else if (expr_read_take(reader, "]")) {
        expr_node_add(slice, missing_bound());
        return 0;
    }
    return expr_node_take(slice, expr_parse_expression(reader)) == 0 ? expr_read_expect(reader, "]") : -1;
}

/* Behind the "[": [], [a], [a:b]. */
static struct expr_node *parse_brackets(struct expr_reader *reader)
{
    if (expr_read_take(reader, "]")) {
        return expr_node_new(EXPR_EACH);
    }
    struct expr_node *index = expr_node_new(EXPR_INDEX);
    bool open = expr_read_take(reader, ":");
    int result = open ? 0 : expr_node_take(index, expr_parse_expression(reader));
    if (result == 0) {
        result = open || expr_read_take(reader, ":") ? parse_upper_bound(reader, index) : expr_read_expect(reader, "]");
    }
    index->end = expr_read_place(reader);
    return expr_node_kept(index, result);
}

/* ."text" */
static struct expr_node *parse_quoted_field(struct expr_reader *reader)
{
    struct expr_node *index = expr_node_new(EXPR_INDEX);
    return expr_node_kept(index, expr_node_take(index, expr_read_text(reader, expr_parse_expression)));
}

struct expr_node *expr_parse_suffix(struct expr_reader *reader, bool *none)
{
    const char *at = expr_read_next(reader);
    *none = false;
    if (*at == '[') {
        reader->at++;
        return parse_brackets(reader);
    }
    if (*at == '?' && strncmp(at, "?//", 3) != 0) {
        reader->at++;
        return expr_node_new(EXPR_OPTIONAL);
    }
    size_t len = *at == '.' ? expr_read_name(at + 1) : 0;
    if (len) {
        reader->at += 1 + len;
        return field(at + 1, len);
    }
    if (*at == '.' && at[1 + strspn(at + 1, " \t\r\n")] == '"') {
        reader->at++;
        expr_read_next(reader);
        return parse_quoted_field(reader);
    }
    *none = true;
    return NULL;
}

/* ---- objects ------------------------------------------------------------------------------------------------------------- */

/* A value in an object: no "," there. */
static struct expr_node *parse_member_value(struct expr_reader *reader)
{
    struct expr_node *pipe = expr_node_new(EXPR_PIPE);
    int result;
    do {
        result = expr_node_take(pipe, expr_parse_alternatives(reader));
    } while (result == 0 && expr_read_take(reader, "|"));
    return expr_node_kept(pipe, result);
}

/* {name} is {name: .name}. */
static struct expr_node *own_member(const struct expr_node *key)
{
    struct expr_node *term = expr_node_new(EXPR_TERM);
    struct expr_node *index = expr_node_new(EXPR_INDEX);
    struct expr_node *copy = expr_node_new(EXPR_LITERAL);
    copy->value = json_incref(key->value);
    expr_node_add(index, copy);
    expr_node_add(term, expr_node_new(EXPR_INPUT));
    expr_node_add(term, index);
    return term;
}

/* A key: name, "text", (expression), $name, which also is its value. */
static struct expr_node *parse_key(struct expr_reader *reader, struct expr_node **variable)
{
    const char *at = expr_read_next(reader);
    size_t len = expr_read_name(at + (*at == '$'));
    *variable = NULL;
    if (*at == '$' && len) {
        reader->at += 1 + len;
        *variable = expr_node_named(EXPR_VARIABLE, at + 1, len);
        return expr_node_text(at + 1, len);
    }
    if (len) {
        reader->at += len;
        return expr_node_text(at, len);
    }
    if (*at == '"') {
        return expr_read_text(reader, expr_parse_expression);
    }
    if (*at != '(') {
        return expr_read_unexpected(reader);
    }
    reader->at++;
    struct expr_node *key = expr_parse_expression(reader);
    return key ? expr_node_kept(key, expr_read_expect(reader, ")")) : NULL;
}

static int parse_member(struct expr_reader *reader, struct expr_node *object)
{
    struct expr_node *value;
    struct expr_node *key = parse_key(reader, &value);
    if (!key) {
        return -1;
    }
    expr_node_add(object, key);
    if (!value && expr_read_take(reader, ":")) {
        return expr_node_take(object, parse_member_value(reader));
    }
    if (!value && key->kind != EXPR_LITERAL) { /* {"a\(.b)"}: the member of that name */
        value = expr_node_new(EXPR_INPUT);
    }
    expr_node_add(object, value ? value : own_member(key));
    return 0;
}

struct expr_node *expr_parse_object(struct expr_reader *reader)
{
    struct expr_node *object = expr_node_new(EXPR_OBJECT);
    object->at = expr_read_place(reader) - 1;
    if (expr_read_take(reader, "}")) {
        return object;
    }
    int result;
    do {
        result = parse_member(reader, object);
    } while (result == 0 && expr_read_take(reader, ","));
    result = result == 0 ? expr_read_expect(reader, "}") : -1;
    object->end = expr_read_place(reader);
    return expr_node_kept(object, result);
}

/* ---- patterns of `as` ---------------------------------------------------------------------------------------------------- */

static struct expr_node *parse_pattern(struct expr_reader *reader);

/* {name: pattern}, {$name}, {$name: pattern}: the last binds twice. */
static int parse_member_pattern(struct expr_reader *reader, struct expr_node *object)
{
    struct expr_node *variable;
    struct expr_node *key = parse_key(reader, &variable);
    if (!key) {
        return -1;
    }
    expr_node_add(object, key);
    if (key->kind != EXPR_LITERAL) {
        return err_set(reader->err, ERR_PERMANENT, "a pattern has plain names; write .[…] as $name | instead");
    }
    if (variable) {
        expr_node_add(object, variable);
        if (!expr_read_take(reader, ":")) {
            return 0;
        }
        expr_node_add(object, expr_node_text(variable->name, strlen(variable->name)));
    } else if (expr_read_expect(reader, ":") != 0) {
        return -1;
    }
    return expr_node_take(object, parse_pattern(reader));
}

static struct expr_node *parse_group_pattern(struct expr_reader *reader, bool list)
{
    struct expr_node *group = expr_node_new(list ? EXPR_LIST : EXPR_OBJECT);
    int result;
    do {
        result = list ? expr_node_take(group, parse_pattern(reader)) : parse_member_pattern(reader, group);
    } while (result == 0 && expr_read_take(reader, ","));
    return expr_node_kept(group, result == 0 ? expr_read_expect(reader, list ? "]" : "}") : -1);
}

static struct expr_node *parse_pattern(struct expr_reader *reader)
{
    const char *at = expr_read_next(reader);
    size_t len = *at == '$' ? expr_read_name(at + 1) : 0;
    if (len) {
        reader->at += 1 + len;
        return expr_node_named(EXPR_VARIABLE, at + 1, len);
    }
    if (*at != '[' && *at != '{') {
        return expr_read_unexpected(reader);
    }
    if (expr_read_deeper(reader) != 0) {
        return NULL;
    }
    reader->at++;
    struct expr_node *pattern = parse_group_pattern(reader, *at == '[');
    reader->depth--;
    return pattern;
}

struct expr_node *expr_parse_as(struct expr_reader *reader, struct expr_node *source)
{
    struct expr_node *as = expr_node_new(EXPR_AS);
    expr_node_add(as, source);
    int result;
    do {
        result = expr_node_take(as, parse_pattern(reader));
    } while (result == 0 && expr_read_take(reader, "?//"));
    if (result == 0) {
        result = expr_read_expect(reader, "|");
    }
    return expr_node_kept(as, result == 0 ? expr_node_take(as, expr_parse_expression(reader)) : -1);
}
