/* offboard done: a person's word that a manual task is done, as a signal to the edge. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"

static struct {
    const char *answer, *evidence;
    bool json;
} opt;

static int send_word(struct cli *cli, const char *offboarding, const char *step)
{
    json_t *word = json_pack("{s:s, s:s, s:s}", "offboarding", offboarding, "step", step, "evidence", opt.evidence);
    json_put_string(word, "answer", opt.answer);
    json_t *answer = NULL;
    enum cli_exit code = cli_edge_send(cli, "/v1/signals/tasks", word, &answer);
    if (code != CLI_OK) {
        return code;
    }
    if (opt.json) {
        cli_print_json(answer);
    } else {
        printf("on record: %s is done\n", step);
    }
    json_decref(answer);
    return CLI_OK;
}

static int done_run(struct cli *cli, int argc, char **argv)
{
    if (argc != 2 || !opt.evidence || !*opt.evidence) {
        return cli_fail(CLI_USAGE, "usage: offboard done OFFBOARDING STEP --evidence TEXT [--answer ANSWER]");
    }
    struct err err = ERR_INIT;
    char *id = cli_offboarding_id(cli, argv[0], &err);
    int code = id ? send_word(cli, id, argv[1]) : cli_fail_err(CLI_NOT_FOUND, &err);
    free(id);
    return code;
}

const struct command command_done = {
    .name = "done",
    .arguments = "OFFBOARDING STEP --evidence TEXT [--answer ANSWER]",
    .summary = "Says that a manual task is done.",
    .details =
        "The step goes on at once, with who said so, and the evidence, as its outputs. Where the task asks for an\n"
        "answer, --answer gives it; any other leaves the task open.\n\n"
        "  offboard done jane@example.com collect-laptop --evidence \"ticket IT-4711, photo attached\"\n"
        "  offboard done jane@example.com received --answer erase --evidence \"shelf 7\"",
    .options =
        (const struct cli_option[]){
            {"evidence", "TEXT", "what shows it; kept in the audit trail", &opt.evidence, NULL},
            {"answer", "ANSWER", "one of the answers that the task asks for", &opt.answer, NULL},
            {"json", NULL, "print the edge's answer", NULL, &opt.json},
            {NULL, NULL, NULL, NULL, NULL}},
    .run = done_run,
};
