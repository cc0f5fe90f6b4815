/* Between http_server.c (start, stop), http_listen.c (who may connect), http_connection.c (requests of one connection), http_builtin.c and
 * http_reply.c (answers). */
#ifndef OFFBOARD_LIB_HTTP_INTERNAL_H
#define OFFBOARD_LIB_HTTP_INTERNAL_H

#include <netinet/in.h>

#include "lib/buf.h"
#include "lib/http_read.h"
#include "lib/http_server.h"
#include "lib/metrics.h"

enum { SERVER_MAGIC = 0x48545453, CONNECTION_MAGIC = 0x48545458 };

struct http_server {
    int magic;
    struct http_options options; /* limits filled in */
    uv_loop_t *loop;
    int fd;      /* that listens; -1: no longer */
    bool paused; /* for want of descriptors */
    int port;
    uv_poll_t poll;
    uv_timer_t timer; /* looks at deadlines while there are connections */
    int open_handles; /* those of connections, too */
    bool closing;     /* every answer is the last of its connection */
    bool stopping;    /* the server is freed with its last connection */
    struct connection *connections;
    size_t count;
    size_t held[2]; /* bytes of bodies in memory, by whether their caller is proven */
    struct metric *closed;
    struct series *open;
    void (*drained)(void *arg);
    void *drained_arg;
    int64_t drain_began, drain_until; /* the loop's clock, ms */
    uv_loop_t own;                    /* without options.loop: in a thread of its own */
    uv_async_t wake;
    uv_thread_t thread;
};

enum connection_state {
    CONNECTION_HEAD,      /* waits for a request, or reads its head */
    CONNECTION_BODY,      /* reads the body of a request that may come in */
    CONNECTION_HANDLED,   /* waits for http_reply() */
    CONNECTION_ANSWERING, /* the answer is on its way */
    CONNECTION_LINGERING, /* everything is said; what still comes is thrown away, so that the client can read the answer */
    CONNECTION_CLOSING
};

enum { ADDRESS_KEY = 8 /* bytes by which a client's address is told: IPv4, or an IPv6 network (/64) */ };

struct connection {
    int magic;
    struct http_server *server;
    struct connection *next, **link;
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    unsigned char key[ADDRESS_KEY];
    char address[INET6_ADDRSTRLEN];
    enum connection_state state;
    int64_t since; /* of the state; of a head also: when its first byte came. The loop's clock, ms */
    bool served;   /* has had an answer */
    bool last;     /* the next answer is the last */
    size_t held;
    size_t discarded;
    struct http_read read;
    struct buf early; /* bytes behind the request in hand */
    struct http_request request;
    char *answer;
};

/* ---- http_connection.c */
void http_connection_new(struct http_server *server, int fd, const struct sockaddr_storage *peer);
void http_connection_answer(struct connection *connection, int status, const char *fields, const char *body,
                            size_t len);
/* `why` is a label of the metric; NULL: in good order. */
void http_connection_close(struct connection *connection, const char *why);
/* Closes it when its time is over. */
void http_connection_check(struct connection *connection, int64_t now);
bool http_connection_idle(const struct connection *connection); /* nothing of a request has come */
void http_address_key(const struct sockaddr_storage *peer, unsigned char *key);

/* ---- http_listen.c */
int http_listen(struct http_server *server, struct err *err);
void http_listen_start(struct http_server *server);
void http_listen_resume(struct http_server *server); /* after a pause */
/* Takes what waits to be accepted, and then no more. */
void http_listen_stop(struct http_server *server);

/* ---- http_server.c */
void http_server_watch(struct http_server *server); /* deadlines: there is a connection now */
void http_server_handle_closed(struct http_server *server);

/* ---- http_builtin.c: GET /metrics, /healthz, /readyz */
void http_builtin(struct connection *connection);

void http_text(struct connection *connection, int status, const char *type, const char *text);

#endif
