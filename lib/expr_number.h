/* Numbers as jq has them: doubles, which hold integers up to 2^53 exactly. */
#ifndef OFFBOARD_LIB_EXPR_NUMBER_H
#define OFFBOARD_LIB_EXPR_NUMBER_H

#include <jansson.h>
#include <stdbool.h>

/* Does a double hold the integer exactly? Others travel as texts. */
bool expr_number_exact(json_int_t number);

/* An integer where it is one and exact, else a real. NULL for infinities and NaN, which JSON does not have. */
json_t *expr_number(double number);

#endif
