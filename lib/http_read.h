/* Reads HTTP/1.1 requests (RFC 9112) from bytes as they come. Knows no sockets.
 *
 * It is strict: a request that two servers could read differently is refused, so that no proxy in front can be talked into passing a
 * hidden second request. The time it takes grows with the number of bytes only, and every part of a request has a limit. */
#ifndef OFFBOARD_LIB_HTTP_READ_H
#define OFFBOARD_LIB_HTTP_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

enum {
    HTTP_HEAD_LIMIT = 32 * 1024,  /* bytes of request line and header fields */
    HTTP_FIELDS_LIMIT = 100,      /* header fields, and parameters of the query */
    HTTP_CHUNK_LINE_LIMIT = 256,  /* bytes of a chunk's size and extensions */
    HTTP_TRAILER_LIMIT = 8 * 1024 /* bytes of one trailer field, and of all framing around an empty body */
};

struct http_field {
    const char *name;
    const char *value; /* "" when there is none */
};

enum http_read_step {
    HTTP_READ_MORE,   /* all bytes were used; more are needed */
    HTTP_READ_HEAD,   /* the head is complete; call again for the body, with no bytes too */
    HTTP_READ_WHOLE,  /* the request is complete */
    HTTP_READ_REFUSED /* `status` and `detail` say why; nothing more can be read from this connection */
};

/* Zero it, set `body_limit`, and end with http_read_release(). Texts belong to it, until http_read_next(). */
struct http_read {
    size_t body_limit;
    int phase;
    struct buf head;
    size_t line_start; /* in `head` */
    bool blank_skipped;
    struct buf line; /* of a chunk's size or a trailer field */
    uint64_t left;   /* bytes of the body, or of the chunk, that are still to come */
    size_t framing;  /* bytes of the chunks' sizes and of trailer fields */

    const char *method;
    const char *path; /* decoded, without the query; UTF-8 without control characters */
    struct http_field fields[HTTP_FIELDS_LIMIT];
    size_t field_count;
    struct http_field args[HTTP_FIELDS_LIMIT]; /* of the query, decoded */
    size_t arg_count;
    bool keep_alive;
    bool chunked;
    bool expects_continue;
    uint64_t length; /* Content-Length; 0 when there is none */
    struct buf body;

    int status;
    const char *detail;
};

/* Takes what it can use of `bytes`; `*used` says how many. */
enum http_read_step http_read_feed(struct http_read *read, const char *bytes, size_t len, size_t *used);

/* Has anything of a request come? */
bool http_read_begun(const struct http_read *read);
/* Once the head is there: is a body still to come? */
bool http_read_has_body(const struct http_read *read);

const char *http_read_field(const struct http_read *read, const char *name); /* the first; NULL: absent */
const char *http_read_arg(const struct http_read *read, const char *name);

void http_read_next(struct http_read *read); /* ready for the next request of the connection */
void http_read_release(struct http_read *read);

#endif
