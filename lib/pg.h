/* PostgreSQL connections over libpq: reconnecting, with errors classed for the caller. One connection, one thread. */
#ifndef OFFBOARD_LIB_PG_H
#define OFFBOARD_LIB_PG_H

#include <libpq-fe.h>
#include <signal.h>
#include <stdbool.h>

#include "lib/err.h"

struct pg;

/* `conninfo` is a libpq connection string; `application` shows in pg_stat_activity. Nothing is connected yet. */
struct pg *pg_new(const char *conninfo, const char *application);

/* As pg_new(), for who needs the server that takes changes. After a fail-over the same name may lead to a standby for a while, and
 * a session to it lives on: none is taken to a server that is read-only, and one that turns out to be so is closed. */
struct pg *pg_new_primary(const char *conninfo, const char *application);
void pg_free(struct pg *pg);

/* From when `*stopping` is not 0, no connection is waited for any more, and a statement that goes on for another 5 s is given up: its
 * connection is closed, and PostgreSQL rolls it back. The caller keeps `stopping` alive. */
void pg_stop_with(struct pg *pg, const volatile sig_atomic_t *stopping);

/* Connects when not connected: to the first host of the connection string that answers within 3 s (10 s where it is the only one) and
 * takes changes, where that is needed. ERR_RETRY when the server is away, or read-only where the primary is needed; ERR_FATAL when it refuses
 * the credentials. */
int pg_connect(struct pg *pg, struct err *err);
bool pg_connected(const struct pg *pg);
PGconn *pg_conn(struct pg *pg); /* for PQsocket, notifies, COPY */

/* Runs one statement with text parameters (several, as one transaction, when there are no parameters). NULL with an err:
 * ERR_RETRY for a connection that is lost or no longer leads to the primary (closed; pg_connect() opens it anew), serialization failures, deadlocks, shutdowns, out of
 * resources (classes 08, 40, 53, 57, 58); ERR_PERMANENT for data errors (22, 23) and everything else. The text carries
 * SQLSTATE. The caller clears the result. */
PGresult *pg_query(struct pg *pg, struct err *err, const char *sql, int params, const char *const *values);

/* SQLSTATE of the last statement that failed on this connection ("23505"), "" when the server gave none; for those who
 * tell apart more than an err's class does. */
const char *pg_sqlstate(const struct pg *pg);

/* As pg_query() for statements without an interesting result. */
int pg_run(struct pg *pg, struct err *err, const char *sql, int params, const char *const *values);

/* Runs a COPY … FROM STDIN with `rows` in COPY's text format. */
int pg_copy(struct pg *pg, struct err *err, const char *sql, const char *rows, size_t len);

#endif
