/* Taking and giving partitions (eager: all go, then all come). Before a partition is read its committed offset, the
 * metadata beside it and the ends of the log are asked for, in libuv's pool: Kafka may take its time, other systems'
 * jobs run on. */
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

enum {
    ASK_TIMEOUT_MS = 5000,
    PREPARE_AGAIN_S = 1,
    REVOKE_WAIT_S = 2, /* the whole group stands still until we answer */
};

struct preparation {
    uv_work_t work;
    struct feed *feed;
    uint64_t round;
    rd_kafka_t *consumer;
    rd_kafka_topic_partition_list_t *list; /* gets the committed offsets */
    int64_t *low;
    int64_t *high;
    int64_t *since; /* first offset not older than worker.memory; -1: there is none */
    int64_t memory; /* worker.memory, microseconds */
    rd_kafka_resp_err_t code;
    struct answered *answered; /* read when offsets were forgotten; NULL: they were not */
    struct err unread;         /* why it could not be read */
};

/* ---- asking, in the pool ----------------------------------------------------------------------------------------- */

static rd_kafka_resp_err_t ask(struct preparation *preparation)
{
    rd_kafka_topic_partition_list_t *list = preparation->list;
    rd_kafka_resp_err_t code = rd_kafka_committed(preparation->consumer, list, ASK_TIMEOUT_MS);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        const rd_kafka_topic_partition_t *element = &list->elems[i];
        code = element->err;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = rd_kafka_query_watermark_offsets(preparation->consumer, element->topic, element->partition,
                                                    &preparation->low[i], &preparation->high[i], ASK_TIMEOUT_MS);
        }
    }
    return code;
}

/* Offsets of the first records not older than `at` (microseconds); -1 where there is none. */
static rd_kafka_resp_err_t offsets_since(struct preparation *preparation, int64_t at, int64_t *offsets)
{
    rd_kafka_topic_partition_list_t *times = rd_kafka_topic_partition_list_copy(preparation->list);
    for (int i = 0; i < times->cnt; i++) {
        times->elems[i].offset = at / 1000;
    }
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(preparation->consumer, times, ASK_TIMEOUT_MS);
    for (int i = 0; i < times->cnt; i++) {
        code = code ? code : times->elems[i].err;
        offsets[i] = times->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(times);
    return code;
}

/* What is older than worker.memory need not be read back. Only a saving: a broker that gives no answer, or finds
 * nothing in a log that has records (librdkafka's mock cluster), gets everything read back. */
static void ask_since(struct preparation *preparation)
{
    int count = preparation->list->cnt;
    int64_t *first = mem_alloc(((size_t)count + 1) * sizeof *first);
    bool trusted =
        offsets_since(preparation, TIME_SECOND, first) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        offsets_since(preparation, time_now() - preparation->memory, preparation->since) == RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < count; i++) {
        trusted = trusted && (first[i] >= 0 || preparation->low[i] == preparation->high[i]);
    }
    for (int i = 0; i < count && !trusted; i++) {
        preparation->since[i] = 0;
    }
    free(first);
}

/* rd_kafka's metadata is not NUL-terminated by contract. */
static char *metadata_text(const rd_kafka_topic_partition_t *element)
{
    return element->metadata ? mem_strndup(element->metadata, element->metadata_size) : NULL;
}

/* The records before this offset may have been answered: Kafka has no offset of ours, as the group is new or was away for so long that Kafka
 * forgot it; or the one it has was committed since, on the way through these records. 0: there are none. */
static int64_t forgotten_until(const struct preparation *preparation, int i)
{
    const rd_kafka_topic_partition_t *element = &preparation->list->elems[i];
    if (element->offset < 0) {
        return preparation->low[i] < preparation->high[i] ? preparation->high[i] : 0;
    }
    int64_t until;
    char *metadata = metadata_text(element);
    answered_unmark(metadata, &until);
    free(metadata);
    return until > element->offset ? until : 0;
}

static bool forgotten(const struct preparation *preparation)
{
    bool any = false;
    for (int i = 0; i < preparation->list->cnt; i++) {
        any = any || forgotten_until(preparation, i) > 0;
    }
    return any;
}

static void read_answered(struct preparation *preparation)
{
    struct worker *worker = preparation->feed->worker;
    preparation->answered = answered_read(worker->conf, preparation->consumer, preparation->feed->results,
                                          worker->keyring, &worker->leaving, &preparation->unread);
}

static void on_work(uv_work_t *work)
{
    struct preparation *preparation = work->data;
    preparation->code = ask(preparation);
    if (preparation->code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ask_since(preparation);
    }
    if (preparation->code == RD_KAFKA_RESP_ERR_NO_ERROR && forgotten(preparation)) {
        read_answered(preparation);
    }
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

static struct partition *partition_of(struct feed *feed, int32_t number)
{
    for (size_t i = 0; i < feed->held; i++) {
        if (feed->partitions[i]->number == number) {
            return feed->partitions[i];
        }
    }
    feed->partitions = mem_realloc(feed->partitions, (feed->held + 1) * sizeof *feed->partitions);
    feed->partitions[feed->held] = partition_new(feed, number);
    return feed->partitions[feed->held++];
}

static struct stream_start start_of(const struct preparation *preparation, int i)
{
    const rd_kafka_topic_partition_t *element = &preparation->list->elems[i];
    int64_t low = preparation->low[i];
    struct stream_start start = {.committed = element->offset, .forgotten = forgotten_until(preparation, i)};
    if (element->offset > preparation->high[i]) {
        log_warning(
            "the committed offset lies beyond the end of the topic, which was made anew: it is read from its beginning",
            "topic", element->topic, NULL);
    }
    if (element->offset < low ||
        element->offset > preparation->high[i]) { /* none yet (negative), expired, or made anew */
        start.committed = low;
        start.fresh = true;
    }
    start.from = start.committed - READ_BACK > low ? start.committed - READ_BACK : low;
    int64_t since = preparation->since[i] < 0 ? start.committed : preparation->since[i];
    if (since > start.from) {
        start.from = since < start.committed ? since : start.committed;
    }
    return start;
}

static void take(struct feed *feed, struct preparation *preparation)
{
    rd_kafka_topic_partition_list_t *list = preparation->list;
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *element = &list->elems[i];
        char *metadata = metadata_text(element);
        struct stream_start start = start_of(preparation, i);
        int64_t mark;
        start.metadata = start.fresh ? NULL : answered_unmark(metadata, &mark);
        bool urgent = strcmp(element->topic, feed->topics[URGENT]) == 0;
        stream_open(&partition_of(feed, element->partition)->streams[urgent], &start);
        element->offset = start.from;
        free(metadata);
    }
    feed->assignment = ASSIGNMENT_HELD;
    feed->assigned_once = true;
    commit_soon(feed);
    rd_kafka_resp_err_t code = rd_kafka_assign(feed->consumer, list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        log_error("could not take partitions", "system", feed->name, "error", rd_kafka_err2str(code), NULL);
    }
    char *count = mem_printf("%zu", feed->held);
    log_info("partitions taken", "system", feed->name, "partitions", count, NULL);
    free(count);
    series_set(feed->partitions_held, (double)feed->held);
    engine_set_share(feed->worker->engine, feed->name, (double)feed->held / feed->partition_count);
}

static void preparation_free(struct preparation *preparation)
{
    rd_kafka_topic_partition_list_destroy(preparation->list);
    free(preparation->low);
    free(preparation->high);
    free(preparation->since);
    answered_free(preparation->answered);
    err_release(&preparation->unread);
    free(preparation);
}

/* Of an older assignment, too: what was answered then is answered. */
static void keep_answered(struct feed *feed, struct preparation *preparation)
{
    if (!preparation->answered) {
        return;
    }
    answered_free(feed->answered);
    feed->answered = preparation->answered;
    preparation->answered = NULL;
    if (answered_count(feed->answered) > 0) {
        char *count = mem_printf("%zu", answered_count(feed->answered));
        log_warning("Kafka has forgotten what the workers of this system have read: jobs are read from the beginning, "
                    "and those that were answered are skipped",
                    "system", feed->name, "answers", count, NULL);
        free(count);
    }
}

static void prepare_later(struct feed *feed, const char *what, const char *why)
{
    log_warning(what, "system", feed->name, "error", why, NULL);
    feed->prepare_again = time_monotonic() + PREPARE_AGAIN_S * TIME_SECOND;
}

static void on_prepared(uv_work_t *work, int status)
{
    (void)status;
    struct preparation *preparation = work->data;
    struct feed *feed = preparation->feed;
    feed->worker->open_handles--;
    keep_answered(feed, preparation);
    if (preparation->round == feed->round && feed->assignment == ASSIGNMENT_PREPARING) {
        if (preparation->code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            prepare_later(feed, "could not ask for committed offsets; trying again",
                          rd_kafka_err2str(preparation->code));
        } else if (preparation->unread.class != ERR_NONE) {
            prepare_later(feed, "could not read which jobs were answered before; trying again",
                          err_text(&preparation->unread));
        } else {
            take(feed, preparation);
        }
        feed_look_again(feed);
    }
    preparation_free(preparation);
}

static void prepare(struct feed *feed)
{
    struct preparation *preparation = MEM_NEW(struct preparation);
    size_t count = (size_t)feed->assigning->cnt;
    feed->prepare_again = 0;
    preparation->work.data = preparation;
    preparation->feed = feed;
    preparation->round = feed->round;
    preparation->consumer = feed->consumer;
    preparation->list = rd_kafka_topic_partition_list_copy(feed->assigning);
    preparation->low = mem_alloc((count + 1) * sizeof(int64_t));
    preparation->high = mem_alloc((count + 1) * sizeof(int64_t));
    preparation->since = mem_alloc((count + 1) * sizeof(int64_t));
    preparation->memory = conf_duration(feed->worker->conf, "worker.memory");
    feed->worker->open_handles++;
    uv_queue_work(feed->worker->loop, &preparation->work, on_work, on_prepared);
}

void assignment_step(struct feed *feed)
{
    if (feed->assignment == ASSIGNMENT_PREPARING && feed->prepare_again && time_monotonic() >= feed->prepare_again) {
        prepare(feed);
    }
}

static void on_assign(struct feed *feed, const rd_kafka_topic_partition_list_t *list)
{
    if (feed->worker->draining) {
        rd_kafka_assign(feed->consumer, NULL);
        return;
    }
    if (feed->assigning) {
        rd_kafka_topic_partition_list_destroy(feed->assigning);
    }
    feed->assigning = rd_kafka_topic_partition_list_copy(list);
    feed->assignment = ASSIGNMENT_PREPARING;
    prepare(feed);
}

/* ---- giving ------------------------------------------------------------------------------------------------------ */

/* Begins that wait for a commit that will not come any more. */
static void fail_begins(struct feed *feed)
{
    for (struct task *task = feed->tasks; task;) {
        if (task->beginner && !task->stream->partition->held) {
            task_resume_begin(task, -1);
            task = feed->tasks;
        } else {
            task = task->next;
        }
    }
}

static void let_all_go(struct feed *feed)
{
    dispatch_drop_unstarted(feed);
    size_t held = feed->held;
    feed->held = 0;
    for (size_t i = 0; i < held; i++) {
        partition_let_go(feed->partitions[i]);
    }
    feed->assignment = ASSIGNMENT_NONE;
    series_set(feed->partitions_held, 0);
    fail_begins(feed);
    tasks_interrupt(feed, INTERRUPT_DRAIN, false);
}

void assignment_answer_revoke(struct feed *feed)
{
    let_all_go(feed);
    feed->revoking = false;
    rd_kafka_assign(feed->consumer, NULL);
}

void assignment_lost(struct feed *feed)
{
    let_all_go(feed);
}

static void on_revoke(struct feed *feed)
{
    feed->revoking = true;
    if (rd_kafka_assignment_lost(feed->consumer)) {
        log_warning("partitions lost: another worker may run their jobs", "system", feed->name, NULL);
        assignment_answer_revoke(feed);
        return;
    }
    if (feed->closing) {
        assignment_answer_revoke(feed); /* it came to rest before */
        return;
    }
    rest_begin(feed, REVOKE_WAIT_S * TIME_SECOND, conf_duration(feed->worker->conf, "worker.drain_grace"));
}

void assignment_event(struct feed *feed, rd_kafka_event_t *event)
{
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR && rd_kafka_event_error_is_fatal(event)) {
        feed_end(feed, rd_kafka_event_error_string(event));
    }
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
        log_warning("kafka", "system", feed->name, "error", rd_kafka_event_error_string(event), NULL);
        return;
    }
    if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_REBALANCE) {
        return;
    }
    feed->round++;
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        on_assign(feed, rd_kafka_event_topic_partition_list(event));
    } else {
        on_revoke(feed);
    }
}
