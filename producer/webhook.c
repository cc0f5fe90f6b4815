/* /v1/sources/<source>: what the systems themselves send, signed as they sign it. A request becomes one CloudEvent or several;
 * they are answered when Kafka has them, and the planner decides what becomes of each. lib/webhook.h reads the request. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/source_settings.h"
#include "lib/time.h"
#include "producer/edge_internal.h"
#include "producer/results.h"

enum {
    ANSWER_WITHIN_MS = 2500,   /* Slack and Okta take three seconds for a failure */
    DECISION_WITHIN_MS = 2300, /* a decision that comes later is not waited for */
};

json_t *webhook_secrets(struct definitions *definitions, const struct conf *conf)
{
    json_t *secrets = json_object();
    for (size_t i = 0; i < definition_count(definitions, DEFINITION_SOURCE); i++) {
        const struct definition *source = definition_item(definitions, DEFINITION_SOURCE, i);
        json_object_set_new(secrets, source->name, source_secrets(source, conf));
    }
    return secrets;
}

int webhook_check_keys(struct definitions *definitions, const json_t *secrets, struct err *err)
{
    for (size_t i = 0; i < definition_count(definitions, DEFINITION_SOURCE); i++) {
        const struct definition *source = definition_item(definitions, DEFINITION_SOURCE, i);
        const json_t *signature = json_object_get(source->tree, "signature");
        const char *setting = signature ? json_string_at(signature, "key") : NULL;
        const json_t *keys = setting ? json_object_get(json_object_get(secrets, source->name), setting) : NULL;
        size_t k, len;
        json_t *key;
        json_array_foreach(keys, k, key)
        {
            struct err why = ERR_INIT;
            char *bytes = signature_key(signature, json_string_value(key), &len, &why);
            if (!bytes) {
                err_set(err, ERR_FATAL, "sources.%s.%s: %s", source->name, setting, err_text(&why));
                err_release(&why);
                return -1;
            }
            OPENSSL_cleanse(bytes, len);
            free(bytes);
        }
    }
    return 0;
}

/* ---- who sends --------------------------------------------------------------------------------------------------- */

/* A sender whose keys can't be read just now sends again; whoever is unknown need not. */
static void turn_away(struct edge *edge, struct http_request *request, const struct definition *source,
                      enum signature_verdict verdict, const char *keys_away, const char *why)
{
    bool closed = verdict == SIGNATURE_CLOSED;
    int status = keys_away ? 503 : closed ? 404 : 401;
    series_add(metric_series(edge->turned_away, source->name, signature_verdict_name(verdict), NULL), 1);
    edge_log_refusal(&edge->turned_aways, request, source->name, NULL, keys_away ? keys_away : why);
    edge_count(edge, status);
    http_problem(request, status, http_reason(status), NULL, keys_away ? keys_away : why);
}

static const json_t *key_set(const char *url, void *arg)
{
    return keysets_find(arg, url);
}

bool webhook_sender_plausible(struct edge *edge, struct http_request *http, const struct definition *source)
{
    struct err err = ERR_INIT;
    json_t *headers = http_headers(http);
    struct request request = edge_request(http, headers);
    struct webhook webhook = {
        .definitions = edge->definitions, .conf = edge->conf, .source = source, .request = &request};
    struct webhook_ring ring = {json_object_get(edge->secrets, source->name), key_set, edge};
    enum signature_verdict verdict = webhook_check_head(&webhook, &ring, &err);
    if (verdict != SIGNATURE_GOOD) {
        turn_away(edge, http, source, verdict, NULL, err_text(&err));
    }
    err_release(&err);
    webhook_release(&webhook);
    json_decref(headers);
    return verdict == SIGNATURE_GOOD;
}

bool webhook_sender_known(struct edge *edge, struct http_request *http, struct webhook *webhook, keysets_resume *resume)
{
    struct err err = ERR_INIT;
    const struct definition *source = webhook->source;
    struct webhook_ring ring = {json_object_get(edge->secrets, source->name), key_set, edge};
    enum signature_verdict verdict = webhook_verify(webhook, &ring, time_now(), &err);
    char *away = NULL;
    bool waits = false;
    if (verdict == SIGNATURE_UNKNOWN_KEY) {
        char *address = webhook_key_address(webhook);
        waits = keysets_wait(edge, address, http, resume, &away);
        free(address);
    }
    if (verdict != SIGNATURE_GOOD && !waits) {
        turn_away(edge, http, source, verdict, away, err_text(&err));
    }
    free(away);
    err_release(&err);
    return verdict == SIGNATURE_GOOD;
}

/* ---- the handshake of web hooks (HTTP 1.1 Web Hooks for Event Delivery 1.0.2, 4) ----------------------------------- */

bool webhook_handshake(struct edge *edge, struct http_request *request)
{
    const char *origin = http_header(request, "WebHook-Request-Origin");
    const char *rate = http_header(request, "WebHook-Request-Rate");
    if (strcmp(request->method, "OPTIONS") != 0 || !origin || !*origin) {
        return false;
    }
    bool number = rate && *rate && strspn(rate, "0123456789") == strlen(rate);
    const char *const headers[] = {
        "Allow", "POST", "WebHook-Allowed-Origin", origin, "WebHook-Allowed-Rate", number ? rate : "*", NULL};
    edge_count(edge, 200);
    http_reply(request, 200, headers, NULL);
    return true;
}

/* ---- the answer ---------------------------------------------------------------------------------------------------- */

/* What is answered, once more is known: the note of an exchange has the source, what its expressions see, the items and what was foreseen of
 * each. */
static json_t *note_of(const struct webhook *webhook, const json_t *items, const json_t *results)
{
    return json_pack("{s:s, s:O, s:O, s:O}", "source", webhook->source->name, "context", webhook->context, "items",
                     items, "results", results);
}

static void set_answer(struct exchange *exchange, struct webhook *webhook, const json_t *items, const json_t *results)
{
    struct webhook_reply reply;
    webhook_answer(webhook, items, results, &reply);
    json_decref(exchange->answer);
    json_decref(exchange->unavailable);
    exchange->status = reply.status;
    exchange->answer = json_incref(reply.body);
    exchange->unavailable_status = reply.unavailable_status;
    exchange->unavailable = json_incref(reply.unavailable);
    webhook_reply_release(&reply);
}

/* Each result gets its `decision`. */
static void add_decisions(const json_t *items, const json_t *results, const json_t *rows)
{
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        const json_t *event = json_object_get(item, "event");
        const json_t *row = results_find_event(rows, json_string_at(event, "source"), json_string_at(event, "id"));
        if (row) {
            json_object_set_new(json_array_get(results, i), "decision", json_deep_copy(row));
        }
    }
}

static void on_decisions(void *arg, const json_t *rows)
{
    struct exchange *exchange = arg;
    struct edge *edge = exchange->edge;
    json_t *items = json_object_get(exchange->note, "items"), *results = json_object_get(exchange->note, "results");
    struct webhook webhook = {
        .definitions = edge->definitions,
        .conf = edge->conf,
        .source = definition_find(edge->definitions, DEFINITION_SOURCE, json_string_at(exchange->note, "source")),
        .context = json_incref(json_object_get(exchange->note, "context"))};
    add_decisions(items, results, rows);
    if (exchange->request) {
        set_answer(exchange, &webhook, items, results);
    }
    webhook_release(&webhook);
    exchange_settled(exchange);
}

static void await_decisions(struct exchange *exchange)
{
    json_t *events = json_array(), *item;
    size_t i;
    json_array_foreach(json_object_get(exchange->note, "items"), i, item)
    {
        const json_t *event = json_object_get(item, "event");
        if (event) {
            json_array_append_new(events, json_pack("{s:s?, s:s?}", "id", json_string_at(event, "id"), "source",
                                                    json_string_at(event, "source")));
        }
    }
    exchange_hold(exchange);
    results_of_events(exchange->edge->results, events, true, exchange->settle_ms, on_decisions, exchange);
    json_decref(events);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void submit(struct edge *edge, struct http_request *http, struct webhook *webhook, const json_t *items)
{
    struct exchange *exchange = exchange_new(edge, http);
    exchange_limit(exchange, ANSWER_WITHIN_MS);
    const char *traceparent = http_header(http, "traceparent");
    json_t *results = json_array();
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        char *person = NULL;
        json_t *result = webhook_foresee(webhook, item, time_now(), &person);
        json_array_append_new(results, result);
        if (person) {
            submit_produce(exchange, json_object_get(item, "event"), person, traceparent);
        } else {
            log_warning("could not make an event of a part of a source's request", "source", webhook->source->name,
                        "error", json_string_at(result, "why"), NULL);
        }
        free(person);
    }
    set_answer(exchange, webhook, items, results);
    if (edge->results && webhook_answers_decision(webhook)) {
        exchange_settle(exchange, await_decisions, note_of(webhook, items, results), DECISION_WITHIN_MS);
    }
    exchange_seal(exchange, exchange->answer);
    json_decref(results);
}

/* A sender asks once, before it has sent anything: nobody is let in by the answer, which says what was asked. */
static void handle_get(struct edge *edge, struct http_request *http, struct webhook *webhook)
{
    struct err err = ERR_INIT;
    json_t *answer = webhook_challenge(webhook, &err);
    if (answer) {
        edge_count(edge, 200);
        http_reply(http, 200, NULL, answer);
    } else if (err.class != ERR_NONE) {
        edge_refuse(edge, http, 422, &err);
    } else {
        edge_refuse_method(edge, http);
    }
}

static void handle_post(struct edge *edge, struct http_request *http, struct webhook *webhook)
{
    if (!webhook_sender_known(edge, http, webhook, webhook_handle)) {
        return;
    }
    struct err err = ERR_INIT;
    struct webhook_reading reading;
    int refused = webhook_read(webhook, &reading, &err);
    if (refused == 422) {
        log_warning("could not make events of a source's request", "source", webhook->source->name, "error",
                    err_text(&err), NULL);
    }
    if (refused) {
        edge_refuse(edge, http, refused, &err);
    } else if (reading.challenge) {
        edge_count(edge, 200);
        http_reply(http, 200, NULL, json_incref(reading.challenge));
    } else {
        submit(edge, http, webhook, reading.items);
    }
    webhook_reading_release(&reading);
}

static const struct definition *source_of(struct edge *edge, const struct http_request *http)
{
    return definition_find(edge->definitions, DEFINITION_SOURCE, http->path + strlen(SOURCES_PATH));
}

bool webhook_admit(struct edge *edge, struct http_request *http)
{
    const struct definition *source = source_of(edge, http);
    if (!source || !webhook_open(source)) {
        edge_count(edge, 404);
        http_problem(http, 404, http_reason(404), NULL,
                     "there is no source of that name with `signature`, `token` or `jwt`");
        return false;
    }
    return strcmp(http->method, "POST") != 0 || webhook_sender_plausible(edge, http, source);
}

void webhook_handle(struct edge *edge, struct http_request *http)
{
    const struct definition *source = source_of(edge, http);
    json_t *headers = http_headers(http);
    struct request request = edge_request(http, headers);
    struct webhook webhook = {
        .definitions = edge->definitions, .conf = edge->conf, .source = source, .request = &request};
    if (strcmp(http->method, "POST") == 0) {
        handle_post(edge, http, &webhook);
    } else if (strcmp(http->method, "GET") == 0) {
        handle_get(edge, http, &webhook);
    } else if (!webhook_handshake(edge, http)) {
        edge_refuse_method(edge, http);
    }
    webhook_release(&webhook);
    json_decref(headers);
}
