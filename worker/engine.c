/* One job: condition, parameters, accounts, requests, read-back, outputs. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/secret.h"
#include "lib/time.h"
#include "worker/engine_internal.h"

enum { CHECK_LIFE_S = 30 };

/* ---- before the first call ----------------------------------------------------------------------------------------------------- */

/* The step's parameters, with the action's defaults for what it leaves out. */
static enum verdict render_with(struct run *run)
{
    const json_t *declared = json_object_get(run->action, "with");
    const json_t *given = json_at(run->job->message, "job.with");
    struct err err = ERR_INIT;
    json_t *with = json_object();
    const char *name;
    json_t *parameter;
    int result = 0;
    json_object_foreach((json_t *)(uintptr_t)declared, name, parameter)
    {
        json_t *tmpl = json_object_get(given, name);
        if (!tmpl) {
            tmpl = json_object_get(parameter, "default");
        }
        json_t *value = tmpl ? expr_render(run->engine->exprs, tmpl, run->context, &err) : json_null();
        bool missing = !value || (json_true_at(parameter, "required") && json_is_null(value));
        if (missing && run->dry) {
            json_decref(value);
            value = json_string("dry-run");
            missing = false;
        }
        if (missing) {
            json_decref(value);
            result = value ? err_set(&err, ERR_PERMANENT, "with.%s is null, and the action needs it", name)
                           : err_prefix(&err, "with.%s", name);
            break;
        }
        json_object_set_new(with, name, value);
    }
    enum verdict verdict = result == 0 ? VERDICT_DONE : run_say(run, VERDICT_FAILED, "%s", err_text(&err));
    context_set(run, "with", with);
    err_release(&err);
    return verdict;
}

/* guards.protected also names accounts, as `system:id`. */
static bool protected_account(const struct run *run, const char *id)
{
    char *name = mem_printf("%s:%s", run->job->system, id);
    bool found = false;
    for (size_t i = 0; i < conf_list_size(run->engine->conf, "guards.protected"); i++) {
        found = found || strcmp(conf_list_item(run->engine->conf, "guards.protected", i), name) == 0;
    }
    free(name);
    return found;
}

/* Nobody acts on a protected account, nor on the manager's (rules.md 13). */
static enum verdict guard_manager(struct run *run, const char *account)
{
    json_t *accounts = NULL;
    enum verdict verdict = account ? identify_manager(run, &accounts) : VERDICT_DONE;
    size_t i;
    json_t *id;
    json_array_foreach(accounts, i, id)
    {
        if (verdict == VERDICT_DONE && strcmp(json_string_value(id), account) == 0) {
            verdict = run_say(run, VERDICT_BLOCKED, "account %s is the manager's, not the leaver's", account);
        }
    }
    json_decref(accounts);
    return verdict;
}

static enum verdict guard_target(struct run *run, const char *account)
{
    const char *tmpl = json_string_at(run->action, "target");
    char *rendered = tmpl ? expr_text(run->engine->exprs, tmpl, run->context, NULL) : NULL;
    const char *target = rendered ? rendered : account;
    enum verdict verdict = VERDICT_DONE;
    if (target && protected_account(run, target)) {
        verdict = run_say(run, VERDICT_BLOCKED, "account %s is protected (guards.protected)", target);
    } else {
        verdict = guard_manager(run, target);
    }
    free(rendered);
    return verdict;
}

/* ---- one account ------------------------------------------------------------------------------------------------------------------ */

static enum verdict run_account(struct run *run, const char *account, const json_t *state)
{
    context_account(run, account);
    if (state) { /* goes on where an earlier attempt was put off */
        json_object_update(run->saved, json_object_get(state, "saved"));
    }
    enum verdict verdict = guard_target(run, account);
    bool only_verify = run->verifying;
    run->read_back = false;
    if (verdict == VERDICT_DONE && !only_verify) {
        verdict = sequence_run(run, json_object_get(run->action, "requests"), verify_look);
    }
    if (verdict == VERDICT_FAILED && json_array_size(run->items_left) > 0 && verify_look(run)) {
        run->read_back = true;
        verdict = VERDICT_DONE;
    }
    if (verdict == VERDICT_DONE || verdict == VERDICT_ALREADY) {
        enum verdict seen = run->read_back ? VERDICT_DONE : verify_run(run);
        verdict = seen == VERDICT_DONE ? verdict : seen;
    }
    return verdict;
}

static void collect_output(struct run *run, json_t *outputs)
{
    const json_t *declared = json_object_get(run->action, "outputs");
    const char *name;
    json_t *tmpl;
    json_object_foreach((json_t *)(uintptr_t)declared, name, tmpl)
    {
        json_t *value = expr_render(run->engine->exprs, tmpl, run->context, NULL);
        if (run->dry && (!value || json_is_null(value))) {
            json_decref(value);
            char *text = mem_printf("dry-run:%s", name);
            value = json_string(text);
            free(text);
        }
        json_object_set_new(outputs, name, value ? value : json_null());
    }
}

/* All accounts from the one in hand on; the worst verdict counts, a rest stops. */
static enum verdict run_accounts(struct run *run, const json_t *accounts, const json_t *state, json_t *outputs)
{
    enum verdict worst = VERDICT_MISSING;
    bool any = false;
    size_t count = json_array_size(accounts);
    for (; (size_t)run->account < count; run->account++) {
        const char *account = json_string_value(json_array_get(accounts, (size_t)run->account));
        enum verdict verdict = run_account(run, account, state);
        state = NULL;
        if (verdict == VERDICT_DEFERRED || verdict == VERDICT_CANCELLED || verdict == VERDICT_ABANDONED) {
            return verdict;
        }
        if (verdict == VERDICT_DONE || verdict == VERDICT_ALREADY) {
            collect_output(run, outputs);
        }
        bool better = !any || (worst == VERDICT_MISSING && verdict < VERDICT_MISSING) ||
                      (verdict > worst && verdict != VERDICT_MISSING) ||
                      (worst == VERDICT_ALREADY && verdict == VERDICT_DONE);
        worst = better ? verdict : worst;
        any = true;
        if (worst >= VERDICT_BLOCKED) {
            return worst; /* state says where: a retry goes on with this account */
        }
        run->at = 0;
        run->verifying = false;
        json_decref(run->items_left);
        run->items_left = NULL;
    }
    return worst;
}

/* ---- denied ------------------------------------------------------------------------------------------------------------------------ */

/* Is it this person, or are our credentials refused? The check, a read that must work, tells (rules.md 11). */
static void confirm_denied(struct run *run)
{
    struct system *system = run->system;
    if (!json_object_get(system->connector->tree, "check")) {
        return;
    }
    if (time_monotonic() - system->checked_at > CHECK_LIFE_S * TIME_SECOND || !system->checked_at) {
        struct err err = ERR_INIT;
        int status = gate_check(system, &err);
        system->check_failed = status == 401 || status == 403;
        system->checked_at = time_monotonic();
        if (system->check_failed) {
            free(system->refused_why);
            system->refused_why = mem_printf("credentials refused: %s", err_text(&err));
        }
        err_release(&err);
    }
    system->refused = system->refused || system->check_failed;
}

/* ---- the whole job ------------------------------------------------------------------------------------------------------------------ */

static enum verdict run_job(struct run *run, json_t *outputs)
{
    const json_t *job = json_object_get(run->job->message, "job");
    const json_t *state = json_object_get(job, "state");
    if (!run->action) {
        return run_say(run, VERDICT_FAILED, "this worker's connector has no action \"%s\"", run->action_name);
    }
    if (!expr_true(run->engine->exprs, json_object_get(job, "if"), run->context, true)) {
        return run_say(run, VERDICT_MISSING, "its condition is not met");
    }
    enum verdict verdict = render_with(run);
    json_t *accounts = NULL;
    if (verdict == VERDICT_DONE) {
        verdict = identify_accounts(run, &accounts);
    }
    if (verdict == VERDICT_DONE) {
        run_resume(run, state);
        verdict = run_accounts(run, accounts, json_is_object(state) ? state : NULL, outputs);
    }
    json_decref(accounts);
    return verdict;
}

static const char *outcome_of(const struct run *run, enum verdict verdict)
{
    static const char *const names[] = {"succeeded", "already_done", "missing",   "deferred", "blocked",
                                        "denied",    "failed",       "cancelled", "cancelled"};
    bool condition =
        verdict == VERDICT_MISSING && run->message && strcmp(run->message, "its condition is not met") == 0;
    return condition ? "skipped" : names[verdict];
}

/* "dry run: would PATCH https://…, and 2 more". */
static void say_dry(struct run *run)
{
    const char *method = NULL, *url = NULL;
    size_t more = 0;
    size_t i;
    json_t *call;
    json_array_foreach(run->calls, i, call)
    {
        if (json_true_at(call, "dry_run")) {
            more += method != NULL;
            method = method ? method : json_string_at(call, "method");
            url = url ? url : json_string_at(call, "url");
        }
    }
    if (!method) {
        run_say(run, VERDICT_DONE, "dry run: would change nothing");
    } else if (more) {
        run_say(run, VERDICT_DONE, "dry run: would %s %s, and %zu more", method, url, more);
    } else {
        run_say(run, VERDICT_DONE, "dry run: would %s %s", method, url);
    }
}

static const char *good_message(const struct run *run, enum verdict verdict)
{
    if (run->dry) {
        return run->message;
    }
    if (verdict == VERDICT_ALREADY) {
        return run->verified ? "it was so already, as reading back shows" : "it was so already";
    }
    if (run->read_back) {
        return "the call ended in an error, but reading back shows it done";
    }
    if (run->found_before) {
        return "found: it had been done before";
    }
    return run->verified ? "done, and confirmed by reading back" : "done";
}

static void fill_result(struct run *run, enum verdict verdict, json_t *outputs, struct engine_result *result)
{
    bool good = verdict == VERDICT_DONE || verdict == VERDICT_ALREADY;
    json_t *context = json_object();
    if (good && run->dry) {
        say_dry(run);
    }
    json_put(context, "outputs", json_incref(outputs));
    json_put(context, "calls", json_incref(run->calls));
    if (run->calls_left_out) {
        json_put(context, "calls_left_out", json_integer(run->calls_left_out));
    }
    json_put(context, "verified", run->verified ? json_incref(run->verified) : json_null());
    if (run->pinned) {
        json_put(context, "pinned", json_pack("{s:O}", run->job->system, run->pinned));
    }
    if (verdict == VERDICT_DEFERRED) {
        char due_at[TIME_TEXT_SIZE];
        time_format(run->due_at, due_at);
        json_put_string(context, "due_at", due_at);
    }
    if (!good && verdict != VERDICT_MISSING) {
        json_put(context, "state", run_state(run));
    }
    result->outcome = outcome_of(run, verdict);
    result->status = run->last_status;
    result->message = secret_mask(good || !run->message ? good_message(run, verdict) : run->message);
    result->context = context;
    result->abandoned = verdict == VERDICT_ABANDONED;
}

static void run_release(struct run *run)
{
    json_decref(run->context);
    json_decref(run->calls);
    json_decref(run->items_left);
    json_decref(run->pinned);
    json_decref(run->verified);
    free(run->message);
}

void engine_run(struct engine *engine, struct job *job, struct engine_result *result)
{
    *result = (struct engine_result){0};
    struct run run = {.engine = engine, .system = engine_system(engine, job->system), .job = job};
    run.action_name = json_string_at(job->message, "job.action");
    run.action = json_object_get(json_object_get(run.system->connector->tree, "actions"), run.action_name);
    const char *mode = json_string_at(job->message, "mode");
    const char *forced = conf_system_setting(engine->conf, job->system, "mode");
    run.dry = (mode && strcmp(mode, "dry_run") == 0) || (forced && strcmp(forced, "dry_run") == 0);
    run.calls = json_array();
    run.begun = job->begun_before;
    context_start(&run);
    json_t *outputs = json_object();
    enum verdict verdict = run_job(&run, outputs);
    if (verdict == VERDICT_DENIED) {
        confirm_denied(&run);
    }
    fill_result(&run, verdict, outputs, result);
    json_decref(outputs);
    run_release(&run);
}

void engine_result_release(struct engine_result *result)
{
    free(result->message);
    json_decref(result->context);
    *result = (struct engine_result){0};
}

void engine_interrupt(struct job *job, enum interruption why)
{
    if (job->interruption == INTERRUPT_NONE || why == INTERRUPT_CANCELLED) {
        job->interruption = why;
    }
    struct sleeper **slot = job->waiting;
    if (slot) {
        sleeper_wake(*slot);
    }
    struct flight **flight = job->flight;
    if (flight && why == INTERRUPT_DRAIN) { /* the grace is over: whoever goes on looks whether it had its effect */
        http_abort(*flight);
    }
}
