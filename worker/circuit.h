/* A system's circuit breaker. Pure: the caller brings the clock. */
#ifndef OFFBOARD_WORKER_CIRCUIT_H
#define OFFBOARD_WORKER_CIRCUIT_H

#include <stdbool.h>
#include <stdint.h>

struct circuit {
    int failures_max;
    int64_t wait_first; /* microseconds */
    int64_t wait_max;
    int failures;   /* in a row */
    int unreached;  /* the last of them, in a row, that reached nobody */
    uint64_t first; /* hash of the offboarding that the first failure belongs to */
    bool several;   /* a failure belongs to another offboarding than the first */
    bool open;
    int64_t wait; /* before the next probe */
};

void circuit_init(struct circuit *circuit, int failures_max, int64_t wait_first, int64_t wait_max);

/* A call that the vendor answered with an error of its own (5xx), or did not answer. `unreached`: nothing could be sent, as the
 * connection was refused. One job's request may be what makes the vendor fail or work for too long, so such failures open the
 * circuit only when they come from two offboardings at least; that nobody can be reached is true for all. True when this
 * failure opened the circuit. */
bool circuit_failure(struct circuit *circuit, const char *offboarding, bool unreached);

/* Any other answer. True when this one closed it. */
bool circuit_success(struct circuit *circuit);

/* A probe failed: wait twice as long. */
void circuit_probe_failed(struct circuit *circuit);

#endif
