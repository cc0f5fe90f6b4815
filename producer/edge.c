/* The edge: HTTP in, Kafka out, an answer when Kafka has it. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/settings_check.h"
#include "lib/message.h"
#include "lib/source_settings.h"
#include "lib/time.h"
#include "producer/edge_internal.h"

enum { EDGE_MAGIC = 0x45444745, EDGE_WAIT_MS = 10000 };

void edge_count(struct edge *edge, int status)
{
    char *code = mem_printf("%d", status);
    series_add(metric_series(edge->requests, code, NULL), 1);
    free(code);
}

struct request edge_request(const struct http_request *http, const json_t *headers)
{
    return (struct request){http->method, headers, http->body, http->body_len};
}

/* ---- exchanges --------------------------------------------------------------------------------------------------- */

static void unlink_exchange(struct exchange *exchange)
{
    struct exchange **at = &exchange->edge->open;
    while (*at && *at != exchange) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = exchange->next;
    }
}

/* libuv closes last what was closed first: timers of exchanges may be told after the edge's own handle. */
static void edge_free_when_done(struct edge *edge)
{
    if (!edge->closed || edge->open) {
        return;
    }
    definitions_free(edge->definitions);
    json_decref(edge->secrets);
    escrow_key_free(edge->escrow);
    free(edge->intake);
    free(edge->events);
    free(edge->control);
    free(edge);
}

static void release_when_done(struct exchange *exchange)
{
    if (!exchange->request && exchange->pending == 0 && exchange->timer_closed) {
        struct edge *edge = exchange->edge;
        unlink_exchange(exchange);
        json_decref(exchange->answer);
        json_decref(exchange->unavailable);
        err_release(&exchange->failed);
        free(exchange);
        edge_free_when_done(edge);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct exchange *exchange = handle->data;
    exchange->timer_closed = true;
    release_when_done(exchange);
}

static void answer(struct exchange *exchange, int status, const char *trouble)
{
    struct http_request *request = exchange->request;
    exchange->request = NULL;
    if (status == 202) {
        edge_count(exchange->edge, exchange->status);
        http_reply(request, exchange->status, NULL, json_incref(exchange->answer));
    } else if (exchange->unavailable) {
        edge_count(exchange->edge, exchange->unavailable_status);
        http_reply(request, exchange->unavailable_status, NULL, json_incref(exchange->unavailable));
    } else {
        edge_count(exchange->edge, status);
        http_problem(request, status, status == 413 ? "Content Too Large" : "Service Unavailable", NULL, trouble);
    }
    uv_close((uv_handle_t *)&exchange->timer, on_timer_closed);
}

static void answer_when_delivered(struct exchange *exchange)
{
    if (exchange->request && exchange->sealed && exchange->pending == 0) {
        enum err_class class = exchange->failed.class;
        answer(exchange, class == ERR_NONE ? 202 : class == ERR_PERMANENT ? 413 : 503, err_text(&exchange->failed));
    }
}

static void on_timeout(uv_timer_t *timer)
{
    struct exchange *exchange = timer->data;
    if (exchange->request) {
        answer(exchange, 503, "Kafka did not acknowledge in time; sending the same id again is safe");
    }
}

/* The first reason stays. A producer that has met a fatal error takes nothing more: the process ends and is started
 * anew. */
static void note_failure(struct exchange *exchange, const struct err *err)
{
    if (err->class == ERR_FATAL) {
        log_error("the edge can't go on", "error", err_text(err), NULL);
        exit(1);
    }
    if (exchange->failed.class == ERR_NONE) {
        err_set(&exchange->failed, err->class, "%s", err_text(err));
    }
}

static void on_delivered(void *arg, const struct err *err)
{
    struct exchange *exchange = arg;
    exchange->pending--;
    if (err) {
        note_failure(exchange, err);
    }
    answer_when_delivered(exchange);
    release_when_done(exchange);
}

/* A record after whose delivery there is something to do. */
struct sequel {
    struct exchange *exchange;
    void (*then)(struct exchange *exchange, json_t *note);
    json_t *note;
};

static void on_first_delivered(void *arg, const struct err *err)
{
    struct sequel *sequel = arg;
    if (!err) {
        sequel->then(sequel->exchange, sequel->note); /* while this one is pending still: the exchange stays */
    }
    on_delivered(sequel->exchange, err);
    json_decref(sequel->note);
    free(sequel);
}

struct exchange *exchange_new(struct edge *edge, struct http_request *request)
{
    struct exchange *exchange = MEM_NEW(struct exchange);
    exchange->edge = edge;
    exchange->request = request;
    exchange->status = 202;
    exchange->next = edge->open;
    edge->open = exchange;
    uv_timer_init(edge->loop, &exchange->timer);
    exchange->timer.data = exchange;
    uv_timer_start(&exchange->timer, on_timeout, EDGE_WAIT_MS, 0);
    return exchange;
}

void exchange_produce_event(struct exchange *exchange, const char *key, json_t *event, const char *traceparent)
{
    struct message_headers headers;
    message_headers(&headers, "edge", json_string_at(event, "name"), json_string_at(event, "id"), traceparent);
    char *text = json_text(event);
    struct kafka_record record = {.topic = exchange->edge->events,
                                  .partition = RD_KAFKA_PARTITION_UA,
                                  .key = key,
                                  .key_len = strlen(key),
                                  .value = text,
                                  .value_len = strlen(text),
                                  .headers = headers.list};
    exchange_produce(exchange, &record);
    message_headers_release(&headers);
    free(text);
    json_decref(event);
}

void exchange_limit(struct exchange *exchange, unsigned int ms)
{
    uv_timer_start(&exchange->timer, on_timeout, ms, 0);
}

static bool hand_over(struct exchange *exchange, const struct kafka_record *record, kafka_delivered *delivered,
                      void *arg)
{
    struct err err = ERR_INIT;
    exchange->pending++;
    if (kafka_produce(exchange->edge->producer, record, delivered, arg, &err) == 0) {
        return true;
    }
    exchange->pending--;
    note_failure(exchange, &err);
    err_release(&err);
    return false;
}

void exchange_produce(struct exchange *exchange, const struct kafka_record *record)
{
    hand_over(exchange, record, on_delivered, exchange);
}

void exchange_produce_then(struct exchange *exchange, const struct kafka_record *record,
                           void (*then)(struct exchange *exchange, json_t *note), json_t *note)
{
    struct sequel *sequel = MEM_NEW(struct sequel);
    *sequel = (struct sequel){exchange, then, note};
    if (!hand_over(exchange, record, on_first_delivered, sequel)) {
        json_decref(note);
        free(sequel);
    }
}

void exchange_seal(struct exchange *exchange, json_t *body)
{
    exchange->answer = body;
    exchange->sealed = true;
    answer_when_delivered(exchange);
}

/* ---- who asks ---------------------------------------------------------------------------------------------------- */

struct matching {
    const struct conf *conf;
    char digest[ID_SHA256_HEX_SIZE];
    char *name;
};

/* Digests are compared, in constant time: nothing can be learned from how long it takes. */
static void match_token(const char *name, void *arg)
{
    struct matching *matching = arg;
    const char *token = conf_token(matching->conf, name, "token");
    char digest[ID_SHA256_HEX_SIZE];
    if (token && *token) {
        id_sha256_hex(token, strlen(token), digest);
        if (CRYPTO_memcmp(digest, matching->digest, sizeof digest) == 0 && !matching->name) {
            matching->name = mem_strdup(name);
        }
    }
}

char *edge_authorize(struct edge *edge, struct http_request *request, const char *role)
{
    const char *header = http_header(request, "Authorization");
    if (!header || strncasecmp(header, "Bearer ", 7) != 0) {
        edge_count(edge, 401);
        http_problem(request, 401, "Unauthorized", "Authorization", "send a bearer token: \"Authorization: Bearer …\"");
        return NULL;
    }
    struct matching matching = {.conf = edge->conf};
    id_sha256_hex(header + 7, strlen(header + 7), matching.digest);
    conf_each_name(edge->conf, "edge.tokens", match_token, &matching);
    if (!matching.name) {
        edge_count(edge, 401);
        http_problem(request, 401, "Unauthorized", "Authorization", "the token is not known");
        return NULL;
    }
    bool may = conf_token_has_role(edge->conf, matching.name, role);
    if (!may && strcmp(role, "signals") == 0) { /* who may retry and skip may say that a task is done */
        may = conf_token_has_role(edge->conf, matching.name, "operator");
    }
    if (!may) {
        edge_count(edge, 403);
        char *detail = mem_printf("the token \"%s\" lacks the role \"%s\"", matching.name, role);
        http_problem(request, 403, "Forbidden", "Authorization", detail);
        free(detail);
        free(matching.name);
        return NULL;
    }
    return matching.name;
}

/* Texts of our errors begin with the field: "user.email: …", "runbook is missing", "ids must be …". */
char *edge_field(const char *text)
{
    static const char *const after[] = {": ", " is ", " must ", " holds ", " contains "};
    static const char *const no_fields[] = {"the", "a", "there", "it"};
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.");
    char *field = mem_strndup(text, len);
    bool names = false;
    for (size_t i = 0; len && i < COUNT_OF(after); i++) {
        names = names || strncmp(text + len, after[i], strlen(after[i])) == 0;
    }
    for (size_t i = 0; i < COUNT_OF(no_fields); i++) {
        names = names && strcmp(field, no_fields[i]) != 0;
    }
    if (!names) {
        free(field);
        field = NULL;
    }
    return field;
}

void edge_refuse(struct edge *edge, struct http_request *request, int status, struct err *err)
{
    const char *text = err_text(err);
    char *field = edge_field(text);
    edge_count(edge, status);
    const char *title = status == 422   ? "Unprocessable Content"
                        : status == 415 ? "Unsupported Media Type"
                                        : "Bad Request";
    bool coded = strncmp(text, "Content-Encoding", strlen("Content-Encoding")) == 0;
    http_problem(request, status, title, status != 415 ? field : coded ? "Content-Encoding" : "Content-Type", text);
    free(field);
    err_release(err);
}

/* ---- routing ----------------------------------------------------------------------------------------------------- */

/* A route that ends in "/" is that of all paths below it. */
static bool is_route(const char *route, const char *path)
{
    size_t len = strlen(route);
    return route[len - 1] == '/' ? strncmp(path, route, len) == 0 && path[len] : strcmp(path, route) == 0;
}

static void on_request(struct http_request *request, void *arg)
{
    static const struct {
        const char *path;
        void (*handle)(struct edge *, struct http_request *);
        bool any_method; /* the handler looks at it */
        bool hook;       /* other systems send events there, and may ask first whether they may */
    } routes[] = {{"/v1/offboardings", submit_handle, false, true}, {"/v1/orders", orders_handle, false, false},
                  {"/v1/reveals", reveals_handle, false, false},    {"/v1/replays", replays_handle, false, false},
                  {SIGNALS_PATH, signals_handle, false, true},      {SOURCES_PATH, webhook_handle, true, false}};
    struct edge *edge = arg;
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        if (!is_route(routes[i].path, request->path)) {
            continue;
        }
        if (routes[i].hook && webhook_handshake(edge, request)) {
            return;
        }
        if (!routes[i].any_method && strcmp(request->method, "POST") != 0) {
            edge_count(edge, 405);
            http_problem(request, 405, "Method Not Allowed", NULL, "this path takes POST");
            return;
        }
        routes[i].handle(edge, request);
        return;
    }
    edge_count(edge, 404);
    http_problem(request, 404, "Not Found", NULL,
                 "the edge has /v1/offboardings, /v1/orders, /v1/replays, /v1/reveals, /v1/signals/<source> and "
                 "/v1/sources/<source>");
}

static bool on_ready(void *arg, char **why)
{
    struct edge *edge = arg;
    return kafka_answers(edge->health, why) && planner_ready(edge->planner, why);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

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

static int open_topics(struct edge *edge, struct err *err)
{
    edge->intake = kafka_topic(edge->conf, "intake", NULL);
    edge->events = kafka_topic(edge->conf, "events", NULL);
    edge->control = kafka_topic(edge->conf, "control", NULL);
    edge->producer = kafka_producer_new(edge->conf, err);
    if (!edge->producer) {
        return -1;
    }
    edge->health = kafka_health_start(edge->producer, err);
    if (!edge->health) {
        return -1;
    }
    return kafka_producer_open(edge->producer, edge->intake, err) |
           kafka_producer_open(edge->producer, edge->events, err) |
           kafka_producer_open(edge->producer, edge->control, err);
}

static int load_escrow(struct edge *edge, struct err *err)
{
    const char *pem = conf_string(edge->conf, "producer.escrow_private_key");
    struct err why = ERR_INIT;
    if (!pem) {
        return 0;
    }
    edge->escrow = escrow_private_key(pem, &why);
    if (!edge->escrow) {
        err_set(err, ERR_FATAL, "producer.escrow_private_key: %s", err_text(&why));
    }
    err_release(&why);
    return edge->escrow ? 0 : -1;
}

struct edge *edge_start(const struct conf *conf, uv_loop_t *loop, struct planner *planner, struct err *err)
{
    struct edge *edge = MEM_NEW(struct edge);
    edge->magic = EDGE_MAGIC;
    edge->conf = conf;
    edge->loop = loop;
    edge->planner = planner;
    edge->requests =
        metric_new(METRIC_COUNTER, "offboard_edge_requests_total", "code", "HTTP requests by status code.");
    edge->turned_away = metric_new(METRIC_COUNTER, "offboard_edge_turned_away_total", "source why",
                                   "Requests to a source whose sender could not be told, by why.");
    edge->definitions = definitions_load_or_fail(conf, &(struct definition_use){.sources = true}, err);
    edge->secrets = edge->definitions ? webhook_secrets(edge->definitions, conf) : NULL;
    if (!edge->definitions || load_escrow(edge, err) != 0 ||
        settings_check(edge->definitions, conf, DEFINITION_SOURCE, NULL, err) != 0 ||
        webhook_check_keys(edge->definitions, edge->secrets, err) != 0 || open_topics(edge, err) != 0) {
        edge_stop(edge);
        return NULL;
    }
    struct http_options options = {.listen = conf_string(conf, "edge.listen"),
                                   .loop = loop,
                                   .body_limit = (size_t)conf_int(conf, "edge.body_limit"),
                                   .handle = on_request,
                                   .ready = on_ready,
                                   .arg = edge};
    edge->server = http_server_start(&options, err);
    if (!edge->server) {
        if (err->class == ERR_NONE) {
            err_set(err, ERR_FATAL, "edge.listen is empty; it must be ADDRESS:PORT");
        }
        edge_stop(edge);
        return NULL;
    }
    uv_poll_init(loop, &edge->poll, kafka_producer_fd(edge->producer));
    edge->poll.data = edge;
    uv_poll_start(&edge->poll, UV_READABLE, on_reports);
    char *port = mem_printf("%d", http_server_port(edge->server));
    log_info("edge listens", "listen", conf_string(conf, "edge.listen"), "port", port, NULL);
    free(port);
    return edge;
}

static void on_edge_closed(uv_handle_t *handle)
{
    struct edge *edge = handle->data;
    edge->closed = true;
    edge_free_when_done(edge);
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
    replays_stop(edge);
    keysets_stop(edge);
    kafka_producer_free(edge->producer, 5 * TIME_SECOND); /* reports what is open: its requests are answered */
    for (struct exchange *exchange = edge->open, *next; exchange; exchange = next) {
        next = exchange->next;
        if (exchange->request) {
            answer(exchange, 503, "the edge is stopping; send the same id again");
        }
    }
    http_server_stop(edge->server);
    uv_close((uv_handle_t *)&edge->poll, on_edge_closed);
}
