/* Reading with the analyst's role: one connection for the command's life. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/pg.h"

enum { PREFIX_LEN = 8 };

/* Settings of a role are not inherited by its members: read only and the time limit are asked for here, so that nobody's
 * look at the progress holds old rows for long. */
static const char session_sql[] = "SET timezone = 'UTC'; SET statement_timeout = '60s';"
                                  " SET default_transaction_read_only = on";

static int database_open(struct cli *cli, struct err *err)
{
    const char *conninfo = conf_string(cli->conf, "postgres.analyst");
    if (!conninfo) {
        return err_set(err, ERR_FATAL,
                       "postgres.analyst is not set: the connection string of a member of offboard_analyst");
    }
    if (!cli->database) {
        cli->database = pg_new(conninfo, "offboard");
    }
    if (pg_connected(cli->database)) {
        return 0;
    }
    return pg_connect(cli->database, err) == 0 ? pg_run(cli->database, err, session_sql, 0, NULL) : -1;
}

void cli_database_close(struct cli *cli)
{
    pg_free(cli->database);
    cli->database = NULL;
}

json_t *cli_rows(struct cli *cli, struct err *err, const char *sql, int params, const char *const *values)
{
    PGresult *result = database_open(cli, err) == 0 ? pg_query(cli->database, err, sql, params, values) : NULL;
    if (!result) {
        /* What PostgreSQL refuses here is a matter of rights, of a database not migrated, or of an option's value. */
        if (err->class == ERR_PERMANENT) {
            err->class = ERR_FATAL;
        }
        return NULL;
    }
    json_t *rows = json_array();
    for (int i = 0; rows && i < PQntuples(result); i++) {
        json_t *row = json_parse(PQgetvalue(result, i, 0), (size_t)PQgetlength(result, i, 0), err);
        if (row) {
            json_array_append_new(rows, row);
        } else {
            err_prefix(err, "row %d of the answer", i + 1);
            json_decref(rows);
            rows = NULL;
        }
    }
    PQclear(result);
    return rows;
}

json_t *cli_progress(struct cli *cli, const char *id, struct err *err)
{
    json_t *rows = cli_rows(cli, err,
                            "SELECT jsonb_build_object('offboarding', to_jsonb(o),"
                            " 'phases', (SELECT coalesce(jsonb_agg(to_jsonb(p) ORDER BY p.position), '[]')"
                            "            FROM analyst.phases p WHERE p.offboarding_id = o.offboarding_id),"
                            " 'jobs', (SELECT coalesce(jsonb_agg(to_jsonb(j) ORDER BY j.position), '[]')"
                            "          FROM analyst.jobs j WHERE j.offboarding_id = o.offboarding_id),"
                            " 'followers', (SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.follower), '[]')"
                            "               FROM analyst.followers f WHERE f.offboarding_id = o.offboarding_id))"
                            " FROM analyst.offboardings o WHERE o.offboarding_id = $1::uuid",
                            1, &id);
    if (!rows) {
        return NULL;
    }
    json_t *progress = json_incref(json_array_get(rows, 0));
    json_decref(rows);
    if (!progress) {
        err_set(err, ERR_PERMANENT,
                "offboarding %s is not recorded (yet); the view analyst.intake says what became of each HR event", id);
    }
    return progress;
}

/* ---- finding an offboarding -------------------------------------------------------------------------------------------- */

static bool looks_like_prefix(const char *named)
{
    size_t len = strlen(named);
    return len >= PREFIX_LEN && len < ID_LEN && strspn(named, "0123456789abcdefABCDEF-") == len;
}

/* The first or the last id that begins so: the digits that are missing are all `fill`. */
static void id_from_prefix(const char *named, char fill, char out[33])
{
    size_t len = 0;
    for (; *named; named++) {
        if (*named != '-' && len < 32) {
            out[len++] = *named;
        }
    }
    memset(out + len, fill, 32 - len);
    out[32] = '\0';
}

/* By the beginning of its id. Two rows are enough to see that it is ambiguous. */
static json_t *rows_by_prefix(struct cli *cli, const char *named, struct err *err)
{
    char first[33], last[33];
    const char *const values[] = {first, last};
    id_from_prefix(named, '0', first);
    id_from_prefix(named, 'f', last);
    return cli_rows(cli, err,
                    "SELECT to_jsonb(o.offboarding_id) FROM analyst.offboardings o"
                    " WHERE o.offboarding_id BETWEEN $1::uuid AND $2::uuid LIMIT 2",
                    2, values);
}

static json_t *rows_by_person(struct cli *cli, const char *named, struct err *err)
{
    return cli_rows(cli, err,
                    "SELECT to_jsonb(o.offboarding_id) FROM analyst.offboardings o"
                    " WHERE o.offboarding_id = ANY (ARRAY(SELECT analyst.of_person($1)))"
                    " ORDER BY o.received_at DESC LIMIT 1",
                    1, &named);
}

static json_t *rows_by_id(struct cli *cli, const char *id, struct err *err)
{
    return cli_rows(cli, err,
                    "SELECT to_jsonb(o.offboarding_id) FROM analyst.offboardings o WHERE o.offboarding_id = $1::uuid",
                    1, &id);
}

char *cli_find_offboarding(struct cli *cli, const char *named, struct err *err)
{
    bool prefix = looks_like_prefix(named);
    json_t *rows = id_valid(named) ? rows_by_id(cli, named, err)
                   : prefix        ? rows_by_prefix(cli, named, err)
                                   : rows_by_person(cli, named, err);
    if (rows && prefix && json_array_size(rows) == 0) { /* an employee id may look like one */
        json_decref(rows);
        rows = rows_by_person(cli, named, err);
    }
    if (!rows) {
        return NULL;
    }
    size_t count = json_array_size(rows);
    char *id = count == 1 ? mem_strdup(json_string_value(json_array_get(rows, 0))) : NULL;
    json_decref(rows);
    if (count > 1) {
        err_set(err, ERR_PERMANENT, "more than one offboarding's id begins with %s: give more of it", named);
    } else if (!id) {
        err_set(err, ERR_PERMANENT, "no offboarding of \"%s\" is recorded; `offboard status --all` lists them", named);
    }
    return id;
}

char *cli_offboarding_id(struct cli *cli, const char *named, struct err *err)
{
    char id[ID_SIZE];
    return id_parse(named, id) == 0 ? mem_strdup(id) : cli_find_offboarding(cli, named, err);
}
