#include "worker/circuit.h"

void circuit_init(struct circuit *circuit, int failures_max, int64_t wait_first, int64_t wait_max)
{
    *circuit = (struct circuit){.failures_max = failures_max > 0 ? failures_max : 1,
                                .wait_first = wait_first,
                                .wait_max = wait_max,
                                .wait = wait_first};
}

/* FNV-1a */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *text; text++) {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    }
    return hash;
}

bool circuit_failure(struct circuit *circuit, const char *offboarding, bool unreached)
{
    uint64_t who = hash_of(offboarding);
    if (circuit->failures == 0) {
        circuit->first = who;
        circuit->several = false;
    }
    circuit->several = circuit->several || who != circuit->first;
    circuit->failures++;
    circuit->unreached = unreached ? circuit->unreached + 1 : 0;
    int counted = circuit->several ? circuit->failures : circuit->unreached;
    if (circuit->open || counted < circuit->failures_max) {
        return false;
    }
    circuit->open = true;
    circuit->wait = circuit->wait_first;
    return true;
}

bool circuit_success(struct circuit *circuit)
{
    bool was_open = circuit->open;
    circuit->failures = 0;
    circuit->unreached = 0;
    circuit->open = false;
    circuit->wait = circuit->wait_first;
    return was_open;
}

void circuit_probe_failed(struct circuit *circuit)
{
    circuit->wait = circuit->wait * 2 < circuit->wait_max ? circuit->wait * 2 : circuit->wait_max;
}
