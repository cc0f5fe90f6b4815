/* The nearest right name to a wrong one, for error messages. */
#ifndef OFFBOARD_LIB_NEAREST_H
#define OFFBOARD_LIB_NEAREST_H

#include <jansson.h>
#include <stddef.h>

/* The name in `right` with the least edits (Levenshtein, case ignored) from `wrong`, the first of several; NULL when even
 * that needs more than a third of its letters and one. Borrowed from `right`. */
const char *nearest_name(const char *wrong, const char *const *right, size_t count);

/* The first member of `object` whose name is none of `right`; NULL: there is none. Borrowed from `object`. */
const char *nearest_unknown(const json_t *object, const char *const *right, size_t count);

#endif
