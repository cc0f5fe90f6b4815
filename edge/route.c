/* Which request goes where, and who may send it: both are settled by its head, before its body is read. */
#include "edge/edge.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/daemon.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"

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

/* ---- refusing ---------------------------------------------------------------------------------------------------- */

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
    bool coded = strncmp(text, "Content-Encoding", strlen("Content-Encoding")) == 0;
    http_problem(request, status, http_reason(status),
                 status != 415 ? field
                 : coded       ? "Content-Encoding"
                               : "Content-Type",
                 text);
    free(field);
    err_release(err);
}

/* Whoever sends nonsense chooses how often. Some lines in a while are enough; the counters have all. */
void edge_log_refusal(struct refusal_log *log, const struct http_request *request, const char *source,
                      const char *token, const char *why)
{
    enum { WINDOW_S = 10, LINES = 10 };
    int64_t now = time_monotonic();
    if (!log->lines || now - log->window >= WINDOW_S * TIME_SECOND) {
        log->window = now;
        log->lines = 0;
    }
    if (log->lines == LINES) {
        log->more++;
        return;
    }
    char *more = mem_printf("%llu", log->more);
    log_warning(source ? "a request to a source was turned away" : "a request to the API was turned away", "source",
                source, "address", request->address, "path", source ? NULL : request->path, "token", token, "reason",
                why, "more", more, NULL);
    free(more);
    log->lines++;
    log->more = 0;
}

/* `kind` is a label of the metric. */
static void deny(struct edge *edge, struct http_request *request, int status, const char *kind, const char *token,
                 const char *why)
{
    edge_count(edge, status);
    series_add(metric_series(edge->denied, kind, NULL), 1);
    edge_log_refusal(&edge->denials, request, NULL, token, why);
    http_problem(request, status, http_reason(status), "Authorization", why);
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

/* The name of the caller's token; NULL: the request is answered. */
static char *known_token(struct edge *edge, struct http_request *request)
{
    const char *header = http_header(request, "Authorization");
    if (!header || strncasecmp(header, "Bearer ", 7) != 0) {
        deny(edge, request, 401, "no_token", NULL, "send a bearer token: \"Authorization: Bearer …\"");
        return NULL;
    }
    struct matching matching = {.conf = edge->conf};
    id_sha256_hex(header + 7, strlen(header + 7), matching.digest);
    conf_each_name(edge->conf, "edge.tokens", match_token, &matching);
    if (!matching.name) {
        deny(edge, request, 401, "unknown_token", NULL, "the token is not known");
    }
    return matching.name;
}

bool edge_may(const struct edge *edge, const char *token, const char *const *roles)
{
    for (; *roles; roles++) {
        if (conf_token_has_role(edge->conf, token, *roles)) {
            return true;
        }
    }
    return false;
}

void edge_deny_role(struct edge *edge, struct http_request *request, const char *role)
{
    char *detail = mem_printf("the token \"%s\" lacks the role \"%s\"", request->caller, role);
    deny(edge, request, 403, "role", request->caller, detail);
    free(detail);
}

bool edge_admit(struct edge *edge, struct http_request *request, const char *const *roles)
{
    request->caller = known_token(edge, request);
    if (!request->caller) {
        return false;
    }
    if (!edge_may(edge, request->caller, roles)) {
        edge_deny_role(edge, request, *roles);
        return false;
    }
    request->proven = true;
    return true;
}

/* ---- routing ----------------------------------------------------------------------------------------------------- */

bool edge_admit_anybody(struct edge *edge, struct http_request *request)
{
    request->caller = known_token(edge, request);
    request->proven = request->caller != NULL;
    return request->proven;
}

/* GET /v1/version: for whoever compares two installations. */
void edge_version(struct edge *edge, struct http_request *request)
{
    edge_count(edge, 200);
    http_reply(request, 200, NULL, json_pack("{s:s}", "version", offboard_version));
}

static const struct edge_route *find_route(const struct edge *edge, const char *path)
{
    for (const struct edge_route *route = edge->service->routes; route->path; route++) {
        size_t len = strlen(route->path);
        if (route->path[len - 1] == '/' ? strncmp(path, route->path, len) == 0 && path[len]
                                        : strcmp(path, route->path) == 0) {
            return route;
        }
    }
    return NULL;
}

void edge_refuse_method(struct edge *edge, struct http_request *request)
{
    const struct edge_route *route = find_route(edge, request->path);
    edge_count(edge, 405);
    http_problem(request, 405, http_reason(405), NULL,
                 route->method && strcmp(route->method, "GET") == 0 ? "this path takes GET" : "this path takes POST");
}

/* Bodies are read, and their signatures checked, as they come: no route decodes one. */
static bool is_as_it_is(struct edge *edge, struct http_request *request)
{
    struct err err = ERR_INIT;
    json_t *headers = http_headers(request);
    struct request plain = edge_request(request, headers);
    bool coded = request_check_coding(&plain, &err) != 0;
    if (coded) {
        edge_refuse(edge, request, 415, &err);
    }
    json_decref(headers);
    return !coded;
}

bool edge_on_head(struct http_request *request, void *arg)
{
    struct edge *edge = arg;
    const struct edge_route *route = find_route(edge, request->path);
    if (!route) {
        edge_count(edge, 404);
        http_problem(request, 404, http_reason(404), NULL, edge->service->paths);
        return false;
    }
    if (route->first && route->first(edge, request)) {
        return false;
    }
    if (route->method && strcmp(request->method, route->method) != 0) {
        edge_refuse_method(edge, request);
        return false;
    }
    return route->admit(edge, request) && is_as_it_is(edge, request);
}

void edge_on_request(struct http_request *request, void *arg)
{
    struct edge *edge = arg;
    find_route(edge, request->path)->handle(edge, request);
}
