/* The grammar: four levels of operators, which bind ever tighter, and what stands between them. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/expr_node.h"
#include "lib/expr_read.h"
#include "lib/mem.h"

enum { LENGTH_MAX = 4000, NESTING_MAX = 64 };

enum level { PIPES, COMMAS, ALTERNATIVES, OPERATIONS };

static struct expr_node *parse_level(struct expr_reader *reader, enum level level);

static struct expr_node *parse_expression(struct expr_reader *reader)
{
    if (reader->depth == NESTING_MAX) {
        err_set(reader->err, ERR_PERMANENT, "nested more than %d deep", NESTING_MAX);
        return NULL;
    }
    reader->depth++;
    struct expr_node *node = parse_level(reader, PIPES);
    reader->depth--;
    return node;
}

/* Adds what was read; -1 when reading failed. */
static int add(struct expr_node *node, struct expr_node *child)
{
    if (!child) {
        return -1;
    }
    expr_node_add(node, child);
    return 0;
}

static struct expr_node *kept(struct expr_node *node, int result)
{
    if (result == 0) {
        return node;
    }
    expr_node_free(node);
    return NULL;
}

static struct expr_node *named(enum expr_kind kind, const char *name, size_t len)
{
    struct expr_node *node = expr_node_new(kind);
    node->name = mem_strndup(name, len);
    return node;
}

static struct expr_node *text_literal(const char *text, size_t len)
{
    struct expr_node *node = expr_node_new(EXPR_LITERAL);
    node->value = json_stringn(text, len);
    return node;
}

/* ---- suffixes ------------------------------------------------------------------------------------------------------------ */

static struct expr_node *field(const char *name, size_t len)
{
    struct expr_node *index = expr_node_new(EXPR_INDEX);
    expr_node_add(index, text_literal(name, len));
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
    return add(slice, parse_expression(reader)) == 0 ? expr_read_expect(reader, "]") : -1;
}

/* Behind the "[": [], [a], [a:b]. */
static struct expr_node *parse_brackets(struct expr_reader *reader)
{
    if (expr_read_take(reader, "]")) {
        return expr_node_new(EXPR_EACH);
    }
    struct expr_node *index = expr_node_new(EXPR_INDEX);
    bool open = expr_read_take(reader, ":");
    int result = open ? 0 : add(index, parse_expression(reader));
    if (result == 0) {
        result = open || expr_read_take(reader, ":") ? parse_upper_bound(reader, index) : expr_read_expect(reader, "]");
    }
    index->end = (size_t)(reader->at - reader->text);
    return kept(index, result);
}

/* ."text" */
static struct expr_node *parse_quoted_field(struct expr_reader *reader)
{
    struct expr_node *index = expr_node_new(EXPR_INDEX);
    return kept(index, add(index, expr_read_text(reader, parse_expression)));
}

/* The suffix that comes next; `*none` when there is none. */
static struct expr_node *parse_suffix(struct expr_reader *reader, bool *none)
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
    if (*at == '.' && (at[1 + strspn(at + 1, " \t\r\n")] == '"' || at[1 + strspn(at + 1, " \t\r\n")] == '[')) {
        reader->at++;
        return *expr_read_next(reader) == '"' ? parse_quoted_field(reader) : parse_suffix(reader, none);
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
        result = add(pipe, parse_level(reader, ALTERNATIVES));
    } while (result == 0 && expr_read_take(reader, "|"));
    return kept(pipe, result);
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
        *variable = named(EXPR_VARIABLE, at + 1, len);
        return text_literal(at + 1, len);
    }
    if (len) {
        reader->at += len;
        return text_literal(at, len);
    }
    if (*at == '"') {
        return expr_read_text(reader, parse_expression);
    }
    if (*at != '(') {
        return expr_read_unexpected(reader);
    }
    reader->at++;
    struct expr_node *key = parse_expression(reader);
    return key ? kept(key, expr_read_expect(reader, ")")) : NULL;
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
        return add(object, parse_member_value(reader));
    }
    if (!value && key->kind != EXPR_LITERAL) { /* {"a\(.b)"}: the member of that name */
        value = expr_node_new(EXPR_INPUT);
    }
    expr_node_add(object, value ? value : own_member(key));
    return 0;
}

static struct expr_node *parse_object(struct expr_reader *reader)
{
    struct expr_node *object = expr_node_new(EXPR_OBJECT);
    if (expr_read_take(reader, "}")) {
        return object;
    }
    int result;
    do {
        result = parse_member(reader, object);
    } while (result == 0 && expr_read_take(reader, ","));
    return kept(object, result == 0 ? expr_read_expect(reader, "}") : -1);
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
    if (variable) {
        expr_node_add(object, variable);
        if (!expr_read_take(reader, ":")) {
            return 0;
        }
        expr_node_add(object, text_literal(variable->name, strlen(variable->name)));
    } else if (expr_read_expect(reader, ":") != 0) {
        return -1;
    }
    return add(object, parse_pattern(reader));
}

static struct expr_node *parse_group_pattern(struct expr_reader *reader, bool list)
{
    struct expr_node *group = expr_node_new(list ? EXPR_LIST : EXPR_OBJECT);
    int result;
    do {
        result = list ? add(group, parse_pattern(reader)) : parse_member_pattern(reader, group);
    } while (result == 0 && expr_read_take(reader, ","));
    return kept(group, result == 0 ? expr_read_expect(reader, list ? "]" : "}") : -1);
}

static struct expr_node *parse_pattern(struct expr_reader *reader)
{
    const char *at = expr_read_next(reader);
    size_t len = *at == '$' ? expr_read_name(at + 1) : 0;
    if (len) {
        reader->at += 1 + len;
        return named(EXPR_VARIABLE, at + 1, len);
    }
    if ((*at != '[' && *at != '{') || reader->depth == NESTING_MAX) {
        return expr_read_unexpected(reader);
    }
    reader->at++;
    reader->depth++;
    struct expr_node *pattern = parse_group_pattern(reader, *at == '[');
    reader->depth--;
    return pattern;
}

/* Behind the `as`: its patterns, "|", and all that follows. */
static struct expr_node *parse_as(struct expr_reader *reader, struct expr_node *source)
{
    struct expr_node *as = expr_node_new(EXPR_AS);
    expr_node_add(as, source);
    int result;
    do {
        result = add(as, parse_pattern(reader));
    } while (result == 0 && expr_read_take(reader, "?//"));
    if (result == 0) {
        result = expr_read_expect(reader, "|");
    }
    return kept(as, result == 0 ? add(as, parse_expression(reader)) : -1);
}

/* ---- terms --------------------------------------------------------------------------------------------------------------- */

/* Behind the `if`. */
static struct expr_node *parse_if(struct expr_reader *reader)
{
    struct expr_node *node = expr_node_new(EXPR_IF);
    int result;
    do {
        result = add(node, parse_expression(reader));
        if (result == 0 && !expr_read_word(reader, "then")) {
            expr_read_unexpected(reader);
            result = -1;
        }
        result = result == 0 ? add(node, parse_expression(reader)) : -1;
    } while (result == 0 && expr_read_word(reader, "elif"));
    if (result == 0 && !expr_read_word(reader, "else")) {
        result = err_set(reader->err, ERR_PERMANENT, "an `if` needs an `else` (write `else empty` or `else null`)");
    }
    result = result == 0 ? add(node, parse_expression(reader)) : -1;
    if (result == 0 && !expr_read_word(reader, "end")) {
        result = err_set(reader->err, ERR_PERMANENT, "an `if` is not closed: its `end` is missing");
    }
    return kept(node, result);
}

static struct expr_node *parse_call(struct expr_reader *reader, size_t len)
{
    struct expr_node *call = named(EXPR_CALL, reader->at, len);
    int result = 0;
    reader->at += len;
    if (expr_read_take(reader, "(")) {
        do {
            result = add(call, parse_expression(reader));
        } while (result == 0 && expr_read_take(reader, ";"));
        result = result == 0 ? expr_read_expect(reader, ")") : -1;
    }
    return kept(call, result);
}

/* Words that have a grammar of their own, in jq or here. */
static struct expr_node *parse_name(struct expr_reader *reader, size_t len)
{
    static const char *const inner[] = {"and", "as", "catch", "elif", "else", "end", "or", "then"};
    static const char *const refused[] = {"__loc__", "break",  "def",   "foreach", "import",
                                          "include", "module", "label", "reduce"};
    for (size_t i = 0; i < COUNT_OF(inner); i++) {
        if (strlen(inner[i]) == len && strncmp(reader->at, inner[i], len) == 0) {
            return expr_read_unexpected(reader);
        }
    }
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        if (strlen(refused[i]) == len && strncmp(reader->at, refused[i], len) == 0) {
            err_set(reader->err, ERR_PERMANENT, "\"%s\" is not allowed in an expression", refused[i]);
            return NULL;
        }
    }
    return parse_call(reader, len);
}

static struct expr_node *parse_format(struct expr_reader *reader)
{
    size_t len = 1 + expr_read_name(reader->at + 1);
    struct expr_node *format = named(EXPR_FORMAT, reader->at, len);
    reader->at += len;
    if (*expr_read_next(reader) != '"') {
        return format;
    }
    struct expr_node *text = expr_read_text(reader, parse_expression);
    if (text && text->kind == EXPR_TEXT) {
        text->name = mem_strdup(format->name);
    } else if (text) { /* nothing in it to be put in the format, but the format must exist */
        struct expr_node *whole = expr_node_new(EXPR_TEXT);
        whole->name = mem_strdup(format->name);
        expr_node_add(whole, text);
        text = whole;
    }
    expr_node_free(format);
    return text;
}

/* "." alone, or the beginning of a path, whose first step then is the first suffix. */
static struct expr_node *parse_dot(struct expr_reader *reader)
{
    const char *at = reader->at;
    if (at[1] == '.') {
        reader->at += 2;
        return expr_node_new(EXPR_RECURSE);
    }
    const char *after = at + 1 + strspn(at + 1, " \t\r\n");
    if (!expr_read_name(at + 1) && *after != '"') {
        reader->at++;
    }
    return expr_node_new(EXPR_INPUT);
}

/* What stands between a pair of brackets. */
static struct expr_node *parse_group(struct expr_reader *reader)
{
    bool list = *reader->at++ == '[';
    struct expr_node *node = list ? expr_node_new(EXPR_LIST) : NULL;
    if (list && expr_read_take(reader, "]")) {
        return node;
    }
    struct expr_node *inner = parse_expression(reader);
    int result = inner ? expr_read_expect(reader, list ? "]" : ")") : -1;
    if (list && inner) {
        expr_node_add(node, inner);
    }
    return kept(list ? node : inner, result);
}

static struct expr_node *parse_head(struct expr_reader *reader)
{
    const char *at = expr_read_next(reader);
    size_t len = expr_read_name(at + (*at == '$' || *at == '@'));
    if (*at == '"') {
        return expr_read_text(reader, parse_expression);
    }
    if (isdigit((unsigned char)*at) || (*at == '.' && isdigit((unsigned char)at[1]))) {
        return expr_read_number(reader);
    }
    if (*at == '.') {
        return parse_dot(reader);
    }
    if (*at == '$' && len) {
        reader->at += 1 + len;
        return named(EXPR_VARIABLE, at + 1, len);
    }
    if (*at == '@' && len) {
        return parse_format(reader);
    }
    if (*at == '(' || *at == '[') {
        return parse_group(reader);
    }
    if (*at == '{') {
        reader->at++;
        return parse_object(reader);
    }
    if (expr_read_word(reader, "if")) {
        return parse_if(reader);
    }
    return len && *at != '$' && *at != '@' ? parse_name(reader, len) : expr_read_unexpected(reader);
}

/* A head with its suffixes. */
static struct expr_node *parse_term(struct expr_reader *reader)
{
    struct expr_node *head = parse_head(reader);
    bool none = !head;
    struct expr_node *suffix = head ? parse_suffix(reader, &none) : NULL;
    if (none) {
        return head;
    }
    struct expr_node *term = expr_node_new(EXPR_TERM);
    expr_node_add(term, head);
    int result = 0;
    while (result == 0 && !none) {
        result = add(term, suffix);
        suffix = result == 0 ? parse_suffix(reader, &none) : NULL;
    }
    return kept(term, result);
}

static struct expr_node *parse_operand(struct expr_reader *reader);

/* An operand behind a prefix ("-", `try`, `catch`): these nest, too. */
static struct expr_node *parse_inner_operand(struct expr_reader *reader)
{
    if (reader->depth == NESTING_MAX) {
        err_set(reader->err, ERR_PERMANENT, "nested more than %d deep", NESTING_MAX);
        return NULL;
    }
    reader->depth++;
    struct expr_node *node = parse_operand(reader);
    reader->depth--;
    return node;
}

static struct expr_node *parse_operand(struct expr_reader *reader)
{
    if (expr_read_take(reader, "-")) {
        struct expr_node *negative = expr_node_new(EXPR_NEGATIVE);
        return kept(negative, add(negative, parse_inner_operand(reader)));
    }
    if (expr_read_word(reader, "try")) {
        struct expr_node *attempt = expr_node_new(EXPR_TRY);
        int result = add(attempt, parse_inner_operand(reader));
        if (result == 0 && expr_read_word(reader, "catch")) {
            result = add(attempt, parse_inner_operand(reader));
        }
        return kept(attempt, result);
    }
    struct expr_node *term = parse_term(reader);
    return term && expr_read_word(reader, "as") ? parse_as(reader, term) : term;
}

/* ---- operators ----------------------------------------------------------------------------------------------------------- */

static bool assigns(const char *at)
{
    static const char *const assignments[] = {"|=", "+=", "-=", "*=", "/=", "%=", "//="};
    bool found = at[0] == '=' && at[1] != '=';
    for (size_t i = 0; i < COUNT_OF(assignments); i++) {
        found = found || strncmp(at, assignments[i], strlen(assignments[i])) == 0;
    }
    return found;
}

/* Takes an operator of the level; what EXPR_OPERATION calls it, '\0' when none comes. */
static char take_operation(struct expr_reader *reader)
{
    static const char *const compare[] = {"==", "!=", "<=", ">=", "<", ">"};
    for (size_t i = 0; i < COUNT_OF(compare); i++) {
        if (expr_read_take(reader, compare[i])) {
            return '=';
        }
    }
    if (expr_read_word(reader, "and")) {
        return '&';
    }
    if (expr_read_word(reader, "or")) {
        return 'o';
    }
    char c = *expr_read_next(reader);
    if (c && strchr("+-*/%", c) && strncmp(reader->at, "//", 2) != 0) {
        reader->at++;
        return c;
    }
    return '\0';
}

static char take_operator(struct expr_reader *reader, enum level level)
{
    static const char *const signs[] = {[PIPES] = "|", [COMMAS] = ",", [ALTERNATIVES] = "//"};
    if (level == OPERATIONS) {
        return take_operation(reader);
    }
    return expr_read_take(reader, signs[level]) ? *signs[level] : '\0';
}

/* Operands of one level with its operators between them; one operand alone is itself. */
static struct expr_node *parse_level(struct expr_reader *reader, enum level level)
{
    static const enum expr_kind kinds[] = {EXPR_PIPE, EXPR_COMMA, EXPR_ALTERNATIVE, EXPR_OPERATION};
    struct expr_node *chain = expr_node_new(kinds[level]);
    struct buf names = BUF_INIT;
    int result = 0;
    for (char sign = ' '; result == 0 && sign;) {
        result = add(chain, level == OPERATIONS ? parse_operand(reader) : parse_level(reader, level + 1));
        if (result == 0 && assigns(expr_read_next(reader))) {
            result = err_set(reader->err, ERR_PERMANENT, "assignments are not allowed; build a new object instead");
        }
        sign = result == 0 ? take_operator(reader, level) : '\0';
        buf_add(&names, &sign, sign != '\0');
    }
    chain->name = buf_take(&names);
    if (result == 0 && chain->count == 1) {
        struct expr_node *only = chain->children[0];
        chain->count = 0;
        expr_node_free(chain);
        return only;
    }
    return kept(chain, result);
}

struct expr_node *expr_parse(const char *text, struct err *err)
{
    struct expr_reader reader = {.text = text, .at = text, .err = err};
    if (strlen(text) > LENGTH_MAX) {
        err_set(err, ERR_PERMANENT, "the expression is longer than %d characters", LENGTH_MAX);
        return NULL;
    }
    if (!*expr_read_next(&reader)) {
        err_set(err, ERR_PERMANENT, "the expression is empty");
        return NULL;
    }
    struct expr_node *node = parse_expression(&reader);
    if (node && *expr_read_next(&reader)) {
        expr_read_unexpected(&reader);
        return kept(node, -1);
    }
    return node;
}
