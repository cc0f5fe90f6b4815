/* What is shipped, loaded once for all inputs of a target. */
#ifndef OFFBOARD_TESTS_FUZZ_SHIPPED_H
#define OFFBOARD_TESTS_FUZZ_SHIPPED_H

#include "lib/definition.h"

/* Both belong to the library. The configuration holds defaults, one token for each role of the edge, and settings for the sources. */
const struct conf *fuzz_conf(void);
struct definitions *fuzz_definitions(void);

#endif
