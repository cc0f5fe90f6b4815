/* Between expr_template.c and expr_guard.c. */
#ifndef OFFBOARD_LIB_EXPR_GUARD_H
#define OFFBOARD_LIB_EXPR_GUARD_H

#include "lib/expr_node.h"

/* The expression as jq is to compile it: `text`, which `expression` was read from, with checks of the prelude put in. What it makes
 * by growing (expr_growth()) is measured; a computed index may be no list (jq compares each item with each). The caller frees. */
char *expr_guarded(const char *text, const struct expr_node *expression);

#endif
