/* offboard COMMAND … : finds the command, reads its options, loads the configuration, runs it. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/options.h"
#include "lib/daemon.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/nearest.h"

static int unknown_command(const char *name)
{
    const char *names[64];
    size_t count = 0;
    while (count < COUNT_OF(names) && cli_commands[count]) {
        names[count] = cli_commands[count]->name;
        count++;
    }
    const char *near = nearest_name(name, names, count);
    if (near) {
        return cli_fail(CLI_USAGE, "there is no command \"%s\"; did you mean \"%s\"?", name, near);
    }
    return cli_fail(CLI_USAGE, "there is no command \"%s\"; `offboard help` lists them", name);
}

/* -c FILE, $OFFBOARD_CONFIG, ./offboard.yaml when it is there, else none. */
static const char *config_path(const char *given)
{
    const char *path = conf_path(given);
    return path ? path : access("offboard.yaml", R_OK) == 0 ? "offboard.yaml" : NULL;
}

static int run_command(struct cli *cli, const struct command *command, int argc, char **argv)
{
    struct cli_parsed parsed;
    if (cli_options_parse(command, argc, argv, &parsed) != 0) {
        return CLI_USAGE;
    }
    if (parsed.help) {
        cli_usage(command);
        return CLI_OK;
    }
    struct err err = ERR_INIT;
    cli->config_path = config_path(parsed.config);
    cli->conf = conf_load(cli->config_path, &err);
    if (!cli->conf) {
        return cli_fail_err(CLI_USAGE, &err);
    }
    conf_clear_environment();
    int code = command->run(cli, parsed.operands, argv);
    cli_database_close(cli);
    conf_free(cli->conf);
    return code;
}

int main(int argc, char **argv)
{
    log_init("offboard", LOG_ERROR); /* what librdkafka logs of its tries: an error says it better */
    daemon_keep_memory();
    struct cli cli = {.program = argv[0]};
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return cli_command("help")->run(&cli, 0, argv);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("offboard %s\n", offboard_version);
        return CLI_OK;
    }
    const struct command *command = cli_command(argv[1]);
    if (!command) {
        return unknown_command(argv[1]);
    }
    return run_command(&cli, command, argc - 2, argv + 2);
}
