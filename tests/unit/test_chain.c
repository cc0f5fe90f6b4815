/* The audit's hash chain, and the fence that keeps two loggers from writing one partition. */
#include "tests/unit/postgres.h"
#include "tests/unit/apply.h"

static int number;

/* Five events in two batches. */
static int chain_make(void **state)
{
    char *name = mem_printf("c%d", ++number);
    struct pg *pg = postgres_database(name);
    free(name);
    batch.next = 0;
    batch_begin(pg);
    say("note.one", PERSON(1), "\"step\": \"a\"");
    say("note.two", PERSON(1), "\"step\": \"b\"");
    say("note.three", PERSON(2), "\"step\": \"c\"");
    batch_apply();
    batch_begin(pg);
    say("note.four", PERSON(1), "\"step\": \"d\"");
    say("note.five", PERSON(2), "\"step\": \"e\"");
    batch_apply();
    *state = pg;
    return 0;
}

/* What verify_event_chain() says after `change`, which is undone. */
static void assert_noticed(struct pg *pg, const char *change, const char *expected)
{
    free(ask(pg, "BEGIN"));
    free(ask(pg, "%s", change));
    assert_answer(pg, "SELECT string_agg(kafka_offset || ' ' || problem, '; ') FROM verify_event_chain()", expected);
    free(ask(pg, "ROLLBACK"));
}

#define ALTERED(offset) #offset " the row was altered, or a row before it was added or removed"

static void test_unaltered(void **state)
{
    assert_noticed(*state, "SELECT 1", NULL);
    assert_answer(*state, "SELECT count(DISTINCT hash) FROM event", "5");
    assert_answer(*state, "SELECT head = (SELECT hash FROM event WHERE kafka_offset = 4) FROM kafka_offset", "t");
}

static void test_altered_rows(void **state)
{
    static const char *const columns[] = {"id = gen_random_uuid()",
                                          "name = 'x'",
                                          "occurred_at = occurred_at + interval '1 us'",
                                          "recorded_at = now()",
                                          "offboarding_id = NULL",
                                          "job_id = gen_random_uuid()",
                                          "phase = 'x'",
                                          "step = 'x'",
                                          "system = 'x'",
                                          "action = 'x'",
                                          "attempt = 7",
                                          "outcome = 'x'",
                                          "status_code = 500",
                                          "note = 'x'"};
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        char *change = mem_printf("UPDATE event SET %s WHERE kafka_offset = 2", columns[i]);
        assert_noticed(*state, change, ALTERED(2));
        free(change);
    }
}

static void test_altered_body(void **state)
{
    assert_noticed(*state, "UPDATE event SET body = (body::text || ' ')::json WHERE kafka_offset = 2",
                   "2 the body was altered");
    assert_noticed(*state, "UPDATE event SET salt = '\\x00' WHERE kafka_offset = 2", "2 the body was altered");
    /* A new commitment would hide that, but it is in the chain. */
    assert_noticed(*state,
                   "UPDATE event SET body = '{}', commitment = event_commitment(salt, '{}') WHERE kafka_offset = 2",
                   ALTERED(2));
}

static void test_removed_rows(void **state)
{
    assert_noticed(*state, "DELETE FROM event WHERE kafka_offset = 2", ALTERED(3));
    assert_noticed(*state, "DELETE FROM event WHERE kafka_offset = 0", ALTERED(1));
    assert_noticed(*state, "DELETE FROM event WHERE kafka_offset = 4", "3 rows at the end were added or removed");
    assert_answer(*state, "SELECT count(*) FROM verify_event_chain()", "0");
}

static void test_blanked_body(void **state)
{
    assert_noticed(*state, "UPDATE event SET body = NULL, salt = NULL", NULL);
}

/* A row with a right hash, put at the end by somebody who knows how: the head is elsewhere. */
static void test_added_row(void **state)
{
    assert_noticed(
        *state,
        "DO $$ DECLARE e event; BEGIN SELECT * INTO e FROM event WHERE kafka_offset = 2; e.kafka_offset := 5;"
        " e.hash := chain_hash((SELECT hash FROM event WHERE kafka_offset = 4), event_link(e));"
        " INSERT INTO event SELECT e.*; END $$",
        "5 rows at the end were added or removed");
}

/* ---- ranges, and months that go --------------------------------------------------------------------------------- */

/* Six events of three months of 2020 in a topic of their own, two a month, as the logger would have written them. */
static const char three_months[] =
    "DO $$ DECLARE e event; chain bytea := decode(repeat('00', 32), 'hex');"
    " BEGIN"
    "  SELECT * INTO e FROM event WHERE kafka_offset = 0;"
    "  e.topic := 'old';"
    "  FOR n IN 0 .. 5 LOOP"
    "   e.recorded_at := timestamptz '2020-01-10 00:00Z' + (n / 2) * interval '1 month' + n * interval '1 hour';"
    "   e.kafka_offset := n;"
    "   e.hash := chain_hash(chain, event_link(e));"
    "   chain := e.hash;"
    "   INSERT INTO event SELECT e.*;"
    "  END LOOP;"
    "  INSERT INTO kafka_offset VALUES ('old', 0, 6, chain);"
    " END $$";

/* The problems that a range shows after a change, which is undone. */
static void assert_range(struct pg *pg, const char *change, const char *since, const char *before, const char *expected)
{
    char *sql = mem_printf("SELECT string_agg(kafka_offset || ' ' || problem, '; ') FROM verify_event_chain('%s', '%s')"
                           " WHERE topic = 'old'",
                           since, before);
    free(ask(pg, "BEGIN"));
    free(ask(pg, "%s", change));
    assert_answer(pg, sql, expected);
    free(ask(pg, "ROLLBACK"));
    free(sql);
}

#define JANUARY  "2020-01-01Z"
#define FEBRUARY "2020-02-01Z"
#define MARCH    "2020-03-01Z"
#define APRIL    "2020-04-01Z"

static void test_ranges(void **state)
{
    static const char altered[] = "UPDATE event SET note = 'x' WHERE topic = 'old' AND kafka_offset = 2";
    static const char removed[] = "DELETE FROM event WHERE topic = 'old' AND kafka_offset IN (2, 3)";
    static const char body[] = "UPDATE event SET body = '{}' WHERE topic = 'old' AND kafka_offset = 3";
    free(ask(*state, "%s", three_months));
    assert_range(*state, "SELECT 1", JANUARY, APRIL, NULL);
    assert_range(*state, "SELECT 1", FEBRUARY, MARCH, NULL);
    assert_range(*state, altered, JANUARY, FEBRUARY, NULL);
    assert_range(*state, altered, FEBRUARY, MARCH, ALTERED(2));
    assert_range(*state, body, FEBRUARY, MARCH, "3 the body was altered");
    assert_range(*state, body, MARCH, APRIL, NULL);
    /* A month that is gone is missed by the one after it. */
    assert_range(*state, removed, FEBRUARY, MARCH, NULL);
    assert_range(*state, removed, MARCH, APRIL, ALTERED(4));
    /* The end is looked at whatever the range. */
    assert_range(*state, "DELETE FROM event WHERE topic = 'old' AND kafka_offset = 5", JANUARY, FEBRUARY,
                 "4 rows at the end were added or removed");
    /* A clock that was set back, as after a failover: the row before lies in the month after. */
    free(ask(*state, "DELETE FROM event WHERE topic = 'old'"));
    free(ask(*state, "DELETE FROM kafka_offset WHERE topic = 'old'"));
    char *back = mem_printf("%s", three_months);
    char *factor = strstr(back, "(n / 2)");
    assert_non_null(factor);
    memcpy(factor, "(n % 2)", 7);
    free(ask(*state, "%s", back));
    free(back);
    assert_range(*state, "SELECT 1", JANUARY, FEBRUARY, NULL);
    assert_range(*state, "SELECT 1", FEBRUARY, MARCH, NULL);
}

/* Months are tables of their own; those that are detached are gone from the audit, and the chain goes on without them. */
static void test_detached_months(void **state)
{
    static const char *const months[] = {"2020_01", "2020_02", "2020_03", "2020_04"};
    for (size_t i = 0; i + 1 < COUNT_OF(months); i++) {
        free(ask(*state,
                 "CREATE TABLE event_%s PARTITION OF event FOR VALUES FROM (to_timestamp('%s', 'YYYY_MM'))"
                 " TO (to_timestamp('%s', 'YYYY_MM'))",
                 months[i], months[i], months[i + 1]));
    }
    free(ask(*state, "%s", three_months));
    assert_answer(*state, "SELECT string_agg(d, ' ') FROM detach_event_partitions('2020-03-15Z') d",
                  "event_2020_01 event_2020_02");
    assert_answer(*state, "SELECT count(*) FROM event WHERE topic = 'old'", "2");
    assert_answer(*state, "SELECT count(*) FROM event_2020_01", "2");
    assert_range(*state, "SELECT 1", JANUARY, APRIL, NULL);
    assert_range(*state, "DELETE FROM event WHERE topic = 'old' AND kafka_offset = 4", JANUARY, APRIL, ALTERED(5));
    assert_range(*state, "UPDATE event_checkpoint SET hash = '\\x00'", JANUARY, APRIL, ALTERED(4));
    free(ask(*state, "DROP TABLE event_2020_01, event_2020_02"));
    assert_range(*state, "SELECT 1", JANUARY, APRIL, NULL);
    /* The month that runs is never detached. */
    free(ask(*state, "SELECT make_event_partitions(0)"));
    assert_answer(*state, "SELECT string_agg(d, ' ') FROM detach_event_partitions('2199-01-01Z') d", "event_2020_03");
    assert_answer(*state, "SELECT count(*) FROM verify_event_chain()", "0");
}

/* ---- the fence --------------------------------------------------------------------------------------------------- */

static void assert_fenced(struct pg *pg, int64_t before)
{
    batch_begin(pg);
    say("note.six", PERSON(1), "");
    struct err err = ERR_INIT;
    char *sql =
        mem_printf("SELECT apply_batch('{t}', '{0}', '{%lld}', '{%lld}')", (long long)before, (long long)before + 1);
    assert_int_equal(pg_run(pg, &err, sql, 0, NULL), -1);
    assert_string_equal(pg_sqlstate(pg), "OB001");
    free(ask(pg, "ROLLBACK"));
    free(sql);
    err_release(&err);
    assert_answer(pg, "SELECT count(*) FROM event", "5");
    assert_answer(pg, "SELECT next FROM kafka_offset", "5");
}

static void test_fence(void **state)
{
    assert_fenced(*state, 4);
    assert_fenced(*state, 6);
    tell(*state, "note.six", PERSON(1), "");
    assert_answer(*state, "SELECT next FROM kafka_offset", "6");
}

/* Who comes second waits for who comes first, then finds the offset moved. */
static void test_fence_while_another_writes(void **state)
{
    char *name = ask(*state, "SELECT current_database()");
    struct pg *other = postgres_connect("postgres", name);
    free(name);
    free(ask(other, "SELECT open_stage()"));
    batch_begin(*state);
    say("note.six", PERSON(1), "");
    free(ask(*state, "SELECT apply_batch('{t}', '{0}', '{5}', '{6}')"));
    assert_int_equal(PQsendQuery(pg_conn(other), "SELECT apply_batch('{t}', '{0}', '{5}', '{7}')"), 1);
    free(ask(*state, "COMMIT"));
    PGresult *result = PQgetResult(pg_conn(other));
    assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), "OB001");
    PQclear(result);
    assert_null(PQgetResult(pg_conn(other)));
    pg_free(other);
    assert_answer(*state, "SELECT next FROM kafka_offset", "6");
    assert_answer(*state, "SELECT count(*) FROM verify_event_chain()", "0");
}

#define CHAINED(test) cmocka_unit_test_setup_teardown(test, chain_make, database_drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHAINED(test_unaltered),    CHAINED(test_altered_rows),
        CHAINED(test_altered_body), CHAINED(test_removed_rows),
        CHAINED(test_blanked_body), CHAINED(test_added_row),
        CHAINED(test_ranges),       CHAINED(test_detached_months),
        CHAINED(test_fence),        CHAINED(test_fence_while_another_writes),
    };
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
