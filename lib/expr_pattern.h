/* Between the files of expr: regular expressions, which jq hands to Oniguruma. */
#ifndef OFFBOARD_LIB_EXPR_PATTERN_H
#define OFFBOARD_LIB_EXPR_PATTERN_H

#include <jansson.h>

#include "lib/err.h"

/* Bytes of a pattern, and of a text of which every match is sought. The prelude says them, too. */
#define EXPR_PATTERN_MAX 1000
#define EXPR_MATCHED_MAX 32768

/* Limits Oniguruma for the whole process: how deep a pattern nests (it is read by recursion), and how often a search may start
 * anew ("(a+)+$" tries each way there is). Patterns, and the texts they are sought in, may come from data. */
void expr_pattern_limit(void);

/* Is a literal pattern one that jq will take? So its author learns it before it is used. */
int expr_pattern_check(const json_t *pattern, struct err *err);

#endif
