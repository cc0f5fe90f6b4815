/* offboard validate --target: what another installation, production, lacks or has differently.
 *
 * compare_settings.c and compare_definitions.c compare what files say and are pure; compare_installed.c asks the installation itself
 * (edge, database, Kafka) what it runs. No value of a secret is ever part of a finding. */
#ifndef OFFBOARD_CLI_COMPARE_H
#define OFFBOARD_CLI_COMPARE_H

#include <jansson.h>

#include "lib/conf.h"
#include "lib/definition.h"

enum severity {
    COMPARE_ERROR,   /* the target can't do what this installation does, or it is unsafe */
    COMPARE_WARNING, /* somebody should decide that it is meant so */
    COMPARE_NOTE,    /* a difference that is expected */
};

struct comparison {
    const struct conf *here;
    const struct conf *there;
    struct definitions *definitions;       /* ours; their connectors say what a system needs */
    struct definitions *there_definitions; /* the target's files; NULL: they can't be read from here */
    json_t *findings;                      /* [{severity, kind, what, here, there, why}], as they were found */
};

/* `here` and `there` may be NULL: nothing to show. `kind` is version, setting, system, credential, definition or topic. */
void compare_add(struct comparison *comparison, enum severity severity, const char *kind, const char *what,
                 const char *here, const char *there, const char *why);
size_t compare_count(const struct comparison *comparison, enum severity severity);
void compare_print(const struct comparison *comparison); /* for people: the worst first */

void compare_options(struct comparison *comparison);
void compare_systems(struct comparison *comparison);
void compare_definitions(struct comparison *comparison);

/* Keys in which two trees differ, "actions.disable_user, limits", two levels deep at most. The caller frees. */
char *compare_trees(const json_t *here, const json_t *there);

struct cli;
void compare_installed(struct comparison *comparison, struct cli *cli);

#endif
