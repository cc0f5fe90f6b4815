/* A thread that looks at something now and then. */
#ifndef OFFBOARD_LIB_EVERY_H
#define OFFBOARD_LIB_EVERY_H

#include <stdint.h>

#include "lib/err.h"

struct every;

/* Calls `look(arg)` at once, and again `period` microseconds after it returned, until every_stop(). NULL with an ERR_FATAL, which
 * says what the thread is for: "could not start the thread that <what>". */
struct every *every_start(int64_t period, void (*look)(void *arg), void *arg, const char *what, struct err *err);
void every_stop(struct every *every); /* waits for a look that is under way, and frees; NULL is accepted */

#endif
