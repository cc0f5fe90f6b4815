/* The planner's decisions without Kafka: records in, and each output read by whoever would get it. */
#ifndef OFFBOARD_TESTS_FUZZ_PLANNER_STAND_H
#define OFFBOARD_TESTS_FUZZ_PLANNER_STAND_H

#include "tests/fuzz/fuzz.h"

/* Decides HR events, one a line, each on the next of the topics that they come on, as they come after a start. Each gets one row of
 * intake, and says nothing that its topic's writers may not. Then another process takes over, and reads them again: it decides none anew. */
void planner_stand_decide(struct fuzz_input records);

#endif
