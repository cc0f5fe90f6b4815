/* Small helpers over jansson: borrowed look-ups, dotted paths, canonical text. */
#ifndef OFFBOARD_LIB_JSON_H
#define OFFBOARD_LIB_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

/* Parses UTF-8 text of our own: any JSON value (a bare scalar too). Duplicate keys are errors. Big integers become strings (libjq
 * and jansson round or refuse above 2^53 and 2^63). NULL with an ERR_PERMANENT that names line and column, or the limit: 128
 * levels, 64 MiB of memory (estimated before anything is allocated). */
json_t *json_parse(const char *text, size_t len, struct err *err);

/* Parses UTF-8 text that somebody else wrote: as json_parse(), but of duplicate keys the last one counts, U+0000 and lone
 * surrogates in strings are read as U+FFFD, and strings may hold control characters as they are. NULL when it is not JSON:
 * `*why` (owned) is a phrase that says why, and `*limit` tells whether it was a limit that was passed. */
json_t *json_parse_foreign(const char *text, size_t len, bool *limit, char **why);

/* Borrowed value at a dotted path ("user.manager.email", "steps.0"), NULL when a part is absent. */
json_t *json_at(const json_t *root, const char *path);

/* Borrowed string at a path; NULL when absent or not a string. */
const char *json_string_at(const json_t *root, const char *path);

/* Does this text stand there? */
bool json_says(const json_t *root, const char *path, const char *text);

/* How many items of a list say so. */
size_t json_count(const json_t *list, const char *path, const char *text);
json_int_t json_int_at(const json_t *root, const char *path, json_int_t otherwise);
bool json_true_at(const json_t *root, const char *path);

/* Sets `key`, taking over `value`; nothing is set when `value` is NULL. */
void json_put(json_t *object, const char *key, json_t *value);
void json_put_string(json_t *object, const char *key, const char *value); /* NULL: left out */
void json_append_once(json_t *list, const char *text);                    /* a text that the list does not have yet */

void json_put_instant(json_t *object, const char *key, int64_t at); /* as time_format() writes it */

char *json_text(const json_t *value);      /* compact; the caller frees */
char *json_canonical(const json_t *value); /* compact, keys sorted: equal values have equal bytes; the caller frees */

/* Lower-case copy of ASCII letters (e-mail addresses, header names). The caller frees; NULL gives NULL. */
char *json_lower(const char *text);

#endif
