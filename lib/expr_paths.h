/* Between expr_template.c and expr_paths.c: which places of its context an expression reads. */
#ifndef OFFBOARD_LIB_EXPR_PATHS_H
#define OFFBOARD_LIB_EXPR_PATHS_H

#include <stdbool.h>

#include "lib/expr.h"
#include "lib/expr_node.h"

/* Follows the context through the expression without running it, and calls `each` for every path that is read (see
 * expr_paths()). */
void expr_paths_of(const struct expr_node *expression, expr_path_fn *each, void *arg);

/* The path of names that the expression is, and nothing else: ".a.b["c-d"]"; false when it is more than that. Its segments then
 * belong to the caller (free()), their names to the expression. */
bool expr_paths_plain(const struct expr_node *expression, struct expr_path *path);

#endif
