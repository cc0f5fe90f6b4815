/* HTTP to vendors: libcurl's multi interface in the libuv loop; a call blocks its fiber, not the loop. */
#ifndef OFFBOARD_WORKER_HTTP_H
#define OFFBOARD_WORKER_HTTP_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/buf.h"
#include "lib/err.h"

struct http;

struct http *http_new(uv_loop_t *loop);
/* No call may be under way; handles close while the loop runs on. */
void http_free(struct http *http);

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

struct http_answer {
    long status;     /* 0: no answer */
    json_t *headers; /* names in lower case; the last of a name wins */
    struct buf body;
    bool sent; /* the request may have reached the vendor: without an answer its effect is unknown */
    bool
        unreached; /* there was no connection: a name that nobody knows, a port that is closed, a certificate refused */
    bool aborted;  /* by http_abort(): says nothing about the vendor */
    int64_t duration; /* microseconds */
    char *error;      /* why there is no answer; NULL when there is one */
};

/* A call under way, for http_abort(). */
struct flight {
    void (*abort)(struct flight *flight);
};

/* Makes the call; on a fiber. `*flight` names it meanwhile and is NULL before and after. Redirects are not followed,
 * `..` in paths is kept, answers over 16 MiB are cut off as errors. */
void http_perform(struct http *http, const struct http_call *call, struct flight **flight, struct http_answer *answer);

/* libcurl's read function for a text that it can't rewind; `unsent` points to a `const char *`, which moves on. */
size_t http_send_text(char *out, size_t size, size_t count, void *unsent);

/* Ends a call without an answer (its effect is unknown then); from the loop. NULL is accepted. */
void http_abort(struct flight *flight);
void http_answer_release(struct http_answer *answer);

#endif
