/* Between definition_connector.c and definition_request.c. */
#ifndef OFFBOARD_LIB_DEFINITION_REQUEST_H
#define OFFBOARD_LIB_DEFINITION_REQUEST_H

#include "lib/definition_check.h"

/* A list of requests; with `reads`, each of them may only read (a dry run sends them, too). */
void check_requests(struct check *check, const char *pointer, const json_t *requests, bool reads);

/* One request that only reads. `check`: the vendor is there and lets us in. */
void check_probe(struct check *check, const char *pointer, const json_t *request);

/* A request that only reads, with `expect` (and `within`, `every`): is the wanted state there? */
void check_verify(struct check *check, const char *pointer, const json_t *request);

/* A problem when `owner` (a request or an action) names a limit that the connector has not. */
void check_limit(struct check *check, const char *pointer, const json_t *owner);

#endif
