/* The nearest right name to a wrong one, for error messages. */
#ifndef OFFBOARD_LIB_NEAREST_H
#define OFFBOARD_LIB_NEAREST_H

#include <stddef.h>

/* The name in `right` with the least edits (Levenshtein, case ignored) from `wrong`, the first of several; NULL when even
 * that needs more than a third of its letters and one. Borrowed from `right`. */
const char *nearest_name(const char *wrong, const char *const *right, size_t count);

#endif
