/* What the bytes of a vendor's answer say. Pure: no network, no clock. */
#ifndef OFFBOARD_WORKER_BODY_H
#define OFFBOARD_WORKER_BODY_H

#include <jansson.h>
#include <stddef.h>

enum body_kind {
    BODY_EMPTY,      /* nothing, or only white space */
    BODY_JSON,       /* a JSON value, perhaps a bare scalar */
    BODY_TEXT,       /* readable, but not JSON: a page, a CSV file, half of a JSON text */
    BODY_UNREADABLE, /* not valid in its charset, or JSON that passes a limit (levels, memory) */
};

struct body {
    enum body_kind kind;
    json_t *value; /* owned; the JSON value, or the text as a string; JSON null when empty or unreadable */
    json_t *
        rough; /* owned; of bytes that are not valid in their charset: the same with U+FFFD for each of them. For people. */
    char *why; /* owned; why it is unreadable, or why what claims to be JSON is only a text; else NULL */
};

/* Reads `data` (NULL when `len` is 0) by the Content-Type of the answer (NULL: there is none). Fills `body` always.
 *
 * The charset is that of the byte-order mark, else of the content type, else UTF-8: UTF-8, US-ASCII, UTF-16, ISO-8859-1 and -15, and
 * windows-1252 are known; another one is read as UTF-8 where the bytes are valid UTF-8. NUL and lone surrogates are read as U+FFFD,
 * of duplicate keys the last one counts, big integers become strings (lib/json.h). What follows a JSON value makes it no JSON. */
void body_read(const char *data, size_t len, const char *content_type, struct body *body);

void body_release(struct body *body); /* zeroed ones too */

#endif
