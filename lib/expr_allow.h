/* Between expr_template.c and expr_allow.c. */
#ifndef OFFBOARD_LIB_EXPR_ALLOW_H
#define OFFBOARD_LIB_EXPR_ALLOW_H

#include "lib/err.h"

/* Checks one jq expression's tokens. Refused is whatever could loop, import, read the environment, or grow without bound:
 * functions that are not on the list, `def`, assignments (`.[1e9] = 1` fills a gigabyte), `*` ("x" * 1e9), `%`
 * (crashes on the smallest integer), `$ENV`, comments, flags of patterns ("g" may never end), and growing operators in one stage
 * after another (.+.|.+.|… doubles each time). What is left is made safe at run time by the prelude in expr_jq.c. */
int expr_allowed(const char *expression, struct err *err);

#endif
