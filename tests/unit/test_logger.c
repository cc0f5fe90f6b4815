/* links: logger/row.c logger/batch.c logger/origin.c */
/* What the logger makes of messages: read as rows, numbered in waves, written for COPY. The messages are real ones, from
 * librdkafka's mock cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "lib/mem.h"
#include "logger/logger.h"

#define ID     "01890a5d-ac96-774b-bcce-b302099a8057"
#define PERSON "00000000-0000-4000-8000-000000000001"
#define OTHER  "00000000-0000-4000-8000-000000000002"

static rd_kafka_t *producer;
static rd_kafka_t *consumer;
static const struct origin core = {.writer = WRITER_CORE};

static rd_kafka_t *client(rd_kafka_type_t type, const char *brokers)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!brokers) {
        rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", why, sizeof why);
    } else {
        rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why);
        rd_kafka_conf_set(conf, "group.id", "test", why, sizeof why);
        rd_kafka_conf_set(conf, "fetch.wait.max.ms", "10", why, sizeof why);
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    assert_non_null(rk);
    return rk;
}

static int cluster_start(void **state)
{
    (void)state;
    alarm(60); /* a client is not destroyed while a failed test keeps a message of it: end rather than hang */
    producer = client(RD_KAFKA_PRODUCER, NULL);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_handle_mock_cluster(producer);
    assert_int_equal(rd_kafka_mock_topic_create(cluster, "t", 1, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    consumer = client(RD_KAFKA_CONSUMER, rd_kafka_mock_cluster_bootstraps(cluster));
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "t", 0)->offset = 0;
    assert_int_equal(rd_kafka_assign(consumer, list), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(list);
    return 0;
}

static int cluster_stop(void **state)
{
    (void)state;
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(producer);
    return 0;
}

/* Sends a message through the cluster and takes it back. */
static rd_kafka_message_t *message(const char *key, const void *value, size_t len, const char *traceparent)
{
    rd_kafka_resp_err_t code =
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY(key, strlen(key)),
                          RD_KAFKA_V_VALUE((void *)(uintptr_t)value, len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_HEADER("traceparent", traceparent, -1), RD_KAFKA_V_END);
    assert_int_equal(code, RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(producer, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_message_t *back;
    while ((back = rd_kafka_consumer_poll(consumer, 10000)) && back->err) {
        rd_kafka_message_destroy(back); /* no leader yet, and the like */
    }
    assert_non_null(back);
    return back;
}

static void read_text(struct row *row, const char *text)
{
    row_read(row, message(PERSON, text, strlen(text), "00-trace"), &core, NULL);
}

/* As what a sealed record says. */
static void read_sealed(struct row *row, const char *text)
{
    struct opened opened = {text, strlen(text), (char *)(uintptr_t)text};
    row_read(row, message(PERSON, "OBS1", 4, "00-trace"), &core, &opened);
}

static void assert_row_refused(const char *text, const char *why)
{
    struct row row;
    read_text(&row, text);
    if (!row.refused || !strstr(row.refused, why)) {
        fail_msg("%s: \"%s\" names not %s", text, row.refused ? row.refused : "accepted", why);
    }
    row_release(&row);
}

#define EVENT(name, context)                                                                                           \
    "{\"version\": 1, \"id\": \"" ID "\", \"name\": \"" name "\", \"timestamp\": \"2026-01-05T10:00:00+01:00\","       \
    " \"response\": {\"statusCode\": 200, \"message\": \"x\"}, \"context\": {" context "}}"

static void test_event(void **state)
{
    (void)state;
    struct row row;
    read_sealed(&row, EVENT("job.succeeded", "\"offboarding_id\": \"" PERSON "\", \"job_id\": \"" OTHER
                                             "\", \"attempt\": 1, \"outcome\": \"succeeded\""));
    assert_null(row.refused);
    assert_string_equal(row.id, ID);
    assert_string_equal(row.name, "job.succeeded");
    assert_string_equal(row.occurred_at, "2026-01-05T09:00:00.000000Z");
    assert_string_equal(row.offboarding_id, PERSON);
    assert_string_equal(row.job_id, OTHER);
    assert_string_equal(row.traceparent, "00-trace");
    assert_null(row.published_by);
    assert_int_equal(row.wave, 1);
    row_release(&row);
    read_text(&row, EVENT("intake", "\"offboarding_id\": null"));
    assert_null(row.refused);
    assert_int_equal(row.wave, 0);
    assert_string_equal(row.offboarding_id, "");
    row_release(&row);
}

/* A sealed one is read as what it says; it says nothing of another offboarding than its key's. */
static void test_sealed_event(void **state)
{
    (void)state;
    static const char *const texts[] = {EVENT("cancelled", "\"offboarding_id\": \"" PERSON "\", \"reason\": \"r\""),
                                        EVENT("cancelled", "\"offboarding_id\": \"" OTHER "\", \"reason\": \"r\"")};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct row row;
        struct opened opened = {texts[i], strlen(texts[i]), (char *)(uintptr_t)texts[i]};
        row_read(&row, message(PERSON, "OBS1 and so on", 14, "00-trace"), &core, &opened);
        assert_true(row.sealed);
        assert_false(row.erased);
        assert_string_equal(row.body, texts[i]);
        if (i == 0) {
            assert_null(row.refused);
            assert_string_equal(row.offboarding_id, PERSON);
            assert_int_equal(row.wave, 1);
        } else {
            assert_non_null(strstr(row.refused, "context.offboarding_id"));
        }
        row_release(&row);
    }
}

/* Who speaks of an offboarding has its key: but the API, whose orders may name any, and the planner when there is no key any more. */
static void test_event_in_clear(void **state)
{
    (void)state;
    struct row row;
    read_text(&row, EVENT("cancelled", "\"offboarding_id\": \"" PERSON "\", \"reason\": \"r\""));
    assert_null(row.refused);
    assert_string_equal(row.name, "violation");
    assert_string_equal(row.note, "not believed: cancelled of an offboarding came on t in clear");
    assert_int_equal(row.wave, 0);
    row_release(&row);
    read_text(&row, EVENT("erased", "\"offboarding_id\": \"" PERSON "\""));
    assert_null(row.note);
    row_release(&row);
    static const char order[] = EVENT("order.erase", "\"offboarding_id\": \"" PERSON "\", \"reason\": \"r\"");
    row_read(&row, message(PERSON, order, strlen(order), "00-trace"), &(struct origin){.writer = WRITER_EDGE}, NULL);
    assert_null(row.note);
    assert_int_equal(row.wave, 1);
    row_release(&row);
}

/* One that nobody can open any more is on record, and changes nothing. */
static void test_event_whose_key_was_erased(void **state)
{
    (void)state;
    struct row row;
    row_read_erased(&row, message(PERSON, "OBS1 and so on", 14, "00-trace"));
    assert_null(row.refused);
    assert_true(row.sealed && row.erased);
    assert_int_equal(row.wave, 0);
    assert_string_equal(row.name, "erased");
    assert_string_equal(row.note, "its key was erased");
    assert_string_equal(row.offboarding_id, PERSON);
    assert_non_null(strstr(row.body, PERSON));
    assert_true(id_valid(row.id)); /* it came with none */
    row_release(&row);
}

static void test_refused_events(void **state)
{
    (void)state;
    assert_row_refused("", "JSON");
    assert_row_refused("not json", "JSON");
    assert_row_refused("\xff\xfe", "UTF-8");
    assert_row_refused("{\"version\": 2}", "version");
    assert_row_refused(EVENT("note", "\"a\": \"\\u0000\""), "u0000");
    assert_row_refused(EVENT("job.failed", "\"offboarding_id\": \"" PERSON "\""), "context.job_id");
    assert_row_refused(EVENT("moved", "\"reason\": \"x\""), "context.offboarding_id");
    assert_row_refused(EVENT("cancelled", "\"offboarding_id\": \"jane\""), "context.offboarding_id");
    assert_row_refused(EVENT("order.skip", "\"offboarding_id\": \"" PERSON "\", \"job_id\": 7"), "context.job_id");
    assert_row_refused(EVENT("control.cancel", "\"offboarding_id\": \"" PERSON "\""), "control.");
}

/* Headers come from anybody: what PostgreSQL would refuse is left out, and the event is kept. */
static void test_bad_header(void **state)
{
    (void)state;
    static const char text[] = EVENT("note", "");
    struct row row;
    row_read(&row, message(PERSON, text, strlen(text), "\xff"), &core, NULL);
    assert_null(row.refused);
    assert_null(row.traceparent);
    row_release(&row);
}

static void read_control(struct row *row, const char *key, const char *value)
{
    row_read(row, message(key, value, value ? strlen(value) : 0, "00-trace"),
             &(struct origin){.writer = WRITER_CONTROL}, NULL);
}

#define ORDER "{\"version\": 1, \"reason\": \"r\", \"at\": \"2026-01-05T10:00:00Z\"}"

static void test_control(void **state)
{
    (void)state;
    struct row row;
    read_control(&row, "pause/scim", ORDER);
    assert_string_equal(row.name, "control.pause");
    assert_string_equal(row.occurred_at, "2026-01-05T10:00:00.000000Z");
    assert_int_equal(row.wave, 0);
    char first[ID_SIZE];
    memcpy(first, row.id, ID_SIZE);
    row_release(&row);
    read_control(&row, "pause/scim", NULL);
    assert_string_equal(row.name, "control.resume");
    assert_string_equal(row.body, "{\"key\":\"pause/scim\",\"value\":null}");
    assert_string_not_equal(row.id, first);
    row_release(&row);
    read_control(&row, "cancel/" PERSON, ORDER);
    assert_string_equal(row.body, "{\"key\":\"cancel/" PERSON "\",\"value\":" ORDER "}");
    assert_string_equal(row.name, "control.cancel");
    assert_string_equal(row.offboarding_id, PERSON);
    row_release(&row);
    read_control(&row, "cancel/jane@x.org", NULL);
    assert_string_equal(row.name, "control.uncancel");
    assert_string_equal(row.offboarding_id, "");
    row_release(&row);
    read_control(&row, "nonsense/scim", ORDER);
    assert_non_null(strstr(row.refused, "pause/<system>"));
    row_release(&row);
    read_control(&row, "pause/\xff", ORDER);
    assert_non_null(row.refused);
    row_release(&row);
    read_control(&row, "pause/scim", "{");
    assert_non_null(row.refused);
    row_release(&row);
}

/* ---- waves ------------------------------------------------------------------------------------------------------- */

static void add(struct batch *batch, const char *offboarding, int changing)
{
    struct row *row = batch_add(batch);
    row->name = mem_strdup("job.succeeded");
    memcpy(row->offboarding_id, offboarding, ID_SIZE);
    row->wave = changing;
}

static void test_waves(void **state)
{
    (void)state;
    struct batch batch = {0};
    add(&batch, PERSON, 1);
    add(&batch, OTHER, 1);
    add(&batch, PERSON, 1);
    add(&batch, PERSON, 0); /* intake and the like: no wave */
    add(&batch, PERSON, 1);
    row_refuse(&batch.rows[4], "set aside");
    row_refuse(&batch.rows[4], "the first reason stays");
    add(&batch, OTHER, 1);
    add(&batch, PERSON, 1);
    static const int expected[] = {1, 1, 2, 0, 1, 2, 3};
    for (int round = 0; round < 2; round++) { /* a bisected batch is numbered again */
        batch_number_waves(batch.rows, batch.count);
        for (size_t i = 0; i < COUNT_OF(expected); i++) {
            assert_int_equal(batch.rows[i].wave, expected[i]);
        }
    }
    batch_number_waves(batch.rows + 2, batch.count - 2);
    assert_int_equal(batch.rows[2].wave, 1);
    assert_int_equal(batch.rows[6].wave, 2);
    assert_string_equal(batch.rows[4].refused, "set aside");
    batch_release(&batch);
}

static void test_copy(void **state)
{
    (void)state;
    struct batch batch = {0};
    static const char text[] = EVENT("note", "\"a\": \"b\\n\\\\\"") "\n\t";
    row_read(batch_add(&batch), message(PERSON, text, strlen(text), "00-trace"), &core, NULL);
    row_read(batch_add(&batch), message(PERSON, "poison", 6, "00-trace"), &core, NULL);
    struct buf out = BUF_INIT;
    batch_copy(batch.rows, batch.count, &out);
    char *place =
        mem_printf("0\t\\N\tt\t0\t%lld\t" ID "\tnote\t2026-01-05T09:00:00.000000Z\t\\N\t\\N\t\\N\t00-trace\t{",
                   (long long)batch.rows[0].message->offset);
    assert_int_equal(strncmp(buf_text(&out), place, strlen(place)), 0);
    assert_non_null(strstr(buf_text(&out), "\"a\": \"b\\\\n\\\\\\\\\""));
    assert_string_equal(buf_text(&out) + out.len - 12, "}\\n\\t\t\\N\t\\N\n");
    buf_clear(&out);
    read_sealed(batch_add(&batch), EVENT("cancelled", "\"offboarding_id\": \"" PERSON "\", \"reason\": \"r\""));
    batch_copy(&batch.rows[2], 1, &out);
    assert_string_equal(buf_text(&out) + out.len - 18, "}}\t\\N\t\\\\x4f425331\n");
    free(place);
    buf_release(&out);
    batch_release(&batch);
}

/* An offboarding's `initiated` stands on another topic than its jobs' answers, and may be read after them. */
static void test_initiated_is_first(void **state)
{
    (void)state;
    struct batch batch = {0};
    static const char *const names[] = {"job.succeeded", "moved", "initiated", "job.failed"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct row *row = batch_add(&batch);
        row->name = mem_strdup(names[i]);
        row->wave = 1;
        memcpy(row->offboarding_id, PERSON, sizeof PERSON);
    }
    batch_number_waves(batch.rows, batch.count);
    static const int waves[] = {2, 3, 1, 4};
    for (size_t i = 0; i < COUNT_OF(waves); i++) {
        assert_int_equal(batch.rows[i].wave, waves[i]);
    }
    batch_release(&batch);
}

/* What each may say. `system`: whose topic of results it is; NULL: another topic. */
static void test_who_may_say_what(void **state)
{
    (void)state;
    static const struct {
        enum writer writer;
        const char *name;
        const char *about;
        bool believed;
    } cases[] = {
        {WRITER_SYSTEM, "job.succeeded", "okta", true},
        {WRITER_SYSTEM, "job.before", "okta", true},
        {WRITER_SYSTEM, "job.succeeded", "zoom", false},
        {WRITER_SYSTEM, "job.succeeded", NULL, false},
        {WRITER_SYSTEM, "job.succeeded", "OKTA", false},
        {WRITER_SYSTEM, "system.down", "okta", true},
        {WRITER_SYSTEM, "system.pause", "okta", true},
        {WRITER_SYSTEM, "system.pause", "zoom", false},
        {WRITER_SYSTEM, "job.lost", "okta", false},
        {WRITER_SYSTEM, "system.attended", "okta", false},
        {WRITER_SYSTEM, "initiated", "okta", false},
        {WRITER_SYSTEM, "cancelled", "okta", false},
        {WRITER_SYSTEM, "order.approve", "okta", false},
        {WRITER_SYSTEM, "secret.revealed", "okta", false},
        {WRITER_SYSTEM, "definition", "okta", false},
        {WRITER_SYSTEM, "intake", "okta", false},
        {WRITER_SYSTEM, "signal", "okta", false},
        {WRITER_SYSTEM, "phase.due", "okta", false},
        {WRITER_CORE, "initiated", NULL, true},
        {WRITER_CORE, "job.failed", "okta", true},
        {WRITER_CORE, "order.approve", NULL, false},
        {WRITER_CORE, "signal", NULL, false},
        {WRITER_CORE, "secret.revealed", NULL, false},
        {WRITER_CORE, "system.unattended", "okta", true},
        {WRITER_EDGE, "order.undo", NULL, true},
        {WRITER_EDGE, "signal", NULL, true},
        {WRITER_EDGE, "dead.replayed", NULL, true},
        {WRITER_EDGE, "secret.revealed", NULL, true},
        {WRITER_EDGE, "job.succeeded", "okta", false},
        {WRITER_EDGE, "initiated", NULL, false},
        {WRITER_EDGE, "orders", NULL, false},
        {WRITER_EDGE, "signals", NULL, false},
    };
    char system[] = "okta";
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct origin origin = {.writer = cases[i].writer, .system = system};
        char *why = origin_objection(&origin, "a.topic", cases[i].name, cases[i].about);
        if ((why == NULL) != cases[i].believed) {
            fail_msg("case %zu: %s of %s: %s", i, cases[i].name, cases[i].about, why ? why : "believed");
        }
        assert_true(!why || (strstr(why, cases[i].name) && strstr(why, "a.topic")));
        free(why);
    }
}

/* It is recorded under a name that nothing acts upon. */
static void test_violation(void **state)
{
    (void)state;
    static const char text[] =
        EVENT("job.succeeded", "\"offboarding_id\": \"" PERSON "\", \"job_id\": \"" OTHER
                               "\", \"system\": \"zoom\", \"attempt\": 1, \"outcome\": \"succeeded\"");
    char system[] = "okta";
    struct row row;
    row_read(&row, message(PERSON, text, strlen(text), "00-trace"),
             &(struct origin){.writer = WRITER_SYSTEM, .system = system}, NULL);
    assert_null(row.refused);
    assert_string_equal(row.name, "violation");
    assert_int_equal(row.wave, 0);
    assert_string_equal(row.offboarding_id, PERSON);
    assert_non_null(strstr(row.note, "job.succeeded of zoom"));
    assert_string_equal(row.body, text);
    row_release(&row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_sealed_event),
        cmocka_unit_test(test_event_in_clear),
        cmocka_unit_test(test_event_whose_key_was_erased),
        cmocka_unit_test(test_refused_events),
        cmocka_unit_test(test_bad_header),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_waves),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_initiated_is_first),
        cmocka_unit_test(test_who_may_say_what),
        cmocka_unit_test(test_violation),
    };
    return cmocka_run_group_tests(tests, cluster_start, cluster_stop);
}
