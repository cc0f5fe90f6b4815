/* Is an answer one page of several? Vendors say so in many ways. A connector without `pages` reads the first page only, and one whose
 * `pages` looks for another word than the vendor's ends too early. */
#ifndef OFFBOARD_WORKER_ENGINE_PARTIAL_H
#define OFFBOARD_WORKER_ENGINE_PARTIAL_H

#include "worker/engine_internal.h"

/* Does the predicate hold, and would it hold if nothing were listed? Then what stands on another page may be against it. */
bool partial_holds_of_nothing(const struct run *run, const json_t *predicate);

/* Would what the request makes of the answer be another thing if the other pages were read? Then why it can't be used, which the caller
 * frees; NULL: it can. */
char *partial_why(const struct run *run, const json_t *request);

#endif
