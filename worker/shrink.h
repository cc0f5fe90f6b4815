/* An event that is too large for Kafka still has to be told: part by part is left out, and it says so. Pure. */
#ifndef OFFBOARD_WORKER_SHRINK_H
#define OFFBOARD_WORKER_SHRINK_H

#include <jansson.h>
#include <stdbool.h>

/* Leaves out the next part of a `job.…` event that it has, from the `step`-th on (0, 1, … with every call); false when
 * there is nothing more to leave out. */
bool event_shrink(json_t *event, int step);

#endif
