/* What the main() of every process does the same way: options, configuration, log, signals. */
#ifndef OFFBOARD_LIB_DAEMON_H
#define OFFBOARD_LIB_DAEMON_H

#include <signal.h>

#include "lib/conf.h"
#include "lib/http_server.h"

struct daemon_option {
    const char *name;  /* "system" for --system VALUE */
    const char *value; /* name of the value in --help, NULL for a flag */
    const char *help;
    const char **into; /* set to the value (borrowed from argv), or to "" for a flag */
};

/* Reads `-c FILE`/`--config FILE`, `--check-config`, `--help`, `--version` and the given options (ended by a NULL name), loads the
 * configuration, starts the log, clears the environment, blocks SIGPIPE. Ends the process with 2 after a message on stderr
 * when the command line or the configuration is wrong, with 0 after --help. The caller frees with conf_free(). */
struct conf *daemon_start(const char *process, const char *summary, const struct daemon_option *options, int argc,
                          char **argv);

/* No core dumps, and no other process of this user looks into this one's memory. */
void daemon_keep_memory(void);

/* `--check-config` was given: the process reads its configuration and its definitions, and ends. */
bool daemon_only_checks(void);

/* The service is up: SIGHUP begins it anew (lib/reload.h). */
void daemon_up(const struct conf *conf);

/* Set by SIGTERM and SIGINT once daemon_catch_signals() ran: for processes without a libuv loop. */
extern volatile sig_atomic_t daemon_stopping;
void daemon_catch_signals(void);

/* From here on only memory and connections are given back: the process ends with `status` when that takes longer than some seconds.
 * librdkafka waits for ever for a partition whose topic was deleted while it was read (tried, 2.0.2). */
void daemon_ending(int status);

/* A process without a libuv loop: what it serves and how it lives. */
struct daemon_service {
    const char *process;
    const char *summary;
    const char *listen_option;                                /* "logger.listen" */
    void *(*start)(const struct conf *conf, struct err *err); /* NULL with an err */
    http_ready *ready;
    int (*run)(void *service, struct err *err); /* until daemon_stopping */
    void (*free)(void *service);
};

/* The whole main() of such a process: its exit status. */
int daemon_serve(const struct daemon_service *service, int argc, char **argv);

/* Version of all programs, "1.0.0" style. */
extern const char offboard_version[];

#endif
