/* What the compacted topic offboard.control says, as a state in memory: which systems are paused, which offboardings
 * and persons are cancelled. Kept by workers and the planner: read to the end before the first job, then followed. */
#ifndef OFFBOARD_LIB_CONTROL_H
#define OFFBOARD_LIB_CONTROL_H

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/err.h"

struct control;

struct control *control_new(void);
void control_free(struct control *control);

/* Applies one record. -1 with the reason when it can't be understood (the caller logs; the logger sets it aside). */
int control_apply(struct control *control, const rd_kafka_message_t *record, struct err *err);

bool control_paused(const struct control *control, const char *system);
const char *control_pause_reason(const struct control *control, const char *system); /* NULL when not paused */

/* Cancelled by id, or because the person of the offboarding object was cancelled by one of their keys (lib/person.h) at or after
 * `planned_at` (microseconds: the job's or intake record's time). NULL or the reason, borrowed until the next control_apply(). */
const char *control_cancelled(const struct control *control, const char *offboarding_id, const json_t *offboarding,
                              int64_t planned_at);

/* When a person was cancelled by this name (e-mail in any case, employee id, account), or an offboarding by its id, at or after
 * `planned_at`; 0: they were not. */
int64_t control_name_cancelled_when(const struct control *control, const char *name, int64_t planned_at);

/* Notes a cancellation before it comes back from the topic. */
void control_note_cancelled(struct control *control, const char *subject, const char *reason, int64_t at);

#endif
