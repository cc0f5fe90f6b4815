/* The planner's thread: while this process leads, a batch of HR events at a time. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "producer/order_keys.h"
#include "producer/planner_internal.h"

enum { PLANNER_MAGIC = 0x504c414e, BATCH_MAX = 300, STAND_BY_MS = 200 };

#define LANE_EVERY (15 * TIME_SECOND) /* a system's missing topics are looked for */

/* ---- control ----------------------------------------------------------------------------------------------------- */

static void on_control(const rd_kafka_message_t *message, void *arg)
{
    struct planner *planner = arg;
    struct err err = ERR_INIT;
    if (!order_keys_apply(planner->order_keys, message) && control_apply(planner->control, message, &err) != 0) {
        log_warning("control record skipped", "reason", err_text(&err), NULL);
        err_release(&err);
    }
}

static void follow_control(struct planner *planner)
{
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consumer_poll(planner->control_rk, 0))) {
        if (!message->err) {
            on_control(message, planner);
        }
        rd_kafka_message_destroy(message);
    }
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

bool planner_publishes(struct planner *planner, const char *system)
{
    const json_t *known = json_object_get(planner->lanes, system);
    if (json_is_true(known)) {
        return true;
    }
    if (known && time_monotonic() - json_integer_value(known) < LANE_EVERY) {
        return false;
    }
    static const char *const kinds[] = {"jobs", "urgent"};
    bool there = true;
    for (size_t i = 0; i < COUNT_OF(kinds) && there; i++) {
        char *topic = kafka_topic(planner->conf, kinds[i], system);
        there = kafka_partition_count(planner->rk, topic, 0, NULL) > 0;
        free(topic);
    }
    if (!there && !known) {
        log_info("a system has no topics: it is taken for one that is not set up", "system", system, NULL);
    }
    json_object_set_new(planner->lanes, system, there ? json_true() : json_integer(time_monotonic()));
    return there;
}

/* How old the newest record of each topic was when all that it led to had been published; 0 while there is nothing to do. */
static void set_lag(struct planner *planner, rd_kafka_message_t **messages, size_t count)
{
    for (size_t i = 0; i < planner->stream_count; i++) {
        int64_t newest = 0;
        for (size_t m = 0; m < count; m++) {
            rd_kafka_timestamp_type_t type;
            bool own = stream_of(planner, messages[m]) == &planner->streams[i];
            newest = own ? rd_kafka_message_timestamp(messages[m], &type) * 1000 : newest;
        }
        series_set(planner->streams[i].lag, newest > 0 ? (double)(time_now() - newest) / (double)TIME_SECOND : 0);
    }
}

/* What Kafka takes no outputs of is set aside. */
static int set_refused_aside(struct planner *planner, struct err *err)
{
    const rd_kafka_message_t *refused[BATCH_MAX];
    char *reasons[BATCH_MAX];
    const char *reason;
    size_t count = 0;
    for (size_t at = 0; (refused[count] = batch_refused(planner->batch, &at, &reason));) {
        reasons[count++] = mem_strdup(reason);
    }
    batch_clear(planner->batch);
    for (size_t i = 0; i < count; i++) {
        decide_refused(planner, refused[i], reasons[i]);
        free(reasons[i]);
    }
    int result = count ? batch_publish(planner->batch, planner->producer, &planner->stopping, err) : 0;
    if (result == 0) {
        batch_clear(planner->batch);
    }
    return result;
}

static int run_batch(struct planner *planner, struct err *err)
{
    rd_kafka_message_t *messages[BATCH_MAX];
    if (kafka_consumer_sound(planner->rk, err) != 0) {
        return -1;
    }
    size_t count = intake_take(planner, messages, BATCH_MAX - 1);
    bool idle = !count && !leader_has_notices(planner) && batch_is_empty(planner->batch);
    if (idle || !leader_confirmed(planner)) {
        set_lag(planner, messages, count);
        intake_put_back(planner, messages, count);
        return 0;
    }
    leader_answer(planner);
    follow_control(planner);
    for (size_t i = 0; i < count; i++) {
        decide_record(planner, messages[i]);
    }
    int result = batch_publish(planner->batch, planner->producer, &planner->stopping, err);
    if (result == 0) {
        result = set_refused_aside(planner, err);
    }
    if (result == 0) {
        intake_commit(planner, messages, count);
        set_lag(planner, messages, count);
    }
    for (size_t i = 0; i < count; i++) {
        rd_kafka_message_destroy(messages[i]);
    }
    return result;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

/* Those that have to be there. */
static bool topics_there(struct planner *planner, struct err *err)
{
    for (size_t i = 0; i < planner->stream_count; i++) {
        if (stream_partitions(planner, &planner->streams[i], 10 * TIME_SECOND, err) < 0) {
            return false;
        }
    }
    return kafka_partition_count(planner->rk, planner->roster_topic, 10 * TIME_SECOND, err) > 0;
}

/* Waits until the topics are there and control is read. */
static int prepare(struct planner *planner, struct err *err)
{
    while (!planner->stopping) {
        err_release(err);
        if (topics_there(planner, err)) {
            planner->control_rk =
                kafka_follow(planner->conf, planner->control_topic, 30 * TIME_SECOND, on_control, planner, err);
        }
        if (planner->control_rk) {
            return 0;
        }
        log_warning("waiting for Kafka", "error", err_text(err), NULL);
    }
    return -1;
}

static void *planner_run(void *arg)
{
    struct planner *planner = arg;
    struct err err = ERR_INIT;
    if (prepare(planner, &err) == 0) {
        leader_subscribe(planner);
    }
    while (!planner->stopping) {
        bool leads = leader_follow(planner, STAND_BY_MS);
        int result = kafka_consumer_sound(planner->roster_rk, &err);
        follow_control(planner);
        if (result == 0 && leads) {
            result = run_batch(planner, &err);
        }
        if (result != 0 && !planner->stopping) {
            log_error("the planner can't go on", "error", err_text(&err), NULL);
            exit(1);
        }
    }
    err_release(&err);
    return NULL;
}

/* The leader reads all HR events by itself; the group only keeps its offsets. */
static int open_intake(struct planner *planner, struct err *err)
{
    char *group = mem_printf("%s.producer", conf_string(planner->conf, "kafka.prefix"));
    rd_kafka_conf_t *settings = kafka_consumer_conf(planner->conf, group, err);
    free(group);
    if (!settings) {
        return -1;
    }
    rd_kafka_conf_set(settings, "enable.partition.eof", "true", NULL, 0);
    rd_kafka_conf_set(settings, "queued.min.messages", "1000", NULL, 0);
    rd_kafka_conf_set(settings, "queued.max.messages.kbytes", "4096", NULL, 0);
    planner->rk = kafka_consumer_new(settings, err);
    if (!planner->rk) {
        return -1;
    }
    rd_kafka_poll_set_consumer(planner->rk);
    return 0;
}

static int open_all(struct planner *planner, struct err *err)
{
    if (open_intake(planner, err) != 0 || leader_open(planner, err) != 0) {
        return -1;
    }
    planner->producer = kafka_producer_new(planner->conf, err);
    if (planner->producer) {
        kafka_producer_seal_with(planner->producer, planner->keyring);
    }
    if (!planner->producer || kafka_producer_open(planner->producer, planner->roster_topic, err) != 0 ||
        kafka_producer_open(planner->producer, planner->events, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < definition_count(planner->definitions, DEFINITION_CONNECTOR); i++) {
        const char *system = definition_item(planner->definitions, DEFINITION_CONNECTOR, i)->name;
        char *topic = kafka_topic(planner->conf, "jobs", system);
        kafka_producer_open(planner->producer, topic, NULL);
        free(topic);
    }
    return 0;
}

/* Without a source every HR event would be set aside as unknown. */
static int check_complete(const struct definitions *definitions, struct err *err)
{
    for (int kind = DEFINITION_SOURCE; kind <= DEFINITION_CONNECTOR; kind++) {
        if (definition_count(definitions, (enum definition_kind)kind) == 0) {
            const char *name = definition_kind_name((enum definition_kind)kind);
            return err_set(err, ERR_FATAL, "there is no %s: neither with the programs nor in definitions.%ss", name,
                           name);
        }
    }
    return 0;
}

static void make_metrics(struct planner *planner)
{
    planner->dispositions = metric_new(METRIC_COUNTER, "offboard_intake_events_total", "source disposition",
                                       "HR events by source and what became of them.");
    planner->last_event = metric_new(METRIC_GAUGE, "offboard_intake_last_event_timestamp_seconds", "source",
                                     "When the newest event of a source came.");
    planner->without_effect =
        metric_new(METRIC_COUNTER, "offboard_cancellations_without_effect_total", "source",
                   "Cancellations and rehires that found no open offboarding of the person, by source.");
    planner->erased = metric_series(metric_new(METRIC_COUNTER, "offboard_keys_erased_total", "",
                                               "Keys of offboardings that this producer has erased."),
                                    NULL);
    planner->leading = metric_series(
        metric_new(METRIC_GAUGE, "offboard_planner_leads", "", "1 while this producer plans, 0 while it stands by."),
        NULL);
    planner->remembered = metric_series(metric_new(METRIC_GAUGE, "offboard_planner_offboardings", "",
                                                   "Offboardings in the memory of the producer that plans."),
                                        NULL);
}

int planner_check(const struct conf *conf, struct err *err)
{
    struct definitions *definitions = definitions_load_or_fail(conf, &(struct definition_use){.sources = true}, err);
    int result = definitions ? check_complete(definitions, err) : -1;
    definitions_free(definitions);
    return result;
}

struct planner *planner_start(const struct conf *conf, struct err *err)
{
    struct planner *planner = MEM_NEW(struct planner);
    planner->magic = PLANNER_MAGIC;
    planner->conf = conf;
    planner->events = kafka_topic(conf, "events", NULL);
    planner->control_topic = kafka_topic(conf, "control", NULL);
    planner->roster_topic = kafka_topic(conf, "roster", NULL);
    planner->control = control_new();
    planner->order_keys = order_keys_new();
    planner->published = json_object();
    planner->notices = json_object();
    planner->lanes = json_object();
    make_metrics(planner);
    planner->definitions = definitions_load_or_fail(conf, &(struct definition_use){.sources = true}, err);
    if (planner->definitions) {
        streams_open(planner);
    }
    planner->keyring = planner->definitions ? keyring_start(conf, NULL, err) : NULL;
    planner->batch = batch_new(conf, planner->keyring);
    if (!planner->keyring || check_complete(planner->definitions, err) != 0 || open_all(planner, err) != 0) {
        planner_stop(planner);
        return NULL;
    }
    if (pthread_create(&planner->thread, NULL, planner_run, planner) != 0) {
        planner->thread = 0;
        err_set(err, ERR_FATAL, "could not start the planner's thread");
        planner_stop(planner);
        return NULL;
    }
    return planner;
}

void planner_stop(struct planner *planner)
{
    if (!planner) {
        return;
    }
    planner->stopping = true;
    if (planner->thread) {
        pthread_join(planner->thread, NULL);
    }
    kafka_producer_free(planner->producer, 5 * TIME_SECOND);
    leader_drop(planner);
    rd_kafka_t **const consumers[] = {&planner->roster_rk, &planner->rk, &planner->control_rk};
    for (size_t i = 0; i < COUNT_OF(consumers); i++) {
        if (*consumers[i]) {
            rd_kafka_consumer_close(*consumers[i]);
            rd_kafka_destroy(*consumers[i]);
            *consumers[i] = NULL;
        }
    }
    batch_free(planner->batch); /* after the producer, which may still report */
    keyring_stop(planner->keyring);
    control_free(planner->control);
    order_keys_free(planner->order_keys);
    streams_close(planner);
    definitions_free(planner->definitions);
    json_decref(planner->published);
    json_decref(planner->notices);
    json_decref(planner->lanes);
    free(planner->events);
    free(planner->control_topic);
    free(planner->roster_topic);
    free(planner);
}

struct order_keys *planner_order_keys(struct planner *planner)
{
    return planner->order_keys;
}

struct keyring *planner_keyring(struct planner *planner)
{
    return planner->keyring;
}

bool planner_ready(struct planner *planner, char **why)
{
    if (!planner->ready) {
        *why = mem_strdup("the roster is not read yet, or it is not settled who plans");
        return false;
    }
    return true;
}
