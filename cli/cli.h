/* offboard: the operator's command. Reading commands use the analyst's database role, orders go to the edge over HTTP,
 * nothing else is contacted.
 *
 * One const struct command per command, listed in commands.c; main.c knows none of them by name. Output for people goes to
 * stdout as text, with --json as JSON; what went wrong goes to stderr, as "offboard: …". */
#ifndef OFFBOARD_CLI_H
#define OFFBOARD_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/conf.h"
#include "lib/err.h"

/* Exit codes, the same for every command; documented in `offboard help`. */
enum cli_exit {
    CLI_OK = 0,
    CLI_REFUSED = 1,   /* it was understood and refused, or problems were found */
    CLI_USAGE = 2,     /* command line or configuration */
    CLI_AWAY = 3,      /* edge, database or Kafka can't be reached */
    CLI_NOT_FOUND = 4, /* no such offboarding, job, … */
};

struct cli {
    const char *program;     /* argv[0] */
    const char *config_path; /* NULL: none */
    struct conf *conf;       /* loaded before the command runs */
    struct pg *database;     /* opened by the first cli_rows(); NULL before */
};

/* Values of an option that may be given several times, in order. */
struct cli_values {
    const char *items[64];
    size_t count;
};

/* One option of a command. Either `into` (takes a value) or `flag` is set; neither: it may be given several times, and its values go
 * to the command's `values`. */
struct cli_option {
    const char *name;  /* "runbook" for --runbook */
    const char *value; /* "NAME" in the usage; NULL for a flag */
    const char *help;
    const char **into;
    bool *flag;
};

struct command {
    const char *name;
    const char *arguments;                              /* "EMAIL | --file EVENT.json | -" */
    const char *summary;                                /* one line for the list */
    const char *details;                                /* paragraphs and examples for --help */
    const struct cli_option *options;                   /* ended by a NULL name; NULL: none */
    struct cli_values *values;                          /* NULL: no option is given several times */
    int (*run)(struct cli *cli, int argc, char **argv); /* operands only; returns an enum cli_exit */
};

extern const struct command *const cli_commands[]; /* NULL-ended, in the order of the list */
const struct command *cli_command(const char *name);

/* ---- output ---------------------------------------------------------------------------------------------------------- */

/* "offboard: …" on stderr; returns `code`. */
int cli_fail(enum cli_exit code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fails with err's text and releases it. ERR_RETRY is CLI_AWAY, ERR_FATAL (settings, credentials) CLI_USAGE, else `code`. */
int cli_fail_err(enum cli_exit code, struct err *err);

void cli_usage(const struct command *command);
void cli_print_json(const json_t *value); /* indented, with a newline */

/* A value as people read it: "-" for null, instants to the second (UTC), control characters as spaces. The caller frees. */
char *cli_text(const json_t *value);

/* Rows (an array of flat objects) as a table with the columns in `columns` ("id runbook status"); headings in capitals. */
void cli_print_table(const json_t *rows, const char *columns);

/* ---- edge ------------------------------------------------------------------------------------------------------------- */

/* POSTs `body` to edge.url + path with edge.token. 0 and the answer's JSON (new reference, may be json null) for 2xx. -1
 * with ERR_RETRY when the edge can't be reached or is not ready (503), ERR_PERMANENT with the problem's detail and field
 * else. `headers` is a NULL-ended list of "Name: value" lines or NULL. */
int cli_edge_post(struct cli *cli, const char *path, const char *content_type, const char *const *headers,
                  const char *body, json_t **answer, struct err *err);

/* POSTs an order or a word (`body`, taken over) as JSON with `requested_by`. An exit code: CLI_OK and the answer (a new reference), or
 * another after a message. `headers` as in cli_edge_post(). */
enum cli_exit cli_edge_send(struct cli *cli, const char *path, json_t *body, const char *const *headers,
                            json_t **answer);

/* Puts `requested_by`, the name of the user who runs the command, into an order or an event. */
void cli_put_requester(json_t *object);

/* How an order is given. */
struct cli_ordering {
    const char *key;  /* idempotency key; NULL: none */
    bool no_wait;     /* nobody waits for the results */
    bool json;        /* the answer and the results, as JSON */
    const char *done; /* said when something was carried out */
};

/* Gives an order (taken over) to the edge, waits until the logger has carried it out or refused it (ten seconds, longer for many), and tells
 * that: `done` on stdout, refusals on stderr, or all of it as JSON. Returns the exit code: CLI_OK when all was carried out, CLI_REFUSED when
 * something was refused, CLI_NOT_FOUND when all was refused because it names nothing that is there, CLI_AWAY when not all is known. */
enum cli_exit cli_order(struct cli *cli, json_t *order, const struct cli_ordering *ordering);

/* ---- database ---------------------------------------------------------------------------------------------------------- */

/* Rows of a statement run with the analyst's role: an array of objects; each row of the statement is one JSON object
 * (`SELECT to_jsonb(…)`). NULL with an err: ERR_RETRY when the database is away, ERR_FATAL when it refuses; `err` isn't NULL. */
json_t *cli_rows(struct cli *cli, struct err *err, const char *sql, int params, const char *const *values);

/* One offboarding as {offboarding, phases, jobs, followers}, rows of the analyst's views. NULL with an err (ERR_PERMANENT: it is not
 * recorded). */
json_t *cli_progress(struct cli *cli, const char *id, struct err *err);

void cli_database_close(struct cli *cli);

/* The id of an offboarding named by its id, an id's unique beginning (8 characters or more), or the leaver's e-mail or
 * employee id (the newest one). The caller frees; NULL with an err (ERR_PERMANENT: not found or ambiguous). */
char *cli_find_offboarding(struct cli *cli, const char *named, struct err *err);

/* The same for what goes to the edge: a whole id is taken as it stands, without asking the database. NULL with an err. The caller frees. */
char *cli_offboarding_id(struct cli *cli, const char *named, struct err *err);

#endif
