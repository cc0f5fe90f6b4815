/* offboard-producer: edge and planner in one process.
 *
 * The edge (main thread, libuv) takes HR events and operators' orders over HTTP, checks them as the planner would,
 * and answers 202 only after Kafka has them. The planner (its own thread) consumes offboard.intake: maps an event by
 * its source file, decides what becomes of it, and publishes in this order, each acknowledged before the next: the decision on
 * offboard.roster, definitions, `initiated`, control records, jobs, `intake`; then it commits the offset.
 *
 * Of all producers one plans. Its memory is offboard.roster, which holds what was decided: no record is decided twice, and another
 * configuration changes no decision (roster.h). Neither edge nor planner connects to PostgreSQL. */
#ifndef OFFBOARD_PRODUCER_H
#define OFFBOARD_PRODUCER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/conf.h"
#include "lib/control.h"
#include "lib/definition.h"
#include "lib/err.h"
#include "lib/kafka.h"
#include "lib/mapping.h"

/* ---- planner.c --------------------------------------------------------------------------------------------------- */

struct planner;

/* Starts the planner's thread. It ends the process (exit 1, after a log line) on ERR_FATAL only. */
struct planner *planner_start(const struct conf *conf, struct err *err);
void planner_stop(struct planner *planner);                  /* finishes the batch in hand, commits, joins, frees */
int planner_check(const struct conf *conf, struct err *err); /* can it start, as far as definitions go? */
bool planner_ready(struct planner *planner, char **why);
struct order_keys *planner_order_keys(struct planner *planner); /* may be used by any thread */

/* ---- edge.c: HTTP ------------------------------------------------------------------------------------------------ */

struct edge;

/* Serves the API, and beside it metrics and health. */
struct edge *edge_start(const struct conf *conf, uv_loop_t *loop, struct planner *planner, struct err *err);
int edge_check(const struct conf *conf,
               struct err *err);                /* can it start, as far as configuration and definitions go? */
int edge_process_port(const struct edge *edge); /* of metrics and health; 0: none */
/* No longer ready: takes requests for edge.drain_wait, then closes its port, answers what is open, within edge.drain_grace, and calls
 * `drained`. */
void edge_drain(struct edge *edge, void (*drained)(void *arg), void *arg);
bool edge_draining(const struct edge *edge);
void edge_stop(struct edge *edge); /* answers what is open, flushes, frees */

#endif
