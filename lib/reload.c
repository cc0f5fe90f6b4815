#include "lib/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/mem.h"

enum { SOCKETS_MAX = 4, ARGS_MAX = 32 };

static const char variable[] = "LISTENING_SOCKETS"; /* "127.0.0.1:8080=7 127.0.0.1:9090=8" */
static const char program[] = "/proc/self/exe";     /* this one, also when its file was replaced */

struct kept {
    char *listen;
    int fd;
};

static struct {
    int pipe[2];
    char **argv;
    char **environment; /* of the next program */
    struct kept from[SOCKETS_MAX], to[SOCKETS_MAX];
    volatile sig_atomic_t wanted;
} reload;

/* ---- sockets ----------------------------------------------------------------------------------------------------- */

static bool listens(int fd)
{
    int yes = 0;
    socklen_t len = sizeof yes;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) == 0 && yes;
}

static void take_sockets(void)
{
    char *text = mem_strdup(getenv(variable)), *rest = text, *word;
    unsetenv(variable);
    for (size_t i = 0; i < SOCKETS_MAX && (word = strsep(&rest, " "));) {
        char *equals = strrchr(word, '=');
        int fd = equals ? atoi(equals + 1) : -1;
        if (fd > STDERR_FILENO && listens(fd)) {
            fcntl(fd, F_SETFD, FD_CLOEXEC);
            reload.from[i++] = (struct kept){mem_strndup(word, (size_t)(equals - word)), fd};
        }
    }
    free(text);
}

int reload_socket(const char *listen)
{
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        struct kept *kept = &reload.from[i];
        if (kept->listen && strcmp(kept->listen, listen) == 0) {
            free(kept->listen);
            kept->listen = NULL;
            return kept->fd;
        }
    }
    return -1;
}

void reload_leave_socket(const char *listen, int fd)
{
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (!reload.to[i].listen) {
            reload.to[i] = (struct kept){mem_strdup(listen), fd};
            return;
        }
    }
    close(fd);
}

/* Its address is no longer configured. */
static void close_sockets(void)
{
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (reload.from[i].listen) {
            close(reload.from[i].fd);
            free(reload.from[i].listen);
            reload.from[i].listen = NULL;
        }
    }
}

/* ---- the check --------------------------------------------------------------------------------------------------- */

/* True when a child could read everything; it has said in the log what it could not. */
static bool check(void)
{
    const char *args[ARGS_MAX + 2] = {NULL};
    size_t count = 0;
    for (; count < ARGS_MAX && reload.argv[count]; count++) {
        args[count] = reload.argv[count];
    }
    args[count] = "--check-config";
    pid_t child = fork();
    if (child == 0) {
        execve(program, (char **)(uintptr_t)args, reload.environment);
        _exit(127);
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void *await_signal(void *arg)
{
    (void)arg;
    char byte;
    while (!reload.wanted && read(reload.pipe[0], &byte, 1) == 1) {
        log_info("SIGHUP: reading the configuration and the definitions again", NULL);
        if (check()) {
            log_info("SIGHUP: all is well with them; beginning anew", "unchanged",
                     "the command line, the variables of the environment", NULL);
            reload.wanted = 1;
            kill(getpid(), RELOAD_SIGNAL);
        } else {
            log_error("SIGHUP: the configuration or a definition is broken, as the lines above say; going on with "
                      "what was read before",
                      NULL);
        }
    }
    return NULL;
}

/* ---- beginning and end ------------------------------------------------------------------------------------------- */

static void on_hangup(int sig)
{
    (void)sig;
    int before = errno;
    ssize_t written = write(reload.pipe[1], "", 1); /* full: a reload is under way anyway */
    (void)written;
    errno = before;
}

void reload_begin(char **argv)
{
    reload.argv = argv;
    if (pipe2(reload.pipe, O_CLOEXEC) != 0) {
        return;
    }
    fcntl(reload.pipe[1], F_SETFL, O_NONBLOCK);
    struct sigaction action = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(RELOAD_SIGNAL, &action, NULL);
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP); /* was blocked while the program began */
    sigprocmask(SIG_UNBLOCK, &hangup, NULL);
    take_sockets();
}

void reload_enable(const struct conf *conf, const char *path)
{
    pthread_t thread;
    close_sockets();
    reload.environment = conf_environment(conf, path);
    if (pthread_create(&thread, NULL, await_signal, NULL) == 0) {
        pthread_detach(thread);
    }
}

bool reload_wanted(void)
{
    return reload.wanted;
}

void reload_cancel(void)
{
    reload.wanted = 0;
}

/* No memory is taken here: a handler of signals may call it. */
static void pass_sockets_on(char *text, size_t size)
{
    size_t len = (size_t)snprintf(text, size, "%s=", variable);
    for (size_t i = 0; i < SOCKETS_MAX && reload.to[i].listen; i++) {
        int added = snprintf(text + len, size - len, "%s=%d ", reload.to[i].listen, reload.to[i].fd);
        if (added > 0 && (size_t)added < size - len) {
            len += (size_t)added;
            fcntl(reload.to[i].fd, F_SETFD, 0);
        }
    }
}

void reload_now(void)
{
    static char sockets[1024];
    if (!reload.wanted) {
        return;
    }
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    sigprocmask(SIG_BLOCK, &hangup, NULL);
    alarm(0);
    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    pass_sockets_on(sockets, sizeof sockets);
    char **last = reload.environment;
    while (*last) {
        last++;
    }
    *last = sockets; /* conf_environment() left room for one */
    execve(program, reload.argv, reload.environment);
    _exit(1);
}
