/* A PostgreSQL server of a test program's own: data and socket in a temporary directory, no TCP port, gone with the test. */
#ifndef OFFBOARD_TESTS_UNIT_POSTGRES_H
#define OFFBOARD_TESTS_UNIT_POSTGRES_H

#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "lib/migrate.h"
#include "lib/pg.h"
#include "lib/time.h"

static struct {
    char *directory;
    char *bin;
    pid_t server;
    struct pg *pg; /* as the owner of the schema */
    bool migrated; /* the database `migrated` is there */
} postgres;

/* Runs in a child: becomes the package's user, as the server refuses to run as root, and dies with the test. */
static void become_postgres(void)
{
    if (geteuid() == 0) {
        const struct passwd *user = getpwnam("postgres");
        if (!user || setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) {
            _exit(126);
        }
    }
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (!freopen("/dev/null", "w", stdout) || !freopen("log", "a", stderr)) {
        _exit(126);
    }
}

static pid_t postgres_spawn(const char *program, const char *const *arguments)
{
    char *path = mem_printf("%s/%s", postgres.bin, program);
    pid_t child = fork();
    if (child == 0) {
        const char *whole[24] = {path}; /* a bare name would be looked for in PATH, where Debian does not put it */
        for (size_t i = 1; arguments[i] && i + 1 < COUNT_OF(whole); i++) {
            whole[i] = arguments[i];
        }
        if (chdir(postgres.directory) == 0) {
            become_postgres();
            execv(path, (char *const *)(uintptr_t)whole);
        }
        _exit(127);
    }
    free(path);
    return child;
}

static char *postgres_bindir(void)
{
    FILE *output = popen("pg_config --bindir", "r");
    char *line = NULL;
    size_t size = 0;
    assert_non_null(output);
    assert_true(getline(&line, &size, output) > 0);
    pclose(output);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static char *postgres_conninfo(const char *user, const char *database)
{
    return mem_printf("host=%s user=%s dbname=%s", postgres.directory, user, database);
}

static struct pg *postgres_connect(const char *user, const char *database)
{
    char *conninfo = postgres_conninfo(user, database);
    struct pg *pg = pg_new(conninfo, "test");
    free(conninfo);
    struct err err = ERR_INIT;
    int64_t end = time_monotonic() + 30 * TIME_SECOND;
    while (pg_connect(pg, &err) != 0) {
        if (time_monotonic() > end) {
            fail_msg("%s", err_text(&err));
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    err_release(&err);
    return pg;
}

/* First column of the first row; NULL for null or no row. The caller frees. Fails the test on an error. */
static char *ask(struct pg *pg, const char *sql, ...) __attribute__((format(printf, 2, 3)));
static char *ask(struct pg *pg, const char *sql, ...)
{
    va_list args;
    va_start(args, sql);
    char *text = mem_vprintf(sql, args);
    va_end(args);
    struct err err = ERR_INIT;
    PGresult *rows = pg_query(pg, &err, text, 0, NULL);
    if (!rows) {
        fail_msg("%s: %s", text, err_text(&err));
    }
    char *value =
        PQntuples(rows) && PQnfields(rows) && !PQgetisnull(rows, 0, 0) ? mem_strdup(PQgetvalue(rows, 0, 0)) : NULL;
    PQclear(rows);
    free(text);
    return value;
}

/* The answer to `sql` is `expected` (NULL: null, or no row). */
static void assert_answer(struct pg *pg, const char *sql, const char *expected)
{
    char *value = ask(pg, "%s", sql);
    if (!expected ? value != NULL : !value || strcmp(value, expected) != 0) {
        fail_msg("%s: \"%s\", expected \"%s\"", sql, value ? value : "NULL", expected ? expected : "NULL");
    }
    free(value);
}

/* A new database with the shipped schema; migrated once, then copied. */
static __attribute__((unused)) struct pg *postgres_database(const char *name)
{
    if (!postgres.migrated) {
        free(ask(postgres.pg, "CREATE DATABASE migrated STRATEGY file_copy"));
        struct pg *pg = postgres_connect("postgres", "migrated");
        struct err err = ERR_INIT;
        if (migrate_run(pg, "schema", NULL, NULL, &err) != 0) {
            fail_msg("%s", err_text(&err));
        }
        pg_free(pg);
        postgres.migrated = true;
    }
    free(ask(postgres.pg, "CREATE DATABASE %s TEMPLATE migrated STRATEGY file_copy", name));
    return postgres_connect("postgres", name);
}

/* cmocka group fixtures. */
static int postgres_start(void **state)
{
    (void)state;
    char name[] = "/tmp/offboard-unit-XXXXXX";
    assert_non_null(mkdtemp(name));
    postgres.directory = mem_strdup(name);
    postgres.bin = postgres_bindir();
    const struct passwd *user = getpwnam("postgres");
    assert_true(geteuid() != 0 || (user && chown(name, user->pw_uid, user->pw_gid) == 0));
    int status = 0;
    pid_t init = postgres_spawn("initdb", (const char *const[]){"initdb", "-D", "data", "-U", "postgres", "-A", "trust",
                                                                "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", NULL});
    assert_int_equal(waitpid(init, &status, 0), init);
    assert_int_equal(status, 0);
    postgres.server = postgres_spawn(
        "postgres", (const char *const[]){"postgres", "-D", "data", "-k", name, "-c", "listen_addresses=", "-c",
                                          "fsync=off", "-c", "full_page_writes=off", "-c", "autovacuum=off", "-c",
                                          "jit=off", "-c", "shared_buffers=32MB", NULL});
    postgres.pg = postgres_connect("postgres", "postgres");
    return 0;
}

static int postgres_stop(void **state)
{
    (void)state;
    pg_free(postgres.pg);
    kill(postgres.server, SIGQUIT);
    waitpid(postgres.server, NULL, 0);
    char *command = mem_printf("rm -rf '%s'", postgres.directory);
    int result = system(command);
    free(command);
    free(postgres.directory);
    free(postgres.bin);
    return result;
}

#endif
