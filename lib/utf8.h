/* UTF-8 (RFC 3629): the shortest form only, no surrogates, up to U+10FFFF. */
#ifndef OFFBOARD_LIB_UTF8_H
#define OFFBOARD_LIB_UTF8_H

#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD, in place of what can't be said */

/* How many bytes from the start are valid: `len` when all are. */
size_t utf8_valid(const char *text, size_t len);

/* Characters of a valid text. */
size_t utf8_count(const char *text, size_t len);

/* Adds one character. */
void utf8_add(struct buf *buf, uint32_t character);

#endif
