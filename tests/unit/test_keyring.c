/* Keys of offboardings in memory: the table, and the keyring that follows the topic of keys. */
/* links: tests/unit/mock_cluster.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/kafka.h"
#include "lib/keyring.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "tests/unit/mock_cluster.h"

#define ID    "2bc3467d-afdb-5b9e-989f-407688933d12"
#define UPPER "2BC3467D-AFDB-5B9E-989F-407688933D12"
#define OTHER "5f102b3d-cd48-5792-8cab-975d70c6bb02"

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void number_id(size_t number, unsigned char id[KEY_ID_SIZE])
{
    char text[ID_SIZE];
    char *name = mem_printf("%zu", number);
    id_v5(ID, name, strlen(name), text);
    assert_int_equal(key_id_parse(text, id), 0);
    free(name);
}

static void number_key(size_t number, unsigned char key[SEAL_KEY_SIZE])
{
    memset(key, 0, SEAL_KEY_SIZE);
    memcpy(key, &number, sizeof number);
}

static bool has(const struct key_table *table, size_t number)
{
    unsigned char id[KEY_ID_SIZE], key[SEAL_KEY_SIZE];
    number_id(number, id);
    number_key(number, key);
    const unsigned char *found = key_table_find(table, id);
    if (found) {
        assert_memory_equal(found, key, SEAL_KEY_SIZE);
    }
    return found;
}

static void put(struct key_table *table, size_t number)
{
    unsigned char id[KEY_ID_SIZE], key[SEAL_KEY_SIZE];
    number_id(number, id);
    number_key(number, key);
    assert_true(key_table_add(table, id, key));
}

static bool drop(struct key_table *table, size_t number)
{
    unsigned char id[KEY_ID_SIZE];
    number_id(number, id);
    return key_table_drop(table, id);
}

/* Every third of many goes, in two orders; the others stay to be found. */
static void test_table_adds_and_drops(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    struct key_table *table = key_table_new();
    for (size_t i = 0; i < MANY; i++) {
        put(table, i);
    }
    assert_int_equal(key_table_size(table), MANY);
    for (size_t i = 0; i < MANY; i += 3) {
        size_t at = i % 2 ? i : (MANY - 1) / 3 * 3 - i;
        assert_true(drop(table, at) || !has(table, at));
    }
    for (size_t i = 0; i < MANY; i += 3) {
        drop(table, i);
        assert_false(drop(table, i));
    }
    size_t left = 0;
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(has(table, i), i % 3 != 0);
        left += i % 3 != 0;
    }
    assert_int_equal(key_table_size(table), left);
    key_table_free(table);
}

static void test_table_keeps_the_first(void **state)
{
    (void)state;
    unsigned char id[KEY_ID_SIZE], second[SEAL_KEY_SIZE];
    struct key_table *table = key_table_new();
    put(table, 7);
    number_id(7, id);
    number_key(8, second);
    assert_false(key_table_add(table, id, second));
    assert_true(has(table, 7));
    put(table, 7); /* the same again is no second one */
    assert_int_equal(key_table_size(table), 1);
    key_table_free(table);
}

static void count_one(const char id[ID_SIZE], const unsigned char key[SEAL_KEY_SIZE], void *arg)
{
    size_t *counts = arg;
    (void)key;
    counts[strcmp(id, KEY_OF_DIGESTS) == 0]++;
}

static void test_table_has_the_key_of_digests(void **state)
{
    (void)state;
    unsigned char nil[KEY_ID_SIZE], key[SEAL_KEY_SIZE];
    size_t counts[2] = {0, 0};
    struct key_table *table = key_table_new();
    assert_int_equal(key_id_parse(KEY_OF_DIGESTS, nil), 0);
    assert_null(key_table_find(table, nil));
    assert_false(key_table_drop(table, nil));
    number_key(9, key);
    assert_true(key_table_add(table, nil, key));
    assert_memory_equal(key_table_find(table, nil), key, SEAL_KEY_SIZE);
    put(table, 1);
    put(table, 2);
    key_table_each(table, count_one, counts);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 1);
    number_key(10, key);
    assert_false(key_table_add(table, nil, key));
    assert_true(key_table_drop(table, nil));
    assert_null(key_table_find(table, nil));
    assert_int_equal(key_table_size(table), 2);
    key_table_free(table);
}

/* ---- the topic --------------------------------------------------------------------------------------------------- */

struct stand {
    struct mock_cluster *cluster;
    struct kafka_producer *producer;
    struct keyring *keyring;
    atomic_int erased;
};

static void on_erased(const char id[ID_SIZE], void *arg)
{
    assert_string_equal(id, ID);
    ((struct stand *)arg)->erased++;
}

static struct stand *stand_new(void)
{
    struct stand *stand = MEM_NEW(struct stand);
    stand->cluster = mock_cluster_new((const char *const[]){"offboard.keys", NULL});
    stand->producer = kafka_producer_new(mock_cluster_conf(stand->cluster), NULL);
    return stand;
}

static void stand_read(struct stand *stand)
{
    struct keyring_listener listener = {on_erased, stand};
    stand->keyring = keyring_start(mock_cluster_conf(stand->cluster), &listener, NULL);
    assert_non_null(stand->keyring);
    assert_int_equal(keyring_catch_up(stand->keyring, 20 * TIME_SECOND, NULL), 0);
}

static void stand_free(struct stand *stand)
{
    keyring_stop(stand->keyring);
    kafka_producer_free(stand->producer, TIME_SECOND);
    mock_cluster_free(stand->cluster);
    free(stand);
}

static void write_value(struct stand *stand, const char *id, const char *value)
{
    struct kafka_record record = {.topic = "offboard.keys",
                                  .key = id,
                                  .key_len = strlen(id),
                                  .value = value,
                                  .value_len = value ? strlen(value) : 0};
    assert_int_equal(kafka_produce(stand->producer, &record, NULL, NULL, NULL), 0);
    assert_int_equal(kafka_producer_wait(stand->producer, 10 * TIME_SECOND, NULL), 0);
}

static void write_key(struct stand *stand, const char *id, size_t number)
{
    unsigned char key[SEAL_KEY_SIZE];
    number_key(number, key);
    json_t *value = keyring_record(key);
    char *text = json_text(value);
    write_value(stand, id, text);
    free(text);
    json_decref(value);
}

static enum key_answer wait_for(struct stand *stand, const char *id, unsigned char key[SEAL_KEY_SIZE])
{
    return keyring_wait(stand->keyring, id, key, 20 * TIME_SECOND);
}

static void assert_key(struct stand *stand, const char *id, size_t number)
{
    unsigned char key[SEAL_KEY_SIZE], expected[SEAL_KEY_SIZE];
    number_key(number, expected);
    assert_int_equal(wait_for(stand, id, key), KEY_KNOWN);
    assert_memory_equal(key, expected, SEAL_KEY_SIZE);
}

static void test_keyring_reads_and_follows(void **state)
{
    (void)state;
    struct stand *stand = stand_new();
    write_key(stand, ID, 1);
    stand_read(stand);
    char *why = NULL;
    assert_true(keyring_ready(stand->keyring, &why));
    assert_key(stand, ID, 1);
    assert_key(stand, UPPER, 1);
    write_key(stand, OTHER, 2);
    assert_key(stand, OTHER, 2);
    stand_free(stand);
}

/* A key that is not known is asked for: "not yet" becomes "gone" when the topic was read to where it ended after the question. */
static void test_unknown_key_is_gone_once_confirmed(void **state)
{
    (void)state;
    unsigned char key[SEAL_KEY_SIZE];
    struct stand *stand = stand_new();
    stand_read(stand);
    int64_t doubt = 0;
    assert_int_equal(keyring_find(stand->keyring, OTHER, key, &doubt), KEY_NOT_YET);
    assert_true(doubt > 0);
    assert_int_equal(keyring_catch_up(stand->keyring, 20 * TIME_SECOND, NULL), 0);
    assert_int_equal(keyring_find(stand->keyring, OTHER, key, &doubt), KEY_GONE);
    assert_int_equal(wait_for(stand, OTHER, key), KEY_GONE);
    assert_int_equal(wait_for(stand, "no id", key), KEY_GONE);
    /* A key that comes later is found all the same, by who asks anew and by who asked before. */
    write_key(stand, OTHER, 3);
    assert_key(stand, OTHER, 3);
    assert_int_equal(keyring_find(stand->keyring, OTHER, key, &doubt), KEY_KNOWN);
    stand_free(stand);
}

static void test_tombstone_erases(void **state)
{
    (void)state;
    unsigned char key[SEAL_KEY_SIZE];
    struct stand *stand = stand_new();
    write_key(stand, ID, 1);
    stand_read(stand);
    assert_key(stand, ID, 1);
    write_value(stand, UPPER, NULL);
    assert_int_equal(keyring_catch_up(stand->keyring, 20 * TIME_SECOND, NULL), 0);
    assert_int_equal(wait_for(stand, ID, key), KEY_GONE);
    assert_int_equal(stand->erased, 1);
    stand_free(stand);
}

static void test_second_and_bad_values_change_nothing(void **state)
{
    (void)state;
    struct stand *stand = stand_new();
    write_key(stand, ID, 1);
    write_key(stand, ID, 2);
    write_value(stand, ID, "{\"version\": 1, \"key\": \"c2hvcnQ=\"}");
    write_value(stand, ID, "{\"version\": 2, \"key\": \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}");
    write_value(stand, ID, "no JSON");
    write_value(stand, "no id", "{}");
    write_key(stand, OTHER, 3);
    stand_read(stand);
    assert_key(stand, ID, 1);
    assert_key(stand, OTHER, 3);
    stand_free(stand);
}

/* As long as the newest value is not the one that counts, it has to be written again: compaction keeps the newest. */
static void test_a_contested_key(void **state)
{
    (void)state;
    char id[ID_SIZE] = "";
    unsigned char key[SEAL_KEY_SIZE], first[SEAL_KEY_SIZE];
    number_key(1, first);
    struct stand *stand = stand_new();
    write_key(stand, ID, 1);
    write_key(stand, OTHER, 3);
    stand_read(stand);
    assert_false(keyring_contested(stand->keyring, id, key));
    write_key(stand, ID, 2);
    write_key(stand, ID, 4);
    write_key(stand, OTHER, 5);
    write_key(stand, OTHER, 3); /* it was settled before we came */
    assert_int_equal(keyring_catch_up(stand->keyring, 20 * TIME_SECOND, NULL), 0);
    assert_true(keyring_contested(stand->keyring, id, key));
    assert_string_equal(id, ID);
    assert_memory_equal(key, first, SEAL_KEY_SIZE);
    assert_false(keyring_contested(stand->keyring, id, key));
    write_key(stand, ID, 2);
    write_value(stand, ID, NULL); /* nothing is left to contest */
    assert_int_equal(keyring_catch_up(stand->keyring, 20 * TIME_SECOND, NULL), 0);
    assert_false(keyring_contested(stand->keyring, id, key));
    stand_free(stand);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static rd_kafka_message_t record_of(const char *key, void *value, size_t len)
{
    return (rd_kafka_message_t){.key = (void *)(uintptr_t)key, .key_len = strlen(key), .payload = value, .len = len};
}

static enum key_answer open_record(struct stand *stand, const char *key, void *value, size_t len, const char *expected)
{
    struct err err = ERR_INIT;
    struct opened opened;
    int64_t doubt = 0;
    rd_kafka_message_t message = record_of(key, value, len);
    enum key_answer answer = keyring_open(stand->keyring, &message, &doubt, &opened, &err);
    if (answer == KEY_NOT_YET) {
        assert_int_equal(err.class, ERR_RETRY);
        assert_int_equal(keyring_catch_up(stand->keyring, 20 * TIME_SECOND, NULL), 0);
        answer = keyring_open(stand->keyring, &message, &doubt, &opened, &err);
    }
    assert_int_equal(answer == KEY_KNOWN, opened.text != NULL);
    assert_true(answer == KEY_KNOWN || err.class == ERR_PERMANENT);
    if (answer == KEY_KNOWN) {
        assert_int_equal(opened.len, strlen(expected));
        assert_memory_equal(opened.text, expected, opened.len);
    }
    opened_release(&opened);
    err_release(&err);
    return answer;
}

static void test_records_open(void **state)
{
    (void)state;
    unsigned char key[SEAL_KEY_SIZE];
    size_t len = 0;
    struct stand *stand = stand_new();
    write_key(stand, ID, 1);
    write_key(stand, OTHER, 2);
    stand_read(stand);
    number_key(1, key);
    unsigned char *sealed = seal_make(key, ID, "{}", 2, &len, NULL);
    assert_int_equal(open_record(stand, ID, sealed, len, "{}"), KEY_KNOWN);
    assert_int_equal(open_record(stand, UPPER, sealed, len, "{}"), KEY_KNOWN);
    assert_int_equal(open_record(stand, OTHER, sealed, len, NULL), KEY_WRONG);
    assert_int_equal(open_record(stand, "anna@example.com", sealed, len, NULL), KEY_WRONG);
    assert_int_equal(open_record(stand, "anna@example.com", (char[]){"{}"}, 2, "{}"), KEY_KNOWN);
    write_value(stand, ID, NULL);
    assert_int_equal(keyring_catch_up(stand->keyring, 20 * TIME_SECOND, NULL), 0);
    assert_int_equal(open_record(stand, ID, sealed, len, NULL), KEY_GONE);
    free(sealed);
    stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_adds_and_drops),
        cmocka_unit_test(test_table_keeps_the_first),
        cmocka_unit_test(test_table_has_the_key_of_digests),
        cmocka_unit_test(test_keyring_reads_and_follows),
        cmocka_unit_test(test_unknown_key_is_gone_once_confirmed),
        cmocka_unit_test(test_tombstone_erases),
        cmocka_unit_test(test_second_and_bad_values_change_nothing),
        cmocka_unit_test(test_a_contested_key),
        cmocka_unit_test(test_records_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
