/* Between expr.c and expr_allow.c. */
#ifndef OFFBOARD_LIB_EXPR_ALLOW_H
#define OFFBOARD_LIB_EXPR_ALLOW_H

#include "lib/err.h"

/* Checks one jq expression's tokens. Refused is whatever could loop, import, read the environment, or grow without bound:
 * functions that are not on the list, `def`, assignments (`.[1e9] = 1` fills a gigabyte), `*` ("x" * 1e9), `$ENV`,
 * comments, and more than a few growing operators in one expression (.+.|.+.|… doubles each time). */
int expr_allowed(const char *expression, struct err *err);

#endif
