/* Between expr_template.c and expr_paths.c: which places of its context an expression reads. */
#ifndef OFFBOARD_LIB_EXPR_PATHS_H
#define OFFBOARD_LIB_EXPR_PATHS_H

#include <stdbool.h>

#include "lib/expr.h"
#include "lib/expr_node.h"

/* Follows the context through the expression without running it, and calls `each` (may be NULL) for every path that is read
 * (see expr_paths()). Returns whether the context may also be read otherwise (`keys`, `.[$name]`, `.` alone): then any member
 * of it may matter. */
bool expr_paths_of(const struct expr_node *expression, expr_path_fn *each, void *arg);

/* The path that the expression is, and nothing else: ".a.b[0]["c-d"]". False when it is more than that. `path` then
 * belongs to the caller, who releases it with expr_path_release(); its names are those of the expression. */
bool expr_paths_plain(const struct expr_node *expression, struct expr_path *path);

#endif
