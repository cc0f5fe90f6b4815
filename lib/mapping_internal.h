/* Between mapping.c, mapping_person.c, mapping_times.c, mapping_user.c and definition_source.c. */
#ifndef OFFBOARD_LIB_MAPPING_INTERNAL_H
#define OFFBOARD_LIB_MAPPING_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/mapping.h"

enum {
    MAPPING_TEXT_MAX = 1000,    /* bytes of any one text about a person */
    MAPPING_OBJECT_MAX = 16384, /* bytes of all that is known about one, and of the accounts named, as JSON */
};

/* An event on its way through a source's `map`. */
struct mapping {
    struct definitions *definitions;
    const struct conf *conf;
    const struct definition *source;
    const json_t *event;
    int64_t received_at;
    struct err *err;
};

/* Value of one key of `map`: a new reference, null when absent. NULL with the err. */
json_t *mapping_value(const struct mapping *mapping, const char *key);

/* A text of `map`, one of `words` when given. NULL with `*text` NULL is "not given". */
int mapping_text(const struct mapping *mapping, const char *key, const char *const *words, size_t count, char **text);

/* Puts zone and effective_at into the offboarding, which has its user; `*dated`: the event names a date. */
int mapping_put_times(const struct mapping *mapping, json_t *offboarding, bool *dated);

/* Puts user, ids and given_ids into the offboarding, and sets the person's key. A source may know no more than an account; a step
 * then provides the rest. */
int mapping_put_person(const struct mapping *mapping, struct mapped *mapped);

/* 0 when `value` is absent, null or a text of bearable length; else -1 with `field` in the err. */
int mapping_check_text(const char *field, const json_t *value, struct err *err);
int mapping_check_size(const char *field, const json_t *value, struct err *err);

/* The leaver as offboardings carry one: checked, without what is null, empty or private, without a manager who is
 * the leaver. New reference; NULL with an ERR_PERMANENT that names the field. */
json_t *mapping_user(const json_t *given, struct err *err);

/* Is this one of the names that schema/messages.md forbids, however it is written (homeAddress, Home-Address)? */
bool mapping_is_private(const char *name);

#endif
