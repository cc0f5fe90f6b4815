/* The worker's engine before vendors that answer what an input says: no network, no waiting. All shipped connectors are there, and the
 * golden one; their required settings are made up. */
#ifndef OFFBOARD_TESTS_FUZZ_VENDORS_H
#define OFFBOARD_TESTS_FUZZ_VENDORS_H

#include "tests/fuzz/fuzz.h"
#include "worker/worker.h"

/* A setting that is secret has this at its beginning; the answer to a request for a token, too. */
#define VENDORS_SECRET "s3cret-of-"

struct definitions *vendors_definitions(void);

/* A job message for an action, with all that its `with` takes; NULL when there is no such action. New reference. */
json_t *vendors_job(const char *system, const char *action);

/* Runs the job to its end, if it is what message_job() takes, of a system that has a connector (NULL: it is none): to an outcome that can
 * be told, with no secret in it. Each call takes the next answer of the input: a line with the status (-1, -2: none came), lines
 * "name: value", an empty line, the body up to a line "---". When there are no more the last one comes again. A job that would wait is
 * deferred. */
void vendors_run(const json_t *message, struct fuzz_input *answers);

/* An engine for one system by another configuration, made and freed. 0, or -1 with an err. */
int vendors_load(const char *system, const struct conf *conf, struct err *err);

#endif
