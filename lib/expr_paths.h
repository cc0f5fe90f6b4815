/* Between expr_template.c and expr_paths.c. */
#ifndef OFFBOARD_LIB_EXPR_PATHS_H
#define OFFBOARD_LIB_EXPR_PATHS_H

#include <stdbool.h>

/* Reads one jq expression without running it, following which of its parts get the whole context as input: not what comes
 * after a "|", nor what `map` and its like do with each item. Calls `each` (may be NULL) for every path read from the
 * context. Returns whether it may read the context otherwise, too (`keys`, `. as $all`, `.[$name]`): then any member of the
 * context may matter, else only those whose names occur in the expression. */
bool expr_reads(const char *expression, void (*each)(const char *path, void *arg), void *arg);

#endif
