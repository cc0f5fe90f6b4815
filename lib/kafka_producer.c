/* Producing: the second half of lib/kafka.h. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/kafka.h"
#include "lib/kafka_internal.h"
#include "lib/keyring.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"

#define KEY_WITHIN (10 * TIME_SECOND)

enum { PRODUCER_MAGIC = 0x4b505244, REPORT_MAGIC = 0x4b525054 };

struct kafka_producer {
    int magic;
    rd_kafka_t *rk;
    int event_fd;
    pthread_mutex_t lock;
    struct err failed; /* first failed delivery since the last kafka_producer_wait() */
    rd_kafka_topic_t *open[64];
    size_t open_count;
    struct keyring *keyring; /* borrowed; NULL: nothing can be sealed */
};

/* One record's way back. */
struct report {
    int magic;
    struct kafka_producer *producer;
    kafka_delivered *delivered;
    void *arg;
};

/* Once an idempotent producer has met a fatal error it takes nothing more: only a new process helps. */
static enum err_class class_of(rd_kafka_t *rk, rd_kafka_resp_err_t code)
{
    if (rd_kafka_fatal_error(rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return ERR_FATAL;
    }
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? ERR_PERMANENT : ERR_RETRY;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)opaque;
    struct report *report = message->_private;
    if (!report || report->magic != REPORT_MAGIC) {
        return;
    }
    struct err err = ERR_INIT;
    if (message->err) {
        enum err_class class = class_of(rk, message->err);
        err_set(&err, class, "could not write to %s: %s", rd_kafka_topic_name(message->rkt),
                rd_kafka_err2str(message->err));
        pthread_mutex_lock(&report->producer->lock);
        if (report->producer->failed.class == ERR_NONE) {
            err_set(&report->producer->failed, class, "%s", err.text);
        }
        pthread_mutex_unlock(&report->producer->lock);
    }
    if (report->delivered) {
        report->delivered(report->arg, message->err ? &err : NULL);
    }
    err_release(&err);
    report->magic = 0;
    free(report);
}

struct kafka_producer *kafka_producer_new(const struct conf *conf, struct err *err)
{
    rd_kafka_conf_t *settings = kafka_producer_conf(conf, err);
    if (!settings) {
        return NULL;
    }
    rd_kafka_conf_set_dr_msg_cb(settings, on_delivery);
    char why[512];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, settings, why, sizeof why);
    if (!rk) {
        rd_kafka_conf_destroy(settings);
        err_set(err, ERR_FATAL, "could not set up a Kafka producer: %s", why);
        return NULL;
    }
    struct kafka_producer *producer = MEM_NEW(struct kafka_producer);
    producer->magic = PRODUCER_MAGIC;
    producer->rk = rk;
    producer->event_fd = -1;
    pthread_mutex_init(&producer->lock, NULL);
    return producer;
}

rd_kafka_t *kafka_producer_handle(struct kafka_producer *producer)
{
    return producer->rk;
}

int kafka_producer_open(struct kafka_producer *producer, const char *topic, struct err *err)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(producer->rk, topic, NULL);
    if (!handle) {
        return err_set(err, ERR_FATAL, "could not open topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
    }
    /* Kept open for the producer's life, so that its metadata is never dropped from the cache. */
    if (producer->open_count < COUNT_OF(producer->open)) {
        producer->open[producer->open_count++] = handle;
    } else {
        rd_kafka_topic_destroy(handle);
    }
    return 0;
}

/* ---- sealing ----------------------------------------------------------------------------------------------------- */

void kafka_producer_seal_with(struct kafka_producer *producer, struct keyring *keyring)
{
    producer->keyring = keyring;
}

static enum key_answer find_key(struct kafka_producer *producer, const struct kafka_record *record,
                                unsigned char key[SEAL_KEY_SIZE])
{
    if (!producer->keyring) {
        return KEY_NOT_YET;
    }
    return record->doubt ? keyring_find(producer->keyring, record->seal, key, record->doubt)
                         : keyring_wait(producer->keyring, record->seal, key, KEY_WITHIN);
}

bool kafka_key_erased(struct kafka_producer *producer, const struct kafka_record *record)
{
    unsigned char key[SEAL_KEY_SIZE];
    bool erased = record->seal && find_key(producer, record, key) == KEY_GONE;
    seal_key_wipe(key);
    return erased;
}

/* The value as it goes out; `*sealed` is what the caller frees, NULL when it goes in clear. */
static int seal(struct kafka_producer *producer, const struct kafka_record *record, unsigned char **sealed, size_t *len,
                struct err *err)
{
    unsigned char key[SEAL_KEY_SIZE];
    char subject[ID_SIZE];
    *sealed = NULL;
    if (!record->seal || !record->value) {
        return 0;
    }
    enum key_answer answer = id_parse(record->seal, subject) == 0 ? find_key(producer, record, key) : KEY_GONE;
    if (answer == KEY_KNOWN) {
        *sealed = seal_make(key, subject, record->value, record->value_len, len, err);
        seal_key_wipe(key);
        return *sealed ? 0 : -1;
    }
    return answer == KEY_GONE
               ? err_set(err, ERR_PERMANENT, "could not write to %s: offboarding %s has no key, or it was erased",
                         record->topic, record->seal)
               : err_set(err, ERR_RETRY, "could not write to %s: the key of offboarding %s is not known yet",
                         record->topic, record->seal);
}

/* ---- producing --------------------------------------------------------------------------------------------------- */

static rd_kafka_headers_t *headers_of(const struct kafka_record *record)
{
    rd_kafka_headers_t *copied = NULL;
    rd_kafka_headers_t *headers = NULL;
    if (record->copied_headers) {
        headers = rd_kafka_headers_copy(record->copied_headers);
    } else if (record->headers_of &&
               rd_kafka_message_headers(record->headers_of, &copied) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        headers = rd_kafka_headers_copy(copied);
    }
    for (const char *const *pair = record->headers; pair && pair[0]; pair += 2) {
        if (!headers) {
            headers = rd_kafka_headers_new(8);
        }
        bool kind = record->seal && record->value && strcmp(pair[0], "content-type") == 0;
        rd_kafka_header_add(headers, pair[0], -1, kind ? SEAL_CONTENT_TYPE : pair[1], -1);
    }
    return headers;
}

/* Copies `value`, which stands for the record's. */
static int hand_over(struct kafka_producer *producer, const struct kafka_record *record, const void *value, size_t len,
                     struct report *report, struct err *err)
{
    rd_kafka_headers_t *headers = headers_of(record);
    rd_kafka_vu_t values[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = record->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = record->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)record->key, record->key_len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)value, len}},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = report},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = record->timestamp},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    size_t count = COUNT_OF(values) - (headers ? 0 : 1);
    rd_kafka_error_t *error = rd_kafka_produceva(producer->rk, values, count);
    if (!error) {
        return 0;
    }
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    if (headers) {
        rd_kafka_headers_destroy(headers);
    }
    return err_set(err, class_of(producer->rk, code), "could not write to %s: %s", record->topic,
                   rd_kafka_err2str(code));
}

int kafka_produce(struct kafka_producer *producer, const struct kafka_record *record, kafka_delivered *delivered,
                  void *arg, struct err *err)
{
    unsigned char *sealed;
    size_t len = record->value_len;
    if (seal(producer, record, &sealed, &len, err) != 0) {
        return -1;
    }
    struct report *report = MEM_NEW(struct report);
    report->magic = REPORT_MAGIC;
    report->producer = producer;
    report->delivered = delivered;
    report->arg = arg;
    int result = hand_over(producer, record, sealed ? sealed : record->value, len, report, err);
    if (result != 0) {
        free(report);
    }
    free(sealed);
    return result;
}

int kafka_producer_fd(struct kafka_producer *producer)
{
    if (producer->event_fd < 0) {
        producer->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        uint64_t one = 1;
        rd_kafka_queue_t *queue = rd_kafka_queue_get_main(producer->rk);
        rd_kafka_queue_io_event_enable(queue, producer->event_fd, &one, sizeof one);
        rd_kafka_queue_destroy(queue);
    }
    return producer->event_fd;
}

void kafka_producer_poll(struct kafka_producer *producer)
{
    rd_kafka_poll(producer->rk, 0);
}

int kafka_producer_wait(struct kafka_producer *producer, int64_t timeout, struct err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_flush(producer->rk, (int)(timeout / 1000));
    pthread_mutex_lock(&producer->lock);
    int result = 0;
    if (producer->failed.class != ERR_NONE) {
        result = err_set(err, producer->failed.class, "%s", err_text(&producer->failed));
        err_release(&producer->failed);
    } else if (code) {
        result = err_set(err, ERR_RETRY, "could not write to Kafka in time: %d records are open",
                         rd_kafka_outq_len(producer->rk));
    }
    pthread_mutex_unlock(&producer->lock);
    return result;
}

void kafka_producer_free(struct kafka_producer *producer, int64_t timeout)
{
    if (!producer) {
        return;
    }
    rd_kafka_flush(producer->rk, (int)(timeout / 1000));
    rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(producer->rk, 1000); /* reports of what was purged */
    for (size_t i = 0; i < producer->open_count; i++) {
        rd_kafka_topic_destroy(producer->open[i]);
    }
    rd_kafka_destroy(producer->rk);
    if (producer->event_fd >= 0) {
        close(producer->event_fd);
    }
    err_release(&producer->failed);
    pthread_mutex_destroy(&producer->lock);
    free(producer);
}

/* `whole` false: without the value. */
static int produce_dead(struct kafka_producer *producer, const char *topic, const struct kafka_dead *dead, bool whole,
                        const char *reason, kafka_delivered *delivered, void *arg, struct err *err)
{
    const rd_kafka_message_t *message = dead->message;
    char *partition = mem_printf("%d", message->partition);
    char *offset = mem_printf("%lld", (long long)message->offset);
    char *size = mem_printf("%zu", dead->size ? dead->size : message->len);
    const char *const headers[] = {"dead_topic",
                                   rd_kafka_topic_name(message->rkt),
                                   "dead_partition",
                                   partition,
                                   "dead_offset",
                                   offset,
                                   "dead_size",
                                   size,
                                   "dead_reason",
                                   reason,
                                   "dead_process",
                                   dead->process,
                                   NULL};
    struct kafka_record record = {.topic = topic,
                                  .partition = RD_KAFKA_PARTITION_UA,
                                  .key = message->key,
                                  .key_len = message->key_len,
                                  .value = whole ? message->payload : NULL,
                                  .value_len = whole ? message->len : 0,
                                  .headers = headers,
                                  .headers_of = message};
    int result = kafka_produce(producer, &record, delivered, arg, err);
    free(partition);
    free(offset);
    free(size);
    return result;
}

int kafka_produce_dead(struct kafka_producer *producer, const struct conf *conf, const struct kafka_dead *dead,
                       kafka_delivered *delivered, void *arg, struct err *err)
{
    struct err refused = ERR_INIT;
    char *topic = kafka_topic(conf, "dead", NULL);
    int result = produce_dead(producer, topic, dead, true, dead->reason, delivered, arg, &refused);
    if (result != 0 && refused.class == ERR_PERMANENT) {
        char *longer =
            mem_printf("%s (the value is too large to be copied: %zu bytes)", dead->reason, dead->message->len);
        result = produce_dead(producer, topic, dead, false, longer, delivered, arg, &refused);
        free(longer);
    }
    if (result != 0) {
        err_set(err, refused.class, "%s", err_text(&refused));
    }
    err_release(&refused);
    free(topic);
    return result;
}
