/* Between report.c and report_phase.c. */
#ifndef OFFBOARD_WORKER_REPORT_INTERNAL_H
#define OFFBOARD_WORKER_REPORT_INTERNAL_H

#include <stdbool.h>

#include "lib/buf.h"
#include "worker/report.h"

/* The member of a result; "" when there is none. */
const char *result_text(const json_t *result, const char *path);
bool result_is(const json_t *result, const char *state);

/* "Zoom", as people call the system, and "delete the account", what the step does. */
const char *result_system(const json_t *result);
const char *result_title(const json_t *result);

/* "<mark> Zoom: could not delete the account: the vendor refuses that". 0, or -1 when there is no room left. */
int add_failure(struct buf *out, const char *mark, const json_t *result);

/* The report of a phase. The number of results that it had no room for. */
size_t add_phase_report(struct buf *out, const json_t *message);

#endif
