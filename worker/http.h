/* HTTP to vendors: libcurl's multi interface in the libuv loop; a call blocks its fiber, not the loop. */
#ifndef OFFBOARD_WORKER_HTTP_H
#define OFFBOARD_WORKER_HTTP_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/buf.h"
#include "worker/multi.h"

struct http;

struct http *http_new(uv_loop_t *loop);
/* No call may be under way; handles close while the loop runs on. */
void http_free(struct http *http);
struct multi *http_multi(struct http *http); /* for other protocols that libcurl speaks */

/* One request; everything is borrowed until http_perform() returns. */
struct http_call {
    const char *method;
    const char *url;
    struct curl_slist *headers;
    const char *body; /* NULL: none */
    const char *user; /* basic auth; NULL: none */
    const char *password;
    const char *bearer;  /* an access token; NULL: none */
    const char *ca_file; /* NULL: the system's */
    int64_t timeout;     /* microseconds */
};

/* Why an answer is of no use, and with that whether the same call may succeed later. */
enum http_fault {
    HTTP_FAULT_NONE, /* an answer came */
    HTTP_FAULT_AWAY, /* none came, and that may pass: a timeout, a reset, an empty reply, an abort */
    HTTP_FAULT_ADDRESS, /* nothing was sent, and the setting is the first suspect: the name does not resolve, the connection is
                         * refused, the certificate is not accepted */
    HTTP_FAULT_ANSWER, /* the server answered, but not in a way that can be used, and next time it will be the same: too large,
                         * malformed HTTP, damaged coding, too many headers */
    HTTP_FAULT_REQUEST, /* it was never sent, because it can't be: a malformed URL, another protocol */
};

struct http_answer {
    enum http_fault fault;
    long status; /* 0: no answer; with HTTP_FAULT_ANSWER the code that came, if it came so far */

    /* Names in lower case. A header that is repeated is joined by ", " (RFC 9110, 5.3), Set-Cookie by a newline, because its values
     * have commas; the same value again is not. What is not UTF-8 is read as ISO-8859-1. */
    json_t *headers;
    struct buf body;  /* decoded; empty when there is a fault */
    bool sent;        /* the request may have reached the vendor: without an answer its effect is unknown */
    bool aborted;     /* by http_abort(): says nothing about the vendor */
    int64_t duration; /* microseconds */
    char *error;      /* why there is no answer; NULL when there is one */
};

/* Makes the call; on a fiber. `*flight` names it meanwhile and is NULL before and after. Redirects are not followed, `..` in paths
 * is kept. Answers over 16 MiB, also when decoded, and more than 1,000 lines or 128 KiB of headers are faults. gzip is asked for,
 * and decoded where the body really is gzip; other codings are overlooked, as nobody asked for them. */
void http_perform(struct http *http, const struct http_call *call, struct flight **flight, struct http_answer *answer);

/* What libcurl's code means before anything was sent. */
enum http_fault http_fault_of(CURLcode code);

/* Ends a call without an answer (its effect is unknown then); from the loop. NULL is accepted. */
void http_abort(struct flight *flight);
void http_answer_release(struct http_answer *answer);

#endif
