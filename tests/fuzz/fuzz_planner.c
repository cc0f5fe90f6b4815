/* producer/decide.c, outputs.c, roster*.c, streams.c: HR events, one a line, in the order they came, each on the next topic. Each gets one
 * row of intake or goes to the dead letters, and whatever is published can be read by those who read it. Reading them again, as after a restart, decides
 * nothing anew. */
/* links: tests/fuzz/planner_stand.c */
#include "tests/fuzz/planner_stand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    planner_stand_decide((struct fuzz_input){data, size});
    return 0;
}
