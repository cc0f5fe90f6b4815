/* The planner's decisions without Kafka: records in, and each output read by whoever would get it. */
#ifndef OFFBOARD_TESTS_FUZZ_PLANNER_STAND_H
#define OFFBOARD_TESTS_FUZZ_PLANNER_STAND_H

#include "tests/fuzz/fuzz.h"

/* Decides the records of an intake topic with one partition, one a line, as they come after a start. Each gets one row of intake. Then
 * another process takes over, and reads them again: it decides none anew. */
void planner_stand_decide(struct fuzz_input records);

#endif
