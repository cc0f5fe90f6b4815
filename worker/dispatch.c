/* What is read and started when: urgent before normal, no more than there are slots for, nothing while a system is
 * paused or down. */
#include <stdlib.h>

#include "worker/worker_internal.h"

enum {
    BATCH = 200, /* records read before the loop gets its turn back */
};

bool dispatch_open(const struct feed *feed)
{
    struct worker *worker = feed->worker;
    return !worker->draining && !feed->resting && !feed->refused && !control_paused(worker->control, feed->name) &&
           engine_available(worker->engine, feed->name);
}

/* ---- jobs whose turn it is --------------------------------------------------------------------------------------- */

void dispatch_ready(struct task *task)
{
    struct task_queue *queue = &task->stream->partition->feed->ready[task->stream->urgent];
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
static size_t slots(const struct feed *feed, int kind, size_t normal, size_t urgent)
{
    size_t all = left(feed->in_flight, normal + urgent);
    size_t own = left(feed->in_flight - feed->reserved, normal);
    return kind == URGENT || all < own ? all : own;
}

/* With the offset metadata full only the head of a stream may start: it is what makes room. */
static bool startable(const struct task *task)
{
    const struct progress *progress = task->stream->progress;
    return task->offset == progress_committable(progress) || !progress_full(progress);
}

static struct task *next_startable(struct feed *feed, int kind)
{
    if (!slots(feed, kind, feed->running[NORMAL], feed->running[URGENT])) {
        return NULL;
    }
    struct task_queue *queue = &feed->ready[kind];
    struct task *before = NULL;
    for (struct task *task = queue->first; task; before = task, task = task->next_ready) {
        if (startable(task)) {
            take_out(queue, before, task);
            return task;
        }
    }
    return NULL;
}

static void start_ready(struct feed *feed)
{
    while (dispatch_open(feed)) {
        struct task *task = next_startable(feed, URGENT);
        if (!task) {
            task = next_startable(feed, NORMAL);
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

void dispatch_drop_unstarted(struct feed *feed)
{
    lanes_drop_waiting(feed->lanes, drop_waiting, NULL);
    for (int kind = 0; kind < STREAMS; kind++) {
        while (feed->ready[kind].first) {
            struct task *task = feed->ready[kind].first;
            take_out(&feed->ready[kind], NULL, task);
            lane_leave(feed->lanes, task->offboarding_id);
            task_drop(task);
        }
    }
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Room for one more record of that kind: what is ready has its slot already, but urgent ones don't wait for normal
 * ones. */
static bool room(const struct feed *feed, int kind)
{
    size_t normal = feed->running[NORMAL] + (kind == NORMAL ? feed->ready[NORMAL].count : 0);
    return slots(feed, kind, normal, feed->running[URGENT] + feed->ready[URGENT].count) > 0;
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
static bool read_next(struct feed *feed, int kind, bool open)
{
    open = open && room(feed, kind);
    for (size_t i = 0; i < feed->held; i++) {
        size_t at = (feed->cursor + i) % feed->held;
        struct stream *stream = &feed->partitions[at]->streams[kind];
        if (may_read(stream, open) && stream_read(stream)) {
            feed->cursor = kind == NORMAL ? at + 1 : feed->cursor;
            return true;
        }
    }
    return false;
}

static void serve(struct feed *feed, rd_kafka_queue_t *const *queue)
{
    rd_kafka_event_t *event;
    while (*queue && (event = rd_kafka_queue_poll(*queue, 0))) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_OFFSET_COMMIT) {
            commit_event(feed, event);
        } else {
            assignment_event(feed, event);
        }
        rd_kafka_event_destroy(event);
    }
}

void dispatch(struct feed *feed)
{
    serve(feed, &feed->group_events);
    serve(feed, &feed->commit_events);
    start_ready(feed);
    int budget = BATCH;
    bool open = dispatch_open(feed);
    while (budget && !feed->resting && (read_next(feed, URGENT, open) || read_next(feed, NORMAL, open))) {
        start_ready(feed);
        open = dispatch_open(feed);
        budget--;
    }
    if (!budget) {
        feed_look_again(feed); /* there may be more, and nobody tells us again */
    }
}
