/* /v1/sources/<source>: what the systems themselves send, signed as they sign it. A request becomes one CloudEvent or several;
 * they are answered when Kafka has them, and the planner decides what becomes of each. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "lib/form.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mapping.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/signature.h"
#include "lib/source_settings.h"
#include "lib/time.h"
#include "producer/edge_internal.h"

enum {
    EVENTS_LIMIT = 1000,     /* of one request */
    CHALLENGE_LIMIT = 1000,  /* bytes */
    ANSWER_WITHIN_MS = 2500, /* Slack and Okta take three seconds for a failure */
};

/* ---- who sends --------------------------------------------------------------------------------------------------- */

struct keyring {
    const struct edge *edge;
    const struct definition *source;
};

static const json_t *keys_of(const char *setting, void *arg)
{
    const struct keyring *ring = arg;
    return json_object_get(json_object_get(ring->edge->secrets, ring->source->name), setting);
}

static const char *header_of(const char *name, void *arg)
{
    return http_header(arg, name);
}

/* Whoever sends nonsense chooses how often: one line in a while is enough, the counter has them all. */
static void log_turned_away(struct edge *edge, const char *source, const char *why)
{
    enum { EVERY_S = 10 };
    int64_t now = time_monotonic();
    if (edge->turned_away_said && now - edge->turned_away_said < EVERY_S * TIME_SECOND) {
        edge->turned_away_more++;
        return;
    }
    char *more = mem_printf("%llu", edge->turned_away_more);
    log_warning("a request to a source was turned away", "source", source, "reason", why, "more", more, NULL);
    free(more);
    edge->turned_away_said = now;
    edge->turned_away_more = 0;
}

bool webhook_sender_known(struct edge *edge, struct http_request *request, const struct definition *source)
{
    struct err err = ERR_INIT;
    struct keyring ring = {edge, source};
    struct signature_request given = {header_of, request, request->body, request->body_len, time_now()};
    enum signature_verdict verdict = signature_check(source->tree, keys_of, &ring, &given, &err);
    if (verdict != SIGNATURE_GOOD) {
        int status = verdict == SIGNATURE_CLOSED ? 404 : 401;
        series_add(metric_series(edge->turned_away, source->name, signature_verdict_name(verdict), NULL), 1);
        log_turned_away(edge, source->name, err_text(&err));
        edge_count(edge, status);
        http_problem(request, status, status == 404 ? "Not Found" : "Unauthorized", NULL, err_text(&err));
    }
    err_release(&err);
    return verdict == SIGNATURE_GOOD;
}

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

/* ---- a request --------------------------------------------------------------------------------------------------- */

struct webhook {
    struct edge *edge;
    struct http_request *request;
    const struct definition *source;
    json_t *context; /* body, headers, settings; `data` while one event is made, and what an answer may say */
};

static json_t *render(const struct webhook *webhook, const json_t *tmpl, struct err *err)
{
    return expr_render(definitions_exprs(webhook->edge->definitions), tmpl, webhook->context, err);
}

/* What proves something is shown to no expression: expressions fill records. */
static json_t *plain_headers(const struct webhook *webhook)
{
    static const char *const secret[] = {"authorization", "cookie", "proxy-authorization"};
    json_t *headers = http_headers(webhook->request);
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(headers, next, name, value)
    {
        bool drop = signature_reads(webhook->source->tree, name);
        for (size_t i = 0; i < COUNT_OF(secret); i++) {
            drop = drop || strcmp(name, secret[i]) == 0;
        }
        if (drop) {
            json_object_del(headers, name);
        }
    }
    return headers;
}

static void open_context(struct webhook *webhook, json_t *body)
{
    webhook->context = json_pack("{s:o, s:o, s:o}", "body", body, "headers", plain_headers(webhook), "settings",
                                 source_settings(webhook->source, webhook->edge->conf));
}

/* NULL with an err; `*status` of the refusal. A form becomes an object of texts. */
static json_t *read_body(const struct http_request *request, int *status, struct err *err)
{
    const char *type = http_header(request, "Content-Type");
    *status = 400;
    if (submit_is_type(type, "application/x-www-form-urlencoded")) {
        return form_parse(request->body, request->body_len, err);
    }
    if (submit_is_type(type, "application/json") || submit_is_type(type, "application/cloudevents+json") ||
        submit_is_type(type, "application/cloudevents-batch+json")) {
        return json_parse(request->body, request->body_len, err);
    }
    *status = 415;
    err_set(err, ERR_PERMANENT, "send application/json, CloudEvents or application/x-www-form-urlencoded");
    return NULL;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* One member of `event` as text. The caller frees; NULL with an err. */
static char *event_text(const struct webhook *webhook, const char *member, struct err *err)
{
    const json_t *tmpl = json_at(webhook->source->tree, "event");
    json_t *value = render(webhook, json_object_get(tmpl, member), err);
    char *text = NULL;
    if (json_is_string(value) && json_string_length(value) > 0) {
        text = mem_strdup(json_string_value(value));
    } else if (json_is_integer(value)) {
        text = json_text(value);
    } else if (value) {
        err_set(err, ERR_PERMANENT, "it must be a text or a whole number");
    }
    json_decref(value);
    if (!text) {
        err_prefix(err, "event.%s", member);
    }
    return text;
}

/* The CloudEvent that `event` makes of one item; NULL with an err. */
static json_t *make_event(struct webhook *webhook, json_t *item, struct err *err)
{
    const json_t *words = json_object_get(webhook->source->tree, "event");
    json_object_set(webhook->context, "data", item);
    char *id = event_text(webhook, "id", err);
    char *type = id ? event_text(webhook, "type", err) : NULL;
    char *time = type && json_object_get(words, "time") ? event_text(webhook, "time", err) : NULL;
    bool fine = type && (time || !json_object_get(words, "time"));
    const json_t *tmpl = json_object_get(words, "data");
    json_t *data = !fine ? NULL : tmpl ? render(webhook, tmpl, err) : json_incref(item);
    json_t *event = NULL;
    if (data) {
        char *address = mem_printf("/offboard/sources/%s", webhook->source->name);
        event = json_pack("{s:s, s:s, s:s, s:s, s:O}", "specversion", "1.0", "id", id, "source", address, "type", type,
                          "data", data);
        json_put_string(event, "time", time);
        free(address);
    } else if (fine) {
        err_prefix(err, "event.data");
    }
    json_decref(data);
    free(time);
    free(type);
    free(id);
    return event;
}

/* A source without `event` takes CloudEvents as they are. */
static json_t *given_event(struct webhook *webhook, json_t *item, struct err *err)
{
    const char *type = http_header(webhook->request, "Content-Type");
    bool binary = submit_is_type(type, "application/json");
    if (!json_is_object(item) || (binary && !http_header(webhook->request, "ce-specversion"))) {
        err_set(err, ERR_PERMANENT, "it must be a CloudEvent: application/cloudevents+json, or ce- headers");
        return NULL;
    }
    json_t *event = binary ? submit_wrap_binary(webhook->request, item) : json_copy(item);
    json_object_del(event, "offboardactor");
    return event;
}

/* The items of a request; NULL with an err. */
static json_t *read_items(const struct webhook *webhook, struct err *err)
{
    const json_t *words = json_object_get(webhook->source->tree, "events");
    json_t *body = json_object_get(webhook->context, "body");
    bool batch = !json_object_get(webhook->source->tree, "event") && json_is_array(body);
    json_t *items = words ? render(webhook, words, err) : batch ? json_incref(body) : json_pack("[O]", body);
    if (items && (!json_is_array(items) || json_array_size(items) > EVENTS_LIMIT)) {
        err_set(err, ERR_PERMANENT, "it must be a list of at most %d", EVENTS_LIMIT);
        json_decref(items);
        items = NULL;
    }
    if (!items) {
        err_prefix(err, words ? "events" : "body");
    }
    return items;
}

/* All events of a request, or none: an event without an id could not be told from its repeat. */
static json_t *read_events(struct webhook *webhook, struct err *err)
{
    json_t *items = read_items(webhook, err);
    json_t *events = items ? json_array() : NULL;
    bool made = json_object_get(webhook->source->tree, "event");
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        json_t *event = made ? make_event(webhook, item, err) : given_event(webhook, item, err);
        if (!event || message_cloudevent_check(event, err) != 0) {
            json_decref(event);
            json_decref(events);
            events = NULL;
            break;
        }
        json_object_set_new(event, MAPPING_SOURCE, json_string(webhook->source->name));
        json_array_append_new(events, event);
    }
    json_decref(items);
    return events;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* What the planner will make of an event, as far as it can be told without knowing who is leaving already: {event, outcome, why, id}.
 * `*person` is the key of its record. */
static json_t *foresee(const struct webhook *webhook, const json_t *event, char **person)
{
    struct err err = ERR_INIT;
    struct mapped mapped = {0};
    const char *outcome = "accepted";
    char *why = NULL;
    struct edge *edge = webhook->edge;
    if (mapping_apply(edge->definitions, edge->conf, event, NULL, time_now(), &mapped, &err) != 0) {
        outcome = "refused";
        why = mem_strdup(err_text(&err));
    } else if (mapped.ignored_by) {
        outcome = "ignored";
        why = mem_strdup(mapped.ignored_by);
    } else if (mapped.refused) {
        outcome = "refused";
        why = mem_strdup(mapped.refused);
    }
    json_t *result = json_pack("{s:s, s:s}", "event", json_string_at(event, "id"), "outcome", outcome);
    json_put_string(result, "why", why);
    if (!why) {
        json_put_string(result, "id", json_string_at(mapped.offboarding, "id"));
    }
    *person = mapped.person ? mem_strdup(mapped.person) : mem_strdup(json_string_at(event, "id"));
    mapped_release(&mapped);
    err_release(&err);
    free(why);
    return result;
}

/* The body that `reply` of the source makes; NULL when it makes none. */
static json_t *reply_body(const struct webhook *webhook, const json_t *reply)
{
    const json_t *tmpl = json_object_get(reply, "body");
    struct err err = ERR_INIT;
    json_t *body = tmpl ? render(webhook, tmpl, &err) : NULL;
    if (tmpl && !body) {
        log_warning("could not make a source's answer", "source", webhook->source->name, "error", err_text(&err), NULL);
    }
    err_release(&err);
    return body;
}

/* `results` tell of the events, in order; the first that was refused speaks for all. */
static void seal(struct webhook *webhook, struct exchange *exchange, const json_t *events, json_t *results)
{
    size_t chosen = 0, i;
    json_t *result;
    bool refused = false;
    json_array_foreach(results, i, result)
    {
        if (!refused && strcmp(json_string_at(result, "outcome"), "refused") == 0) {
            chosen = i;
            refused = true;
        }
    }
    const json_t *event = json_array_get(events, chosen);
    json_t *told = json_array_get(results, chosen);
    static const char *const members[][2] = {{"outcome", "outcome"}, {"why", "why"}};
    for (size_t m = 0; m < COUNT_OF(members); m++) {
        json_t *value = json_object_get(told, members[m][0]);
        json_object_set_new(webhook->context, members[m][1], value ? json_incref(value) : json_null());
    }
    json_t *data = json_object_get(event, "data");
    json_object_set_new(webhook->context, "data", data ? json_incref(data) : json_null());
    json_object_set_new(webhook->context, "type", event ? json_incref(json_object_get(event, "type")) : json_null());
    const json_t *answer = json_object_get(webhook->source->tree, "answer");
    const json_t *refusal = refused ? json_object_get(answer, "refused") : NULL;
    const json_t *reply = refusal ? refusal : answer;
    const json_t *unavailable = json_object_get(answer, "unavailable");
    exchange->status = (int)json_int_at(reply, "status", 202);
    exchange->unavailable_status = (int)json_int_at(unavailable, "status", 503);
    exchange->unavailable = unavailable ? reply_body(webhook, unavailable) : NULL;
    json_t *body = reply_body(webhook, reply);
    exchange_seal(exchange, body ? body : json_pack("{s:O}", "results", results));
}

static void submit(struct webhook *webhook, json_t *events)
{
    struct exchange *exchange = exchange_new(webhook->edge, webhook->request);
    exchange_limit(exchange, ANSWER_WITHIN_MS);
    const char *traceparent = http_header(webhook->request, "traceparent");
    json_t *results = json_array();
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        char *person = NULL;
        json_array_append_new(results, foresee(webhook, event, &person));
        submit_produce(exchange, event, person, traceparent);
        free(person);
    }
    seal(webhook, exchange, events, results);
    json_decref(results);
}

/* ---- challenges -------------------------------------------------------------------------------------------------- */

/* Answers when the request asks whether this is the right address; false when it does not. */
static bool answer_challenge(struct webhook *webhook, const char *challenge)
{
    const json_t *words = json_object_get(webhook->source->tree, "challenge");
    const json_t *test = json_object_get(words, "if");
    bool posed =
        challenge || (test && expr_true(definitions_exprs(webhook->edge->definitions), test, webhook->context, false));
    if (!posed) {
        return false;
    }
    json_object_set_new(webhook->context, "challenge", challenge ? json_string(challenge) : json_null());
    struct err err = ERR_INIT;
    json_t *body = render(webhook, json_object_get(words, "answer"), &err);
    if (body) {
        edge_count(webhook->edge, 200);
        http_reply(webhook->request, 200, NULL, body);
    } else {
        err_prefix(&err, "challenge.answer");
        edge_refuse(webhook->edge, webhook->request, 422, &err);
    }
    return true;
}

/* A sender asks once, before it has sent anything: nobody is let in by the answer, which says what was asked. */
static void handle_get(struct webhook *webhook)
{
    const char *header = json_string_at(webhook->source->tree, "challenge.header");
    const char *challenge = header ? http_header(webhook->request, header) : NULL;
    json_t *text = challenge && strlen(challenge) <= CHALLENGE_LIMIT ? json_string(challenge) : NULL;
    if (!text) {
        edge_count(webhook->edge, 405);
        http_problem(webhook->request, 405, "Method Not Allowed", NULL, "this path takes POST");
        return;
    }
    json_decref(text);
    open_context(webhook, json_null());
    answer_challenge(webhook, challenge);
}

static void handle_post(struct webhook *webhook)
{
    struct err err = ERR_INIT;
    int status = 400;
    if (!webhook_sender_known(webhook->edge, webhook->request, webhook->source)) {
        return;
    }
    json_t *body = read_body(webhook->request, &status, &err);
    if (!body && status == 415) {
        edge_count(webhook->edge, 415);
        http_problem(webhook->request, 415, "Unsupported Media Type", "Content-Type", err_text(&err));
        err_release(&err);
        return;
    }
    if (!body) {
        edge_refuse(webhook->edge, webhook->request, status, &err);
        return;
    }
    open_context(webhook, body);
    if (answer_challenge(webhook, NULL)) {
        return;
    }
    json_t *events = read_events(webhook, &err);
    if (!events) {
        log_warning("could not make events of a source's request", "source", webhook->source->name, "error",
                    err_text(&err), NULL);
        edge_refuse(webhook->edge, webhook->request, 422, &err);
        return;
    }
    submit(webhook, events);
    json_decref(events);
}

void webhook_handle(struct edge *edge, struct http_request *request)
{
    const char *name = request->path + strlen(SOURCES_PATH);
    const struct definition *source = definition_find(edge->definitions, DEFINITION_SOURCE, name);
    bool open = source && !json_object_get(source->tree, "signal") &&
                (json_object_get(source->tree, "signature") || json_object_get(source->tree, "token"));
    bool get = strcmp(request->method, "GET") == 0;
    struct webhook webhook = {edge, request, source, NULL};
    if (!open) {
        edge_count(edge, 404);
        http_problem(request, 404, "Not Found", NULL, "there is no source of that name with `signature` or `token`");
    } else if (!get && strcmp(request->method, "POST") != 0) {
        edge_count(edge, 405);
        http_problem(request, 405, "Method Not Allowed", NULL, "this path takes POST");
    } else if (get) {
        handle_get(&webhook);
    } else {
        handle_post(&webhook);
    }
    json_decref(webhook.context);
}
