#include "worker/answered.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/kafka.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/memory.h"
#include "worker/worker_internal.h"

#define PATIENCE     TIME_MINUTE
#define KEY_PATIENCE (30 * TIME_SECOND)

#define MARK "forgotten="

struct answered {
    struct memory *jobs;
    size_t count;
    int64_t last; /* time of the last answer, microseconds; 0: there is none */
};

/* The reading of one topic. */
struct reading {
    struct answered *answered;
    struct keyring *keyring;
    struct err failed; /* why a record could not be opened */
};

/* Every answer has an outcome; what else is said of a job (its before-image) has none. */
static void note(struct answered *answered, const struct opened *value, int64_t at)
{
    json_t *event = value->text ? json_parse(value->text, value->len, NULL) : NULL;
    const json_t *context = json_object_get(event, "context");
    const char *job_id = json_string_at(context, "job_id");
    if (job_id && json_string_at(context, "outcome")) {
        memory_finished(answered->jobs, job_id, json_int_at(context, "attempt", 1));
        answered->count++;
        answered->last = at > answered->last ? at : answered->last;
    }
    json_decref(event);
}

/* The keyring may still be reading: it is waited for. What nobody can open any more is about somebody whose jobs nobody can open either. */
static void on_record(const rd_kafka_message_t *record, void *arg)
{
    struct reading *reading = arg;
    struct opened value;
    int64_t doubt = 0;
    char id[ID_SIZE];
    unsigned char key[SEAL_KEY_SIZE];
    if (reading->failed.class != ERR_NONE) {
        return;
    }
    if (kafka_message_id(record, id) == 0) {
        keyring_wait(reading->keyring, id, key, KEY_PATIENCE);
        seal_key_wipe(key);
    }
    struct err err = ERR_INIT;
    enum key_answer answer = keyring_open(reading->keyring, record, &doubt, &value, &err);
    if (answer == KEY_KNOWN) {
        note(reading->answered, &value, record_time(record));
    } else if (answer == KEY_NOT_YET) {
        err_set(&reading->failed, ERR_RETRY, "%s", err_text(&err));
    }
    opened_release(&value);
    err_release(&err);
}

/* The topic's partitions, from first to last record. An array that the caller frees; NULL with an err. */
static struct kafka_part *parts_of(rd_kafka_t *rk, char *results, size_t *count, struct err *err)
{
    int32_t partitions = kafka_partition_count(rk, results, PATIENCE, err);
    struct kafka_range *ranges = partitions > 0 ? mem_alloc((size_t)partitions * sizeof *ranges) : NULL;
    struct kafka_part *parts = NULL;
    if (ranges && kafka_ends(rk, results, ranges, partitions, err) == 0) {
        parts = mem_alloc((size_t)partitions * sizeof *parts);
        for (int32_t i = 0; i < partitions; i++) {
            parts[i] = (struct kafka_part){results, i, ranges[i].low, ranges[i].high};
        }
        *count = (size_t)partitions;
    }
    free(ranges);
    return parts;
}

struct answered *answered_read(const struct conf *conf, rd_kafka_t *rk, const char *results, struct keyring *keyring,
                               const volatile sig_atomic_t *stop, struct err *err)
{
    size_t count = 0;
    char *topic = mem_strdup(results);
    struct kafka_part *parts = parts_of(rk, topic, &count, err);
    struct answered *answered = NULL;
    if (parts) {
        answered = MEM_NEW(struct answered);
        answered->jobs = memory_new(SIZE_MAX);
        struct reading reading = {answered, keyring, ERR_INIT};
        int result = kafka_read_parts(conf, parts, count, PATIENCE, on_record, &reading, stop, err);
        if (result == 0 && reading.failed.class != ERR_NONE) {
            result = err_set(err, ERR_RETRY, "%s", err_text(&reading.failed));
        }
        err_release(&reading.failed);
        if (result != 0) {
            answered_free(answered);
            answered = NULL;
        }
    }
    free(parts);
    free(topic);
    return answered;
}

void answered_free(struct answered *answered)
{
    if (answered) {
        memory_free(answered->jobs);
        free(answered);
    }
}

bool answered_has(const struct answered *answered, const char *job_id, int64_t attempt)
{
    void *owner;
    return answered && memory_look(answered->jobs, job_id, attempt, 0, &owner) == MEMORY_FINISHED;
}

bool answered_may_have_begun(const struct answered *answered, int64_t published)
{
    return answered && published <= answered->last;
}

size_t answered_count(const struct answered *answered)
{
    return answered ? answered->count : 0;
}

char *answered_mark(char *metadata, int64_t until)
{
    char *marked = mem_printf(MARK "%lld;%s", (long long)until, metadata);
    free(metadata);
    return marked;
}

const char *answered_unmark(const char *metadata, int64_t *until)
{
    *until = 0;
    if (!metadata || strncmp(metadata, MARK, strlen(MARK)) != 0) {
        return metadata;
    }
    char *end;
    long long offset = strtoll(metadata + strlen(MARK), &end, 10);
    *until = *end == ';' ? offset : 0;
    return *end == ';' ? end + 1 : metadata;
}
