/* POST /v1/offboardings: plain JSON, or CloudEvents 1.0 structured, batched or binary (HTTP protocol binding 1.0.2). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/plan.h"
#include "lib/time.h"
#include "producer/edge_internal.h"

enum { BATCH_LIMIT = 1000 };

/* Members of plain JSON that become attributes; the rest is the event's data. */
static json_t *wrap_plain(const struct http_request *request, const char *token, json_t *body, struct err *err)
{
    const char *key = http_header(request, "Idempotency-Key");
    const char *id = json_string_at(body, "id");
    if (!json_is_object(body)) {
        err_set(err, ERR_PERMANENT, "the body must be a JSON object");
        return NULL;
    }
    if (json_object_get(body, "id") && !json_is_string(json_object_get(body, "id"))) {
        err_set(err, ERR_PERMANENT, "id must be a text");
        return NULL;
    }
    if ((!id || !*id) && (!key || !*key)) {
        err_set(err, ERR_PERMANENT,
                "id is missing: give `id` in the body or the header Idempotency-Key, so that a repeat is known");
        return NULL;
    }
    const json_t *type = json_object_get(body, "type");
    if (type && !json_is_string(type)) {
        err_set(err, ERR_PERMANENT, "type must be a text");
        return NULL;
    }
    char *source = mem_printf("/offboard/edge/%s", token);
    json_t *event =
        json_pack("{s:s, s:s, s:s, s:s, s:O}", "specversion", "1.0", "source", source, "id", id && *id ? id : key,
                  "type", type ? json_string_value(type) : "leaver.created", "data", body);
    free(source);
    return event;
}

/* Attributes in ce- headers, the body is the data. */
json_t *submit_wrap_binary(const struct http_request *request, json_t *body)
{
    static const char *const names[] = {"id",      "source", "specversion", "type",
                                        "subject", "time",   "dataschema",  "traceparent"};
    json_t *event = json_object();
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *header = mem_printf("ce-%s", names[i]);
        json_put_string(event, names[i], http_header(request, header));
        free(header);
    }
    json_object_set(event, "data", body);
    return event;
}

/* Checks an event as the planner will. 0 and what the answer says of it; the status of a refusal with the reason:
 * 400 when it is no CloudEvent, 422 when its content can't be right. */
static int examine(struct edge *edge, json_t *event, const char *token, json_t **answer, char **person, struct err *err)
{
    if (message_cloudevent_check(event, err) != 0) {
        return 400;
    }
    json_object_set_new(event, "offboardactor", json_string(token)); /* whatever came from outside is replaced */
    json_object_del(event, MAPPING_SOURCE);
    struct mapped mapped = {0};
    if (mapping_apply(edge->definitions, edge->conf, event, NULL, time_now(), &mapped, err) != 0) {
        return 422;
    }
    if (!mapped.person) {
        mapped_release(&mapped);
        err_set(err, ERR_PERMANENT, "user: give email or employee_id");
        return 422;
    }
    *person = mem_strdup(mapped.person);
    *answer = json_pack("{s:s, s:s}", "id", json_string_at(mapped.offboarding, "id"), "person", mapped.person);
    mapped_release(&mapped);
    return 0;
}

void submit_produce(struct exchange *exchange, const json_t *event, const char *person, const char *traceparent)
{
    char *value = json_text(event);
    const char *given = json_string_at(event, "traceparent");
    char *trace = message_traceparent(given ? given : traceparent);
    const char *const headers[] = {"content-type", "application/cloudevents+json", "traceparent", trace, NULL};
    struct kafka_record record = {.topic = exchange->edge->intake,
                                  .partition = RD_KAFKA_PARTITION_UA,
                                  .key = person,
                                  .key_len = strlen(person),
                                  .value = value,
                                  .value_len = strlen(value),
                                  .headers = headers};
    exchange_produce(exchange, &record);
    free(trace);
    free(value);
}

static void submit_one(struct edge *edge, struct http_request *request, json_t *event, const char *token)
{
    struct err err = ERR_INIT;
    json_t *answer = NULL;
    char *person = NULL;
    int refused = examine(edge, event, token, &answer, &person, &err);
    if (refused) {
        edge_refuse(edge, request, refused, &err);
        return;
    }
    struct exchange *exchange = exchange_new(edge, request);
    submit_produce(exchange, event, person, http_header(request, "traceparent"));
    free(person);
    exchange_seal(exchange, answer);
}

static json_t *refusal(int status, struct err *err)
{
    char *field = edge_field(err_text(err));
    json_t *result = json_pack("{s:i, s:s}", "status", status, "detail", err_text(err));
    json_put_string(result, "field", field);
    free(field);
    err_release(err);
    return result;
}

/* Each event of a batch is taken or refused by itself; the answer lists them in order, each with its status. */
static void submit_batch(struct edge *edge, struct http_request *request, json_t *events, const char *token)
{
    struct err err = ERR_INIT;
    if (!json_is_array(events) || json_array_size(events) > BATCH_LIMIT) {
        err_set(&err, ERR_PERMANENT, "a batch is a JSON array of at most %d CloudEvents", BATCH_LIMIT);
        edge_refuse(edge, request, 400, &err);
        return;
    }
    struct exchange *exchange = exchange_new(edge, request);
    json_t *results = json_array();
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        json_t *answer = NULL;
        char *person = NULL;
        int refused = examine(edge, event, token, &answer, &person, &err);
        if (!refused) {
            submit_produce(exchange, event, person, http_header(request, "traceparent"));
            json_put(answer, "status", json_integer(202));
        }
        json_array_append_new(results, refused ? refusal(refused, &err) : answer);
        free(person);
    }
    exchange_seal(exchange, json_pack("{s:o}", "results", results));
}

bool submit_is_type(const char *header, const char *type)
{
    size_t len = strlen(type);
    return header && strncasecmp(header, type, len) == 0 && (!header[len] || header[len] == ';' || header[len] == ' ');
}

void submit_handle(struct edge *edge, struct http_request *request)
{
    char *token = edge_authorize(edge, request, "intake");
    if (!token) {
        return;
    }
    const char *type = http_header(request, "Content-Type");
    bool structured = submit_is_type(type, "application/cloudevents+json");
    bool batch = submit_is_type(type, "application/cloudevents-batch+json");
    bool binary = !structured && !batch && http_header(request, "ce-specversion");
    struct err err = ERR_INIT;
    if (!structured && !batch && !submit_is_type(type, "application/json")) {
        edge_count(edge, 415);
        http_problem(request, 415, "Unsupported Media Type", "Content-Type",
                     "send application/json, application/cloudevents+json or application/cloudevents-batch+json");
        free(token);
        return;
    }
    json_t *body = json_parse(request->body, request->body_len, &err);
    json_t *event = !body                 ? NULL
                    : structured || batch ? json_incref(body)
                    : binary              ? submit_wrap_binary(request, body)
                                          : wrap_plain(request, token, body, &err);
    if (!event) {
        edge_refuse(edge, request, 400, &err);
    } else if (batch) {
        submit_batch(edge, request, event, token);
    } else {
        submit_one(edge, request, event, token);
    }
    json_decref(event);
    json_decref(body);
    free(token);
}
