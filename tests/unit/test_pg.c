/* A database's name may lead to a server that takes no changes; who needs the primary connects anew until it is there. */
#include "tests/unit/postgres.h"
#include "tests/unit/helpers.h"

static struct pg *primary(void)
{
    char *conninfo = postgres_conninfo("postgres", "postgres");
    struct pg *pg = pg_new_primary(conninfo, "test");
    free(conninfo);
    return pg;
}

/* Every new session to the database is read-only, as all are on a standby. */
static void set_read_only(const char *on)
{
    free(ask(postgres.pg, "ALTER DATABASE postgres SET default_transaction_read_only = %s", on));
}

static void test_no_session_to_a_read_only_server(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    set_read_only("on");
    struct pg *reader = postgres_connect("postgres", "postgres");
    assert_answer(reader, "SELECT 1", "1");
    pg_free(reader);
    struct pg *pg = primary();
    assert_int_equal(pg_connect(pg, &err), -1);
    assert_int_equal(err.class, ERR_RETRY);
    assert_contains(err_text(&err), "read-only");
    assert_false(pg_connected(pg));
    set_read_only("off");
    assert_int_equal(pg_connect(pg, &err), 0);
    assert_answer(pg, "SELECT 1", "1");
    err_release(&err);
    pg_free(pg);
}

/* A session whose server has become read-only is of no use any more; the next one may lead elsewhere. */
static void test_a_session_that_is_read_only_is_closed(void **state)
{
    (void)state;
    static const char write[] = "CREATE TABLE written (x int)";
    struct err err = ERR_INIT;
    struct pg *pg = primary();
    assert_int_equal(pg_connect(pg, &err), 0);
    free(ask(pg, "SET default_transaction_read_only = on"));
    assert_int_equal(pg_run(pg, &err, write, 0, NULL), -1);
    assert_int_equal(err.class, ERR_RETRY);
    assert_contains(err_text(&err), "read-only transaction (SQLSTATE 25006): connecting anew");
    assert_string_equal(pg_sqlstate(pg), "25006");
    assert_false(pg_connected(pg));
    assert_int_equal(pg_connect(pg, &err), 0);
    assert_int_equal(pg_run(pg, &err, write, 0, NULL), 0);
    free(ask(pg, "SET default_transaction_read_only = on"));
    assert_int_equal(pg_copy(pg, &err, "COPY written FROM STDIN", "1\n", 2), -1);
    assert_int_equal(err.class, ERR_RETRY);
    assert_false(pg_connected(pg));
    err_release(&err);
    pg_free(pg);
}

/* Who only reads may do so anywhere. */
static void test_a_reader_keeps_its_session(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct pg *pg = postgres_connect("postgres", "postgres");
    free(ask(pg, "SET default_transaction_read_only = on"));
    assert_int_equal(pg_run(pg, &err, "CREATE TABLE read_only (x int)", 0, NULL), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_true(pg_connected(pg));
    err_release(&err);
    pg_free(pg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_session_to_a_read_only_server),
        cmocka_unit_test(test_a_session_that_is_read_only_is_closed),
        cmocka_unit_test(test_a_reader_keeps_its_session),
    };
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
