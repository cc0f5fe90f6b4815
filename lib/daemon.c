#include "lib/daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/metrics_process.h"
#include "lib/reload.h"
#include "lib/secret.h"

enum { END_WITHIN_S = 8 };

const char offboard_version[] = "1.0.0";

volatile sig_atomic_t daemon_stopping;

static void on_stop(int sig)
{
    if (sig == RELOAD_SIGNAL && !reload_wanted()) {
        return;
    }
    if (sig != RELOAD_SIGNAL) {
        reload_cancel();
    }
    daemon_stopping = 1;
}

/* Nothing has begun yet that would need an end in good order. */
static void on_early_stop(int sig)
{
    (void)sig;
    _exit(0);
}

void daemon_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(RELOAD_SIGNAL, &action, NULL);
}

static volatile sig_atomic_t end_status;

static void on_end_too_late(int sig)
{
    (void)sig;
    if (end_status == 0) {
        reload_now();
    }
    _exit(end_status);
}

void daemon_ending(int status)
{
    struct sigaction action = {.sa_handler = on_end_too_late};
    end_status = status;
    sigaction(SIGALRM, &action, NULL);
    alarm(END_WITHIN_S);
}

static bool only_checks;
static char *config_path;

bool daemon_only_checks(void)
{
    return only_checks;
}

void daemon_up(const struct conf *conf)
{
    reload_enable(conf, config_path);
}

static void usage(const char *process, const char *summary, const struct daemon_option *options)
{
    printf("usage: %s [options]\n\n%s\n\nOptions:\n", process, summary);
    for (const struct daemon_option *option = options; option && option->name; option++) {
        printf("  --%s %-16s %s\n", option->name, option->value ? option->value : "", option->help);
    }
    printf("  -c, --config FILE      configuration (default: $OFFBOARD_CONFIG; CONFIGURATION.md lists the options)\n"
           "  --check-config         read the configuration and the definitions, say what is wrong with them, and end\n"
           "  --help                 this text\n"
           "  --version              the version\n\n"
           "SIGTERM ends it in good order; SIGHUP makes it read its configuration, secrets and definitions again. Logs "
           "are JSON lines on stderr.\n");
}

static void wrong_usage(const char *process, const char *what, const char *argument)
{
    fprintf(stderr, "%s: %s: \"%s\"; see %s --help\n", process, what, argument, process);
    exit(2);
}

static const struct daemon_option *find(const struct daemon_option *options, const char *argument)
{
    for (; options && options->name; options++) {
        if (strncmp(argument, "--", 2) == 0 && strcmp(argument + 2, options->name) == 0) {
            return options;
        }
    }
    return NULL;
}

/* Returns the configuration's path, NULL when the arguments give none. */
static const char *read_arguments(const char *process, const char *summary, const struct daemon_option *options,
                                  int argc, char **argv)
{
    const char *path = NULL;
    for (int i = 1; i < argc; i++) {
        const struct daemon_option *option = find(options, argv[i]);
        if (strcmp(argv[i], "--check-config") == 0) {
            only_checks = true;
            continue;
        }
        bool config = strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0;
        if (strcmp(argv[i], "--help") == 0) {
            usage(process, summary, options);
            exit(0);
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("%s %s\n", process, offboard_version);
            exit(0);
        }
        if (!config && !option) {
            wrong_usage(process, "unknown argument", argv[i]);
        }
        if (option && !option->value) {
            *option->into = "";
            continue;
        }
        if (i + 1 >= argc) {
            wrong_usage(process, "this option needs a value", argv[i]);
        }
        *(config ? &path : option->into) = argv[i + 1];
        i++;
    }
    return path;
}

/* A core file holds every secret; and who may read another's memory or descriptors may read them there. */
void daemon_keep_memory(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
}

static void warn_of_open_file(const char *path, void *arg)
{
    (void)arg;
    char *command = mem_printf("chmod o= %s", path);
    log_warning("anybody on this machine can read or write a file with secrets", "file", path, "mend", command, NULL);
    free(command);
}

/* "producer" of "offboard-producer". */
static const char *role_of(const char *process)
{
    const char *dash = strchr(process, '-');
    return dash ? dash + 1 : process;
}

static const char *systems_given(const struct daemon_option *options)
{
    const struct daemon_option *option = find(options, "--system");
    return option ? *option->into : NULL;
}

struct conf *daemon_start(const char *process, const char *summary, const struct daemon_option *options, int argc,
                          char **argv)
{
    log_init(process, LOG_INFO);
    daemon_keep_memory();
    reload_begin(argv);
    prctl(PR_SET_NAME, process);                            /* after a reload it would be "exe" */
    struct sigaction early = {.sa_handler = on_early_stop}; /* until the process takes its signals itself */
    sigaction(SIGTERM, &early, NULL);
    sigaction(SIGINT, &early, NULL);
    const char *path = read_arguments(process, summary, options, argc, argv);
    struct err err = ERR_INIT;
    config_path = mem_strdup(conf_path(path));
    struct conf *conf = conf_load_for(config_path, role_of(process), systems_given(options), &err);
    if (!conf) {
        log_error("could not read the configuration", "error", err_text(&err), NULL);
        exit(2);
    }
    enum log_level level;
    if (log_level_parse(conf_string(conf, "log.level"), &level) != 0) {
        log_error("log.level must be debug, info, warning or error", "log.level", conf_string(conf, "log.level"), NULL);
        exit(2);
    }
    log_init(process, level);
    conf_each_open_file(conf, warn_of_open_file, NULL);
    conf_clear_environment();
    metrics_process_start(process, offboard_version);
    signal(SIGPIPE, SIG_IGN);
    return conf;
}

static int serve(const struct daemon_service *service, const struct conf *conf, struct err *err)
{
    void *self = service->start(conf, err);
    if (!self) {
        log_error("could not start", "error", err_text(err), NULL);
        return -1;
    }
    struct http_options options = {
        .listen = conf_string(conf, service->listen_option), .ready = service->ready, .arg = self};
    struct http_server *server = http_server_start(&options, err);
    int result = err->class == ERR_NONE ? 0 : -1;
    if (result == 0) {
        char *port = server ? mem_printf("%d", http_server_port(server)) : NULL;
        log_info("started", "version", offboard_version, "port", port, NULL);
        free(port);
        daemon_up(conf);
        result = service->run(self, err);
    }
    if (result != 0) {
        log_error("could not go on", "error", err_text(err), NULL);
    }
    daemon_ending(result == 0 ? 0 : 1);
    http_server_stop(server);
    service->free(self);
    return result;
}

int daemon_serve(const struct daemon_service *service, int argc, char **argv)
{
    struct conf *conf = daemon_start(service->process, service->summary, NULL, argc, argv);
    if (daemon_only_checks()) {
        conf_free(conf);
        return 0;
    }
    daemon_catch_signals();
    struct err err = ERR_INIT;
    int result = serve(service, conf, &err);
    if (result == 0) {
        log_info("stopped", NULL);
        reload_now();
    }
    err_release(&err);
    conf_free(conf);
    metrics_release();
    secret_forget_all();
    return result == 0 ? 0 : 1;
}
