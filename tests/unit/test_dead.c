/* Dead letters: told in a few words, found by their place, read with what was said of them since. */
/* links: tests/unit/mock_cluster.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/dead.h"
#include "lib/json.h"
#include "lib/kafka.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/secret.h"
#include "lib/time.h"
#include "tests/unit/helpers.h"
#include "tests/unit/mock_cluster.h"

/* ---- in a few words ---------------------------------------------------------------------------------------------- */

static void test_a_value_in_a_few_words(void **state)
{
    (void)state;
    static const struct {
        const char *value, *summary;
    } known[] = {
        {"", "no value"},
        {"{\"this is no JSON", "no JSON"},
        {"[1, 2]", "JSON list"},
        {"OBS1 and what nobody reads", "sealed with the key of its offboarding"},
        {"7", "JSON value"},
        {"{\"colour\": \"blue\", \"email\": \"jane@example.com\"}", "JSON object with colour, email"},
        {"{\"specversion\": \"1.0\", \"id\": \"e1\", \"type\": \"leaver.created\", \"data\": {}}",
         "CloudEvent leaver.created, id e1"},
        {"{\"specversion\": \"1.0\"}", "CloudEvent without type, id missing"},
        {"{\"user\": {}, \"job\": {\"system\": \"okta\", \"action\": \"suspend\", \"step\": \"s\", \"attempt\": 2}}",
         "job okta suspend, step s, attempt 2"},
        {"{\"id\": \"x\", \"name\": \"job.failed\", \"context\": {}}", "event job.failed, id x"},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        char *summary = dead_summary(known[i].value, strlen(known[i].value));
        assert_string_equal(summary, known[i].summary);
        free(summary);
    }
}

/* What a stranger puts into a name may be long, and may be one of our secrets. */
static void test_a_summary_is_short_and_masked(void **state)
{
    (void)state;
    secret_remember("swordfish");
    char *text = mem_printf("{\"swordfish\": 1, \"%0200d\": 2}", 7);
    char *summary = dead_summary(text, strlen(text));
    assert_contains(summary, "with ***, 000");
    assert_true(strlen(summary) <= 120);
    free(summary);
    free(text);
    /* An umlaut on the border: 119 bytes, then two. */
    text = mem_printf("{\"%095d\xc3\xbc\": 1}", 7);
    summary = dead_summary(text, strlen(text));
    json_t *valid = json_string(summary);
    assert_non_null(valid);
    json_decref(valid);
    free(summary);
    free(text);
    secret_forget_all();
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static void test_places(void **state)
{
    (void)state;
    struct conf *conf = conf_of((const char *const[]){"OFFBOARD_KAFKA_PREFIX=acme", NULL});
    static const char *const good[] = {"2/17", "acme.dead/2/17"};
    static const char *const bad[] = {"",
                                      "2",
                                      "2/",
                                      "/17",
                                      "2/17/",
                                      "-2/17",
                                      "2/ 17",
                                      "2/x",
                                      "2.17",
                                      "99999999999/1",
                                      "2/9999999999999999999",
                                      "other.dead/2/17"};
    int32_t partition = -1;
    int64_t offset = -1;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_int_equal(dead_place_parse(conf, good[i], &partition, &offset, NULL), 0);
        assert_int_equal(partition, 2);
        assert_int_equal(offset, 17);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(dead_place_parse(conf, bad[i], &partition, &offset, &err), -1);
        assert_int_equal(err.class, ERR_PERMANENT);
        assert_contains(err_text(&err), "acme.dead");
        err_release(&err);
    }
    conf_free(conf);
}

/* ---- the topic --------------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
    *state = mock_cluster_new((const char *const[]){"offboard.intake", "offboard.dead", NULL});
    return 0;
}

static int teardown(void **state)
{
    mock_cluster_free(*state);
    return 0;
}

static void put(struct kafka_producer *producer, const struct kafka_record *record)
{
    struct err err = ERR_INIT;
    assert_int_equal(kafka_produce(producer, record, NULL, NULL, &err), 0);
    assert_int_equal(kafka_producer_wait(producer, 10 * TIME_SECOND, &err), 0);
}

/* The message, as it comes from intake, set aside with so many bytes as its size (0: its own). */
static void set_aside(struct kafka_producer *producer, struct mock_cluster *cluster, const rd_kafka_message_t *message,
                      size_t size)
{
    struct err err = ERR_INIT;
    struct kafka_dead dead = {message, "planner", "there is no runbook \"x\"", size};
    assert_int_equal(kafka_produce_dead(producer, mock_cluster_conf(cluster), &dead, NULL, NULL, &err), 0);
    assert_int_equal(kafka_producer_wait(producer, 10 * TIME_SECOND, &err), 0);
}

/* As the edge puts it behind a letter. */
static void say_replayed(struct kafka_producer *producer, int32_t partition, int64_t offset)
{
    json_t *event =
        message_event_new(DEAD_REPLAYED, NULL,
                          json_pack("{s:{s:i, s:I}}", "letter", "partition", partition, "offset", (json_int_t)offset));
    char *text = json_text(event);
    const char *const headers[] = {"ce_type", DEAD_REPLAYED, NULL};
    put(producer, &(struct kafka_record){.topic = "offboard.dead",
                                         .partition = partition,
                                         .value = text,
                                         .value_len = strlen(text),
                                         .headers = headers});
    free(text);
    json_decref(event);
}

static bool only_large(const struct dead_letter *letter, void *arg)
{
    return letter->size == *(size_t *)arg;
}

static void assert_no_header(const rd_kafka_headers_t *headers, const char *name)
{
    const void *value;
    size_t size;
    assert_int_not_equal(rd_kafka_header_get_last(headers, name, &value, &size), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void assert_as_it_came(const struct dead_letter *letter)
{
    const void *value;
    size_t size;
    assert_string_equal(letter->topic, "offboard.intake");
    assert_string_equal(letter->process, "planner");
    assert_string_equal(letter->reason, "there is no runbook \"x\"");
    assert_int_equal(letter->from_offset, 0);
    assert_int_equal(letter->key_len, 16);
    assert_memory_equal(letter->key, "jane@example.com", 16);
    assert_int_equal(letter->value_len, 3);
    assert_memory_equal(letter->value, "a\0b", 3);
    assert_true(letter->whole);
    assert_int_equal(rd_kafka_header_get_last(letter->headers, "ce_id", &value, &size), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_no_header(letter->headers, "dead_topic");
    assert_no_header(letter->headers, "dead_size");
    assert_no_header(letter->headers, DEAD_FROM);
}

static void test_letters_and_what_was_said_of_them(void **state)
{
    const struct conf *conf = mock_cluster_conf(*state);
    struct err err = ERR_INIT;
    struct kafka_producer *producer = kafka_producer_new(conf, &err);
    const char *const headers[] = {"ce_id", "7", DEAD_FROM, "offboard.dead/0/3", NULL};
    put(producer, &(struct kafka_record){.topic = "offboard.intake",
                                         .partition = RD_KAFKA_PARTITION_UA,
                                         .key = "jane@example.com",
                                         .key_len = 16,
                                         .value = "a\0b",
                                         .value_len = 3,
                                         .headers = headers});
    rd_kafka_message_t *message = mock_first_message(*state, "offboard.intake");
    assert_non_null(message);
    set_aside(producer, *state, message, 0);
    set_aside(producer, *state, message, 3000000);
    int32_t partition = message->partition;
    rd_kafka_message_destroy(message);
    say_replayed(producer, partition, 0);
    say_replayed(producer, partition, 99); /* of a letter that retention has taken */

    struct dead_letters letters = {0};
    assert_int_equal(dead_letters_read(conf, &(struct dead_want){.values = true}, &letters, &err), 0);
    assert_int_equal(letters.count, 2);
    const struct dead_letter *first = dead_letter_find(&letters, partition, 0);
    const struct dead_letter *second = dead_letter_find(&letters, partition, 1);
    assert_non_null(first);
    assert_as_it_came(first);
    assert_int_equal(json_array_size(first->replays), 1);
    assert_non_null(second);
    assert_false(second->whole);
    assert_int_equal(json_array_size(second->replays), 0);
    assert_null(dead_letter_find(&letters, partition, 2));
    dead_letters_release(&letters);

    size_t large = 3000000;
    assert_int_equal(dead_letters_read(conf, &(struct dead_want){.accepts = only_large, .arg = &large}, &letters, &err),
                     0);
    assert_int_equal(letters.count, 1);
    assert_null(letters.items[0].value);
    dead_letters_release(&letters);
    kafka_producer_free(producer, TIME_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value_in_a_few_words),
        cmocka_unit_test(test_a_summary_is_short_and_masked),
        cmocka_unit_test(test_places),
        cmocka_unit_test_setup_teardown(test_letters_and_what_was_said_of_them, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
