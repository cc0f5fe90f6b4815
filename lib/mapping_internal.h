/* Between mapping.c, mapping_user.c and definition_source.c. */
#ifndef OFFBOARD_LIB_MAPPING_INTERNAL_H
#define OFFBOARD_LIB_MAPPING_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/err.h"

enum {
    MAPPING_TEXT_MAX = 1000,    /* bytes of any one text about a person */
    MAPPING_OBJECT_MAX = 16384, /* bytes of all that is known about one, and of the accounts named, as JSON */
};

/* 0 when `value` is absent, null or a text of bearable length; else -1 with `field` in the err. */
int mapping_check_text(const char *field, const json_t *value, struct err *err);
int mapping_check_size(const char *field, const json_t *value, struct err *err);

/* The leaver as offboardings carry one: checked, without what is null, empty or private, without a manager who is
 * the leaver. New reference; NULL with an ERR_PERMANENT that names the field. */
json_t *mapping_user(const json_t *given, struct err *err);

/* Is this one of the names that schema/messages.md forbids, however it is written (homeAddress, Home-Address)? */
bool mapping_is_private(const char *name);

#endif
