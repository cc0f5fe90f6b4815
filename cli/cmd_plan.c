/* offboard plan: what would happen, offline: an event or a request is read, checked and mapped as the producer does it, planned, and
 * the conditions are decided that can be decided before any vendor has answered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/plan.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/polled.h"
#include "lib/submission.h"
#include "lib/time.h"
#include "lib/webhook.h"
#include "lib/yaml.h"

static struct {
    const char *at, *country, *file, *keys, *manager, *poll, *request, *runbook, *source, *zone;
    struct cli_values headers;
    bool json;
} opt;

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* What `offboard start EMAIL` would send. */
static json_t *event_for(const char *person)
{
    json_t *user = json_object();
    json_put_string(user, strchr(person, '@') ? "email" : "employee_id", person);
    json_put_string(user, "country", opt.country);
    if (opt.manager) {
        json_put(user, "manager", json_pack("{s:s}", "email", opt.manager));
    }
    json_t *event = json_object();
    json_put_string(event, "id", "plan");
    json_put(event, "user", user);
    json_put_string(event, "runbook", opt.runbook);
    json_put_string(event, "effective_at", opt.at);
    json_put_string(event, "zone", opt.zone);
    return event;
}

static int examine(struct planning *planning, json_t *event, struct err *err)
{
    struct mapped mapped;
    if (submission_examine(planning->definitions, planning->cli->conf, event, "offboard-plan", opt.source, time_now(),
                           &mapped, err) != 0) {
        return -1;
    }
    plan_show(planning, event, &mapped);
    mapped_release(&mapped);
    return 0;
}

/* One event that can't be right fails the command; of several each is told by itself. */
static int examine_all(struct planning *planning, const json_t *events, struct err *err)
{
    size_t i, count = json_array_size(events);
    json_t *event;
    json_array_foreach(events, i, event)
    {
        struct err why = ERR_INIT;
        plan_heading(planning, i + 1, count, event);
        bool failed = examine(planning, event, &why) != 0;
        if (failed && count == 1) {
            *err = why;
            return -1;
        }
        if (failed) {
            plan_refused(planning, event, "refused", err_text(&why));
        }
        err_release(&why);
    }
    return 0;
}

/* POST /v1/offboardings. */
static int plan_submission(struct planning *planning, const struct request *request, struct err *err)
{
    bool batch;
    int status;
    json_t *events = submission_events(request, "offboard-plan", &batch, &status, err);
    int result = events ? examine_all(planning, events, err) : -1;
    json_decref(events);
    return result;
}

static int plan_person(struct planning *planning, const char *person, struct err *err)
{
    json_t *headers = json_pack("{s:s}", "content-type", "application/json"), *event = event_for(person);
    char *body = json_text(event);
    int result = plan_submission(planning, &(struct request){"POST", headers, body, strlen(body)}, err);
    free(body);
    json_decref(event);
    json_decref(headers);
    return result;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static int find_source(const struct planning *planning, const char *name, const struct definition **source,
                       struct err *err)
{
    *source = definition_find(planning->definitions, DEFINITION_SOURCE, name);
    const char *near = *source ? NULL : definition_nearest(planning->definitions, DEFINITION_SOURCE, name);
    return *source ? 0
                   : err_set(err, ERR_PERMANENT, "there is no source \"%s\"%s%s%s", name,
                             near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int plan_to_source(struct planning *planning, const char *name, struct request *request, json_t **said,
                          struct err *err)
{
    const struct definition *source;
    if (find_source(planning, name, &source, err) != 0) {
        return -1;
    }
    if (!webhook_open(source)) {
        return err_set(err, ERR_PERMANENT, "source \"%s\" takes no requests: it has no signature, token or jwt", name);
    }
    return plan_request(planning, source, request, opt.keys, said, err);
}

/* --request FILE: the path says what it asks for. */
static int plan_raw_request(struct planning *planning, json_t **said, struct err *err)
{
    static const char sources[] = "/v1/sources/";
    struct raw_request raw;
    if (raw_request_read(opt.request, &raw, err) != 0) {
        return -1;
    }
    const char *below = strncmp(raw.path, sources, strlen(sources)) == 0 ? raw.path + strlen(sources) : NULL;
    int result = opt.source || below
                     ? plan_to_source(planning, opt.source ? opt.source : below, &raw.request, said, err)
                 : strcmp(raw.path, "/v1/offboardings") == 0 && strcmp(raw.method, "POST") == 0
                     ? plan_submission(planning, &raw.request, err)
                     : err_set(err, ERR_PERMANENT,
                               "it must be a request to /v1/sources/<source>, or a POST to /v1/offboardings, not %s %s",
                               raw.method, raw.path);
    raw_request_release(&raw);
    return result;
}

/* A Content-Type for a body that none is given for. */
static const char *guess_type(const char *text, size_t len)
{
    json_t *body = json_parse(text, len, NULL);
    const json_t *first = json_is_array(body) ? json_array_get(body, 0) : body;
    bool event = json_object_get(first, "specversion") != NULL;
    const char *type = event && json_is_array(body) ? "application/cloudevents-batch+json"
                       : event                      ? "application/cloudevents+json"
                       : body || !strchr(text, '=') ? "application/json"
                                                    : "application/x-www-form-urlencoded";
    json_decref(body);
    return type;
}

static int read_headers(json_t *headers, struct err *err)
{
    for (size_t i = 0; i < opt.headers.count; i++) {
        const char *line = opt.headers.items[i];
        if (raw_header_add(headers, line, strlen(line), err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Is the file a request to the source's address, rather than an event that it maps? */
static bool is_request(const struct definition *source, const struct request *request)
{
    bool event = strncmp(request_header(request, "content-type"), "application/cloudevents", 23) == 0;
    return opt.headers.count > 0 || (json_object_get(source->tree, "event") && !event);
}

/* --file FILE: a body, with --header its headers. */
static int plan_body(struct planning *planning, struct request *request, json_t **said, struct err *err)
{
    const struct definition *source;
    if (opt.source && find_source(planning, opt.source, &source, err) != 0) {
        return -1;
    }
    return opt.source && webhook_open(source) && is_request(source, request)
               ? plan_request(planning, source, request, opt.keys, said, err)
               : plan_submission(planning, request, err);
}

static int plan_file(struct planning *planning, json_t **said, struct err *err)
{
    size_t len = 0;
    json_t *headers = json_object();
    char *text = read_headers(headers, err) == 0 ? yaml_read_file(opt.file, &len, err) : NULL;
    int result = -1;
    if (text) {
        if (!json_object_get(headers, "content-type")) {
            request_add_header(headers, "content-type", guess_type(text, len));
        }
        struct request request = {"POST", headers, text, len};
        result = plan_body(planning, &request, said, err);
        if (result != 0) {
            err_prefix(err, "%s", opt.file);
        }
    }
    free(text);
    json_decref(headers);
    return result;
}

/* ---- what a poll found ------------------------------------------------------------------------------------------- */

static void plan_item(struct planning *planning, const struct definition *source, const json_t *item, size_t number,
                      size_t count, const char *now)
{
    struct err err = ERR_INIT;
    struct mapped mapped = {0};
    json_t *event = polled_event(planning->definitions, source, item, now, &err);
    plan_heading(planning, number, count, event);
    if (!event) {
        plan_refused(planning, NULL, "unreadable", err_text(&err));
    } else if (mapping_apply(planning->definitions, planning->cli->conf, event, NULL, time_now(), &mapped, &err) != 0) {
        plan_refused(planning, event, "refused", err_text(&err));
    } else {
        plan_show(planning, event, &mapped);
    }
    mapped_release(&mapped);
    json_decref(event);
    err_release(&err);
}

/* The file has the action's outputs; or it is the list of items itself. */
static json_t *read_items(struct planning *planning, const struct definition *source, const char *now, struct err *err)
{
    size_t len = 0;
    char *text = yaml_read_file(opt.poll, &len, err);
    json_t *given = text ? json_parse(text, len, err) : NULL;
    json_t *items = json_is_array(given) ? json_incref(given)
                    : given              ? polled_items(planning->definitions, source, given, now, err)
                                         : NULL;
    json_decref(given);
    free(text);
    if (!items) {
        err_prefix(err, "%s", opt.poll);
    }
    return items;
}

static int plan_poll(struct planning *planning, struct err *err)
{
    const struct definition *source;
    char now[TIME_TEXT_SIZE];
    if (find_source(planning, opt.source, &source, err) != 0) {
        return -1;
    }
    if (!json_object_get(source->tree, "poll")) {
        return err_set(err, ERR_PERMANENT, "source \"%s\" has no poll", opt.source);
    }
    time_format(time_now(), now);
    json_t *items = read_items(planning, source, now, err);
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        plan_item(planning, source, item, i + 1, json_array_size(items), now);
    }
    bool read = items != NULL;
    json_decref(items);
    return read ? 0 : -1;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

/* One event is printed as itself; several, and what is said of their request, as one object. `said` may be NULL. */
static void print_told(const struct planning *planning, json_t *said)
{
    if (!said && json_array_size(planning->told) == 1) {
        cli_print_json(json_array_get(planning->told, 0));
        return;
    }
    json_t *all = said ? json_incref(said) : json_object();
    json_object_set(all, "events", planning->told);
    cli_print_json(all);
    json_decref(all);
}

static int plan_given(struct planning *planning, const char *person, struct err *err)
{
    json_t *said = NULL;
    int result = opt.request ? plan_raw_request(planning, &said, err)
                 : opt.poll  ? plan_poll(planning, err)
                 : opt.file  ? plan_file(planning, &said, err)
                             : plan_person(planning, person, err);
    if (result == 0 && opt.json) {
        print_told(planning, said);
    }
    json_decref(said);
    return result;
}

static int plan_run(struct cli *cli, int argc, char **argv)
{
    int given = (argc > 0) + (opt.file != NULL) + (opt.request != NULL) + (opt.poll != NULL);
    bool person =
        opt.at || opt.country || opt.manager || opt.runbook || opt.zone; /* these say what an event says itself */
    if (given != 1 || argc > 1 || (person && argc == 0) || (opt.headers.count && !opt.file) ||
        (opt.poll && !opt.source)) {
        return cli_fail(CLI_USAGE,
                        "usage: offboard plan EMAIL [--at …] | --file FILE [--source NAME [--header LINE]…] | "
                        "--request FILE | --poll FILE --source NAME");
    }
    struct err err = ERR_INIT;
    struct definitions *definitions =
        definitions_load_or_fail(cli->conf, &(struct definition_use){.sources = true, .runbooks = true}, &err);
    if (!definitions) {
        return cli_fail_err(CLI_USAGE, &err);
    }
    struct planning planning = {
        .cli = cli, .definitions = definitions, .json = opt.json, .told = json_array(), .code = CLI_OK};
    int code =
        plan_given(&planning, argc ? argv[0] : NULL, &err) == 0 ? (int)planning.code : cli_fail_err(CLI_REFUSED, &err);
    json_decref(planning.told);
    definitions_free(definitions);
    return code;
}

const struct command command_plan = {
    .name = "plan",
    .arguments = "EMAIL | --file FILE [--source NAME] | --request FILE | --poll FILE --source NAME",
    .summary = "Shows what an event or a request would do: how it maps, what runs when; offline.",
    .details =
        "Reads and checks as the producer does, and publishes nothing.\n\n"
        "  offboard plan jane@example.com --runbook scim-leaver --at 2026-12-31 --zone Europe/Berlin\n"
        "  offboard plan --file event.json --source workday              an event, by the source of that name\n"
        "  offboard plan --file body.json --source okta-hook --header 'Authorization: …'\n"
        "                                                                a request to /v1/sources/okta-hook\n"
        "  offboard plan --request kept.http                             a whole request, as it came over the wire\n"
        "  offboard plan --poll outputs.json --source oomnitza           what the polled action's outputs would start",
    .options =
        (const struct cli_option[]){
            {"runbook", "NAME", "runbook (default: the source's)", &opt.runbook, NULL},
            {"at", "DATE", "when access ends: a date, or a date-time; default: now", &opt.at, NULL},
            {"zone", "ZONE", "IANA zone of a date, and of a time without an offset", &opt.zone, NULL},
            {"manager", "EMAIL", "the leaver's manager", &opt.manager, NULL},
            {"country", "CODE", "the leaver's country", &opt.country, NULL},
            {"file", "FILE", "an event, or the body of a request", &opt.file, NULL},
            {"header", "LINE", "a header of the request, Name: value; several times", NULL, NULL},
            {"request", "FILE", "a request: its first line, headers, an empty line, the body", &opt.request, NULL},
            {"poll", "FILE", "outputs of the action that the source polls, or its items, as JSON", &opt.poll, NULL},
            {"source", "NAME", "source that maps it (default: the one that takes its type)", &opt.source, NULL},
            {"keys", "FILE", "the JWK set of a sender that signs tokens", &opt.keys, NULL},
            {"json", NULL, "what became of it, with offboarding and plan as the planner would publish them", NULL,
             &opt.json},
            {NULL, NULL, NULL, NULL, NULL}},
    .values = &opt.headers,
    .run = plan_run,
};
