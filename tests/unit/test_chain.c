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
    assert_noticed(*state, "UPDATE event SET body = body || '{\"x\": 1}' WHERE kafka_offset = 2",
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
        CHAINED(test_fence),        CHAINED(test_fence_while_another_writes),
    };
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
