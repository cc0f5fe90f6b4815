/* Every command's struct. */
#ifndef OFFBOARD_CLI_COMMANDS_H
#define OFFBOARD_CLI_COMMANDS_H

#include "cli/cli.h"

extern const struct command command_approve;
extern const struct command command_cancel;
extern const struct command command_check;
extern const struct command command_connectors;
extern const struct command command_dead;
extern const struct command command_done;
extern const struct command command_erase;
extern const struct command command_events;
extern const struct command command_export;
extern const struct command command_help;
extern const struct command command_migrate;
extern const struct command command_pause;
extern const struct command command_plan;
extern const struct command command_replay;
extern const struct command command_resume;
extern const struct command command_retry;
extern const struct command command_reveal;
extern const struct command command_runbooks;
extern const struct command command_skip;
extern const struct command command_sources;
extern const struct command command_start;
extern const struct command command_status;
extern const struct command command_topics;
extern const struct command command_undo;
extern const struct command command_try;
extern const struct command command_validate;
extern const struct command command_watch;

/* How an offboarding is watched. */
struct cli_watching {
    const char *timeout; /* a duration that cli_watch_timeout() takes; NULL: none */
    bool now;            /* until nothing runs or is due, not until it has ended */
    bool json;
    bool plain;
};

/* Is `timeout` (NULL: yes) a duration? Else an enum cli_exit after a message that names the option. */
int cli_watch_timeout(const char *timeout, const char *option);

/* Shows the offboarding `id` until it has ended. An enum cli_exit, after a message when that isn't CLI_OK. */
int cli_watch(struct cli *cli, const char *id, const struct cli_watching *how);

/* Runs `offboard-worker` with this command's configuration and the NULL-ended `options`, and returns its exit code (after a
 * message: an enum cli_exit when it could not be run). `input` (NULL: none) becomes its standard input; `*output` (NULL: it
 * prints itself) gets what it printed, for the caller to free. */
int cli_worker(struct cli *cli, const char *const *options, const char *input, char **output);

#endif
