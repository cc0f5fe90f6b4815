/* Is an answer one page of several? Vendors say so in many ways, and a connector without `pages` reads the first page only. */
#ifndef OFFBOARD_WORKER_ENGINE_PARTIAL_H
#define OFFBOARD_WORKER_ENGINE_PARTIAL_H

#include "worker/engine_internal.h"

/* What an answer says of other pages. */
enum partial {
    PARTIAL_NO,     /* nothing, or that there is none */
    PARTIAL_LIKELY, /* it names a cursor, or a total that is greater than what it lists */
    PARTIAL_NAMED,  /* it names the next page */
    PARTIAL_TOLD,   /* it says in a word that there are more (has_more: true) */
};

enum partial partial_said(const struct run *run, const json_t *request);

/* Does the predicate hold, and would it hold if nothing were listed? Then what stands on another page may be against it. */
bool partial_holds_of_nothing(const struct run *run, const json_t *predicate);

/* Would what the request makes of the answer be another thing if the other pages were read? Then why it can't be used, which the caller
 * frees; NULL: it can. */
char *partial_why(const struct run *run, const json_t *request);

#endif
