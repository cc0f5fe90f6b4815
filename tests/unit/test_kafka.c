/* The thin layer over librdkafka: where a key goes, names, and records that go out and come back as they should. */
/* links: tests/unit/mock_cluster.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/kafka.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "tests/unit/mock_cluster.h"

/* ---- where a key goes -------------------------------------------------------------------------------------------- */

/* What Java's org.apache.kafka.common.utils.Utils.murmur2() gives for these texts, as its own unit test has it. */
static void test_partition_is_javas(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int32_t hash;
    } known[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        int32_t positive = known[i].hash & INT32_MAX;
        size_t len = strlen(known[i].key);
        /* With as many partitions as there are positive numbers the partition is the hash itself. */
        assert_int_equal(kafka_partition(known[i].key, len, INT32_MAX), positive);
        assert_int_equal(kafka_partition(known[i].key, len, 12), positive % 12);
        assert_int_equal(kafka_partition(known[i].key, len, 1), 0);
    }
}

/* And what librdkafka's murmur2_random gives, for every length of the rest and bytes above 127. */
static void test_partition_is_librdkafkas(void **state)
{
    (void)state;
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, "any", NULL);
    const char *text = "J\xc3\xa4ne.D\xc3\xb6\xc3\xa9@b\xc3\xbc"
                       "cher.example";
    for (size_t len = 1; len <= strlen(text); len++) {
        for (int32_t partitions = 1; partitions <= 50; partitions += 7) {
            assert_int_equal(kafka_partition(text, len, partitions),
                             rd_kafka_msg_partitioner_murmur2(topic, text, len, partitions, NULL, NULL));
        }
    }
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(rk);
}

static void test_topic_names(void **state)
{
    (void)state;
    struct conf *conf = conf_of((const char *const[]){"OFFBOARD_KAFKA_PREFIX=acme", NULL});
    char *jobs = kafka_topic(conf, "jobs", "scim");
    char *intake = kafka_topic(conf, "intake", NULL);
    assert_string_equal(jobs, "acme.jobs.scim");
    assert_string_equal(intake, "acme.intake");
    free(jobs);
    free(intake);
    conf_free(conf);
}

static void test_properties_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        const char *named;
    } wrong[] = {{"OFFBOARD_KAFKA_PROPERTIES=no-such-property=1", "no-such-property"},
                 {"OFFBOARD_KAFKA_PROPERTIES=linger.ms=soon", "linger.ms"},
                 {"OFFBOARD_KAFKA_PROPERTIES=client.id=ours,nonsense", "item 2"}};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct conf *conf = conf_of((const char *const[]){wrong[i].given, NULL});
        struct err err = ERR_INIT;
        assert_null(kafka_producer_new(conf, &err));
        assert_int_equal(err.class, ERR_FATAL);
        assert_non_null(strstr(err_text(&err), wrong[i].named));
        assert_null(kafka_consumer_conf(conf, "group", &err));
        err_release(&err);
        conf_free(conf);
    }
}

/* ---- out and back ------------------------------------------------------------------------------------------------ */

struct told {
    int good, bad;
};

static void on_delivered(void *arg, const struct err *err)
{
    struct told *told = arg;
    told->good += err == NULL;
    told->bad += err != NULL;
}

static int setup(void **state)
{
    *state = mock_cluster_new((const char *const[]){"offboard.intake", "offboard.dead", "offboard.control", NULL});
    return 0;
}

static int teardown(void **state)
{
    mock_cluster_free(*state);
    return 0;
}

static void assert_header(const rd_kafka_message_t *message, const char *name, const char *expected)
{
    char *value = kafka_message_header_text(message, name);
    assert_non_null(value);
    assert_string_equal(value, expected);
    free(value);
}

static void test_a_record_arrives_as_it_was_given(void **state)
{
    const struct conf *conf = mock_cluster_conf(*state);
    struct err err = ERR_INIT;
    struct kafka_producer *producer = kafka_producer_new(conf, &err);
    assert_non_null(producer);
    assert_int_equal(kafka_producer_open(producer, "offboard.intake", &err), 0);
    struct told told = {0};
    const char *const headers[] = {"ce_id", "7", "traceparent", "t", NULL};
    struct kafka_record record = {.topic = "offboard.intake",
                                  .partition = RD_KAFKA_PARTITION_UA,
                                  .key = "jane@example.com",
                                  .key_len = 16,
                                  .value = "{\"a\":1}",
                                  .value_len = 7,
                                  .timestamp = 1700000000123,
                                  .headers = headers};
    assert_int_equal(kafka_produce(producer, &record, on_delivered, &told, &err), 0);
    assert_int_equal(kafka_producer_wait(producer, 10 * TIME_SECOND, &err), 0);
    assert_int_equal(told.good, 1);

    rd_kafka_message_t *message = mock_first_message(*state, "offboard.intake");
    assert_non_null(message);
    assert_int_equal(message->partition, kafka_partition("jane@example.com", 16, 3));
    assert_int_equal(message->key_len, 16);
    assert_memory_equal(message->key, "jane@example.com", 16);
    assert_int_equal(message->len, 7);
    assert_memory_equal(message->payload, "{\"a\":1}", 7);
    assert_int_equal(rd_kafka_message_timestamp(message, NULL), 1700000000123);
    assert_header(message, "ce_id", "7");
    assert_header(message, "traceparent", "t");
    assert_null(kafka_message_header_text(message, "ce_type"));

    /* As a dead letter: key, value and headers as they came, and where from. */
    struct kafka_dead dead = {message, "planner", "no JSON", 0};
    assert_int_equal(kafka_produce_dead(producer, conf, &dead, on_delivered, &told, &err), 0);
    assert_int_equal(kafka_producer_wait(producer, 10 * TIME_SECOND, &err), 0);
    char *partition = mem_printf("%d", message->partition);
    rd_kafka_message_destroy(message);
    message = mock_first_message(*state, "offboard.dead");
    assert_non_null(message);
    assert_memory_equal(message->key, "jane@example.com", 16);
    assert_memory_equal(message->payload, "{\"a\":1}", 7);
    assert_header(message, "ce_id", "7");
    assert_header(message, "dead_topic", "offboard.intake");
    assert_header(message, "dead_partition", partition);
    assert_header(message, "dead_offset", "0");
    assert_header(message, "dead_size", "7");
    assert_header(message, "dead_reason", "no JSON");
    assert_header(message, "dead_process", "planner");
    rd_kafka_message_destroy(message);
    free(partition);
    kafka_producer_free(producer, TIME_SECOND);
}

static void test_a_record_that_is_too_large_is_refused_at_once(void **state)
{
    struct err err = ERR_INIT;
    struct kafka_producer *producer = kafka_producer_new(mock_cluster_conf(*state), &err);
    char *value = mem_alloc(2000000);
    struct told told = {0};
    struct kafka_record record = {
        .topic = "offboard.intake", .partition = 0, .key = "k", .key_len = 1, .value = value, .value_len = 2000000};
    assert_int_equal(kafka_produce(producer, &record, on_delivered, &told, &err), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_non_null(strstr(err_text(&err), "offboard.intake"));
    assert_int_equal(kafka_producer_wait(producer, TIME_SECOND, &err), 0);
    assert_int_equal(told.good + told.bad, 0); /* refused at once: no report follows */
    err_release(&err);
    free(value);
    kafka_producer_free(producer, TIME_SECOND);
}

static void test_what_is_not_delivered_is_told(void **state)
{
    (void)state;
    struct conf *conf =
        conf_of((const char *const[]){"OFFBOARD_KAFKA_BROKERS=127.0.0.1:1", NULL}); /* nobody listens there */
    struct err err = ERR_INIT;
    struct kafka_producer *producer = kafka_producer_new(conf, &err);
    struct told told = {0};
    struct kafka_record record = {.topic = "offboard.intake",
                                  .partition = RD_KAFKA_PARTITION_UA,
                                  .key = "k",
                                  .key_len = 1,
                                  .value = "v",
                                  .value_len = 1};
    assert_int_equal(kafka_produce(producer, &record, on_delivered, &told, &err), 0);
    assert_int_equal(kafka_producer_wait(producer, TIME_SECOND / 5, &err), -1);
    assert_int_equal(err.class, ERR_RETRY);
    assert_int_equal(told.good + told.bad, 0);
    err_release(&err);
    kafka_producer_free(producer, TIME_SECOND / 5); /* what is open is given up, and said to be */
    assert_int_equal(told.bad, 1);
    assert_int_equal(told.good, 0);
    conf_free(conf);
}

/* ---- reading whole ----------------------------------------------------------------------------------------------- */

static void count_tombstones(const rd_kafka_message_t *message, void *arg)
{
    int *counts = arg;
    counts[message->payload ? 0 : 1]++;
}

static void test_a_topic_is_read_to_its_end_and_followed(void **state)
{
    const struct conf *conf = mock_cluster_conf(*state);
    struct err err = ERR_INIT;
    struct kafka_producer *producer = kafka_producer_new(conf, &err);
    int counts[2] = {0};
    rd_kafka_t *empty = kafka_follow(conf, "offboard.control", 10 * TIME_SECOND, count_tombstones, counts, &err);
    assert_non_null(empty);
    rd_kafka_consumer_close(empty);
    rd_kafka_destroy(empty);
    assert_int_equal(counts[0] + counts[1], 0);
    for (int i = 0; i < 300; i++) {
        char *key = mem_printf("pause/%d", i);
        struct kafka_record record = {.topic = "offboard.control",
                                      .partition = RD_KAFKA_PARTITION_UA,
                                      .key = key,
                                      .key_len = strlen(key),
                                      .value = i % 3 ? "{}" : NULL,
                                      .value_len = i % 3 ? 2 : 0};
        assert_int_equal(kafka_produce(producer, &record, NULL, NULL, &err), 0);
        free(key);
    }
    assert_int_equal(kafka_producer_wait(producer, 10 * TIME_SECOND, &err), 0);
    rd_kafka_t *follower = kafka_follow(conf, "offboard.control", 10 * TIME_SECOND, count_tombstones, counts, &err);
    assert_non_null(follower);
    assert_int_equal(counts[0], 200);
    assert_int_equal(counts[1], 100);

    struct kafka_record record = {
        .topic = "offboard.control", .partition = 1, .key = "pause/x", .key_len = 7, .value = "{}", .value_len = 2};
    assert_int_equal(kafka_produce(producer, &record, NULL, NULL, &err), 0);
    assert_int_equal(kafka_producer_wait(producer, 10 * TIME_SECOND, &err), 0);
    rd_kafka_message_t *message = NULL;
    for (int64_t end = time_monotonic() + 10 * TIME_SECOND; !message && time_monotonic() < end;) {
        message = rd_kafka_consumer_poll(follower, 100);
    }
    assert_non_null(message);
    assert_memory_equal(message->key, "pause/x", 7);
    rd_kafka_message_destroy(message);
    rd_kafka_consumer_close(follower);
    rd_kafka_destroy(follower);
    kafka_producer_free(producer, TIME_SECOND);
}

static void test_partitions_are_counted_or_the_trouble_is_named(void **state)
{
    struct err err = ERR_INIT;
    rd_kafka_t *rk =
        rd_kafka_new(RD_KAFKA_CONSUMER, kafka_consumer_conf(mock_cluster_conf(*state), NULL, &err), NULL, 0);
    assert_int_equal(kafka_partition_count(rk, "offboard.dead", 5 * TIME_SECOND, &err), 3);
    rd_kafka_destroy(rk);

    struct conf *nowhere = conf_of((const char *const[]){"OFFBOARD_KAFKA_BROKERS=127.0.0.1:1", NULL});
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, kafka_consumer_conf(nowhere, NULL, &err), NULL, 0);
    assert_int_equal(kafka_partition_count(rk, "offboard.dead", TIME_SECOND / 10, &err), -1);
    assert_int_equal(err.class, ERR_RETRY);
    assert_non_null(strstr(err_text(&err), "could not reach Kafka: Connect to ipv4#127.0.0.1:1 failed: "));
    rd_kafka_destroy(rk);
    err_release(&err);
    conf_free(nowhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partition_is_javas),
        cmocka_unit_test(test_partition_is_librdkafkas),
        cmocka_unit_test(test_topic_names),
        cmocka_unit_test(test_properties_are_checked),
        cmocka_unit_test_setup_teardown(test_a_record_arrives_as_it_was_given, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_record_that_is_too_large_is_refused_at_once, setup, teardown),
        cmocka_unit_test(test_what_is_not_delivered_is_told),
        cmocka_unit_test_setup_teardown(test_a_topic_is_read_to_its_end_and_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_partitions_are_counted_or_the_trouble_is_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
