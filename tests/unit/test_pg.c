/* A database's name may lead to a server that takes no changes; who needs the primary connects anew until it is there. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

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

/* A server that takes connections and never says a word, as a frozen one does. The caller closes. */
static int silent_server(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(server, 1), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return server;
}

/* Of several hosts the next one is tried when the first is silent. */
static void test_the_next_host(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    int port;
    int server = silent_server(&port);
    char *conninfo =
        mem_printf("host=127.0.0.1,%s port=%d,5432 user=postgres dbname=postgres", postgres.directory, port);
    struct pg *pg = pg_new_primary(conninfo, "test");
    assert_int_equal(pg_connect(pg, &err), 0);
    assert_answer(pg, "SELECT 1", "1");
    pg_free(pg);
    free(conninfo);
    close(server);
    err_release(&err);
}

/* Neither a server that is silent nor a long statement keeps a process that is told to end. */
static void test_an_end_is_not_waited_for(void **state)
{
    (void)state;
    volatile sig_atomic_t stopping = 1;
    struct err err = ERR_INIT;
    int port;
    int server = silent_server(&port);
    int64_t begin = time_monotonic();
    char *conninfo = mem_printf("host=127.0.0.1 port=%d", port);
    struct pg *pg = pg_new(conninfo, "test");
    pg_stop_with(pg, &stopping);
    assert_int_equal(pg_connect(pg, &err), -1);
    assert_int_equal(err.class, ERR_RETRY);
    pg_free(pg);
    free(conninfo);
    close(server);
    pg = postgres_connect("postgres", "postgres");
    pg_stop_with(pg, &stopping);
    assert_int_equal(pg_run(pg, &err, "SELECT pg_sleep(100)", 0, NULL), -1);
    assert_int_equal(err.class, ERR_RETRY);
    assert_contains(err_text(&err), "the process ends");
    assert_false(pg_connected(pg));
    assert_true(time_monotonic() - begin < 60 * TIME_SECOND);
    pg_free(pg);
    err_release(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_host),
        cmocka_unit_test(test_an_end_is_not_waited_for),
        cmocka_unit_test(test_no_session_to_a_read_only_server),
        cmocka_unit_test(test_a_session_that_is_read_only_is_closed),
        cmocka_unit_test(test_a_reader_keeps_its_session),
    };
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
