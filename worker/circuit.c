#include "worker/circuit.h"

void circuit_init(struct circuit *circuit, int failures_max, int64_t wait_first, int64_t wait_max)
{
    *circuit = (struct circuit){.failures_max = failures_max > 0 ? failures_max : 1,
                                .wait_first = wait_first,
                                .wait_max = wait_max,
                                .wait = wait_first};
}

bool circuit_failure(struct circuit *circuit)
{
    circuit->failures++;
    if (circuit->open || circuit->failures < circuit->failures_max) {
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
    circuit->open = false;
    circuit->wait = circuit->wait_first;
    return was_open;
}

void circuit_probe_failed(struct circuit *circuit)
{
    circuit->wait = circuit->wait * 2 < circuit->wait_max ? circuit->wait * 2 : circuit->wait_max;
}
