/* Which systems a runbook needs, and which of them this company has. */
#ifndef OFFBOARD_CLI_SYSTEMS_H
#define OFFBOARD_CLI_SYSTEMS_H

#include <jansson.h>

#include "lib/conf.h"
#include "lib/definition.h"

/* The systems of all steps and followers of a runbook, those of the runbooks that it runs included, each once. A new reference. */
json_t *systems_of_runbook(const struct definitions *definitions, const struct definition *runbook);

/* Those of `systems` of which the configuration has nothing. A configuration without any system is an operator's own: none is missing
 * there. A new reference. */
json_t *systems_missing(const struct conf *conf, const json_t *systems);

#endif
