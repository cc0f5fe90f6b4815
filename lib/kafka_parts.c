/* Reading parts of topics: what lies between two offsets, as a member of no group. */
#include "lib/kafka.h"
#include "lib/mem.h"
#include "lib/time.h"

static int assign(rd_kafka_t *rk, const struct kafka_part *parts, size_t count, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].from < parts[i].to) {
            rd_kafka_topic_partition_list_add(list, parts[i].topic, parts[i].partition)->offset = parts[i].from;
        }
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? err_set(err, ERR_RETRY, "could not read what waits in Kafka: %s", rd_kafka_err2str(code)) : 0;
}

/* The last offsets of a part may hold no message: the position tells when it is read. */
static bool all_read(rd_kafka_t *rk, const struct kafka_part *parts, size_t count)
{
    bool all = true;
    rd_kafka_topic_partition_list_t *list = NULL;
    if (rd_kafka_assignment(rk, &list) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return false;
    }
    rd_kafka_position(rk, list);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_topic_partition_t *at =
            rd_kafka_topic_partition_list_find(list, parts[i].topic, parts[i].partition);
        all = all && (!at || at->offset >= parts[i].to);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return all;
}

static int read_all(rd_kafka_t *rk, const struct kafka_part *parts, size_t count, int64_t patience,
                    void (*each)(const rd_kafka_message_t *, void *), void *arg, const volatile sig_atomic_t *stop,
                    struct err *err)
{
    int64_t until = time_monotonic() + patience;
    bool idle = true;
    while (!idle || !all_read(rk, parts, count)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, idle ? 100 : 0);
        idle = !message;
        if (message && !message->err) {
            each(message, arg);
            until = time_monotonic() + patience;
        }
        if (message) {
            rd_kafka_message_destroy(message);
        }
        if (*stop || time_monotonic() > until) {
            return err_set(err, ERR_RETRY, "could not read what waits in Kafka: %s",
                           *stop ? "the process ends" : "nothing comes");
        }
    }
    return 0;
}

int kafka_read_parts(const struct conf *conf, const struct kafka_part *parts, size_t count, int64_t patience,
                     void (*each)(const rd_kafka_message_t *message, void *arg), void *arg,
                     const volatile sig_atomic_t *stop, struct err *err)
{
    /* a group's name is demanded, never used */
    rd_kafka_t *rk = kafka_consumer_new(kafka_consumer_conf(conf, "offboard-reader", err), err);
    if (!rk) {
        return -1;
    }
    rd_kafka_poll_set_consumer(rk);
    int result = assign(rk, parts, count, err);
    if (result == 0) {
        result = read_all(rk, parts, count, patience, each, arg, stop, err);
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return result;
}
