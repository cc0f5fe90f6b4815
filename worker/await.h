/* A fiber waits for what libcurl does not watch: a descriptor or a thread; until a deadline, and until somebody aborts the call. */
#ifndef OFFBOARD_WORKER_AWAIT_H
#define OFFBOARD_WORKER_AWAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "worker/multi.h"

enum await_outcome { AWAIT_READY, AWAIT_TIMEOUT, AWAIT_ABORTED, AWAIT_IMPOSSIBLE };

/* On the stack of the fiber. */
struct await {
    struct flight flight; /* first: http_abort() knows no more */
    struct await_handles *handles;
    struct fiber *fiber;
    int64_t deadline;  /* as time_monotonic() */
    int64_t pause_end; /* of await_socket()'s `at_most` */
    enum await_outcome outcome;
    bool waiting;
    bool aborted;
};

void await_begin(struct await *await, uv_loop_t *loop, int64_t deadline);

/* Waits for UV_READABLE, UV_WRITABLE or both; errors of the socket count as ready. READY also after `at_most` microseconds (0: no
 * such limit). The descriptor may be closed only after await_end(). */
enum await_outcome await_socket(struct await *await, int fd, int events, int64_t at_most);

/* Runs `run(arg)` on a thread of its own, for libraries that can only block. READY: it has ended. IMPOSSIBLE: there is no thread,
 * and `run` was not called. Otherwise `arg` is no longer the caller's: when `run` ends, the loop calls `drop(arg)`, and it does not
 * end before. */
enum await_outcome await_thread(struct await *await, void (*run)(void *arg), void (*drop)(void *arg), void *arg);

void await_end(struct await *await);

#endif
