/* `offboard-worker --try`: one job from standard input, run at once, without Kafka: for who writes a connector. */
#ifndef OFFBOARD_WORKER_TRY_H
#define OFFBOARD_WORKER_TRY_H

#include <uv.h>

#include "lib/conf.h"
#include "lib/definition.h"
#include "lib/err.h"

/* Reads a job message (schema/messages.md) from stdin, runs it, and prints `{outcome, status, message, …}` with the members of
 * the event's context, `before` when a before-image was taken, and `trace` (every call, with what was sent and received), on stdout. A call that is made only once begins without a
 * commit. 0, or -1 with an err when it could not begin. */
int try_job(uv_loop_t *loop, const struct conf *conf, struct definitions *definitions, struct err *err);

#endif
