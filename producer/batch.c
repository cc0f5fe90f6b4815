#include "producer/batch.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics_process.h"
#include "lib/message.h"
#include "lib/time.h"

/* One record to be. */
struct output {
    enum stage stage;
    char *topic;
    char *key;
    char *value;
    struct message_headers headers;
    const rd_kafka_message_t *original; /* of a forwarded or dead one; borrowed */
    char *dead_reason;                  /* NULL: not dead */
    char *forwarded_from;               /* NULL: not forwarded */
};

struct batch {
    const struct conf *conf;
    struct output *outputs;
    size_t count;
};

struct batch *batch_new(const struct conf *conf)
{
    struct batch *batch = MEM_NEW(struct batch);
    batch->conf = conf;
    return batch;
}

void batch_clear(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct output *output = &batch->outputs[i];
        free(output->topic);
        free(output->key);
        free(output->value);
        free(output->dead_reason);
        free(output->forwarded_from);
        message_headers_release(&output->headers);
    }
    batch->count = 0;
}

void batch_free(struct batch *batch)
{
    if (batch) {
        batch_clear(batch);
        free(batch->outputs);
        free(batch);
    }
}

static struct output *add(struct batch *batch, enum stage stage)
{
    batch->outputs = mem_realloc(batch->outputs, (batch->count + 1) * sizeof *batch->outputs);
    struct output *output = &batch->outputs[batch->count++];
    *output = (struct output){.stage = stage};
    return output;
}

void batch_add(struct batch *batch, enum stage stage, const char *topic, const char *key, json_t *value,
               const char *type, const char *id, const char *traceparent)
{
    struct output *output = add(batch, stage);
    output->topic = mem_strdup(topic);
    output->key = mem_strdup(key);
    output->value = json_text(value);
    message_headers(&output->headers, "planner", type, id, traceparent);
    json_decref(value);
}

void batch_forward(struct batch *batch, const rd_kafka_message_t *message, const char *person)
{
    struct output *output = add(batch, STAGE_EVENTS);
    output->topic = kafka_topic(batch->conf, "intake", NULL);
    output->key = mem_strdup(person);
    output->original = message;
    output->forwarded_from =
        mem_printf("%s/%d/%lld", rd_kafka_topic_name(message->rkt), message->partition, (long long)message->offset);
}

void batch_dead(struct batch *batch, const rd_kafka_message_t *message, const char *reason)
{
    struct output *output = add(batch, STAGE_EVENTS);
    output->original = message;
    output->dead_reason = mem_strdup(reason);
    series_add(dead_letters(), 1);
}

static int produce(struct batch *batch, const struct output *output, struct kafka_producer *producer, struct err *err)
{
    if (output->dead_reason) {
        struct kafka_dead dead = {output->original, "planner", output->dead_reason, 0};
        return kafka_produce_dead(producer, batch->conf, &dead, NULL, NULL, err);
    }
    const char *const forwarded[] = {"offboard_forwarded_from", output->forwarded_from, NULL};
    const rd_kafka_message_t *original = output->original;
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = original ? rd_kafka_message_timestamp(original, &type) : 0;
    struct kafka_record record = {.topic = output->topic,
                                  .timestamp = timestamp > 0 ? timestamp : 0, /* forwarded: received when it came */
                                  .partition = RD_KAFKA_PARTITION_UA,
                                  .key = output->key,
                                  .key_len = strlen(output->key),
                                  .value = original ? original->payload : output->value,
                                  .value_len = original ? original->len : strlen(output->value),
                                  .headers = original ? forwarded : output->headers.list,
                                  .headers_of = original};
    return kafka_produce(producer, &record, NULL, NULL, err);
}

static int publish_stage(struct batch *batch, enum stage stage, struct kafka_producer *producer, struct err *err)
{
    bool any = false;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->outputs[i].stage == stage) {
            any = true;
            const struct output *output = &batch->outputs[i];
            int result = produce(batch, output, producer, err);
            if (result != 0 && err->class == ERR_PERMANENT && output->forwarded_from) {
                /* HR systems may be allowed larger records than we are. */
                struct kafka_dead dead = {output->original, "planner",
                                          "it is too large to be forwarded to its person's partition", 0};
                result = kafka_produce_dead(producer, batch->conf, &dead, NULL, NULL, err);
            }
            if (result != 0) {
                kafka_producer_wait(producer, TIME_SECOND, NULL);
                return -1;
            }
        }
    }
    return any ? kafka_producer_wait(producer, 30 * TIME_SECOND, err) : 0;
}

int batch_publish(struct batch *batch, struct kafka_producer *producer, const atomic_bool *stopping, struct err *err)
{
    bool said = false;
    for (int stage = 0; stage < STAGES; stage++) {
        /* A stage is repeated whole: its ids are the same, so that what arrives twice is harmless. */
        while (publish_stage(batch, (enum stage)stage, producer, err) != 0) {
            if (*stopping || err->class != ERR_RETRY) {
                return -1;
            }
            if (!said) {
                log_warning("could not publish, trying again", "error", err_text(err), NULL);
                said = true;
            }
        }
    }
    err_release(err);
    return 0;
}
