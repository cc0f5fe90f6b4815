/* Between expr.c and expr_set.c: the texts that a set knows, and their programs. */
#ifndef OFFBOARD_LIB_EXPR_SET_H
#define OFFBOARD_LIB_EXPR_SET_H

#include "lib/expr.h"
#include "lib/expr_template.h"

/* The template of `text`, made when it is new. NULL with an err. It may be gone after the next call with another text. */
struct expr_template *expr_set_template(struct expr_set *set, const char *text, struct err *err);

/* Compiles one expression by itself. */
int expr_set_compile_part(struct expr_part *part, struct err *err);

#endif
