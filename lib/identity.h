/* Addresses and ids as people copy and paste them. A character that nobody sees makes another address of one that looks right: no
 * system finds it, and the leaver counts as nobody. */
#ifndef OFFBOARD_LIB_IDENTITY_H
#define OFFBOARD_LIB_IDENTITY_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/err.h"

/* The text without blanks and invisible characters at its ends (a new reference): spaces of all kinds, control characters, and
 * what Unicode calls ignorable, such as U+200B, U+FEFF and the marks of direction. One of them within the text (but a plain
 * blank) is an ERR_PERMANENT that names `field`, the character, and what stands before it; then NULL. */
json_t *identity_clean(const char *field, const json_t *text, struct err *err);

/* The text as people see it: without blanks at its ends, and without invisible characters anywhere. For comparing what a vendor shows
 * with what HR says: both mean the address that a person reads. The caller frees. */
char *identity_seen(const char *text);

/* Are these one employee number? Systems drop zeros in front, and letters may be of either case. */
bool identity_same_number(const char *a, const char *b);

#endif
