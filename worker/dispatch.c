/* What is read and started when: urgent before normal, no more than there are slots for, nothing while a system is
 * paused or down. */
#include <stdlib.h>

#include "worker/worker_internal.h"

enum {
    BATCH = 200, /* records read before the loop gets its turn back */
};

bool dispatch_open(const struct system *system)
{
    struct worker *worker = system->worker;
    return !worker->draining && !system->resting && !system->refused &&
           !control_paused(worker->control, system->name) && engine_available(worker->engine, system->name);
}

/* ---- jobs whose turn it is --------------------------------------------------------------------------------------- */

void dispatch_ready(struct task *task)
{
    struct task_queue *queue = &task->stream->partition->system->ready[task->stream->urgent];
    task->state = TASK_READY;
    task->next_ready = NULL;
    *(queue->last ? &queue->last->next_ready : &queue->first) = task;
    queue->last = task;
    queue->count++;
}

static void take_out(struct task_queue *queue, struct task *before, struct task *task)
{
    *(before ? &before->next_ready : &queue->first) = task->next_ready;
    if (queue->last == task) {
        queue->last = before;
    }
    task->next_ready = NULL;
    queue->count--;
}

static size_t left(size_t limit, size_t used)
{
    return used < limit ? limit - used : 0;
}

/* Slots that may still be filled with `normal` and `urgent` jobs in them already. */
static size_t slots(const struct system *system, int kind, size_t normal, size_t urgent)
{
    size_t all = left(system->in_flight, normal + urgent);
    size_t own = left(system->in_flight - system->reserved, normal);
    return kind == URGENT || all < own ? all : own;
}

/* With the offset metadata full only the head of a stream may start: it is what makes room. */
static bool startable(const struct task *task)
{
    const struct progress *progress = task->stream->progress;
    return task->offset == progress_committable(progress) || !progress_full(progress);
}

static struct task *next_startable(struct system *system, int kind)
{
    if (!slots(system, kind, system->running[NORMAL], system->running[URGENT])) {
        return NULL;
    }
    struct task_queue *queue = &system->ready[kind];
    struct task *before = NULL;
    for (struct task *task = queue->first; task; before = task, task = task->next_ready) {
        if (startable(task)) {
            take_out(queue, before, task);
            return task;
        }
    }
    return NULL;
}

static void start_ready(struct system *system)
{
    while (dispatch_open(system)) {
        struct task *task = next_startable(system, URGENT);
        if (!task) {
            task = next_startable(system, NORMAL);
        }
        if (!task) {
            return;
        }
        task_start(task);
    }
}

static void drop_waiting(void *item, void *arg)
{
    (void)arg;
    task_drop(item);
}

void dispatch_drop_unstarted(struct system *system)
{
    lanes_drop_waiting(system->lanes, drop_waiting, NULL);
    for (int kind = 0; kind < STREAMS; kind++) {
        while (system->ready[kind].first) {
            struct task *task = system->ready[kind].first;
            take_out(&system->ready[kind], NULL, task);
            lane_leave(system->lanes, task->offboarding_id);
            task_drop(task);
        }
    }
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Room for one more record of that kind: what is ready has its slot already, but urgent ones don't wait for normal
 * ones. */
static bool room(const struct system *system, int kind)
{
    size_t normal = system->running[NORMAL] + (kind == NORMAL ? system->ready[NORMAL].count : 0);
    return slots(system, kind, normal, system->running[URGENT] + system->ready[URGENT].count) > 0;
}

static bool may_read(const struct stream *stream, bool open)
{
    if (!stream->queue) {
        return false;
    }
    if (!stream->restored) {
        return true;
    }
    return open && partition_restored(stream->partition) && stream->in_hand < HAND && !progress_full(stream->progress);
}

/* Reads one record of the next stream of that kind that has one. */
static bool read_next(struct system *system, int kind, bool open)
{
    open = open && room(system, kind);
    for (size_t i = 0; i < system->held; i++) {
        size_t at = (system->cursor + i) % system->held;
        struct stream *stream = &system->partitions[at]->streams[kind];
        if (may_read(stream, open) && stream_read(stream)) {
            system->cursor = kind == NORMAL ? at + 1 : system->cursor;
            return true;
        }
    }
    return false;
}

static void serve(struct system *system, rd_kafka_queue_t *const *queue)
{
    rd_kafka_event_t *event;
    while (*queue && (event = rd_kafka_queue_poll(*queue, 0))) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_OFFSET_COMMIT) {
            commit_event(system, event);
        } else {
            assignment_event(system, event);
        }
        rd_kafka_event_destroy(event);
    }
}

void dispatch(struct system *system)
{
    serve(system, &system->group_events);
    serve(system, &system->commit_events);
    start_ready(system);
    int budget = BATCH;
    bool open = dispatch_open(system);
    while (budget && !system->resting && (read_next(system, URGENT, open) || read_next(system, NORMAL, open))) {
        start_ready(system);
        open = dispatch_open(system);
        budget--;
    }
    if (!budget) {
        system_look_again(system); /* there may be more, and nobody tells us again */
    }
}
