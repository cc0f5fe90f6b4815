/* What is answered to a request of a source. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mapping.h"
#include "lib/mem.h"
#include "lib/webhook.h"

void webhook_reply_release(struct webhook_reply *reply)
{
    json_decref(reply->body);
    json_decref(reply->unavailable);
    *reply = (struct webhook_reply){0};
}

static json_t *result_of(const char *event, const char *outcome, const char *why, const char *id)
{
    json_t *result = json_object();
    json_put_string(result, "event", event);
    json_put_string(result, "outcome", outcome);
    json_put_string(result, "why", why);
    json_put_string(result, "id", why ? NULL : id);
    return result;
}

json_t *webhook_foresee(const struct webhook *webhook, const json_t *item, int64_t now, char **person)
{
    struct err err = ERR_INIT;
    struct mapped mapped = {0};
    const json_t *event = json_object_get(item, "event");
    *person = NULL;
    if (!event) {
        return result_of(NULL, "unreadable", json_string_at(item, "error"), NULL);
    }
    bool failed = mapping_apply(webhook->definitions, webhook->conf, event, NULL, now, &mapped, &err) != 0;
    const char *why = failed ? err_text(&err) : mapped.ignored_by ? mapped.ignored_by : mapped.refused;
    const char *outcome = !why ? "accepted" : mapped.ignored_by ? "ignored" : "refused";
    json_t *result = result_of(json_string_at(event, "id"), outcome, why, json_string_at(mapped.offboarding, "id"));
    *person = mem_strdup(mapped.person ? mapped.person : json_string_at(event, "id"));
    mapped_release(&mapped);
    err_release(&err);
    return result;
}

/* The body that `reply` of the source makes; NULL when it makes none. */
static json_t *reply_body(const struct webhook *webhook, const json_t *reply)
{
    const json_t *tmpl = json_object_get(reply, "body");
    struct err err = ERR_INIT;
    json_t *body = tmpl ? expr_render(definitions_exprs(webhook->definitions), tmpl, webhook->context, &err) : NULL;
    if (tmpl && !body) {
        log_warning("could not make a source's answer", "source", webhook->source->name, "error", err_text(&err), NULL);
    }
    err_release(&err);
    return body;
}

/* The first item of that outcome; -1: none has it. */
static int first_of(const json_t *results, const char *outcome)
{
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        if (strcmp(json_string_at(result, "outcome"), outcome) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static json_t *or_null(json_t *value)
{
    return value ? json_incref(value) : json_null();
}

/* What an answer may say of the item that speaks for all. */
static void show_result(struct webhook *webhook, const json_t *item, const json_t *result)
{
    const json_t *event = json_object_get(item, "event");
    json_object_set_new(webhook->context, "outcome", or_null(json_object_get(result, "outcome")));
    json_object_set_new(webhook->context, "why", or_null(json_object_get(result, "why")));
    json_object_set_new(webhook->context, "decision", or_null(json_object_get(result, "decision")));
    json_object_set_new(webhook->context, "data", or_null(json_object_get(event, "data")));
    json_object_set_new(webhook->context, "type", or_null(json_object_get(event, "type")));
}

bool webhook_answers_decision(const struct webhook *webhook)
{
    return expr_reads_in(json_object_get(webhook->source->tree, "answer"), "decision");
}

void webhook_answer(struct webhook *webhook, const json_t *items, const json_t *results, struct webhook_reply *reply)
{
    int refused = first_of(results, "refused");
    size_t chosen = refused < 0 ? 0 : (size_t)refused;
    show_result(webhook, json_array_get(items, chosen), json_array_get(results, chosen));
    const json_t *answer = json_object_get(webhook->source->tree, "answer");
    const json_t *refusal = refused < 0 ? NULL : json_object_get(answer, "refused");
    const json_t *unavailable = json_object_get(answer, "unavailable");
    bool unreadable = first_of(results, "unreadable") >= 0;
    const json_t *words = unreadable ? NULL : refusal ? refusal : answer;
    json_t *body = reply_body(webhook, words);
    *reply = (struct webhook_reply){
        .status = unreadable ? 422 : (int)json_int_at(words, "status", 202),
        .body = body ? body : json_pack("{s:O}", "results", results),
        .unavailable_status = (int)json_int_at(unavailable, "status", 503),
        .unavailable = unavailable ? reply_body(webhook, unavailable) : NULL,
    };
}
