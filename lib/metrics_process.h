/* What every process tells of itself: version, processor time, memory, descriptors, dead letters. */
#ifndef OFFBOARD_LIB_METRICS_PROCESS_H
#define OFFBOARD_LIB_METRICS_PROCESS_H

#include "lib/metrics.h"

/* Registers what is there from the beginning. */
void metrics_process_start(const char *version);

/* Reads the rest anew; before each metrics_render() for a scrape. */
void metrics_process_update(void);

/* The process's counter of messages that it sets aside on the dead topic. */
struct series *dead_letters(void);

#endif
