/* What expressions see (schema/messages.md, "Job message"). */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "lib/wording.h"
#include "worker/engine_internal.h"
#include "worker/report.h"

enum verdict run_say(struct run *run, enum verdict verdict, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_vprintf(format, args);
    va_end(args);
    free(run->message);
    run->message = text;
    return verdict;
}

void context_set(struct run *run, const char *name, json_t *value)
{
    json_object_set_new(run->context, name, value);
}

static json_t *member(const json_t *object, const char *name, json_t *otherwise)
{
    json_t *value = json_object_get(object, name);
    if (!value || json_is_null(value)) {
        return otherwise;
    }
    json_decref(otherwise);
    return json_incref(value);
}

/* A member that holds the instant as people write it. */
static void put_words(json_t *object, const char *name, const char *instant, const char *zone,
                      char *(*words)(int64_t at, const char *zone))
{
    int64_t at = 0;
    if (instant && time_parse(instant, &at, NULL) == 0) {
        char *text = words(at, zone);
        json_put_string(object, name, text);
        free(text);
    }
}

/* Of an offboarding: who asked for it, when, and the leaver's last day, as people write them. */
static void put_offboarding_words(json_t *offboarding, const json_t *message)
{
    const char *zone = json_string_at(message, "zone");
    const json_t *moved_by = json_object_get(message, "moved_by");
    char *requester = wording_actor(json_object_get(message, "actor"));
    char *mover = moved_by ? wording_actor(moved_by) : mem_strdup(requester);
    char *both = mem_printf("%s (the date was changed by %s)", requester, mover);
    json_put_string(offboarding, "requester", strcmp(mover, requester) == 0 ? requester : both);
    free(both);
    free(mover);
    free(requester);
    put_words(offboarding, "requested", json_string_at(message, "received_at"), zone, wording_moment);
    put_words(offboarding, "last_day", json_string_at(message, "effective_at"), zone, wording_day);
    put_words(offboarding, "last_date", json_string_at(message, "effective_at"), zone, wording_date);
}

/* The offboarding without what stands beside it. */
static json_t *bare_offboarding(const json_t *message)
{
    json_t *bare = json_copy((json_t *)(uintptr_t)message);
    static const char *const apart[] = {"user", "actor", "ids", "job", "given_ids"};
    for (size_t i = 0; i < COUNT_OF(apart); i++) {
        json_object_del(bare, apart[i]);
    }
    put_offboarding_words(bare, message);
    return bare;
}

/* Results of steps, by the ids that the steps of one runbook know each other by: `inside` is the step that runs it (NULL: none
 * does). New reference. */
static json_t *steps_inside(const json_t *job, const char *inside)
{
    json_t *steps = json_object_get(job, "steps");
    if (!json_is_object(steps) || !inside || !*inside) {
        return json_is_object(steps) ? json_incref(steps) : json_object();
    }
    size_t len = strlen(inside);
    json_t *own = json_object();
    const char *id;
    json_t *result;
    json_object_foreach(steps, id, result)
    {
        if (strncmp(id, inside, len) == 0 && id[len] == '.') {
            json_object_set(own, id + len + 1, result);
        }
    }
    return own;
}

bool context_condition(struct run *run)
{
    const json_t *job = json_object_get(run->job->message, "job");
    struct expr_set *exprs = run->engine->exprs;
    bool met = true;
    size_t i;
    json_t *outer;
    json_array_foreach(json_object_get(job, "run_if"), i, outer)
    {
        context_set(run, "steps", steps_inside(job, json_string_at(outer, "inside")));
        met = met && expr_true(exprs, json_object_get(outer, "if"), run->context, true);
    }
    context_set(run, "steps", steps_inside(job, json_string_at(job, "inside")));
    return met && expr_true(exprs, json_object_get(job, "if"), run->context, true);
}

/* Where a day is shorter than 24 hours, texts name the day of the calendar all the same: 60 days later. */
static void put_calendar_day(json_t *phase, int64_t start, int64_t day)
{
    int64_t due;
    const char *text = json_string_at(phase, "due_at");
    if (text && time_parse(text, &due, NULL) == 0) {
        char calendar[TIME_TEXT_SIZE];
        time_format(start + time_unscale(due - start, day), calendar);
        json_put_string(phase, "due_at", calendar);
    }
}

/* The message with its phases by the calendar. New reference. */
static json_t *by_calendar(const struct run *run)
{
    const json_t *message = run->job->message;
    int64_t start;
    const char *text = json_string_at(message, "started_at");
    int64_t day = text ? conf_duration(run->engine->conf, "clock.day") : TIME_DAY;
    if (day == TIME_DAY || time_parse(text, &start, NULL) != 0) {
        return json_incref((json_t *)(uintptr_t)message);
    }
    json_t *told = json_copy((json_t *)(uintptr_t)message);
    json_t *job = json_copy(json_object_get(message, "job"));
    json_t *phases = json_deep_copy(json_object_get(job, "phases"));
    size_t i;
    json_t *phase;
    json_array_foreach(phases, i, phase)
    {
        put_calendar_day(phase, start, day);
    }
    json_put(job, "phases", phases);
    json_put(told, "job", job);
    return told;
}

/* What tickets, threads and mails are made of. */
static void context_words(struct run *run)
{
    json_t *told = by_calendar(run);
    const char *zone = json_string_at(told, "zone");
    json_t *phases = json_deep_copy(json_at(run->job->message, "job.phases"));
    size_t i;
    json_t *phase;
    json_array_foreach(json_at(told, "job.phases"), i, phase)
    {
        put_words(json_array_get(phases, i), "due_on", json_string_at(phase, "due_at"), zone, wording_day);
    }
    context_set(run, "phases", phases ? phases : json_array());
    char *report = report_text(told), *agenda = report_agenda(told);
    context_set(run, "report", json_string(report));
    context_set(run, "agenda", json_string(agenda));
    free(report);
    free(agenda);
    json_decref(told);
}

void context_start(struct run *run)
{
    const json_t *message = run->job->message;
    const json_t *job = json_object_get(message, "job");
    char now[TIME_TEXT_SIZE];
    time_format(time_now(), now);
    run->context = json_object();
    context_set(run, "user", member(message, "user", json_object()));
    context_set(run, "actor", member(message, "actor", json_object()));
    context_set(run, "offboarding", bare_offboarding(message));
    json_t *ids = json_object_get(message, "ids");
    context_set(run, "ids", ids ? json_copy(ids) : json_object());
    context_set(run, "steps", steps_inside(job, json_string_at(job, "inside")));
    context_set(run, "results", member(job, "results", json_array()));
    context_words(run);
    context_set(run, "settings", json_incref(run->system->settings));
    context_set(run, "saved", json_object());
    context_set(run, "now", json_string(now));
    json_t *bare = json_object();
    static const char *const shown[] = {"id", "phase", "step", "system", "action", "attempt"};
    for (size_t i = 0; i < COUNT_OF(shown); i++) {
        json_object_set(bare, shown[i], json_object_get(job, shown[i]));
    }
    context_set(run, "job", bare);
    context_set(run, "with", json_object());
}

void context_forget_answer(struct run *run)
{
    context_set(run, "status", json_null());
    context_set(run, "headers", json_object());
    context_set(run, "body", json_null());
}

void context_name_account(struct run *run, const char *id)
{
    json_t *ids = json_object_get(run->context, "ids");
    if (id) {
        json_object_set_new(ids, run->job->system, json_string(id));
    } else {
        json_object_del(ids, run->job->system);
    }
}

/* An action that acts on no account sees the list of those that are pinned. */
void context_account(struct run *run, const char *id)
{
    if (id) {
        context_name_account(run, id);
    }
    context_set(run, "saved", json_incref(run->place->saved));
    const json_t *images = json_at(run->job->message, "job.before");
    context_set(run, "before", member(images, id ? id : "", json_object()));
}

const char *account_in_hand(const struct run *run)
{
    const char *account = json_string_value(json_object_get(json_object_get(run->context, "ids"), run->job->system));
    return account ? account : "";
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

json_t *context_stand_in(const char *name)
{
    char *text = mem_printf(STAND_IN "%s", name);
    json_t *value = json_string(text);
    free(text);
    return value;
}

bool context_is_stand_in(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strncmp(text, STAND_IN, strlen(STAND_IN)) == 0;
}

bool context_holds_stand_in(const json_t *value)
{
    char *text = json_text(value);
    bool held = strstr(text, STAND_IN) != NULL;
    free(text);
    return held;
}

struct guess {
    const struct run *run;
    bool unanswered; /* it reads the answer to a request that was not sent */
    bool derived;    /* it reads what came of one */
};

static void note_guess(const struct expr_path *path, void *arg)
{
    static const char *const parts[] = {"body", "status", "headers"};
    struct guess *guess = arg;
    const char *first = expr_path_name(path, 0);
    for (size_t i = 0; first && i < COUNT_OF(parts); i++) {
        guess->unanswered = guess->unanswered || (guess->run->unsent && strcmp(first, parts[i]) == 0);
    }
    const json_t *at = guess->run->context;
    const json_t *next = at;
    for (size_t i = 0; next && i < path->count; i++) { /* as far as there is a value */
        at = next;
        next = expr_path_name(path, i) ? json_object_get(at, expr_path_name(path, i)) : NULL;
    }
    at = next ? next : at;
    guess->derived = guess->derived || (at != guess->run->context && context_holds_stand_in(at));
}

static void look_for_guesses(const json_t *tmpl, struct guess *guess)
{
    size_t i;
    const char *name;
    json_t *member;
    if (json_is_string(tmpl)) {
        expr_paths(json_string_value(tmpl), note_guess, guess);
    }
    json_array_foreach(tmpl, i, member)
    {
        look_for_guesses(member, guess);
    }
    json_object_foreach((json_t *)(uintptr_t)tmpl, name, member)
    {
        look_for_guesses(member, guess);
    }
}

bool context_guesses(struct run *run, const json_t *tmpl)
{
    struct guess guess = {.run = run};
    look_for_guesses(tmpl, &guess);
    return guess.unanswered || guess.derived;
}

json_t *context_value(struct run *run, const char *name, const json_t *tmpl, struct err *err)
{
    struct guess guess = {.run = run};
    if (run->dry) {
        look_for_guesses(tmpl, &guess);
    }
    if (guess.unanswered) {
        return context_stand_in(name);
    }
    json_t *value = expr_render(run->engine->exprs, tmpl, run->context, guess.derived ? NULL : err);
    if (guess.derived && (!value || json_is_null(value))) {
        json_decref(value);
        value = context_stand_in(name);
    }
    return value;
}

/* The members of a map or list, each by itself: those that reckon with an answer that a dry run has not got are stand-ins. */
static json_t *render_members(struct run *run, const json_t *tmpl)
{
    json_t *value = json_is_object(tmpl) ? json_object() : json_array();
    const char *name;
    json_t *member;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)tmpl, name, member)
    {
        json_object_set_new(value, name, context_render(run, member, NULL));
    }
    json_array_foreach(tmpl, i, member)
    {
        json_array_append_new(value, context_render(run, member, NULL));
    }
    return value;
}

json_t *context_render(struct run *run, const json_t *tmpl, struct err *err)
{
    json_t *value = expr_render(run->engine->exprs, tmpl, run->context, err);
    if (value || !run->dry || !context_guesses(run, tmpl)) {
        return value;
    }
    err_release(err);
    return json_is_object(tmpl) || json_is_array(tmpl) ? render_members(run, tmpl) : context_stand_in("value");
}

char *context_text(struct run *run, const char *tmpl, struct err *err)
{
    char *text = expr_text(run->engine->exprs, tmpl, run->context, err);
    if (!text && run->dry) {
        json_t *value = json_string(tmpl);
        if (context_guesses(run, value)) {
            err_release(err);
            text = mem_strdup(STAND_IN "value");
        }
        json_decref(value);
    }
    return text;
}

void collect_value(json_t *saved, const char *name, json_t *value)
{
    json_t *list = json_object_get(saved, name);
    if (context_is_stand_in(value) || context_is_stand_in(list)) { /* a dry run does not know the whole list */
        json_object_set_new(saved, name, value);
        return;
    }
    if (!json_is_array(list)) {
        list = json_array();
        json_object_set_new(saved, name, list);
    }
    if (json_is_array(value)) {
        json_array_extend(list, value);
    } else if (!json_is_null(value)) {
        json_array_append(list, value);
    }
    json_decref(value);
}

int save_values(struct run *run, const json_t *save, bool collect, struct err *err)
{
    const char *name;
    json_t *tmpl;
    json_object_foreach((json_t *)(uintptr_t)save, name, tmpl)
    {
        json_t *value = context_value(run, name, tmpl, err);
        if (!value) {
            return err_prefix(err, "save.%s", name);
        }
        if (collect) {
            collect_value(run->place->saved, name, value);
        } else {
            json_object_set_new(run->place->saved, name, value);
        }
    }
    return 0;
}
