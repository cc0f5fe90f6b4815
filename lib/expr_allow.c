#include "lib/expr_allow.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/expr_pattern.h"
#include "lib/expr_words.h"
#include "lib/mem.h"

enum {
    GROWTH_MAX = 1024,
    GROWTH_LIMIT = 1000000, /* no need to count on */
    DEPTH_MAX = 128,        /* of JSON that comes from outside: `..` gives a value as often as it is nested */
    BUILT_MAX = 64,         /* levels that an expression may put around it */
};

/* ---- growth -------------------------------------------------------------------------------------------------------------- */

static long limited(long growth)
{
    return growth > GROWTH_LIMIT ? GROWTH_LIMIT : growth;
}

/* Of parts that stand side by side in the value. */
static long sum(const struct expr_node *node, size_t from, size_t to)
{
    long growth = 0;
    for (size_t i = from; i < to; i++) {
        growth = limited(growth + (node->children[i]->kind == EXPR_LITERAL ? 0 : expr_growth(node->children[i])));
    }
    return growth ? growth : 1;
}

/* Of steps that follow each other. */
static long product(const struct expr_node *node, size_t from, size_t to)
{
    long growth = 1;
    for (size_t i = from; i < to; i++) {
        growth = limited(growth * expr_growth(node->children[i]));
    }
    return growth;
}

static bool adds(const struct expr_node *operation)
{
    return strpbrk(operation->name, "+*-/%") != NULL;
}

static long largest(const struct expr_node *node)
{
    long growth = 1;
    for (size_t i = 0; i < node->count; i++) {
        long one = expr_growth(node->children[i]);
        growth = one > growth ? one : growth;
    }
    return growth;
}

long expr_growth(const struct expr_node *node)
{
    const struct expr_word *word;
    switch (node->kind) {
    case EXPR_PIPE:
    case EXPR_TERM:
        return product(node, 0, node->count);
    case EXPR_AS:
        return limited(expr_growth(node->children[0]) * expr_growth(node->children[node->count - 1]));
    case EXPR_ALTERNATIVE:
    case EXPR_TRY:
    case EXPR_IF:
        return largest(node);
    case EXPR_OPERATION: /* a comparison is true or false */
        return adds(node) ? sum(node, 0, node->count) : largest(node);
    case EXPR_EACH:
        return 2;
    case EXPR_INDEX:
    case EXPR_SLICE:
        return 1;
    case EXPR_RECURSE:
        return DEPTH_MAX;
    case EXPR_TEXT:
        return limited(1 + sum(node, 0, node->count));
    case EXPR_FORMAT:
        return 2;
    case EXPR_CALL:
        word = expr_word_find(node->name, node->count, NULL);
        return limited((word ? (long)word->growth : 1) * sum(node, 0, node->count));
    default:
        return sum(node, 0, node->count);
    }
}

static int check_growth(const struct expr_node *expression, struct err *err)
{
    if (expr_growth(expression) <= GROWTH_MAX) {
        return 0;
    }
    return err_set(
        err, ERR_PERMANENT,
        "what it gives may be more than %d times as large as what it reads, which could eat memory: too many "
        "growing steps one after another (\"+\", \",\", \"[]\", \"..\", texts within texts)",
        GROWTH_MAX);
}

/* ---- depth --------------------------------------------------------------------------------------------------------------- */

/* Levels that the expression puts around what it reads, at most. */
static int levels(const struct expr_node *node)
{
    static const char *const nesting[] = {"INDEX", "group_by", "to_entries"};
    bool one_of = node->kind == EXPR_COMMA || node->kind == EXPR_ALTERNATIVE || node->kind == EXPR_OPERATION ||
                  node->kind == EXPR_IF || node->kind == EXPR_LIST || node->kind == EXPR_OBJECT;
    int built = node->kind == EXPR_LIST || node->kind == EXPR_OBJECT;
    int inner = 0;
    for (size_t i = 0; i < COUNT_OF(nesting) && node->kind == EXPR_CALL; i++) {
        built += strcmp(nesting[i], node->name) == 0 ? 2 : 0;
    }
    for (size_t i = 0; i < node->count; i++) {
        int one = levels(node->children[i]);
        inner = !one_of ? inner + one : one > inner ? one : inner;
    }
    return built + inner;
}

static int check_levels(const struct expr_node *expression, struct err *err)
{
    if (levels(expression) <= BUILT_MAX) {
        return 0;
    }
    return err_set(err, ERR_PERMANENT, "it builds lists or objects within each other more than %d deep", BUILT_MAX);
}

/* ---- words --------------------------------------------------------------------------------------------------------------- */

static int check_variable(const struct expr_node *variable, struct err *err)
{
    if (strcmp(variable->name, "ENV") != 0 && strncmp(variable->name, "__", 2) != 0) {
        return 0;
    }
    return err_set(err, ERR_PERMANENT, "\"$%s\" is not allowed in an expression", variable->name);
}

static int check_call(const struct expr_node *call, struct err *err)
{
    static const char *const with_pattern[] = {"capture", "gsub", "match", "scan", "splits", "sub", "test"};
    if (!expr_word_find(call->name, call->count, err)) {
        return -1;
    }
    const json_t *first = call->count && call->children[0]->kind == EXPR_LITERAL ? call->children[0]->value : NULL;
    for (size_t i = 0; i < COUNT_OF(with_pattern) && first; i++) {
        if (strcmp(with_pattern[i], call->name) == 0 && expr_pattern_check(first, err) != 0) {
            return err_prefix(err, "%s", call->name);
        }
    }
    return 0;
}

/* What stands behind a format in quotes has the format put on each of its expressions: no digest is meant so. */
static int check_format(const struct expr_node *node, struct err *err)
{
    if (node->kind == EXPR_TEXT && expr_format_call(node->name)) {
        return err_set(err, ERR_PERMANENT, "%s makes a digest of a whole text: write \"…\" | %s", node->name,
                       node->name);
    }
    return expr_format_check(node->name, err);
}

static int check_node(const struct expr_node *node, struct err *err)
{
    int result = 0;
    if (node->kind == EXPR_CALL) {
        result = check_call(node, err);
    } else if (node->kind == EXPR_VARIABLE) {
        result = check_variable(node, err);
    } else if (node->name && (node->kind == EXPR_FORMAT || node->kind == EXPR_TEXT)) {
        result = check_format(node, err);
    }
    for (size_t i = 0; result == 0 && i < node->count; i++) {
        result = check_node(node->children[i], err);
    }
    return result;
}

int expr_allowed(const struct expr_node *expression, struct err *err)
{
    return check_node(expression, err) == 0 && check_levels(expression, err) == 0 ? check_growth(expression, err) : -1;
}
