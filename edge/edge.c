/* The edge: HTTP in, Kafka out, an answer when Kafka has it. */
#include "edge/edge.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/reload.h"
#include "lib/time.h"

enum { EDGE_MAGIC = 0x45444745 };

static void on_reports(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct edge *edge = poll->data;
    char drained[64];
    while (read(kafka_producer_fd(edge->producer), drained, sizeof drained) > 0) {
    }
    kafka_producer_poll(edge->producer);
}

static bool on_ready(void *arg, char **why)
{
    struct edge *edge = arg;
    if (edge->draining) {
        *why = mem_strdup("the process is stopping");
        return false;
    }
    return kafka_answers(edge->health, why) && keyring_ready(edge->keyring, why) &&
           (!edge->service->ready || edge->service->ready(edge, why));
}

static int open_topics(struct edge *edge, struct err *err)
{
    edge->orders = kafka_topic(edge->conf, "orders", NULL);
    edge->producer = kafka_producer_new(edge->conf, err);
    if (!edge->producer || kafka_producer_open(edge->producer, edge->orders, err) != 0) {
        return -1;
    }
    kafka_producer_seal_with(edge->producer, edge->keyring);
    edge->health = kafka_health_start(edge->producer, err);
    if (!edge->health) {
        return -1;
    }
    return edge->service->open ? edge->service->open(edge, err) : 0;
}

static int64_t ms(const struct conf *conf, const char *key)
{
    return conf_duration(conf, key) / (TIME_SECOND / 1000);
}

/* The API and what probes ask have a server each: whoever uses all connections of the one is no reason to restart the process. */
static int serve(struct edge *edge, struct err *err)
{
    const struct conf *conf = edge->conf;
    struct http_options api = {.listen = conf_string(conf, edge->service->listen),
                               .name = "edge",
                               .loop = edge->loop,
                               .limits = {.body = (size_t)conf_int(conf, "edge.body_limit"),
                                          .bodies = (size_t)conf_int(conf, "http.body_memory"),
                                          .connections = (size_t)conf_int(conf, "http.connections"),
                                          .per_address = (size_t)conf_int(conf, "http.connections_per_address"),
                                          .head_ms = ms(conf, "http.head_time"),
                                          .body_ms = ms(conf, "http.body_time"),
                                          .idle_ms = ms(conf, "http.idle_time")},
                               .admit = edge_on_head,
                               .handle = edge_on_request,
                               .arg = edge};
    struct http_options process = {
        .listen = conf_string(conf, edge->service->process_listen), .loop = edge->loop, .ready = on_ready, .arg = edge};
    edge->server = http_server_start(&api, err);
    if (!edge->server) {
        return err->class == ERR_NONE
                   ? err_set(err, ERR_FATAL, "%s is empty; it must be ADDRESS:PORT", edge->service->listen)
                   : -1;
    }
    edge->process_server = http_server_start(&process, err);
    if (err->class != ERR_NONE) {
        http_server_stop(edge->server);
        edge->server = NULL;
        return -1;
    }
    char *port = mem_printf("%d", http_server_port(edge->server));
    log_info("edge listens", "listen", api.listen, "port", port, NULL);
    free(port);
    return 0;
}

int edge_check(const struct conf *conf, const struct edge_service *service, struct err *err)
{
    struct edge edge = {.conf = conf, .service = service};
    int result = service->read(&edge, err);
    service->release(&edge);
    return result;
}

struct edge *edge_start(const struct conf *conf, uv_loop_t *loop, const struct edge_service *service,
                        struct planner *planner, struct keyring *keyring, struct err *err)
{
    struct edge *edge = MEM_NEW(struct edge);
    edge->magic = EDGE_MAGIC;
    edge->conf = conf;
    edge->loop = loop;
    edge->service = service;
    edge->planner = planner;
    edge->keyring = keyring;
    edge->requests =
        metric_new(METRIC_COUNTER, "offboard_edge_requests_total", "code", "HTTP requests by status code.");
    edge->denied = metric_new(METRIC_COUNTER, "offboard_edge_denied_total", "why",
                              "Requests of callers without a token that may do it: no_token, unknown_token, role.");
    if (service->read(edge, err) != 0 || open_topics(edge, err) != 0 || serve(edge, err) != 0) {
        edge_stop(edge);
        return NULL;
    }
    uv_timer_init(loop, &edge->drain_timer);
    edge->drain_timer.data = edge;
    uv_timer_init(loop, &edge->waiting_timer);
    edge->waiting_timer.data = edge;
    uv_poll_init(loop, &edge->poll, kafka_producer_fd(edge->producer));
    edge->poll.data = edge;
    uv_poll_start(&edge->poll, UV_READABLE, on_reports);
    return edge;
}

/* libuv closes last what was closed first: timers of exchanges may be told after the edge's own handle. */
void edge_free_when_done(struct edge *edge)
{
    if (!edge->closed || edge->open) {
        return;
    }
    edge->service->release(edge);
    free(edge->orders);
    free(edge);
}

static void on_waited(uv_timer_t *timer)
{
    struct edge *edge = timer->data;
    http_server_drain(edge->server, ms(edge->conf, "edge.drain_grace"), edge->drained, edge->drained_arg);
}

void edge_drain(struct edge *edge, void (*drained)(void *arg), void *arg)
{
    edge->draining = true;
    edge->drained = drained;
    edge->drained_arg = arg;
    log_info("the edge takes its last requests", NULL);
    http_server_close_connections(edge->server);
    int64_t wait = reload_wanted() ? 0 : ms(edge->conf, "edge.drain_wait"); /* with a reload the port stays open */
    uv_timer_start(&edge->drain_timer, on_waited, (uint64_t)wait, 0);
}

static void on_edge_closed(uv_handle_t *handle)
{
    struct edge *edge = handle->data;
    edge->closed = true;
    edge_free_when_done(edge);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct edge *edge = handle->data;
    uv_close((uv_handle_t *)&edge->poll, on_edge_closed);
}

static void on_drain_timer_closed(uv_handle_t *handle)
{
    struct edge *edge = handle->data;
    uv_close((uv_handle_t *)&edge->waiting_timer, on_timer_closed);
}

void edge_stop(struct edge *edge)
{
    if (!edge) {
        return;
    }
    kafka_health_stop(edge->health);
    if (!edge->server) { /* never came up: no handle is open */
        kafka_producer_free(edge->producer, 0);
        uv_handle_t handle = {.data = edge};
        on_edge_closed(&handle);
        return;
    }
    uv_poll_stop(&edge->poll);
    if (edge->service->stop) {
        edge->service->stop(edge);
    }
    sealed_give_up(edge);
    kafka_producer_free(edge->producer, 5 * TIME_SECOND); /* reports what is open: its requests are answered */
    for (struct exchange *exchange = edge->open, *next; exchange; exchange = next) {
        next = exchange->next;
        if (exchange->request) {
            edge_exchange_answer(exchange, exchange->settling ? 202 : 503,
                                 "the edge is stopping; send the same id again");
        }
    }
    http_server_stop(edge->server);
    http_server_stop(edge->process_server);
    uv_close((uv_handle_t *)&edge->drain_timer, on_drain_timer_closed);
}
