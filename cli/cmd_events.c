/* offboard events: the audit of one offboarding, in the order in which things happened. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/json.h"
#include "lib/mem.h"

static struct {
    const char *step;
    bool calls, json;
} opt;

static const char timeline_sql[] = "SELECT to_jsonb(t) FROM analyst.timeline t"
                                   " WHERE t.offboarding_id = $1::uuid AND ($2::text IS NULL OR t.step = $2)"
                                   " ORDER BY t.occurred_at, t.recorded_at, t.topic, t.kafka_partition, t.kafka_offset";

static const char offboarding_sql[] =
    "SELECT to_jsonb(o) FROM analyst.offboardings o WHERE o.offboarding_id = $1::uuid";

/* What the plan was made from, by the hashes it was frozen with. */
static const char definitions_sql[] =
    "SELECT to_jsonb(d) - 'text' FROM analyst.definitions d JOIN analyst.timeline t ON t.name = 'initiated'"
    " WHERE t.offboarding_id = $1::uuid AND (d.hash IN (t.body #>> '{context,plan,runbook,hash}',"
    " t.body #>> '{context,plan,source,hash}') OR d.hash IN (SELECT c.value FROM"
    " json_each_text(coalesce(t.body #> '{context,plan,connectors}', '{}')) c)) ORDER BY d.kind, d.name";

/* "09:15:00.123", and a line with the date when it is another day than before. */
static void print_time(const json_t *event, char day[11])
{
    const char *at = json_string_at(event, "occurred_at");
    if (!at || strlen(at) < 19) {
        return;
    }
    if (strncmp(day, at, 10) != 0) {
        memcpy(day, at, 10);
        printf("%s UTC\n", day);
    }
    int digits = at[19] == '.' ? (int)strspn(at + 20, "0123456789") : 0; /* PostgreSQL drops trailing zeros */
    printf("  %.8s.%.*s%.*s  ", at + 11, digits < 3 ? digits : 3, digits ? at + 20 : "", digits < 3 ? 3 - digits : 0,
           "000");
}

/* ---- columns ------------------------------------------------------------------------------------------------------------- */

enum column { NAME, PLACE, SYSTEM, COLUMNS };

/* What stands in a column, "" for nothing. Borrowed. */
static const char *cell(const json_t *event, enum column column)
{
    static const char *const sources[COLUMNS][3] = {
        {"name"}, {"step", "phase", "body.context.disposition"}, {"system"}};
    const char *text = NULL;
    for (size_t i = 0; i < COUNT_OF(sources[column]) && sources[column][i] && !text; i++) {
        text = json_string_at(event, sources[column][i]);
    }
    return text ? text : "";
}

/* As wide as the longest that stands there. */
static void measure(const json_t *events, int widths[COLUMNS])
{
    static const int least[COLUMNS] = {17, 14, 8};
    memcpy(widths, least, sizeof least);
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        for (int column = 0; column < COLUMNS; column++) {
            int length = (int)strlen(cell(event, (enum column)column));
            widths[column] = length > widths[column] ? length : widths[column];
        }
    }
}

/* ---- what happened ------------------------------------------------------------------------------------------------------- */

/* The planner's events carry their story in the context, not in a message. The caller frees. */
static char *story(const json_t *event)
{
    const char *message = json_string_at(event, "message");
    const char *reason = json_string_at(event, "body.context.reason");
    const char *type = json_string_at(event, "body.context.event.type");
    if (message && *message) {
        return mem_strdup(message);
    }
    if (type) {
        const char *source = json_string_at(event, "body.context.event.source");
        return mem_printf("%s from %s%s%s", type, source ? source : "?", reason ? ": " : "", reason ? reason : "");
    }
    if (json_at(event, "body.context.plan")) {
        const char *status = json_string_at(event, "body.context.status");
        return mem_printf("%s, effective %s: %s", json_string_at(event, "body.context.plan.runbook.name"),
                          json_string_at(event, "body.context.offboarding.effective_at"), status ? status : "");
    }
    return mem_strdup(reason ? reason : "");
}

/* Without control characters. */
static void print_plain(const char *text)
{
    json_t *told = json_string(text);
    char *shown = cli_text(told);
    printf("%s", shown);
    free(shown);
    json_decref(told);
}

static void print_message(const json_t *event)
{
    char *text = story(event);
    const char *actor = json_string_at(event, "actor");
    print_plain(text);
    if (actor && !strstr(text, actor)) {
        printf("%sby ", *text ? ", " : "");
        print_plain(actor);
    }
    free(text);
    if (json_true_at(event, "verified.ok")) {
        printf(" [read back]");
    }
    const char *note = json_string_at(event, "note");
    if (note) {
        printf(" (%s)", note);
    }
    printf("\n");
}

static void print_call(const json_t *call)
{
    char *url = cli_text(json_object_get(call, "url"));
    char *method = cli_text(json_object_get(call, "method"));
    printf("                  %3lld  %5lld ms  %-6s %s\n", (long long)json_int_at(call, "status", 0),
           (long long)json_int_at(call, "ms", 0), method, url);
    free(method);
    free(url);
}

static void print_evidence(const json_t *event)
{
    size_t i;
    json_t *call;
    json_array_foreach(json_object_get(event, "calls"), i, call)
    {
        print_call(call);
    }
    const json_t *verified = json_object_get(event, "verified");
    if (json_is_object(verified)) {
        char *expected = cli_text(json_object_get(verified, "expected"));
        char *seen = cli_text(json_object_get(verified, "seen"));
        char *at = cli_text(json_object_get(verified, "at"));
        printf("                  expected %s\n                  seen     %s, at %s\n", expected, seen, at);
        free(at);
        free(seen);
        free(expected);
    }
}

static void print_timeline(const json_t *events, const json_t *definitions)
{
    char day[11] = "";
    int widths[COLUMNS];
    measure(events, widths);
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        print_time(event, day);
        for (int column = 0; column < COLUMNS; column++) {
            printf("%-*s ", widths[column], cell(event, (enum column)column));
        }
        print_message(event);
        if (opt.calls) {
            print_evidence(event);
        }
    }
    if (opt.calls && json_array_size(definitions)) {
        printf("\nplanned from\n");
        cli_print_table(definitions, "kind name hash file published_by published_at");
    }
}

/* Whose audit this is, and how it stands: a cancellation by order is no event of the offboarding, but its status. */
static void print_heading(const json_t *offboarding)
{
    char *reason = cli_text(json_object_get(offboarding, "reason"));
    const char *email = json_string_at(offboarding, "email");
    const char *employee_id = json_string_at(offboarding, "employee_id");
    printf("%s, %s: %s%s%s\n", json_string_at(offboarding, "offboarding_id"),
           email         ? email
           : employee_id ? employee_id
                         : "known by an account only",
           json_string_at(offboarding, "status"), strcmp(reason, "-") == 0 ? "" : ": ",
           strcmp(reason, "-") == 0 ? "" : reason);
    free(reason);
}

static int show(struct cli *cli, const char *id)
{
    const char *values[] = {id, opt.step};
    struct err err = ERR_INIT;
    json_t *events = cli_rows(cli, &err, timeline_sql, 2, values);
    json_t *offboarding = events ? cli_rows(cli, &err, offboarding_sql, 1, values) : NULL;
    json_t *definitions = offboarding && opt.calls ? cli_rows(cli, &err, definitions_sql, 1, values) : NULL;
    int code = CLI_OK;
    if (!offboarding || (opt.calls && !definitions)) {
        code = cli_fail_err(CLI_REFUSED, &err);
    } else if (opt.json) {
        cli_print_json(events);
    } else if (json_array_size(events) == 0) {
        code = opt.step ? cli_fail(CLI_NOT_FOUND, "nothing is recorded of a step \"%s\" of %s", opt.step, id)
                        : cli_fail(CLI_NOT_FOUND, "nothing is recorded of %s", id);
    } else {
        print_heading(json_array_get(offboarding, 0));
        print_timeline(events, definitions);
    }
    json_decref(definitions);
    json_decref(offboarding);
    json_decref(events);
    return code;
}

static int events_run(struct cli *cli, int argc, char **argv)
{
    if (argc != 1) {
        return cli_fail(CLI_USAGE, "usage: offboard events OFFBOARDING [--step STEP] [--calls]");
    }
    struct err err = ERR_INIT;
    char *id = cli_find_offboarding(cli, argv[0], &err);
    if (!id) {
        return cli_fail_err(CLI_NOT_FOUND, &err);
    }
    int code = show(cli, id);
    free(id);
    return code;
}

const struct command command_events = {
    .name = "events",
    .arguments = "OFFBOARDING [--step STEP] [--calls]",
    .summary = "Shows the audit of an offboarding: what happened, when, and how it was seen.",
    .details =
        "An offboarding is named by its id, the beginning of its id (8 characters), or the leaver's e-mail or "
        "employee\n"
        "id (the newest one). Times are UTC. \"[read back]\": the wanted state was seen, not just asked for.\n"
        "With --json the rows of the view analyst.timeline, the events as they came among them.\n\n"
        "  offboard events jane@example.com\n"
        "  offboard events jane@example.com --calls              each call, what was expected and seen, what it was\n"
        "                                                        planned from\n"
        "  offboard events 5f0d2a4c --step deactivate --json",
    .options = (const struct cli_option[]){{"step", "STEP", "only this step", &opt.step, NULL},
                                           {"calls", NULL, "calls, read-backs and definitions", NULL, &opt.calls},
                                           {"json", NULL, "print JSON", NULL, &opt.json},
                                           {NULL, NULL, NULL, NULL, NULL}},
    .run = events_run,
};
