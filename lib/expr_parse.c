/* The grammar: four levels of operators, which bind ever tighter, and the terms between them. */
#include "lib/expr_parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/expr_words.h"
#include "lib/mem.h"

enum { LENGTH_MAX = 4000 };

enum level { PIPES, COMMAS, ALTERNATIVES, OPERATIONS };

/* ---- terms --------------------------------------------------------------------------------------------------------------- */

/* Behind the `if`. */
static struct expr_node *parse_if(struct expr_reader *reader)
{
    struct expr_node *node = expr_node_new(EXPR_IF);
    int result;
    do {
        result = expr_node_take(node, expr_parse_expression(reader));
        if (result == 0 && !expr_read_word(reader, "then")) {
            expr_read_unexpected(reader);
            result = -1;
        }
        result = result == 0 ? expr_node_take(node, expr_parse_expression(reader)) : -1;
    } while (result == 0 && expr_read_word(reader, "elif"));
    if (result == 0 && !expr_read_word(reader, "else")) {
        result = err_set(reader->err, ERR_PERMANENT, "an `if` needs an `else` (write `else empty` or `else null`)");
    }
    result = result == 0 ? expr_node_take(node, expr_parse_expression(reader)) : -1;
    if (result == 0 && !expr_read_word(reader, "end")) {
        result = err_set(reader->err, ERR_PERMANENT, "an `if` is not closed: its `end` is missing");
    }
    return expr_node_kept(node, result);
}

static struct expr_node *parse_call(struct expr_reader *reader, size_t len)
{
    struct expr_node *call = expr_node_named(EXPR_CALL, reader->at, len);
    int result = 0;
    reader->at += len;
    if (expr_read_take(reader, "(")) {
        do {
            result = expr_node_take(call, expr_parse_expression(reader));
        } while (result == 0 && expr_read_take(reader, ";"));
        result = result == 0 ? expr_read_expect(reader, ")") : -1;
    }
    return expr_node_kept(call, result);
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
            expr_word_refuse(refused[i], reader->err);
            return NULL;
        }
    }
    return parse_call(reader, len);
}

static struct expr_node *parse_format(struct expr_reader *reader)
{
    size_t len = 1 + expr_read_name(reader->at + 1);
    struct expr_node *format = expr_node_named(EXPR_FORMAT, reader->at, len);
    format->at = expr_read_place(reader);
    format->end = format->at + len;
    reader->at += len;
    if (*expr_read_next(reader) != '"') {
        return format;
    }
    struct expr_node *text = expr_read_text(reader, expr_parse_expression);
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
    size_t at = expr_read_place(reader);
    bool list = *reader->at++ == '[';
    struct expr_node *node = list ? expr_node_new(EXPR_LIST) : NULL;
    if (list && expr_read_take(reader, "]")) {
        return node;
    }
    struct expr_node *inner = expr_parse_expression(reader);
    int result = inner ? expr_read_expect(reader, list ? "]" : ")") : -1;
    if (!list) {
        if (inner) {
            inner->grouped = true;
        }
        return expr_node_kept(inner, result);
    }
    if (inner) {
        expr_node_add(node, inner);
    }
    node->at = at;
    node->end = expr_read_place(reader);
    return expr_node_kept(node, result);
}

static struct expr_node *parse_head(struct expr_reader *reader)
{
    const char *at = expr_read_next(reader);
    size_t len = expr_read_name(at + (*at == '$' || *at == '@'));
    if (*at == '"') {
        return expr_read_text(reader, expr_parse_expression);
    }
    if (isdigit((unsigned char)*at) || (*at == '.' && isdigit((unsigned char)at[1]))) {
        return expr_read_number(reader);
    }
    if (*at == '.') {
        return parse_dot(reader);
    }
    if (*at == '$' && len) {
        reader->at += 1 + len;
        return expr_node_named(EXPR_VARIABLE, at + 1, len);
    }
    if (*at == '@' && len) {
        return parse_format(reader);
    }
    if (*at == '(' || *at == '[') {
        return parse_group(reader);
    }
    if (*at == '{') {
        reader->at++;
        return expr_parse_object(reader);
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
    struct expr_node *suffix = head ? expr_parse_suffix(reader, &none) : NULL;
    if (none) {
        return head;
    }
    struct expr_node *term = expr_node_new(EXPR_TERM);
    expr_node_add(term, head);
    int result = 0;
    while (result == 0 && !none) {
        result = expr_node_take(term, suffix);
        suffix = result == 0 ? expr_parse_suffix(reader, &none) : NULL;
    }
    return expr_node_kept(term, result);
}

static struct expr_node *parse_operand(struct expr_reader *reader);

/* An operand behind a prefix ("-", `try`, `catch`): these nest, too. */
static struct expr_node *parse_inner_operand(struct expr_reader *reader)
{
    if (expr_read_deeper(reader) != 0) {
        return NULL;
    }
    struct expr_node *node = parse_operand(reader);
    reader->depth--;
    return node;
}

static struct expr_node *parse_operand(struct expr_reader *reader)
{
    if (expr_read_take(reader, "-")) {
        struct expr_node *negative = expr_node_new(EXPR_NEGATIVE);
        return expr_node_kept(negative, expr_node_take(negative, parse_inner_operand(reader)));
    }
    if (expr_read_word(reader, "try")) {
        struct expr_node *attempt = expr_node_new(EXPR_TRY);
        int result = expr_node_take(attempt, parse_inner_operand(reader));
        if (result == 0 && expr_read_word(reader, "catch")) {
            result = expr_node_take(attempt, parse_inner_operand(reader));
        }
        return expr_node_kept(attempt, result);
    }
    struct expr_node *term = parse_term(reader);
    return term && expr_read_word(reader, "as") ? expr_parse_as(reader, term) : term;
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
    static const struct {
        const char *text;
        char name;
    } compare[] = {{"==", '='}, {"!=", '!'}, {"<=", 'l'}, {">=", 'g'}, {"<", '<'}, {">", '>'}};
    for (size_t i = 0; i < COUNT_OF(compare); i++) {
        if (expr_read_take(reader, compare[i].text)) {
            return compare[i].name;
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
        result = expr_node_take(chain, level == OPERATIONS ? parse_operand(reader) : parse_level(reader, level + 1));
        if (result == 0 && assigns(expr_read_next(reader))) {
            result =
                err_set(reader->err, ERR_PERMANENT,
                        "assignments are not allowed; write . * {a: {b: 1}} to set a member, del(.a) to remove one");
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
    return expr_node_kept(chain, result);
}

struct expr_node *expr_parse_alternatives(struct expr_reader *reader)
{
    return parse_level(reader, ALTERNATIVES);
}

struct expr_node *expr_parse_expression(struct expr_reader *reader)
{
    if (expr_read_deeper(reader) != 0) {
        return NULL;
    }
    struct expr_node *node = parse_level(reader, PIPES);
    reader->depth--;
    return node;
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
    struct expr_node *node = expr_parse_expression(&reader);
    if (node && *expr_read_next(&reader)) {
        expr_read_unexpected(&reader);
        return expr_node_kept(node, -1);
    }
    return node;
}
