/* libjq behind a small face: compile, evaluate with jansson values. */
#ifndef OFFBOARD_LIB_EXPR_JQ_H
#define OFFBOARD_LIB_EXPR_JQ_H

#include <jansson.h>

#include "lib/err.h"

struct jq_program;

/* One program that holds all of `expressions`; which one runs is chosen at evaluation. NULL with an err. */
struct jq_program *jq_program_new(const char *const *expressions, size_t count, struct err *err);
void jq_program_free(struct jq_program *program);

/* Value of expression `index` in `context`; only members that are in `reads` are handed over, all of them when it is NULL. No
 * value is null, several are an error; one that passes a limit (expr_limit.h) is one, too. New reference. */
json_t *jq_program_run(struct jq_program *program, size_t index, const json_t *reads, const json_t *context,
                       struct err *err);

#endif
