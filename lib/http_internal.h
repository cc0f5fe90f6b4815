/* Between http_server.c (connections, the loop) and http_reply.c (answers). */
#ifndef OFFBOARD_LIB_HTTP_INTERNAL_H
#define OFFBOARD_LIB_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "lib/buf.h"
#include "lib/http_server.h"

enum { SERVER_MAGIC = 0x48545453, EXCHANGE_MAGIC = 0x48545458 };

struct http_server {
    int magic;
    struct MHD_Daemon *daemon;
    struct http_options options;
    uv_poll_t poll;
    uv_timer_t timer;
    int port;
    int open_handles;         /* of poll and timer, while closing */
    bool running;             /* within MHD_run(): replies given meanwhile need no run of their own */
    struct exchange *waiting; /* suspended, to be answered by the handler's owner */
};

/* One request, from its first header to the end of its answer. */
struct exchange {
    int magic;
    struct http_server *server;
    struct MHD_Connection *connection;
    struct http_request request;
    struct exchange *next, **link; /* among server->waiting, while suspended */
    struct buf body;
    size_t received;               /* bytes of the body, those past the limit too */
    struct MHD_Response *response; /* waits to be queued after a resume */
    unsigned int status;
    bool suspended;
    bool handled;
};

/* Answers, resuming a request that waits. Takes over `response`. */
void http_exchange_answer(struct exchange *exchange, unsigned int status, struct MHD_Response *response);

struct MHD_Response *http_text_response(const char *text, const char *type);

#endif
