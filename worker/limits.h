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
    double per_day; /* of the whole system; 0: no such limit */
    int of_day;     /* taken of the day in hand */
    int64_t day;    /* its number since 1970 */
};

/* Rate and cap for a share (0..1) of the system: a share of nothing still gets a trickle. `burst` is a second's
 * worth, at least one. */
void limit_init(struct limit *limit, double per_second, int in_flight_max);

/* 0 and a token and a place taken; else the time to wait in microseconds, or -1: until a place is given back. */
int64_t limit_take(struct limit *limit, double share, int64_t now);
void limit_give_back(struct limit *limit);

/* Undoes a take that no call followed: the token, too, is there again. */
void limit_untake(struct limit *limit);

/* 0 and one of this day's requests taken; else the microseconds until the next day. Days are `day` long and begin at
 * midnight UTC; `now` is the time of day. A share of nothing still gets one a day. */
int64_t limit_take_of_day(struct limit *limit, double share, int64_t now, int64_t day);

#endif
