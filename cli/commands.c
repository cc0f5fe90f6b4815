/* The catalogue. A new command is one file with one struct, and one line here. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

const struct command *const cli_commands[] = {
    &command_start,  &command_plan,     &command_watch,   &command_status,
    &command_events, &command_approve,  &command_retry,   &command_skip,
    &command_done,   &command_cancel,   &command_undo,    &command_pause,
    &command_resume, &command_validate, &command_check,   &command_reveal,
    &command_dead,   &command_replay,   &command_export,  &command_erase,
    &command_try,    &command_runbooks, &command_sources, &command_connectors,
    &command_topics, &command_migrate,  &command_help,    NULL,
};

const struct command *cli_command(const char *name)
{
    for (size_t i = 0; cli_commands[i]; i++) {
        if (strcmp(cli_commands[i]->name, name) == 0) {
            return cli_commands[i];
        }
    }
    return NULL;
}

static int help_list(void)
{
    printf("Offboard takes a leaver's access away, everywhere, at once, and can prove it.\n\n"
           "usage: offboard COMMAND [options]\n\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        printf("  %-10s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    }
    printf("\nThe configuration is -c FILE, else $OFFBOARD_CONFIG, else ./offboard.yaml; CONFIGURATION.md lists the "
           "options.\n"
           "`offboard help COMMAND` tells more, with examples.\n\n"
           "Exit codes: 0 done; 1 refused, or problems were found; 2 the command line or the configuration is wrong;\n"
           "3 the edge, the database or Kafka can't be reached, or nobody knows yet what became of an order;\n"
           "4 no such offboarding, job or system.\n");
    return CLI_OK;
}

static int help_run(struct cli *cli, int argc, char **argv)
{
    (void)cli;
    if (argc == 0) {
        return help_list();
    }
    const struct command *command = cli_command(argv[0]);
    if (!command) {
        return cli_fail(CLI_USAGE, "there is no command \"%s\"; `offboard help` lists them", argv[0]);
    }
    cli_usage(command);
    return CLI_OK;
}

const struct command command_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "Lists the commands, or explains one.",
    .run = help_run,
};
