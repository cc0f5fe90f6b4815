/* A request that waits for the outside world: a parcel that arrives, a person who says "done". The job rests in the database
 * meanwhile, and comes back with each signal and when its time is over. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/engine_internal.h"

/* What is waited for, rendered. Owned. */
struct awaited {
    char *signal;
    char *key;
    char *length;     /* as written */
    int64_t duration; /* scaled */
    int64_t every;    /* of `meanwhile`, scaled; 0: it has none */
};

static void awaited_release(struct awaited *awaited)
{
    free(awaited->signal);
    free(awaited->key);
    free(awaited->length);
}

/* Scaled. */
static int read_duration(struct run *run, const char *tmpl, int64_t *duration, struct err *err)
{
    char *text = expr_text(run->engine->exprs, tmpl, run->context, err);
    int result = text ? time_parse_duration(text, duration, err) : -1;
    if (result == 0 && *duration <= 0) {
        result = err_set(err, ERR_PERMANENT, "\"%s\" is no time to wait", text);
    }
    *duration = time_scale(*duration, conf_duration(run->engine->conf, "clock.day"));
    free(text);
    return result;
}

static int awaited_read(struct run *run, const json_t *wait, struct awaited *awaited, struct err *err)
{
    struct expr_set *exprs = run->engine->exprs;
    const struct {
        const char *name;
        char **into;
    } texts[] = {{"signal", &awaited->signal}, {"key", &awaited->key}, {"for", &awaited->length}};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        *texts[i].into = expr_text(exprs, json_string_at(wait, texts[i].name), run->context, err);
        if (!*texts[i].into) {
            return err_prefix(err, "wait.%s", texts[i].name);
        }
        if (!**texts[i].into) {
            return err_set(err, ERR_PERMANENT, "wait.%s is empty", texts[i].name);
        }
    }
    const char *every = json_string_at(json_object_get(wait, "meanwhile"), "every");
    if (read_duration(run, awaited->length, &awaited->duration, err) != 0) {
        return err_prefix(err, "wait.for");
    }
    if (every && read_duration(run, every, &awaited->every, err) != 0) {
        return err_prefix(err, "wait.meanwhile.every");
    }
    return 0;
}

static bool is_heard(const struct run *run, const json_t *signal)
{
    size_t i;
    json_t *id;
    json_array_foreach(run->place->heard, i, id)
    {
        if (json_equal(id, json_object_get(signal, "id"))) {
            return true;
        }
    }
    return false;
}

static bool is_text(const json_t *signal, const char *name, const char *text)
{
    const char *value = json_string_at(signal, name);
    return value && strcmp(value, text) == 0;
}

/* The wait is over: what comes next begins with no signal heard. */
static void end_wait(struct run *run)
{
    run->place->awaits_since = 0;
    json_decref(run->place->heard);
    run->place->heard = NULL;
    json_decref(run->waits);
    run->waits = NULL;
    run->place->reminders = 0;
}

static void note_progress(struct run *run, const json_t *wait)
{
    const char *tmpl = json_string_at(wait, "progress");
    char *text = tmpl ? expr_text(run->engine->exprs, tmpl, run->context, NULL) : NULL;
    if (text && *text) {
        free(run->progress);
        run->progress = mem_strdup(text);
    }
    free(text);
}

/* One signal that this wait has not heard before: DONE when it ends the wait, DEFERRED when it does not. */
static enum verdict hear(struct run *run, const json_t *request, json_t *signal)
{
    const json_t *wait = json_object_get(request, "wait");
    struct expr_set *exprs = run->engine->exprs;
    context_set(run, "signal", json_incref(signal));
    if (expr_true(exprs, json_object_get(wait, "failed"), run->context, false)) {
        char *seen = json_text(json_object_get(signal, "data"));
        place_restart(run->place); /* a retry begins anew */
        run_say(run, VERDICT_FAILED, "the signal says that it failed: %s", seen);
        free(seen);
        return VERDICT_FAILED;
    }
    if (expr_true(exprs, json_object_get(wait, "until"), run->context, true)) {
        return request_save(run, request, VERDICT_DONE);
    }
    note_progress(run, wait);
    json_array_append(run->place->heard, json_object_get(signal, "id"));
    return VERDICT_DEFERRED;
}

static enum verdict hear_all(struct run *run, const json_t *request, const struct awaited *awaited)
{
    size_t i;
    json_t *signal;
    run->place->heard = run->place->heard ? run->place->heard : json_array();
    json_array_foreach(json_at(run->job->message, "job.signals"), i, signal)
    {
        if (is_text(signal, "name", awaited->signal) && is_text(signal, "key", awaited->key) &&
            !is_heard(run, signal)) {
            enum verdict verdict = hear(run, request, signal);
            if (verdict != VERDICT_DEFERRED) {
                return verdict;
            }
        }
    }
    return VERDICT_DEFERRED;
}

/* Makes the request of `meanwhile` when its time has come. A worker that was away makes it once, not for every time missed.
 * Its answer may show what no signal has told: then the wait is over. */
static enum verdict remind(struct run *run, const json_t *meanwhile, int64_t every, bool *over)
{
    int64_t passed = (time_now() - run->place->awaits_since) / every;
    if (passed <= run->place->reminders) {
        return VERDICT_DONE;
    }
    struct expr_set *exprs = run->engine->exprs;
    context_set(run, "reminder", json_integer(passed));
    enum verdict verdict = VERDICT_DONE;
    if (expr_true(exprs, json_object_get(meanwhile, "if"), run->context, true)) {
        verdict = request_run(run, meanwhile, NULL);
        *over = verdict == VERDICT_DONE && expr_true(exprs, json_object_get(meanwhile, "until"), run->context, false);
    }
    if (verdict == VERDICT_DONE || verdict == VERDICT_ALREADY) {
        run->place->reminders = passed;
        return VERDICT_DONE;
    }
    return verdict;
}

/* No signal has ended it so far. */
static enum verdict go_on_waiting(struct run *run, const json_t *wait, const struct awaited *awaited)
{
    if (!run->place->awaits_since) {
        run->place->awaits_since = time_now();
    }
    int64_t left = run->place->awaits_since + awaited->duration - time_now();
    int64_t next = left;
    if (left > 0 && awaited->every) {
        bool over = false;
        enum verdict verdict = remind(run, json_object_get(wait, "meanwhile"), awaited->every, &over);
        if (verdict != VERDICT_DONE || over) {
            return verdict;
        }
        next = run->place->awaits_since + (run->place->reminders + 1) * awaited->every - time_now();
        next = next > 0 ? next : 0; /* the next one may have become due during this one: that does not end the wait */
    }
    const char *otherwise = json_string_at(wait, "otherwise");
    if (left <= 0 && otherwise && strcmp(otherwise, "next") == 0) {
        context_set(run, "signal", json_null());
        return VERDICT_DONE;
    }
    if (left <= 0) {
        return run_say(run, VERDICT_FAILED, "no signal \"%s\" for %s came within %s", awaited->signal, awaited->key,
                       awaited->length);
    }
    json_decref(run->waits);
    run->waits =
        json_pack("{s:s, s:s, s:O}", "signal", awaited->signal, "key", awaited->key, "heard", run->place->heard);
    char *why = mem_printf("waits for signal \"%s\" of %s%s%s", awaited->signal, awaited->key,
                           run->progress ? "; " : "", run->progress ? run->progress : "");
    run_defer(run, next < left ? next : left, false, why);
    free(why);
    return VERDICT_DEFERRED;
}

enum verdict signal_wait(struct run *run, const json_t *request)
{
    const json_t *wait = json_object_get(request, "wait");
    struct err err = ERR_INIT;
    struct awaited awaited = {0};
    enum verdict verdict;
    if (run->dry) {
        context_set(run, "signal", json_null());
        return request_save(run, request, VERDICT_DONE);
    }
    if (awaited_read(run, wait, &awaited, &err) != 0) {
        verdict = run_say(run, VERDICT_FAILED, "could not begin to wait: %s", err_text(&err));
    } else {
        verdict = hear_all(run, request, &awaited);
        if (verdict == VERDICT_DEFERRED) {
            verdict = go_on_waiting(run, wait, &awaited);
        }
    }
    if (verdict != VERDICT_DEFERRED) {
        end_wait(run);
    }
    awaited_release(&awaited);
    err_release(&err);
    return verdict;
}
