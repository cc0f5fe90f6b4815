/* The content coding gzip (RFC 9110, 8.4.1.3; RFC 1952), the only one that is asked for. Pure. */
#ifndef OFFBOARD_WORKER_GZIP_H
#define OFFBOARD_WORKER_GZIP_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"
#include "lib/err.h"

/* Do the bytes begin as gzip does? Some vendors say so of what is plain text. */
bool gzip_begins(const char *data, size_t len);

/* Adds the decoded bytes to `out`, at most its maximum. ERR_PERMANENT when they are damaged, cut off, or more. What follows the
 * last member is ignored, as gzip(1) does. */
int gzip_decode(const char *data, size_t len, struct buf *out, struct err *err);

#endif
