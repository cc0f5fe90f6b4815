/* Partitions that are ours: their streams, and what becomes of a record that is read from one. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

#define ANEW_EVERY TIME_MINUTE

struct partition *partition_new(struct feed *feed, int32_t number)
{
    struct partition *partition = MEM_NEW(struct partition);
    partition->feed = feed;
    partition->number = number;
    partition->held = true;
    partition->memory = memory_new((size_t)STREAMS * READ_BACK);
    for (int i = 0; i < STREAMS; i++) {
        partition->streams[i].partition = partition;
        partition->streams[i].urgent = i == URGENT;
        partition->streams[i].restored = true; /* nothing to look back at until it is opened */
    }
    return partition;
}

/* To be called before rd_kafka_assign(): only a queue that was taken out of the consumer's before keeps its records. */
void stream_open(struct stream *stream, const struct stream_start *start)
{
    struct feed *feed = stream->partition->feed;
    const char *topic = feed->topics[stream->urgent];
    stream->progress = progress_new(start->committed);
    if (progress_restore(stream->progress, start->metadata) != 0) {
        log_warning("offset metadata is unreadable: jobs that had finished or begun are looked at again", "topic",
                    topic, "metadata", start->metadata, NULL);
    }
    tail_start(&stream->tail, start->from, time_now());
    stream->committed = start->committed;
    stream->restored = start->from >= start->committed;
    stream->forgotten = start->forgotten;
    stream->dirty = start->fresh; /* from now on Kafka knows that this group was here */
    stream->queue = rd_kafka_queue_get_partition(feed->consumer, topic, stream->partition->number);
    static const uint64_t one = 1;
    rd_kafka_queue_forward(stream->queue, NULL);
    rd_kafka_queue_io_event_enable(stream->queue, feed->wake_fd, &one, sizeof one);
}

static void stream_close(struct stream *stream)
{
    if (stream->first) {
        rd_kafka_message_destroy(stream->first);
        stream->first = NULL;
    }
    if (stream->queue) {
        rd_kafka_queue_io_event_enable(stream->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(stream->queue);
        stream->queue = NULL;
    }
}

static void partition_free(struct partition *partition)
{
    for (int i = 0; i < STREAMS; i++) {
        progress_free(partition->streams[i].progress);
    }
    memory_free(partition->memory);
    free(partition);
}

void partition_let_go(struct partition *partition)
{
    partition->held = false;
    for (int i = 0; i < STREAMS; i++) {
        stream_close(&partition->streams[i]);
    }
    if (!partition->tasks) {
        partition_free(partition);
    }
}

void partition_release(struct partition *partition)
{
    if (--partition->tasks == 0 && !partition->held) {
        partition_free(partition);
    }
}

bool partition_restored(const struct partition *partition)
{
    return partition->streams[NORMAL].restored && partition->streams[URGENT].restored;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

int64_t record_time(const rd_kafka_message_t *record)
{
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(record, &type);
    return ms > 0 ? ms * 1000 : 0;
}

/* A record that ran in a life before this: its repeats must be known. */
static void remember(struct stream *stream, const struct opened *value)
{
    json_t *message = value->text ? message_job(value->text, value->len, NULL) : NULL;
    if (message) {
        memory_finished(stream->partition->memory, json_string_at(message, "job.id"),
                        json_int_at(message, "job.attempt", 1));
        json_decref(message);
    }
}

/* The same job and attempt is in hand: this record is finished together with it, not before. */
static void add_twin(struct task *task, struct stream *stream, int64_t offset)
{
    struct twin *twin = MEM_NEW(struct twin);
    twin->stream = stream;
    twin->generation = stream->generation;
    twin->offset = offset;
    twin->next = task->twins;
    task->twins = twin;
}

static void take_job(struct stream *stream, const rd_kafka_message_t *record, json_t *message)
{
    struct feed *feed = stream->partition->feed;
    const char *job_id = json_string_at(message, "job.id");
    int64_t attempt = json_int_at(message, "job.attempt", 1);
    void *owner = NULL;
    enum remembered remembered = memory_look(stream->partition->memory, job_id, attempt, record_time(record), &owner);
    if (remembered == MEMORY_UNKNOWN && record->offset < stream->forgotten &&
        answered_has(feed->answered, job_id, attempt)) {
        remembered = MEMORY_FINISHED;
    }
    if (remembered == MEMORY_UNKNOWN) {
        struct task *task = task_new(stream, record, message);
        if (lane_enter(feed->lanes, task->offboarding_id, task, stream->urgent)) {
            dispatch_ready(task);
        }
        return;
    }
    log_info("job skipped: it is known", "job_id", job_id, "system", feed->name, NULL);
    series_add(feed->repeats, 1);
    if (remembered == MEMORY_RUNNING) {
        add_twin(owner, stream, record->offset);
    } else {
        progress_finished(stream->progress, record->offset);
        commit_soon(feed);
    }
    json_decref(message);
}

/* Its offboarding is over and was erased: nobody can tell what was to be done, and nothing has to be. */
static void pass_over(struct stream *stream, const rd_kafka_message_t *record)
{
    char *id = kafka_message_key_text(record);
    log_warning("job passed over: the key of its offboarding was erased", "offboarding_id", id, "system",
                stream->partition->feed->name, NULL);
    series_add(records_without_key(), 1);
    progress_finished(stream->progress, record->offset);
    commit_soon(stream->partition->feed);
    free(id);
}

/* The job that the record's value says, if it is for this system. NULL with an err. */
static json_t *read_job(const struct feed *feed, const struct opened *value, struct err *err)
{
    json_t *message = message_job(value->text, value->len, err);
    const char *addressed = json_string_at(message, "job.system");
    if (message && strcmp(addressed, feed->name) != 0) {
        err_set(err, ERR_PERMANENT, "job.system is \"%s\", but this is a topic of \"%s\"", addressed, feed->name);
        json_decref(message);
        return NULL;
    }
    return message;
}

/* One record from `committed` on; taken over. `answer` and `why` tell how `value` was opened. */
static void take(struct stream *stream, rd_kafka_message_t *record, enum key_answer answer, const struct opened *value,
                 struct err *why)
{
    struct feed *feed = stream->partition->feed;
    progress_read(stream->progress, record->offset);
    if (progress_changed(stream->progress)) {
        commit_soon(feed);
    }
    if (progress_mark(stream->progress, record->offset) == PROGRESS_FINISHED) {
        remember(stream, value);
        rd_kafka_message_destroy(record);
        return;
    }
    json_t *message = answer == KEY_KNOWN ? read_job(feed, value, why) : NULL;
    if (!message && answer != KEY_GONE) {
        emit_dead(task_new(stream, record, NULL), record, err_text(why));
        return;
    }
    if (message) {
        take_job(stream, record, message);
    } else {
        pass_over(stream, record);
    }
    rd_kafka_message_destroy(record);
}

/* One record of those before `committed`; taken over. */
static void restore(struct stream *stream, rd_kafka_message_t *record, const struct opened *value)
{
    stream->restored = record->offset + 1 >= stream->committed;
    if (record_time(record) >= time_now() - conf_duration(stream->partition->feed->worker->conf, "worker.memory")) {
        remember(stream, value);
    }
    rd_kafka_message_destroy(record);
}

/* Another partition may have as many records as before by now, and its offset be in the log: none of its own tells. */
static void read_others_again(struct feed *feed, const struct stream *stream)
{
    int64_t *last = &feed->anew[stream->urgent];
    bool lately = *last && time_monotonic() - *last < ANEW_EVERY;
    if (lately) {
        return; /* it is the same deletion that they tell of, one after another */
    }
    *last = time_monotonic();
    log_warning("the topic was made anew while it was read: it is read from its beginning", "topic",
                feed->topics[stream->urgent], NULL);
    int32_t *numbers = mem_alloc((feed->held + 1) * sizeof *numbers);
    size_t count = 0;
    for (size_t i = 0; i < feed->held; i++) {
        if (feed->partitions[i] != stream->partition) {
            numbers[count++] = feed->partitions[i]->number;
        }
    }
    kafka_read_again(feed->consumer, feed->topics[stream->urgent], numbers, count);
    free(numbers);
}

/* The records that this stream's progress speaks of are gone. What of them is in hand runs on: nobody can read it again. */
static void begin_anew(struct stream *stream, int64_t offset)
{
    read_others_again(stream->partition->feed, stream);
    progress_free(stream->progress);
    stream->progress = progress_new(offset);
    stream->generation++;
    stream->committed = offset;
    stream->forgotten = 0;
    stream->restored = true;
    stream->dirty = true; /* the offset that is committed is of the topic before */
}

void stream_finished(struct stream *stream, unsigned int generation, int64_t offset)
{
    if (generation == stream->generation) {
        progress_finished(stream->progress, offset);
    }
}

static void note_error(struct stream *stream, const rd_kafka_message_t *record)
{
    if (record->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        stream->restored = true;
        return;
    }
    log_warning("could not read a record", "topic", stream->partition->feed->topics[stream->urgent], "error",
                rd_kafka_message_errstr(record), NULL);
}

/* False: the record waits until its key is known. What is sealed with a key comes after the key, so mostly it is. */
static bool open_and_take(struct stream *stream, rd_kafka_message_t *record)
{
    struct opened value;
    struct err err = ERR_INIT;
    enum key_answer answer =
        keyring_open(stream->partition->feed->worker->keyring, record, &stream->doubt, &value, &err);
    if (answer == KEY_NOT_YET) {
        stream->first = record;
    } else if (stream->restored) {
        take(stream, record, answer, &value, &err);
    } else {
        restore(stream, record, &value);
    }
    stream->doubt = answer == KEY_NOT_YET ? stream->doubt : 0;
    opened_release(&value);
    err_release(&err);
    return answer != KEY_NOT_YET;
}

bool stream_read(struct stream *stream)
{
    rd_kafka_message_t *first = stream->first; /* it was looked at before */
    rd_kafka_message_t *record = first ? first : rd_kafka_consume_queue(stream->queue, 0);
    stream->first = NULL;
    if (!record) {
        return false;
    }
    if (record->err) {
        note_error(stream, record);
        rd_kafka_message_destroy(record);
        return true;
    }
    if (record != first && tail_read(&stream->tail, record->offset, record_time(record), time_now()) == TAIL_ANEW) {
        begin_anew(stream, record->offset);
    }
    if (!stream->restored && record->offset >= stream->committed) {
        stream->first = record; /* the first beyond is kept until the other stream is restored too */
        stream->restored = true;
        return true;
    }
    return open_and_take(stream, record);
}
