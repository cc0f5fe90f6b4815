/* An HTTP request as a whole, wherever it comes from: the edge has it from its server, `offboard plan` from a file. */
#ifndef OFFBOARD_LIB_REQUEST_H
#define OFFBOARD_LIB_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"

struct request {
    const char *method;
    const json_t
        *headers; /* names in lower case to values; those of a repeated one are joined by ", " (RFC 9110, 5.2) */
    const char *body;
    size_t body_len;
};

/* Borrowed, whatever the case of `name`; NULL when it is not there. */
const char *request_header(const struct request *request, const char *name);

/* Adds a header to `headers`, as struct request has them. False when the value is no UTF-8: then it is left out. */
bool request_add_header(json_t *headers, const char *name, const char *value);

/* Is the Content-Type this one, whatever its parameters? Is it JSON: application/json, or one that ends in +json? */
bool request_is_type(const struct request *request, const char *type);
bool request_is_json(const struct request *request);
bool request_type_is_json(const char *type);

/* -1 with an ERR_PERMANENT, for a 415, when the body is coded (Content-Encoding), gzip for example: no decoder is here for it. */
int request_check_coding(const struct request *request, struct err *err);

#endif
