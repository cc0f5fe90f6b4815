#include "producer/batch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/metrics_process.h"
#include "lib/secret.h"
#include "lib/time.h"

enum { AGAIN_AFTER_MS = 200 };

enum state { OPEN, UNDER_WAY, DONE, REFUSED };

/* One record to be. */
struct output {
    struct batch *batch;
    enum stage stage;
    char *topic;
    char *key;
    char *value;   /* NULL: a tombstone */
    char *smaller; /* the same in less bytes; may be NULL */
    char *else_topic;
    char *else_value; /* an event instead of it; may be NULL */
    char *seal;       /* the offboarding under whose key it is sealed; NULL: in clear */
    int64_t doubt;    /* of kafka_produce() */
    struct message_headers headers;
    const rd_kafka_message_t *record; /* that it belongs to; borrowed, may be NULL */
    char *dead_reason;                /* of a dead letter: the record itself is published; NULL: it is none */
    enum state state;
};

/* A record that can't be published. */
struct refusal {
    const rd_kafka_message_t *record;
    char *reason;
};

struct batch {
    const struct conf *conf;
    struct keyring *keyring;
    char *roster;
    char *keys;
    struct output *outputs;
    size_t count;
    struct refusal *refusals;
    size_t refusal_count;
    const rd_kafka_message_t *record; /* in hand */
    struct err failed;                /* the newest trouble */
    size_t under_way;
};

struct batch *batch_new(const struct conf *conf, struct keyring *keyring)
{
    struct batch *batch = MEM_NEW(struct batch);
    batch->conf = conf;
    batch->keyring = keyring;
    batch->keys = kafka_topic(conf, "keys", NULL);
    batch->roster = kafka_topic(conf, "roster", NULL);
    return batch;
}

void batch_clear(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct output *output = &batch->outputs[i];
        free(output->topic);
        free(output->key);
        if (output->stage == STAGE_KEYS) {
            secret_wipe(output->value);
        }
        free(output->value);
        free(output->seal);
        free(output->smaller);
        free(output->else_topic);
        free(output->else_value);
        free(output->dead_reason);
        message_headers_release(&output->headers);
    }
    for (size_t i = 0; i < batch->refusal_count; i++) {
        free(batch->refusals[i].reason);
    }
    batch->count = batch->refusal_count = 0;
    batch->record = NULL;
    err_release(&batch->failed);
}

bool batch_is_empty(const struct batch *batch)
{
    return batch->count == 0;
}

void batch_free(struct batch *batch)
{
    if (batch) {
        batch_clear(batch);
        free(batch->outputs);
        free(batch->refusals);
        free(batch->roster);
        free(batch->keys);
        free(batch);
    }
}

void batch_begin(struct batch *batch, const rd_kafka_message_t *message)
{
    batch->record = message;
}

static struct output *add(struct batch *batch, enum stage stage)
{
    batch->outputs = mem_realloc(batch->outputs, (batch->count + 1) * sizeof *batch->outputs);
    struct output *output = &batch->outputs[batch->count++];
    *output = (struct output){.batch = batch, .stage = stage, .record = batch->record};
    return output;
}

size_t batch_add(struct batch *batch, enum stage stage, const char *topic, const char *key, json_t *value,
                 const char *type, const char *id, const char *traceparent)
{
    struct output *output = add(batch, stage);
    output->topic = mem_strdup(topic);
    output->key = mem_strdup(key);
    output->value = value ? json_text(value) : NULL;
    message_headers(&output->headers, "planner", type, id, traceparent);
    json_decref(value);
    return output->value ? strlen(output->value) : 0;
}

void batch_seal(struct batch *batch, const char *offboarding_id)
{
    batch->outputs[batch->count - 1].seal = mem_strdup(offboarding_id);
}

void batch_or(struct batch *batch, json_t *value)
{
    batch->outputs[batch->count - 1].smaller = json_text(value);
    json_decref(value);
}

void batch_else(struct batch *batch, const char *topic, json_t *event)
{
    struct output *output = &batch->outputs[batch->count - 1];
    output->else_topic = mem_strdup(topic);
    output->else_value = json_text(event);
    json_decref(event);
}

void batch_write_roster(void *arg, const char *key, json_t *value)
{
    struct batch *batch = arg;
    for (size_t i = 0; i < batch->count; i++) {
        struct output *output = &batch->outputs[i];
        if (output->stage == STAGE_ROSTER && strcmp(output->key, key) == 0) {
            free(output->value);
            output->value = value ? json_text(value) : NULL;
            json_decref(value);
            return;
        }
    }
    batch_add(batch, STAGE_ROSTER, batch->roster, key, value, "roster", key, NULL);
}

void batch_dead(struct batch *batch, const rd_kafka_message_t *message, const char *reason)
{
    struct output *output = add(batch, STAGE_EVENTS);
    output->record = message;
    output->topic = mem_strdup("dead");
    output->key = mem_strdup("");
    output->dead_reason = mem_strdup(reason);
    series_add(dead_letters(), 1);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static bool makes_key(const struct batch *batch, const char *offboarding_id)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct output *output = &batch->outputs[i];
        if (output->stage == STAGE_KEYS && output->value && strcmp(output->key, offboarding_id) == 0) {
            return true;
        }
    }
    return false;
}

/* Only who plans writes keys, and has read what there was before: nothing needs to be asked of Kafka. */
bool batch_has_key(struct batch *batch, const char *offboarding_id)
{
    unsigned char key[SEAL_KEY_SIZE];
    int64_t doubt = 1;
    bool known =
        makes_key(batch, offboarding_id) || keyring_find(batch->keyring, offboarding_id, key, &doubt) != KEY_GONE;
    seal_key_wipe(key);
    return known;
}

void batch_make_key(struct batch *batch, const char *offboarding_id)
{
    unsigned char key[SEAL_KEY_SIZE];
    struct err err = ERR_INIT;
    if (batch_has_key(batch, offboarding_id)) {
        return;
    }
    if (seal_key_new(key, &err) != 0) {
        log_error("the planner can't go on", "error", err_text(&err), NULL);
        exit(1);
    }
    batch_add(batch, STAGE_KEYS, batch->keys, offboarding_id, keyring_record(key), "key", offboarding_id, NULL);
    seal_key_wipe(key);
}

void batch_settle_keys(struct batch *batch)
{
    char id[ID_SIZE];
    unsigned char key[SEAL_KEY_SIZE];
    while (keyring_contested(batch->keyring, id, key)) {
        batch_add(batch, STAGE_KEYS, batch->keys, id, keyring_record(key), "key", id, NULL);
    }
    seal_key_wipe(key);
}

void batch_erase_key(struct batch *batch, const char *offboarding_id)
{
    batch_add(batch, STAGE_ERASURES, batch->keys, offboarding_id, NULL, "key", offboarding_id, NULL);
}

/* Until the keyring has read what was written: of two keys the first one on the topic counts. */
static int wait_for_keys(const struct batch *batch, const atomic_bool *stopping)
{
    unsigned char key[SEAL_KEY_SIZE];
    for (size_t i = 0; i < batch->count; i++) {
        const struct output *output = &batch->outputs[i];
        while (output->stage == STAGE_KEYS && output->value && output->state == DONE &&
               keyring_wait(batch->keyring, output->key, key, TIME_SECOND) == KEY_NOT_YET) {
            if (*stopping) {
                return -1;
            }
        }
    }
    seal_key_wipe(key);
    return 0;
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static bool is_refused(const struct batch *batch, const rd_kafka_message_t *record)
{
    for (size_t i = 0; record && i < batch->refusal_count; i++) {
        if (batch->refusals[i].record == record) {
            return true;
        }
    }
    return false;
}

/* It becomes the event that stands for it, in a later stage. */
static void replace(struct output *output)
{
    free(output->topic);
    free(output->value);
    output->topic = output->else_topic;
    output->value = output->else_value;
    output->else_topic = output->else_value = NULL;
    output->stage = STAGE_EVENTS;
    output->state = OPEN;
}

/* For good. What was refused of a record that is told of already, or of none, is only said. */
static void refuse(struct output *output, const char *reason)
{
    struct batch *batch = output->batch;
    if (output->smaller) {
        free(output->value);
        output->value = output->smaller;
        output->smaller = NULL;
        output->state = OPEN;
        return;
    }
    log_error("a record can't be published", "topic", output->topic, "key", output->key, "error", reason, NULL);
    if (output->else_value) {
        replace(output);
        return;
    }
    output->state = REFUSED;
    bool early = output->stage < STAGE_EVENTS && output->stage != STAGE_DEFINITIONS;
    if (early && output->record && !is_refused(batch, output->record)) {
        batch->refusals = mem_realloc(batch->refusals, (batch->refusal_count + 1) * sizeof *batch->refusals);
        batch->refusals[batch->refusal_count++] = (struct refusal){output->record, mem_strdup(reason)};
    }
}

const rd_kafka_message_t *batch_refused(const struct batch *batch, size_t *at, const char **reason)
{
    if (*at >= batch->refusal_count) {
        return NULL;
    }
    *reason = batch->refusals[*at].reason;
    return batch->refusals[(*at)++].record;
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

static void settle(struct output *output, const struct err *err)
{
    if (!err) {
        output->state = DONE;
    } else if (err->class == ERR_PERMANENT) {
        refuse(output, err_text(err));
    } else {
        output->state = OPEN;
        err_release(&output->batch->failed);
        err_set(&output->batch->failed, err->class, "%s", err_text(err));
    }
}

static void on_delivered(void *arg, const struct err *err)
{
    struct output *output = arg;
    output->batch->under_way--;
    settle(output, err);
}

static int hand_over(struct output *output, struct kafka_producer *producer, struct err *err)
{
    if (output->dead_reason) {
        struct kafka_dead dead = {output->record, "planner", output->dead_reason, 0};
        return kafka_produce_dead(producer, output->batch->conf, &dead, on_delivered, output, err);
    }
    bool is_key = output->stage == STAGE_KEYS || output->stage == STAGE_ERASURES; /* the keyring reads one partition */
    struct kafka_record record = {.topic = output->topic,
                                  .partition = is_key ? 0 : RD_KAFKA_PARTITION_UA,
                                  .key = output->key,
                                  .key_len = strlen(output->key),
                                  .value = output->value,
                                  .value_len = output->value ? strlen(output->value) : 0,
                                  .headers = output->headers.list,
                                  .seal = output->seal,
                                  .doubt = &output->doubt};
    return kafka_produce(producer, &record, on_delivered, output, err);
}

static void produce(struct output *output, struct kafka_producer *producer)
{
    struct err err = ERR_INIT;
    output->state = UNDER_WAY;
    output->batch->under_way++;
    if (hand_over(output, producer, &err) != 0) {
        on_delivered(output, &err);
    }
    err_release(&err);
}

/* Hands over what is open of a stage; was there anything? */
static bool produce_open(struct batch *batch, enum stage stage, struct kafka_producer *producer)
{
    bool any = false;
    for (size_t i = 0; i < batch->count; i++) {
        struct output *output = &batch->outputs[i];
        if (output->stage == stage && output->state == OPEN &&
            (output->dead_reason || !is_refused(batch, output->record))) {
            any = true;
            produce(output, producer);
        }
    }
    return any;
}

/* All reports come: Kafka's client gives a record up after some minutes. */
static int wait_for_reports(struct batch *batch, struct kafka_producer *producer, const atomic_bool *stopping)
{
    while (batch->under_way) {
        kafka_producer_wait(producer, TIME_SECOND, NULL);
        if (batch->under_way && *stopping) {
            return -1;
        }
    }
    return 0;
}

static int publish_stage(struct batch *batch, enum stage stage, struct kafka_producer *producer,
                         const atomic_bool *stopping, bool *said)
{
    while (produce_open(batch, stage, producer)) {
        if (wait_for_reports(batch, producer, stopping) != 0) {
            return err_set(&batch->failed, ERR_RETRY, "stopping");
        }
        if (batch->failed.class == ERR_NONE) {
            continue;
        }
        if (batch->failed.class != ERR_RETRY || *stopping) {
            return -1;
        }
        if (!*said) {
            log_warning("could not publish, trying again", "error", err_text(&batch->failed), NULL);
            *said = true;
        }
        err_release(&batch->failed);
        struct timespec pause = {.tv_nsec = AGAIN_AFTER_MS * 1000000};
        nanosleep(&pause, NULL);
    }
    return 0;
}

int batch_publish(struct batch *batch, struct kafka_producer *producer, const atomic_bool *stopping, struct err *err)
{
    bool said = false;
    for (int stage = 0; stage < STAGES; stage++) {
        if (publish_stage(batch, (enum stage)stage, producer, stopping, &said) != 0) {
            return err_set(err, batch->failed.class, "%s", err_text(&batch->failed));
        }
        if (stage == STAGE_KEYS && wait_for_keys(batch, stopping) != 0) {
            return err_set(err, ERR_RETRY, "stopping");
        }
    }
    return 0;
}
