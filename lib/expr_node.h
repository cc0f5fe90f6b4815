/* Between the files of expr: one jq expression as a tree. Chains (a | b | c, .a.b.c) are one node with many children, so that a
 * walk over the tree goes only as deep as the expression is nested. */
#ifndef OFFBOARD_LIB_EXPR_NODE_H
#define OFFBOARD_LIB_EXPR_NODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"

enum expr_kind {
    EXPR_PIPE,        /* a | b | c */
    EXPR_COMMA,       /* a, b, c */
    EXPR_ALTERNATIVE, /* a // b // c */
    EXPR_OPERATION, /* operands; `name` has one character for each operator: + - * / % = ! < > l (<=) g (>=) & (and) o (or) */
    EXPR_NEGATIVE, /* -a */
    EXPR_TRY,      /* a, or a and its handler */
    EXPR_IF,       /* condition, value, condition, value …, else */
    EXPR_AS,       /* source, one or several patterns, body; patterns are VARIABLE, LIST and OBJECT nodes */
    EXPR_TERM,     /* head, then suffixes in their order: */
    EXPR_INDEX,    /* … [a]; .name is ["name"] */
    EXPR_SLICE,    /* … [a:b]; a missing bound is LITERAL null */
    EXPR_EACH,     /* … [] */
    EXPR_OPTIONAL, /* … ? */
    EXPR_INPUT,    /* . */
    EXPR_RECURSE,  /* .. */
    EXPR_LITERAL,  /* a number or a text: `value` */
    EXPR_TEXT,     /* a text with expressions in it; `name` is its format ("@base64") or NULL */
    EXPR_FORMAT,   /* @base64: `name` */
    EXPR_VARIABLE, /* $name: `name` */
    EXPR_CALL,     /* name(a; b): `name` */
    EXPR_LIST,     /* [a] or [] */
    EXPR_OBJECT,   /* key, value, key, value … */
};

struct expr_node {
    enum expr_kind kind;
    struct expr_node **children;
    size_t count;
    char *name;
    json_t *value;
    bool grouped;   /* it stands in ( ) */
    size_t at, end; /* where it stands in the text, of LIST, OBJECT, FORMAT and INDEX with brackets; of the rest 0 */
};

/* Reads the grammar of jq 1.6, and a little more (what jq refuses of it, jq says). NULL with an err that says what is not
 * understood. Which words exist is not looked at, except for those that have a grammar of their own (def, reduce …), which are
 * refused. */
struct expr_node *expr_parse(const char *text, struct err *err);
void expr_node_free(struct expr_node *node);

/* For the parser. */
struct expr_node *expr_node_new(enum expr_kind kind);
struct expr_node *expr_node_named(enum expr_kind kind, const char *name, size_t len);
struct expr_node *expr_node_text(const char *text, size_t len); /* a LITERAL */
void expr_node_add(struct expr_node *node, struct expr_node *child);
int expr_node_take(struct expr_node *node,
                   struct expr_node *child); /* adds it; -1 when it is NULL, as reading it failed */
struct expr_node *expr_node_kept(struct expr_node *node, int result); /* freed, and NULL, unless the result is 0 */

#endif
