/* Committing: the contiguous finished offset of every stream that changed, with what lies beyond it as metadata. One
 * commit of a system is under way at a time; what changes meanwhile goes with the next. */
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

enum {
    COMMIT_EVERY_MS = 50,  /* the most a finished job waits for company */
    COMMIT_RETRY_MS = 200, /* after a coordinator that is away or busy */
};

static void on_due(uv_timer_t *timer)
{
    struct system *system = timer->data;
    commit_now(system);
}

void commit_start(struct system *system)
{
    uv_timer_init(system->worker->loop, &system->commit_timer);
    system->commit_timer.data = system;
    system->worker->open_handles++;
}

static void commit_after(struct system *system, uint64_t ms)
{
    if (!system->commit_due && !system->worker->freeing) {
        system->commit_due = time_monotonic() + (int64_t)ms * 1000;
        uv_timer_start(&system->commit_timer, on_due, ms, 0);
    }
}

void commit_soon(struct system *system)
{
    commit_after(system, COMMIT_EVERY_MS);
}

static bool is_due(const struct stream *stream)
{
    return stream->progress && (stream->dirty || progress_changed(stream->progress));
}

bool commit_clean(const struct system *system)
{
    for (size_t i = 0; i < system->held; i++) {
        if (is_due(&system->partitions[i]->streams[NORMAL]) || is_due(&system->partitions[i]->streams[URGENT])) {
            return false;
        }
    }
    return !system->committing;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void add_stream(rd_kafka_topic_partition_list_t *list, struct stream *stream)
{
    const struct partition *partition = stream->partition;
    rd_kafka_topic_partition_t *element =
        rd_kafka_topic_partition_list_add(list, partition->system->topics[stream->urgent], partition->number);
    element->offset = progress_committable(stream->progress);
    element->metadata = progress_metadata(stream->progress); /* librdkafka frees it */
    element->metadata_size = strlen(element->metadata);
    progress_saved(stream->progress);
    stream->dirty = false;
    stream->sent = true;
}

/* The begins that this commit covers. */
static void mark_begins(struct system *system)
{
    for (struct task *task = system->tasks; task; task = task->next) {
        task->begin_sent = task->beginner && task->stream->sent;
    }
}

void commit_now(struct system *system)
{
    uv_timer_stop(&system->commit_timer);
    system->commit_due = 0;
    if (system->committing) {
        return; /* its answer starts the next one */
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)(system->held * STREAMS));
    for (size_t i = 0; i < system->held; i++) {
        for (int kind = 0; kind < STREAMS; kind++) {
            if (is_due(&system->partitions[i]->streams[kind])) {
                add_stream(list, &system->partitions[i]->streams[kind]);
            }
        }
    }
    if (list->cnt) {
        mark_begins(system);
        system->committing = true;
        system->commit_round = system->round;
        rd_kafka_resp_err_t code = rd_kafka_commit_queue(system->consumer, list, system->commit_events, NULL, system);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            log_error("could not commit offsets", "system", system->name, "error", rd_kafka_err2str(code), NULL);
            abort(); /* refused for its arguments: a fault of ours */
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

/* The group went on without us: what we hold may be with another worker already. */
static bool means_lost(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION || code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
           code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID || code == RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST;
}

static struct stream *stream_of(struct system *system, const rd_kafka_topic_partition_t *element)
{
    for (size_t i = 0; i < system->held; i++) {
        if (system->partitions[i]->number == element->partition) {
            return &system->partitions[i]->streams[strcmp(element->topic, system->topics[URGENT]) == 0];
        }
    }
    return NULL;
}

/* Lets the begins that this commit covered go on; resuming one may end it and change the list. */
static void resume_begins(struct system *system)
{
    for (struct task *task = system->tasks; task;) {
        if (task->beginner && task->begin_sent && !task->stream->failed) {
            task_resume_begin(task, 0);
            task = system->tasks;
        } else {
            task = task->next;
        }
    }
}

/* The first error of the commit or of one of its elements; streams that failed are to be committed again. */
static rd_kafka_resp_err_t note_results(struct system *system, rd_kafka_resp_err_t code,
                                        const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t first = code;
    for (int i = 0; !code && list && i < list->cnt; i++) {
        struct stream *stream = stream_of(system, &list->elems[i]);
        first = first ? first : list->elems[i].err;
        if (stream && !list->elems[i].err) {
            stream->sent = false;
        }
    }
    for (size_t i = 0; i < system->held; i++) {
        for (int kind = 0; kind < STREAMS; kind++) {
            struct stream *stream = &system->partitions[i]->streams[kind];
            stream->failed = stream->sent; /* nothing good was said of it */
            stream->dirty = stream->dirty || stream->failed;
            stream->sent = false;
        }
    }
    return first;
}

static bool begin_waits(const struct system *system)
{
    for (const struct task *task = system->tasks; task; task = task->next) {
        if (task->beginner) {
            return true;
        }
    }
    return false;
}

void commit_event(struct system *system, rd_kafka_event_t *event)
{
    if (rd_kafka_event_opaque(event) != system || !system->committing) {
        return;
    }
    system->committing = false;
    rd_kafka_resp_err_t code =
        note_results(system, rd_kafka_event_error(event), rd_kafka_event_topic_partition_list(event));
    resume_begins(system);
    if (means_lost(code) && system->commit_round == system->round) {
        log_warning("partitions lost: another worker may run their jobs", "system", system->name, "error",
                    rd_kafka_err2str(code), NULL);
        assignment_lost(system);
    } else if (code) {
        series_add(system->worker->commit_failures, 1);
        log_warning("could not commit offsets; trying again", "system", system->name, "error", rd_kafka_err2str(code),
                    NULL);
        commit_after(system, COMMIT_RETRY_MS);
    } else if (begin_waits(system)) {
        commit_now(system);
    } else if (!commit_clean(system)) {
        commit_soon(system);
    }
    rest_step(system);
}

/* ---- begins ------------------------------------------------------------------------------------------------------ */

int commit_begin(struct job *job)
{
    struct task *task = job->owner;
    struct stream *stream = task->stream;
    if (!stream->partition->held) {
        return -1;
    }
    progress_begun(stream->progress, task->offset);
    stream->dirty = true;
    task->begin_sent = false;
    task->beginner = fiber_self();
    commit_now(stream->partition->system);
    fiber_wait();
    return task->begin_result;
}
