/* `offboard-worker --try`: jobs from standard input, run at once, without Kafka: for who writes a connector. */
#ifndef OFFBOARD_WORKER_TRY_H
#define OFFBOARD_WORKER_TRY_H

#include <stdbool.h>
#include <uv.h>

#include "lib/conf.h"
#include "lib/definition.h"
#include "lib/err.h"

/* Runs the jobs on stdin, all for one system: a message (schema/messages.md) on each line, one after another. Each ends with a line on
 * stdout: `{outcome, status, message, …}` with the members of the event's context, `before` when a before-image was taken, and `trace`
 * (every call, with what was sent and received). With `asks` every request is told of before it is sent, by a line `{"asks": {…}}`
 * (struct job). A call that is made only once begins without a commit. 0, or -1 with an err when it could not begin or go on. */
int try_jobs(uv_loop_t *loop, const struct conf *conf, struct definitions *definitions, bool asks, struct err *err);

#endif
