/* What became of orders and HR events: the edge has handed them to Kafka, the logger records what the planner and the database made of them.
 * A thread asks PostgreSQL for those that somebody waits for; without `postgres.edge` nobody can wait. */
#ifndef OFFBOARD_PRODUCER_RESULTS_H
#define OFFBOARD_PRODUCER_RESULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "lib/conf.h"
#include "lib/err.h"
#include "lib/http_server.h"

struct results;

/* NULL without an err: no `postgres.edge` is set. PostgreSQL may be away. */
struct results *results_start(const struct conf *conf, uv_loop_t *loop, struct err *err);
/* Answers who still waits, with what is known. Its handle is closed by the loop. NULL is accepted. */
void results_stop(struct results *results);

/* Called once, on the loop's thread; at once when `results` is NULL. `rows`: what is recorded, an array of objects, borrowed; NULL: PostgreSQL
 * could not be asked. */
typedef void results_known(void *arg, const json_t *rows);

/* Orders by their ids (an array of texts): {id, order, result, why, recorded_at} each. Waits until all are recorded, `ms` at the most; 0: looks
 * once. */
void results_of_orders(struct results *results, const json_t *ids, unsigned int ms, results_known *known, void *arg);

/* HR events by source and id ([{source, id}]), a row of the SQL function results_of_events() each. With `thread` it also waits for the Slack
 * thread of an offboarding that has just started. */
void results_of_events(struct results *results, const json_t *events, bool thread, unsigned int ms,
                       results_known *known, void *arg);

/* The row about one event among those of results_of_events(). Borrowed; NULL: it is not recorded. */
const json_t *results_find_event(const json_t *rows, const char *source, const char *id);

/* How long the caller wants to wait for the result: `Prefer: wait=10` (seconds, RFC 7240), 30 at the most. Milliseconds; 0: not at all. */
unsigned int results_wanted(const struct http_request *request);

#endif
