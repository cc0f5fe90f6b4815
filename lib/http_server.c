#include "lib/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/http_internal.h"
#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/metrics_process.h"

enum {
    CONNECTION_TIMEOUT_S = 60,
    BODY_LIMIT = 1024 * 1024,
    BODY_PATIENCE = 16, /* a body of this many times the limit is not even read to its end */
    LAST_RUNS = 16,     /* of MHD_run() while stopping, to get the last answers out */
};

static struct http_server *server_of(void *arg)
{
    struct http_server *server = arg;
    if (server->magic != SERVER_MAGIC) {
        abort();
    }
    return server;
}

/* ---- answering ------------------------------------------------------------------------------------------------------ */

static void drive(struct http_server *server);

static void suspend(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    exchange->suspended = true;
    exchange->next = server->waiting;
    exchange->link = &server->waiting;
    if (exchange->next) {
        exchange->next->link = &exchange->next;
    }
    server->waiting = exchange;
    MHD_suspend_connection(exchange->connection);
}

static void resume(struct exchange *exchange)
{
    exchange->suspended = false;
    *exchange->link = exchange->next;
    if (exchange->next) {
        exchange->next->link = exchange->link;
    }
    MHD_resume_connection(exchange->connection);
}

void http_exchange_answer(struct exchange *exchange, unsigned int status, struct MHD_Response *response)
{
    exchange->status = status;
    exchange->response = response;
    if (exchange->suspended) {
        resume(exchange);
        drive(exchange->server); /* MHD_run() after a resume, or clients hang */
    }
}

/* ---- built-in paths --------------------------------------------------------------------------------------------------- */

static void serve_metrics(struct exchange *exchange)
{
    struct buf text = BUF_INIT;
    metrics_process_update();
    metrics_render(&text);
    http_exchange_answer(exchange, 200,
                         http_text_response(buf_text(&text), "text/plain; version=0.0.4; charset=utf-8"));
    buf_release(&text);
}

static void serve_ready(struct exchange *exchange)
{
    const struct http_options *options = &exchange->server->options;
    char *why = NULL;
    if (!options->ready || options->ready(options->arg, &why)) {
        http_exchange_answer(exchange, 200, http_text_response("ready\n", "text/plain"));
    } else {
        char *text = mem_printf("not ready: %s\n", why ? why : "starting");
        http_exchange_answer(exchange, 503, http_text_response(text, "text/plain"));
        free(text);
    }
    free(why);
}

static void dispatch(struct exchange *exchange)
{
    struct http_request *request = &exchange->request;
    struct http_server *server = exchange->server;
    bool get = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    if (get && strcmp(request->path, "/metrics") == 0) {
        serve_metrics(exchange);
    } else if (get && strcmp(request->path, "/healthz") == 0) {
        http_exchange_answer(exchange, 200, http_text_response("alive\n", "text/plain"));
    } else if (get && strcmp(request->path, "/readyz") == 0) {
        serve_ready(exchange);
    } else if (server->options.handle) {
        request->body = buf_text(&exchange->body);
        request->body_len = exchange->body.len;
        server->options.handle(request, server->options.arg);
    } else {
        http_problem(request, 404, "Not Found", NULL, "this process serves /metrics, /healthz and /readyz");
    }
}

/* ---- libmicrohttpd's callbacks ------------------------------------------------------------------------------------------ */

static struct exchange *exchange_new(struct http_server *server, struct MHD_Connection *connection, const char *url,
                                     const char *method)
{
    struct exchange *exchange = MEM_NEW(struct exchange);
    exchange->magic = EXCHANGE_MAGIC;
    exchange->server = server;
    exchange->connection = connection;
    exchange->request.path = mem_strdup(url);
    exchange->request.method = mem_strdup(method);
    exchange->request.internal = exchange;
    exchange->body.max = server->options.body_limit;
    return exchange;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **state)
{
    (void)version;
    struct exchange *exchange = *state;
    if (!exchange) {
        *state = exchange_new(server_of(arg), connection, url, method);
        return MHD_YES;
    }
    if (*size) {
        exchange->received += *size;
        buf_add(&exchange->body, data, *size); /* past the limit the rest is read and dropped: the client hears why */
        *size = 0;
        return exchange->received / BODY_PATIENCE > exchange->body.max ? MHD_NO : MHD_YES;
    }
    if (!exchange->handled) {
        exchange->handled = true;
        if (exchange->body.overflow) {
            http_problem(&exchange->request, 413, "Content Too Large", NULL, "the body is larger than edge.body_limit");
        } else {
            dispatch(exchange);
        }
        if (!exchange->response) {
            suspend(exchange);
            return MHD_YES;
        }
    }
    if (!exchange->response) {
        return MHD_YES;
    }
    enum MHD_Result result = MHD_queue_response(connection, exchange->status, exchange->response);
    MHD_destroy_response(exchange->response);
    exchange->response = NULL;
    return result;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)arg;
    (void)connection;
    (void)code;
    struct exchange *exchange = *state;
    if (!exchange) {
        return;
    }
    exchange->magic = 0;
    if (exchange->response) {
        MHD_destroy_response(exchange->response);
    }
    free((void *)(uintptr_t)exchange->request.path);
    free((void *)(uintptr_t)exchange->request.method);
    buf_release(&exchange->body);
    free(exchange);
    *state = NULL;
}

/* ---- the loop ----------------------------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
    drive(server_of(timer->data));
}

static void drive(struct http_server *server)
{
    if (!server->options.loop || server->running) {
        return;
    }
    server->running = true;
    MHD_run(server->daemon);
    server->running = false;
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(server->daemon, &ms) == MHD_YES) {
        uv_timer_start(&server->timer, on_timer, ms, 0);
    } else {
        uv_timer_stop(&server->timer);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    drive(server_of(poll->data));
}

static void attach(struct http_server *server)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_poll_init(server->options.loop, &server->poll, info->epoll_fd);
    uv_timer_init(server->options.loop, &server->timer);
    server->poll.data = server;
    server->timer.data = server;
    server->open_handles = 2;
    uv_poll_start(&server->poll, UV_READABLE, on_readable);
}

/* ---- start and stop ----------------------------------------------------------------------------------------------------- */

/* "127.0.0.1:8080", "[::1]:8080", ":8080" (all IPv4 addresses). */
static int listen_address(const char *text, struct addrinfo **found, struct err *err)
{
    const char *colon = strrchr(text, ':');
    if (!colon) {
        return err_set(err, ERR_FATAL, "could not listen on \"%s\": it must be ADDRESS:PORT", text);
    }
    const char *from = *text == '[' ? text + 1 : text;
    const char *to = colon > text && colon[-1] == ']' ? colon - 1 : colon;
    char *host = to > from ? mem_strndup(from, (size_t)(to - from)) : mem_strdup("0.0.0.0");
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    int code = getaddrinfo(host, colon + 1, &hints, found);
    free(host);
    return code ? err_set(err, ERR_FATAL, "could not listen on \"%s\": %s", text, gai_strerror(code)) : 0;
}

/* libmicrohttpd sets SO_REUSEADDR by itself; its "address reuse" would be SO_REUSEPORT: two processes on one port. */
static struct MHD_Daemon *start_daemon(struct http_server *server, const struct addrinfo *address)
{
    unsigned int flags = server->options.loop ? MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME
                                              : MHD_USE_EPOLL | MHD_USE_INTERNAL_POLLING_THREAD;
    if (address->ai_family == AF_INET6) {
        flags |= MHD_USE_IPv6;
    }
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, server, MHD_OPTION_SOCK_ADDR, address->ai_addr,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned int)CONNECTION_TIMEOUT_S, MHD_OPTION_END);
}

struct http_server *http_server_start(const struct http_options *options, struct err *err)
{
    if (!options->listen || !*options->listen) {
        return NULL;
    }
    struct addrinfo *address = NULL;
    if (listen_address(options->listen, &address, err) != 0) {
        return NULL;
    }
    struct http_server *server = MEM_NEW(struct http_server);
    server->magic = SERVER_MAGIC;
    server->options = *options;
    server->options.body_limit = options->body_limit ? options->body_limit : BODY_LIMIT;
    server->options.handle = options->loop ? options->handle : NULL;
    errno = 0;
    server->daemon = start_daemon(server, address);
    freeaddrinfo(address);
    if (!server->daemon) {
        err_set(err, ERR_FATAL, "could not listen on \"%s\": %s", options->listen, strerror(errno));
        free(server);
        return NULL;
    }
    server->port = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    if (options->loop) {
        attach(server);
    }
    return server;
}

int http_server_port(const struct http_server *server)
{
    return server ? server->port : 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    if (--server->open_handles == 0) {
        free(server);
    }
}

void http_server_stop(struct http_server *server)
{
    if (!server) {
        return;
    }
    if (!server->options.loop) {
        MHD_stop_daemon(server->daemon);
        free(server);
        return;
    }
    while (server->waiting) {
        http_problem(&server->waiting->request, 503, "Service Unavailable", NULL, "the process is stopping");
    }
    MHD_UNSIGNED_LONG_LONG ms;
    for (int i = 0; i < LAST_RUNS && MHD_get_timeout(server->daemon, &ms) == MHD_YES && ms == 0; i++) {
        MHD_run(server->daemon);
    }
    uv_poll_stop(&server->poll);
    MHD_stop_daemon(server->daemon);
    uv_close((uv_handle_t *)&server->poll, on_closed);
    uv_close((uv_handle_t *)&server->timer, on_closed);
}
