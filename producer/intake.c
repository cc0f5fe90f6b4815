/* All partitions of all topics of HR events, read as one: the records of a person may lie on several of them, under this or that name. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "producer/planner_internal.h"

enum {
    ASK_MS = 10000,
    ASK_AGAIN_MS = 200,
    IDLE_WAIT_MS = 50,
    IN_HAND_MOST = 500,  /* records of one partition; then it is paused */
    IN_HAND_FEW = 100,   /* then it goes on */
    FETCHED_MOST = 2000, /* records at a time */
};

#define ANEW_EVERY  TIME_MINUTE
#define PATIENCE    (10 * TIME_SECOND) /* with a partition that gives nothing while others have records */
#define COUNT_EVERY (10 * TIME_SECOND)

static struct intake *find(struct planner *planner, const char *topic, int32_t number)
{
    for (size_t i = 0; i < planner->intake_count; i++) {
        if (planner->intakes[i].number == number && strcmp(planner->intakes[i].stream->topic, topic) == 0) {
            return &planner->intakes[i];
        }
    }
    return NULL;
}

static struct intake *find_of(struct planner *planner, const rd_kafka_message_t *message)
{
    return find(planner, rd_kafka_topic_name(message->rkt), message->partition);
}

/* ---- records in hand --------------------------------------------------------------------------------------------- */

static void put(struct intake *intake, rd_kafka_message_t *message)
{
    if (intake->count == intake->room) {
        size_t room = intake->room ? intake->room * 2 : 64;
        rd_kafka_message_t **records = mem_alloc(room * sizeof *records);
        for (size_t i = 0; i < intake->count; i++) {
            records[i] = intake->records[(intake->first + i) % intake->room];
        }
        free(intake->records);
        intake->records = records;
        intake->first = 0;
        intake->room = room;
    }
    intake->records[(intake->first + intake->count++) % intake->room] = message;
}

static rd_kafka_message_t *head(const struct intake *intake)
{
    return intake->count ? intake->records[intake->first] : NULL;
}

static rd_kafka_message_t *take(struct intake *intake)
{
    rd_kafka_message_t *message = head(intake);
    intake->first = (intake->first + 1) % intake->room;
    intake->count--;
    return message;
}

void intake_release_all(struct planner *planner)
{
    if (planner->intakes) {
        rd_kafka_assign(planner->rk, NULL);
    }
    for (size_t i = 0; i < planner->intake_count; i++) {
        struct intake *intake = &planner->intakes[i];
        while (intake->count) {
            rd_kafka_message_destroy(take(intake));
        }
        free(intake->records);
    }
    free(planner->intakes);
    planner->intakes = NULL;
    planner->intake_count = 0;
    for (size_t i = 0; i < planner->stream_count; i++) {
        planner->streams[i].partitions = 0;
    }
}

/* ---- where to begin ---------------------------------------------------------------------------------------------- */

/* After a question that Kafka did not answer: ask again? Says why, once, and waits a little: many errors come at
 * once. */
static bool ask_again(const struct planner *planner, rd_kafka_resp_err_t code, const char *what,
                      const struct stream *stream, bool *said)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || planner->stopping) {
        return false;
    }
    if (!*said) {
        log_warning(what, "topic", stream->topic, "error", rd_kafka_err2str(code), NULL);
        *said = true;
    }
    struct timespec pause = {.tv_nsec = ASK_AGAIN_MS * 1000000};
    nanosleep(&pause, NULL);
    return true;
}

static void ask_ends(const struct planner *planner, const struct intake *intake, int64_t *low, int64_t *high)
{
    rd_kafka_resp_err_t code;
    bool said = false;
    do {
        code = rd_kafka_query_watermark_offsets(planner->rk, intake->stream->topic, intake->number, low, high, ASK_MS);
    } while (ask_again(planner, code, "could not read the ends of a partition, trying again", intake->stream, &said));
}

static int64_t ask_committed(const struct planner *planner, const struct intake *intake)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, intake->stream->topic, intake->number);
    rd_kafka_resp_err_t code;
    bool said = false;
    do {
        code = rd_kafka_committed(planner->rk, list, ASK_MS);
    } while (ask_again(planner, code, "could not read the committed offsets, trying again", intake->stream, &said));
    int64_t committed = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return committed;
}

/* Retention deleted records that nobody had read: leavers may be among them. */
static void tell_of_loss(const struct intake *intake, int64_t from, int64_t to)
{
    char *partition = mem_printf("%d", intake->number), *count = mem_printf("%lld", (long long)(to - from));
    log_error("HR events were deleted before they were read: leavers may be among them", "topic", intake->stream->topic,
              "partition", partition, "records", count, NULL);
    series_add(intake->stream->lost, (double)(to - from));
    free(partition);
    free(count);
}

static void place(struct planner *planner, struct intake *intake)
{
    int64_t low = 0, high = 0, committed = ask_committed(planner, intake);
    ask_ends(planner, intake, &low, &high);
    if (committed > high) {
        log_warning("the committed offset of a topic lies behind its end: the topic was made anew, and the partition "
                    "is read from its beginning",
                    "topic", intake->stream->topic, NULL);
        committed = low;
    } else if (committed >= 0 && committed < low) {
        tell_of_loss(intake, committed, low);
    }
    intake->next = intake->committed = committed > low ? committed : low;
    tail_start(&intake->tail, intake->committed, time_now());
}

static void add_partitions(struct planner *planner, struct stream *stream, int32_t count)
{
    size_t room = planner->intake_count + (size_t)(count - stream->partitions);
    planner->intakes = mem_realloc(planner->intakes, room * sizeof *planner->intakes);
    while (stream->partitions < count) {
        struct intake *intake = &planner->intakes[planner->intake_count++];
        *intake = (struct intake){.stream = stream, .number = stream->partitions++};
        place(planner, intake);
    }
}

int intake_find_all(struct planner *planner, struct err *err)
{
    intake_release_all(planner);
    for (size_t i = 0; i < planner->stream_count; i++) {
        int32_t count = stream_partitions(planner, &planner->streams[i], TIME_SECOND, err);
        if (count < 0) {
            return -1;
        }
        if (count > 0) {
            add_partitions(planner, &planner->streams[i], count);
        }
    }
    return 0;
}

bool intake_is_unfinished(const struct place *place, void *arg)
{
    const struct intake *intake = find(arg, place->topic, place->partition);
    return intake && place->offset >= intake->committed;
}

void intake_read(struct planner *planner)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)planner->intake_count);
    for (size_t i = 0; i < planner->intake_count; i++) {
        struct intake *intake = &planner->intakes[i];
        rd_kafka_topic_partition_list_add(list, intake->stream->topic, intake->number)->offset = intake->next;
        intake->at_end = intake->paused = false;
    }
    rd_kafka_assign(planner->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    for (size_t i = 0; i < planner->stream_count; i++) {
        char *count = mem_printf("%d", planner->streams[i].partitions);
        log_info("reading HR events", "topic", planner->streams[i].topic, "partitions", count, NULL);
        free(count);
    }
}

bool intake_look_for_more(struct planner *planner)
{
    bool more = false;
    for (size_t i = 0; i < planner->stream_count; i++) {
        struct stream *stream = &planner->streams[i];
        int32_t count = stream_partitions(planner, stream, 0, NULL);
        if (count > 0 && !stream->partitions) {
            return true;
        }
        if (count > stream->partitions) {
            add_partitions(planner, stream, count);
            more = true;
        }
    }
    if (more) {
        intake_read(planner);
    }
    return false;
}

/* ---- arriving ---------------------------------------------------------------------------------------------------- */

/* Another partition may have as many records as before by now, and its offset be in the log: none of its own tells. */
static void read_others_again(struct planner *planner, const struct intake *intake)
{
    struct stream *stream = intake->stream;
    if (stream->anew && time_monotonic() - stream->anew < ANEW_EVERY) {
        return; /* it is the same deletion that they tell of, one after another */
    }
    stream->anew = time_monotonic();
    log_warning("a topic was made anew while it was read: it is read from its beginning", "topic", stream->topic, NULL);
    int32_t *numbers = mem_alloc(planner->intake_count * sizeof *numbers);
    size_t count = 0;
    for (size_t i = 0; i < planner->intake_count; i++) {
        if (planner->intakes[i].stream == stream && &planner->intakes[i] != intake) {
            planner->intakes[i].next = 0;
            numbers[count++] = planner->intakes[i].number;
        }
    }
    kafka_read_again(planner->rk, stream->topic, numbers, count);
    free(numbers);
}

/* An HR system's transactions leave gaps as well: the beginning of the log tells. */
static void look_at_gap(struct planner *planner, struct intake *intake, int64_t offset)
{
    int64_t low = 0, high = 0;
    if (rd_kafka_query_watermark_offsets(planner->rk, intake->stream->topic, intake->number, &low, &high, ASK_MS) ==
            RD_KAFKA_RESP_ERR_NO_ERROR &&
        low > intake->next) {
        tell_of_loss(intake, intake->next, low < offset ? low : offset);
    }
}

static void arrive(struct planner *planner, struct intake *intake, rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t at = rd_kafka_message_timestamp(message, &type) * 1000;
    if (tail_read(&intake->tail, message->offset, at, time_now()) == TAIL_ANEW) {
        read_others_again(planner, intake);
    } else if (message->offset > intake->next) {
        look_at_gap(planner, intake, message->offset);
    }
    int64_t low = 0, high = 0; /* as of the newest answer of the broker */
    rd_kafka_get_watermark_offsets(planner->rk, intake->stream->topic, intake->number, &low, &high);
    intake->next = message->offset + 1;
    intake->at_end = intake->next >= high;
    put(intake, message);
}

static void fetched(struct planner *planner, rd_kafka_message_t *message)
{
    struct intake *intake = message->rkt ? find_of(planner, message) : NULL;
    if (!message->err && intake) {
        arrive(planner, intake, message);
        return;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && intake) {
        intake->at_end = true;
    } else if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        log_warning("could not read HR events", "topic", message->rkt ? rd_kafka_topic_name(message->rkt) : NULL,
                    "error", rd_kafka_message_errstr(message), NULL);
    }
    rd_kafka_message_destroy(message);
}

/* A partition of which much is in hand waits for the others. */
static void pause_or_resume(struct planner *planner, struct intake *intake)
{
    bool pause = intake->paused ? intake->count > IN_HAND_FEW : intake->count >= IN_HAND_MOST;
    if (pause == intake->paused) {
        return;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, intake->stream->topic, intake->number);
    if (pause) {
        rd_kafka_pause_partitions(planner->rk, list);
    } else {
        rd_kafka_resume_partitions(planner->rk, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    intake->paused = pause;
}

static void fetch(struct planner *planner, int wait_ms)
{
    rd_kafka_message_t *message;
    for (int i = 0; i < FETCHED_MOST && (message = rd_kafka_consumer_poll(planner->rk, i ? 0 : wait_ms)); i++) {
        fetched(planner, message);
    }
    for (size_t i = 0; i < planner->intake_count; i++) {
        pause_or_resume(planner, &planner->intakes[i]);
    }
}

/* ---- as one ------------------------------------------------------------------------------------------------------ */

/* Is nothing known of what comes next in the partition? Then it may be older than what the others have. */
static bool keeps_waiting(struct intake *intake)
{
    if (intake->count || intake->at_end) {
        intake->empty_since = 0;
        return false;
    }
    int64_t now = time_monotonic();
    intake->empty_since = intake->empty_since ? intake->empty_since : now;
    return now - intake->empty_since < PATIENCE; /* its broker is away: access must not wait for it */
}

/* The partition whose record is the oldest; NULL: none has any, or one has to be waited for. */
static struct intake *next_partition(struct planner *planner)
{
    struct intake *oldest = NULL;
    int64_t least = 0;
    bool waits = false;
    for (size_t i = 0; i < planner->intake_count; i++) {
        struct intake *intake = &planner->intakes[i];
        waits = keeps_waiting(intake) || waits;
        rd_kafka_timestamp_type_t type;
        int64_t at = intake->count ? rd_kafka_message_timestamp(head(intake), &type) : 0;
        if (intake->count && (!oldest || at < least)) {
            oldest = intake;
            least = at;
        }
    }
    return waits ? NULL : oldest;
}

size_t intake_take(struct planner *planner, rd_kafka_message_t **messages, size_t most)
{
    size_t count = 0;
    struct intake *intake = NULL;
    fetch(planner, next_partition(planner) ? 0 : IDLE_WAIT_MS);
    while (count < most && (intake = next_partition(planner))) {
        messages[count++] = take(intake);
    }
    return count;
}

void intake_put_back(struct planner *planner, rd_kafka_message_t **messages, size_t count)
{
    while (count-- > 0) {
        struct intake *intake = find_of(planner, messages[count]);
        intake->first = (intake->first + intake->room - 1) % intake->room;
        intake->records[intake->first] = messages[count];
        intake->count++;
    }
}

void intake_commit(struct planner *planner, rd_kafka_message_t **messages, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (size_t i = 0; i < count; i++) {
        const char *topic = rd_kafka_topic_name(messages[i]->rkt);
        rd_kafka_topic_partition_t *found = rd_kafka_topic_partition_list_find(list, topic, messages[i]->partition);
        if (!found) {
            found = rd_kafka_topic_partition_list_add(list, topic, messages[i]->partition);
        }
        found->offset = messages[i]->offset + 1;
    }
    rd_kafka_resp_err_t code = list->cnt ? rd_kafka_commit(planner->rk, list, 0) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        /* Whoever leads next finds in the roster what was decided of them. */
        log_warning("could not commit the offsets of HR events", "error", rd_kafka_err2str(code), NULL);
    }
    rd_kafka_topic_partition_list_destroy(list);
}
