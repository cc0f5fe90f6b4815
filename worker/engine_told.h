/* Errors that vendors tell of with a good status. */
#ifndef OFFBOARD_WORKER_ENGINE_TOLD_H
#define OFFBOARD_WORKER_ENGINE_TOLD_H

#include <jansson.h>
#include <stdbool.h>

/* The member of an answer's body that tells of an error although the status is good; NULL: none. */
const char *told_error(const json_t *body);

/* Does the predicate read such a member? */
bool told_error_read(const json_t *body, const json_t *predicate);

#endif
