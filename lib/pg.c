#include "lib/pg.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/time.h"

#define CONNECT_TIMEOUT (10 * TIME_SECOND)
#define HOST_TIMEOUT    (3 * TIME_SECOND) /* for one host of several */
#define STOP_PATIENCE   (5 * TIME_SECOND) /* how long a statement may go on after the process was told to end */
#define SLICE           (TIME_SECOND / 4) /* how soon a wait notices that */

enum { SQLSTATE_LEN = 5 };

static const char read_only[] = "25006"; /* read_only_sql_transaction: a standby says it, too */

struct pg {
    char *conninfo;
    char *application;
    bool primary;                          /* the server that takes changes is needed */
    const volatile sig_atomic_t *stopping; /* the process is to end; NULL: nobody says so */
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

void pg_stop_with(struct pg *pg, const volatile sig_atomic_t *stopping)
{
    pg->stopping = stopping;
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

/* Waits until the socket can be read or written, at most until `deadline`. False: it is over, or the process is to end. */
static bool wait_for(const struct pg *pg, short events, int64_t deadline)
{
    for (;;) {
        struct pollfd fd = {.fd = PQsocket(pg->conn), .events = events};
        int64_t left = deadline - time_monotonic();
        if (left <= 0 || (pg->stopping && *pg->stopping && left > STOP_PATIENCE)) {
            return false;
        }
        int ready = poll(&fd, 1, (int)((left < SLICE ? left : SLICE) / 1000) + 1);
        if (ready > 0 || (ready < 0 && errno != EINTR)) {
            return ready > 0;
        }
    }
}

/* 0; 1 when the server said why not; -1 when it did not answer. */
static int connect_poll(struct pg *pg, int64_t deadline)
{
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;
    while (want == PGRES_POLLING_READING || want == PGRES_POLLING_WRITING) {
        if (!wait_for(pg, want == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) {
            return -1;
        }
        want = PQconnectPoll(pg->conn);
    }
    return want == PGRES_POLLING_OK ? 0 : 1;
}

/* Item `index` of a list with commas; the only item of a list of one. The caller frees. NULL: there is no such item. */
static char *list_item(const char *list, size_t index)
{
    const char *at = list;
    bool only = list && !strchr(list, ',');
    for (size_t i = 0; at && i < index && !only; i++) {
        at = strchr(at, ',');
        at = at ? at + 1 : NULL;
    }
    return at ? mem_strndup(at, strcspn(at, ",")) : NULL;
}

/* What the connection string or the environment says of a parameter. The caller frees. NULL: nothing. */
static char *parameter(const char *conninfo, const char *keyword)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    char *value = NULL;
    for (PQconninfoOption *option = options; option && option->keyword; option++) {
        if (strcmp(option->keyword, keyword) == 0) {
            const char *said = option->val ? option->val : option->envvar ? getenv(option->envvar) : NULL;
            value = said ? mem_strdup(said) : NULL;
        }
    }
    PQconninfoFree(options);
    return value;
}

static size_t count_items(const char *list)
{
    size_t count = 1;
    for (; list && *list; list++) {
        count += *list == ',';
    }
    return count;
}

/* One host of several. libpq would wait for the first one for as long as it is asked to, and never come to the next. */
static int connect_to(struct pg *pg, const char *host, const char *address, const char *port, int64_t timeout,
                      struct err *err)
{
    /* What stands before dbname can be overridden by the connection string, what stands behind it can't. A server that vanishes
     * while we wait for its answer is noticed after 25 s. */
    const char *const keywords[] = {"fallback_application_name",
                                    "tcp_user_timeout",
                                    "keepalives_idle",
                                    "keepalives_interval",
                                    "keepalives_count",
                                    "target_session_attrs",
                                    "dbname",
                                    "client_encoding",
                                    "host",
                                    "hostaddr",
                                    "port",
                                    NULL};
    const char *const values[] = {
        pg->application, "30000", "10", "5",     "3",  pg->primary ? "read-write" : "any",
        pg->conninfo,    "UTF8",  host, address, port, NULL}; /* those that are NULL are passed over */
    pg->conn = PQconnectStartParams(keywords, values, 1);
    if (!pg->conn) {
        abort(); /* libpq returns NULL when memory is exhausted only */
    }
    PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE);
    if (PQstatus(pg->conn) == CONNECTION_BAD) {
        return connect_failed(pg, err);
    }
    int result = connect_poll(pg, time_monotonic() + timeout);
    if (result > 0) {
        return connect_failed(pg, err);
    }
    if (result < 0) {
        disconnect(pg);
        return err_set(err, ERR_RETRY, "could not connect to PostgreSQL%s%s: no answer in %d s", host ? " on " : "",
                       host ? host : "", (int)(timeout / TIME_SECOND));
    }
    PQsetNoticeReceiver(pg->conn, ignore_notice, NULL);
    return 0;
}

int pg_connect(struct pg *pg, struct err *err)
{
    if (pg->conn) {
        return 0;
    }
    char *hosts = parameter(pg->conninfo, "host"), *addresses = parameter(pg->conninfo, "hostaddr");
    char *ports = parameter(pg->conninfo, "port");
    size_t count = count_items(addresses ? addresses : hosts);
    int result = -1;
    for (size_t i = 0; i < count && result != 0 && !(i && pg->stopping && *pg->stopping); i++) {
        char *host = list_item(hosts, i), *address = list_item(addresses, i), *port = list_item(ports, i);
        err_release(err);
        result = connect_to(pg, host, address, port, count > 1 ? HOST_TIMEOUT : CONNECT_TIMEOUT, err);
        free(host);
        free(address);
        free(port);
    }
    free(hosts);
    free(addresses);
    free(ports);
    return result;
}

/* ---- statements -------------------------------------------------------------------------------------------------- */

static enum err_class class_of(const char *sqlstate)
{
    static const char *const retry[] = {"08", "40", "53",
                                        "57", "58", "OB"}; /* OB: our own (schema/), all to be tried again */
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
    err_set(err, ERR_RETRY, "the connection to PostgreSQL was lost: %s", *line ? line : "the process ends");
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

/* The last result, as PQexec() gives it. NULL: the process is to end, or there is no memory. */
static PGresult *await_result(struct pg *pg)
{
    int64_t patience = 0;
    PGresult *last = NULL, *next = NULL;
    for (;;) {
        while (PQisBusy(pg->conn)) {
            bool stopping = pg->stopping && *pg->stopping;
            patience = stopping && !patience ? time_monotonic() + STOP_PATIENCE : patience;
            if (patience && time_monotonic() > patience) {
                PQclear(last);
                return NULL;
            }
            struct pollfd fd = {.fd = PQsocket(pg->conn), .events = POLLIN};
            if (poll(&fd, 1, (int)(SLICE / 1000)) > 0 && PQconsumeInput(pg->conn) != 1) {
                break; /* PQgetResult() says why */
            }
        }
        next = PQgetResult(pg->conn);
        if (!next) {
            return last;
        }
        PQclear(last);
        last = next;
        ExecStatusType status = PQresultStatus(last);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || PQstatus(pg->conn) == CONNECTION_BAD) {
            return last;
        }
    }
}

static PGresult *execute(struct pg *pg, const char *sql, int params, const char *const *values)
{
    int sent =
        params ? PQsendQueryParams(pg->conn, sql, params, NULL, values, NULL, NULL, 0) : PQsendQuery(pg->conn, sql);
    return sent ? await_result(pg) : NULL;
}

PGresult *pg_query(struct pg *pg, struct err *err, const char *sql, int params, const char *const *values)
{
    memset(pg->sqlstate, 0, sizeof pg->sqlstate);
    if (!pg->conn) {
        err_set(err, ERR_RETRY, "there is no connection to PostgreSQL");
        return NULL;
    }
    PGresult *result = execute(pg, sql, params, values);
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
    result = sent ? await_result(pg) : NULL;
    int outcome = PQresultStatus(result) == PGRES_COMMAND_OK ? 0 : result ? failed(pg, result, err) : lost(pg, err);
    PQclear(result);
    while (pg->conn && (result = PQgetResult(pg->conn))) {
        PQclear(result);
    }
    return outcome;
}
