/* offboard watch: one offboarding, live. On a terminal a bar for each phase, redrawn in place; else a line for each change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

enum { BAR_WIDTH = 30, JOBS_SHOWN = 10, POLL_MS = 250 };

/* How long an offboarding may not be recorded yet, and the database may be away. */
#define PATIENCE (30 * TIME_SECOND)

static struct cli_watching opt;

struct watch {
    struct cli *cli;
    const struct cli_watching *how;
    const char *id;
    int64_t deadline; /* monotonic; 0: none */
    int64_t seen_at;  /* monotonic; when the last look succeeded */
    json_t *progress; /* the last look; NULL before the first */
    bool bars;
    int lines; /* lines drawn that the next drawing replaces */
};

/* ---- a terminal -------------------------------------------------------------------------------------------------------- */

static void print_line(struct watch *watch)
{
    printf("\033[K\n"); /* erases what a longer line left */
    watch->lines++;
}

static void draw_bar(struct watch *watch, const json_t *phase, int width)
{
    int jobs = (int)json_int_at(phase, "jobs", 0);
    int ended = (int)json_int_at(phase, "ended", 0);
    int failed = (int)json_int_at(phase, "failed", 0);
    int full = jobs ? BAR_WIDTH * ended / jobs : 0;
    int bad = jobs && failed ? (BAR_WIDTH * failed + jobs - 1) / jobs : 0;
    const char *status = json_string_at(phase, "status");
    char *due = cli_text(json_object_get(phase, "due_at"));
    printf("  %-*s [", width, json_string_at(phase, "phase"));
    for (int i = 0; i < BAR_WIDTH; i++) {
        putchar(i < full ? '#' : i < full + bad ? '!' : '.');
    }
    printf("] %d/%d %s", ended, jobs, status ? status : "");
    if (status && strcmp(status, "waiting") == 0 && strcmp(due, "-") != 0) {
        printf(", due %s UTC", due);
    }
    print_line(watch);
    free(due);
}

/* What runs, and what went wrong. */
static void draw_job(struct watch *watch, const json_t *job)
{
    const char *state = json_string_at(job, "state");
    bool failed = state && strcmp(state, "failed") == 0;
    if (!failed && (!state || strcmp(state, "ready") != 0)) {
        return;
    }
    char *more = cli_text(json_object_get(job, failed ? "reason" : "due_at"));
    printf("    %-7s %s (%s)%s%s%s", state, json_string_at(job, "step"), json_string_at(job, "system"),
           failed ? ": " : ", due ", more, failed ? "" : " UTC");
    print_line(watch);
    free(more);
}

/* At most so many: a drawing higher than the terminal could not be replaced. */
static void draw_jobs(struct watch *watch, const json_t *jobs)
{
    int room = watch->lines + JOBS_SHOWN;
    size_t i;
    json_t *job;
    json_array_foreach(jobs, i, job)
    {
        if (watch->lines < room) {
            draw_job(watch, job);
        }
    }
}

static void draw(struct watch *watch)
{
    const json_t *offboarding = json_object_get(watch->progress, "offboarding");
    const json_t *phases = json_object_get(watch->progress, "phases");
    if (watch->lines) {
        printf("\033[%dA", watch->lines);
    }
    watch->lines = 0;
    printf("\033[?7l"); /* a line too long is cut, not wrapped: the count of lines must be right */
    printf("%s  %s  %s  %lld%%", watch->id, json_string_at(offboarding, "runbook"),
           json_string_at(offboarding, "status"), (long long)json_int_at(offboarding, "percent", 0));
    print_line(watch);
    int width = 0;
    size_t i;
    json_t *row;
    json_array_foreach(phases, i, row)
    {
        int len = (int)json_string_length(json_object_get(row, "phase"));
        width = len > width ? len : width;
    }
    json_array_foreach(phases, i, row)
    {
        draw_bar(watch, row, width);
    }
    draw_jobs(watch, json_object_get(watch->progress, "jobs"));
    printf("\033[J\033[?7h"); /* erases the lines that are no longer needed */
}

/* ---- a pipe or a file -------------------------------------------------------------------------------------------------- */

static void print_changed(const json_t *old, const json_t *new, const char *what, const char *name, const char *key)
{
    const char *before = json_string_at(old, key);
    const char *now = json_string_at(new, key);
    const char *more = json_string_at(new, strcmp(key, "state") == 0 ? "outcome" : "");
    if (!now || (before && strcmp(before, now) == 0)) {
        return;
    }
    char at[TIME_TEXT_SIZE];
    time_format(time_now(), at);
    printf("%.8s  %-11s %-14s %s%s%s\n", at + 11, what, name, now, more && strcmp(more, now) != 0 ? ", " : "",
           more && strcmp(more, now) != 0 ? more : "");
}

/* The rows of `key` that changed. A plan's rows keep their places: row i is row i of the look before. */
static void print_changed_rows(const json_t *old, const json_t *new, const char *key, const char *what,
                               const char *name, const char *status)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(new, key), i, row)
    {
        print_changed(json_array_get(json_object_get(old, key), i), row, what, json_string_at(row, name), status);
    }
}

/* At first from the whole to its parts, then the parts that made the whole change. */
static void print_changes(const json_t *old, const json_t *new)
{
    if (old) {
        print_changed_rows(old, new, "jobs", "job", "step", "state");
        print_changed_rows(old, new, "phases", "phase", "phase", "status");
    }
    print_changed(json_object_get(old, "offboarding"), json_object_get(new, "offboarding"), "offboarding",
                  json_string_at(new, "offboarding.runbook"), "status");
    if (!old) {
        print_changed_rows(old, new, "phases", "phase", "phase", "status");
        print_changed_rows(old, new, "jobs", "job", "step", "state");
    }
}

/* ---- watching ---------------------------------------------------------------------------------------------------------- */

/* Shows what is new, and remembers it; takes `progress` over. */
static void show(struct watch *watch, json_t *progress)
{
    bool same = watch->progress && json_equal(watch->progress, progress);
    json_t *old = watch->progress;
    watch->progress = progress;
    if (!same && watch->how->json) {
        char *text = json_text(progress);
        printf("%s\n", text);
        free(text);
    } else if (!same && watch->bars) {
        draw(watch);
    } else if (!same) {
        print_changes(old, progress);
    }
    fflush(stdout);
    json_decref(old);
}

/* Is there nothing that runs or is due? What the plan has for later is left. A job that waits for one that failed waits for ever. */
static bool at_rest(const struct watch *watch)
{
    const char *status = json_string_at(watch->progress, "offboarding.status");
    size_t i;
    json_t *job;
    json_array_foreach(json_object_get(watch->progress, "jobs"), i, job)
    {
        const char *state = json_string_at(job, "state");
        const char *due = json_string_at(job, "due_at");
        int64_t at = 0;
        bool later = due && time_parse(due, &at, NULL) == 0 && at > time_now();
        if (state && strcmp(state, "ready") == 0 && !later) {
            return false;
        }
    }
    return status && strcmp(status, "initiated") == 0;
}

/* -1: go on; else the exit code. */
static int ended(const struct watch *watch)
{
    const char *status = json_string_at(watch->progress, "offboarding.status");
    if (status && strcmp(status, "completed") == 0) {
        return CLI_OK;
    }
    if (status && strcmp(status, "cancelled") == 0) {
        return cli_fail(CLI_REFUSED, "the offboarding was cancelled");
    }
    if (status && strcmp(status, "duplicate") == 0) {
        return cli_fail(CLI_REFUSED, "another offboarding is about the same person: offboard status %s", watch->id);
    }
    if (watch->how->now && at_rest(watch)) {
        int failed = (int)json_int_at(watch->progress, "offboarding.failed", 0);
        return failed ? cli_fail(CLI_REFUSED, "%d job%s failed: offboard status %s", failed, failed == 1 ? "" : "s",
                                 watch->id)
                      : CLI_OK;
    }
    if (watch->deadline && time_monotonic() >= watch->deadline) {
        return cli_fail(CLI_REFUSED, "it has not ended within %s", watch->how->timeout);
    }
    return -1;
}

/* A look that failed: -1 to look again. An offboarding that was just started may not be recorded yet, and a database that
 * goes away comes back. */
static int missed(const struct watch *watch, struct err *err)
{
    int64_t now = time_monotonic();
    bool patient =
        err->class == ERR_RETRY ? watch->progress != NULL : watch->progress == NULL && err->class == ERR_PERMANENT;
    if (patient && now < watch->seen_at + PATIENCE && (!watch->deadline || now < watch->deadline)) {
        err_release(err);
        return -1;
    }
    return cli_fail_err(CLI_NOT_FOUND, err);
}

static int watch_loop(struct watch *watch)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    watch->seen_at = time_monotonic();
    for (;;) {
        struct err err = ERR_INIT;
        json_t *progress = cli_progress(watch->cli, watch->id, &err);
        int code;
        if (progress) {
            watch->seen_at = time_monotonic();
            show(watch, progress);
            code = ended(watch);
        } else {
            code = missed(watch, &err);
        }
        if (code >= 0) {
            return code;
        }
        nanosleep(&pause, NULL);
    }
}

int cli_watch_timeout(const char *timeout, const char *option)
{
    struct err err = ERR_INIT;
    int64_t duration;
    if (timeout && time_parse_duration(timeout, &duration, &err) != 0) {
        err_prefix(&err, "--%s", option);
        return cli_fail_err(CLI_USAGE, &err);
    }
    return CLI_OK;
}

int cli_watch(struct cli *cli, const char *id, const struct cli_watching *how)
{
    int64_t timeout = 0;
    if (how->timeout) {
        time_parse_duration(how->timeout, &timeout, NULL);
    }
    struct watch watch = {.cli = cli,
                          .how = how,
                          .id = id,
                          .deadline = how->timeout ? time_monotonic() + timeout : 0,
                          .bars = !how->plain && !how->json && isatty(STDOUT_FILENO)};
    int code = watch_loop(&watch);
    json_decref(watch.progress);
    return code;
}

static int watch_run(struct cli *cli, int argc, char **argv)
{
    if (argc != 1) {
        return cli_fail(CLI_USAGE, "usage: offboard watch OFFBOARDING [--now] [--timeout TIME]");
    }
    int code = cli_watch_timeout(opt.timeout, "timeout");
    if (code != CLI_OK) {
        return code;
    }
    struct err err = ERR_INIT;
    char *id = cli_offboarding_id(cli, argv[0], &err);
    code = id ? cli_watch(cli, id, &opt) : cli_fail_err(CLI_NOT_FOUND, &err);
    free(id);
    return code;
}

const struct command command_watch = {
    .name = "watch",
    .arguments = "OFFBOARDING [--now] [--timeout TIME] [--plain]",
    .summary = "Shows an offboarding live, a bar for each phase, until it has ended.",
    .details =
        "In a bar `#` is done, `!` failed, `.` still to come. Where standard output is no terminal, a line for each\n"
        "change instead. An id that `offboard start` just printed is waited for, 30 seconds at most.\n"
        "Exit codes: 0 completed; 1 cancelled, or not ended within --timeout; 4 not recorded.\n\n"
        "  offboard watch jane@example.com\n"
        "  offboard watch jane@example.com --now                 until nothing runs or is due; 1 when something "
        "failed\n"
        "  offboard watch 5f0d2a4c --timeout 5m --json           a line of JSON for each change",
    .options = (const struct cli_option[]){{"now", NULL, "what is to happen later is not waited for", NULL, &opt.now},
                                           {"timeout", "TIME", "give up after this long (5m, 30s)", &opt.timeout, NULL},
                                           {"plain", NULL, "lines instead of bars", NULL, &opt.plain},
                                           {"json", NULL, "print JSON lines: {offboarding, phases, jobs, followers}",
                                            NULL, &opt.json},
                                           {NULL, NULL, NULL, NULL, NULL}},
    .run = watch_run,
};
