/* Token buckets and in-flight caps. Pure: the caller brings the clock and does the waiting. */
#ifndef OFFBOARD_WORKER_LIMITS_H
#define OFFBOARD_WORKER_LIMITS_H

#include <stdint.h>

struct limit {
    double per_second; /* of the whole system; 0: no rate */
    double burst;      /* tokens at most */
    int in_flight_max; /* 0: no cap */
    int in_flight;
    double tokens;
    int64_t filled_at;
};

/* Rate and cap for a share (0..1) of the system: a share of nothing still gets a trickle. `burst` is a second's
 * worth, at least one. */
void limit_init(struct limit *limit, double per_second, int in_flight_max);

/* 0 and a token and a place taken; else the time to wait in microseconds, or -1: until a place is given back. */
int64_t limit_take(struct limit *limit, double share, int64_t now);
void limit_give_back(struct limit *limit);

#endif
