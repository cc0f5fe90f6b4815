/* The planner's thread: a batch of intake records at a time. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "producer/planner_internal.h"

enum { PLANNER_MAGIC = 0x504c414e, BATCH_MAX = 300, BATCH_WAIT_MS = 20, GAP_WAIT_MS = 2, IDLE_WAIT_MS = 200 };

/* ---- control ----------------------------------------------------------------------------------------------------- */

static void on_control(const rd_kafka_message_t *message, void *arg)
{
    struct planner *planner = arg;
    struct err err = ERR_INIT;
    if (control_apply(planner->control, message, &err) != 0) {
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

static void discard(rd_kafka_message_t **messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rd_kafka_message_destroy(messages[i]);
    }
}

/* Gathers up to BATCH_MAX messages; the caller discards them. */
static size_t gather(struct planner *planner, rd_kafka_message_t **messages)
{
    size_t count = 0;
    int64_t end = 0;
    while (count < BATCH_MAX && !planner->stopping) {
        unsigned generation = planner->generation;
        rd_kafka_message_t *message = rd_kafka_consumer_poll(planner->rk, count ? GAP_WAIT_MS : IDLE_WAIT_MS);
        if (planner->generation != generation) {
            discard(messages, count); /* they come again, after what must be remembered before them */
            count = 0;
        }
        if (message && message->err) {
            if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                log_warning("could not read intake", "error", rd_kafka_message_errstr(message), NULL);
            }
            rd_kafka_message_destroy(message);
        } else if (message) {
            messages[count++] = message;
        }
        if (count == 1) {
            end = time_monotonic() + BATCH_WAIT_MS * 1000;
        }
        if (!message || (count && time_monotonic() > end)) {
            break;
        }
    }
    return count;
}

static void decide_all(struct planner *planner, rd_kafka_message_t **messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct intake *intake = intake_find(planner, messages[i]->partition);
        bool remember_only = intake && !intake_plans(planner, intake, messages[i]);
        if (intake && !(remember_only && intake_was_dead(planner, messages[i]))) {
            decide_record(planner, intake, messages[i], remember_only);
        } /* else: taken away since it was fetched, or it did nothing */
    }
}

/* Commits the offset after the last message of each partition, when it was planned and not only remembered. */
static int commit(struct planner *planner, rd_kafka_message_t **messages, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (size_t i = 0; i < count; i++) {
        const struct intake *intake = intake_find(planner, messages[i]->partition);
        if (!intake || messages[i]->offset < intake->committed) {
            continue;
        }
        rd_kafka_topic_partition_t *found =
            rd_kafka_topic_partition_list_find(list, planner->topic, messages[i]->partition);
        if (!found) {
            found = rd_kafka_topic_partition_list_add(list, planner->topic, messages[i]->partition);
        }
        found->offset = messages[i]->offset + 1;
    }
    rd_kafka_resp_err_t code = list->cnt ? rd_kafka_commit(planner->rk, list, 0) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        /* Whoever owns the partition now plans the same records to the same ids. */
        log_warning("could not commit intake offsets", "error", rd_kafka_err2str(code), NULL);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : -1;
}

/* How old the newest record was when all that it led to had been published; 0 while there is nothing to do. */
static void set_lag(struct planner *planner, rd_kafka_message_t **messages, size_t count)
{
    rd_kafka_timestamp_type_t type;
    int64_t newest = count ? rd_kafka_message_timestamp(messages[count - 1], &type) * 1000 : 0;
    series_set(planner->lag, newest > 0 ? (double)(time_now() - newest) / (double)TIME_SECOND : 0);
}

static int run_batch(struct planner *planner, struct err *err)
{
    if (kafka_consumer_sound(planner->rk, err) != 0) {
        return -1;
    }
    rd_kafka_message_t *messages[BATCH_MAX];
    size_t count = gather(planner, messages);
    follow_control(planner);
    decide_all(planner, messages, count);
    int result = batch_publish(planner->batch, planner->producer, &planner->stopping, err);
    batch_clear(planner->batch);
    if (result == 0) {
        commit(planner, messages, count);
        set_lag(planner, messages, count);
    }
    discard(messages, count);
    return result;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

/* Waits until the topics are there and control is read. */
static int prepare(struct planner *planner, struct err *err)
{
    while (!planner->stopping) {
        err_release(err);
        planner->partitions = kafka_partition_count(planner->rk, planner->topic, 10 * TIME_SECOND, err);
        if (planner->partitions > 0) {
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
        rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(topics, planner->topic, RD_KAFKA_PARTITION_UA);
        rd_kafka_subscribe(planner->rk, topics);
        rd_kafka_topic_partition_list_destroy(topics);
    }
    while (!planner->stopping) {
        if (run_batch(planner, &err) != 0 && !planner->stopping) {
            log_error("the planner can't go on", "error", err_text(&err), NULL);
            exit(1);
        }
    }
    err_release(&err);
    return NULL;
}

static int open_all(struct planner *planner, struct err *err)
{
    char *group = mem_printf("%s.producer", conf_string(planner->conf, "kafka.prefix"));
    rd_kafka_conf_t *settings = kafka_consumer_conf(planner->conf, group, err);
    free(group);
    if (!settings) {
        return -1;
    }
    rd_kafka_conf_set_opaque(settings, planner);
    rd_kafka_conf_set_rebalance_cb(settings, intake_rebalanced);
    planner->rk = kafka_consumer_new(settings, err);
    if (!planner->rk) {
        return -1;
    }
    rd_kafka_poll_set_consumer(planner->rk);
    planner->producer = kafka_producer_new(planner->conf, err);
    if (!planner->producer || kafka_producer_open(planner->producer, planner->events, err) != 0) {
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

struct planner *planner_start(const struct conf *conf, struct err *err)
{
    struct planner *planner = MEM_NEW(struct planner);
    planner->magic = PLANNER_MAGIC;
    planner->conf = conf;
    planner->topic = kafka_topic(conf, "intake", NULL);
    planner->events = kafka_topic(conf, "events", NULL);
    planner->control_topic = kafka_topic(conf, "control", NULL);
    planner->control = control_new();
    planner->batch = batch_new(conf);
    planner->published = json_object();
    planner->dead = json_object();
    planner->dispositions = metric_new(METRIC_COUNTER, "offboard_intake_events_total", "source disposition",
                                       "HR events by source and what became of them.");
    planner->last_event = metric_new(METRIC_GAUGE, "offboard_intake_last_event_timestamp_seconds", "source",
                                     "When the newest event of a source came.");
    planner->lag = metric_series(metric_new(METRIC_GAUGE, "offboard_planner_lag_seconds", "",
                                            "Age of the newest intake record when its batch was published."),
                                 NULL);
    planner->definitions = definitions_load_or_fail(conf, &(struct definition_use){.sources = true}, err);
    if (!planner->definitions || check_complete(planner->definitions, err) != 0 || open_all(planner, err) != 0) {
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
    if (planner->rk) {
        rd_kafka_consumer_close(planner->rk);
        rd_kafka_destroy(planner->rk);
    }
    if (planner->control_rk) {
        rd_kafka_consumer_close(planner->control_rk);
        rd_kafka_destroy(planner->control_rk);
    }
    kafka_producer_free(planner->producer, 5 * TIME_SECOND);
    intake_release_all(planner);
    batch_free(planner->batch);
    control_free(planner->control);
    definitions_free(planner->definitions);
    json_decref(planner->published);
    json_decref(planner->dead);
    free(planner->topic);
    free(planner->events);
    free(planner->control_topic);
    free(planner);
}

bool planner_ready(struct planner *planner, char **why)
{
    if (!planner->ready) {
        *why = mem_strdup("no intake partition is assigned yet");
        return false;
    }
    return true;
}
