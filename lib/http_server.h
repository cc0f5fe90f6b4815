/* HTTP server in a libuv loop, or in a thread of its own for processes that have no loop.
 *
 * A server either serves GET /metrics, /healthz (the process lives) and /readyz (it can do its work), as every process does, or the API
 * of a handler. The API is asked twice: `admit` sees the head of a request, and refuses who may not send its body; `handle`
 * gets the whole request, and answers at once or later, from the loop's thread, with http_reply(). Requests are read strictly
 * (http_read.h). Connections are limited, in total and for each address; every step of a request has a time limit; a connection that
 * waits idle makes room for a new one. Errors are RFC 9457 problem details. */
#ifndef OFFBOARD_LIB_HTTP_SERVER_H
#define OFFBOARD_LIB_HTTP_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "lib/err.h"

struct http_server;

struct http_request {
    const char *method;
    const char *path;    /* decoded, without the query */
    const char *address; /* of the client; of a proxy, where one stands in front */
    const char *body;    /* NUL-terminated, "" when there is none, or while it is not read yet */
    size_t body_len;
    char *caller; /* for `admit` to fill in: who asks, as a text that the server frees; NULL at first */
    bool proven;  /* for `admit`, too: the caller is known, and its body may use all of the memory for bodies */
    void *internal;
};

/* Owns nothing of `request`; it is valid until http_reply(). */
typedef void http_handler(struct http_request *request, void *arg);

/* Is the body to be read, and the request to be handled? On false it has answered. */
typedef bool http_admit(struct http_request *request, void *arg);

/* Is the process ready? On false `why` gets a text that the caller frees. */
typedef bool http_ready(void *arg, char **why);

struct http_limits { /* 0: the default of the option http.…, or edge.body_limit */
    size_t body;     /* bytes of one */
    size_t bodies;   /* bytes of all in memory; those of callers that are not proven use half at most */
    size_t connections;
    size_t per_address;
    int64_t head_ms; /* for the head of a request, from its first byte; from the beginning of a new connection */
    int64_t body_ms; /* for the body */
    int64_t idle_ms; /* between two requests */
};

struct http_options {
    const char *
        listen; /* "127.0.0.1:8080"; port 0 picks a free one; NULL or "": no server, http_server_start() gives NULL without an error */
    const char *name; /* of the server, in its metrics */
    uv_loop_t *loop;  /* NULL: a thread of its own, without a handler */
    struct http_limits limits;
    http_admit *admit;    /* NULL: every body is read */
    http_handler *handle; /* NULL: /metrics, /healthz and /readyz are served, and nothing else */
    http_ready *ready;    /* NULL: always ready; called from the server's thread */
    void *arg;
};

struct http_server *http_server_start(const struct http_options *options, struct err *err);
int http_server_port(const struct http_server *server);

/* From now on every answer says that it is its connection's last. */
void http_server_close_connections(struct http_server *server);

/* Takes no new connection, serves those that are open to their end, and then, after `within_ms` at the latest, calls `drained`. */
void http_server_drain(struct http_server *server, int64_t within_ms, void (*drained)(void *arg), void *arg);

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

/* The same with members of its own; `problem` (taken over) has title, status and detail. */
void http_reply_problem(struct http_request *request, int status, json_t *problem);

const char *http_reason(int status); /* "Not Found" */

#endif
