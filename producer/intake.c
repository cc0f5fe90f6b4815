/* Intake partitions come and go; the log is their memory. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/dead.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "producer/planner_internal.h"

enum { ASK_MS = 10000, ASK_AGAIN_MS = 200 };

#define ANEW_EVERY TIME_MINUTE

struct intake *intake_find(struct planner *planner, int32_t number)
{
    for (size_t i = 0; i < planner->intake_count; i++) {
        if (planner->intakes[i].number == number) {
            return &planner->intakes[i];
        }
    }
    return NULL;
}

void intake_release_all(struct planner *planner)
{
    for (size_t i = 0; i < planner->intake_count; i++) {
        roster_free(planner->intakes[i].roster);
    }
    free(planner->intakes);
    planner->intakes = NULL;
    planner->intake_count = 0;
}

/* The first offset within producer.memory, or the beginning. The mock cluster's answers are nonsense: only one that
 * lies between the ends is believed. */
static int64_t memory_start(struct planner *planner, int32_t number, int64_t low, int64_t high)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    int64_t since = time_now() - conf_duration(planner->conf, "producer.memory");
    rd_kafka_topic_partition_list_add(list, planner->topic, number)->offset = since > 0 ? since / 1000 : 0;
    int64_t start = low;
    if (low < high && rd_kafka_offsets_for_times(planner->rk, list, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        list->elems[0].err == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[0].offset > low &&
        list->elems[0].offset <= high) {
        start = list->elems[0].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return start;
}

/* After a question that Kafka did not answer: ask again? Says why, once, and waits a little: many errors come at
 * once. */
static bool ask_again(const struct planner *planner, rd_kafka_resp_err_t code, const char *what, bool *said)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || planner->stopping) {
        return false;
    }
    if (!*said) {
        log_warning(what, "error", rd_kafka_err2str(code), NULL);
        *said = true;
    }
    struct timespec pause = {.tv_nsec = ASK_AGAIN_MS * 1000000};
    nanosleep(&pause, NULL);
    return true;
}

static void ask_ends(const struct planner *planner, int32_t number, int64_t *low, int64_t *high)
{
    rd_kafka_resp_err_t code;
    bool said = false;
    do {
        code = rd_kafka_query_watermark_offsets(planner->rk, planner->topic, number, low, high, ASK_MS);
    } while (ask_again(planner, code, "could not read the ends of an intake partition, trying again", &said));
}

static void ask_committed(const struct planner *planner, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t code;
    bool said = false;
    do {
        code = rd_kafka_committed(planner->rk, list, ASK_MS);
    } while (ask_again(planner, code, "could not read the committed offsets of intake, trying again", &said));
}

/* Where to begin reading a partition, and from where on records are planned. */
static void place(struct planner *planner, rd_kafka_topic_partition_t *partition, struct intake *intake)
{
    int64_t low = 0, high = 0;
    ask_ends(planner, partition->partition, &low, &high);
    intake->number = partition->partition;
    intake->committed = partition->offset >= low ? partition->offset : low;
    if (intake->committed > high) {
        /* The topic was made anew. Planning all of it is right, only remembering it would lose leavers. */
        log_warning("the committed offset of intake lies behind its end: the partition is planned from its beginning",
                    NULL);
        intake->committed = low;
    }
    int64_t share =
        roster_cap_share(conf_int(planner->conf, "guards.cap_per_hour"), partition->partition, planner->partitions);
    intake->roster = roster_new(share, planner->conf, planner->control);
    int64_t start = memory_start(planner, partition->partition, low, high);
    partition->offset = start < intake->committed ? start : intake->committed;
    tail_start(&intake->tail, partition->offset, time_now());
}

/* Another partition may have as many records as before by now, and its offset be in the log: none of its own tells. */
static void read_others_again(struct planner *planner, const struct intake *intake)
{
    if (planner->anew && time_monotonic() - planner->anew < ANEW_EVERY) {
        return; /* it is the same deletion that they tell of, one after another */
    }
    planner->anew = time_monotonic();
    log_warning("the topic of intake was made anew while it was read: it is planned from its beginning", NULL);
    int32_t *numbers = mem_alloc(planner->intake_count * sizeof *numbers);
    size_t count = 0;
    for (size_t i = 0; i < planner->intake_count; i++) {
        if (&planner->intakes[i] != intake) {
            numbers[count++] = planner->intakes[i].number;
        }
    }
    kafka_read_again(planner->rk, planner->topic, numbers, count);
    free(numbers);
}

bool intake_plans(struct planner *planner, struct intake *intake, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t at = rd_kafka_message_timestamp(message, &type) * 1000;
    if (tail_read(&intake->tail, message->offset, at, time_now()) == TAIL_ANEW) {
        read_others_again(planner, intake);
        intake->committed = message->offset;
    }
    return message->offset >= intake->committed;
}

/* ---- what was set aside ------------------------------------------------------------------------------------------ */

static char *place_text(int32_t partition, int64_t offset)
{
    return mem_printf("%d/%lld", partition, (long long)offset);
}

static bool is_planners(const struct dead_letter *letter, void *arg)
{
    const struct planner *planner = arg;
    return strcmp(letter->topic, planner->topic) == 0 && letter->process && strcmp(letter->process, "planner") == 0;
}

/* A definition that was mended since would make an offboarding of a record that started none, and the next event about
 * this person a repeat of it. */
static void remember_dead(struct planner *planner)
{
    struct dead_want want = {.accepts = is_planners, .arg = planner};
    struct dead_letters letters = {0};
    struct err err = ERR_INIT;
    bool said = false;
    while (!planner->stopping && dead_letters_read(planner->conf, &want, &letters, &err) != 0) {
        if (!said) {
            log_warning("could not read which intake records were set aside, trying again", "error", err_text(&err),
                        NULL);
            said = true;
        }
    }
    json_object_clear(planner->dead);
    for (size_t i = 0; i < letters.count; i++) {
        char *place = place_text(letters.items[i].from_partition, letters.items[i].from_offset);
        json_object_set_new(planner->dead, place, json_true());
        free(place);
    }
    dead_letters_release(&letters);
    err_release(&err);
}

bool intake_was_dead(const struct planner *planner, const rd_kafka_message_t *message)
{
    char *place = place_text(message->partition, message->offset);
    bool dead = json_object_get(planner->dead, place) != NULL;
    free(place);
    return dead;
}

/* ---- the group --------------------------------------------------------------------------------------------------- */

static void assign(struct planner *planner, rd_kafka_topic_partition_list_t *list)
{
    intake_release_all(planner);
    ask_committed(planner, list);
    planner->intakes = mem_alloc((size_t)list->cnt * sizeof *planner->intakes);
    planner->intake_count = (size_t)list->cnt;
    bool remembers = false;
    for (int i = 0; i < list->cnt; i++) {
        place(planner, &list->elems[i], &planner->intakes[i]);
        remembers = remembers || list->elems[i].offset < planner->intakes[i].committed;
    }
    if (remembers) {
        remember_dead(planner);
    }
    rd_kafka_assign(planner->rk, list);
    planner->ready = true;
    char *count = mem_printf("%d", list->cnt);
    log_info("intake partitions assigned", "partitions", count, NULL);
    free(count);
}

void intake_rebalanced(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *arg)
{
    struct planner *planner = arg;
    planner->generation++;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assign(planner, list);
    } else {
        planner->ready = false;
        intake_release_all(planner);
        rd_kafka_assign(rk, NULL);
    }
}
