#include "worker/await.h"

#include <stdlib.h>

#include "lib/mem.h"
#include "lib/time.h"
#include "worker/fiber.h"

enum { THREAD_STACK = 1024 * 1024 };

/* They outlive the wait, because libuv closes them later. */
struct await_handles {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_poll_t poll;
    int fd; /* that `poll` watches; -1: none yet */
    int open;
};

/* ---- waking ------------------------------------------------------------------------------------------------------ */

static void wake(struct await *await, enum await_outcome outcome)
{
    if (await->waiting) {
        await->outcome = outcome;
        await->waiting = false;
        fiber_resume(await->fiber);
    }
}

static void on_timer(uv_timer_t *timer);

/* libuv counts in milliseconds, from when its turn began: it may be early. */
static void set_timer(struct await *await)
{
    int64_t next = await->pause_end < await->deadline ? await->pause_end : await->deadline;
    int64_t rest = next - time_monotonic();
    uv_update_time(await->handles->loop);
    uv_timer_start(&await->handles->timer, on_timer, rest > 0 && !await->aborted ? (uint64_t)(rest / 1000) + 1 : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct await *await = timer->data;
    int64_t now = time_monotonic();
    if (await->aborted) {
        wake(await, AWAIT_ABORTED);
    } else if (now >= await->deadline) {
        wake(await, AWAIT_TIMEOUT);
    } else if (now >= await->pause_end) {
        wake(await, AWAIT_READY);
    } else {
        set_timer(await);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    wake(poll->data, AWAIT_READY);
}

/* From the loop, in its next turn: whoever aborts goes on first. */
static void abort_wait(struct flight *flight)
{
    struct await *await = (struct await *)flight;
    await->aborted = true;
    if (await->waiting) {
        set_timer(await);
    }
}

/* Gives the loop the turn until something happens, or the deadline, or `at_most` (0: no such limit) has passed. */
static enum await_outcome wait_for_it(struct await *await, int64_t at_most)
{
    await->pause_end = at_most ? time_monotonic() + at_most : INT64_MAX;
    await->waiting = true;
    set_timer(await);
    while (await->waiting) {
        fiber_wait();
    }
    uv_timer_stop(&await->handles->timer);
    return await->outcome;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void await_begin(struct await *await, uv_loop_t *loop, int64_t deadline)
{
    struct await_handles *handles = MEM_NEW(struct await_handles);
    *await = (struct await){.flight = {abort_wait}, .handles = handles, .fiber = fiber_self(), .deadline = deadline};
    uv_timer_init(loop, &handles->timer);
    handles->timer.data = await;
    handles->loop = loop;
    handles->fd = -1;
    handles->open = 1;
}

static void on_closed(uv_handle_t *handle)
{
    struct await_handles *handles = handle->data;
    if (--handles->open == 0) {
        free(handles);
    }
}

void await_end(struct await *await)
{
    struct await_handles *handles = await->handles;
    handles->timer.data = handles;
    uv_close((uv_handle_t *)&handles->timer, on_closed);
    if (handles->fd >= 0) {
        handles->poll.data = handles;
        uv_close((uv_handle_t *)&handles->poll, on_closed);
    }
    await->handles = NULL;
}

/* ---- what is waited for ------------------------------------------------------------------------------------------ */

static bool watch(struct await *await, int fd, int events)
{
    struct await_handles *handles = await->handles;
    if (handles->fd < 0) {
        if (uv_poll_init_socket(handles->loop, &handles->poll, fd) != 0) {
            return false;
        }
        handles->poll.data = await;
        handles->fd = fd;
        handles->open++;
    }
    return handles->fd == fd && uv_poll_start(&handles->poll, events, on_poll) == 0;
}

enum await_outcome await_socket(struct await *await, int fd, int events, int64_t at_most)
{
    if (await->aborted || time_monotonic() >= await->deadline) {
        return await->aborted ? AWAIT_ABORTED : AWAIT_TIMEOUT;
    }
    if (!watch(await, fd, events)) {
        return AWAIT_IMPOSSIBLE;
    }
    enum await_outcome outcome = wait_for_it(await, at_most);
    uv_poll_stop(&await->handles->poll);
    return outcome;
}

struct work {
    uv_async_t async;
    uv_thread_t thread;
    struct await *await; /* NULL: it waits no longer */
    void (*run)(void *arg);
    void (*drop)(void *arg);
    void *arg;
};

static void run_work(void *arg)
{
    struct work *work = arg;
    work->run(work->arg);
    uv_async_send(&work->async);
}

static void on_work_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_work_done(uv_async_t *async)
{
    struct work *work = async->data;
    uv_thread_join(&work->thread);
    struct await *await = work->await;
    if (!await) {
        work->drop(work->arg);
    }
    uv_close((uv_handle_t *)async, on_work_closed);
    if (await) {
        wake(await, AWAIT_READY);
    }
}

/* NULL: there is no thread. */
static struct work *work_start(struct await *await, void (*run)(void *arg), void (*drop)(void *arg), void *arg)
{
    struct work *work = MEM_NEW(struct work);
    uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = THREAD_STACK};
    *work = (struct work){.await = await, .run = run, .drop = drop, .arg = arg};
    work->async.data = work;
    if (uv_async_init(await->handles->loop, &work->async, on_work_done) != 0) {
        free(work);
        return NULL;
    }
    if (uv_thread_create_ex(&work->thread, &options, run_work, work) != 0) {
        uv_close((uv_handle_t *)&work->async, on_work_closed);
        return NULL;
    }
    return work;
}

enum await_outcome await_thread(struct await *await, void (*run)(void *arg), void (*drop)(void *arg), void *arg)
{
    struct work *work = work_start(await, run, drop, arg);
    if (!work) {
        return AWAIT_IMPOSSIBLE;
    }
    enum await_outcome outcome = wait_for_it(await, 0);
    if (outcome != AWAIT_READY) {
        work->await = NULL;
    }
    return outcome;
}
