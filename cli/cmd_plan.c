/* offboard plan: what would happen, offline. Maps an event as the planner does, plans, and decides the conditions that can
 * be decided before any vendor has answered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/definition.h"
#include "lib/json.h"
#include "lib/mapping.h"
#include "lib/mem.h"
#include "lib/plan.h"
#include "lib/time.h"
#include "lib/yaml.h"

static struct {
    const char *at, *country, *file, *manager, *runbook, *source, *zone;
    bool json;
} opt;

/* A CloudEvent as `offboard start EMAIL` would make the edge write it. */
static json_t *event_for(const char *person)
{
    json_t *user = json_object();
    json_put_string(user, strchr(person, '@') ? "email" : "employee_id", person);
    json_put_string(user, "country", opt.country);
    if (opt.manager) {
        json_put(user, "manager", json_pack("{s:s}", "email", opt.manager));
    }
    json_t *data = json_object();
    json_put(data, "user", user);
    json_put_string(data, "runbook", opt.runbook);
    json_put_string(data, "effective_at", opt.at);
    json_put_string(data, "zone", opt.zone);
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "specversion", "1.0", "id", "plan", "source", "/offboard/cli", "type",
                     "leaver.created", "data", data);
}

/* A file's event; a plain object becomes the data of one. */
static json_t *event_from_file(const char *path, struct err *err)
{
    size_t len;
    char *text = yaml_read_file(path, &len, err);
    json_t *event = text ? json_parse(text, len, err) : NULL;
    free(text);
    if (!event) {
        err_prefix(err, "%s", path);
        return NULL;
    }
    if (json_object_get(event, "specversion")) {
        return event;
    }
    const char *type = json_string_at(event, "type");
    json_t *wrapped = json_pack("{s:s, s:s, s:s, s:s, s:O}", "specversion", "1.0", "id", "plan", "source",
                                "/offboard/cli", "type", type ? type : "leaver.created", "data", event);
    json_decref(event);
    return wrapped;
}

/* Prints a condition: "yes", "no", or "decided when it runs" when it needs what earlier steps find. */
static void print_condition(struct definitions *definitions, const json_t *offboarding, const json_t *test)
{
    if (!test || json_is_null(test)) {
        return;
    }
    char *shown = json_is_string(test) ? mem_strdup(json_string_value(test)) : json_text(test);
    const char *decided = "decided when it runs";
    if (!strstr(shown, ".steps") && !strstr(shown, ".ids")) {
        json_t *context =
            json_pack("{s:O, s:O}", "user", json_object_get(offboarding, "user"), "offboarding", offboarding);
        bool yes = expr_true(definitions_exprs(definitions), test, context, true);
        json_decref(context);
        decided = yes ? "yes" : "no, it will be skipped";
    }
    printf(" if %s: %s", shown, decided);
    free(shown);
}

/* What the runbook says of a step beyond when it runs. */
static void print_words(struct definitions *definitions, const json_t *offboarding, const json_t *step)
{
    const char *expires = json_string_at(step, "expires");
    const char *wait = json_string_at(step, "wait");
    if (wait) {
        printf(", %s later: read back only", wait);
    }
    if (expires) {
        printf(" skipped if more than %s late", expires);
    }
    if (json_object_get(step, "on_missing")) {
        printf(" nobody there: the phase is cancelled");
    }
    if (json_object_get(step, "undo")) {
        printf(" (undo: %s)", json_string_at(step, "undo"));
    }
    size_t i;
    json_t *outer;
    json_array_foreach(json_object_get(step, "run_if"), i, outer)
    {
        print_condition(definitions, offboarding, json_object_get(outer, "if"));
    }
    print_condition(definitions, offboarding, json_object_get(step, "if"));
}

static void print_action(const char *name, const json_t *step)
{
    printf("    %-18s %-8s %-22s %-9s", name, json_string_at(step, "system"), json_string_at(step, "action"),
           json_string_at(step, "effect"));
}

static void print_needs(const json_t *step)
{
    size_t i;
    json_t *need;
    json_array_foreach(json_object_get(step, "needs"), i, need)
    {
        printf("%s%s", i ? ", " : " after ", json_string_value(need));
    }
}

static void print_step(struct definitions *definitions, const json_t *offboarding, const json_t *step, int64_t start)
{
    const char *zone = json_string_at(offboarding, "zone");
    int64_t after = (int64_t)json_int_at(step, "after_us", 0);
    char *at = time_format_zone(start + after, zone);
    print_action(json_string_at(step, "id"), step);
    print_needs(step);
    if (after) {
        printf(" not before %s", at);
    }
    if (json_object_get(step, "behind")) {
        printf(" once the phase before it is over");
    }
    print_words(definitions, offboarding, step);
    printf("\n");
    free(at);
}

static int64_t effective(const json_t *offboarding)
{
    int64_t at = time_now();
    const char *text = json_string_at(offboarding, "effective_at");
    if (text) {
        time_parse(text, &at, NULL);
    }
    int64_t now = time_now();
    return at > now ? at : now; /* `after` counts from the later of effective_at and the actual start */
}

static void print_plan(struct definitions *definitions, const json_t *offboarding, const json_t *plan)
{
    const char *zone = json_string_at(offboarding, "zone");
    int64_t start = effective(offboarding);
    char *at = time_format_zone(start, zone);
    printf("runbook %s for %s, %s\nstarts  %s\n", json_string_at(plan, "runbook.name"),
           json_string_at(offboarding, "user.email") ? json_string_at(offboarding, "user.email")
                                                     : json_string_at(offboarding, "user.employee_id"),
           json_string_at(offboarding, "mode"), at);
    free(at);
    size_t i, j;
    json_t *phase, *step;
    json_array_foreach(json_object_get(plan, "phases"), i, phase)
    {
        int64_t after = (int64_t)json_int_at(phase, "after_us", 0);
        at = time_format_zone(start + after, zone);
        printf("\n  phase %s, %s\n", json_string_at(phase, "name"), at);
        free(at);
        json_array_foreach(json_object_get(phase, "steps"), j, step)
        {
            print_step(definitions, offboarding, step, start);
        }
    }
}

static void print_followers(struct definitions *definitions, const json_t *offboarding, const json_t *plan)
{
    static const char *const said[][2] = {
        {"mirror", "every result"}, {"on_failure", "failures"}, {"on_phase_end", "a phase that is over"}};
    size_t i;
    json_t *follower;
    json_array_foreach(json_object_get(plan, "followers"), i, follower)
    {
        printf("%s", i ? "" : "\n  told of results\n");
        print_action(json_string_at(follower, "name"), follower);
        for (size_t k = 0; k < COUNT_OF(said); k++) {
            if (strcmp(said[k][0], json_string_at(follower, "kind")) == 0) {
                printf(" %s", said[k][1]);
            }
        }
        print_needs(follower);
        print_words(definitions, offboarding, follower);
        printf("\n");
    }
}

static int show(struct cli *cli, struct definitions *definitions, const struct mapped *mapped)
{
    if (mapped->ignored_by) {
        char *seen = json_text(mapped->seen);
        printf("ignored: criterion \"%s\" is not met (saw %s)\n", mapped->ignored_by, seen);
        free(seen);
        return CLI_REFUSED;
    }
    if (mapped->refused) {
        printf("refused: %s\n", mapped->refused);
        return CLI_REFUSED;
    }
    if (mapped->intent == INTENT_CANCEL || mapped->intent == INTENT_REHIRE) {
        printf("%s: ends all open offboardings of %s\n", mapped->intent == INTENT_CANCEL ? "cancellation" : "rehire",
               mapped->person);
        return CLI_OK;
    }
    struct err err = ERR_INIT;
    json_t *plan = plan_build(definitions, mapped->offboarding, conf_duration(cli->conf, "clock.day"), &err);
    if (!plan) {
        return cli_fail_err(CLI_REFUSED, &err);
    }
    if (opt.json) {
        json_t *both = json_pack("{s:O, s:O}", "offboarding", mapped->offboarding, "plan", plan);
        cli_print_json(both);
        json_decref(both);
    } else {
        print_plan(definitions, mapped->offboarding, plan);
        print_followers(definitions, mapped->offboarding, plan);
    }
    json_decref(plan);
    return CLI_OK;
}

static int plan_event(struct cli *cli, struct definitions *definitions, const json_t *event)
{
    struct err err = ERR_INIT;
    struct mapped mapped = {0};
    if (mapping_apply(definitions, cli->conf, event, opt.source, time_now(), &mapped, &err) != 0) {
        return cli_fail_err(CLI_REFUSED, &err);
    }
    int code = show(cli, definitions, &mapped);
    mapped_release(&mapped);
    return code;
}

static int plan_run(struct cli *cli, int argc, char **argv)
{
    if ((argc == 1) == (opt.file != NULL)) {
        return cli_fail(CLI_USAGE, "usage: offboard plan EMAIL | --file EVENT.json [--source NAME]");
    }
    struct err err = ERR_INIT;
    struct definitions *definitions =
        definitions_load_or_fail(cli->conf, &(struct definition_use){.sources = true, .runbooks = true}, &err);
    json_t *event = definitions ? (opt.file ? event_from_file(opt.file, &err) : event_for(argv[0])) : NULL;
    int code = event ? plan_event(cli, definitions, event) : cli_fail_err(definitions ? CLI_REFUSED : CLI_USAGE, &err);
    json_decref(event);
    definitions_free(definitions);
    return code;
}

const struct command command_plan = {
    .name = "plan",
    .arguments = "EMAIL | --file EVENT.json [--source NAME]",
    .summary = "Shows what an event would do: how it maps, what runs when; offline.",
    .details = "  offboard plan jane@example.com --runbook scim-leaver --at 2026-12-31 --zone Europe/Berlin\n"
               "  offboard plan --file event.json --source workday",
    .options =
        (const struct cli_option[]){
            {"runbook", "NAME", "runbook (default: the source's)", &opt.runbook, NULL},
            {"at", "DATE", "when access ends; default: now", &opt.at, NULL},
            {"zone", "ZONE", "IANA zone of a bare date", &opt.zone, NULL},
            {"manager", "EMAIL", "the leaver's manager", &opt.manager, NULL},
            {"country", "CODE", "the leaver's country", &opt.country, NULL},
            {"file", "FILE", "a sample event", &opt.file, NULL},
            {"source", "NAME", "source that maps it (default: the one that takes its type)", &opt.source, NULL},
            {"json", NULL, "offboarding and plan as the planner would publish them", NULL, &opt.json},
            {NULL, NULL, NULL, NULL, NULL}},
    .run = plan_run,
};
