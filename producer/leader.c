/* Who plans: of all producers the one that holds the only partition of offboard.roster. It reads the topic, which is the memory of
 * what was decided, and goes on; the others stand by. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/time.h"
#include "producer/planner_internal.h"

enum { READ_WAIT_MS = 100, ASK_AGAIN_MS = 200, FORGET_MOST = 500, NOTICES_MOST = 500 };

#define KEYS_WITHIN (5 * TIME_SECOND)  /* polled in between, so that the group is kept */
#define LOOK_EVERY  (10 * TIME_SECOND) /* for more partitions, and for what may be forgotten */

/* ---- the group --------------------------------------------------------------------------------------------------- */

void leader_drop(struct planner *planner)
{
    intake_release_all(planner);
    batch_clear(planner->batch); /* what was to be forgotten */
    roster_free(planner->roster);
    planner->roster = NULL;
    planner->roster_read = planner->reads = false;
    planner->roster_next = 0;
    json_object_clear(planner->notices);
    series_set(planner->remembered, 0);
}

/* Before the first record of the roster comes: of which HR events the outputs may have to be published again. */
static void begin_memory(struct planner *planner)
{
    struct err err = ERR_INIT;
    const struct timespec pause = {.tv_nsec = ASK_AGAIN_MS * 1000000L};
    bool said = false;
    while (!planner->stopping && intake_find_all(planner, &err) != 0) {
        if (!said) {
            log_warning("waiting for Kafka", "error", err_text(&err), NULL);
        }
        said = true;
        err_release(&err);
        nanosleep(&pause, NULL);
    }
    err_release(&err);
    planner->roster = roster_new(planner->conf, planner->control);
    roster_expect(planner->roster, intake_is_unfinished, planner);
}

/* What was remembered when the group was shaken up is a beginning: who led for a moment in between has written what it decided, and that
 * is read before anything else is decided. */
static void take_up(struct planner *planner, rd_kafka_topic_partition_list_t *list)
{
    planner->leads = list->cnt > 0;
    if (!planner->leads) {
        leader_drop(planner);
        planner->ready = true;
        log_info("stands by: another producer plans", NULL);
    } else {
        log_info("this producer plans", NULL);
        list->elems[0].offset = planner->roster ? planner->roster_next : RD_KAFKA_OFFSET_BEGINNING;
        planner->roster_read = planner->reads = planner->ready = false;
        if (!planner->roster) {
            begin_memory(planner);
        }
    }
    rd_kafka_assign(planner->roster_rk, list);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *arg)
{
    struct planner *planner = arg;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        take_up(planner, list);
    } else {
        planner->leads = planner->ready = false;
        if (rd_kafka_assignment_lost(rk) || !planner->reads) {
            leader_drop(planner); /* somebody else may lead by now */
        }
        rd_kafka_assign(rk, NULL);
    }
    series_set(planner->leading, planner->leads ? 1 : 0);
}

int leader_open(struct planner *planner, struct err *err)
{
    char *group = mem_printf("%s.planner", conf_string(planner->conf, "kafka.prefix"));
    rd_kafka_conf_t *settings = kafka_consumer_conf(planner->conf, group, err);
    free(group);
    if (!settings) {
        return -1;
    }
    rd_kafka_conf_set_opaque(settings, planner);
    rd_kafka_conf_set_rebalance_cb(settings, on_rebalance);
    rd_kafka_conf_set(settings, "enable.partition.eof", "true", NULL, 0);
    planner->roster_rk = kafka_consumer_new(settings, err);
    if (!planner->roster_rk) {
        return -1;
    }
    rd_kafka_poll_set_consumer(planner->roster_rk);
    return 0;
}

void leader_subscribe(struct planner *planner)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, planner->roster_topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(planner->roster_rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
}

/* ---- records of the roster --------------------------------------------------------------------------------------- */

static bool is_notice(const char *key, size_t len)
{
    static const char *const kinds[] = {"ended/", "approved/", "due/", "erase/"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (len > strlen(kinds[i]) && strncmp(key, kinds[i], strlen(kinds[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void on_notice(struct planner *planner, const rd_kafka_message_t *message)
{
    char *key = mem_strndup(message->key, message->key_len);
    json_t *value = message->payload ? json_parse(message->payload, message->len, NULL) : NULL;
    char *traceparent = kafka_message_header_text(message, "traceparent");
    json_t *notice = json_object();
    json_put(notice, "value", value);
    json_put_string(notice, "traceparent", traceparent);
    if (message->payload) {
        json_object_set(planner->notices, key, notice);
    } else {
        json_object_del(planner->notices, key); /* answered */
    }
    json_decref(notice);
    free(traceparent);
    free(key);
}

static void on_record(struct planner *planner, const rd_kafka_message_t *message)
{
    struct err err = ERR_INIT;
    planner->roster_next = message->offset + 1;
    if (message->key && is_notice(message->key, message->key_len)) {
        on_notice(planner, message);
    } else if (planner->roster_read) {
        return; /* our own */
    } else if (roster_read(planner->roster, message->key, message->key_len, message->payload, message->len, &err) !=
               0) {
        char *key = mem_strndup(message->key, message->key_len);
        log_error("a record of the roster can't be understood", "key", key, "error", err_text(&err), NULL);
        free(key);
    }
    err_release(&err);
}

/* One message, at most; was there any? */
static bool poll_roster(struct planner *planner, int wait_ms)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(planner->roster_rk, wait_ms);
    if (!message) {
        return false;
    }
    if (!message->err && planner->roster) {
        on_record(planner, message);
    } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && planner->roster && !planner->roster_read) {
        planner->roster_read = true;
        roster_ready(planner->roster, time_now());
    } else if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        log_warning("could not read the roster", "error", rd_kafka_message_errstr(message), NULL);
    }
    rd_kafka_message_destroy(message);
    return true;
}

/* ---- the memory -------------------------------------------------------------------------------------------------- */

static void say_remembered(const struct planner *planner, int64_t since)
{
    struct roster_size size = roster_size(planner->roster);
    char *offboardings = mem_printf("%zu", size.offboardings), *events = mem_printf("%zu", size.events);
    char *seconds = mem_printf("%.1f", (double)(time_monotonic() - since) / (double)TIME_SECOND);
    log_info("the roster is read", "offboardings", offboardings, "events", events, "seconds", seconds, NULL);
    free(offboardings);
    free(events);
    free(seconds);
}

/* What others who planned have written; and the key of digests, which the first who plans makes. */
static bool read_keys(struct planner *planner)
{
    if (keyring_catch_up(planner->keyring, KEYS_WITHIN, NULL) != 0) {
        return false; /* the keyring has said why */
    }
    batch_make_key(planner->batch, KEY_OF_DIGESTS);
    return true;
}

/* Reads the roster to its end; false: the group was shaken up, or the process stops. */
static bool remember(struct planner *planner)
{
    int64_t since = time_monotonic();
    while (planner->leads && !planner->roster_read && !planner->stopping) {
        poll_roster(planner, READ_WAIT_MS);
    }
    if (!planner->leads || !planner->roster_read) {
        return false;
    }
    if (!read_keys(planner)) {
        return false;
    }
    say_remembered(planner, since);
    intake_read(planner);
    planner->reads = planner->ready = true;
    return true;
}

/* All of it, from the beginning of the roster. */
static void remember_again(struct planner *planner)
{
    static const int32_t only[] = {0};
    log_info("a topic of HR events has come: the roster is read again", NULL);
    leader_drop(planner);
    planner->ready = false;
    begin_memory(planner);
    kafka_read_again(planner->roster_rk, planner->roster_topic, only, 1);
}

/* Every few seconds: partitions and topics that came, and a part of what may be forgotten. */
static void look_after(struct planner *planner)
{
    if (planner->looked_at && time_monotonic() - planner->looked_at < LOOK_EVERY) {
        return;
    }
    planner->looked_at = time_monotonic();
    if (intake_look_for_more(planner)) {
        remember_again(planner);
        return;
    }
    batch_settle_keys(planner->batch);
    roster_forget(planner->roster, time_now(), FORGET_MOST, batch_write_roster, planner->batch);
    series_set(planner->remembered, (double)roster_size(planner->roster).offboardings);
}

bool leader_follow(struct planner *planner, int wait_ms)
{
    while (poll_roster(planner, planner->leads ? 0 : wait_ms)) {
    }
    if (!planner->leads || (!planner->reads && !remember(planner))) {
        return false;
    }
    look_after(planner);
    return planner->reads;
}

/* A commit is taken from the group's present member only. */
bool leader_confirmed(struct planner *planner)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, planner->roster_topic, 0)->offset = planner->roster_next;
    rd_kafka_resp_err_t code = rd_kafka_commit(planner->roster_rk, list, 0);
    rd_kafka_topic_partition_list_destroy(list);
    bool confirmed = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!confirmed && !planner->doubted) {
        log_warning("nothing is planned until Kafka confirms who plans", "error", rd_kafka_err2str(code), NULL);
    }
    planner->doubted = !confirmed;
    return confirmed;
}

/* ---- notices ----------------------------------------------------------------------------------------------------- */

static void answer_due(struct planner *planner, const char *id, const json_t *notice)
{
    const char *due_at = json_string_at(notice, "value.due_at");
    int64_t at = 0;
    if (!due_at || time_parse(due_at, &at, NULL) != 0) {
        log_error("a notice that an offboarding is due has no date", "offboarding_id", id, NULL);
        return;
    }
    enum roster_start start = roster_start(planner->roster, id, at, time_now(), batch_write_roster, planner->batch);
    if (start != ROSTER_NOTHING) {
        outputs_add_start(planner, id, start == ROSTER_START, due_at, json_string_at(notice, "traceparent"));
    }
}

/* Whom it was about is forgotten here, too; that its event was decided stays known. */
static void answer_erase(struct planner *planner, const char *id, const char *traceparent)
{
    if (strcmp(id, KEY_OF_DIGESTS) == 0) {
        log_error("a notice in the roster asks for the key of digests to be erased: it is not", NULL);
        return;
    }
    roster_erase(planner->roster, id, batch_write_roster, planner->batch);
    batch_erase_key(planner->batch, id);
    outputs_add_erased(planner, id, traceparent);
    series_add(planner->erased, 1);
    log_info("the key of an offboarding is erased", "offboarding_id", id, NULL);
}

static void answer(struct planner *planner, const char *key, const json_t *notice)
{
    char id[ID_SIZE];
    const char *named = strchr(key, '/') + 1;
    if (id_parse(named, id) != 0) {
        log_error("a notice in the roster names no offboarding", "key", key, NULL);
    } else if (strncmp(key, "ended/", 6) == 0) {
        roster_end(planner->roster, id, batch_write_roster, planner->batch);
    } else if (strncmp(key, "approved/", 9) == 0) {
        roster_approve(planner->roster, id, batch_write_roster, planner->batch);
    } else if (strncmp(key, "erase/", 6) == 0) {
        answer_erase(planner, id, json_string_at(notice, "traceparent"));
    } else {
        answer_due(planner, id, notice);
    }
    batch_add(planner->batch, STAGE_NOTICES, planner->roster_topic, key, NULL, "roster", key, NULL);
}

bool leader_has_notices(const struct planner *planner)
{
    return json_object_size(planner->notices) > 0;
}

void leader_answer(struct planner *planner)
{
    const char *key;
    json_t *notice;
    void *next;
    int count = 0;
    json_object_foreach_safe(planner->notices, next, key, notice)
    {
        if (count++ == NOTICES_MOST) {
            break; /* the others belong to the next batch */
        }
        answer(planner, key, notice);
        json_object_del(planner->notices, key);
    }
}
