#include "worker/limits.h"

#include "lib/time.h"

static const double share_min = 0.001;

void limit_init(struct limit *limit, double per_second, int in_flight_max)
{
    *limit = (struct limit){.per_second = per_second, .in_flight_max = in_flight_max};
    limit->burst = per_second > 1 ? per_second : 1;
    limit->tokens = limit->burst;
}

static void fill(struct limit *limit, double rate, double share, int64_t now)
{
    double burst = limit->burst * share > 1 ? limit->burst * share : 1;
    if (limit->filled_at && now > limit->filled_at) {
        limit->tokens += rate * (double)(now - limit->filled_at) / (double)TIME_SECOND;
    }
    limit->filled_at = now;
    if (limit->tokens > burst) {
        limit->tokens = burst;
    }
}

int64_t limit_take(struct limit *limit, double share, int64_t now)
{
    share = share > share_min ? share : share_min;
    if (limit->in_flight_max > 0) {
        double most = limit->in_flight_max * share;
        if (limit->in_flight >= (most > 1 ? (int)most : 1)) {
            return -1;
        }
    }
    if (limit->per_second > 0) {
        double rate = limit->per_second * share;
        fill(limit, rate, share, now);
        if (limit->tokens < 1) {
            return (int64_t)((1 - limit->tokens) / rate * (double)TIME_SECOND) + 1;
        }
        limit->tokens -= 1;
    }
    limit->in_flight++;
    return 0;
}

void limit_give_back(struct limit *limit)
{
    limit->in_flight--;
}

void limit_untake(struct limit *limit)
{
    limit->in_flight--;
    limit->tokens += limit->per_second > 0 ? 1 : 0;
}

int64_t limit_take_of_day(struct limit *limit, double share, int64_t now, int64_t day)
{
    if (limit->per_day <= 0) {
        return 0;
    }
    if (now / day != limit->day) {
        limit->day = now / day;
        limit->of_day = 0;
    }
    double most = limit->per_day * share;
    if (limit->of_day >= (most > 1 ? (int)most : 1)) {
        return day - now % day;
    }
    limit->of_day++;
    return 0;
}
