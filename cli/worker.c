/* Running `offboard-worker` for what only a worker can do: calling vendors. */
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/commands.h"
#include "lib/buf.h"
#include "lib/mem.h"

enum { ARGS_MAX = 16 };

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

static void exec_worker(struct cli *cli, const char *const *options)
{
    char *path = worker_path();
    const char *args[ARGS_MAX + 4] = {path};
    int n = 1;
    if (cli->config_path) {
        args[n++] = "-c";
        args[n++] = cli->config_path;
    }
    for (int i = 0; i < ARGS_MAX && options[i]; i++) {
        args[n++] = options[i];
    }
    conf_restore_environment(cli->conf);
    execvp(path, (char **)(uintptr_t)args);
    fprintf(stderr, "offboard: could not run %s: %s\n", path, strerror(errno));
    _exit(CLI_AWAY);
}

static void redirect(int from, int to)
{
    dup2(from, to);
    close(from);
}

/* Writes what fits into a pipe at once: our messages are far below its 64 KB, and who reads them is our child. */
static void feed(int fd, const char *input)
{
    size_t len = strlen(input);
    ssize_t written = write(fd, input, len);
    (void)written;
    close(fd);
}

static char *drain(int fd)
{
    struct buf out = BUF_INIT;
    char piece[4096];
    ssize_t got;
    while ((got = read(fd, piece, sizeof piece)) > 0) {
        buf_add(&out, piece, (size_t)got);
    }
    close(fd);
    return buf_take(&out);
}

int cli_worker(struct cli *cli, const char *const *options, const char *input, char **output)
{
    signal(SIGPIPE, SIG_IGN); /* a worker that ends at once says why itself */
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    if ((input && pipe(in) != 0) || (output && pipe(out) != 0)) {
        return cli_fail(CLI_AWAY, "could not run the worker: %s", strerror(errno));
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (input) {
            close(in[1]);
            redirect(in[0], STDIN_FILENO);
        }
        if (output) {
            close(out[0]);
            redirect(out[1], STDOUT_FILENO);
        }
        exec_worker(cli, options);
    }
    if (input) {
        close(in[0]);
        feed(in[1], input);
    }
    if (output) {
        close(out[1]);
        *output = drain(out[0]);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        return cli_fail(CLI_AWAY, "could not run the worker: %s", strerror(errno));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : CLI_REFUSED;
}
