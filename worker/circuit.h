/* A system's circuit breaker. Pure: the caller brings the clock. */
#ifndef OFFBOARD_WORKER_CIRCUIT_H
#define OFFBOARD_WORKER_CIRCUIT_H

#include <stdbool.h>
#include <stdint.h>

struct circuit {
    int failures_max;
    int64_t wait_first; /* microseconds */
    int64_t wait_max;
    int failures; /* in a row */
    bool open;
    int64_t wait; /* before the next probe */
};

void circuit_init(struct circuit *circuit, int failures_max, int64_t wait_first, int64_t wait_max);

/* A call without an answer, or with 5xx. True when this one opened the circuit. */
bool circuit_failure(struct circuit *circuit);

/* Any other answer. True when this one closed it. */
bool circuit_success(struct circuit *circuit);

/* A probe failed: wait twice as long. */
void circuit_probe_failed(struct circuit *circuit);

#endif
