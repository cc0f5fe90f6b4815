/* When to try again. Pure. */
#ifndef OFFBOARD_WORKER_RETRY_H
#define OFFBOARD_WORKER_RETRY_H

#include <stdint.h>

/* Wait before try `n` + 1 within a worker (n from 1): full jitter over 0.5 s · 2^(n-1), at most 15 s; microseconds.
 * `random` is uniform in [0, 1). */
int64_t retry_backoff(int n, double random);

/* Wait before a job that was put off `n` times before (n from 0) is published again: 5 min · 2^n, at most 6 h, the
 * upper half jittered; calendar microseconds (to be scaled). */
int64_t retry_deferral(int n, double random);

/* A Retry-After value: seconds, an HTTP date (RFC 9110, 10.2.3) or an ISO date-time (Zoom). Microseconds from `now`,
 * never negative; -1 when it is none of them. */
int64_t retry_after_parse(const char *text, int64_t now);

#endif
