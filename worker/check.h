/* `offboard-worker --check`: do the credentials of these systems work? */
#ifndef OFFBOARD_WORKER_CHECK_H
#define OFFBOARD_WORKER_CHECK_H

#include <uv.h>

#include "lib/conf.h"
#include "lib/definition.h"
#include "lib/err.h"

/* Runs every system's `check` and prints a line each on stdout: "okta: ok" or "okta: why not". The number of systems
 * that failed, -1 with an err when it could not begin. */
int check_systems(uv_loop_t *loop, const struct conf *conf, struct definitions *definitions, const char *const *systems,
                  struct err *err);

/* `offboard-worker --check-config`: 0 when a worker of these systems could start, as far as its configuration goes; -1 with an err. */
int check_configuration(uv_loop_t *loop, const struct conf *conf, struct definitions *definitions,
                        const char *const *systems, struct err *err);

#endif
