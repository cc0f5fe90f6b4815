/* Between expr.c and expr_template.c: a string with expressions in it, taken apart. */
#ifndef OFFBOARD_LIB_EXPR_TEMPLATE_H
#define OFFBOARD_LIB_EXPR_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"
#include "lib/expr.h"
#include "lib/expr_node.h"

struct expr_code;
struct jq_program;

/* One part of a string: literal text, or an expression. */
struct expr_part {
    char *literal; /* NULL for an expression */
    char *expression;
    char *guarded; /* the expression as jq compiles it */
    struct expr_node *tree;
    struct expr_path path;  /* a plain path (.a.b), evaluated without jq; of no segments when it is more than that */
    struct expr_code *code; /* evaluates the expression without jq, unless it meets something unusual; NULL: jq does */
    json_t *reads;          /* members of the context that it reads … */
    bool whole;             /* … unless it may read any */
    struct jq_program *program;
    size_t index;  /* of the expression in the program */
    bool own;      /* the program is of this expression alone */
    char *refused; /* what jq says against it; NULL: nothing, as far as is known */
};

struct expr_template {
    struct expr_template *next;          /* in its bucket (expr_set.c) */
    struct expr_template *newer, *older; /* unless it is kept for good */
    bool kept;
    char *text;
    struct expr_part *parts;
    size_t count;
};

/* Takes `text` apart; NULL with an err that says what is wrong and where. Nothing is compiled yet. */
struct expr_template *expr_template_new(const char *text, struct err *err);
void expr_template_free(struct expr_template *template);

#endif
