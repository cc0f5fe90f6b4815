/* Links that a vendor writes on a page. Pure. */
#ifndef OFFBOARD_WORKER_LINK_H
#define OFFBOARD_WORKER_LINK_H

#include <stdbool.h>

/* The whole URL that `link` means on the page at `url` (RFC 3986, 5), without a fragment. NULL: it is no link. The caller frees. */
char *link_resolve(const char *url, const char *link);

/* Do both lead to the same scheme, host and port (RFC 6454)? A URL that names a user does not. */
bool link_same_origin(const char *a, const char *b);

#endif
