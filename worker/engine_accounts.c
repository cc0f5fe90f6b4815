/* The accounts of a leaver, one after another: guarded, acted on, read back. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_internal.h"

/* ---- guards ------------------------------------------------------------------------------------------------------ */

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
    struct err err = ERR_INIT;
    const char *tmpl = json_string_at(run->action, "target");
    char *rendered = tmpl ? expr_text(run->engine->exprs, tmpl, run->context, &err) : NULL;
    const char *target = tmpl ? rendered : account;
    enum verdict verdict = VERDICT_DONE;
    if (tmpl && !rendered) {
        verdict = run_say(run, VERDICT_FAILED, "target: %s", err_text(&err));
    } else if (target && protected_account(run, target)) {
        verdict = run_say(run, VERDICT_BLOCKED, "account %s is protected (guards.protected)", target);
    } else {
        verdict = guard_manager(run, target);
    }
    free(rendered);
    err_release(&err);
    return verdict;
}

/* ---- one account ------------------------------------------------------------------------------------------------- */

/* Was it a change that some items refused? What could not be read tells nothing, and a look would see nothing amiss. */
static bool changes_refused(const struct run *run)
{
    const json_t *requests = json_object_get(run->action, "requests");
    return json_array_size(run->items_left) > 0 && request_changes(json_array_get(requests, (size_t)run->at));
}

static enum verdict run_account(struct run *run, const char *account, const json_t *state)
{
    context_account(run, account);
    if (state) { /* goes on where an earlier attempt was put off */
        json_object_update(run->saved, json_object_get(state, "saved"));
    }
    enum verdict verdict = guard_target(run, account);
    bool only_verify = run->verifying || run->only_verify;
    run->read_back = false;
    if (verdict == VERDICT_DONE && !only_verify) {
        verdict = sequence_run(run, json_object_get(run->action, "requests"), verify_look);
    }
    bool refused = verdict == VERDICT_FAILED || verdict == VERDICT_DENIED;
    if (refused && changes_refused(run) && verify_look(run)) {
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
        json_t *value = context_value(run, name, tmpl, NULL);
        json_object_set_new(outputs, name, value ? value : json_null());
    }
}

/* The first failure's state stays: a retry goes on there, and does the accounts behind it again without harm. */
static void keep_failure(struct run *run, const char *account, size_t count, char **said, json_t **verified)
{
    char *text = mem_printf("%s%s%s%s%s", *said ? *said : "", *said ? "; " : "", count > 1 && account ? account : "",
                            count > 1 && account ? ": " : "", run->message ? run->message : "it did not succeed");
    free(*said);
    *said = text;
    if (!run->failed_state) {
        run->failed_state = run_state(run);
        *verified = json_incref(run->verified);
    }
}

static void next_account(struct run *run)
{
    run->at = 0;
    run->verifying = false;
    run->imaged = false;
    run->polled_since = 0;
    json_decref(run->heard);
    run->heard = NULL;
    run->reminders = 0;
    run->awaits_since = 0;
    json_decref(run->items_left);
    run->items_left = NULL;
    json_decref(run->verified);
    run->verified = NULL;
}

/* Every account from the one in hand on: what fails for one leaves no other with access. A rest stops. */
enum verdict accounts_run(struct run *run, const json_t *accounts, const json_t *state, json_t *outputs)
{
    enum verdict good = VERDICT_MISSING, bad = VERDICT_DONE;
    size_t count = json_array_size(accounts);
    char *said = NULL;
    json_t *failed_verified = NULL, *good_verified = NULL;
    enum verdict rest = VERDICT_DONE;
    for (; (size_t)run->account < count && rest == VERDICT_DONE; run->account++) {
        const char *account = json_string_value(json_array_get(accounts, (size_t)run->account));
        enum verdict verdict = run_account(run, account, state);
        state = NULL;
        if (verdict == VERDICT_DEFERRED || verdict == VERDICT_CANCELLED || verdict == VERDICT_ABANDONED) {
            rest = verdict;
            break;
        }
        if (verdict >= VERDICT_BLOCKED) {
            keep_failure(run, account, count, &said, &failed_verified);
            bad = verdict > bad ? verdict : bad;
        } else {
            good = verdict < good ? verdict : good;
        }
        if (verdict == VERDICT_DONE || verdict == VERDICT_ALREADY) {
            if (!run->only_verify) {
                collect_output(run, outputs);
            }
            json_decref(good_verified);
            good_verified = json_incref(run->verified);
        }
        next_account(run);
    }
    if (rest == VERDICT_DONE) {
        run->verified = json_incref(run->failed_state ? failed_verified : good_verified);
    }
    if (rest == VERDICT_DONE && said) {
        run_say(run, bad, "%s", said);
    }
    free(said);
    json_decref(failed_verified);
    json_decref(good_verified);
    return rest != VERDICT_DONE ? rest : run->failed_state ? bad : good;
}
