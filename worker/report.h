/* Results as people read them. */
#ifndef OFFBOARD_WORKER_REPORT_H
#define OFFBOARD_WORKER_REPORT_H

#include <jansson.h>

/* The text for a follower's `results` (schema/messages.md): a line for each, or, when `kind` is "on_phase_end", a summary: what
 * was done, what a person must do and why, what waits, and what was not done and why. At most 4,000 bytes, in the end then how
 * many results there was no room for. The caller frees. */
char *report_text(const json_t *results, const char *kind);

#endif
