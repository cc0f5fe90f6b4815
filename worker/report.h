/* Results as people read them. */
#ifndef OFFBOARD_WORKER_REPORT_H
#define OFFBOARD_WORKER_REPORT_H

#include <jansson.h>

/* The text for a follower's `results` (schema/messages.md): a line for each, or, when `kind` is "on_phase_end", a summary: what
 * was done, what was not and why, what waits, and what a person must do. At most 4,000 characters. The caller frees. */
char *report_text(const json_t *results, const char *kind);

#endif
