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
    struct feed *feed = timer->data;
    commit_now(feed);
}

void commit_start(struct feed *feed)
{
    uv_timer_init(feed->worker->loop, &feed->commit_timer);
    feed->commit_timer.data = feed;
    feed->worker->open_handles++;
}

static void commit_after(struct feed *feed, uint64_t ms)
{
    if (!feed->commit_due && !feed->worker->freeing) {
        feed->commit_due = time_monotonic() + (int64_t)ms * 1000;
        uv_timer_start(&feed->commit_timer, on_due, ms, 0);
    }
}

void commit_soon(struct feed *feed)
{
    commit_after(feed, COMMIT_EVERY_MS);
}

static bool is_due(const struct stream *stream)
{
    return stream->progress && (stream->dirty || progress_changed(stream->progress));
}

bool commit_clean(const struct feed *feed)
{
    for (size_t i = 0; i < feed->held; i++) {
        if (is_due(&feed->partitions[i]->streams[NORMAL]) || is_due(&feed->partitions[i]->streams[URGENT])) {
            return false;
        }
    }
    return !feed->committing;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void add_stream(rd_kafka_topic_partition_list_t *list, struct stream *stream)
{
    const struct partition *partition = stream->partition;
    rd_kafka_topic_partition_t *element =
        rd_kafka_topic_partition_list_add(list, partition->feed->topics[stream->urgent], partition->number);
    element->offset = progress_committable(stream->progress);
    char *metadata = progress_metadata(stream->progress);
    element->metadata = element->offset < stream->forgotten ? answered_mark(metadata, stream->forgotten)
                                                            : metadata; /* librdkafka frees it */
    element->metadata_size = strlen(element->metadata);
    progress_saved(stream->progress);
    stream->dirty = false;
    stream->sent = true;
}

/* The begins that this commit covers. */
static void mark_begins(struct feed *feed)
{
    for (struct task *task = feed->tasks; task; task = task->next) {
        task->begin_sent = task->beginner && task->stream->sent;
    }
}

void commit_now(struct feed *feed)
{
    uv_timer_stop(&feed->commit_timer);
    feed->commit_due = 0;
    if (feed->committing) {
        return; /* its answer starts the next one */
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)(feed->held * STREAMS));
    for (size_t i = 0; i < feed->held; i++) {
        for (int kind = 0; kind < STREAMS; kind++) {
            if (is_due(&feed->partitions[i]->streams[kind])) {
                add_stream(list, &feed->partitions[i]->streams[kind]);
            }
        }
    }
    if (list->cnt) {
        mark_begins(feed);
        feed->committing = true;
        feed->commit_round = feed->round;
        rd_kafka_resp_err_t code = rd_kafka_commit_queue(feed->consumer, list, feed->commit_events, NULL, feed);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            char *why = mem_printf("could not commit offsets: %s", rd_kafka_err2str(code));
            feed_end(feed, why);
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

static struct stream *stream_of(struct feed *feed, const rd_kafka_topic_partition_t *element)
{
    for (size_t i = 0; i < feed->held; i++) {
        if (feed->partitions[i]->number == element->partition) {
            return &feed->partitions[i]->streams[strcmp(element->topic, feed->topics[URGENT]) == 0];
        }
    }
    return NULL;
}

/* Lets the begins that this commit covered go on; resuming one may end it and change the list. */
static void resume_begins(struct feed *feed)
{
    for (struct task *task = feed->tasks; task;) {
        if (task->beginner && task->begin_sent && !task->stream->failed) {
            task_resume_begin(task, 0);
            task = feed->tasks;
        } else {
            task = task->next;
        }
    }
}

/* The first error of the commit or of one of its elements; streams that failed are to be committed again. */
static rd_kafka_resp_err_t note_results(struct feed *feed, rd_kafka_resp_err_t code,
                                        const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t first = code;
    for (int i = 0; !code && list && i < list->cnt; i++) {
        struct stream *stream = stream_of(feed, &list->elems[i]);
        first = first ? first : list->elems[i].err;
        if (stream && !list->elems[i].err) {
            stream->sent = false;
        }
    }
    for (size_t i = 0; i < feed->held; i++) {
        for (int kind = 0; kind < STREAMS; kind++) {
            struct stream *stream = &feed->partitions[i]->streams[kind];
            stream->failed = stream->sent; /* nothing good was said of it */
            stream->dirty = stream->dirty || stream->failed;
            stream->sent = false;
        }
    }
    return first;
}

static bool begin_waits(const struct feed *feed)
{
    for (const struct task *task = feed->tasks; task; task = task->next) {
        if (task->beginner) {
            return true;
        }
    }
    return false;
}

void commit_event(struct feed *feed, rd_kafka_event_t *event)
{
    if (rd_kafka_event_opaque(event) != feed || !feed->committing) {
        return;
    }
    feed->committing = false;
    rd_kafka_resp_err_t code =
        note_results(feed, rd_kafka_event_error(event), rd_kafka_event_topic_partition_list(event));
    resume_begins(feed);
    if (means_lost(code) && feed->commit_round == feed->round) {
        log_warning("partitions lost: another worker may run their jobs", "system", feed->name, "error",
                    rd_kafka_err2str(code), NULL);
        assignment_lost(feed);
    } else if (code) {
        series_add(feed->worker->commit_failures, 1);
        log_warning("could not commit offsets; trying again", "system", feed->name, "error", rd_kafka_err2str(code),
                    NULL);
        commit_after(feed, COMMIT_RETRY_MS);
    } else if (begin_waits(feed)) {
        commit_now(feed);
    } else if (!commit_clean(feed)) {
        commit_soon(feed);
    }
    rest_step(feed);
}

/* ---- begins ------------------------------------------------------------------------------------------------------ */

int commit_begin(struct job *job)
{
    struct task *task = job->owner;
    struct stream *stream = task->stream;
    if (!stream->partition->held) {
        return -1;
    }
    if (task->generation != stream->generation) {
        return 0; /* its record is gone: nobody reads it again, and would have to know */
    }
    progress_begun(stream->progress, task->offset);
    stream->dirty = true;
    task->begin_sent = false;
    task->beginner = fiber_self();
    commit_now(stream->partition->feed);
    fiber_wait();
    return task->begin_result;
}
