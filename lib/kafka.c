#include "lib/kafka.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/kafka_internal.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"

char *kafka_topic(const struct conf *conf, const char *kind, const char *system)
{
    const char *prefix = conf_string(conf, "kafka.prefix");
    return system ? mem_printf("%s.%s.%s", prefix, kind, system) : mem_printf("%s.%s", prefix, kind);
}

bool kafka_topic_is(const struct conf *conf, const char *kind, const char *topic)
{
    char *name = kafka_topic(conf, kind, NULL);
    bool same = strcmp(topic, name) == 0;
    free(name);
    return same;
}

const char *kafka_topic_system(const struct conf *conf, const char *kind, const char *topic)
{
    char *prefix = kafka_topic(conf, kind, "");
    size_t len = strlen(prefix);
    bool ours = strncmp(topic, prefix, len) == 0 && topic[len];
    free(prefix);
    return ours ? topic + len : NULL;
}

/* Java's DefaultPartitioner: Austin Appleby's MurmurHash2 with seed 0x9747b28c, the sign bit cleared. */
static uint32_t murmur2(const unsigned char *data, size_t len)
{
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28c ^ (uint32_t)len;
    for (; len >= 4; data += 4, len -= 4) {
        uint32_t k = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h *= m;
        h ^= k;
    }
    if (len) {
        for (size_t i = len; i-- > 0;) {
            h ^= (uint32_t)data[i] << (8 * i);
        }
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    h ^= h >> 15;
    return h;
}

int32_t kafka_partition(const void *key, size_t len, int32_t partitions)
{
    return (int32_t)((murmur2(key, len) & 0x7fffffff) % (uint32_t)partitions);
}

/* ---- configuration ----------------------------------------------------------------------------------------------- */

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
    char why[512];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        return err_set(err, ERR_FATAL, "kafka.properties: could not set %s: %s", name, why);
    }
    return 0;
}

static int set_properties(rd_kafka_conf_t *out, const struct conf *conf, struct err *err)
{
    for (size_t i = 0; i < conf_list_size(conf, "kafka.properties"); i++) {
        const char *item = conf_list_item(conf, "kafka.properties", i);
        const char *equals = strchr(item, '=');
        if (!equals) {
            return err_set(err, ERR_FATAL, "kafka.properties: item %zu is not name=value", i + 1);
        }
        char *name = mem_strndup(item, (size_t)(equals - item));
        int result = set(out, name, equals + 1, err);
        free(name);
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

#define TROUBLE_LASTS TIME_MINUTE /* librdkafka says the same again after 30 s */

/* Why no broker answers, as librdkafka said it last: "Connect to ipv4#10.0.0.1:9092 failed: Connection refused". */
static struct {
    pthread_mutex_t lock;
    int64_t at; /* monotonic */
    char text[300];
} trouble = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* `text` is "[thrd:BROKER]: BROKER: WHY (after 12ms in state CONNECT)". */
static void note_trouble(const char *text)
{
    const char *thread = strstr(text, "]: "), *broker = strstr(thread ? thread + 3 : text, ": ");
    const char *why = broker ? broker + 2 : text, *after = strstr(why, " (after ");
    pthread_mutex_lock(&trouble.lock);
    snprintf(trouble.text, sizeof trouble.text, "%.*s", (int)(after ? (size_t)(after - why) : strlen(why)), why);
    trouble.at = time_monotonic();
    pthread_mutex_unlock(&trouble.lock);
}

int kafka_unreachable(const char *why, struct err *err)
{
    pthread_mutex_lock(&trouble.lock);
    bool recent = *trouble.text && time_monotonic() - trouble.at < TROUBLE_LASTS;
    err_set(err, ERR_RETRY, "could not reach Kafka: %s (kafka.brokers tells where it is)", recent ? trouble.text : why);
    pthread_mutex_unlock(&trouble.lock);
    return -1;
}

/* Brokers come and go, librdkafka reconnects by itself and says each try: one line in ten seconds tells enough. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    static _Atomic int64_t last;
    (void)rk;
    int64_t now = time_monotonic();
    bool quiet = level > 4 || strcmp(facility, "CONFWARN") == 0 || strcmp(facility, "AUTOCREATE") == 0 ||
                 now - last < 10 * TIME_SECOND;
    if (!quiet) {
        last = now;
    }
    if (strcmp(facility, "FAIL") == 0) {
        note_trouble(text);
    }
    log_line(quiet ? LOG_DEBUG : LOG_WARNING, "kafka", "facility", facility, "detail", text, NULL);
}

static rd_kafka_conf_t *base_conf(const struct conf *conf, struct err *err)
{
    rd_kafka_conf_t *out = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(out, on_log);
    if (set(out, "bootstrap.servers", conf_string(conf, "kafka.brokers"), err) != 0 ||
        set(out, "client.id", "offboard", err) != 0 || set(out, "log.connection.close", "false", err) != 0 ||
        set(out, "socket.keepalive.enable", "true", err) != 0 ||
        set(out, "topic.metadata.refresh.interval.ms", "5000", err) != 0 ||
        set(out, "reconnect.backoff.max.ms", "2000", err) != 0) {
        rd_kafka_conf_destroy(out);
        return NULL;
    }
    return out;
}

rd_kafka_conf_t *kafka_producer_conf(const struct conf *conf, struct err *err)
{
    rd_kafka_conf_t *out = base_conf(conf, err);
    if (!out) {
        return NULL;
    }
    if (set(out, "enable.idempotence", "true", err) != 0 || set(out, "acks", "all", err) != 0 ||
        set(out, "linger.ms", "2", err) != 0 || set(out, "partitioner", "murmur2_random", err) != 0 ||
        set(out, "compression.type", "lz4", err) != 0 || set_properties(out, conf, err) != 0) {
        rd_kafka_conf_destroy(out);
        return NULL;
    }
    return out;
}

rd_kafka_conf_t *kafka_consumer_conf(const struct conf *conf, const char *group, struct err *err)
{
    rd_kafka_conf_t *out = base_conf(conf, err);
    if (!out) {
        return NULL;
    }
    if (set(out, "enable.auto.commit", "false", err) != 0 || set(out, "enable.auto.offset.store", "false", err) != 0 ||
        set(out, "partition.assignment.strategy", "range", err) != 0 ||
        set(out, "allow.auto.create.topics", "false", err) != 0 ||
        set(out, "auto.offset.reset", "earliest", err) != 0 || set(out, "enable.partition.eof", "false", err) != 0 ||
        set(out, "fetch.wait.max.ms", "100", err) != 0 || set(out, "session.timeout.ms", "10000", err) != 0 ||
        set(out, "heartbeat.interval.ms", "1000", err) != 0 || (group && set(out, "group.id", group, err) != 0) ||
        set_properties(out, conf, err) != 0) {
        rd_kafka_conf_destroy(out);
        return NULL;
    }
    return out;
}

rd_kafka_t *kafka_consumer_new(rd_kafka_conf_t *settings, struct err *err)
{
    char why[512];
    rd_kafka_t *rk = settings ? rd_kafka_new(RD_KAFKA_CONSUMER, settings, why, sizeof why) : NULL;
    if (settings && !rk) {
        rd_kafka_conf_destroy(settings);
        err_set(err, ERR_FATAL, "could not set up a Kafka consumer: %s", why);
    }
    return rk;
}

void kafka_read_again(rd_kafka_t *rk, const char *topic, const int32_t *numbers, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(list, topic, numbers[i])->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_error_t *error = count ? rd_kafka_seek_partitions(rk, list, 0) : NULL;
    if (error) {
        log_error("could not read a topic from its beginning", "topic", topic, "error", rd_kafka_error_string(error),
                  NULL);
        rd_kafka_error_destroy(error);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

int kafka_consumer_sound(rd_kafka_t *rk, struct err *err)
{
    char why[512];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(rk, why, sizeof why);
    return code ? err_set(err, ERR_FATAL, "the Kafka consumer can't go on: %s", why) : 0;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* Partitions as the cluster says now: 0 while the topic is not there, -1 while nobody answers. */
static int32_t ask_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms, rd_kafka_resp_err_t *code)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    *code = handle ? rd_kafka_metadata(rk, 0, handle, &metadata, timeout_ms) : rd_kafka_last_error();
    int32_t count = -1;
    if (metadata) {
        count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
        rd_kafka_metadata_destroy(metadata);
    }
    if (handle) {
        rd_kafka_topic_destroy(handle);
    }
    return count;
}

const struct rd_kafka_metadata *kafka_topics(rd_kafka_t *rk, int timeout_ms, struct err *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 1, NULL, &metadata, timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_unreachable(rd_kafka_err2str(code), err);
        return NULL;
    }
    return metadata;
}

int32_t kafka_partitions(rd_kafka_t *rk, const char *topic, struct err *err)
{
    rd_kafka_resp_err_t code;
    int32_t count = ask_partitions(rk, topic, 1000, &code);
    return count >= 0 ? count : kafka_unreachable(rd_kafka_err2str(code), err);
}

int32_t kafka_partition_count(rd_kafka_t *rk, const char *topic, int64_t timeout, struct err *err)
{
    int64_t end = time_monotonic() + timeout;
    rd_kafka_resp_err_t code;
    do {
        int32_t count = ask_partitions(rk, topic, 1000, &code);
        if (count > 0) {
            return count;
        }
        if (count == 0) {
            struct timespec pause = {.tv_nsec = 100000000};
            nanosleep(&pause, NULL); /* the topic is being created: metadata has no way to be told */
        }
    } while (time_monotonic() < end);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return err_set(err, ERR_RETRY, "there is no topic %s (`offboard topics` creates it)", topic);
    }
    return kafka_unreachable(rd_kafka_err2str(code), err);
}

const char *kafka_message_header(const rd_kafka_message_t *message, const char *name, size_t *len)
{
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &value, len) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return NULL;
    }
    return value;
}

char *kafka_message_header_text(const rd_kafka_message_t *message, const char *name)
{
    size_t len;
    const char *value = kafka_message_header(message, name, &len);
    return value ? mem_strndup(value, len) : NULL;
}

char *kafka_message_key_text(const rd_kafka_message_t *message)
{
    return mem_strndup(message->key ? message->key : "", message->key_len);
}

int kafka_message_id(const rd_kafka_message_t *message, char id[ID_SIZE])
{
    char *key = kafka_message_key_text(message);
    int result = id_parse(key, id);
    free(key);
    return result;
}

/* ---- reading a topic whole --------------------------------------------------------------------------------------- */

/* Assigns all partitions from their beginnings; `ends` gets the end offsets. */
static int assign_all(rd_kafka_t *rk, const char *topic, int32_t count, int64_t *ends, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    int result = 0;
    for (int32_t p = 0; p < count && result == 0; p++) {
        int64_t low = 0;
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(rk, topic, p, &low, &ends[p], 10000);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            result = err_set(err, ERR_RETRY, "could not read the offsets of %s: %s", topic, rd_kafka_err2str(code));
        }
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = low;
        if (low >= ends[p]) {
            ends[p] = 0; /* empty: nothing to wait for */
        }
    }
    if (result == 0) {
        rd_kafka_assign(rk, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

/* A compacted or transactional topic's last offsets may hold no message: the position tells when the end is reached. */
static bool reached(rd_kafka_t *rk, const char *topic, int32_t count, const int64_t *ends)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int32_t p = 0; p < count; p++) {
        rd_kafka_topic_partition_list_add(list, topic, p);
    }
    rd_kafka_position(rk, list);
    bool all = true;
    for (int32_t p = 0; p < count; p++) {
        all = all && (ends[p] == 0 || list->elems[p].offset >= ends[p]);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return all;
}

static int read_all(rd_kafka_t *rk, const char *topic, int64_t end, void (*each)(const rd_kafka_message_t *, void *),
                    void *arg, struct err *err)
{
    int32_t count = kafka_partition_count(rk, topic, end - time_monotonic(), err);
    if (count < 0) {
        return -1;
    }
    int64_t *ends = mem_alloc((size_t)count * sizeof *ends);
    int result = assign_all(rk, topic, count, ends, err);
    while (result == 0 && !reached(rk, topic, count, ends)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (message) {
            if (!message->err) {
                each(message, arg);
            }
            rd_kafka_message_destroy(message);
        } else if (time_monotonic() > end) {
            result = err_set(err, ERR_RETRY, "could not read %s to its end in time", topic);
        }
    }
    free(ends);
    return result;
}

rd_kafka_t *kafka_follow(const struct conf *conf, const char *topic, int64_t timeout,
                         void (*each)(const rd_kafka_message_t *message, void *arg), void *arg, struct err *err)
{
    /* a group's name is demanded, never used */
    rd_kafka_t *rk = kafka_consumer_new(kafka_consumer_conf(conf, "offboard-reader", err), err);
    if (rk) {
        rd_kafka_poll_set_consumer(rk); /* all that happens comes to the one queue that is polled */
    }
    if (rk && read_all(rk, topic, time_monotonic() + timeout, each, arg, err) != 0) {
        rd_kafka_consumer_close(rk);
        rd_kafka_destroy(rk);
        rk = NULL;
    }
    return rk;
}
