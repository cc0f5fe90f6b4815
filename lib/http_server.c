#include "lib/http_server.h"

#include <stdlib.h>
#include <string.h>

#include "lib/http_internal.h"
#include "lib/mem.h"

enum { TICK_MS = 100, STOP_MS = 1000 /* for the last answers */ };

/* As lib/conf_options.c has them. */
static const struct http_limits defaults = {
    .body = 1024 * 1024,
    .bodies = 64 * 1024 * 1024,
    .connections = 1000,
    .per_address = 250,
    .head_ms = 10000,
    .body_ms = 30000,
    .idle_ms = 60000,
};

static struct http_server *server_of(void *arg)
{
    struct http_server *server = arg;
    if (server->magic != SERVER_MAGIC) {
        abort();
    }
    return server;
}

/* ---- deadlines, draining ----------------------------------------------------------------------------------------- */

static void end_drain(struct http_server *server)
{
    void (*drained)(void *) = server->drained;
    server->drained = NULL;
    if (drained) {
        drained(server->drained_arg);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct http_server *server = server_of(timer->data);
    int64_t now = (int64_t)uv_now(server->loop);
    for (struct connection *at = server->connections, *next; at; at = next) {
        next = at->next;
        if (server->stopping && now >= server->drain_until) {
            http_connection_close(at, NULL);
        } else {
            http_connection_check(at, now);
        }
    }
    if (server->drained && (server->count == 0 || now >= server->drain_until)) {
        end_drain(server);
    }
    if (server->paused) {
        http_listen_resume(server);
    }
    if (server->count == 0 && !server->drained) {
        uv_timer_stop(timer);
    }
}

void http_server_watch(struct http_server *server)
{
    if (!uv_is_active((uv_handle_t *)&server->timer)) {
        uv_timer_start(&server->timer, on_tick, TICK_MS, TICK_MS);
    }
}

void http_server_close_connections(struct http_server *server)
{
    server->closing = true;
}

void http_server_drain(struct http_server *server, int64_t within_ms, void (*drained)(void *arg), void *arg)
{
    server->closing = true;
    http_listen_stop(server);
    server->drain_began = (int64_t)uv_now(server->loop);
    server->drain_until = server->drain_began + within_ms;
    server->drained = drained;
    server->drained_arg = arg;
    http_server_watch(server);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static void fill_in(struct http_limits *limits)
{
    limits->body = limits->body ? limits->body : defaults.body;
    limits->bodies = limits->bodies ? limits->bodies : defaults.bodies;
    limits->connections = limits->connections ? limits->connections : defaults.connections;
    limits->per_address = limits->per_address ? limits->per_address : defaults.per_address;
    limits->head_ms = limits->head_ms ? limits->head_ms : defaults.head_ms;
    limits->body_ms = limits->body_ms ? limits->body_ms : defaults.body_ms;
    limits->idle_ms = limits->idle_ms ? limits->idle_ms : defaults.idle_ms;
}

static void attach(struct http_server *server)
{
    http_listen_start(server);
    uv_timer_init(server->loop, &server->timer);
    server->timer.data = server;
    server->open_handles = 2;
}

static void end_in_thread(struct http_server *server);

static void on_wake(uv_async_t *wake)
{
    end_in_thread(server_of(wake->data));
}

static void run_loop(void *arg)
{
    uv_run(&((struct http_server *)arg)->own, UV_RUN_DEFAULT);
}

static void start_thread(struct http_server *server)
{
    uv_loop_init(&server->own);
    server->loop = &server->own;
    attach(server);
    uv_async_init(&server->own, &server->wake, on_wake);
    server->wake.data = server;
    server->open_handles++;
    uv_thread_create(&server->thread, run_loop, server);
}

struct http_server *http_server_start(const struct http_options *options, struct err *err)
{
    if (!options->listen || !*options->listen) {
        return NULL;
    }
    struct http_server *server = MEM_NEW(struct http_server);
    server->magic = SERVER_MAGIC;
    server->options = *options;
    server->options.name = options->name ? options->name : "process";
    server->options.handle = options->loop ? options->handle : NULL;
    server->loop = options->loop;
    fill_in(&server->options.limits);
    if (http_listen(server, err) != 0) {
        free(server);
        return NULL;
    }
    server->open = metric_series(metric_new(METRIC_GAUGE, "offboard_http_connections", "server", "Open connections."),
                                 server->options.name, NULL);
    server->closed = metric_new(METRIC_COUNTER, "offboard_http_connections_refused_total", "server why",
                                "Connections that were refused or ended before a request was answered, by why.");
    if (options->loop) {
        attach(server);
    } else {
        start_thread(server);
    }
    return server;
}

int http_server_port(const struct http_server *server)
{
    return server ? server->port : 0;
}

/* ---- stop -------------------------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle);

/* With the last connection the timer goes, with the last handle the server. */
static void end_when_done(struct http_server *server)
{
    if (!server->stopping || server->connections) {
        return;
    }
    if (!uv_is_closing((uv_handle_t *)&server->timer)) {
        uv_close((uv_handle_t *)&server->timer, on_handle_closed);
    }
    if (server->open_handles == 0 && server->loop != &server->own) {
        server->magic = 0;
        free(server);
    }
}

void http_server_handle_closed(struct http_server *server)
{
    server->open_handles--;
    end_when_done(server);
}

static void on_handle_closed(uv_handle_t *handle)
{
    http_server_handle_closed(handle->data);
}

static void begin_stop(struct http_server *server)
{
    server->closing = true;
    server->drained = NULL;
    server->drain_until = (int64_t)uv_now(server->loop) + STOP_MS;
    http_listen_stop(server);
    for (struct connection *at = server->connections, *next; at; at = next) {
        next = at->next;
        if (at->state == CONNECTION_HANDLED) {
            http_problem(&at->request, 503, http_reason(503), NULL, "the process is stopping; send the same again");
        } else if (at->state == CONNECTION_HEAD || at->state == CONNECTION_BODY) {
            http_connection_close(at, NULL);
        }
    }
    server->stopping = true;
    end_when_done(server);
}

static void end_in_thread(struct http_server *server)
{
    uv_close((uv_handle_t *)&server->wake, on_handle_closed);
    begin_stop(server);
}

void http_server_stop(struct http_server *server)
{
    if (!server) {
        return;
    }
    if (server->loop != &server->own) {
        begin_stop(server);
        return;
    }
    uv_async_send(&server->wake);
    uv_thread_join(&server->thread);
    uv_loop_close(&server->own);
    free(server);
}
