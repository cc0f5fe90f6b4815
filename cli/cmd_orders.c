/* approve, retry, skip, undo, cancel, pause, resume: orders to the edge. They differ in what they name; the rest is one function,
 * so they share a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"

static struct {
    const char *reason;
    const char *since;
    const char *step;
    const char *key;
    bool held;
    bool json;
    bool no_wait;
} opt;

/* Takes over `order`. Says what became of it: `done` when it was carried out. */
static int send_order(struct cli *cli, json_t *order, const char *done)
{
    json_put_string(order, "reason", opt.reason);
    return cli_order(cli, order, &(struct cli_ordering){opt.key, opt.no_wait, opt.json, done});
}

/* Offboardings named by the operands, as an array of ids. NULL after a message, with the exit code in *code. */
static json_t *named_offboardings(struct cli *cli, int argc, char **argv, int *code)
{
    json_t *ids = json_array();
    for (int i = 0; i < argc; i++) {
        struct err err = ERR_INIT;
        char *id = cli_offboarding_id(cli, argv[i], &err);
        if (!id) {
            *code = cli_fail_err(CLI_NOT_FOUND, &err);
            json_decref(ids);
            return NULL;
        }
        json_array_append_new(ids, json_string(id));
        free(id);
    }
    return ids;
}

static json_t *held_offboardings(struct cli *cli, int *code)
{
    struct err err = ERR_INIT;
    const char *values[] = {opt.since};
    json_t *rows = cli_rows(cli, &err,
                            "SELECT to_jsonb(h.offboarding_id) FROM analyst.held_offboardings h"
                            " WHERE $1::timestamptz IS NULL OR h.received_at >= $1::timestamptz ORDER BY h.received_at",
                            1, values);
    if (!rows) {
        *code = cli_fail_err(CLI_REFUSED, &err);
    }
    return rows;
}

static int approve_run(struct cli *cli, int argc, char **argv)
{
    int code = CLI_OK;
    if (opt.held == (argc > 0)) {
        return cli_fail(CLI_USAGE, "name the offboardings to approve, or give --held for all that are held");
    }
    json_t *ids = opt.held ? held_offboardings(cli, &code) : named_offboardings(cli, argc, argv, &code);
    if (!ids) {
        return code;
    }
    size_t count = json_array_size(ids);
    if (count == 0) {
        json_decref(ids);
        printf("nothing is held\n");
        return CLI_OK;
    }
    char *done = mem_printf("approved %zu offboarding%s", count, count == 1 ? "" : "s");
    code = send_order(cli, json_pack("{s:s, s:o}", "order", "approve", "offboardings", ids), done);
    free(done);
    return code;
}

/* `all` is what is meant without --step. */
static int one_offboarding(struct cli *cli, const char *order, int argc, char **argv, bool step_needed, const char *all)
{
    if (argc != 1 || (step_needed && !opt.step)) {
        return cli_fail(CLI_USAGE, "usage: offboard %s OFFBOARDING %s", order,
                        step_needed ? "--step STEP --reason TEXT" : "[--step STEP]");
    }
    int code = CLI_OK;
    json_t *ids = named_offboardings(cli, argc, argv, &code);
    if (!ids) {
        return code;
    }
    json_t *message = json_pack("{s:s, s:o}", "order", order, "offboardings", ids);
    if (opt.step) {
        json_put_string(message, id_valid(opt.step) ? "job" : "step", opt.step);
    }
    char *done = mem_printf("%s ordered: %s", order, opt.step ? opt.step : all);
    code = send_order(cli, message, done);
    free(done);
    return code;
}

static int retry_run(struct cli *cli, int argc, char **argv)
{
    return one_offboarding(cli, "retry", argc, argv, false, "all failed jobs");
}

static int skip_run(struct cli *cli, int argc, char **argv)
{
    if (!opt.reason) {
        return cli_fail(CLI_USAGE, "skip needs --reason: the audit trail asks why a step was left out");
    }
    return one_offboarding(cli, "skip", argc, argv, true, NULL);
}

static int undo_run(struct cli *cli, int argc, char **argv)
{
    if (!opt.reason) {
        return cli_fail(CLI_USAGE, "undo needs --reason: the audit trail asks why access was given back");
    }
    return one_offboarding(cli, "undo", argc, argv, false, "all that can be");
}

/* What an error of the feed has made is cancelled at once, as it was held at once. */
static int cancel_held(struct cli *cli)
{
    int code = CLI_OK;
    json_t *ids = held_offboardings(cli, &code);
    size_t count = json_array_size(ids);
    if (count == 0) {
        json_decref(ids);
        if (code == CLI_OK) {
            printf("nothing is held\n");
        }
        return code;
    }
    char *done = mem_printf("cancelled %zu held offboarding%s", count, count == 1 ? "" : "s");
    code = send_order(cli, json_pack("{s:s, s:o}", "order", "cancel", "offboardings", ids), done);
    free(done);
    return code;
}

static int cancel_run(struct cli *cli, int argc, char **argv)
{
    if (!opt.reason || argc != (opt.held ? 0 : 1)) {
        return cli_fail(CLI_USAGE,
                        "usage: offboard cancel OFFBOARDING|EMAIL|EMPLOYEE-ID --reason TEXT, or --held --reason TEXT");
    }
    if (opt.held) {
        return cancel_held(cli);
    }
    json_t *order = json_pack("{s:s}", "order", "cancel");
    if (id_valid(argv[0])) {
        json_put(order, "offboardings", json_pack("[s]", argv[0]));
    } else {
        json_put_string(order, "person", argv[0]);
    }
    char *done = mem_printf("cancelled what has not happened yet: %s", argv[0]);
    int code = send_order(cli, order, done);
    free(done);
    return code;
}

static int pause_run(struct cli *cli, int argc, char **argv)
{
    if (argc != 1 || !opt.reason) {
        return cli_fail(CLI_USAGE, "usage: offboard pause SYSTEM --reason TEXT");
    }
    char *done = mem_printf("%s is paused: its workers start no job until `offboard resume %s`", argv[0], argv[0]);
    int code = send_order(cli, json_pack("{s:s, s:s}", "order", "pause", "system", argv[0]), done);
    free(done);
    return code;
}

static int resume_run(struct cli *cli, int argc, char **argv)
{
    if (argc != 1) {
        return cli_fail(CLI_USAGE, "usage: offboard resume SYSTEM [--reason TEXT]");
    }
    char *done = mem_printf("%s is resumed", argv[0]);
    int code = send_order(cli, json_pack("{s:s, s:s}", "order", "resume", "system", argv[0]), done);
    free(done);
    return code;
}

#define OPTION_REASON                                                                                                  \
    {                                                                                                                  \
        "reason", "TEXT", "why; kept in the audit trail", &opt.reason, NULL                                            \
    }
#define OPTION_JSON                                                                                                    \
    {"idempotency-key", "KEY", "of this order: given again within 24 hours it changes nothing", &opt.key, NULL},       \
        {"no-wait", NULL, "do not wait until it is known what became of the order", NULL, &opt.no_wait},               \
    {                                                                                                                  \
        "json", NULL, "print the edge's answer and the results", NULL, &opt.json                                       \
    }
#define OPTION_END                                                                                                     \
    {                                                                                                                  \
        NULL, NULL, NULL, NULL, NULL                                                                                   \
    }

const struct command command_approve = {
    .name = "approve",
    .arguments = "OFFBOARDING… | --held [--since TIME]",
    .summary = "Lets held offboardings run.",
    .details =
        "An offboarding is held when more people leave within an hour than guards.cap_per_hour allows. Look first\n"
        "(`offboard status --held`): a feed error looks just like this.\n\n"
        "  offboard approve 5f0d2a4c-…            one\n"
        "  offboard approve --held                all of them\n"
        "  offboard approve --held --since 2026-11-23T08:00:00Z",
    .options =
        (const struct cli_option[]){{"held", NULL, "all that are held", NULL, &opt.held},
                                    {"since", "TIME", "with --held: only those received since", &opt.since, NULL},
                                    OPTION_REASON,
                                    OPTION_JSON,
                                    OPTION_END},
    .run = approve_run,
};

const struct command command_retry = {
    .name = "retry",
    .arguments = "OFFBOARDING [--step STEP]",
    .summary = "Runs failed jobs again.",
    .details =
        "Without --step all failed jobs of the offboarding. A job goes on where it failed: of 40 groups with three\n"
        "refused, the three.\n\n"
        "  offboard retry jane@example.com --step deactivate",
    .options =
        (const struct cli_option[]){
            {"step", "STEP", "a step's or a job's id", &opt.step, NULL}, OPTION_REASON, OPTION_JSON, OPTION_END},
    .run = retry_run,
};

const struct command command_skip = {
    .name = "skip",
    .arguments = "OFFBOARDING --step STEP --reason TEXT",
    .summary = "Gives a failed or waiting job up, on record.",
    .details = "Steps that need it are skipped too, unless they run `when: always`. Skipping a step that is done\n"
               "resolves what it left in place on purpose (`offboard status` lists it).\n\n"
               "  offboard skip jane@example.com --step delete --reason \"legal hold, case 4711\"",
    .options =
        (const struct cli_option[]){
            {"step", "STEP", "a step's or a job's id", &opt.step, NULL}, OPTION_REASON, OPTION_JSON, OPTION_END},
    .run = skip_run,
};

const struct command command_undo = {
    .name = "undo",
    .arguments = "OFFBOARDING [--step STEP] --reason TEXT",
    .summary = "Gives back what an offboarding took, as far as actions can be undone.",
    .details = "For an offboarding that is over: cancel a running one first. Every step that succeeded and whose "
               "action names\n"
               "its `undo` (`offboard plan` shows which) gets a job STEP.undo. What was so before the offboarding came "
               "stays as it\n"
               "is, unless --step names it. A failed undo is ordered anew, or retried.\n\n"
               "  offboard cancel jane@example.com --reason \"wrong Jane\"\n"
               "  offboard undo 5f0d2a4c-… --reason \"wrong Jane\"",
    .options =
        (const struct cli_option[]){
            {"step", "STEP", "a step's or a job's id", &opt.step, NULL}, OPTION_REASON, OPTION_JSON, OPTION_END},
    .run = undo_run,
};

const struct command command_cancel = {
    .name = "cancel",
    .arguments = "OFFBOARDING|EMAIL|EMPLOYEE-ID | --held [--since TIME]  --reason TEXT",
    .summary = "Stops what has not happened yet, at once and everywhere.",
    .details =
        "By id: that offboarding. By e-mail or employee id: all of the person's open ones. What has been done is not\n"
        "undone. With --held: all that are held, as after an error of the feed; of them nothing has been done.\n\n"
        "  offboard cancel jane@example.com --reason \"wrong Jane\"\n"
        "  offboard cancel --held --since 2026-11-23T08:00:00Z --reason \"IT-4711: wrong export\"",
    .options =
        (const struct cli_option[]){{"held", NULL, "all that are held", NULL, &opt.held},
                                    {"since", "TIME", "with --held: only those received since", &opt.since, NULL},
                                    OPTION_REASON,
                                    OPTION_JSON,
                                    OPTION_END},
    .run = cancel_run,
};

const struct command command_pause = {
    .name = "pause",
    .arguments = "SYSTEM --reason TEXT",
    .summary = "Stops all jobs of a system; nothing is lost.",
    .details = "  offboard pause jira --reason \"maintenance until 18:00\"",
    .options = (const struct cli_option[]){OPTION_REASON, OPTION_JSON, OPTION_END},
    .run = pause_run,
};

const struct command command_resume = {
    .name = "resume",
    .arguments = "SYSTEM",
    .summary = "Lets a paused system's jobs run again.",
    .options = (const struct cli_option[]){OPTION_REASON, OPTION_JSON, OPTION_END},
    .run = resume_run,
};
