/* offboard check: runs `offboard-worker --check`, which makes each connector's harmless `check` call. */
#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/buf.h"

static int check_run(struct cli *cli, int argc, char **argv)
{
    struct buf systems = BUF_INIT;
    for (int i = 0; i < argc; i++) {
        buf_addf(&systems, "%s%s", i ? "," : "", argv[i]);
    }
    const char *const options[] = {"--check", argc ? "--system" : NULL, buf_text(&systems), NULL};
    int code = cli_worker(cli, options, NULL, NULL);
    buf_release(&systems);
    return code;
}

const struct command command_check = {
    .name = "check",
    .arguments = "[SYSTEM…]",
    .summary = "Tries each system's address and credentials with a call that changes nothing.",
    .details = "Without operands: the systems of worker.systems. One line each; exit code 1 when one fails.\n\n"
               "  offboard check scim jira",
    .run = check_run,
};
