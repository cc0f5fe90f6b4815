/* The lists of an answer that a request makes something of. */
#ifndef OFFBOARD_WORKER_ENGINE_LISTS_H
#define OFFBOARD_WORKER_ENGINE_LISTS_H

#include "worker/engine_internal.h"

/* The lists of the answer's body that the request's expressions read, each once: a list of lists, a new reference. */
json_t *lists_read(const struct run *run, const json_t *request);
json_t *lists_in(const struct run *run, const json_t *value); /* those that the expressions within `value` read */

size_t lists_size(const json_t *lists); /* how many items stand in all of them */

/* What stands in them, as a short text that is the same for the same page; NULL when nothing stands there. Items that have ids are the
 * same when their ids are. The caller frees. */
char *lists_fingerprint(const struct run *run, const json_t *request);

#endif
