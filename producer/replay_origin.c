/* Whether dead letters are what they say. Every process may write letters, but not on every topic: a letter is put back by the edge, and
 * believed, only if the same record lies at the place that it names. */
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/time.h"
#include "producer/edge_internal.h"

enum { POLL_MS = 100 };

#define PATIENCE (10 * TIME_SECOND)

bool replay_is_ours(const struct conf *conf, const char *topic)
{
    static const char *const shared[] = {"intake", "received", "events", "orders", "control"};
    static const char *const of_systems[] = {"polled", "results", "jobs", "urgent"};
    bool ours = false;
    for (size_t i = 0; i < COUNT_OF(shared) && !ours; i++) {
        ours = kafka_topic_is(conf, shared[i], topic);
    }
    for (size_t i = 0; i < COUNT_OF(of_systems) && !ours; i++) {
        ours = kafka_topic_system(conf, of_systems[i], topic) != NULL;
    }
    return ours;
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

static bool same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool same_headers(const rd_kafka_headers_t *a, const rd_kafka_headers_t *b)
{
    size_t count = a ? rd_kafka_header_cnt(a) : 0;
    bool same = count == (b ? rd_kafka_header_cnt(b) : 0);
    for (size_t i = 0; i < count && same; i++) {
        const char *name, *other_name;
        const void *value, *other_value;
        size_t len, other_len;
        rd_kafka_header_get_all(a, i, &name, &value, &len);
        rd_kafka_header_get_all(b, i, &other_name, &other_value, &other_len);
        same = strcmp(name, other_name) == 0 && same_bytes(value, len, other_value, other_len);
    }
    return same;
}

static bool same_record(const struct dead_letter *letter, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = dead_headers(message);
    bool same = message->offset == letter->from_offset &&
                same_bytes(letter->key, letter->key_len, message->key, message->key_len) &&
                same_bytes(letter->value, letter->value_len, message->payload, message->len) &&
                same_headers(letter->headers, headers);
    if (headers) {
        rd_kafka_headers_destroy(headers);
    }
    return same;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Can the letter's place hold a record? -1 with an err when Kafka doesn't say. */
static int is_within(rd_kafka_t *rk, const struct dead_letter *letter, bool *within, struct err *err)
{
    int64_t low = 0, high = 0;
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(rk, letter->topic, letter->from_partition, &low, &high,
                                                                (int)(PATIENCE / 1000));
    bool unknown = code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
                   code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    *within = !code && letter->from_offset >= low && letter->from_offset < high;
    return code && !unknown ? err_set(err, ERR_RETRY, "could not read %s: %s", letter->topic, rd_kafka_err2str(code))
                            : 0;
}

/* What comes first from the letter's place on; NULL: nothing. -1 with an err when nothing is heard of it. */
static int read_place(rd_kafka_t *rk, const struct dead_letter *letter, rd_kafka_message_t **found, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, letter->topic, letter->from_partition)->offset = letter->from_offset;
    rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    for (int64_t end = time_monotonic() + PATIENCE; time_monotonic() < end;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, POLL_MS);
        if (message && !message->err) {
            *found = message;
            return 0;
        }
        bool ends = message && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        if (message) {
            rd_kafka_message_destroy(message);
        }
        if (ends) {
            return 0; /* the last offsets hold no record: a transaction's mark */
        }
    }
    return err_set(err, ERR_RETRY, "could not read %s: nothing comes", letter->topic);
}

static int look(rd_kafka_t *rk, const struct dead_letter *letter, bool *forged, struct err *err)
{
    rd_kafka_message_t *message = NULL;
    bool within = false;
    if (is_within(rk, letter, &within, err) != 0 || (within && read_place(rk, letter, &message, err) != 0)) {
        return -1;
    }
    *forged = !message || !same_record(letter, message);
    if (message) {
        rd_kafka_message_destroy(message);
    }
    return 0;
}

bool *replay_forged(const struct conf *conf, const struct dead_letters *letters, struct err *err)
{
    /* a group's name is demanded, never used */
    rd_kafka_conf_t *settings = kafka_consumer_conf(conf, "offboard-reader", err);
    if (settings) {
        rd_kafka_conf_set(settings, "enable.partition.eof", "true", NULL, 0);
    }
    rd_kafka_t *rk = kafka_consumer_new(settings, err);
    if (!rk) {
        return NULL;
    }
    rd_kafka_poll_set_consumer(rk);
    bool *forged = mem_alloc((letters->count + 1) * sizeof *forged);
    int result = 0;
    for (size_t i = 0; i < letters->count && result == 0; i++) {
        const struct dead_letter *letter = &letters->items[i];
        forged[i] = false;
        bool compacted = kafka_topic_is(conf, "control", letter->topic); /* nothing is left of what was overruled */
        if (letter->whole && !compacted && replay_is_ours(conf, letter->topic)) {
            result = look(rk, letter, &forged[i], err);
        }
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    if (result != 0) {
        free(forged);
        return NULL;
    }
    return forged;
}
