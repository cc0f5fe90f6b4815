/* Between definition_connector.c, definition_action.c, definition_defs.c and definition_request.c. */
#ifndef OFFBOARD_LIB_DEFINITION_REQUEST_H
#define OFFBOARD_LIB_DEFINITION_REQUEST_H

#include "lib/definition_check.h"

/* A list of requests. Those that search for accounts may only read (a dry run sends them, too). */
void check_requests(struct check *check, const char *pointer, const json_t *requests, bool searches);

/* One request that only reads. `check`: the vendor is there and lets us in. */
void check_probe(struct check *check, const char *pointer, const json_t *request);

/* A request that only reads, with `expect` (and `within`, `every`), or a list of them: is the wanted state there? */
void check_verify(struct check *check, const char *pointer, const json_t *verify);

/* Does the read-back show what every request of the action changes? */
void check_covers(struct check *check, const char *pointer, const json_t *action);

/* A problem when `owner` (a request or an action) names a limit that the connector has not. */
void check_limit(struct check *check, const char *pointer, const json_t *owner);

/* A request to a directory (definition_ldap.c). */
void check_ldap(struct check *check, const char *pointer, const json_t *request, bool reads);

/* A request that waits for a signal (definition_wait.c). */
void check_wait(struct check *check, const char *pointer, const json_t *request);
/* A problem when it is neither a duration nor an expression; NULL: said already. */
void check_duration_template(struct check *check, const char *pointer, const char *name, const char *text);

/* What an action keeps for an undo (`before`), seals (`escrow`), makes up (`derive`) and finds out for later jobs (`provides`). */
void check_before(struct check *check, const char *pointer, const json_t *action);
void check_escrow(struct check *check, const char *pointer, const json_t *action);
void check_derive(struct check *check, const char *pointer, const json_t *action);
void check_provides(struct check *check, const char *pointer, const json_t *action);
/* What an action tells people of its good end (`says`). check_is_says(): does this pointer lie within one? */
void check_says(struct check *check, const char *pointer, const json_t *action);
bool check_is_says(const char *pointer);
/* What an action leaves in place on purpose (`leaves`). */
void check_leaves(struct check *check, const char *pointer, const json_t *action);
/* What a request calls secret goes nowhere that outlives the job. */
void check_secrets_stay(struct check *check, const char *pointer, const json_t *action);

/* Merges the snippets of `defs` into the requests that `use` them, in the definition's tree. An unknown snippet is a problem. */
void definition_use_defs(struct check *check);

#endif
