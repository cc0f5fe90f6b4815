/* Migrations: numbered SQL files (001_tables.sql, 002_state.sql, …), applied once each and in order, forward only.
 *
 * What was applied is on record in schema_migration with the file's SHA-256. An applied file that was edited, is missing or
 * was renamed is an error that names it, as is a new file with a number below one already applied. */
#ifndef OFFBOARD_LIB_MIGRATE_H
#define OFFBOARD_LIB_MIGRATE_H

#include "lib/err.h"
#include "lib/pg.h"

/* Applies what is missing, each file in a transaction of its own, under an advisory lock (several may run at once). `say`
 * (may be NULL) gets one line for each file applied, and one at the end. ERR_PERMANENT names the file. `pg` is connected. */
int migrate_run(struct pg *pg, const char *directory, void (*say)(const char *line, void *arg), void *arg,
                struct err *err);

/* Number of the newest migration in a directory; -1 with an err when it can't be read or there is none. */
int migrate_newest(const char *directory, struct err *err);

#endif
