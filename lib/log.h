/* Log lines: one JSON object a line on stderr. Texts are lower case, "could not X: why", no function names; ids go into
 * fields. Everything passes secret_mask(). Thread-safe; a line is one write(2). */
#ifndef OFFBOARD_LIB_LOG_H
#define OFFBOARD_LIB_LOG_H

#include <jansson.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* `process` appears as "process" in every line; lines below `least` are dropped. */
void log_init(const char *process, enum log_level least);
int log_level_parse(const char *name, enum log_level *level); /* debug info warning error; -1 when unknown */

/* Fields are pairs of strings, ended by NULL: log_info("job deferred", "job_id", id, "due_at", at, NULL).
 * A NULL value leaves its field out. */
void log_line(enum log_level level, const char *text, ...) __attribute__((sentinel));
#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_error(...)   log_line(LOG_ERROR, __VA_ARGS__)

#endif
