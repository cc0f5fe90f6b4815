#include "lib/tail.h"

void tail_start(struct tail *tail, int64_t from, int64_t now)
{
    *tail = (struct tail){.next = from, .newest = now};
}

enum tail_read tail_read(struct tail *tail, int64_t offset, int64_t time, int64_t now)
{
    int64_t at = time < now ? time : now; /* a producer's clock that is ahead must not hide what comes after */
    if (offset < tail->next && at <= tail->newest) {
        return TAIL_AGAIN;
    }
    enum tail_read read = offset < tail->next ? TAIL_ANEW : TAIL_AHEAD;
    tail->next = offset + 1;
    tail->newest = at > tail->newest ? at : tail->newest;
    return read;
}
