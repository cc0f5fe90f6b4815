/* HTTP server: libmicrohttpd in a libuv loop, or in a thread of its own for processes that have no loop.
 *
 * Every process serves GET /metrics, /healthz (the process lives) and /readyz (it can do its work); the producer adds its
 * API. A handler answers at once or later, from the loop's thread, with http_reply(). Bodies are read whole up to a limit;
 * beyond it the client gets 413 without the handler being called. Errors are RFC 9457 problem details. */
#ifndef OFFBOARD_LIB_HTTP_SERVER_H
#define OFFBOARD_LIB_HTTP_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "lib/err.h"

struct http_server;

struct http_request {
    const char *method;
    const char *path; /* decoded, without the query */
    const char *body; /* NUL-terminated, "" when there is none */
    size_t body_len;
    void *internal;
};

/* Owns nothing of `request`; it is valid until http_reply(). */
typedef void http_handler(struct http_request *request, void *arg);

/* Is the process ready? On false `why` gets a text that the caller frees. */
typedef bool http_ready(void *arg, char **why);

struct http_options {
    const char *
        listen; /* "127.0.0.1:8080"; port 0 picks a free one; NULL or "": no server, http_server_start() gives NULL without an error */
    uv_loop_t *loop;      /* NULL: a thread of its own, for /metrics, /healthz, /readyz only */
    size_t body_limit;    /* bytes */
    http_handler *handle; /* NULL: only the built-in paths */
    http_ready *ready;    /* NULL: always ready; called from the server's thread */
    void *arg;
};

struct http_server *http_server_start(const struct http_options *options, struct err *err);
int http_server_port(const struct http_server *server);

/* Ends open connections. Requests not answered yet are answered 503; none may be touched afterwards. With a loop the server
 * is gone when the loop has run its close callbacks. NULL is accepted. */
void http_server_stop(struct http_server *server);

const char *http_header(const struct http_request *request, const char *name); /* borrowed; NULL when absent */
json_t *http_headers(const struct http_request *request); /* all, as struct request has them; new reference */
const char *http_query(const struct http_request *request, const char *name); /* decoded, borrowed */

/* Answers and ends the request. `body` is taken over (NULL: empty). `headers` is a NULL-ended list of name, value or NULL. */
void http_reply(struct http_request *request, int status, const char *const *headers, json_t *body);

/* application/problem+json with status, title, detail and, where one is to blame, "field". */
void http_problem(struct http_request *request, int status, const char *title, const char *field, const char *detail);

#endif
