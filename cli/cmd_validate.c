/* offboard validate: loads all definitions as the processes do and says everything that is wrong. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/definition.h"
#include "lib/json.h"

static struct {
    bool json;
} opt;

static json_t *problems_json(const struct definition_problems *problems)
{
    json_t *list = json_array();
    for (size_t i = 0; i < problems->count; i++) {
        const struct definition_problem *problem = &problems->items[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:i, s:s, s:s}", "file", problem->file, "line", problem->line,
                                        "severity", problem->warning ? "warning" : "error", "text", problem->text));
    }
    return list;
}

static void print_problems(const struct definition_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct definition_problem *problem = &problems->items[i];
        printf("%s:%d: %s%s\n", problem->file, problem->line, problem->warning ? "warning: " : "", problem->text);
    }
}

static void print_count(size_t count, const char *what, const char *after)
{
    printf("%zu %s%s%s", count, what, count == 1 ? "" : "s", after);
}

static int validate_run(struct cli *cli, int argc, char **argv)
{
    (void)argv;
    if (argc > 0) {
        return cli_fail(CLI_USAGE,
                        "validate takes no operands: directories are configured (definitions.connectors, …)");
    }
    struct definition_problems problems = {0};
    struct err err = ERR_INIT;
    struct definitions *definitions = definitions_load(cli->conf, &problems, &err);
    if (!definitions) {
        definition_problems_release(&problems);
        return cli_fail_err(CLI_USAGE, &err);
    }
    size_t errors = 0;
    for (size_t i = 0; i < problems.count; i++) {
        errors += !problems.items[i].warning;
    }
    if (opt.json) {
        json_t *list = problems_json(&problems);
        cli_print_json(list);
        json_decref(list);
    } else {
        print_problems(&problems);
        print_count(definition_count(definitions, DEFINITION_SOURCE), "source", ", ");
        print_count(definition_count(definitions, DEFINITION_RUNBOOK), "runbook", ", ");
        print_count(definition_count(definitions, DEFINITION_CONNECTOR), "connector", ": ");
        print_count(errors, "error", ", ");
        print_count(problems.count - errors, "warning", "\n");
    }
    definition_problems_release(&problems);
    definitions_free(definitions);
    return errors ? CLI_REFUSED : CLI_OK;
}

const struct command command_validate = {
    .name = "validate",
    .arguments = "",
    .summary = "Checks all sources, runbooks and connectors, offline.",
    .details =
        "Each problem is FILE:LINE: what is wrong, with the nearest right name. Your own definitions are those in the\n"
        "directories of definitions.sources, definitions.runbooks and definitions.connectors.",
    .options = (const struct cli_option[]){{"json", NULL, "a list of {file, line, severity, text}", NULL, &opt.json},
                                           {NULL, NULL, NULL, NULL, NULL}},
    .run = validate_run,
};
