/* POST /v1/signals/<source>: what the outside world says. It becomes an event; the logger wakes the jobs that wait for it. */
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/mapping.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/time.h"
#include "producer/edge_internal.h"

enum { KEY_LIMIT = 500, DATA_LIMIT = 64 * 1024 /* bytes */ };

/* The text of one member of the source's `signal`. The caller frees; NULL with an err. */
static char *read_text(struct edge *edge, const json_t *rules, const char *name, const json_t *context, struct err *err)
{
    char *text = expr_text(definitions_exprs(edge->definitions), json_string_at(rules, name), context, err);
    if (!text) {
        err_prefix(err, "signal.%s", name);
    } else if (!*text || strlen(text) > KEY_LIMIT) {
        err_set(err, ERR_PERMANENT, "signal.%s is empty or longer than %d bytes", name, KEY_LIMIT);
        free(text);
        text = NULL;
    }
    return text;
}

/* Without an `id` in the source file, the same body is the same signal. */
static char *sender_id(struct edge *edge, const json_t *rules, const json_t *context,
                       const struct http_request *request, struct err *err)
{
    if (json_object_get(rules, "id")) {
        return read_text(edge, rules, "id", context, err);
    }
    char digest[ID_SHA256_HEX_SIZE];
    id_sha256_hex(request->body, request->body_len, digest);
    return mem_strdup(digest);
}

static json_t *read_data(struct edge *edge, const json_t *rules, const json_t *context, struct err *err)
{
    const json_t *tmpl = json_object_get(rules, "data");
    json_t *data = tmpl ? expr_render(definitions_exprs(edge->definitions), tmpl, context, err) : json_object();
    char *text = data ? json_text(data) : NULL;
    if (!data) {
        err_prefix(err, "signal.data");
    } else if (message_check_depth("signal.data", data, err) != 0) {
        json_decref(data);
        data = NULL;
    } else if (strlen(text) > DATA_LIMIT) {
        err_set(err, ERR_PERMANENT, "signal.data is longer than %d bytes", DATA_LIMIT);
        json_decref(data);
        data = NULL;
    }
    free(text);
    return data;
}

/* {id, name, key, source, data, received_at}, by the source's `signal`. NULL with an err. */
static json_t *read_signal(struct edge *edge, const struct definition *source, const struct http_request *request,
                           json_t *body, struct err *err)
{
    const json_t *rules = json_object_get(source->tree, "signal");
    json_t *context = json_pack("{s:O}", "data", body);
    char *name = read_text(edge, rules, "name", context, err);
    char *key = name ? read_text(edge, rules, "key", context, err) : NULL;
    char *sent = key ? sender_id(edge, rules, context, request, err) : NULL;
    json_t *data = sent ? read_data(edge, rules, context, err) : NULL;
    json_t *signal = NULL;
    if (data) {
        char id[ID_SIZE], now[TIME_TEXT_SIZE];
        id_signal(source->name, sent, id);
        time_format(time_now(), now);
        signal = json_pack("{s:s, s:s, s:s, s:s, s:o, s:s}", "id", id, "name", name, "key", key, "source", source->name,
                           "data", mapping_without_private(data), "received_at", now);
    }
    json_decref(data);
    free(sent);
    free(key);
    free(name);
    json_decref(context);
    return signal;
}

/* The name of the criterion that isn't met; NULL: all are. */
static const char *unmet(struct edge *edge, const struct definition *source, json_t *body)
{
    json_t *context = json_pack("{s:O}", "data", body);
    const char *name, *found = NULL;
    json_t *criterion;
    json_object_foreach(json_object_get(source->tree, "criteria"), name, criterion)
    {
        if (!found && !expr_true(definitions_exprs(edge->definitions), criterion, context, true)) {
            found = name;
        }
    }
    json_decref(context);
    return found;
}

static const struct definition *find_source(struct edge *edge, struct http_request *request, const char *name)
{
    const struct definition *source = definition_find(edge->definitions, DEFINITION_SOURCE, name);
    if (source && json_object_get(source->tree, "signal")) {
        return source;
    }
    edge_count(edge, 404);
    http_problem(request, 404, "Not Found", NULL, "there is no source of that name with `signal`");
    return NULL;
}

static void take(struct edge *edge, struct http_request *request, const struct definition *source, json_t *body,
                 json_t *actor)
{
    struct err err = ERR_INIT;
    const char *criterion = unmet(edge, source, body);
    json_t *signal = criterion ? NULL : read_signal(edge, source, request, body, &err);
    if (criterion) {
        edge_count(edge, 200);
        http_reply(request, 200, NULL, json_pack("{s:s}", "ignored", criterion));
    } else if (!signal) {
        edge_refuse(edge, request, 422, &err);
    } else {
        json_object_set(signal, "actor", actor);
        struct exchange *exchange = exchange_new(edge, request);
        json_t *event = message_event_new("signal", NULL, json_pack("{s:n, s:O}", "offboarding_id", "signal", signal));
        exchange_produce_event(exchange, json_string_at(signal, "key"), event, NULL,
                               http_header(request, "traceparent"));
        exchange_seal(exchange, json_pack("{s:O, s:O, s:O}", "id", json_object_get(signal, "id"), "signal",
                                          json_object_get(signal, "name"), "key", json_object_get(signal, "key")));
    }
    json_decref(signal);
}

/* The source whose sender proves itself; NULL when a token of ours has to say who sends. */
static const struct definition *signed_source(struct edge *edge, const char *name)
{
    const struct definition *source = definition_find(edge->definitions, DEFINITION_SOURCE, name);
    return source && json_object_get(source->tree, "signal") && signature_declared(source->tree) ? source : NULL;
}

/* The sender is known by now: as `kind` ("source", "token") and `id`. */
static void take_body(struct edge *edge, struct http_request *request, const struct definition *source, json_t *given,
                      const char *kind, const char *id)
{
    struct err err = ERR_INIT;
    json_t *body = given ? json_incref(given) : json_parse(request->body, request->body_len, &err);
    if (!body) {
        edge_refuse(edge, request, 400, &err);
        return;
    }
    json_t *person = json_object_get(body, "requested_by");
    json_t *actor =
        json_pack("{s:s, s:s, s:O?}", "kind", kind, "id", id, "name", json_is_string(person) ? person : NULL);
    take(edge, request, source, body, actor);
    json_decref(actor);
    json_decref(body);
}

static void handle_signed(struct edge *edge, struct http_request *http, const struct definition *source)
{
    json_t *headers = http_headers(http);
    struct request request = edge_request(http, headers);
    struct webhook webhook = {
        .definitions = edge->definitions, .conf = edge->conf, .source = source, .request = &request};
    if (webhook_sender_known(edge, http, &webhook, signals_handle)) {
        take_body(edge, http, source, webhook_token_body(&webhook), "source", source->name);
    }
    webhook_release(&webhook);
    json_decref(headers);
}

void signals_handle(struct edge *edge, struct http_request *request)
{
    const char *name = request->path + strlen(SIGNALS_PATH);
    const struct definition *source = signed_source(edge, name);
    if (source) {
        handle_signed(edge, request, source);
        return;
    }
    take_body(edge, request, definition_find(edge->definitions, DEFINITION_SOURCE, name), NULL, "token",
              request->caller);
}

/* Who may retry and skip may say that a task is done. */
bool signals_admit(struct edge *edge, struct http_request *request)
{
    static const char *const roles[] = {"signals", "operator", NULL};
    const char *name = request->path + strlen(SIGNALS_PATH);
    const struct definition *source = signed_source(edge, name);
    return source ? webhook_sender_plausible(edge, request, source)
                  : edge_admit(edge, request, roles) && find_source(edge, request, name) != NULL;
}
