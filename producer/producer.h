/* offboard-producer: edge and planner in one process.
 *
 * The edge (main thread, libuv) takes HR events and operators' orders over HTTP, checks them as the planner would,
 * and answers 202 only after Kafka has them. The planner (its own thread) consumes offboard.intake: maps an event by
 * its source file, decides what becomes of it, and publishes in this order, each acknowledged before the next: the decision on
 * offboard.roster (before it, the keys of new offboardings on offboard.keys), definitions, `initiated`, control records, jobs, `intake`; then it commits the offset.
 *
 * Of all producers one plans. Its memory is offboard.roster, which holds what was decided: no record is decided twice, and another
 * configuration changes no decision (roster.h). Neither edge nor planner connects to PostgreSQL. */
#ifndef OFFBOARD_PRODUCER_H
#define OFFBOARD_PRODUCER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "edge/edge.h"
#include "lib/conf.h"
#include "lib/control.h"
#include "lib/definition.h"
#include "lib/err.h"
#include "lib/kafka.h"
#include "lib/keyring.h"
#include "lib/mapping.h"

/* ---- planner.c --------------------------------------------------------------------------------------------------- */

struct planner;

/* Starts the planner's thread. It ends the process (exit 1, after a log line) on ERR_FATAL only. */
struct planner *planner_start(const struct conf *conf, struct err *err);
void planner_stop(struct planner *planner);                  /* finishes the batch in hand, commits, joins, frees */
int planner_check(const struct conf *conf, struct err *err); /* can it start, as far as definitions go? */
bool planner_ready(struct planner *planner, char **why);
struct keyring *planner_keyring(struct planner *planner);       /* of the process; until planner_stop() */
struct order_keys *planner_order_keys(struct planner *planner); /* may be used by any thread */

/* ---- api.c: HTTP ------------------------------------------------------------------------------------------------- */

extern const struct edge_service producer_api;

#endif
