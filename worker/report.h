/* What became of an offboarding, as people read it in tickets, threads and mails. A text is at most 4,000 bytes; one that had to
 * be cut says how much is missing. The caller frees it. No text holds an expression or the id of a step. */
#ifndef OFFBOARD_WORKER_REPORT_H
#define OFFBOARD_WORKER_REPORT_H

#include <jansson.h>

/* `.report` of a follower's job message (schema/messages.md, "followers"). Of a mirror and of failures: a line for each result that
 * there is something to say about; "" when there is none. Of `on_phase_end`: is the access gone, what does a person have to do, what
 * is on hold, where nothing was found, who takes over, what comes next. */
char *report_text(const json_t *message);

/* `.agenda`: what will happen, phase by phase, by the job's `phases`. */
char *report_agenda(const json_t *message);

#endif
