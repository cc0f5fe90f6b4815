/* Between expr_template.c and expr_allow.c. */
#ifndef OFFBOARD_LIB_EXPR_ALLOW_H
#define OFFBOARD_LIB_EXPR_ALLOW_H

#include "lib/err.h"
#include "lib/expr_node.h"

/* Checks an expression before it is ever evaluated, so that its author learns it from `validate`: words and formats that are not
 * on the list (expr_words.h), variables of jq itself, patterns that are not valid, and growth that multiplies. */
int expr_allowed(const struct expr_node *expression, struct err *err);

/* By how much the output may be larger than what is read, at most, as far as it can be told from the expression: `.+.` doubles,
 * `[.,.]|[.,.]` quadruples, `..` may repeat a value as often as it is nested. What depends on data (how many items `[]` gives,
 * how long a separator is) is left to the limits at run time (expr_limit.h). */
long expr_growth(const struct expr_node *expression);

#endif
