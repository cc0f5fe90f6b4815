/* Between the files of `offboard plan`: cmd_plan.c (the command), plan_request.c (a request to a source's address), raw_request.c
 * (requests in files) and plan_show.c (what is told). */
#ifndef OFFBOARD_CLI_PLAN_H
#define OFFBOARD_CLI_PLAN_H

#include "cli/cli.h"
#include "lib/definition.h"
#include "lib/mapping.h"
#include "lib/request.h"

struct planning {
    struct cli *cli;
    struct definitions *definitions;
    bool json;
    json_t *told;       /* a list of what became of each event, for --json */
    enum cli_exit code; /* CLI_REFUSED once something was refused */
};

/* plan_show.c. `event` may be NULL: the item was none. */
void plan_show(struct planning *planning, const json_t *event, const struct mapped *mapped);
void plan_refused(struct planning *planning, const json_t *event, const char *outcome, const char *why);
void plan_heading(const struct planning *planning, size_t number, size_t count, const json_t *event);

/* plan_request.c: a request to the address of `source`: who sent it, what is answered, what becomes of its events. `keys_file`
 * (NULL: none): the sender's JWK set. What was said of the request itself goes to `*said` for --json (new reference). -1 with
 * the err when it is refused as a whole. */
int plan_request(struct planning *planning, const struct definition *source, struct request *request,
                 const char *keys_file, json_t **said, struct err *err);

/* raw_request.c: an HTTP request as it goes over the wire: its line, headers, an empty line, the body. */
struct raw_request {
    char *text; /* of the file; owned */
    char *method, *path;
    json_t *headers;
    struct request request; /* borrows from the others */
};
int raw_request_read(const char *file, struct raw_request *raw, struct err *err);
void raw_request_release(struct raw_request *raw);
/* Adds "Name: value" to `headers`. */
int raw_header_add(json_t *headers, const char *line, size_t len, struct err *err);

#endif
