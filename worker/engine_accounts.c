/* The accounts of a leaver, one after another: guarded, acted on, read back. What fails or waits for one leaves no other with
 * access. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_internal.h"

/* ---- one account ------------------------------------------------------------------------------------------------- */

/* Did some items refuse a change, and would the read-back show whether it happened all the same? A read that failed says nothing
 * about the state. */
static bool refusal_may_be_excused(const struct run *run, enum verdict verdict)
{
    const json_t *requests = json_object_get(run->action, "requests");
    const json_t *request = json_array_get(requests, (size_t)run->place->at);
    return (verdict == VERDICT_FAILED || verdict == VERDICT_DENIED) && json_array_size(run->place->items_left) > 0 &&
           verify_covers(run, request);
}

/* The requests; items that were refused are excused when the read-back shows their effect, and then the sequence goes on. */
static enum verdict run_requests(struct run *run)
{
    enum verdict verdict = sequence_run(run, json_object_get(run->action, "requests"), verify_look);
    while (refusal_may_be_excused(run, verdict) && verify_look(run)) {
        run->read_back = true;
        run->seen = true;
        sequence_pass(run);
        verdict = sequence_run(run, json_object_get(run->action, "requests"), verify_look);
    }
    return verdict;
}

static bool says_gone(json_int_t status)
{
    return status == 404 || status == 410;
}

/* Is the only evidence of a good end that nothing is there under the account's name? What this attempt deleted itself is gone for
 * good. */
static bool only_gone(const struct run *run, enum verdict verdict)
{
    bool looked_gone = says_gone(json_int_at(run->place->verified, "seen.status", 0));
    bool good = verdict == VERDICT_DONE || verdict == VERDICT_ALREADY;
    return verdict == VERDICT_MISSING || (good && run->place->gone) ||
           (verdict == VERDICT_ALREADY && (says_gone(run->last_status) || looked_gone)) ||
           (verdict == VERDICT_DONE && run->read_back && looked_gone);
}

/* A name that its owner can change is not there: it may be that the account has another name now. */
static enum verdict doubt_gone(struct run *run, const char *account, enum verdict verdict)
{
    const char *why = json_string_at(run->system->connector->tree, "identify.mutable");
    if (!account || !why || !only_gone(run, verdict)) {
        return verdict;
    }
    char *said = mem_strdup(run->message ? run->message : "it is not there");
    run_say(run, VERDICT_BLOCKED,
            "account %s is not there, and its name may have changed (%s): find the account, then name it in the event "
            "or skip the step; %s",
            account, why, said);
    free(said);
    return VERDICT_BLOCKED;
}

static enum verdict run_account(struct run *run, const char *account)
{
    context_account(run, account);
    trouble_at(run, "guard");
    enum verdict verdict = guard_account(run, account);
    bool only_verify = run->place->verifying || run->only_verify;
    run->read_back = false;
    run->seen = false;
    if (verdict == VERDICT_DONE && !only_verify) {
        verdict = run_requests(run);
    }
    if (verdict == VERDICT_DONE || verdict == VERDICT_ALREADY) {
        enum verdict seen = run->seen ? VERDICT_DONE : verify_run(run);
        verdict = seen == VERDICT_DONE ? verdict : seen;
    }
    return doubt_gone(run, account, verdict);
}

static void collect_output(struct run *run, json_t *outputs)
{
    const json_t *declared = json_object_get(run->action, "outputs");
    const char *name;
    json_t *tmpl;
    json_object_foreach((json_t *)(uintptr_t)declared, name, tmpl)
    {
        struct err err = ERR_INIT;
        json_t *value = context_value(run, name, tmpl, &err);
        if (!value) { /* the work is done: it would be wrong to do it again for that */
            free(run->note);
            run->note = mem_printf("; outputs.%s could not be read: %s", name, err_text(&err));
        }
        json_object_set_new(outputs, name, value ? value : json_null());
        err_release(&err);
    }
}

/* The entry of a kind of things that are left. Borrowed. */
static json_t *open_kind(struct run *run, const char *kind, const json_t *rule)
{
    json_t *open = json_object_get(run->open, kind);
    if (!open) {
        char *why = expr_text(run->engine->exprs, json_string_at(rule, "why"), run->context, NULL);
        open = json_pack("{s:[], s:s}", "items", "why", why ? why : "");
        json_object_set_new(run->open, kind, open);
        free(why);
    }
    return open;
}

/* What the action leaves in place on purpose, by kind: {items, why}. A later step, or a person, has to resolve it. Null says nothing
 * about the kind. */
static void collect_left(struct run *run)
{
    const char *kind;
    json_t *rule;
    json_object_foreach(json_object_get(run->action, "leaves"), kind, rule)
    {
        json_t *items = expr_render(run->engine->exprs, json_object_get(rule, "items"), run->context, NULL);
        if (json_is_array(items)) {
            json_array_extend(json_object_get(open_kind(run, kind, rule), "items"), items);
        } else if (!json_is_null(items)) { /* nobody may think that nothing is left */
            json_array_append_new(json_object_get(open_kind(run, kind, rule), "items"),
                                  json_string("what is left could not be read"));
        }
        json_decref(items);
    }
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* What became of the accounts, put together. */
struct tally {
    enum verdict good;         /* best of those that went well; MISSING at first */
    enum verdict bad;          /* worst of those that failed; DONE: none did */
    bool deferred;             /* one waits */
    int64_t due_at;            /* the earliest */
    char *said;                /* what was said of those that failed or wait; owned */
    char *gone;                /* the accounts that are not there; owned */
    const json_t *verified;    /* of the first one that failed, else of the last one that went well; borrowed */
    const json_t *unconfirmed; /* of the first one that failed; borrowed */
};

static void tally_say(struct tally *tally, const char *account, size_t count, const char *why)
{
    bool named = count > 1 && *account;
    char *text = mem_printf("%s%s%s%s%s", tally->said ? tally->said : "", tally->said ? "; " : "", named ? account : "",
                            named ? ": " : "", why ? why : "it did not succeed");
    free(tally->said);
    tally->said = text;
}

static void tally_end(struct tally *tally, const struct run *run, size_t index, enum verdict verdict, const char *why)
{
    const struct place *place = &run->places[index];
    if (verdict >= VERDICT_BLOCKED) {
        tally_say(tally, run_account_name(run, index), run->place_count, why);
        tally->unconfirmed = tally->bad == VERDICT_DONE ? place->verified : tally->unconfirmed;
        tally->bad = verdict > tally->bad ? verdict : tally->bad;
    } else {
        tally->good = verdict < tally->good ? verdict : tally->good;
        tally->verified = place->verified ? place->verified : tally->verified;
        if (verdict == VERDICT_MISSING) {
            char *names = mem_printf("%s%s%s", tally->gone ? tally->gone : "", tally->gone ? ", " : "",
                                     run_account_name(run, index));
            free(tally->gone);
            tally->gone = names;
        }
    }
}

/* Some accounts are done, others are not there: both have to be told. */
static void tell_gone(const struct tally *tally, struct run *run)
{
    if (tally->gone && tally->good != VERDICT_MISSING) {
        char *note = mem_printf("%s; not there: %s", run->note ? run->note : "", tally->gone);
        free(run->note);
        run->note = note;
    }
}

static void tally_defer(struct tally *tally, const struct run *run, size_t index)
{
    tally->due_at = !tally->deferred || run->due_at < tally->due_at ? run->due_at : tally->due_at;
    tally->deferred = true;
    tally_say(tally, run_account_name(run, index), run->place_count, run->message);
}

/* The verdict of the whole job, with its message. */
static enum verdict tally_up(const struct tally *tally, struct run *run)
{
    if (tally->deferred) {
        run->due_at = tally->due_at;
        return run_say(run, VERDICT_DEFERRED, "%s", tally->said);
    }
    const json_t *verified = tally->bad != VERDICT_DONE ? tally->unconfirmed : tally->verified;
    run->verified = json_incref((json_t *)(uintptr_t)verified);
    tell_gone(tally, run);
    return tally->bad != VERDICT_DONE ? run_say(run, tally->bad, "%s", tally->said) : tally->good;
}

/* Does this verdict end the job's attempt, whatever account it came from? */
static bool stops(const struct run *run, enum verdict verdict)
{
    return verdict == VERDICT_CANCELLED || verdict == VERDICT_ABANDONED ||
           (verdict == VERDICT_DEFERRED && run->job->interruption != INTERRUPT_NONE);
}

static void end_place(struct run *run, enum verdict verdict)
{
    struct place *place = run->place;
    free(place->ended);
    free(place->why);
    place->ended = mem_strdup(verdict_name(verdict));
    place->why = verdict >= VERDICT_BLOCKED && run->message ? mem_strdup(run->message) : NULL;
}

static enum verdict run_one_account(struct run *run, size_t index, json_t *outputs, struct tally *tally)
{
    run->account = index;
    run->place = &run->places[index];
    if (run->place->ended) { /* in an earlier attempt */
        tally_end(tally, run, index, verdict_of_name(run->place->ended), run->place->why);
        return VERDICT_DONE;
    }
    enum verdict verdict = run_account(run, json_string_value(json_array_get(run->accounts, index)));
    if (stops(run, verdict)) {
        return verdict;
    }
    if (verdict == VERDICT_DEFERRED) {
        tally_defer(tally, run, index);
        return VERDICT_DONE;
    }
    if ((verdict == VERDICT_DONE || verdict == VERDICT_ALREADY) && !run->only_verify) {
        collect_output(run, outputs);
        if (!run->dry) {
            collect_left(run);
        }
    }
    end_place(run, verdict);
    tally_end(tally, run, index, verdict, run->message);
    return VERDICT_DONE;
}

enum verdict accounts_run(struct run *run, json_t *outputs)
{
    struct tally tally = {.good = VERDICT_MISSING, .bad = VERDICT_DONE};
    enum verdict stop = VERDICT_DONE;
    for (size_t i = 0; stop == VERDICT_DONE && i < run->place_count; i++) {
        stop = run_one_account(run, i, outputs, &tally);
    }
    enum verdict verdict = stop == VERDICT_DONE ? tally_up(&tally, run) : stop;
    free(tally.said);
    free(tally.gone);
    return verdict;
}
