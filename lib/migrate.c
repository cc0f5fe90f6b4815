#include "lib/migrate.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/id.h"
#include "lib/mem.h"

struct migration {
    int version;
    char *name; /* the file's */
    char *text;
    char sha256[ID_SHA256_HEX_SIZE];
};

struct migrations {
    struct migration *items;
    size_t count;
};

static void migrations_release(struct migrations *migrations)
{
    for (size_t i = 0; i < migrations->count; i++) {
        free(migrations->items[i].name);
        free(migrations->items[i].text);
    }
    free(migrations->items);
    *migrations = (struct migrations){0};
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Number before the underscore of "001_tables.sql"; 0 when it is no migration's name. */
static int version_of(const char *name)
{
    size_t len = strlen(name);
    int version = 0;
    const char *c = name;
    for (; isdigit((unsigned char)*c) && version < 100000; c++) {
        version = version * 10 + (*c - '0');
    }
    bool named = c > name && *c == '_' && len > 4 && strcmp(name + len - 4, ".sql") == 0;
    return named ? version : 0;
}

static char *read_file(const char *directory, const char *name, struct err *err)
{
    char *path = mem_printf("%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    struct buf text = BUF_INIT;
    if (file) {
        char block[8192];
        size_t n;
        while ((n = fread(block, 1, sizeof block, file)) > 0) {
            buf_add(&text, block, n);
        }
    }
    if (!file || ferror(file)) {
        err_set(err, ERR_PERMANENT, "could not read %s: %s", path, strerror(errno));
        buf_release(&text);
    }
    bool read = file && !ferror(file);
    if (file) {
        fclose(file);
    }
    free(path);
    return read ? buf_take(&text) : NULL;
}

static int add_file(struct migrations *found, const char *directory, const char *name, struct err *err)
{
    char *text = read_file(directory, name, err);
    if (!text) {
        return -1;
    }
    found->items = mem_realloc(found->items, (found->count + 1) * sizeof *found->items);
    struct migration *migration = &found->items[found->count++];
    *migration = (struct migration){.version = version_of(name), .name = mem_strdup(name), .text = text};
    id_sha256_hex(text, strlen(text), migration->sha256);
    return 0;
}

static int by_version(const void *a, const void *b)
{
    const struct migration *left = a;
    const struct migration *right = b;
    return left->version != right->version ? (left->version > right->version) - (left->version < right->version)
                                           : strcmp(left->name, right->name);
}

static int check_numbers(const struct migrations *found, const char *directory, struct err *err)
{
    if (found->count == 0) {
        return err_set(err, ERR_PERMANENT, "there are no migrations (001_….sql) in %s", directory);
    }
    for (size_t i = 1; i < found->count; i++) {
        if (found->items[i].version == found->items[i - 1].version) {
            return err_set(err, ERR_PERMANENT, "%s/%s has the number of %s", directory, found->items[i].name,
                           found->items[i - 1].name);
        }
    }
    return 0;
}

static int read_directory(const char *directory, struct migrations *found, struct err *err)
{
    DIR *dir = opendir(directory);
    if (!dir) {
        return err_set(err, ERR_PERMANENT, "could not read the migrations' directory %s: %s", directory,
                       strerror(errno));
    }
    int result = 0;
    const struct dirent *entry;
    while (result == 0 && (entry = readdir(dir))) {
        if (version_of(entry->d_name)) {
            result = add_file(found, directory, entry->d_name, err);
        }
    }
    closedir(dir);
    if (found->count) {
        qsort(found->items, found->count, sizeof *found->items, by_version);
    }
    return result == 0 ? check_numbers(found, directory, err) : -1;
}

int migrate_newest(const char *directory, struct err *err)
{
    struct migrations found = {0};
    int newest = read_directory(directory, &found, err) == 0 ? found.items[found.count - 1].version : -1;
    migrations_release(&found);
    return newest;
}

/* ---- the database ------------------------------------------------------------------------------------------------ */

static const char create_record[] =
    "CREATE TABLE IF NOT EXISTS schema_migration ("
    " version integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now());"
    "COMMENT ON TABLE schema_migration IS 'Migrations that were applied, by offboard migrate.';"
    "COMMENT ON COLUMN schema_migration.version IS 'Number of the file.';"
    "COMMENT ON COLUMN schema_migration.name IS 'Name of the file.';"
    "COMMENT ON COLUMN schema_migration.sha256 IS 'SHA-256 of the file as it was applied; an edited file is refused.';"
    "COMMENT ON COLUMN schema_migration.applied_at IS 'When it was applied.';";

static bool has_file(const struct migrations *found, const char *name)
{
    for (size_t i = 0; i < found->count; i++) {
        if (strcmp(found->items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The i-th that was applied must be the i-th file, unchanged. */
static int check_one(const struct migrations *found, size_t i, const char *name, const char *sha256,
                     const char *directory, struct err *err)
{
    if (!has_file(found, name)) {
        return err_set(
            err, ERR_PERMANENT,
            "%s/%s was applied to this database but is not there: the database is newer than this version, or the "
            "file was removed or renamed",
            directory, name);
    }
    if (strcmp(found->items[i].name, name) != 0) {
        return err_set(err, ERR_PERMANENT,
                       "%s/%s is new, but %s with a higher number is applied already: give it the next number",
                       directory, found->items[i].name, name);
    }
    if (strcmp(found->items[i].sha256, sha256) != 0) {
        return err_set(
            err, ERR_PERMANENT,
            "%s/%s was edited after it was applied: restore the file and put the change into a new migration",
            directory, name);
    }
    return 0;
}

/* Compares what was applied with the files; `applied` gets how many there were. */
static int check_applied(struct pg *pg, const struct migrations *found, const char *directory, size_t *applied,
                         struct err *err)
{
    PGresult *rows = pg_query(pg, err, "SELECT name, sha256 FROM schema_migration ORDER BY version", 0, NULL);
    if (!rows) {
        return -1;
    }
    int result = 0;
    int count = PQntuples(rows);
    for (int i = 0; i < count && result == 0; i++) {
        result = check_one(found, (size_t)i, PQgetvalue(rows, i, 0), PQgetvalue(rows, i, 1), directory, err);
    }
    PQclear(rows);
    *applied = (size_t)count;
    return result;
}

static int apply(struct pg *pg, const struct migration *migration, const char *directory, struct err *err)
{
    char *version = mem_printf("%d", migration->version);
    const char *const values[] = {version, migration->name, migration->sha256};
    int result = pg_run(pg, err, "BEGIN", 0, NULL);
    if (result == 0) {
        result = pg_run(pg, err, migration->text, 0, NULL);
        if (result == 0 && PQtransactionStatus(pg_conn(pg)) != PQTRANS_INTRANS) {
            result = err_set(err, ERR_PERMANENT, "it ends the transaction it runs in");
        }
        if (result == 0) {
            result =
                pg_run(pg, err, "INSERT INTO schema_migration (version, name, sha256) VALUES ($1, $2, $3)", 3, values);
        }
        if (result == 0) {
            result = pg_run(pg, err, "COMMIT", 0, NULL);
        } else if (pg_connected(pg)) {
            pg_run(pg, NULL, "ROLLBACK", 0, NULL);
        }
    }
    if (result != 0) {
        err_prefix(err, "%s/%s", directory, migration->name);
    }
    free(version);
    return result;
}

static int apply_missing(struct pg *pg, const struct migrations *found, const char *directory,
                         void (*say)(const char *line, void *arg), void *arg, struct err *err)
{
    size_t applied;
    if (pg_run(pg, err, create_record, 0, NULL) != 0 || check_applied(pg, found, directory, &applied, err) != 0) {
        return -1;
    }
    for (size_t i = applied; i < found->count; i++) {
        if (apply(pg, &found->items[i], directory, err) != 0) {
            return -1;
        }
        char *line = mem_printf("applied %s", found->items[i].name);
        if (say) {
            say(line, arg);
        }
        free(line);
    }
    char *line = mem_printf("the schema is at version %d; migrations applied now: %zu",
                            found->items[found->count - 1].version, found->count - applied);
    if (say) {
        say(line, arg);
    }
    free(line);
    return 0;
}

int migrate_run(struct pg *pg, const char *directory, void (*say)(const char *line, void *arg), void *arg,
                struct err *err)
{
    struct migrations found = {0};
    int result = read_directory(directory, &found, err);
    if (result == 0) {
        result = pg_run(pg, err, "SELECT pg_advisory_lock(hashtext('offboard migrate'))", 0, NULL);
    }
    if (result == 0) {
        result = apply_missing(pg, &found, directory, say, arg, err);
        if (pg_connected(pg)) {
            pg_run(pg, NULL, "SELECT pg_advisory_unlock(hashtext('offboard migrate'))", 0, NULL);
        }
    }
    migrations_release(&found);
    return result;
}
