/* What is answered to orders: their ids, and what became of them. */
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "producer/edge_internal.h"
#include "producer/results.h"

/* ---- POST /v1/orders --------------------------------------------------------------------------------------------- */

/* All refused is a conflict; what is not recorded in time stays accepted. */
static void on_results(void *arg, const json_t *rows)
{
    struct exchange *exchange = arg;
    json_t *answer = exchange->answer;
    size_t count = json_array_size(json_object_get(answer, "ids")), known = json_array_size(rows);
    json_object_set_new(answer, "results", rows ? json_deep_copy(rows) : json_array());
    if (count > 0 && json_count(rows, "result", "refused") == count) {
        exchange->problem = true;
        exchange->status = 409;
        json_put_string(answer, "title", http_reason(409));
        json_put(answer, "status", json_integer(409));
        json_put_string(answer, "detail", json_string_at(json_array_get(rows, 0), "why"));
    } else if (known >= count) {
        exchange->status = 200;
    }
    exchange_settled(exchange);
}

static void await_results(struct exchange *exchange)
{
    exchange_hold(exchange);
    results_of_orders(exchange->edge->results, json_object_get(exchange->answer, "ids"), exchange->settle_ms,
                      on_results, exchange);
}

void order_answer(struct exchange *exchange, json_t *answer)
{
    unsigned int wait = exchange->edge->results ? results_wanted(exchange->request) : 0;
    if (wait) {
        exchange_settle(exchange, await_results, NULL, wait);
    }
    exchange_seal(exchange, answer);
}

/* ---- GET /v1/orders/<id> ----------------------------------------------------------------------------------------- */

struct question {
    struct edge *edge;
    struct http_request *request;
};

static void on_result(void *arg, const json_t *rows)
{
    struct question *question = arg;
    json_t *row = json_array_get(rows, 0);
    int status = !rows ? 503 : row ? 200 : 404;
    edge_count(question->edge, status);
    if (row) {
        http_reply(question->request, status, NULL, json_incref(row));
    } else {
        http_problem(question->request, status, http_reason(status), NULL,
                     rows
                         ? "no order of this id is recorded; one that was just given is recorded within a second or two"
                         : "PostgreSQL, which knows what became of orders, does not answer");
    }
    free(question);
}

void order_handle(struct edge *edge, struct http_request *request)
{
    char id[ID_SIZE];
    if (id_parse(request->path + strlen(ORDER_PATH), id) != 0) {
        edge_count(edge, 404);
        http_problem(request, 404, http_reason(404), NULL,
                     "an order's id is a UUID, as the answer to the order has it");
        return;
    }
    if (!edge->results) {
        edge_count(edge, 501);
        http_problem(request, 501, http_reason(501), NULL,
                     "the edge can't tell what became of orders: set postgres.edge, or read the view analyst.orders");
        return;
    }
    struct question *question = MEM_NEW(struct question);
    *question = (struct question){edge, request};
    json_t *ids = json_pack("[s]", id);
    results_of_orders(edge->results, ids, results_wanted(request), on_result, question);
    json_decref(ids);
}
