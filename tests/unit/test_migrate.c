/* Migrations against a real server: once each, in order, never edited; and what the roles may do. */
#include "tests/unit/postgres.h"

static char *folder;

static void write_file(const char *name, const char *text)
{
    char *path = mem_printf("%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    free(path);
}

static void remove_file(const char *name)
{
    char *path = mem_printf("%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
    free(path);
}

static int folder_make(void **state)
{
    static int number;
    folder = mem_printf("%s/migrations%d", postgres.directory, ++number);
    assert_int_equal(mkdir(folder, 0755), 0);
    free(ask(postgres.pg, "CREATE DATABASE m%d STRATEGY file_copy", number));
    char *name = mem_printf("m%d", number);
    *state = postgres_connect("postgres", name);
    free(name);
    write_file("001_first.sql", "CREATE TABLE first (id integer); INSERT INTO first VALUES (1);");
    write_file("002_second.sql", "CREATE TABLE second (id integer);");
    write_file("notes.txt", "no migration");
    return 0;
}

static int folder_drop(void **state)
{
    pg_free(*state);
    free(folder);
    return 0;
}

static void assert_refused(struct pg *pg, const char *file, const char *why)
{
    struct err err = ERR_INIT;
    assert_int_equal(migrate_run(pg, folder, NULL, NULL, &err), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    if (!strstr(err_text(&err), file) || !strstr(err_text(&err), why)) {
        fail_msg("\"%s\" names not %s and %s", err_text(&err), file, why);
    }
    err_release(&err);
}

static void count_line(const char *line, void *arg)
{
    assert_true(strlen(line) > 0);
    ++*(int *)arg;
}

static void test_each_once(void **state)
{
    int lines = 0;
    struct err err = ERR_INIT;
    assert_int_equal(migrate_run(*state, folder, count_line, &lines, &err), 0);
    assert_int_equal(lines, 3);
    lines = 0;
    assert_int_equal(migrate_run(*state, folder, count_line, &lines, &err), 0);
    assert_int_equal(lines, 1);
    assert_answer(*state, "SELECT count(*) FROM first", "1");
    assert_answer(*state, "SELECT string_agg(name, ' ' ORDER BY version) FROM schema_migration",
                  "001_first.sql 002_second.sql");
    write_file("003_third.sql", "INSERT INTO first VALUES (2)");
    assert_int_equal(migrate_run(*state, folder, NULL, NULL, &err), 0);
    assert_answer(*state, "SELECT count(*) FROM first", "2");
}

static void test_edited(void **state)
{
    assert_int_equal(migrate_run(*state, folder, NULL, NULL, NULL), 0);
    write_file("001_first.sql", "CREATE TABLE first (id bigint);");
    assert_refused(*state, "001_first.sql", "edited");
}

static void test_missing(void **state)
{
    assert_int_equal(migrate_run(*state, folder, NULL, NULL, NULL), 0);
    remove_file("002_second.sql");
    assert_refused(*state, "002_second.sql", "not there");
}

static void test_backwards(void **state)
{
    remove_file("001_first.sql");
    assert_int_equal(migrate_run(*state, folder, NULL, NULL, NULL), 0);
    write_file("001_late.sql", "CREATE TABLE late (id integer);");
    assert_refused(*state, "001_late.sql", "next number");
    assert_answer(*state, "SELECT to_regclass('late')", NULL);
}

static void test_number_twice(void **state)
{
    write_file("002_again.sql", "SELECT 1");
    assert_refused(*state, "002_second.sql", "002_again.sql");
}

static void test_failing_leaves_nothing(void **state)
{
    write_file("003_bad.sql", "CREATE TABLE half (id integer); SELECT no_such_function();");
    assert_refused(*state, "003_bad.sql", "no_such_function");
    assert_answer(*state, "SELECT to_regclass('half')", NULL);
    assert_answer(*state, "SELECT count(*) FROM schema_migration", "2");
}

static void test_own_transaction(void **state)
{
    write_file("003_commits.sql", "CREATE TABLE third (id integer); COMMIT;");
    assert_refused(*state, "003_commits.sql", "transaction");
    assert_answer(*state, "SELECT count(*) FROM schema_migration", "2");
}

static void test_empty(void **state)
{
    remove_file("001_first.sql");
    remove_file("002_second.sql");
    assert_refused(*state, folder, "no migrations");
    struct err err = ERR_INIT;
    assert_int_equal(migrate_run(*state, "/nonexistent", NULL, NULL, &err), -1);
    assert_non_null(strstr(err_text(&err), "/nonexistent"));
    err_release(&err);
}

/* ---- the shipped schema ------------------------------------------------------------------------------------------ */

static void assert_denied(const char *role, const char *sql)
{
    struct pg *pg = postgres_connect(role, "shipped");
    struct err err = ERR_INIT;
    if (pg_run(pg, &err, sql, 0, NULL) == 0) {
        fail_msg("%s may: %s", role, sql);
    }
    assert_string_equal(pg_sqlstate(pg), "42501");
    err_release(&err);
    pg_free(pg);
}

static void test_roles(void **state)
{
    (void)state;
    pg_free(postgres_database("shipped"));
    struct pg *scheduler = postgres_connect("offboard_scheduler", "shipped");
    free(ask(scheduler, "DELETE FROM due"));
    free(ask(scheduler, "SELECT * FROM due_messages(10, '{}')"));
    free(ask(scheduler, "SELECT * FROM unanswered('1h')"));
    pg_free(scheduler);
    static const char *const scheduler_may_not[] = {
        "INSERT INTO due (due_at, offboarding_id, phase) VALUES (now(), gen_random_uuid(), 'x')",
        "UPDATE due SET due_at = now()",
        "UPDATE job SET state = 'failed'",
        "DELETE FROM job",
        "SELECT * FROM event",
        "UPDATE kafka_offset SET next = 0",
        "SELECT change_job_state('{}')"};
    for (size_t i = 0; i < COUNT_OF(scheduler_may_not); i++) {
        assert_denied("offboard_scheduler", scheduler_may_not[i]);
    }
    static const char *const logger_may_not[] = {"UPDATE event SET note = 'x'", "DELETE FROM event",
                                                 "UPDATE job SET state = 'succeeded'", "DELETE FROM due",
                                                 "SELECT take_due(1, '{}')"};
    for (size_t i = 0; i < COUNT_OF(logger_may_not); i++) {
        assert_denied("offboard_logger", logger_may_not[i]);
    }
    assert_denied("offboard_analyst", "SELECT * FROM offboarding");
    struct pg *analyst = postgres_connect("offboard_analyst", "shipped");
    assert_answer(analyst, "SELECT count(*) FROM analyst.offboardings", "0");
    assert_answer(analyst, "SELECT count(*) FROM verify_event_chain()", "0");
    assert_answer(analyst, "SHOW statement_timeout", "1min");
    pg_free(analyst);
}

static void test_everything_has_a_comment(void **state)
{
    (void)state;
    struct pg *pg = postgres_database("commented");
    assert_answer(
        pg,
        "SELECT string_agg(c.oid::regclass || coalesce('.' || a.attname, ''), ', ') FROM pg_class c"
        " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relnamespace IN ('public'::regnamespace, 'analyst'::regnamespace) AND c.relkind IN ('r', 'p', 'v')"
        " AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL)",
        NULL);
    assert_answer(pg,
                  "SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc"
                  " WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL"
                  " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = oid"
                  "                 AND d.deptype = 'e')", /* pgcrypto's */
                  NULL);
    pg_free(pg);
}

/* Events of a month without a partition are caught, and moved when it is made. */
static void test_partitions(void **state)
{
    (void)state;
    struct pg *pg = postgres_database("parts");
    free(ask(pg, "INSERT INTO event (topic, kafka_partition, kafka_offset, id, name, occurred_at, commitment, hash)"
                 " VALUES ('t', 0, 0, gen_random_uuid(), 'n', now(), '', '')"));
    assert_answer(pg, "SELECT count(*) FROM event_default", "1");
    assert_answer(pg, "SELECT make_event_partitions(2)", "3");
    assert_answer(pg, "SELECT make_event_partitions(2)", "0");
    assert_answer(pg, "SELECT count(*) FROM event_default", "0");
    assert_answer(pg, "SELECT count(*) FROM event", "1");
    pg_free(pg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_once, folder_make, folder_drop),
        cmocka_unit_test_setup_teardown(test_edited, folder_make, folder_drop),
        cmocka_unit_test_setup_teardown(test_missing, folder_make, folder_drop),
        cmocka_unit_test_setup_teardown(test_backwards, folder_make, folder_drop),
        cmocka_unit_test_setup_teardown(test_number_twice, folder_make, folder_drop),
        cmocka_unit_test_setup_teardown(test_failing_leaves_nothing, folder_make, folder_drop),
        cmocka_unit_test_setup_teardown(test_own_transaction, folder_make, folder_drop),
        cmocka_unit_test_setup_teardown(test_empty, folder_make, folder_drop),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_everything_has_a_comment),
        cmocka_unit_test(test_partitions),
    };
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
