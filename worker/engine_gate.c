/* Before a call: its limit's turn, and a closed circuit. While a circuit is open, jobs wait on the spot with their
 * clocks stopped and spend no tries; one prober per system finds out when the vendor is back. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/engine_internal.h"

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* Sleeps in a line; the job can be interrupted meanwhile. */
static void wait_in_line(struct run *run, struct waiting *self, int64_t us)
{
    run_sleep(run, us, &self->sleeper);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static struct named_limit *find_limit(struct system *system, const char *name)
{
    for (size_t i = 0; i < system->limit_count; i++) {
        if (strcmp(system->limits[i].name, name) == 0) {
            return &system->limits[i];
        }
    }
    return NULL;
}

static enum verdict await_limit(struct run *run, struct named_limit *limit)
{
    struct waiting self = {0};
    line_join(&limit->line, &self);
    enum verdict verdict = VERDICT_DONE;
    for (;;) {
        verdict = run_interrupted(run);
        if (verdict != VERDICT_DONE) {
            break;
        }
        if (limit->line.first != &self) {
            wait_in_line(run, &self, -1);
            continue;
        }
        int64_t wait = limit_take(&limit->limit, run->system->share, time_monotonic());
        if (wait == 0) {
            break;
        }
        wait_in_line(run, &self, wait);
    }
    line_leave(&limit->line, &self);
    line_wake_first(&limit->line);
    return verdict;
}

/* What the day's limit leaves no room for is for the next day, at the scheduler's: no job waits here for hours. */
static enum verdict take_of_day(struct run *run, struct named_limit *limit)
{
    int64_t day = conf_duration(run->engine->conf, "clock.day");
    int64_t wait = limit_take_of_day(&limit->limit, run->system->share, time_now(), day);
    if (wait == 0) {
        return VERDICT_DONE;
    }
    char *why = mem_printf("the limit \"%s\" of %g a day is used up; it goes on with the next day", limit->name,
                           limit->limit.per_day);
    enum verdict verdict = run_defer(run, wait, false, why);
    free(why);
    return verdict;
}

/* ---- the circuit ------------------------------------------------------------------------------------------------- */

/* Any answer below 500 shows that the vendor is there, refused credentials too. */
static bool probe(struct system *system)
{
    struct err err = ERR_INIT;
    bool ill;
    gate_check(system, &ill, &err);
    err_release(&err);
    return !ill;
}

static void run_prober(void *arg)
{
    struct system *system = arg;
    while (system->circuit.open && !system->engine->stopping) {
        engine_sleep(system->engine->loop, system->circuit.wait, &system->prober);
        if (system->engine->stopping || !system->circuit.open) {
            break;
        }
        if (probe(system)) {
            circuit_success(&system->circuit);
        } else {
            circuit_probe_failed(&system->circuit);
        }
    }
    system->probing = false;
    if (!system->engine->stopping) {
        log_info("circuit closed", "system", system->connector->name, NULL);
    }
    line_wake_all(&system->circuit_line);
}

/* An answer to a call that was under way when the circuit opened may close it before the prober looks again. */
void gate_result(struct system *system, const struct response *response, const char *offboarding)
{
    if (!response->ill) {
        if (circuit_success(&system->circuit)) {
            sleeper_wake(system->prober); /* nothing is left for it to find out */
            line_wake_all(&system->circuit_line);
        }
        return;
    }
    if (circuit_failure(&system->circuit, offboarding, response->unreached) && !system->probing) {
        log_warning("circuit opened", "system", system->connector->name, "error",
                    response->error ? response->error : "the vendor answers 5xx", NULL);
        health_down(&system->health, response);
        system->probing = true;
        fiber_start(run_prober, system);
    }
}

void gate_stop(struct system *system)
{
    sleeper_wake(system->prober);
}

static enum verdict await_circuit(struct run *run)
{
    struct system *system = run->system;
    if (!system->circuit.open) {
        return VERDICT_DONE;
    }
    struct waiting self = {0};
    enum verdict verdict = VERDICT_DONE;
    line_join(&system->circuit_line, &self);
    if (run->job->held_fibers++ == 0) {
        run->job->held(run->job, true);
    }
    while (system->circuit.open && verdict == VERDICT_DONE) {
        if (run->job->interruption != INTERRUPT_NONE) {
            run->looking = false; /* nothing can be seen through while the vendor is down */
            verdict = run_interrupted(run);
        } else {
            wait_in_line(run, &self, -1);
        }
    }
    if (--run->job->held_fibers == 0) {
        run->job->held(run->job, false);
    }
    line_leave(&system->circuit_line, &self);
    return verdict;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

static void give_back_turn(struct named_limit *limit)
{
    if (limit) {
        limit_untake(&limit->limit);
        line_wake_first(&limit->line);
    }
}

enum verdict gate_enter(struct run *run, const char *name, struct named_limit **taken)
{
    struct named_limit *limit = find_limit(run->system, name);
    *taken = NULL;
    enum verdict verdict = run_interrupted(run);
    while (verdict == VERDICT_DONE) {
        verdict = await_circuit(run);
        if (verdict == VERDICT_DONE && limit) {
            verdict = await_limit(run, limit);
        }
        if (verdict != VERDICT_DONE || !run->system->circuit.open) {
            break;
        }
        give_back_turn(limit); /* it opened while we stood in line */
    }
    if (verdict == VERDICT_DONE && limit) {
        verdict = take_of_day(run, limit);
        if (verdict != VERDICT_DONE) {
            give_back_turn(limit);
        }
    }
    *taken = verdict == VERDICT_DONE ? limit : NULL;
    return verdict;
}

void gate_leave(struct system *system, struct named_limit *taken)
{
    (void)system;
    if (taken) {
        limit_give_back(&taken->limit);
        line_wake_first(&taken->line);
    }
}
