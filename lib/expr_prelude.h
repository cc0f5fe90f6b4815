/* Between expr_jq.c and expr_prelude.c. */
#ifndef OFFBOARD_LIB_EXPR_PRELUDE_H
#define OFFBOARD_LIB_EXPR_PRELUDE_H

/* What stands before every program: functions and operators of jq 1.6 that never end, abort the process, or take long within one
 * instruction on some inputs, made safe; those that take the square of a list's length, made quick; and the words that
 * jq 1.6 doesn't know. Names that begin with "__" are ours; no expression may use them. */
extern const char expr_prelude[];

#endif
