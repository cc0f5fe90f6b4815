/* What the `poll` of a source makes of the outputs of the action that it names. Pure: the worker asks by it, and `offboard plan`
 * shows what would become of an answer that was kept. `now` is the round's time as time_format() writes it. */
#ifndef OFFBOARD_LIB_POLLED_H
#define OFFBOARD_LIB_POLLED_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/definition.h"
#include "lib/err.h"

/* Does any source poll the system? */
bool source_polls(const struct definitions *definitions, const char *system);

/* The items: a list, as a new reference; NULL with the err. */
json_t *polled_items(struct definitions *definitions, const struct definition *source, const json_t *outputs,
                     const char *now, struct err *err);

/* The CloudEvent of an item, checked, as a new reference; NULL with the err when it can't be told which event it is. */
json_t *polled_event(struct definitions *definitions, const struct definition *source, const json_t *item,
                     const char *now, struct err *err);

#endif
