/* Between expr_jq.c and libjq: values in both worlds, and how large they are. */
#ifndef OFFBOARD_LIB_EXPR_VALUE_H
#define OFFBOARD_LIB_EXPR_VALUE_H

#include <jansson.h>
#include <jv.h>
#include <stdbool.h>
#include <stddef.h>

/* Bytes that jq needs for the values of one evaluation, and for one value that an expression makes: some 700,000 objects. */
#define EXPR_VALUE_MAX ((size_t)256 * 1024 * 1024)

/* How deep a value may nest: what comes from outside 128 levels, what an expression builds around it 64. jq writes "<skipped: too
 * deep>" for what is below 256. */
#define EXPR_DEPTH_MAX 200

/* Does a value keep to both? A part that stands in several places counts each time, as it does when the value is written or
 * compared. `value` stays the caller's. */
bool expr_value_fits(jv value);

/* An invalid value when the budget isn't enough. */
jv expr_value_to_jq(const json_t *value, size_t *budget);

/* Consumes `value`. */
json_t *expr_value_from_jq(jv value);

#endif
