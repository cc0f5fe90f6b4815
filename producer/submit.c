/* POST /v1/offboardings: HR events for those who have a token. lib/submission.h reads and checks them. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/submission.h"
#include "lib/time.h"
#include "producer/edge_internal.h"
#include "producer/results.h"

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

/* ---- what became of them ---------------------------------------------------------------------------------------- */

/* What the planner has decided about an event, beside what the answer says of it anyway. */
static bool add_decision(json_t *answer, const json_t *event, const json_t *rows)
{
    const json_t *row = results_find_event(rows, json_string_at(event, "source"), json_string_at(event, "id"));
    json_put_string(answer, "disposition", json_string_at(row, "disposition"));
    json_put_string(answer, "reason", json_string_at(row, "reason"));
    json_put_string(answer, "offboarding_id", json_string_at(row, "offboarding_id"));
    return row != NULL;
}

/* The note has the events; the answer is about one, or has `results` in their order. */
static void on_decisions(void *arg, const json_t *rows)
{
    struct exchange *exchange = arg;
    json_t *results = json_object_get(exchange->answer, "results");
    bool all = true;
    size_t i;
    json_t *event;
    json_array_foreach(exchange->note, i, event)
    {
        json_t *answer = results ? json_array_get(results, (size_t)json_int_at(event, "at", 0)) : exchange->answer;
        bool known = add_decision(answer, event, rows);
        all = all && known;
    }
    exchange->status = exchange->status == 202 && all ? 200 : exchange->status;
    exchange_settled(exchange);
}

static void await_decisions(struct exchange *exchange)
{
    exchange_hold(exchange);
    results_of_events(exchange->edge->results, exchange->note, false, exchange->settle_ms, on_decisions, exchange);
}

/* The events that were taken, each with its place in the answer. New reference. */
static json_t *note_of(const json_t *events, const json_t *answer)
{
    json_t *note = json_array();
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        json_t *result = json_array_get(json_object_get(answer, "results"), i);
        if (json_int_at(result, "status", 202) == 202) {
            json_array_append_new(note, json_pack("{s:s?, s:s?, s:i}", "source", json_string_at(event, "source"), "id",
                                                  json_string_at(event, "id"), "at", (int)i));
        }
    }
    return note;
}

/* Answers when Kafka has the events; or when the planner has decided about them, when the caller wants to wait for it. */
static void answer_events(struct exchange *exchange, const json_t *events, json_t *answer)
{
    unsigned int wait = exchange->edge->results ? results_wanted(exchange->request) : 0;
    if (wait) {
        exchange_settle(exchange, await_decisions, note_of(events, answer), wait);
    }
    exchange_seal(exchange, answer);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void submit_one(struct edge *edge, struct http_request *request, json_t *event, const char *token)
{
    struct err err = ERR_INIT;
    struct exchange *exchange = NULL;
    int status;
    json_t *answer = submit(edge, request, event, token, &exchange, &status, &err);
    if (answer) {
        json_t *events = json_pack("[O]", event);
        answer_events(exchange, events, answer);
        json_decref(events);
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
    answer_events(exchange, events, json_pack("{s:o}", "results", results));
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
