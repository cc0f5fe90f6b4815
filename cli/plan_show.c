/* What becomes of an event, told to people: the plan and its times, or why there is none. */
#include "cli/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/systems.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/plan.h"
#include "lib/protected.h"
#include "lib/time.h"
#include "lib/wording.h"

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

/* `after` counts from the later of effective_at and the actual start. A date that can't be read is none of those that mapping gives. */
static int64_t effective(const json_t *offboarding)
{
    int64_t at, now = time_now();
    if (time_parse(json_string_at(offboarding, "effective_at"), &at, NULL) != 0) {
        abort();
    }
    return at > now ? at : now;
}

static void print_phase(const json_t *phase, size_t number, int64_t start, const char *zone)
{
    const char *title = json_string_at(phase, "title");
    int64_t after = (int64_t)json_int_at(phase, "after_us", 0);
    bool beside = json_true_at(phase, "beside");
    char *at = time_format_zone(start + after, zone);
    bool then = after == 0 && number > 0 && !beside;
    printf("\n  phase %s, %s%s%s%s\n", json_string_at(phase, "name"), then ? "when those before are over" : at,
           beside && after ? ", whatever became of those before" : "", title ? ": " : "", title ? title : "");
    free(at);
}

/* Steps of systems that the company does not have are marked. */
static void print_missing(const struct planning *planning, const json_t *plan)
{
    json_t *systems = plan_systems(plan);
    json_t *missing = systems_missing(planning->cli->conf, systems);
    if (json_array_size(missing)) {
        char *names = wording_list(missing);
        printf("\n  not configured here: %s; their steps are skipped\n", names);
        free(names);
    }
    json_decref(missing);
    json_decref(systems);
}

static void print_plan(struct definitions *definitions, const struct mapped *mapped, const json_t *plan)
{
    const json_t *offboarding = mapped->offboarding;
    const char *email = json_string_at(offboarding, "user.email");
    const char *zone = json_string_at(offboarding, "zone");
    int64_t start = effective(offboarding);
    char *at = time_format_zone(start, zone);
    printf("runbook %s for %s, %s\nstarts  %s\n", json_string_at(plan, "runbook.name"), email ? email : mapped->person,
           json_string_at(offboarding, "mode"), at);
    free(at);
    size_t i, j;
    json_t *phase, *step;
    json_array_foreach(json_object_get(plan, "phases"), i, phase)
    {
        print_phase(phase, i, start, zone);
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

/* ---- one event ----------------------------------------------------------------------------------------------------- */

/* Why it starts nothing; NULL: it may. The caller frees. */
static char *why_not(const struct planning *planning, const struct mapped *mapped)
{
    bool starts = mapped->intent == INTENT_START || mapped->intent == INTENT_CHANGE;
    if (mapped->ignored_by) {
        char *seen = json_text(mapped->seen);
        char *why = mem_printf("criterion \"%s\" is not met (saw %s)", mapped->ignored_by, seen);
        free(seen);
        return why;
    }
    return mapped->refused                                                        ? mem_strdup(mapped->refused)
           : starts && protected_person(planning->cli->conf, mapped->offboarding) ? mem_strdup(PROTECTED_WHY)
                                                                                  : NULL;
}

/* Adds it to what --json prints, or prints it. */
static void tell(struct planning *planning, const char *event, const char *outcome, const char *why)
{
    json_t *told = json_object();
    json_put_string(told, "event", event);
    json_put_string(told, "outcome", outcome);
    json_put_string(told, "why", why);
    json_array_append_new(planning->told, told);
    if (!planning->json && why) {
        printf("%s: %s\n", outcome, why);
    }
}

static void show_plan(struct planning *planning, const json_t *event, const struct mapped *mapped, const json_t *plan)
{
    tell(planning, json_string_at(event, "id"), "accepted", NULL);
    json_t *told = json_array_get(planning->told, json_array_size(planning->told) - 1);
    json_object_set(told, "offboarding", mapped->offboarding);
    json_object_set(told, "plan", (json_t *)(uintptr_t)plan);
    if (!planning->json) {
        print_plan(planning->definitions, mapped, plan);
        print_followers(planning->definitions, mapped->offboarding, plan);
        print_missing(planning, plan);
    }
}

static void show_end(struct planning *planning, const json_t *event, const struct mapped *mapped)
{
    const char *outcome = mapped->intent == INTENT_CANCEL ? "cancellation" : "rehire";
    char *what = mem_printf("ends all open offboardings of %s", mapped->person);
    tell(planning, json_string_at(event, "id"), outcome, what);
    free(what);
}

void plan_refused(struct planning *planning, const json_t *event, const char *outcome, const char *why)
{
    tell(planning, json_string_at(event, "id"), outcome, why);
    planning->code = CLI_REFUSED;
}

void plan_show(struct planning *planning, const json_t *event, const struct mapped *mapped)
{
    char *why = why_not(planning, mapped);
    if (why) {
        plan_refused(planning, event, mapped->ignored_by ? "ignored" : "refused", why);
    } else if (mapped->intent == INTENT_CANCEL || mapped->intent == INTENT_REHIRE) {
        show_end(planning, event, mapped);
    } else {
        struct err err = ERR_INIT;
        json_t *plan = plan_build(planning->definitions, mapped->offboarding,
                                  conf_duration(planning->cli->conf, "clock.day"), &err);
        if (plan) {
            show_plan(planning, event, mapped, plan);
        } else {
            plan_refused(planning, event, "refused", err_text(&err));
        }
        json_decref(plan);
        err_release(&err);
    }
    free(why);
}

void plan_heading(const struct planning *planning, size_t number, size_t count, const json_t *event)
{
    const char *id = json_string_at(event, "id"), *type = json_string_at(event, "type");
    if (!planning->json && count > 1) {
        printf("%sevent %zu of %zu%s%s%s%s\n", number > 1 ? "\n" : "", number, count, id ? ": " : "", id ? id : "",
               type ? ", " : "", type ? type : "");
    }
}
