/* offboard start: an e-mail, an event file, or NDJSON on standard input, to the edge. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/buf.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/yaml.h"

static struct {
    const char *at, *country, *employee_id, *file, *id, *manager, *runbook, *type, *wait, *zone;
    bool dry_run, json, urgent;
} opt;

/* What the planner decided, where the edge knows it; `id` is the offboarding's. */
static int tell_decision(const json_t *answer, const char *id)
{
    const char *disposition = json_string_at(answer, "disposition"), *reason = json_string_at(answer, "reason");
    disposition = disposition ? disposition : "started";
    if (strcmp(disposition, "ignored") == 0 || strcmp(disposition, "refused") == 0) {
        return cli_fail(CLI_REFUSED, "%s: %s", disposition, reason ? reason : "no reason is known");
    }
    if (strcmp(disposition, "duplicate") == 0) {
        fprintf(stderr, "offboard: nothing new was started: %s\n", reason ? reason : "it is open already");
    } else if (strcmp(disposition, "held") == 0) {
        fprintf(stderr, "offboard: held until somebody approves it: %s\n", reason ? reason : "");
    } else if (strcmp(disposition, "moved") == 0) {
        fprintf(stderr, "offboard: it was planned already; its date or priority is changed\n");
    }
    printf("%s\n", id ? id : disposition);
    return CLI_OK;
}

/* The offboarding that the event is about. Of a duplicate another one than the event's own, which is not there. */
static const char *offboarding_of(const json_t *answer)
{
    const char *decided = json_string_at(answer, "offboarding_id");
    return decided ? decided : json_string_at(answer, "id");
}

/* POSTs one event (a CloudEvent, or a plain object with `id`) and says what came of it. `where` (NULL: on the command line) stands before an
 * error. Of many events the planner's decisions are not waited for. */
static int post_event(struct cli *cli, const json_t *event, const char *where, bool many)
{
    bool cloudevent = json_object_get(event, "specversion") != NULL;
    char *body = json_text(event);
    json_t *answer = NULL;
    struct err err = ERR_INIT;
    static const char *const wait[] = {"Prefer: wait=5", NULL};
    int result =
        cli_edge_post(cli, "/v1/offboardings", cloudevent ? "application/cloudevents+json" : "application/json",
                      many ? NULL : wait, body, &answer, &err);
    free(body);
    if (result != 0) {
        if (where) {
            err_prefix(&err, "%s", where);
        }
        return cli_fail_err(CLI_REFUSED, &err);
    }
    const char *id = offboarding_of(answer);
    int code = CLI_OK;
    if (opt.json) {
        char *text = json_text(answer);
        printf("%s\n", text);
        free(text);
    } else {
        code = tell_decision(answer, id);
    }
    fflush(stdout);
    if (code == CLI_OK && opt.wait && id) {
        code = (int)cli_watch(cli, id, &(struct cli_watching){opt.wait, true, opt.json, true});
    }
    json_decref(answer);
    return code;
}

static json_t *event_for(const char *person)
{
    json_t *user = json_object();
    json_put_string(user, strchr(person, '@') ? "email" : "employee_id", person);
    json_put_string(user, "employee_id", opt.employee_id);
    json_put_string(user, "country", opt.country);
    if (opt.manager) {
        json_put(user, "manager", json_pack("{s:s}", "email", opt.manager));
    }
    char id[ID_SIZE];
    id_v7(id);
    json_t *event = json_object();
    json_put_string(event, "id", opt.id ? opt.id : id);
    json_put_string(event, "type", opt.type);
    json_put(event, "user", user);
    json_put_string(event, "runbook", opt.runbook);
    json_put_string(event, "effective_at", opt.at);
    json_put_string(event, "zone", opt.zone);
    json_put_string(event, "mode", opt.dry_run ? "dry_run" : NULL);
    json_put_string(event, "priority", opt.urgent ? "urgent" : NULL);
    cli_put_requester(event);
    return event;
}

static int start_person(struct cli *cli, const char *person)
{
    json_t *event = event_for(person);
    int code = post_event(cli, event, NULL, false);
    json_decref(event);
    return code;
}

static int start_file(struct cli *cli, const char *path)
{
    struct err err = ERR_INIT;
    size_t len;
    char *text = yaml_read_file(path, &len, &err);
    json_t *event = text ? json_parse(text, len, &err) : NULL;
    free(text);
    if (!event) {
        err_prefix(&err, "%s", path);
        return cli_fail_err(CLI_REFUSED, &err);
    }
    int code = post_event(cli, event, path, false);
    json_decref(event);
    return code;
}

/* The JSON of line `number`. The parser, which sees this line alone, calls it line 1: its text is left without that. */
static json_t *parse_line(const char *line, size_t len, long number, struct err *err)
{
    struct err parser = ERR_INIT;
    json_t *event = json_parse(line, len, &parser);
    if (!event) {
        static const char own[] = "line 1, ";
        char *at = strstr(parser.text, own);
        char *rest = at ? mem_strdup(at + strlen(own)) : NULL;
        if (at) {
            *at = '\0';
        }
        err_set(err, ERR_PERMANENT, "line %ld: %s%s", number, parser.text, rest ? rest : "");
        free(rest);
    }
    err_release(&parser);
    return event;
}

/* One JSON object a line; a bad line is said with its number and the next is read. The worst code of all lines. */
static int start_lines(struct cli *cli, FILE *in)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    int worst = CLI_OK;
    for (long number = 1; (len = getline(&line, &cap, in)) >= 0; number++) {
        if (strspn(line, " \t\r\n") == (size_t)len) {
            continue;
        }
        char *where = mem_printf("line %ld", number);
        struct err err = ERR_INIT;
        json_t *event = parse_line(line, (size_t)len, number, &err);
        int code = event ? post_event(cli, event, where, true) : cli_fail_err(CLI_REFUSED, &err);
        worst = code > worst ? code : worst;
        json_decref(event);
        free(where);
        if (code == CLI_AWAY) {
            cli_fail(CLI_AWAY, "stopped at line %ld; the lines before it were taken", number);
            break;
        }
    }
    free(line);
    return worst;
}

static int start_run(struct cli *cli, int argc, char **argv)
{
    int code = cli_watch_timeout(opt.wait, "wait");
    if (code != CLI_OK) {
        return code;
    }
    if (opt.file && argc == 0) {
        return start_file(cli, opt.file);
    }
    if (argc != 1 || opt.file) {
        return cli_fail(CLI_USAGE, "usage: offboard start EMAIL | --file EVENT.json | -");
    }
    return strcmp(argv[0], "-") == 0 ? start_lines(cli, stdin) : start_person(cli, argv[0]);
}

const struct command command_start = {
    .name = "start",
    .arguments = "EMAIL|EMPLOYEE-ID | --file EVENT.json | -",
    .summary = "Starts an offboarding (or many: NDJSON on standard input).",
    .details =
        "Prints the offboarding's id once Kafka has the event. Where the edge can tell what the planner decided\n"
        "(postgres.edge), it says so, too: of somebody who is leaving already it prints the id of that offboarding, "
        "and it\n"
        "ends with 1 when the event was refused or ignored. The same id twice is one offboarding.\n\n"
        "  offboard start jane@example.com --runbook scim-leaver\n"
        "  offboard start jane@example.com --at 2026-12-31 --zone Europe/Berlin    at the end of that day\n"
        "  offboard start jane@example.com --urgent                                ahead of all others\n"
        "  offboard start jane@example.com --dry-run                               reads only\n"
        "  offboard start jane@example.com --dry-run --wait 5m                     and tells until nothing more is "
        "due\n"
        "  offboard start --file event.json                                        a CloudEvent, or {id, user, …}\n"
        "  offboard start - < leavers.ndjson                                       one object a line",
    .options =
        (const struct cli_option[]){
            {"runbook", "NAME", "runbook (default: the source's)", &opt.runbook, NULL},
            {"at", "DATE", "when access ends: a date (the end of that day) or a date-time; default: now", &opt.at,
             NULL},
            {"zone", "ZONE", "IANA zone of a date, and of a time without an offset", &opt.zone, NULL},
            {"manager", "EMAIL", "the leaver's manager", &opt.manager, NULL},
            {"employee-id", "ID", "the leaver's employee id", &opt.employee_id, NULL},
            {"country", "CODE", "the leaver's country (ISO 3166, DE)", &opt.country, NULL},
            {"urgent", NULL, "use the urgent lane", NULL, &opt.urgent},
            {"dry-run", NULL, "plan and read, change nothing", NULL, &opt.dry_run},
            {"wait", "TIME", "then watch until nothing runs or is due, this long at most; 1 when something failed",
             &opt.wait, NULL},
            {"id", "KEY", "idempotency key (default: a new one)", &opt.id, NULL},
            {"type", "TYPE", "leaver.created (default), leaver.changed, leaver.cancelled, leaver.rehired", &opt.type,
             NULL},
            {"file", "FILE", "a JSON file with one event", &opt.file, NULL},
            {"json", NULL, "print the edge's answer", NULL, &opt.json},
            {NULL, NULL, NULL, NULL, NULL}},
    .run = start_run,
};
