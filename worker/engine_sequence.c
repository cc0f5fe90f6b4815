/* The requests of an action, one after another: conditions, pages. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_search.h"

/* ---- pages ------------------------------------------------------------------------------------------------------- */

void sequence_clear_saved(struct run *run, const json_t *request)
{
    const char *name;
    json_t *tmpl;
    json_object_foreach(json_object_get(request, "save"), name, tmpl)
    {
        json_object_set_new(run->place->saved, name, json_array());
    }
}

/* The page that an earlier attempt came to, else the first one. New reference. */
static json_t *page_in_hand(struct run *run, const json_t *request)
{
    json_t *page = json_copy((json_t *)(uintptr_t)request);
    if (run->place->page) {
        json_object_set(page, "page", run->place->page);
    }
    return page;
}

static void turn_page(struct run *run, const json_t *next)
{
    json_decref(run->place->page);
    run->place->page = json_incref(json_object_get(next, "page"));
}

/* A link or a cursor lives for a while only. When the vendor refuses a later page, the list begins again at its first page, once. */
static bool begins_again(const json_t *page, bool *again)
{
    if (*again || !pages_later(page)) {
        return false;
    }
    *again = true;
    return true;
}

/* The request for the first page, with nothing saved yet. New reference. */
static json_t *first_page(struct run *run, const json_t *request)
{
    place_first_page(run->place);
    sequence_clear_saved(run, request);
    if (run->searching) {
        search_list_again(run);
    }
    return json_incref((json_t *)(uintptr_t)request);
}

enum verdict sequence_pages(struct run *run, const json_t *request, look_fn *look)
{
    json_t *page = page_in_hand(run, request);
    enum verdict verdict = VERDICT_DONE;
    bool collecting = run->collecting;
    bool again = false;
    run->collecting = true;
    if (run->searching && !run->place->page) {
        search_list_begins(run);
    }
    for (int count = 0; page && verdict == VERDICT_DONE; count++) {
        if (count == PAGES_MAX) {
            verdict = run_say(run, VERDICT_FAILED, "more than %d pages", PAGES_MAX);
            break;
        }
        json_t *next = NULL;
        verdict = run_interrupted(run); /* an attempt that ran long goes on with this page */
        if (verdict == VERDICT_DONE) {
            verdict = request_run(run, page, look);
        }
        if (verdict == VERDICT_FAILED && begins_again(page, &again)) {
            next = first_page(run, request);
            verdict = VERDICT_DONE;
            count = -1;
        } else if (verdict == VERDICT_DONE) {
            verdict = pages_next(run, page, &next);
            turn_page(run, next);
        }
        json_decref(page);
        page = next;
    }
    json_decref(page);
    run->collecting = collecting;
    return verdict;
}

/* ---- the sequence ------------------------------------------------------------------------------------------------ */

/* Does `if` let the request be made? What depends on an answer that a dry run has not got is shown, and marked. */
static bool is_wanted(struct run *run, const json_t *request)
{
    const json_t *condition = json_object_get(request, "if");
    run->uncertain = run->dry && condition && context_guesses(run, condition);
    return run->uncertain || expr_true(run->engine->exprs, condition, run->context, true);
}

enum verdict sequence_one(struct run *run, const json_t *request, look_fn *look)
{
    if (!is_wanted(run, request)) {
        return VERDICT_DONE;
    }
    if (json_object_get(request, "wait")) {
        return signal_wait(run, request);
    }
    if (json_object_get(request, "find")) {
        return once_run(run, request, look);
    }
    if (json_object_get(request, "for_each")) {
        return items_run(run, request);
    }
    if (json_object_get(request, "pages")) {
        if (!run->place->page) {
            sequence_clear_saved(run, request);
        }
        return sequence_pages(run, request, look);
    }
    return request_run(run, request, look);
}

void sequence_pass(struct run *run)
{
    place_pass(run->place);
    run->place->at++;
}

/* What a change found done before is done, and the next request has its turn; a read that finds everything as it should be ends the
 * work. `*already` and `*changed` tell of the changes so far. */
static enum verdict go_on(const json_t *request, enum verdict verdict, bool *already, bool *changed)
{
    if (!json_object_get(request, "wait") && request_changes(request)) {
        *already = *already || verdict == VERDICT_ALREADY;
        *changed = *changed || verdict == VERDICT_DONE;
        return verdict == VERDICT_ALREADY ? VERDICT_DONE : verdict;
    }
    return verdict;
}

enum verdict sequence_run(struct run *run, const json_t *requests, look_fn *look)
{
    enum verdict verdict = VERDICT_DONE;
    bool already = false, changed = run->place->at > 0;
    while (verdict == VERDICT_DONE && (size_t)run->place->at < json_array_size(requests)) {
        trouble_at(run, "requests/%lld", (long long)run->place->at);
        verdict = run_interrupted(run);
        if (verdict == VERDICT_DONE) {
            const json_t *request = json_array_get(requests, (size_t)run->place->at);
            bool made = is_wanted(run, request);
            verdict = sequence_one(run, request, look);
            verdict = made ? go_on(request, verdict, &already, &changed) : verdict;
        }
        if (verdict == VERDICT_DONE) {
            sequence_pass(run);
        }
    }
    return verdict == VERDICT_DONE && already && !changed ? VERDICT_ALREADY : verdict;
}
