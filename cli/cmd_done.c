/* offboard done: a person's word that a manual task is done, as a signal to the edge. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/definition.h"
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
    enum cli_exit code = cli_edge_send(cli, "/v1/signals/tasks", word, NULL, &answer);
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

/* Does the action wait for a person's word? What isn't defined here may. */
static bool is_task(const struct definitions *definitions, const char *system, const char *action)
{
    const struct definition *connector = definition_find(definitions, DEFINITION_CONNECTOR, system);
    const json_t *known = connector ? json_object_get(json_object_get(connector->tree, "actions"), action) : NULL;
    bool task = !known;
    size_t i;
    json_t *request;
    json_array_foreach(json_object_get(known, "requests"), i, request)
    {
        const char *signal = json_string_at(request, "wait.signal");
        task = task || (signal && strcmp(signal, "task") == 0);
    }
    return task;
}

static int refuse_job(const struct definitions *definitions, const json_t *job, const char *step)
{
    const char *system = json_string_at(job, "system"), *action = json_string_at(job, "action");
    const char *state = json_string_at(job, "state");
    if (!is_task(definitions, system, action)) {
        return cli_fail(CLI_REFUSED, "%s is not a manual task: the worker of %s runs its action %s", step, system,
                        action);
    }
    if (strcmp(state, "failed") == 0) {
        return cli_fail(CLI_REFUSED, "%s has failed: %s; `offboard retry` opens it again", step,
                        json_string_at(job, "reason"));
    }
    return strcmp(state, "ready") == 0 || strcmp(state, "waiting") == 0
               ? CLI_OK
               : cli_fail(CLI_REFUSED, "%s is %s already", step, state);
}

/* CLI_OK when the step is a task that is open, or is still to come. */
static int check_step(struct cli *cli, const char *offboarding, const char *step)
{
    struct err err = ERR_INIT;
    const char *values[] = {offboarding, step};
    json_t *jobs =
        cli_rows(cli, &err,
                 "SELECT jsonb_build_object('system', j.system, 'action', j.action, 'state', j.state, 'reason',"
                 " j.reason) FROM analyst.jobs j WHERE j.offboarding_id = $1::uuid AND j.step = $2",
                 2, values);
    struct definitions *definitions =
        jobs ? definitions_load_or_fail(cli->conf, &(struct definition_use){0}, &err) : NULL;
    int code = CLI_OK;
    if (!definitions) {
        code = cli_fail_err(CLI_REFUSED, &err);
    } else if (json_array_size(jobs) == 0) {
        code = cli_fail(CLI_NOT_FOUND, "the offboarding has no step \"%s\"; `offboard status %s` lists them", step,
                        offboarding);
    } else {
        code = refuse_job(definitions, json_array_get(jobs, 0), step);
    }
    definitions_free(definitions);
    json_decref(jobs);
    return code;
}

static int done_run(struct cli *cli, int argc, char **argv)
{
    if (argc != 2 || !opt.evidence || !*opt.evidence) {
        return cli_fail(CLI_USAGE, "usage: offboard done OFFBOARDING STEP --evidence TEXT [--answer ANSWER]");
    }
    struct err err = ERR_INIT;
    char *id = cli_offboarding_id(cli, argv[0], &err);
    int code = id ? check_step(cli, id, argv[1]) : cli_fail_err(CLI_NOT_FOUND, &err);
    code = code == CLI_OK ? send_word(cli, id, argv[1]) : code;
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
