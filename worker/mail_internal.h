/* Between mail.c and mail_address.c. */
#ifndef OFFBOARD_WORKER_MAIL_INTERNAL_H
#define OFFBOARD_WORKER_MAIL_INTERNAL_H

#include <stdbool.h>

#include "lib/buf.h"
#include "worker/mail.h"

/* Characters of a header's line; bytes that make a line of base64 (76 characters). */
enum { MAIL_LINE_WANTED = 76, MAIL_BASE64_BYTES = 57 };

bool mail_has_control(const char *text); /* which could end a header and begin another */

void mail_add_base64(struct buf *out, const char *data, size_t len); /* at most MAIL_BASE64_BYTES */

/* Encoded words (RFC 2047), each on a line of its own after the first. */
void mail_add_encoded(struct buf *out, const char *text);

/* Free text of a header, encoded where it has to be; what looks like an encoded word is one. */
void mail_add_phrase(struct buf *out, const char *text);

/* "local@domain" without what would need quoting or SMTPUTF8 (RFC 6531). */
bool mail_is_address(const char *text, size_t len);

/* One address for a header; its bare form, which the caller frees. NULL with an err that names `field`. */
char *mail_add_address(struct buf *out, const char *field, const json_t *value, struct err *err);

/* The header `title` (NULL: none, as for bcc) with an address or a list of them, which join `recipients` (NULL: they
 * don't). */
int mail_add_addresses(struct buf *out, const char *title, const char *field, const json_t *value,
                       struct curl_slist **recipients, struct err *err);

#endif
