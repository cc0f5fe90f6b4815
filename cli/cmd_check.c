/* offboard check: runs `offboard-worker --check`, which makes each connector's harmless `check` call. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/buf.h"
#include "lib/mem.h"

/* The worker that lies beside this program, else the one in the PATH. */
static char *worker_path(void)
{
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len > 0) {
        self[len] = '\0';
        char *path = mem_printf("%s/offboard-worker", dirname(self));
        if (access(path, X_OK) == 0) {
            return path;
        }
        free(path);
    }
    return mem_strdup("offboard-worker");
}

static void exec_worker(struct cli *cli, const char *systems)
{
    char *path = worker_path();
    const char *args[8] = {path, "--check"};
    int n = 2;
    if (cli->config_path) {
        args[n++] = "-c";
        args[n++] = cli->config_path;
    }
    if (systems) {
        args[n++] = "--system";
        args[n++] = systems;
    }
    conf_restore_environment(cli->conf);
    execvp(path, (char **)(uintptr_t)args);
    fprintf(stderr, "offboard: could not run %s: %s\n", path, strerror(errno));
    _exit(CLI_AWAY);
}

static int check_run(struct cli *cli, int argc, char **argv)
{
    struct buf systems = BUF_INIT;
    for (int i = 0; i < argc; i++) {
        buf_addf(&systems, "%s%s", i ? "," : "", argv[i]);
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        exec_worker(cli, systems.len ? systems.data : NULL);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        buf_release(&systems);
        return cli_fail(CLI_AWAY, "could not run the worker: %s", strerror(errno));
    }
    buf_release(&systems);
    return WIFEXITED(status) ? WEXITSTATUS(status) : CLI_REFUSED;
}

const struct command command_check = {
    .name = "check",
    .arguments = "[SYSTEM…]",
    .summary = "Tries each system's address and credentials with a call that changes nothing.",
    .details = "Without operands: the systems of worker.systems. One line each; exit code 1 when one fails.\n\n"
               "  offboard check scim jira",
    .run = check_run,
};
