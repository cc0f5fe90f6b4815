/* Between the two halves of the grammar: expr_parse.c and expr_parse_part.c. */
#ifndef OFFBOARD_LIB_EXPR_PARSE_H
#define OFFBOARD_LIB_EXPR_PARSE_H

#include <stdbool.h>

#include "lib/expr_node.h"
#include "lib/expr_read.h"

/* Each returns NULL with an err. */
struct expr_node *expr_parse_expression(struct expr_reader *reader);
struct expr_node *expr_parse_alternatives(struct expr_reader *reader); /* no "|" and no "," */

/* The suffix that comes next; `*none` when there is none. */
struct expr_node *expr_parse_suffix(struct expr_reader *reader, bool *none);

struct expr_node *expr_parse_object(struct expr_reader *reader); /* behind the "{" */

/* Behind the `as`: its patterns, "|", and all that follows. */
struct expr_node *expr_parse_as(struct expr_reader *reader, struct expr_node *source);

#endif
