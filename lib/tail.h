/* How far a partition was read. A consumer goes back by itself when its offset is no longer in the log: the topic was deleted and
 * made anew, or the log lost its end. What comes then has offsets that were read before; whether it is the same records is told by
 * their time. Pure: the caller brings the clock. Times are microseconds since 1970. */
#ifndef OFFBOARD_LIB_TAIL_H
#define OFFBOARD_LIB_TAIL_H

#include <stdint.h>

struct tail {
    int64_t next;   /* the first offset not read yet */
    int64_t newest; /* time of the newest record read, or of the beginning */
};

enum tail_read {
    TAIL_AHEAD, /* not read before */
    TAIL_AGAIN, /* read before */
    TAIL_ANEW,  /* its offset was read before, but of another record: from here on the log is another one */
};

/* Reading begins at offset `from`. */
void tail_start(struct tail *tail, int64_t from, int64_t now);

/* A record was read; `time` is its timestamp, 0: it has none. */
enum tail_read tail_read(struct tail *tail, int64_t offset, int64_t time, int64_t now);

#endif
