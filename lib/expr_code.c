/* Trees become code. */
#include "lib/expr_code.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/expr_allow.h"
#include "lib/expr_number.h"
#include "lib/expr_run.h"
#include "lib/mem.h"

enum {
    GROWTH_MAX = 16,              /* what may grow more is measured on the way, by jq (expr_guard.c) */
    STEPS_MAX = 1000000,          /* of one evaluation: well below a second */
    BYTES_MAX = 32 * 1024 * 1024, /* that one evaluation makes */
};

struct compiler {
    const char *names[CODE_SLOTS]; /* of the variables in scope, by slot */
    size_t names_count;
};

static struct expr_code *compile(struct compiler *compiler, const struct expr_node *node);

/* ---- code ------------------------------------------------------------------------------------------------------------------ */

static struct expr_code *code_new(enum code_op op)
{
    struct expr_code *code = MEM_NEW(struct expr_code);
    code->op = op;
    return code;
}

void expr_code_free(struct expr_code *code)
{
    for (size_t i = 0; code && i < code->count; i++) {
        expr_code_free(code->parts[i]);
    }
    if (code) {
        free(code->parts);
    }
    free(code);
}

/* Takes `part` over. -1 when it is NULL. */
static int add(struct expr_code *code, struct expr_code *part)
{
    if (!part) {
        return -1;
    }
    code->parts = mem_realloc(code->parts, (code->count + 1) * sizeof(struct expr_code *));
    code->parts[code->count++] = part;
    return 0;
}

/* Freed, and NULL, unless the result is 0. */
static struct expr_code *kept(struct expr_code *code, int result)
{
    if (result != 0) {
        expr_code_free(code);
        return NULL;
    }
    return code;
}

static struct expr_code *with_parts(enum code_op op, struct compiler *compiler, const struct expr_node *node)
{
    struct expr_code *code = code_new(op);
    int result = 0;
    for (size_t i = 0; result == 0 && i < node->count; i++) {
        result = add(code, compile(compiler, node->children[i]));
    }
    return kept(code, result);
}

static struct expr_code *literal(const struct expr_node *node)
{
    struct expr_code *code = code_new(CODE_LITERAL);
    code->value = node->value;
    return code;
}

/* ---- terms ----------------------------------------------------------------------------------------------------------------- */

/* A bound that is a plain integer, or open. */
static int bound(const struct expr_node *node, struct expr_bound *bound)
{
    bool negative = node->kind == EXPR_NEGATIVE;
    const struct expr_node *number = negative ? node->children[0] : node;
    bool open = !negative && number->kind == EXPR_LITERAL && json_is_null(number->value);
    if (!open && (number->kind != EXPR_LITERAL || !json_is_integer(number->value))) {
        return -1;
    }
    json_int_t at = json_integer_value(number->value);
    *bound = (struct expr_bound){open, negative ? -at : at};
    return 0;
}

static int add_suffix(struct compiler *compiler, struct expr_code *code, const struct expr_node *suffix)
{
    switch (suffix->kind) {
    case EXPR_INDEX:
        return add(code, compile(compiler, suffix->children[0]));
    case EXPR_SLICE:
        code->op = CODE_SLICE;
        code->slice.kind = EXPR_SEGMENT_SLICE;
        return bound(suffix->children[0], &code->slice.from) == 0 ? bound(suffix->children[1], &code->slice.to) : -1;
    case EXPR_EACH:
        code->op = CODE_EACH;
        return 0;
    case EXPR_OPTIONAL:
        code->op = CODE_TRY;
        return 0;
    default:
        return -1;
    }
}

/* ---- operators ------------------------------------------------------------------------------------------------------------- */

enum { BINDS_OR = 1, BINDS_AND, BINDS_COMPARE, BINDS_ADD, BINDS_MULTIPLY };

static int binding(char operation)
{
    return operation == 'o'           ? BINDS_OR
           : operation == '&'         ? BINDS_AND
           : strchr("+-", operation)  ? BINDS_ADD
           : strchr("*/%", operation) ? BINDS_MULTIPLY
                                      : BINDS_COMPARE;
}

static struct expr_code *operation(char name, struct expr_code *left, struct expr_code *right)
{
    struct expr_code *code = code_new(name == 'o' ? CODE_OR : name == '&' ? CODE_AND : CODE_OPERATION);
    code->operation = name;
    int result = add(code, left);
    result = add(code, right) == 0 && name != '%' ? result : -1;
    return kept(code, result);
}

/* The operands from `*at` on, as long as the operators between them bind at least so tightly. jq takes no two comparisons in a row. */
static struct expr_code *operations(struct compiler *compiler, const struct expr_node *node, size_t *at, int least)
{
    struct expr_code *left = compile(compiler, node->children[*at]);
    bool compared = false;
    while (left && *at + 1 < node->count && binding(node->name[*at]) >= least) {
        char name = node->name[*at];
        int tight = binding(name);
        ++*at;
        struct expr_code *right = operations(compiler, node, at, tight + 1);
        left = operation(name, left, right);
        left = kept(left, left && compared && tight == BINDS_COMPARE ? -1 : 0);
        compared = tight == BINDS_COMPARE;
    }
    return left;
}

/* ---- what jq takes as a term ----------------------------------------------------------------------------------------------- */

/* `(a)?`, `"a"?`: jq's grammar has it as an expression, behind which nothing may follow. */
static bool is_whole_optional(const struct expr_node *term, size_t i)
{
    enum expr_kind before = term->children[i - 1]->kind;
    return term->children[i]->kind == EXPR_OPTIONAL &&
           (i == 1 || (before != EXPR_INDEX && before != EXPR_SLICE && before != EXPR_EACH));
}

/* A value in an object, or what `as` names: all else stands in ( ). */
static bool is_term(const struct expr_node *node)
{
    static const enum expr_kind terms[] = {EXPR_INPUT,  EXPR_LITERAL, EXPR_TEXT,    EXPR_LIST,
                                           EXPR_OBJECT, EXPR_CALL,    EXPR_VARIABLE};
    bool found = node->grouped || (node->kind == EXPR_TERM && !is_whole_optional(node, node->count - 1));
    for (size_t i = 0; i < COUNT_OF(terms); i++) {
        found = found || node->kind == terms[i];
    }
    return found;
}

static struct expr_code *term(struct compiler *compiler, const struct expr_node *node)
{
    struct expr_code *code = is_term(node->children[0]) ? compile(compiler, node->children[0]) : NULL;
    for (size_t i = 1; code && i < node->count; i++) {
        if (node->children[i]->kind == EXPR_OPTIONAL && !is_whole_optional(node, i)) {
            code->optional = true;
            continue;
        }
        struct expr_code *outer = code_new(CODE_INDEX);
        add(outer, code);
        int result = add_suffix(compiler, outer, node->children[i]);
        code = kept(outer, is_whole_optional(node, i) && i + 1 < node->count ? -1 : result);
    }
    return code;
}

/* ---- variables ------------------------------------------------------------------------------------------------------------- */

static struct expr_code *variable(const struct compiler *compiler, const struct expr_node *node)
{
    for (size_t i = compiler->names_count; i > 0; i--) {
        if (strcmp(compiler->names[i - 1], node->name) == 0) {
            struct expr_code *code = code_new(CODE_VARIABLE);
            code->slot = i - 1;
            return code;
        }
    }
    return NULL;
}

static struct expr_code *as(struct compiler *compiler, const struct expr_node *node)
{
    const struct expr_node *pattern = node->children[1];
    if (node->count != 3 || pattern->kind != EXPR_VARIABLE || compiler->names_count == CODE_SLOTS ||
        !is_term(node->children[0])) {
        return NULL;
    }
    struct expr_code *code = code_new(CODE_AS);
    int result = add(code, compile(compiler, node->children[0]));
    code->slot = compiler->names_count;
    compiler->names[compiler->names_count++] = pattern->name;
    result = result == 0 ? add(code, compile(compiler, node->children[2])) : -1;
    compiler->names_count--;
    return kept(code, result);
}

/* ---- the rest -------------------------------------------------------------------------------------------------------------- */

static bool is_member(const struct expr_node *key, const struct expr_node *value)
{
    static const char *const keywords[] = {"__loc__", "and", "as",      "catch", "def",    "elif",
                                           "else",    "end", "foreach", "if",    "import", "include",
                                           "label",   "or",  "reduce",  "then",  "try",    "module"};
    bool good = key->kind == EXPR_LITERAL && json_is_string(key->value);
    for (size_t i = 0; good && i < COUNT_OF(keywords); i++) {
        good = strcmp(keywords[i], json_string_value(key->value)) != 0;
    }
    if (value->kind != EXPR_PIPE || value->grouped) {
        return good && is_term(value);
    }
    for (size_t i = 0; good && i < value->count; i++) {
        good = is_term(value->children[i]);
    }
    return good;
}

static struct expr_code *object(struct compiler *compiler, const struct expr_node *node)
{
    for (size_t i = 0; i + 1 < node->count; i += 2) {
        if (!is_member(node->children[i], node->children[i + 1])) {
            return NULL;
        }
    }
    return with_parts(CODE_OBJECT, compiler, node);
}

/* map(a) is [.[] | a]. */
static struct expr_code *map(struct compiler *compiler, const struct expr_node *node)
{
    struct expr_code *list = code_new(CODE_LIST), *pipe = code_new(CODE_PIPE), *each = code_new(CODE_EACH);
    add(each, code_new(CODE_INPUT));
    add(pipe, each);
    add(list, pipe);
    return kept(list, add(pipe, compile(compiler, node->children[0])));
}

static struct expr_code *call(struct compiler *compiler, const struct expr_node *node)
{
    size_t slot = 0;
    if (strcmp(node->name, "map") == 0 && node->count == 1) {
        return map(compiler, node);
    }
    code_call *word = code_word(node->name, node->count, &slot);
    struct expr_code *code = word ? with_parts(CODE_CALL, compiler, node) : NULL;
    if (code) {
        code->call = word;
        code->slot = slot;
    }
    return code;
}

static struct expr_code *compile(struct compiler *compiler, const struct expr_node *node)
{
    size_t first = 0;
    switch (node->kind) {
    case EXPR_PIPE:
        return with_parts(CODE_PIPE, compiler, node);
    case EXPR_COMMA:
        return with_parts(CODE_COMMA, compiler, node);
    case EXPR_ALTERNATIVE:
        return with_parts(CODE_ALTERNATIVE, compiler, node);
    case EXPR_OPERATION:
        return operations(compiler, node, &first, BINDS_OR);
    case EXPR_NEGATIVE:
        return with_parts(CODE_NEGATIVE, compiler, node);
    case EXPR_TRY:
        return node->count == 1 ? with_parts(CODE_TRY, compiler, node) : NULL;
    case EXPR_IF:
        return with_parts(CODE_IF, compiler, node);
    case EXPR_AS:
        return as(compiler, node);
    case EXPR_TERM:
        return term(compiler, node);
    case EXPR_INPUT:
        return code_new(CODE_INPUT);
    case EXPR_LITERAL:
        return literal(node);
    case EXPR_TEXT:
        return node->name ? NULL : with_parts(CODE_TEXT, compiler, node);
    case EXPR_VARIABLE:
        return variable(compiler, node);
    case EXPR_LIST:
        return with_parts(CODE_LIST, compiler, node);
    case EXPR_OBJECT:
        return object(compiler, node);
    case EXPR_CALL:
        return call(compiler, node);
    default:
        return NULL;
    }
}

struct expr_code *expr_code_new(const struct expr_node *tree)
{
    struct compiler compiler = {.names_count = 0};
    return expr_growth(tree) > GROWTH_MAX ? NULL : compile(&compiler, tree);
}

/* ---- values ---------------------------------------------------------------------------------------------------------------- */

/* Is every number in it as jq would give it? */
static bool is_plain(const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    bool plain = json_is_integer(value)
                     ? expr_number_exact(json_integer_value(value))
                     : !json_is_real(value) || floor(json_real_value(value)) != json_real_value(value);
    json_array_foreach(value, i, member)
    {
        plain = plain && is_plain(member);
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        plain = plain && is_plain(member);
    }
    return plain;
}

json_t *expr_code_value(const struct expr_code *code, json_t *context)
{
    struct run run = {.steps = STEPS_MAX, .bytes = BYTES_MAX};
    json_t *list = NULL;
    enum code_end end = code_list(&run, code, context, &list);
    json_t *value = NULL;
    if (end == CODE_DONE && json_array_size(list) <= 1) {
        json_t *only = json_array_get(list, 0);
        value = !only ? json_null() : is_plain(only) ? json_incref(only) : NULL;
    }
    json_decref(list);
    return value;
}
