/* offboard migrate: brings the database to this version. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/mem.h"
#include "lib/migrate.h"
#include "lib/pg.h"
#include "lib/shipped.h"

static struct {
    const char *directory;
} opt;

static void say(const char *line, void *arg)
{
    (void)arg;
    printf("%s\n", line);
    fflush(stdout);
}

static int migrate_run_command(struct cli *cli, int argc, char **argv)
{
    (void)argv;
    if (argc > 0) {
        return cli_fail(CLI_USAGE, "migrate takes no operands");
    }
    const char *conninfo = conf_string(cli->conf, "postgres.admin");
    if (!conninfo) {
        return cli_fail(CLI_USAGE, "postgres.admin is not set: the connection string of the schema's owner");
    }
    char *directory = opt.directory ? mem_strdup(opt.directory) : shipped_directory("schema");
    struct err err = ERR_INIT;
    struct pg *pg = pg_new_primary(conninfo, "offboard-migrate");
    int result = pg_connect(pg, &err);
    if (result == 0) {
        result = migrate_run(pg, directory, say, NULL, &err);
    }
    pg_free(pg);
    free(directory);
    return result == 0 ? CLI_OK : cli_fail_err(CLI_REFUSED, &err);
}

const struct command command_migrate = {
    .name = "migrate",
    .arguments = "",
    .summary = "Brings the database schema to this version; forward only.",
    .details =
        "Safe to run twice and from several places at once. An applied migration whose file was edited since is an\n"
        "error. Uses postgres.admin; the roles offboard_logger, offboard_scheduler and offboard_analyst are created\n"
        "when missing.",
    .options = (const struct cli_option[]){{"directory", "DIR", "migrations (default: the shipped ones)",
                                            &opt.directory, NULL},
                                           {NULL, NULL, NULL, NULL, NULL}},
    .run = migrate_run_command,
};
