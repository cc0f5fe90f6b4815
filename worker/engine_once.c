/* A call that must happen once: looked for before every try, begun on record before the first, and never repeated on
 * the spot when its answer is lost. */
#include <stdlib.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_internal.h"

/* One page of `find`. */
static enum verdict look_at(struct run *run, const json_t *find, bool *found)
{
    enum verdict verdict = request_run(run, find, NULL);
    *found =
        verdict == VERDICT_DONE && expr_true(run->engine->exprs, json_object_get(find, "expect"), run->context, false);
    if (verdict == VERDICT_DONE && !*found && !run->unsent && !evidence_shows_not(run, find, "expect")) {
        char *seen = evidence_seen_text(run, json_string_at(find, "expect"));
        run_say(run, VERDICT_FAILED,
                "the answer to the search for an earlier call does not hold what it should; seen: %s", seen);
        free(seen);
        return run_put_off(run, engine_settle(run->engine, run->job->system, run->action_name), false);
    }
    return verdict;
}

/* Is the effect there already? Saves what the call would have saved. */
static enum verdict find_effect(struct run *run, const json_t *find, bool *found)
{
    json_t *save = json_incref(json_object_get(find, "save"));
    json_t *page = json_copy((json_t *)(uintptr_t)find);
    json_object_del(page, "save"); /* saved only when it is found */
    enum verdict verdict = VERDICT_DONE;
    for (int count = 0; page && verdict == VERDICT_DONE && !*found; count++) {
        json_t *next = NULL;
        verdict = count < PAGES_MAX
                      ? look_at(run, page, found)
                      : run_say(run, VERDICT_FAILED, "more than %d pages were searched for an earlier call", PAGES_MAX);
        if (verdict == VERDICT_DONE && !*found) {
            verdict = pages_next(run, page, &next);
        }
        json_decref(page);
        page = next;
    }
    json_decref(page);
    struct err err = ERR_INIT;
    if (*found && save && save_values(run, save, false, &err) != 0) {
        verdict = run_say(run, VERDICT_FAILED, "could not read what was found: %s", err_text(&err));
    }
    err_release(&err);
    json_decref(save);
    return verdict;
}

/* The begin is committed before the call; in every life anew, as the message is another one. */
static enum verdict begin(struct run *run)
{
    if (run->begin_acknowledged) {
        return VERDICT_DONE;
    }
    if (run->job->begin(run->job) != 0) {
        return VERDICT_ABANDONED;
    }
    run->begin_acknowledged = true;
    run->begun = true;
    return run_interrupted(run);
}

/* The vendor's search may lag: look again after `settle`, in real time. */
static enum verdict put_off_by_settle(struct run *run)
{
    char *trouble = mem_strdup(run->message ? run->message : "the answer was lost");
    run_say(run, VERDICT_FAILED, "%s; it will be looked for before it is tried again", trouble);
    free(trouble);
    return run_put_off(run, engine_settle(run->engine, run->job->system, run->action_name), false);
}

/* The call and what its answer means. `*again`: it was clearly not done and may be tried again after `response`
 * says. */
static enum verdict call(struct run *run, const json_t *request, bool (*look)(struct run *run),
                         struct response *response, bool *again)
{
    *again = false;
    enum verdict verdict = request_requires_first(run, request);
    if (verdict == VERDICT_DONE) {
        verdict = request_send(run, request, response);
    }
    if (verdict != VERDICT_DONE || response->unsent) {
        return verdict == VERDICT_DONE ? request_save(run, request, verdict) : verdict;
    }
    verdict = classify(run, request, response, again);
    if (!*again) {
        trouble_over(run);
    }
    if (verdict == VERDICT_DONE || verdict == VERDICT_ALREADY) {
        return request_save(run, request, verdict);
    }
    bool saves = json_object_get(request, "save") != NULL; /* only `find` can bring that back */
    if (!saves && request_look(run, request, response, verdict, *again, look)) {
        *again = false;
        return VERDICT_DONE;
    }
    if (response->doubtful) {
        *again = false;
        return put_off_by_settle(run);
    }
    return verdict;
}

enum verdict once_run(struct run *run, const json_t *request, bool (*look)(struct run *run))
{
    int tries = 0; /* of the call; `find` counts its own */
    for (;;) {
        bool found = false;
        enum verdict verdict = find_effect(run, json_object_get(request, "find"), &found);
        if (verdict != VERDICT_DONE || found) {
            run->found_before = found;
            return verdict;
        }
        if (!run->dry && (verdict = begin(run)) != VERDICT_DONE) {
            return verdict;
        }
        struct response response;
        bool again;
        run->tries = tries;
        verdict = call(run, request, look, &response, &again);
        if (!again) {
            return verdict;
        }
        if (request_waits_at_gate(run, &response)) {
            continue;
        }
        verdict = request_wait(run, &response);
        if (verdict != VERDICT_DONE) {
            return verdict;
        }
        tries = run->tries;
    }
}
