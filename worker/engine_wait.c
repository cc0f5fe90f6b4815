#include <stdlib.h>

#include "lib/mem.h"
#include "worker/engine_internal.h"

struct sleeper {
    uv_timer_t timer;
    struct fiber *fiber;
};

static void on_wake(uv_timer_t *timer)
{
    struct sleeper *sleeper = timer->data;
    fiber_resume(sleeper->fiber);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void engine_sleep(uv_loop_t *loop, int64_t us, struct sleeper **slot)
{
    struct sleeper *sleeper = MEM_NEW(struct sleeper);
    uv_timer_init(loop, &sleeper->timer);
    sleeper->timer.data = sleeper;
    sleeper->fiber = fiber_self();
    *slot = sleeper;
    if (us >= 0) {
        uv_timer_start(&sleeper->timer, on_wake, (uint64_t)((us + 999) / 1000), 0);
    }
    fiber_wait();
    *slot = NULL;
    uv_close((uv_handle_t *)&sleeper->timer, on_closed);
}

void run_sleep(struct run *run, int64_t us, struct sleeper **slot)
{
    run->engaged.slot = slot;
    engine_sleep(run->engine->loop, us, slot);
    run->engaged.slot = NULL;
}

void run_engage(struct run *run)
{
    run->engaged = (struct engaged){.next = run->job->engaged};
    run->job->engaged = &run->engaged;
}

void run_disengage(struct run *run)
{
    struct engaged **at = &run->job->engaged;
    while (*at && *at != &run->engaged) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = run->engaged.next;
    }
}

/* The fiber goes on from the loop, not from here: whoever wakes is in the middle of something. */
void sleeper_wake(struct sleeper *sleeper)
{
    if (sleeper) {
        uv_timer_start(&sleeper->timer, on_wake, 0, 0);
    }
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

void line_join(struct waiting_line *line, struct waiting *self)
{
    struct waiting **at = &line->first;
    while (*at) {
        at = &(*at)->next;
    }
    *at = self;
}

void line_leave(struct waiting_line *line, const struct waiting *self)
{
    struct waiting **at = &line->first;
    while (*at && *at != self) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = self->next;
    }
}

void line_wake_first(struct waiting_line *line)
{
    if (line->first) {
        sleeper_wake(line->first->sleeper);
    }
}

void line_wake_all(struct waiting_line *line)
{
    for (struct waiting *waiting = line->first; waiting; waiting = waiting->next) {
        sleeper_wake(waiting->sleeper);
    }
}

/* ---- chance ------------------------------------------------------------------------------------------------------ */

double engine_random(void)
{
    static _Thread_local struct drand48_data state;
    static _Thread_local bool seeded;
    if (!seeded) {
        srand48_r((long)uv_hrtime(), &state);
        seeded = true;
    }
    double value;
    drand48_r(&state, &value);
    return value;
}
