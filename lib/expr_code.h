/* Evaluates expressions without jq. A tree becomes code when every part of it is something that is done here as jq 1.6 does it: paths,
 * conditions, comparisons, sums, texts, lists, objects, variables, and most words. Patterns, dates and formats are left to jq, and so is
 * every evaluation that meets an error or an unusual value (CODE_BEYOND): what an error says, jq says. */
#ifndef OFFBOARD_LIB_EXPR_CODE_H
#define OFFBOARD_LIB_EXPR_CODE_H

#include <jansson.h>

#include "lib/expr_node.h"

struct expr_code;

/* The code of an expression; NULL when jq has to evaluate it. The tree has to live as long as the code. */
struct expr_code *expr_code_new(const struct expr_node *tree);
void expr_code_free(struct expr_code *code);

/* The value in `context`, null when the expression yields none. New reference, which may share parts with the context. NULL: jq has to
 * evaluate it. */
json_t *expr_code_value(const struct expr_code *code, json_t *context);

#endif
