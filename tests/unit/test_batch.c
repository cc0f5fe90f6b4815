/* What a batch publishes, in which order, and what becomes of what Kafka does not take. */
/* links: producer/batch.c tests/unit/mock_cluster.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "producer/batch.h"
#include "tests/unit/mock_cluster.h"

#define EVENTS "offboard.events"
#define ROSTER "offboard.roster"
#define KEYS   "offboard.keys"

struct fixture {
    struct mock_cluster *cluster;
    struct kafka_producer *producer;
    struct keyring *keyring;
    struct batch *batch;
    atomic_bool stopping;
};

static int setup(void **state)
{
    struct fixture *fixture = MEM_NEW(struct fixture);
    log_init("test", LOG_ERROR);
    fixture->cluster = mock_cluster_new((const char *const[]){EVENTS, ROSTER, KEYS, NULL});
    fixture->producer = kafka_producer_new(mock_cluster_conf(fixture->cluster), NULL);
    assert_non_null(fixture->producer);
    fixture->keyring = keyring_start(mock_cluster_conf(fixture->cluster), NULL, NULL);
    assert_non_null(fixture->keyring);
    assert_int_equal(keyring_catch_up(fixture->keyring, 20 * TIME_SECOND, NULL), 0);
    kafka_producer_seal_with(fixture->producer, fixture->keyring);
    fixture->batch = batch_new(mock_cluster_conf(fixture->cluster), fixture->keyring);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    kafka_producer_free(fixture->producer, TIME_SECOND);
    batch_free(fixture->batch);
    keyring_stop(fixture->keyring);
    mock_cluster_free(fixture->cluster);
    free(fixture);
    return 0;
}

static json_t *value(const char *text)
{
    return json_pack("{s:s}", "text", text);
}

/* Larger than any record that is written by default. */
static json_t *large(void)
{
    enum { SIZE = 1100000 };
    char *text = mem_alloc(SIZE + 1);
    memset(text, 'x', SIZE);
    json_t *object = value(text);
    free(text);
    return object;
}

static void add(struct fixture *fixture, enum stage stage, const char *key, json_t *object)
{
    batch_add(fixture->batch, stage, EVENTS, key, object, "test", key, NULL);
}

static void publish(struct fixture *fixture)
{
    struct err err = ERR_INIT;
    if (batch_publish(fixture->batch, fixture->producer, &fixture->stopping, &err) != 0) {
        fail_msg("%s", err_text(&err));
    }
}

/* The keys on a topic, sorted, with what their values begin with. */
static void assert_published(struct fixture *fixture, const char *topic, const char *const *expected)
{
    size_t count = 0, found = 0;
    while (expected[count]) {
        count++;
    }
    for (rd_kafka_message_t *message = count ? mock_first_message(fixture->cluster, topic) : NULL; message;) {
        char *shown = mem_printf("%.*s %.*s", (int)message->key_len, (const char *)message->key,
                                 message->len > 20 ? 20 : (int)message->len,
                                 message->payload ? (const char *)message->payload : "-");
        bool known = false;
        for (size_t i = 0; i < count; i++) {
            known = known || strncmp(shown, expected[i], strlen(expected[i])) == 0;
        }
        if (!known) {
            fail_msg("%s was not to be published", shown);
        }
        free(shown);
        rd_kafka_message_destroy(message);
        message = ++found < count ? mock_next_message(fixture->cluster) : NULL;
    }
    assert_int_equal(found, count);
}

static void test_of_each_key_the_last_record_of_the_roster(void **state)
{
    struct fixture *fixture = *state;
    batch_write_roster(fixture->batch, "a", value("1"));
    batch_write_roster(fixture->batch, "b", value("1"));
    batch_write_roster(fixture->batch, "a", value("2"));
    batch_write_roster(fixture->batch, "b", NULL);
    publish(fixture);
    assert_published(fixture, ROSTER, (const char *const[]){"a {\"text\":\"2\"}", "b ", NULL});
}

/* Of two records the one that is too large leads to nothing more; the other goes on. */
static void test_what_is_too_large_is_refused_with_all_that_follows(void **state)
{
    struct fixture *fixture = *state;
    rd_kafka_message_t first = {0}, second = {0};
    batch_begin(fixture->batch, &first);
    add(fixture, STAGE_INITIATED, "first", large());
    add(fixture, STAGE_JOBS, "first-job", value("1"));
    add(fixture, STAGE_EVENTS, "first-intake", value("1"));
    batch_begin(fixture->batch, &second);
    add(fixture, STAGE_INITIATED, "second", value("2"));
    add(fixture, STAGE_JOBS, "second-job", value("2"));
    batch_begin(fixture->batch, NULL);
    publish(fixture);
    assert_published(fixture, EVENTS, (const char *const[]){"second {", "second-job {", NULL});
    const char *reason = NULL;
    size_t at = 0;
    assert_ptr_equal(batch_refused(fixture->batch, &at, &reason), &first);
    assert_non_null(strstr(reason, "could not write"));
    assert_null(batch_refused(fixture->batch, &at, &reason));
}

static void test_what_is_too_large_in_a_smaller_form_or_another(void **state)
{
    struct fixture *fixture = *state;
    rd_kafka_message_t record = {0};
    batch_begin(fixture->batch, &record);
    add(fixture, STAGE_JOBS, "job", large());
    batch_else(fixture->batch, EVENTS, value("failed"));
    add(fixture, STAGE_EVENTS, "intake", large());
    batch_or(fixture->batch, value("short"));
    add(fixture, STAGE_EVENTS, "fits", value("long"));
    batch_or(fixture->batch, value("not needed"));
    publish(fixture);
    assert_published(
        fixture, EVENTS,
        (const char *const[]){"job {\"text\":\"failed", "intake {\"text\":\"short", "fits {\"text\":\"long", NULL});
    const char *reason;
    size_t at = 0;
    assert_null(batch_refused(fixture->batch, &at, &reason)); /* what was told before stays true */
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

#define ID "2bc3467d-afdb-5b9e-989f-407688933d12"

/* The value of a record of EVENTS, as the keyring opens it. */
static void assert_sealed(struct fixture *fixture, rd_kafka_message_t *message, const char *text)
{
    struct opened opened;
    int64_t doubt = 0;
    assert_non_null(message);
    assert_true(seal_is(message->payload, message->len));
    char *type = kafka_message_header_text(message, "content-type");
    assert_string_equal(type, SEAL_CONTENT_TYPE);
    free(type);
    assert_int_equal(keyring_open(fixture->keyring, message, &doubt, &opened, NULL), KEY_KNOWN);
    assert_non_null(opened.owned);
    assert_string_equal(opened.text, text);
    opened_release(&opened);
    rd_kafka_message_destroy(message);
}

static void add_sealed(struct fixture *fixture, enum stage stage, const char *text)
{
    add(fixture, stage, ID, value(text));
    batch_seal(fixture->batch, ID);
}

/* One key, however often the same is decided; what is sealed with it opens. */
static void test_a_key_is_made_once_and_first(void **state)
{
    struct fixture *fixture = *state;
    assert_false(batch_has_key(fixture->batch, ID));
    for (int i = 0; i < 2; i++) {
        batch_make_key(fixture->batch, ID);
        batch_make_key(fixture->batch, ID);
        assert_true(batch_has_key(fixture->batch, ID));
        add_sealed(fixture, STAGE_INITIATED, i ? "again" : "first");
        publish(fixture);
        batch_clear(fixture->batch);
    }
    assert_published(fixture, KEYS, (const char *const[]){ID " {\"version\":1,\"key\":", NULL});
    assert_sealed(fixture, mock_first_message(fixture->cluster, EVENTS), "{\"text\":\"first\"}");
    assert_sealed(fixture, mock_next_message(fixture->cluster), "{\"text\":\"again\"}");
}

/* After the tombstone the offboarding has no key, and gets none again by being decided once more. */
static void test_an_erased_key_is_gone_after_all_else(void **state)
{
    struct fixture *fixture = *state;
    unsigned char key[SEAL_KEY_SIZE];
    batch_make_key(fixture->batch, ID);
    publish(fixture);
    batch_clear(fixture->batch);
    batch_erase_key(fixture->batch, ID);
    add_sealed(fixture, STAGE_EVENTS, "last");
    publish(fixture);
    rd_kafka_message_t *last = mock_first_message(fixture->cluster, EVENTS);
    assert_true(seal_is(last->payload, last->len));
    rd_kafka_message_destroy(last);
    assert_published(fixture, KEYS, (const char *const[]){ID " {", ID " ", NULL});
    assert_int_equal(keyring_catch_up(fixture->keyring, 20 * TIME_SECOND, NULL), 0);
    assert_int_equal(keyring_wait(fixture->keyring, ID, key, 20 * TIME_SECOND), KEY_GONE);
    assert_false(batch_has_key(fixture->batch, ID));
}

/* Nothing about an offboarding goes in clear, whether its key was never made or is gone; what stands for it neither. */
static void test_without_a_key_nothing_is_published(void **state)
{
    struct fixture *fixture = *state;
    rd_kafka_message_t record = {0};
    batch_begin(fixture->batch, &record);
    add_sealed(fixture, STAGE_INITIATED, "secret");
    add_sealed(fixture, STAGE_EVENTS, "secret");
    batch_or(fixture->batch, value("smaller"));
    batch_begin(fixture->batch, NULL);
    add(fixture, STAGE_EVENTS, "other", value("clear"));
    publish(fixture);
    assert_published(fixture, EVENTS, (const char *const[]){"other {", NULL});
    const char *reason = NULL;
    size_t at = 0;
    assert_ptr_equal(batch_refused(fixture->batch, &at, &reason), &record);
    assert_non_null(strstr(reason, "has no key, or it was erased"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_of_each_key_the_last_record_of_the_roster, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_too_large_is_refused_with_all_that_follows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_too_large_in_a_smaller_form_or_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_key_is_made_once_and_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_a_key_nothing_is_published, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_erased_key_is_gone_after_all_else, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
