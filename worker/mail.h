/* A mail as SMTP takes it: the addresses of its envelope and the text of the message (RFC 5322, RFC 2045, RFC 2047). */
#ifndef OFFBOARD_WORKER_MAIL_H
#define OFFBOARD_WORKER_MAIL_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdint.h>

#include "lib/err.h"

/* All owned. */
struct mail {
    char *from;                    /* bare address */
    struct curl_slist *recipients; /* bare addresses, those of bcc included */
    char *message;                 /* lines end in CRLF; dots are not stuffed */
};

/* `fields` is an object: `to`, `cc`, `bcc`, `reply_to` (an address, "ann@example.com" or "Ann <ann@example.com>", or a list
 * of such), `from`, `subject`, `text`, `html`, `message_id`, `headers` (name: value). What is null or absent is left out;
 * `to`, `from`, `subject` and `text` must be there. `message_id` is the one when the fields bring none; `now` in
 * microseconds. 0, or -1 with an ERR_PERMANENT that names the field: no address, one that is none, a line break in a
 * header, a header that is not the caller's. */
int mail_build(const json_t *fields, const char *message_id, int64_t now, struct mail *mail, struct err *err);
void mail_release(struct mail *mail); /* zeroed ones too */

#endif
