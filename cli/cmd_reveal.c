/* offboard reveal: what a step has put in escrow. The database has it sealed; the edge opens it, on record. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"

static struct {
    const char *reason;
    bool json;
} opt;

/* The newest first: of several it is what was sent last. */
static const char sealed_sql[] = "SELECT to_jsonb(e) FROM analyst.escrow e"
                                 " WHERE e.offboarding_id = $1::uuid AND e.step = $2"
                                 " ORDER BY e.sealed_at DESC, e.account, e.name LIMIT 1000";

/* The body of the order, NULL after a message with the exit code in *code. */
static json_t *order_new(struct cli *cli, const char *offboarding, const char *step, int *code)
{
    struct err err = ERR_INIT;
    const char *values[] = {offboarding, step};
    json_t *rows = cli_rows(cli, &err, sealed_sql, 2, values);
    if (!rows) {
        *code = cli_fail_err(CLI_REFUSED, &err);
        return NULL;
    }
    json_t *sealed = json_array();
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        json_array_append_new(sealed, json_pack("{s:O, s:O, s:O}", "account", json_object_get(row, "account"), "name",
                                                json_object_get(row, "name"), "text", json_object_get(row, "sealed")));
    }
    json_t *order = NULL;
    if (json_array_size(rows) == 0) {
        *code = cli_fail(CLI_NOT_FOUND, "the step \"%s\" of %s has put nothing in escrow (yet)", step, offboarding);
        json_decref(sealed);
    } else {
        order = json_pack("{s:s, s:O, s:s, s:s, s:o}", "offboarding", offboarding, "job",
                          json_object_get(json_array_get(rows, 0), "job_id"), "step", step, "reason", opt.reason,
                          "sealed", sealed);
    }
    json_decref(rows);
    return order;
}

/* A single value stands alone, so that it can be used as it is. */
static void print_values(const json_t *values)
{
    size_t i;
    json_t *item;
    json_array_foreach(values, i, item)
    {
        const char *account = json_string_at(item, "account");
        if (json_array_size(values) > 1) {
            printf("%s%s%s ", account ? account : "", account && *account ? " " : "", json_string_at(item, "name"));
        }
        printf("%s\n", json_string_at(item, "value"));
    }
}

static int reveal(struct cli *cli, const char *offboarding, const char *step)
{
    int code = CLI_OK;
    json_t *order = order_new(cli, offboarding, step, &code);
    if (!order) {
        return code;
    }
    json_t *answer = NULL;
    code = cli_edge_send(cli, "/v1/reveals", order, NULL, &answer);
    if (code != CLI_OK) {
        return code;
    }
    if (opt.json) {
        cli_print_json(answer);
    } else {
        print_values(json_object_get(answer, "values"));
    }
    json_decref(answer);
    return CLI_OK;
}

static int reveal_run(struct cli *cli, int argc, char **argv)
{
    if (argc != 2 || !opt.reason || !*opt.reason) {
        return cli_fail(CLI_USAGE, "usage: offboard reveal OFFBOARDING STEP --reason TEXT");
    }
    struct err err = ERR_INIT;
    char *id = cli_offboarding_id(cli, argv[0], &err);
    int code = id ? reveal(cli, id, argv[1]) : cli_fail_err(CLI_NOT_FOUND, &err);
    free(id);
    return code;
}

const struct command command_reveal = {
    .name = "reveal",
    .arguments = "OFFBOARDING STEP --reason TEXT",
    .summary = "Shows a secret that a step has set, such as a device's passcode; on record.",
    .details = "The value is printed after it is on record who asked, and why (`offboard events` shows it). When "
               "attempts of the\n"
               "step have sealed several values, all are printed, the newest first.\n\n"
               "  offboard reveal jane@example.com lock --reason \"IT-4711: the laptop is back\"",
    .options = (const struct cli_option[]){{"reason", "TEXT", "why; kept in the audit trail", &opt.reason, NULL},
                                           {"json", NULL, "print the edge's answer", NULL, &opt.json},
                                           {NULL, NULL, NULL, NULL, NULL}},
    .run = reveal_run,
};
