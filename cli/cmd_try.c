/* offboard try: one action of one connector, at once: no Kafka, no database, a dry run unless --live. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/mapping.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/time.h"

static struct {
    const char *email, *employee_id, *user, *with, *ids, *steps, *state, *before;
    bool json, live, show;
} opt;

/* An option whose value is a JSON object, `{}` when it is not given. NULL with an err. */
static json_t *object_of(const char *name, const char *text, struct err *err)
{
    json_t *value = text ? json_parse(text, strlen(text), err) : json_object();
    if (value && !json_is_object(value)) {
        json_decref(value);
        value = NULL;
        err_set(err, ERR_PERMANENT, "a JSON object is wanted, as '{\"name\": \"value\"}'");
    }
    if (!value) {
        err_prefix(err, "--%s", name);
    }
    return value;
}

/* Sets `key` of `into` to the option's object. */
static int put_object(json_t *into, const char *key, const char *option, const char *text, struct err *err)
{
    json_t *value = object_of(option, text, err);
    if (value) {
        json_object_set_new(into, key, value);
    }
    return value ? 0 : -1;
}

/* The same job has the same id, so that what is done only once is found when it is tried again. NULL with an err. */
static json_t *job_message(const char *system, const char *action, struct err *err)
{
    char offboarding[ID_SIZE], job_id[ID_SIZE], now[TIME_TEXT_SIZE];
    const char *person = opt.email ? opt.email : opt.employee_id;
    id_offboarding("/offboard/try", person, offboarding);
    char *step = mem_printf("%s/%s/%s", system, action, opt.with ? opt.with : "");
    id_job(offboarding, "try", step, job_id);
    free(step);
    time_format(time_now(), now);
    json_t *job = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:n}", "id", job_id, "phase", "try", "step", action,
                            "system", system, "action", action, "attempt", 1, "state");
    json_t *message = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s}, s:o}", "version",
                                MESSAGE_VERSION, "id", offboarding, "runbook", "try", "source", "/offboard/try", "mode",
                                opt.live ? "live" : "dry_run", "received_at", now, "effective_at", now, "actor", "kind",
                                "person", "id", "try", "name", "offboard try", "job", job);
    bool ok = put_object(message, "user", "user", opt.user, err) == 0 &&
              put_object(message, "ids", "ids", opt.ids, err) == 0 &&
              put_object(job, "with", "with", opt.with, err) == 0 &&
              put_object(job, "steps", "steps", opt.steps, err) == 0 &&
              (!opt.before || put_object(job, "before", "before", opt.before, err) == 0) &&
              (!opt.state || put_object(job, "state", "state", opt.state, err) == 0);
    if (!ok) {
        json_decref(message);
        return NULL;
    }
    json_t *user = json_object_get(message, "user");
    json_put_string(user, "email", opt.email);
    json_put_string(user, "employee_id", opt.employee_id);
    if (mapping_tidy_person(user, "user", err) != 0 ||
        mapping_check_email("user.email", json_object_get(user, "email"), err) != 0) {
        json_decref(message);
        return NULL;
    }
    return message;
}

/* ---- what it said ------------------------------------------------------------------------------------------------ */

/* Every line of `text`, indented; what could move the terminal's cursor is a blank. */
static void print_lines(const char *mark, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        printf("         %s", mark);
        for (size_t i = 0; i < len; i++) {
            unsigned char c = (unsigned char)text[i];
            putchar(c < ' ' || c == 0x7f ? ' ' : c);
        }
        printf("\n");
        text += len + (text[len] != '\0');
    }
}

static void print_message(const char *mark, const json_t *part)
{
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(part, "headers"), i, line)
    {
        print_lines(mark, json_string_value(line));
    }
    if (json_string_at(part, "body")) {
        printf("         %s\n", mark);
        print_lines(mark, json_string_at(part, "body"));
    }
}

static void print_call(const json_t *call)
{
    bool unsent = json_true_at(call, "dry_run");
    printf("  %-6s %s", json_string_at(call, "method"), json_string_at(call, "url"));
    if (unsent) {
        printf("  (not sent: dry run%s)\n",
               json_true_at(call, "uncertain") ? "; whether it is sent depends on an answer before it" : "");
    } else if (json_string_at(call, "error")) {
        printf("  no answer: %s\n", json_string_at(call, "error"));
    } else {
        printf("  %lld, %lld ms\n", (long long)json_int_at(call, "status", 0), (long long)json_int_at(call, "ms", 0));
    }
    if (opt.show) {
        print_message("> ", json_object_get(call, "sent"));
        print_message("< ", json_object_get(call, "received"));
    } else if (unsent && json_string_at(call, "sent.body")) {
        print_lines("", json_string_at(call, "sent.body"));
    }
}

static void print_calls(const json_t *said)
{
    const json_t *calls = json_object_get(said, "trace");
    size_t all = json_array_size(json_object_get(said, "calls")) + (size_t)json_int_at(said, "calls_left_out", 0);
    size_t i;
    json_t *call;
    json_array_foreach(calls, i, call)
    {
        print_call(call);
    }
    if (json_array_size(calls) < all) {
        printf("  and %zu more calls\n", all - json_array_size(calls));
    }
}

static void print_part(const json_t *said, const char *name)
{
    const json_t *value = json_object_get(said, name);
    bool empty = !value || json_is_null(value) || (json_is_object(value) && json_object_size(value) == 0);
    if (!empty) {
        char *text = json_text(value);
        printf("%-9s %s\n", name, text);
        free(text);
    }
}

/* Where the job would go on; it may hold thousands of ids. */
static void print_state(const json_t *state)
{
    const char *account;
    json_t *place;
    json_object_foreach(json_object_get(state, "accounts"), account, place)
    {
        const char *ended = json_string_at(place, "ended");
        const json_t *items = json_object_get(place, "items_left");
        printf("%-9s %s%s", "state", *account ? account : "no account", ended ? " has ended: " : "");
        if (ended) {
            printf("%s", ended);
        } else {
            printf(" is at request %lld", (long long)json_int_at(place, "at", 0) + 1);
        }
        if (items) {
            printf(", %zu items left", json_array_size(items));
        }
        printf("; --json prints it, for --state\n");
    }
}

static void print_result(const json_t *said)
{
    static const char *const parts[] = {"pinned", "outputs", "provides", "before",
                                        "escrow", "open",    "verified", "due_at"};
    print_calls(said);
    printf("%-9s %s\n", "outcome", json_string_at(said, "outcome"));
    char *message = cli_text(json_object_get(said, "message"));
    printf("%-9s %s\n", "message", message);
    free(message);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        print_part(said, parts[i]);
    }
    print_state(json_object_get(said, "state"));
}

static bool went_well(const json_t *said)
{
    static const char *const bad[] = {"failed", "blocked", "denied", "cancelled"};
    const char *outcome = json_string_at(said, "outcome");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (!outcome || strcmp(outcome, bad[i]) == 0) {
            return false;
        }
    }
    return true;
}

static int run_message(struct cli *cli, const json_t *message)
{
    const char *const options[] = {"--try", "--system", json_string_at(json_object_get(message, "job"), "system"),
                                   NULL};
    char *input = json_text(message);
    char *output = NULL;
    int code = cli_worker(cli, options, input, &output);
    free(input);
    json_t *said = code == CLI_OK ? json_parse(output, strlen(output), NULL) : NULL;
    free(output);
    if (!said) {
        return code == CLI_OK ? cli_fail(CLI_AWAY, "the worker said nothing that can be read") : code;
    }
    if (opt.json) {
        if (!opt.show) {
            json_object_del(said, "trace");
        }
        cli_print_json(said);
    } else {
        print_result(said);
    }
    code = went_well(said) ? CLI_OK : CLI_REFUSED;
    json_decref(said);
    return code;
}

static int try_run(struct cli *cli, int argc, char **argv)
{
    struct err err = ERR_INIT;
    if (argc != 2 || (!opt.email && !opt.employee_id)) {
        return cli_fail(CLI_USAGE, "usage: offboard try SYSTEM ACTION --email EMAIL [--live]");
    }
    json_t *message = job_message(argv[0], argv[1], &err);
    if (!message) {
        return cli_fail_err(CLI_USAGE, &err);
    }
    int code = run_message(cli, message);
    json_decref(message);
    return code;
}

const struct command command_try = {
    .name = "try",
    .arguments = "SYSTEM ACTION --email EMAIL",
    .summary = "Runs one action of a connector at once, as a dry run unless --live: for who writes one.",
    .details =
        "Neither Kafka nor the database is needed, and nothing is put on record. Exit code 1 when it failed, was\n"
        "blocked or denied. A deferred action goes on with --state and the state that --json prints.\n\n"
        "  offboard try scim deactivate_user --email jane@example.com\n"
        "  offboard try jira comment --email jane@example.com --live \\\n"
        "      --with '{\"issue\": \"IT-7\", \"text\": \"hello\"}'",
    .options =
        (const struct cli_option[]){
            {"email", "EMAIL", "the leaver's e-mail", &opt.email, NULL},
            {"employee-id", "ID", "the leaver's employee id", &opt.employee_id, NULL},
            {"user", "JSON", "more about the leaver, as '{\"name\": \"Jane\", \"manager\": {…}}'", &opt.user, NULL},
            {"with", "JSON", "the action's parameters", &opt.with, NULL},
            {"ids", "JSON", "accounts that are known, as '{\"scim\": [\"7\"]}'", &opt.ids, NULL},
            {"steps", "JSON", "results of earlier steps", &opt.steps, NULL},
            {"state", "JSON", "where a deferred action goes on", &opt.state, NULL},
            {"before", "JSON", "of an undo: the before-images, as an earlier try has printed them", &opt.before, NULL},
            {"live", NULL, "really make the changes", NULL, &opt.live},
            {"show", NULL, "headers and bodies of every call, secrets masked", NULL, &opt.show},
            {"json", NULL, "all that would be on record", NULL, &opt.json},
            {NULL, NULL, NULL, NULL, NULL}},
    .run = try_run,
};
