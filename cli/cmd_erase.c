/* offboard erase and export: what is known of one person, taken away for good or handed out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/id.h"
#include "lib/json.h"

#define ORDERED "the erasure is ordered; `offboard status ID` shows `erased` when it is done"

static struct {
    const char *reason;
    bool yes, json, no_wait;
} opt;

static const char offboardings_sql[] =
    "SELECT to_jsonb(o) FROM analyst.offboardings o"
    " WHERE CASE WHEN $2::text IS NOT NULL THEN o.offboarding_id = $2::uuid"
    "            ELSE o.offboarding_id = ANY (ARRAY(SELECT analyst.of_person($1))) END"
    " ORDER BY o.received_at";

/* What there is to erase. */
struct found {
    json_t *offboardings;
    json_int_t records; /* of the person without an offboarding */
};

/* How much HR and operators left of the person without an offboarding; -1 with an err. */
static json_int_t count_records(struct cli *cli, const char *person, struct err *err)
{
    json_t *rows = cli_rows(cli, err, "SELECT to_jsonb(analyst.said_of($1))", 1, &person);
    json_int_t count = rows ? json_integer_value(json_array_get(rows, 0)) : -1;
    json_decref(rows);
    return count;
}

/* Of a person, or the offboarding with this id. The exit code, after a message where it is not CLI_OK. */
static int find(struct cli *cli, const char *named, struct found *found)
{
    struct err err = ERR_INIT;
    bool id = id_valid(named);
    const char *const values[] = {named, id ? named : NULL};
    found->offboardings = cli_rows(cli, &err, offboardings_sql, 2, values);
    found->records = !found->offboardings || id ? 0 : count_records(cli, named, &err);
    if (!found->offboardings || found->records < 0) {
        return cli_fail_err(CLI_REFUSED, &err);
    }
    return json_array_size(found->offboardings) || found->records
               ? CLI_OK
               : cli_fail(CLI_NOT_FOUND, "nothing is recorded of \"%s\", or it was erased", named);
}

/* ---- erase ----------------------------------------------------------------------------------------------------------- */

/* The person at the terminal says so; where there is none, --yes has to. */
static bool confirmed(const struct found *found)
{
    char answer[16] = "";
    if (opt.yes) {
        return true;
    }
    if (json_array_size(found->offboardings)) {
        cli_print_table(found->offboardings, "offboarding_id email runbook status received_at ended");
    }
    if (found->records) {
        printf("%lld record%s of HR events and orders that belong to no offboarding\n", (long long)found->records,
               found->records == 1 ? "" : "s");
    }
    if (!isatty(STDIN_FILENO)) {
        return false;
    }
    printf("Nobody can read these personal data afterwards, nor undo what the offboardings did. Erase? [yes/no] ");
    fflush(stdout);
    return fgets(answer, sizeof answer, stdin) && strcmp(answer, "yes\n") == 0;
}

static json_t *order_new(const struct found *found, const char *named)
{
    json_t *ids = json_array();
    json_t *order = json_pack("{s:s, s:s}", "order", "erase", "reason", opt.reason);
    size_t i;
    json_t *row;
    json_array_foreach(found->offboardings, i, row)
    {
        json_array_append(ids, json_object_get(row, "offboarding_id"));
    }
    json_put(order, "offboardings", json_array_size(ids) ? json_incref(ids) : NULL);
    json_put_string(order, "person", found->records ? named : NULL);
    json_decref(ids);
    return order;
}

static int erase_run(struct cli *cli, int argc, char **argv)
{
    if (argc != 1 || !opt.reason || !*opt.reason) {
        return cli_fail(CLI_USAGE, "usage: offboard erase PERSON|OFFBOARDING --reason TEXT [--yes]");
    }
    struct found found = {NULL, 0};
    int code = find(cli, argv[0], &found);
    if (code == CLI_OK && !confirmed(&found)) {
        code = cli_fail(CLI_REFUSED, "nothing was erased%s",
                        isatty(STDIN_FILENO) ? "" : ": give --yes where nobody can be asked");
    } else if (code == CLI_OK) {
        const char *done = json_array_size(found.offboardings) ? ORDERED : "erased";
        code =
            (int)cli_order(cli, order_new(&found, argv[0]), &(struct cli_ordering){NULL, opt.no_wait, opt.json, done});
    }
    json_decref(found.offboardings);
    return code;
}

/* ---- export ---------------------------------------------------------------------------------------------------------- */

static bool knows_something(const json_t *data)
{
    static const char *const lists[] = {"offboardings", "intake", "events", "cancellations"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (json_array_size(json_object_get(data, lists[i]))) {
            return true;
        }
    }
    return false;
}

static int export_run(struct cli *cli, int argc, char **argv)
{
    if (argc != 1) {
        return cli_fail(CLI_USAGE, "usage: offboard export PERSON");
    }
    struct err err = ERR_INIT;
    const char *const values[] = {argv[0]};
    json_t *rows = cli_rows(cli, &err, "SELECT analyst.person_data($1)", 1, values);
    if (!rows) {
        return cli_fail_err(CLI_REFUSED, &err);
    }
    const json_t *data = json_array_get(rows, 0);
    int code = CLI_OK;
    if (knows_something(data)) {
        cli_print_json(data);
    } else {
        code = cli_fail(CLI_NOT_FOUND, "nothing is recorded of \"%s\", or it was erased", argv[0]);
    }
    json_decref(rows);
    return code;
}

const struct command command_erase = {
    .name = "erase",
    .arguments = "EMAIL|EMPLOYEE-ID|OFFBOARDING --reason TEXT [--yes]",
    .summary = "Erases the personal data of a person's offboardings for good; on record.",
    .details =
        "The key that each offboarding's data are sealed with is deleted, so that nobody can read them any more: not "
        "in\n"
        "Kafka, not in PostgreSQL, not in a backup. What happened, when and with which outcome stays, without the\n"
        "person. HR events and orders about the person that belong to no offboarding are emptied in PostgreSQL.\n"
        "Only what is over is erased. It asks first; --yes answers. The reason stays in clear: name nobody in "
        "it.\n"
        "HR events are on their own topics until those topics' retention is over.\n\n"
        "  offboard export jane@example.com > jane.json\n"
        "  offboard erase jane@example.com --reason \"request DP-4711\"\n"
        "  offboard status 5f0d2a4c-…              `erased` shows when it was done",
    .options =
        (const struct cli_option[]){
            {"reason", "TEXT", "why; kept in the audit trail, in clear", &opt.reason, NULL},
            {"yes", NULL, "do not ask", NULL, &opt.yes},
            {"no-wait", NULL, "do not wait until it is known what became of the order", NULL, &opt.no_wait},
            {"json", NULL, "print the edge's answer and the results", NULL, &opt.json},
            {NULL, NULL, NULL, NULL, NULL}},
    .run = erase_run,
};

const struct command command_export = {
    .name = "export",
    .arguments = "EMAIL|EMPLOYEE-ID",
    .summary = "Prints everything that is recorded of a person, as JSON.",
    .details =
        "All of the person's offboardings, under all their keys: what HR said, what was read, changed and answered.\n"
        "It is as confidential as it is complete.\n\n"
        "  offboard export jane@example.com > jane.json",
    .run = export_run,
};
