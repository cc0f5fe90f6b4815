/* Messages to Kafka. What PostgreSQL built is put on the right topic under the offboarding's id; who called learns only
 * whether all of it is safe. */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/time.h"
#include "scheduler/scheduler.h"

#define ACKNOWLEDGED_WITHIN (10 * TIME_SECOND)
#define BARRED_FOR          (15 * TIME_SECOND)
#define LOOK_AGAIN          (2 * TIME_SECOND) /* a topic that was made just now may not be known to all brokers yet */

/* Columns of due_messages(). */
enum column { KIND, DUE_AT, OFFBOARDING_ID, PRIORITY, SYSTEM, TRACEPARENT, MESSAGE, CONFIGURED };

/* ---- life -------------------------------------------------------------------------------------------------------- */

int publisher_init(struct publisher *publisher, const struct conf *conf, struct err *err)
{
    *publisher = (struct publisher){.conf = conf,
                                    .events_topic = kafka_topic(conf, "events", NULL),
                                    .roster_topic = kafka_topic(conf, "roster", NULL),
                                    .control_topic = kafka_topic(conf, "control", NULL)};
    publisher->producer = kafka_producer_new(conf, err);
    if (!publisher->producer || kafka_producer_open(publisher->producer, publisher->events_topic, err) != 0 ||
        kafka_producer_open(publisher->producer, publisher->roster_topic, err) != 0 ||
        kafka_producer_open(publisher->producer, publisher->control_topic, err) != 0) {
        return -1;
    }
    publisher->health = kafka_health_start(publisher->producer, err);
    publisher->keyring = publisher->health ? keyring_start(conf, NULL, err) : NULL;
    if (!publisher->keyring) {
        return -1;
    }
    kafka_producer_seal_with(publisher->producer, publisher->keyring);
    publisher->client = kafka_consumer_new(kafka_consumer_conf(conf, NULL, err), err);
    return publisher->client ? 0 : -1;
}

static void clear_deliveries(struct publisher *publisher)
{
    for (size_t i = 0; i < publisher->delivery_count; i++) {
        struct delivery *delivery = publisher->deliveries[i];
        json_decref(delivery->failure);
        free(delivery->reason);
        free(delivery->key);
        free(delivery);
    }
    publisher->delivery_count = 0;
}

void publisher_release(struct publisher *publisher)
{
    kafka_health_stop(publisher->health);
    kafka_producer_free(publisher->producer, TIME_SECOND); /* reports what is open: the deliveries are freed after it */
    keyring_stop(publisher->keyring);
    clear_deliveries(publisher);
    free(publisher->deliveries);
    for (size_t i = 0; i < publisher->lane_count; i++) {
        free(publisher->lanes[i]->system);
        free(publisher->lanes[i]->jobs_topic);
        free(publisher->lanes[i]->urgent_topic);
        free(publisher->lanes[i]);
    }
    free(publisher->lanes);
    if (publisher->client) {
        rd_kafka_destroy(publisher->client);
    }
    waiting_clear(&publisher->waiting);
    free(publisher->events_topic);
    free(publisher->roster_topic);
    free(publisher->control_topic);
    *publisher = (struct publisher){0};
}

/* ---- lanes ------------------------------------------------------------------------------------------------------- */

static struct lane *lane_of(struct publisher *publisher, const char *system)
{
    for (size_t i = 0; i < publisher->lane_count; i++) {
        if (strcmp(publisher->lanes[i]->system, system) == 0) {
            return publisher->lanes[i];
        }
    }
    struct lane *lane = MEM_NEW(struct lane);
    lane->system = mem_strdup(system);
    lane->jobs_topic = kafka_topic(publisher->conf, "jobs", system);
    lane->urgent_topic = kafka_topic(publisher->conf, "urgent", system);
    publisher->lanes = mem_realloc(publisher->lanes, (publisher->lane_count + 1) * sizeof(struct lane *));
    publisher->lanes[publisher->lane_count++] = lane;
    return lane;
}

static void bar(struct lane *lane, const char *why)
{
    if (!lane->barred_until) {
        log_error("could not publish jobs of a system, will try again", "system", lane->system, "error", why, NULL);
    }
    lane->barred_until = time_monotonic() + BARRED_FOR;
}

/* 1 when both topics are there, 0 when one is missing, -1 with an err. An unknown topic would be reported by the producer after half a
 * minute only; so its existence is asked for first. */
static int find_topics(struct publisher *publisher, const struct lane *lane, struct err *err)
{
    const char *const topics[] = {lane->jobs_topic, lane->urgent_topic};
    for (size_t i = 0; i < COUNT_OF(topics); i++) {
        int32_t partitions = kafka_partitions(publisher->client, topics[i], err);
        if (partitions <= 0) {
            return partitions < 0 ? -1
                                  : (err_set(err, ERR_RETRY, "there is no topic %s (offboard topics)", topics[i]), 0);
        }
        if (kafka_producer_open(publisher->producer, topics[i], err) != 0) {
            return -1;
        }
    }
    return 1;
}

/* The topics are missing and never were there. They are looked for once more before that is believed. */
static bool is_absent(struct lane *lane)
{
    int64_t now = time_monotonic();
    if (!lane->missed_at) {
        lane->missed_at = now;
    }
    if (now - lane->missed_at < LOOK_AGAIN) {
        lane->barred_until = now + LOOK_AGAIN;
        return false;
    }
    if (!lane->absent) {
        log_warning("a system is not configured (it has no topics): its steps are skipped", "system", lane->system,
                    NULL);
        lane->absent = true;
    }
    return true;
}

/* 0 when jobs of the system can be published, or skipped. */
static int open_lane(struct publisher *publisher, struct lane *lane, bool configured, struct err *err)
{
    int found = lane->open ? 1 : find_topics(publisher, lane, err);
    if (found > 0) {
        lane->open = true;
        lane->absent = false;
        return 0;
    }
    if (found == 0 && !configured) {
        return is_absent(lane) ? 0 : -1;
    }
    lane->absent = false;
    bar(lane, err_text(err));
    return -1;
}

static int open_lanes(struct publisher *publisher, PGresult *rows, struct err *err)
{
    int result = 0;
    for (int i = 0; i < PQntuples(rows); i++) {
        if (strcmp(PQgetvalue(rows, i, KIND), "job") != 0) {
            continue;
        }
        struct lane *lane = lane_of(publisher, PQgetvalue(rows, i, SYSTEM));
        bool asked = lane->barred_until > time_monotonic(); /* barred by a row before: no need to ask for each */
        bool configured = *PQgetvalue(rows, i, CONFIGURED) == 't';
        if (asked || open_lane(publisher, lane, configured, err) != 0) {
            result = -1;
        }
    }
    return result;
}

char *publisher_barred(struct publisher *publisher)
{
    struct buf out = BUF_INIT;
    buf_adds(&out, "{");
    for (size_t i = 0; i < publisher->lane_count; i++) {
        struct lane *lane = publisher->lanes[i];
        if (lane->barred_until > time_monotonic()) {
            buf_addf(&out, "%s\"%s\"", out.len > 1 ? "," : "", lane->system);
        }
    }
    buf_adds(&out, "}");
    return buf_take(&out);
}

/* ---- producing --------------------------------------------------------------------------------------------------- */

static void on_delivered(void *arg, const struct err *err)
{
    struct delivery *delivery = arg;
    delivery->publisher->open--;
    if (err) {
        delivery->reason = mem_strdup(err_text(err));
        delivery->class = err->class;
    }
}

static struct delivery *delivery_new(struct publisher *publisher, const char *key)
{
    struct delivery *delivery = MEM_NEW(struct delivery);
    delivery->publisher = publisher;
    delivery->key = mem_strdup(key);
    publisher->deliveries =
        mem_realloc(publisher->deliveries, (publisher->delivery_count + 1) * sizeof(struct delivery *));
    publisher->deliveries[publisher->delivery_count++] = delivery;
    return delivery;
}

/* The message counts as published, because nothing more is to happen for an offboarding that was erased. */
static void pass_over(struct delivery *delivery, const char *type, const char *id)
{
    log_warning("a message is not published: the key of its offboarding was erased", "offboarding_id", delivery->key,
                "type", type, "id", id, NULL);
    series_add(records_without_key(), 1);
    on_delivered(delivery, NULL);
}

/* What went wrong is in the delivery, at once or when it is reported. `seal`: the offboarding that it is about, NULL: none. The first key
 * that is not known is waited for; when it does not come, Kafka is away, and the others are not waited for. */
static void produce(struct delivery *delivery, const char *seal, const char *topic, const char *value, const char *type,
                    const char *id, const char *traceparent)
{
    struct publisher *publisher = delivery->publisher;
    struct message_headers headers;
    message_headers(&headers, "scheduler", type, id, traceparent);
    struct kafka_record record = {.topic = topic,
                                  .partition = RD_KAFKA_PARTITION_UA,
                                  .key = delivery->key,
                                  .key_len = strlen(delivery->key),
                                  .value = value,
                                  .value_len = strlen(value),
                                  .headers = headers.list,
                                  .seal = seal,
                                  .doubt = publisher->keys_away ? &delivery->doubt : NULL};
    struct err err = ERR_INIT;
    publisher->open++;
    if (kafka_produce(publisher->producer, &record, on_delivered, delivery, &err) != 0) {
        publisher->keys_away = publisher->keys_away || (seal && err.class == ERR_RETRY);
        if (err.class == ERR_PERMANENT && kafka_key_erased(publisher->producer, &record)) {
            pass_over(delivery, type, id);
        } else {
            on_delivered(delivery, &err);
        }
    }
    err_release(&err);
    message_headers_release(&headers);
}

/* About the offboarding that the delivery's key names; about none when the context names a system instead. */
static void produce_event(struct delivery *delivery, const char *name, const char *message, json_t *context,
                          const char *traceparent)
{
    bool of_system = strncmp(name, "system.", 7) == 0;
    json_t *event = message_event_new(name, of_system ? NULL : delivery->key, context);
    message_event_response(event, 0, message);
    char *value = json_text(event);
    produce(delivery, of_system ? NULL : delivery->key, delivery->publisher->events_topic, value, name,
            json_string_at(event, "id"), traceparent);
    free(value);
    json_decref(event);
}

/* Context of the answer to a job that no worker gets: one that is too large for Kafka, or of a system that is not configured. */
static json_t *answer_context(const json_t *message, const char *outcome)
{
    static const char *const members[] = {"phase", "step", "system", "action", "effect", "attempt"};
    const json_t *job = json_object_get(message, "job");
    json_t *context = json_object();
    json_put_string(context, "job_id", json_string_at(job, "id"));
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        json_put(context, members[i], json_incref(json_object_get(job, members[i])));
    }
    json_put_string(context, "outcome", outcome);
    json_put_string(context, "mode", json_string_at(message, "mode"));
    return context;
}

/* Kinds of rows that become records of the roster, and what stands before the offboarding's id in their keys. */
static const char *roster_prefix(const char *kind)
{
    static const char *const kinds[][2] = {
        {"start", "due"}, {"ended", "ended"}, {"approved", "approved"}, {"erase", "erase"}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (strcmp(kinds[i][0], kind) == 0) {
            return kinds[i][1];
        }
    }
    return NULL;
}

static void produce_notice(struct publisher *publisher, const char *prefix, const char *id, const char *text,
                           const char *traceparent)
{
    char *key = mem_printf("%s/%s", prefix, id);
    produce(delivery_new(publisher, key), NULL, publisher->roster_topic, text, prefix, key, traceparent);
    free(key);
}

/* The order that a worker asked for when its system refused its credentials. */
static void produce_pause(struct publisher *publisher, const char *system, const char *order)
{
    char id[ID_SIZE];
    char *key = mem_printf("pause/%s", system);
    id_v7(id);
    produce(delivery_new(publisher, key), NULL, publisher->control_topic, order, "pause", id, NULL);
    free(key);
}

static void produce_skipped(struct delivery *delivery, const char *system, const json_t *message,
                            const char *traceparent)
{
    char *why = mem_printf("%s is not configured here: nothing was done", system);
    produce_event(delivery, "job.unconfigured", why, answer_context(message, "unconfigured"), traceparent);
    free(why);
}

static void produce_row(struct publisher *publisher, PGresult *rows, int i)
{
    const char *text = PQgetvalue(rows, i, MESSAGE);
    const char *traceparent = PQgetisnull(rows, i, TRACEPARENT) ? NULL : PQgetvalue(rows, i, TRACEPARENT);
    const char *prefix = roster_prefix(PQgetvalue(rows, i, KIND));
    if (prefix) {
        produce_notice(publisher, prefix, PQgetvalue(rows, i, OFFBOARDING_ID), text, traceparent);
        return;
    }
    if (strcmp(PQgetvalue(rows, i, KIND), "pause") == 0) {
        produce_pause(publisher, PQgetvalue(rows, i, SYSTEM), text);
        return;
    }
    struct delivery *delivery = delivery_new(publisher, PQgetvalue(rows, i, OFFBOARDING_ID));
    json_t *message = json_loads(text, 0, NULL);
    if (strcmp(PQgetvalue(rows, i, KIND), "phase") == 0) {
        produce_event(delivery, "phase.due", "the phase's time has come", message, traceparent);
        return;
    }
    struct lane *lane = lane_of(publisher, PQgetvalue(rows, i, SYSTEM));
    if (lane->absent) {
        produce_skipped(delivery, lane->system, message, traceparent);
        json_decref(message);
        return;
    }
    delivery->lane = lane;
    delivery->failure = answer_context(message, "failed");
    bool urgent = strcmp(PQgetvalue(rows, i, PRIORITY), "urgent") == 0;
    const char *topic = urgent ? delivery->lane->urgent_topic : delivery->lane->jobs_topic;
    char *id =
        mem_printf("%s/%lld", json_string_at(message, "job.id"), (long long)json_int_at(message, "job.attempt", 0));
    if (!waiting_has(&publisher->waiting, id)) {
        produce(delivery, delivery->key, topic, text, "job", id, traceparent);
    }
    free(id);
    json_decref(message);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static int wait_for_reports(struct publisher *publisher, int64_t timeout, struct err *err)
{
    int64_t end = time_monotonic() + timeout;
    while (publisher->open && time_monotonic() < end) {
        kafka_producer_wait(publisher->producer, TIME_SECOND / 10, NULL); /* each record's fate is in its delivery */
    }
    return publisher->open
               ? err_set(err, ERR_RETRY, "could not write to Kafka in time: %zu records are open", publisher->open)
               : 0;
}

/* Jobs that Kafka will never take fail, by an event of their own; everything else that failed is to be tried again. */
static int settle_failures(struct publisher *publisher, struct err *err)
{
    size_t count = publisher->delivery_count;
    for (size_t i = 0; i < count; i++) {
        struct delivery *delivery = publisher->deliveries[i];
        if (delivery->reason && delivery->class == ERR_PERMANENT && delivery->failure) {
            char *message = mem_printf("the job can't be published: %s", delivery->reason);
            produce_event(delivery_new(publisher, delivery->key), "job.failed", message, delivery->failure, NULL);
            log_error("a job can't be published", "offboarding_id", delivery->key, "error", delivery->reason, NULL);
            delivery->failure = NULL; /* the event took it over */
            free(delivery->reason);
            delivery->reason = NULL;
            free(message);
        }
    }
    if (wait_for_reports(publisher, ACKNOWLEDGED_WITHIN, err) != 0) {
        return -1;
    }
    int result = 0;
    for (size_t i = 0; i < publisher->delivery_count; i++) {
        struct delivery *delivery = publisher->deliveries[i];
        if (delivery->reason) {
            bool fatal = delivery->class == ERR_FATAL || (result != 0 && err && err->class == ERR_FATAL);
            result = err_set(err, fatal ? ERR_FATAL : ERR_RETRY, "%s", delivery->reason);
            if (delivery->lane) {
                bar(delivery->lane, delivery->reason);
            }
        } else if (delivery->lane) {
            delivery->lane->barred_until = 0;
        }
    }
    return result;
}

int publisher_begin(struct publisher *publisher, struct err *err)
{
    /* Records of a pass that was given up may still be on their way. */
    if (wait_for_reports(publisher, TIME_SECOND, err) != 0) {
        return -1;
    }
    clear_deliveries(publisher);
    publisher->keys_away = false;
    return 0;
}

int publisher_end(struct publisher *publisher, struct err *err)
{
    return wait_for_reports(publisher, ACKNOWLEDGED_WITHIN, err) != 0 ? -1 : settle_failures(publisher, err);
}

void publisher_event(struct publisher *publisher, const struct own_event *event)
{
    produce_event(delivery_new(publisher, event->key), event->name, event->message, event->context, event->traceparent);
}

int publisher_publish(struct publisher *publisher, PGresult *rows, struct err *err)
{
    if (publisher_begin(publisher, err) != 0 || open_lanes(publisher, rows, err) != 0) {
        return -1;
    }
    for (int i = 0; i < PQntuples(rows); i++) {
        if (strcmp(PQgetvalue(rows, i, KIND), "stale") != 0) {
            produce_row(publisher, rows, i);
        }
    }
    return publisher_end(publisher, err);
}
