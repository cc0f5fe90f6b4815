/* Between the files of expr: what one evaluation may cost.
 *
 * The strongest means that libjq 1.6 has is jq_halt(): its interpreter looks before every instruction whether it was halted, and
 * then gives up cleanly, whatever the expression does. There is no other way to stop it: no limit of memory, no allocator that
 * can be replaced, no budget of steps; when memory ends, libjq aborts the process. So an expression is bounded by
 *
 *  1. what is refused when it is loaded: words that loop, and growth that multiplies (expr_allow.h);
 *  2. the size of what it gets, of each list and object that it makes by growing, and of its result (EXPR_VALUE_MAX);
 *  3. instructions that are long by themselves: the prelude puts a limit before each of them (expr_prelude.c), Oniguruma has its
 *     own (expr_pattern.h);
 *  4. a look at the clock and at the memory of the process every 2 ms (here), which halts what takes longer than 2 s of computing
 *     or more than 256 MiB, such as a loop over a loop over a long list.
 *
 * An expression that is stopped is an error (ERR_PERMANENT): it would be stopped again. */
#ifndef OFFBOARD_LIB_EXPR_LIMIT_H
#define OFFBOARD_LIB_EXPR_LIMIT_H

#include <jq.h>

#include "lib/err.h"

/* From begin to end, the calling thread runs nothing but this program. A signal looks at the limits (SIGRTMIN + 3, sent to this
 * thread only). -1 with an err when the system has no timer left. */
int expr_limit_begin(jq_state *jq, struct err *err);

/* Stops the program that runs because of a value that is too large or too deep; for hooks. */
void expr_limit_too_large(void);

/* 0 when it ran to its end, -1 with an err when it was stopped. */
int expr_limit_end(struct err *err);

#endif
