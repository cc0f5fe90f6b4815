/* offboard-producer: edge and planner in one process.
 *
 * The edge (main thread, libuv) takes HR events and operators' orders over HTTP, checks them as the planner would,
 * and answers 202 only after Kafka has them. The planner (its own thread) consumes offboard.intake: maps an event by
 * its source file, decides what becomes of it, and publishes in this order: definitions, `initiated` acknowledged, jobs
 * acknowledged, `intake` acknowledged, offset committed. Planning again after a crash yields the same ids.
 *
 * Neither connects to PostgreSQL. What the planner must know (repeats, moves, cancellations, the cap) it has from
 * the partition itself, read back on assignment (producer.memory), and from offboard.control. Decisions take "now"
 * from the record's timestamp, so reading again decides alike. */
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

/* ---- roster.c: who is leaving, as one intake partition tells it; pure -------------------------------------------- */

struct roster;

enum disposition {
    DISPOSITION_STARTED,
    DISPOSITION_HELD,
    DISPOSITION_WAITING,
    DISPOSITION_MOVED,
    DISPOSITION_CANCELLED,
    DISPOSITION_REFUSED,
    DISPOSITION_DUPLICATE,
    DISPOSITION_IGNORED,
    DISPOSITION_DEAD,
};

struct decision {
    enum disposition disposition;
    json_t *offboardings;      /* ids concerned (one, or all that a cancellation ends); owned */
    char *reason;              /* owned; may be NULL */
    const json_t *offboarding; /* a moved one as it was first mapped; borrowed from the roster */
    bool starts_now;           /* a moved one whose new date is not ahead, a started one */
    bool held;                 /* a held one, a moved one that is held and stays so */
    bool urgent;               /* of a moved one: a priority rises and never falls */
    int64_t effective_at;
};

/* `cap` live starts an hour for this partition, 0: none. `protected` is the list of guards.protected. */
struct roster *roster_new(int64_t cap, const struct conf *conf, const struct control *control);
void roster_free(struct roster *roster);

/* Decides, and remembers the decision; "now" is `received_at`. `open_for` is how long after its start an offboarding
 * stays open: its last step's time and a month. Feeding the same records again gives the same decisions. An event
 * whose source and id are known already is a duplicate, whatever it asks for. -1 with an ERR_PERMANENT, and nothing to release,
 * when the offboarding's date can't be read: it must never count as now. */
int roster_decide(struct roster *roster, const struct mapped *mapped, int64_t received_at, int64_t open_for,
                  struct decision *decision, struct err *err);
void decision_release(struct decision *decision);
const char *disposition_name(enum disposition disposition);

/* This partition's part of the hourly cap: parts differ by at most one and add up to `cap`; never under 1. */
int64_t roster_cap_share(int64_t cap, int32_t partition, int32_t partitions);

/* ---- planner.c --------------------------------------------------------------------------------------------------- */

struct planner;

/* Starts the planner's thread. It ends the process (exit 1, after a log line) on ERR_FATAL only. */
struct planner *planner_start(const struct conf *conf, struct err *err);
void planner_stop(struct planner *planner); /* finishes the batch in hand, commits, joins, frees */
bool planner_ready(struct planner *planner, char **why);

/* ---- edge.c: HTTP ------------------------------------------------------------------------------------------------ */

struct edge;

/* POST /v1/offboardings, POST /v1/orders. */
struct edge *edge_start(const struct conf *conf, uv_loop_t *loop, struct planner *planner, struct err *err);
void edge_stop(struct edge *edge); /* answers what is open, flushes, frees */

#endif
