#include "lib/pg.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/time.h"

#define CONNECT_TIMEOUT (10 * TIME_SECOND)

enum { SQLSTATE_LEN = 5 };

static const char read_only[] = "25006"; /* read_only_sql_transaction: a standby says it, too */

struct pg {
    char *conninfo;
    char *application;
    bool primary; /* the server that takes changes is needed */
    PGconn *conn;
    char sqlstate[SQLSTATE_LEN + 1];
};

struct pg *pg_new(const char *conninfo, const char *application)
{
    struct pg *pg = MEM_NEW(struct pg);
    pg->conninfo = mem_strdup(conninfo ? conninfo : "");
    pg->application = mem_strdup(application);
    return pg;
}

struct pg *pg_new_primary(const char *conninfo, const char *application)
{
    struct pg *pg = pg_new(conninfo, application);
    pg->primary = true;
    return pg;
}

static void disconnect(struct pg *pg)
{
    PQfinish(pg->conn);
    pg->conn = NULL;
}

void pg_free(struct pg *pg)
{
    if (pg) {
        disconnect(pg);
        free(pg->conninfo);
        free(pg->application);
        free(pg);
    }
}

bool pg_connected(const struct pg *pg)
{
    return pg->conn != NULL;
}

PGconn *pg_conn(struct pg *pg)
{
    return pg->conn;
}

const char *pg_sqlstate(const struct pg *pg)
{
    return pg->sqlstate;
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result; /* "relation already exists, skipping" and the like: stderr holds JSON lines */
}

/* The first line of libpq's report; the rest says where in the server's source it was raised. */
static char *first_line(const char *text)
{
    return mem_strndup(text, strcspn(text, "\n"));
}

/* With verbose errors the server's refusals read "FATAL:  28P01: password authentication failed": class 28 means that
 * trying again is of no use. */
static int connect_failed(struct pg *pg, struct err *err)
{
    char *line = first_line(PQerrorMessage(pg->conn));
    bool refused = strstr(line, ":  28P01: ") || strstr(line, ":  28000: ") || PQconnectionNeedsPassword(pg->conn);
    enum err_class class = refused ? ERR_FATAL : ERR_RETRY;
    err_set(err, class, "could not connect to PostgreSQL: %s", line);
    free(line);
    disconnect(pg);
    return -1;
}

static int connect_poll(PGconn *conn, int64_t deadline)
{
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;
    while (want == PGRES_POLLING_READING || want == PGRES_POLLING_WRITING) {
        struct pollfd fd = {.fd = PQsocket(conn), .events = want == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int64_t left = (deadline - time_monotonic()) / 1000;
        int ready = left > 0 ? poll(&fd, 1, (int)left) : 0;
        if (ready == 0 || (ready < 0 && errno != EINTR)) {
            return -1;
        }
        want = PQconnectPoll(conn);
    }
    return want == PGRES_POLLING_OK ? 0 : 1;
}

int pg_connect(struct pg *pg, struct err *err)
{
    if (pg->conn) {
        return 0;
    }
    /* What stands before dbname can be overridden by the connection string. */
    const char *const keywords[] = {
        "fallback_application_name", "tcp_user_timeout", "target_session_attrs", "dbname", "client_encoding", NULL};
    const char *const values[] = {pg->application, "30000", pg->primary ? "read-write" : "any",
                                  pg->conninfo,    "UTF8",  NULL};
    pg->conn = PQconnectStartParams(keywords, values, 1);
    if (!pg->conn) {
        abort(); /* libpq returns NULL when memory is exhausted only */
    }
    PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE);
    if (PQstatus(pg->conn) == CONNECTION_BAD) {
        return connect_failed(pg, err);
    }
    int result = connect_poll(pg->conn, time_monotonic() + CONNECT_TIMEOUT);
    if (result > 0) {
        return connect_failed(pg, err);
    }
    if (result < 0) {
        disconnect(pg);
        return err_set(err, ERR_RETRY, "could not connect to PostgreSQL: no answer in 10 s");
    }
    PQsetNoticeReceiver(pg->conn, ignore_notice, NULL);
    return 0;
}

/* ---- statements -------------------------------------------------------------------------------------------------- */

static enum err_class class_of(const char *sqlstate)
{
    static const char *const retry[] = {"08", "40", "53", "57", "58"};
    for (size_t i = 0; i < COUNT_OF(retry); i++) {
        if (strncmp(sqlstate, retry[i], 2) == 0) {
            return ERR_RETRY;
        }
    }
    return ERR_PERMANENT;
}

static int lost(struct pg *pg, struct err *err)
{
    char *line = first_line(PQerrorMessage(pg->conn));
    err_set(err, ERR_RETRY, "the connection to PostgreSQL was lost: %s", line);
    free(line);
    disconnect(pg);
    return -1;
}

/* Keeps to the primary message: DETAIL may quote whole rows, and they hold personal data. */
static int failed(struct pg *pg, const PGresult *result, struct err *err)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    strncpy(pg->sqlstate, sqlstate ? sqlstate : "", SQLSTATE_LEN);
    if (PQstatus(pg->conn) != CONNECTION_OK || !sqlstate) {
        return lost(pg, err);
    }
    if (pg->primary && strcmp(pg->sqlstate, read_only) == 0) {
        err_set(err, ERR_RETRY, "PostgreSQL refused: %s (SQLSTATE %s): connecting anew",
                message ? message : "read-only", sqlstate);
        disconnect(pg);
        return -1;
    }
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    return err_set(err, class_of(sqlstate), "PostgreSQL refused: %s (SQLSTATE %s%s%s)",
                   message ? message : "no message", sqlstate, position ? ", at character " : "",
                   position ? position : "");
}

PGresult *pg_query(struct pg *pg, struct err *err, const char *sql, int params, const char *const *values)
{
    memset(pg->sqlstate, 0, sizeof pg->sqlstate);
    if (!pg->conn) {
        err_set(err, ERR_RETRY, "there is no connection to PostgreSQL");
        return NULL;
    }
    PGresult *result =
        params ? PQexecParams(pg->conn, sql, params, NULL, values, NULL, NULL, 0) : PQexec(pg->conn, sql);
    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_COPY_IN:
        return result;
    default:
        failed(pg, result, err);
        PQclear(result);
        return NULL;
    }
}

int pg_run(struct pg *pg, struct err *err, const char *sql, int params, const char *const *values)
{
    PGresult *result = pg_query(pg, err, sql, params, values);
    PQclear(result);
    return result ? 0 : -1;
}

int pg_copy(struct pg *pg, struct err *err, const char *sql, const char *rows, size_t len)
{
    PGresult *result = pg_query(pg, err, sql, 0, NULL);
    if (!result) {
        return -1;
    }
    PQclear(result);
    bool sent = PQputCopyData(pg->conn, rows, (int)len) == 1 && PQputCopyEnd(pg->conn, NULL) == 1;
    result = sent ? PQgetResult(pg->conn) : NULL;
    int outcome = PQresultStatus(result) == PGRES_COMMAND_OK ? 0 : result ? failed(pg, result, err) : lost(pg, err);
    PQclear(result);
    while (pg->conn && (result = PQgetResult(pg->conn))) {
        PQclear(result);
    }
    return outcome;
}
