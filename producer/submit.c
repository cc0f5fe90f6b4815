/* POST /v1/offboardings: HR events for those who have a token. lib/submission.h reads and checks them. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/submission.h"
#include "lib/time.h"
#include "producer/edge_internal.h"

void submit_produce(struct exchange *exchange, const json_t *event, const char *person, const char *traceparent)
{
    char *value = json_text(event);
    const char *given = json_string_at(event, "traceparent");
    char *trace = message_traceparent(given ? given : traceparent);
    const char *const headers[] = {"content-type", "application/cloudevents+json", "traceparent", trace, NULL};
    struct kafka_record record = {.topic = exchange->edge->received,
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

/* Checks an event; puts it on its way when it is fine, and gives what the answer says of it. NULL with the status of the
 * refusal and the err. `*exchange` is begun when it is NULL. */
static json_t *submit(struct edge *edge, struct http_request *request, json_t *event, const char *token,
                      struct exchange **exchange, int *status, struct err *err)
{
    struct mapped mapped;
    *status = submission_examine(edge->definitions, edge->conf, event, token, NULL, time_now(), &mapped, err);
    if (*status) {
        return NULL;
    }
    *exchange = *exchange ? *exchange : exchange_new(edge, request);
    submit_produce(*exchange, event, mapped.person, http_header(request, "traceparent"));
    json_t *answer = json_pack("{s:s, s:s}", "id", json_string_at(mapped.offboarding, "id"), "person", mapped.person);
    mapped_release(&mapped);
    return answer;
}

static void submit_one(struct edge *edge, struct http_request *request, json_t *event, const char *token)
{
    struct err err = ERR_INIT;
    struct exchange *exchange = NULL;
    int status;
    json_t *answer = submit(edge, request, event, token, &exchange, &status, &err);
    if (answer) {
        exchange_seal(exchange, answer);
    } else {
        edge_refuse(edge, request, status, &err);
    }
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

/* Each event of a batch is taken or refused by itself; the answer lists them in order, each with its status. When one is
 * refused the whole is no success (422): a sender that looks at the status alone must not take a leaver for delivered.
 * Sending the batch again is harmless to those that were taken: their ids are the same. */
static void submit_batch(struct edge *edge, struct http_request *request, const json_t *events, const char *token)
{
    struct exchange *exchange = exchange_new(edge, request);
    json_t *results = json_array();
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        struct err err = ERR_INIT;
        int status;
        json_t *answer = submit(edge, request, event, token, &exchange, &status, &err);
        json_put(answer, "status", json_integer(202));
        json_array_append_new(results, answer ? answer : refusal(status, &err));
        exchange->status = answer ? exchange->status : 422;
    }
    exchange_seal(exchange, json_pack("{s:o}", "results", results));
}

void submit_handle(struct edge *edge, struct http_request *http)
{
    const char *token = http->caller;
    struct err err = ERR_INIT;
    json_t *headers = http_headers(http);
    struct request request = edge_request(http, headers);
    bool batch;
    int status;
    json_t *events = submission_events(&request, token, &batch, &status, &err);
    if (!events) {
        edge_refuse(edge, http, status, &err);
    } else if (batch) {
        submit_batch(edge, http, events, token);
    } else {
        submit_one(edge, http, json_array_get(events, 0), token);
    }
    json_decref(events);
    json_decref(headers);
}
