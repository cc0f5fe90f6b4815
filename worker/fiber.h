/* Fibers: straight-line code that waits, on one libuv loop. A fiber runs until it waits; the loop goes on; whatever
 * it waits for resumes it.
 *
 * ucontext with mmapped stacks (1 MiB, a guard page below; kept for reuse). Of a stack only the pages that were once written to
 * take memory. ASan is told of every switch. All calls from the loop's thread. */
#ifndef OFFBOARD_WORKER_FIBER_H
#define OFFBOARD_WORKER_FIBER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct fiber;

/* Starts `run(arg)` at once, on its own stack, and returns when it first waits, or NULL when it already ended. It frees
 * itself at its end. From the loop or from another fiber. */
struct fiber *fiber_start(void (*run)(void *arg), void *arg);

struct fiber *fiber_self(void); /* NULL outside a fiber */

/* Gives the loop the turn until fiber_resume(). Only inside a fiber. */
void fiber_wait(void);

/* Goes on where `fiber` waits; returns when it waits again or ends. Only from the loop, never from a fiber. */
void fiber_resume(struct fiber *fiber);

/* Frees kept stacks (leak check at exit); no fiber may be alive. */
void fibers_release(void);

#endif
