/* The head of an HTTP request, once its bytes are there: between http_read.c (which bytes belong to what) and http_head.c (what they mean). */
#ifndef OFFBOARD_LIB_HTTP_HEAD_H
#define OFFBOARD_LIB_HTTP_HEAD_H

#include "lib/http_read.h"

/* Parses read->head, which ends in an empty line, in place. -1: refused, with status and detail. */
int http_head_parse(struct http_read *read);

/* Is this one line of a header or trailer, without its CRLF, as RFC 9112, 5 wants it? Splits it in place; NULL, or what is wrong. */
const char *http_head_field(char *line, size_t len, struct http_field *field);

int http_read_refuse(struct http_read *read, int status, const char *detail); /* -1 */

#endif
