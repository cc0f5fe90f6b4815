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
    struct system *system;
    uint64_t round;
    rd_kafka_t *consumer;
    rd_kafka_topic_partition_list_t *list; /* gets the committed offsets */
    int64_t *low;
    int64_t *high;
    int64_t *since; /* first offset not older than worker.memory; -1: there is none */
    int64_t memory; /* worker.memory, microseconds */
    rd_kafka_resp_err_t code;
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

/* What is older than worker.memory need not be read back. Only a saving: without an answer everything is. */
static void ask_since(struct preparation *preparation)
{
    rd_kafka_topic_partition_list_t *times = rd_kafka_topic_partition_list_copy(preparation->list);
    for (int i = 0; i < times->cnt; i++) {
        times->elems[i].offset = (time_now() - preparation->memory) / 1000;
    }
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(preparation->consumer, times, ASK_TIMEOUT_MS);
    for (int i = 0; i < times->cnt; i++) {
        bool answered = code == RD_KAFKA_RESP_ERR_NO_ERROR && times->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR;
        preparation->since[i] = answered ? times->elems[i].offset : 0;
    }
    rd_kafka_topic_partition_list_destroy(times);
}

static void on_work(uv_work_t *work)
{
    struct preparation *preparation = work->data;
    preparation->code = ask(preparation);
    if (preparation->code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ask_since(preparation);
    }
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

static struct partition *partition_of(struct system *system, int32_t number)
{
    for (size_t i = 0; i < system->held; i++) {
        if (system->partitions[i]->number == number) {
            return system->partitions[i];
        }
    }
    system->partitions = mem_realloc(system->partitions, (system->held + 1) * sizeof *system->partitions);
    system->partitions[system->held] = partition_new(system, number);
    return system->partitions[system->held++];
}

static struct stream_start start_of(const struct preparation *preparation, int i)
{
    const rd_kafka_topic_partition_t *element = &preparation->list->elems[i];
    int64_t low = preparation->low[i];
    struct stream_start start = {.committed = element->offset, .metadata = element->metadata};
    if (element->offset > preparation->high[i]) {
        log_warning(
            "the committed offset lies beyond the end of the topic, which was made anew: it is read from its beginning",
            "topic", element->topic, NULL);
    }
    if (element->offset < low ||
        element->offset > preparation->high[i]) { /* none yet (negative), expired, or made anew */
        start.committed = low;
        start.metadata = NULL;
    }
    start.from = start.committed - READ_BACK > low ? start.committed - READ_BACK : low;
    int64_t since = preparation->since[i] < 0 ? start.committed : preparation->since[i];
    if (since > start.from) {
        start.from = since < start.committed ? since : start.committed;
    }
    return start;
}

/* rd_kafka's metadata is not NUL-terminated by contract. */
static char *metadata_text(const rd_kafka_topic_partition_t *element)
{
    return element->metadata ? mem_strndup(element->metadata, element->metadata_size) : NULL;
}

static void take(struct system *system, struct preparation *preparation)
{
    rd_kafka_topic_partition_list_t *list = preparation->list;
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *element = &list->elems[i];
        char *metadata = metadata_text(element);
        struct stream_start start = start_of(preparation, i);
        start.metadata = start.metadata ? metadata : NULL;
        bool urgent = strcmp(element->topic, system->topics[URGENT]) == 0;
        stream_open(&partition_of(system, element->partition)->streams[urgent], &start);
        element->offset = start.from;
        free(metadata);
    }
    system->assignment = ASSIGNMENT_HELD;
    system->assigned_once = true;
    rd_kafka_resp_err_t code = rd_kafka_assign(system->consumer, list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        log_error("could not take partitions", "system", system->name, "error", rd_kafka_err2str(code), NULL);
    }
    char *count = mem_printf("%zu", system->held);
    log_info("partitions taken", "system", system->name, "partitions", count, NULL);
    free(count);
    series_set(system->partitions_held, (double)system->held);
    engine_set_share(system->worker->engine, system->name, (double)system->held / system->partition_count);
}

static void preparation_free(struct preparation *preparation)
{
    rd_kafka_topic_partition_list_destroy(preparation->list);
    free(preparation->low);
    free(preparation->high);
    free(preparation->since);
    free(preparation);
}

static void on_prepared(uv_work_t *work, int status)
{
    (void)status;
    struct preparation *preparation = work->data;
    struct system *system = preparation->system;
    system->worker->open_handles--;
    if (preparation->round == system->round && system->assignment == ASSIGNMENT_PREPARING) {
        if (preparation->code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            take(system, preparation);
        } else {
            log_warning("could not ask for committed offsets; trying again", "system", system->name, "error",
                        rd_kafka_err2str(preparation->code), NULL);
            system->prepare_again = time_monotonic() + PREPARE_AGAIN_S * TIME_SECOND;
        }
        system_look_again(system);
    }
    preparation_free(preparation);
}

static void prepare(struct system *system)
{
    struct preparation *preparation = MEM_NEW(struct preparation);
    size_t count = (size_t)system->assigning->cnt;
    system->prepare_again = 0;
    preparation->work.data = preparation;
    preparation->system = system;
    preparation->round = system->round;
    preparation->consumer = system->consumer;
    preparation->list = rd_kafka_topic_partition_list_copy(system->assigning);
    preparation->low = mem_alloc((count + 1) * sizeof(int64_t));
    preparation->high = mem_alloc((count + 1) * sizeof(int64_t));
    preparation->since = mem_alloc((count + 1) * sizeof(int64_t));
    preparation->memory = conf_duration(system->worker->conf, "worker.memory");
    system->worker->open_handles++;
    uv_queue_work(system->worker->loop, &preparation->work, on_work, on_prepared);
}

void assignment_step(struct system *system)
{
    if (system->assignment == ASSIGNMENT_PREPARING && system->prepare_again &&
        time_monotonic() >= system->prepare_again) {
        prepare(system);
    }
}

static void on_assign(struct system *system, const rd_kafka_topic_partition_list_t *list)
{
    if (system->worker->draining) {
        rd_kafka_assign(system->consumer, NULL);
        return;
    }
    if (system->assigning) {
        rd_kafka_topic_partition_list_destroy(system->assigning);
    }
    system->assigning = rd_kafka_topic_partition_list_copy(list);
    system->assignment = ASSIGNMENT_PREPARING;
    prepare(system);
}

/* ---- giving ------------------------------------------------------------------------------------------------------ */

/* Begins that wait for a commit that will not come any more. */
static void fail_begins(struct system *system)
{
    for (struct task *task = system->tasks; task;) {
        if (task->beginner && !task->stream->partition->held) {
            task_resume_begin(task, -1);
            task = system->tasks;
        } else {
            task = task->next;
        }
    }
}

static void let_all_go(struct system *system)
{
    dispatch_drop_unstarted(system);
    size_t held = system->held;
    system->held = 0;
    for (size_t i = 0; i < held; i++) {
        partition_let_go(system->partitions[i]);
    }
    system->assignment = ASSIGNMENT_NONE;
    series_set(system->partitions_held, 0);
    fail_begins(system);
    tasks_interrupt(system, INTERRUPT_DRAIN, false);
}

void assignment_answer_revoke(struct system *system)
{
    let_all_go(system);
    system->revoking = false;
    rd_kafka_assign(system->consumer, NULL);
}

void assignment_lost(struct system *system)
{
    let_all_go(system);
}

static void on_revoke(struct system *system)
{
    system->revoking = true;
    if (rd_kafka_assignment_lost(system->consumer)) {
        log_warning("partitions lost: another worker may run their jobs", "system", system->name, NULL);
        assignment_answer_revoke(system);
        return;
    }
    if (system->closing) {
        assignment_answer_revoke(system); /* it came to rest before */
        return;
    }
    rest_begin(system, REVOKE_WAIT_S * TIME_SECOND, conf_duration(system->worker->conf, "worker.drain_grace"));
}

void assignment_event(struct system *system, rd_kafka_event_t *event)
{
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
        log_warning("kafka", "system", system->name, "error", rd_kafka_event_error_string(event), NULL);
        return;
    }
    if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_REBALANCE) {
        return;
    }
    system->round++;
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        on_assign(system, rd_kafka_event_topic_partition_list(event));
    } else {
        on_revoke(system);
    }
}
