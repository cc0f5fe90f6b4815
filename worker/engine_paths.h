/* What a connector's expressions read of their context: the paths within a request's members, and where these lead. */
#ifndef OFFBOARD_WORKER_ENGINE_PATHS_H
#define OFFBOARD_WORKER_ENGINE_PATHS_H

#include "lib/expr.h"

bool path_named(const struct expr_path *path, size_t index, const char *name); /* is the step the member `name`? */

/* How far into the context a path leads. */
enum reach {
    REACH_VALUE,  /* to a value */
    REACH_NULL,   /* to a null at its end: what stands before is there, and the vendor says that it has none of this */
    REACH_BEYOND, /* beyond the end of a list */
    REACH_ABSENT, /* to a member that is not there */
};

/* `*value` is borrowed; NULL unless the path leads to a value. A slice is taken for its list. */
enum reach path_follow(const json_t *context, const struct expr_path *path, const json_t **value);

/* Calls `each` for every path that the expressions within `value` read. */
void paths_each(const json_t *value, expr_path_fn *each, void *arg);

/* Does an expression within `value` read `.first`, or `.first.second` (NULL: whatever of it)? One that reads the whole context reads
 * `.first`, too. */
bool paths_read(const json_t *value, const char *first, const char *second);

#endif
