/* What the producer serves by HTTP, and to whom. */
#include <stdlib.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/settings_check.h"
#include "producer/edge_internal.h"
#include "producer/results.h"

static bool submit_admit(struct edge *edge, struct http_request *request)
{
    static const char *const roles[] = {"intake", NULL};
    return edge_admit(edge, request, roles);
}

/* Which of them an order needs stands in its body. */
static bool orders_admit(struct edge *edge, struct http_request *request)
{
    static const char *const roles[] = {"operator", "approve", "undo", "erase", NULL};
    return edge_admit(edge, request, roles);
}

static bool operator_admit(struct edge *edge, struct http_request *request)
{
    static const char *const roles[] = {"operator", NULL};
    return edge_admit(edge, request, roles);
}

static const struct edge_route routes[] = {
    {"/v1/offboardings", submit_admit, submit_handle, "POST", webhook_handshake},
    {"/v1/orders", orders_admit, orders_handle, "POST", NULL},
    {ORDER_PATH, orders_admit, order_handle, "GET", NULL},
    {"/v1/replays", operator_admit, replays_handle, "POST", NULL},
    {SIGNALS_PATH, signals_admit, signals_handle, "POST", webhook_handshake},
    {SOURCES_PATH, webhook_admit, webhook_handle, NULL, NULL},
    {"/v1/version", edge_admit_anybody, edge_version, "GET", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* The definitions, the keys of senders. What is wrong in a runbook or a connector the planner of this process has said. */
static int read_all(struct edge *edge, struct err *err)
{
    edge->turned_away = metric_new(METRIC_COUNTER, "offboard_edge_turned_away_total", "source why",
                                   "Requests to a source whose sender could not be told, by why.");
    edge->definitions =
        definitions_load_or_fail(edge->conf, &(struct definition_use){.sources = true, .alone = true}, err);
    edge->secrets = edge->definitions ? webhook_secrets(edge->definitions, edge->conf) : NULL;
    return !edge->definitions || settings_check(edge->definitions, edge->conf, DEFINITION_SOURCE, NULL, err) != 0 ||
                   webhook_check_keys(edge->definitions, edge->secrets, err) != 0
               ? -1
               : 0;
}

static int open_all(struct edge *edge, struct err *err)
{
    edge->received = kafka_topic(edge->conf, "received", NULL);
    edge->control = kafka_topic(edge->conf, "control", NULL);
    edge->results = results_start(edge->conf, edge->loop, err);
    return err->class != ERR_NONE || kafka_producer_open(edge->producer, edge->received, err) != 0 ||
                   kafka_producer_open(edge->producer, edge->control, err) != 0
               ? -1
               : 0;
}

static bool ready(struct edge *edge, char **why)
{
    return planner_ready(edge->planner, why);
}

static void stop(struct edge *edge)
{
    replays_stop(edge);
    keysets_stop(edge);
    results_stop(edge->results);
    edge->results = NULL;
}

static void release(struct edge *edge)
{
    results_stop(edge->results); /* of an edge that never came up */
    definitions_free(edge->definitions);
    json_decref(edge->secrets);
    free(edge->received);
    free(edge->control);
}

const struct edge_service producer_api = {
    .source = "edge",
    .listen = "edge.listen",
    .process_listen = "producer.listen",
    .routes = routes,
    .paths = "the edge has /v1/offboardings, /v1/orders, /v1/orders/<id>, /v1/replays, /v1/version, "
             "/v1/signals/<source> and "
             "/v1/sources/<source>",
    .read = read_all,
    .open = open_all,
    .ready = ready,
    .stop = stop,
    .release = release,
};
