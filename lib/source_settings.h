/* What the configuration says of a source: sources.<source>.<setting>, as the source's `settings` declare them. */
#ifndef OFFBOARD_LIB_SOURCE_SETTINGS_H
#define OFFBOARD_LIB_SOURCE_SETTINGS_H

#include <jansson.h>

#include "lib/conf.h"
#include "lib/definition.h"

/* `.settings` of the source's expressions: a text, null, or with `list: true` a list; none that is secret. New reference. */
json_t *source_settings(const struct definition *source, const struct conf *conf);

/* The secret ones: setting to the list of values that are valid at once, none of them empty. Each is remembered for
 * masking. New reference. */
json_t *source_secrets(const struct definition *source, const struct conf *conf);

#endif
