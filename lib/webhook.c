#include "lib/webhook.h"

#include <stdlib.h>
#include <string.h>

#include "lib/cloudevent.h"
#include "lib/form.h"
#include "lib/json.h"
#include "lib/jwt_check.h"
#include "lib/mapping.h"
#include "lib/mem.h"
#include "lib/source_settings.h"
#include "lib/submission.h"

enum { CHALLENGE_LIMIT = 1000 /* bytes */ };

void webhook_release(struct webhook *webhook)
{
    json_decref(webhook->context);
    json_decref(webhook->claims);
    webhook->context = webhook->claims = NULL;
}

void webhook_reading_release(struct webhook_reading *reading)
{
    json_decref(reading->challenge);
    json_decref(reading->items);
    *reading = (struct webhook_reading){0};
}

bool webhook_open(const struct definition *source)
{
    return !json_object_get(source->tree, "signal") && signature_declared(source->tree);
}

static json_t *render(const struct webhook *webhook, const json_t *tmpl, struct err *err)
{
    return expr_render(definitions_exprs(webhook->definitions), tmpl, webhook->context, err);
}

/* ---- who sends --------------------------------------------------------------------------------------------------- */

static const json_t *keys_of(const char *setting, void *arg)
{
    return json_object_get(arg, setting);
}

static const char *header_of(const char *name, void *arg)
{
    return request_header(arg, name);
}

/* `jwt` of the source with its expressions filled in; NULL with an err, when it says nothing for want of a setting, too. */
static json_t *jwt_words(const struct webhook *webhook, struct err *err)
{
    json_t *context = json_pack("{s:o}", "settings", source_settings(webhook->source, webhook->conf));
    json_t *words = expr_render(definitions_exprs(webhook->definitions), json_object_get(webhook->source->tree, "jwt"),
                                context, err);
    json_decref(context);
    const char *missing = words && !json_string_at(words, "keys") ? "keys" : NULL, *name;
    json_t *claim;
    json_object_foreach(json_object_get(words, "claims"), name, claim)
    {
        missing = json_is_string(claim) && json_string_length(claim) > 0 ? missing : name;
    }
    if (missing) {
        err_set(err, ERR_PERMANENT, "jwt: nothing says what \"%s\" must be; is its setting given?", missing);
    } else if (words && !jwt_address_safe(json_string_at(words, "keys"))) {
        err_set(err, ERR_PERMANENT, "jwt: the address of the keys must begin with https://");
    } else {
        return words;
    }
    json_decref(words);
    return NULL;
}

char *webhook_key_address(const struct webhook *webhook)
{
    json_t *words = json_object_get(webhook->source->tree, "jwt") ? jwt_words(webhook, NULL) : NULL;
    char *address = mem_strdup(json_string_at(words, "keys"));
    json_decref(words);
    return address;
}

static enum signature_verdict verify_token(struct webhook *webhook, const struct webhook_ring *ring,
                                           const struct signature_request *given, struct err *err)
{
    json_t *words = jwt_words(webhook, err);
    if (!words) {
        return SIGNATURE_CLOSED;
    }
    json_decref(webhook->claims);
    webhook->claims = NULL;
    const json_t *keys = ring->key_set ? ring->key_set(json_string_at(words, "keys"), ring->arg) : NULL;
    enum signature_verdict verdict = jwt_check(words, keys, given, &webhook->claims, err);
    json_decref(words);
    return verdict;
}

enum signature_verdict webhook_verify(struct webhook *webhook, const struct webhook_ring *ring, int64_t now,
                                      struct err *err)
{
    const struct request *request = webhook->request;
    const json_t *tree = webhook->source->tree;
    struct signature_request given = {header_of, (void *)(uintptr_t)request, request->body, request->body_len, now};
    bool shared = json_object_get(tree, "signature") || json_object_get(tree, "token");
    bool token = json_object_get(tree, "jwt") != NULL;
    enum signature_verdict verdict = SIGNATURE_GOOD;
    if (shared || !token) {
        verdict = signature_check(tree, keys_of, (void *)(uintptr_t)ring->secrets, &given, err);
    }
    return verdict == SIGNATURE_GOOD && token ? verify_token(webhook, ring, &given, err) : verdict;
}

enum signature_verdict webhook_check_head(struct webhook *webhook, const struct webhook_ring *ring, struct err *err)
{
    const struct request *request = webhook->request;
    struct signature_request given = {.header = header_of, .arg = (void *)(uintptr_t)request, .body = ""};
    return signature_check_head(webhook->source->tree, keys_of, (void *)(uintptr_t)ring->secrets, &given, err);
}

json_t *webhook_token_body(const struct webhook *webhook)
{
    const json_t *jwt = json_object_get(webhook->source->tree, "jwt");
    return jwt && !json_object_get(jwt, "header") ? webhook->claims : NULL;
}

/* ---- a request --------------------------------------------------------------------------------------------------- */

/* What proves something is shown to no expression: expressions fill records. */
static json_t *plain_headers(const struct webhook *webhook)
{
    static const char *const secret[] = {"authorization", "cookie", "proxy-authorization"};
    json_t *headers = json_copy((json_t *)(uintptr_t)webhook->request->headers);
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

/* Takes over `body`. */
static void open_context(struct webhook *webhook, json_t *body)
{
    json_decref(webhook->context);
    webhook->context = json_pack("{s:o, s:o, s:o}", "body", body, "headers", plain_headers(webhook), "settings",
                                 source_settings(webhook->source, webhook->conf));
}

/* NULL with an err; `*status` of the refusal. A form becomes an object of texts, a token that is the body what it says. */
static json_t *read_body(const struct webhook *webhook, int *status, struct err *err)
{
    const struct request *request = webhook->request;
    *status = 415;
    if (request_check_coding(request, err) != 0) {
        return NULL;
    }
    *status = 400;
    if (webhook_token_body(webhook)) {
        return json_incref(webhook_token_body(webhook));
    }
    if (request_is_type(request, "application/x-www-form-urlencoded")) {
        return form_parse(request->body, request->body_len, err);
    }
    if (request_is_json(request)) {
        return submission_json(request, err);
    }
    *status = 415;
    err_set(err, ERR_PERMANENT, "send application/json, CloudEvents or application/x-www-form-urlencoded");
    return NULL;
}

/* The answer to the challenge that is posed, by a `value` of a header or by a body; NULL with the err. */
static json_t *challenge_answer(struct webhook *webhook, const char *value, struct err *err)
{
    json_object_set_new(webhook->context, "challenge", value ? json_string(value) : json_null());
    json_t *answer = render(webhook, json_at(webhook->source->tree, "challenge.answer"), err);
    if (!answer) {
        err_prefix(err, "challenge.answer");
    }
    return answer;
}

json_t *webhook_challenge(struct webhook *webhook, struct err *err)
{
    const char *header = json_string_at(webhook->source->tree, "challenge.header");
    const char *value = header ? request_header(webhook->request, header) : NULL;
    if (!value || strlen(value) > CHALLENGE_LIMIT) {
        return NULL;
    }
    open_context(webhook, json_null());
    return challenge_answer(webhook, value, err);
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
static json_t *given_event(const struct webhook *webhook, const json_t *item, struct err *err)
{
    enum cloudevent_mode mode = cloudevent_mode(webhook->request);
    if (mode == CLOUDEVENT_NONE) {
        err_set(err, ERR_PERMANENT, "it must be a CloudEvent: application/cloudevents+json, or ce- headers");
        return NULL;
    }
    json_t *event = mode == CLOUDEVENT_BINARY
                        ? cloudevent_from_headers(webhook->request, (json_t *)(uintptr_t)item, err)
                        : json_copy((json_t *)(uintptr_t)item);
    json_object_del(event, "offboardactor");
    return event;
}

/* The items of a request; NULL with an err. */
static json_t *list_items(const struct webhook *webhook, struct err *err)
{
    const json_t *words = json_object_get(webhook->source->tree, "events");
    json_t *body = json_object_get(webhook->context, "body");
    bool batch =
        !json_object_get(webhook->source->tree, "event") && cloudevent_mode(webhook->request) == CLOUDEVENT_BATCH;
    json_t *items = words ? render(webhook, words, err) : batch ? json_incref(body) : json_pack("[O]", body);
    if (items && (!json_is_array(items) || json_array_size(items) > SUBMISSION_EVENTS_MAX)) {
        err_set(err, ERR_PERMANENT, "it must be a list of at most %d", SUBMISSION_EVENTS_MAX);
        json_decref(items);
        items = NULL;
    }
    if (!items) {
        err_prefix(err, words ? "events" : "body");
    }
    return items;
}

/* {"event": …} or {"error": "…"}: an event without an id could not be told from its repeat. */
static json_t *read_item(struct webhook *webhook, json_t *item)
{
    struct err err = ERR_INIT;
    bool made = json_object_get(webhook->source->tree, "event") != NULL;
    json_t *event = made ? make_event(webhook, item, &err) : given_event(webhook, item, &err);
    if (event && submission_check(event, &err) != 0) {
        json_decref(event);
        event = NULL;
    }
    json_object_set_new(event, MAPPING_SOURCE, json_string(webhook->source->name));
    json_t *read = event ? json_pack("{s:o}", "event", event) : json_pack("{s:s}", "error", err_text(&err));
    err_release(&err);
    return read;
}

/* All items of a request, read. NULL with the first error when there are some, and none is an event. */
static json_t *read_items(struct webhook *webhook, struct err *err)
{
    json_t *items = list_items(webhook, err);
    json_t *read = items ? json_array() : NULL;
    bool any = json_array_size(items) == 0;
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        json_array_append_new(read, read_item(webhook, item));
        any = any || json_object_get(json_array_get(read, i), "event");
    }
    json_decref(items);
    if (read && !any) {
        err_set(err, ERR_PERMANENT, "%s", json_string_at(read, "0.error"));
        json_decref(read);
        read = NULL;
    }
    return read;
}

int webhook_read(struct webhook *webhook, struct webhook_reading *reading, struct err *err)
{
    int status = 400;
    *reading = (struct webhook_reading){0};
    json_t *body = read_body(webhook, &status, err);
    if (!body) {
        return status;
    }
    open_context(webhook, body);
    const json_t *test = json_at(webhook->source->tree, "challenge.if");
    if (test && expr_true(definitions_exprs(webhook->definitions), test, webhook->context, false)) {
        reading->challenge = challenge_answer(webhook, NULL, err);
        return reading->challenge ? 0 : 422;
    }
    reading->items = read_items(webhook, err);
    return reading->items ? 0 : 422;
}
