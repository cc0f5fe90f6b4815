/* One job: its condition and parameters at the beginning, its result at the end. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/secret.h"
#include "lib/time.h"
#include "worker/engine_internal.h"
#include "worker/engine_paths.h"

enum { CHECK_LIFE_S = 30 };

/* ---- before the first call --------------------------------------------------------------------------------------- */

/* The step's parameters, with the action's defaults for what it leaves out. */
static enum verdict render_with(struct run *run)
{
    const json_t *declared = json_object_get(run->action, "with");
    const json_t *given = json_at(run->job->message, "job.with");
    struct err err = ERR_INIT;
    json_t *with = json_object();
    const char *name;
    json_t *parameter;
    enum verdict verdict = VERDICT_DONE;
    json_object_foreach((json_t *)(uintptr_t)declared, name, parameter)
    {
        json_t *tmpl = json_object_get(given, name);
        if (!tmpl) {
            tmpl = json_object_get(parameter, "default");
        }
        json_t *value = tmpl ? context_value(run, name, tmpl, &err) : json_null();
        bool missing = !value || (json_true_at(parameter, "required") && json_is_null(value));
        if (missing) { /* nobody told it, as when there is no manager: somebody has to */
            json_decref(value);
            verdict = value ? run_say(run, VERDICT_BLOCKED, "with.%s is null, and the action needs it", name)
                            : run_say(run, VERDICT_FAILED, "with.%s: %s", name, err_text(&err));
            break;
        }
        json_object_set_new(with, name, value);
    }
    context_set(run, "with", with);
    err_release(&err);
    return verdict;
}

/* Of no use any more when it comes so late? A retry is a person's order, and what was deferred had begun in time. */
static bool expired(struct run *run)
{
    const json_t *job = json_object_get(run->job->message, "job");
    int64_t expires = (int64_t)json_int_at(job, "expires_us", -1);
    int64_t due = 0;
    const char *text = json_string_at(job, "due_at");
    if (expires < 0 || json_int_at(job, "attempt", 1) > 1 || !text || time_parse(text, &due, NULL) != 0 ||
        time_now() - due <= expires) {
        return false;
    }
    char until[TIME_TEXT_SIZE];
    time_format(due + expires, until);
    run_say(run, VERDICT_MISSING, "expired: it was due at %s and of use until %s", text, until);
    return true;
}

/* ---- denied ------------------------------------------------------------------------------------------------------ */

/* Is it this person, or are our credentials refused? The check, a read that must work, tells (rules.md 11). */
static void confirm_denied(struct run *run)
{
    struct system *system = run->system;
    if (!json_object_get(system->connector->tree, "check")) {
        return;
    }
    if (time_monotonic() - system->checked_at > CHECK_LIFE_S * TIME_SECOND || !system->checked_at) {
        struct err err = ERR_INIT;
        system->checked_at = time_monotonic(); /* before: one check is enough for all who are denied together */
        bool ill;
        system->check_failed = gate_check(system, &ill, &err) == VERDICT_DENIED;
        if (system->check_failed) {
            free(system->refused_why);
            system->refused_why = mem_printf("credentials refused: %s", err_text(&err));
        }
        err_release(&err);
    }
    system->refused = system->refused || system->check_failed;
}

/* ---- the whole job ----------------------------------------------------------------------------------------------- */

static enum verdict run_job(struct run *run, json_t *outputs)
{
    const json_t *job = json_object_get(run->job->message, "job");
    const json_t *state = json_object_get(job, "state");
    if (!run->action) {
        return run_say(run, VERDICT_FAILED, "this worker's connector has no action \"%s\"", run->action_name);
    }
    if (expired(run)) {
        run->skipped = true;
        return VERDICT_MISSING;
    }
    if (!context_condition(run)) {
        run->skipped = true;
        return run_say(run, VERDICT_MISSING, "its condition is not met");
    }
    if (!*json_string_at(run->context, "report") && paths_read(json_object_get(job, "with"), "report", NULL)) {
        run->skipped = true;
        return run_say(run, VERDICT_MISSING, "there is nothing to tell");
    }
    derive_values(run);
    run_resume_clocks(run, state);
    enum verdict verdict = render_with(run);
    if (verdict == VERDICT_DONE) {
        verdict = guard_person(run);
    }
    if (verdict == VERDICT_DONE) {
        verdict = identify_accounts(run, &run->accounts);
    }
    if (verdict == VERDICT_DONE) {
        run_resume(run, state);
        json_object_update(outputs, json_object_get(state, "outputs"));
        json_t *open = json_deep_copy(json_object_get(state, "open"));
        json_object_update(run->open, open);
        json_decref(open);
        verdict = accounts_run(run, outputs);
    }
    if (verdict == VERDICT_DONE || verdict == VERDICT_ALREADY) {
        enum verdict usable = run_provide(run, outputs);
        verdict = usable == VERDICT_DONE ? verdict : usable;
    }
    return verdict;
}

static const char *const verdict_names[] = {"succeeded", "already_done", "missing",   "deferred", "blocked",
                                            "denied",    "failed",       "cancelled", "cancelled"};

const char *verdict_name(enum verdict verdict)
{
    return verdict_names[verdict];
}

enum verdict verdict_of_name(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(verdict_names); i++) {
        if (strcmp(verdict_names[i], name) == 0) {
            return (enum verdict)i;
        }
    }
    return VERDICT_FAILED;
}

static const char *outcome_of(const struct run *run, enum verdict verdict)
{
    return run->skipped ? "skipped" : verdict_name(verdict);
}

/* "dry run: would PATCH https://…, and 2 more". */
static void say_dry(struct run *run)
{
    const char *method = NULL, *url = NULL;
    size_t more = 0;
    size_t i;
    json_t *call;
    json_array_foreach(run->record->calls, i, call)
    {
        if (json_true_at(call, "dry_run") && json_true_at(call, "changes")) {
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

static const char *good_sentence(const struct run *run, enum verdict verdict)
{
    if (run->dry) {
        return run->message;
    }
    if (verdict == VERDICT_ALREADY) {
        return run->verified ? "it was already so; reading back confirmed it" : "it was already so";
    }
    if (run->only_verify) {
        return "still so: reading back confirmed it";
    }
    if (run->read_back) {
        return "the vendor answered with an error, but reading back shows that it is done";
    }
    if (run->found_before) {
        return "it had already been done before this job";
    }
    return run->verified                                ? "done, and confirmed by reading back"
           : json_object_get(run->action, "unverified") ? "done: the vendor accepted it, and it cannot be read back"
                                                        : "done";
}

/* What people are told of a good end (`says`): NULL when the action has no sentence for it. The caller frees. */
static char *told_sentence(struct run *run, enum verdict verdict, json_t *outputs)
{
    const json_t *says = json_object_get(run->action, "says");
    const char *done = json_is_object(says) ? json_string_at(says, "done") : json_string_value(says);
    const char *already = json_is_object(says) ? json_string_at(says, "already") : NULL;
    bool was_so = verdict == VERDICT_ALREADY;
    size_t accounts = json_array_size(run->accounts);
    if (!done || run->dry || run->only_verify) {
        return NULL;
    }
    if (accounts > 1) { /* outputs are of the last one */
        const char *title = json_string_at(run->action, "title");
        return mem_printf("done for %zu accounts: %s", accounts, title ? title : run->action_name);
    }
    struct err err = ERR_INIT;
    context_set(run, "outputs", json_incref(outputs));
    char *text = expr_text(run->engine->exprs, was_so && already ? already : done, run->context, &err);
    if (!text) { /* the work is done: people are told so in general words */
        free(run->note);
        run->note = mem_printf("; says can't be made: %s", err_text(&err));
    }
    err_release(&err);
    char *whole = text && *text && was_so && !already ? mem_printf("already done: %s", text) : mem_strdup(text);
    char *masked = run_mask(run, whole);
    free(whole);
    free(text);
    return masked;
}

/* One sentence about the end, masked. The caller frees. */
static char *end_message(const struct run *run, enum verdict verdict)
{
    bool good = verdict == VERDICT_DONE || verdict == VERDICT_ALREADY;
    const char *sentence = good ? good_sentence(run, verdict) : run->message ? run->message : verdict_name(verdict);
    const char *anew =
        run->anew ? "; the connector was changed since the last attempt, so the action was begun again" : "";
    char *text = mem_printf("%s%s%s", sentence, good && run->note ? run->note : "", anew);
    char *masked = run_mask(run, text);
    free(text);
    return masked;
}

static void fill_result(struct run *run, enum verdict verdict, json_t *outputs, struct engine_result *result)
{
    bool good = verdict == VERDICT_DONE || verdict == VERDICT_ALREADY;
    json_t *context = json_object();
    if (good && run->dry) {
        say_dry(run);
    }
    json_put(context, "outputs", run_masked_facts(run, outputs));
    char *told = good ? told_sentence(run, verdict, outputs) : NULL;
    json_put_string(context, "says", told);
    free(told);
    json_put(context, "dry", run->dry ? json_true() : NULL);
    if (run->record->left_out) {
        json_put(context, "calls_left_out", json_integer(run->record->left_out));
    }
    if (good && json_object_size(run->open)) {
        json_put(context, "open", run_masked_facts(run, run->open));
    }
    if (good && run->provides) {
        json_put(context, "provides", run_masked_facts(run, run->provides));
    }
    if (run->pinned) {
        json_put(context, "pinned", json_pack("{s:O}", run->job->system, run->pinned));
    }
    if (verdict == VERDICT_DEFERRED) {
        json_put_instant(context, "due_at", run->due_at);
        json_put(context, "waits", json_incref(run->waits));
        char *progress = run_mask(run, run->progress);
        json_put_string(context, "progress", progress);
        free(progress);
    }
    json_put(context, "searched", json_incref(run->searched));
    if (!good && verdict != VERDICT_MISSING) {
        json_t *state = run_state(run, verdict);
        if (json_object_size(outputs)) {
            json_object_set(state, "outputs", outputs); /* of the accounts that have ended */
        }
        if (json_object_size(run->open)) {
            json_object_set(state, "open", run->open);
        }
        json_put(context, "state", run_masked_facts(run, state));
        json_decref(state);
    }
    result->outcome = outcome_of(run, verdict);
    result->status = run->last_status;
    json_put(context, "calls", run_masked(run, run->record->calls));
    const json_t *verified = run->verified ? run->verified : run->place ? run->place->verified : NULL;
    json_put(context, "verified", verified ? run_masked(run, verified) : json_null());
    result->message = end_message(run, verdict);
    result->trace = run->record->trace ? run_masked(run, run->record->trace) : NULL;
    result->context = context;
    result->abandoned = verdict == VERDICT_ABANDONED;
}

void run_init(struct run *run, struct system *system, struct job *job, struct record *record)
{
    *record = (struct record){.calls = json_array()};
    *run = (struct run){.engine = system->engine,
                        .system = system,
                        .job = job,
                        .record = record,
                        .troubles = json_object(),
                        .open = json_object(),
                        .secrets = json_object(),
                        .masks = secret_set_new()};
    context_start(run);
    run_engage(run);
}

void run_release(struct run *run)
{
    run_disengage(run);
    for (size_t i = 0; i < run->place_count; i++) {
        place_release(&run->places[i]);
    }
    free(run->places);
    json_decref(run->accounts);
    json_decref(run->context);
    json_decref(run->record->calls);
    json_decref(run->waits);
    json_decref(run->search);
    json_decref(run->troubles);
    json_decref(run->open);
    json_decref(run->provides);
    secrets_release(run);
    free(run->url);
    json_decref(run->record->trace);
    json_decref(run->pinned);
    json_decref(run->searched);
    json_decref(run->verified);
    free(run->progress);
    free(run->where);
    free(run->message);
    free(run->note);
}

static bool is_dry(const struct engine *engine, const struct job *job)
{
    const char *mode = json_string_at(job->message, "mode");
    const char *forced = conf_system_setting(engine->conf, job->system, "mode");
    return (mode && strcmp(mode, "dry_run") == 0) || (forced && strcmp(forced, "live") != 0);
}

void engine_run(struct engine *engine, struct job *job, struct engine_result *result)
{
    *result = (struct engine_result){0};
    struct run run;
    struct record record;
    run_init(&run, engine_system(engine, job->system), job, &record);
    run.action_name = json_string_at(job->message, "job.action");
    run.action = json_object_get(json_object_get(run.system->connector->tree, "actions"), run.action_name);
    run.dry = is_dry(engine, job);
    run.only_verify = json_true_at(job->message, "job.only_verify");
    run.begun = job->begun_before;
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
    json_decref(result->trace);
    *result = (struct engine_result){0};
}

void engine_interrupt(struct job *job, enum interruption why)
{
    bool first = job->interruption == INTERRUPT_NONE;
    if (first || (why != INTERRUPT_TOO_LONG && job->interruption != INTERRUPT_DRAIN)) { /* nothing outweighs the end */
        job->interruption = why;
    }
    for (struct engaged *engaged = job->engaged; engaged; engaged = engaged->next) {
        if (engaged->slot) {
            sleeper_wake(*engaged->slot);
        }
        if (engaged->flight &&
            why == INTERRUPT_DRAIN) { /* the grace is over: whoever goes on looks whether it had its effect */
            http_abort(*engaged->flight);
        }
    }
}
