/* What the configuration says of sources and systems, against what these declare. */
#ifndef OFFBOARD_LIB_SETTINGS_CHECK_H
#define OFFBOARD_LIB_SETTINGS_CHECK_H

#include "lib/conf.h"
#include "lib/definition.h"

/* Is every sources.<source>.<setting> (DEFINITION_SOURCE) or systems.<system>.<setting> (DEFINITION_CONNECTOR) declared, and is every
 * `url`, or name that ends in `_url`, of a system an address? Those of `only`, or of all (NULL). -1 with an ERR_FATAL that names the
 * setting, and the nearest right name: one mistyped would leave a setting at its default, unnoticed. */
int settings_check(const struct definitions *definitions, const struct conf *conf, enum definition_kind kind,
                   const char *only, struct err *err);

#endif
