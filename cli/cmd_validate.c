/* offboard validate: loads all definitions as the processes do and says everything that is wrong. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/systems.h"
#include "lib/definition.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/settings_check.h"
#include "lib/wording.h"

static struct {
    const char *target;
    bool json, offline;
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
        if (problem->line) {
            printf("%s:%d: %s%s\n", problem->file, problem->line, problem->warning ? "warning: " : "", problem->text);
        } else {
            printf("%s: %s%s\n", problem->file, problem->warning ? "warning: " : "", problem->text);
        }
    }
}

static void print_count(size_t count, const char *what, const char *after)
{
    printf("%zu %s%s%s", count, what, count == 1 ? "" : "s", after);
}

/* What the configuration says of sources or systems: the first that nobody declares. */
static void check_settings(const struct cli *cli, const struct definitions *definitions, enum definition_kind kind,
                           struct definition_problems *problems)
{
    struct err err = ERR_INIT;
    if (settings_check(definitions, cli->conf, kind, NULL, &err) != 0) {
        definition_problems_add(problems, cli->config_path ? cli->config_path : "configuration", 0, err_text(&err));
    }
    err_release(&err);
}

/* Runbooks that the company can use in part: steps of systems that it does not have are skipped. One that uses none of its systems is of
 * no interest here. */
static void check_systems(const struct cli *cli, const struct definitions *definitions,
                          struct definition_problems *problems)
{
    for (size_t i = 0; i < definition_count(definitions, DEFINITION_RUNBOOK); i++) {
        const struct definition *runbook = definition_item(definitions, DEFINITION_RUNBOOK, i);
        json_t *systems = systems_of_runbook(definitions, runbook);
        json_t *missing = systems_missing(cli->conf, systems);
        if (json_array_size(missing) && json_array_size(missing) < json_array_size(systems)) {
            char *names = wording_list(missing);
            char *text = mem_printf("not configured here: %s; the steps of %s are skipped", names,
                                    json_array_size(missing) == 1 ? "this system" : "these systems");
            definition_problems_add(problems, runbook->file, 0, text);
            problems->items[problems->count - 1].warning = true;
            free(text);
            free(names);
        }
        json_decref(missing);
        json_decref(systems);
    }
}

/* ---- another installation -------------------------------------------------------------------------------------------- */

/* The target's own definitions; NULL where its directories lie on another machine, which is said. */
static struct definitions *definitions_there(struct comparison *comparison)
{
    struct err err = ERR_INIT;
    struct definition_problems problems = {0};
    struct definitions *definitions = definitions_load(comparison->there, &problems, &err);
    if (!definitions) {
        compare_add(comparison, COMPARE_NOTE, "definition", "the target's own directories", NULL, NULL, err_text(&err));
    }
    definition_problems_release(&problems);
    err_release(&err);
    return definitions;
}

static void compare_all(struct comparison *comparison, struct cli *cli)
{
    comparison->there_definitions = definitions_there(comparison);
    compare_systems(comparison);
    compare_definitions(comparison);
    compare_options(comparison);
    if (!opt.offline) {
        /* The reading commands' way, to the target's database. */
        struct cli there = {
            .program = cli->program, .config_path = opt.target, .conf = (struct conf *)(uintptr_t)comparison->there};
        compare_installed(comparison, &there);
        cli_database_close(&there);
    }
}

static int compare_run(struct cli *cli)
{
    struct err err = ERR_INIT;
    struct conf *target = conf_load_other(opt.target, &err);
    struct definitions *definitions =
        target ? definitions_load_or_fail(cli->conf, &(struct definition_use){0}, &err) : NULL;
    if (!definitions) {
        conf_free(target);
        return cli_fail_err(CLI_USAGE, &err);
    }
    struct comparison comparison = {
        .here = cli->conf, .there = target, .definitions = definitions, .findings = json_array()};
    compare_all(&comparison, cli);
    if (opt.json) {
        cli_print_json(comparison.findings);
    } else {
        compare_print(&comparison);
    }
    int code = compare_count(&comparison, COMPARE_ERROR) ? CLI_REFUSED : CLI_OK;
    json_decref(comparison.findings);
    definitions_free(comparison.there_definitions);
    definitions_free(definitions);
    conf_free(target);
    return code;
}

static int validate_run(struct cli *cli, int argc, char **argv)
{
    (void)argv;
    if (argc > 0) {
        return cli_fail(CLI_USAGE,
                        "validate takes no operands: directories are configured (definitions.connectors, …)");
    }
    if (opt.target) {
        return compare_run(cli);
    }
    struct definition_problems problems = {0};
    struct err err = ERR_INIT;
    struct definitions *definitions = definitions_load(cli->conf, &problems, &err);
    if (!definitions) {
        definition_problems_release(&problems);
        return cli_fail_err(CLI_USAGE, &err);
    }
    check_settings(cli, definitions, DEFINITION_SOURCE, &problems);
    check_settings(cli, definitions, DEFINITION_CONNECTOR, &problems);
    check_systems(cli, definitions, &problems);
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
    .arguments = "[--target FILE [--offline]]",
    .summary = "Checks all sources, runbooks and connectors, offline; or compares with another installation.",
    .details =
        "Each problem is FILE:LINE: what is wrong, with the nearest right name. Your own definitions are those in the\n"
        "directories of definitions.sources, definitions.runbooks and definitions.connectors.\n\n"
        "With --target: what the installation of that configuration lacks or has differently: definitions, systems,\n"
        "credentials (never their values), settings, and what it runs, as far as its edge, database and Kafka answer.\n"
        "Exit code 1 when it can't do what this one does, or is unsafe.\n\n"
        "  offboard validate\n"
        "  offboard validate -c dev.yaml --target prod.yaml",
    .options =
        (const struct cli_option[]){{"target", "FILE", "another installation's configuration", &opt.target, NULL},
                                    {"offline", NULL, "compare files only", NULL, &opt.offline},
                                    {"json", NULL, "a list of problems, or of findings, as JSON", NULL, &opt.json},
                                    {NULL, NULL, NULL, NULL, NULL}},
    .run = validate_run,
};
