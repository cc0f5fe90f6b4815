/* The requests of an action, one after another: conditions, lists, pages. */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_internal.h"

/* ---- pages ------------------------------------------------------------------------------------------------------- */

/* What an earlier attempt collected would be collected twice. */
static void forget_saved(struct run *run, const json_t *request)
{
    const char *name;
    json_t *tmpl;
    json_object_foreach(json_object_get(request, "save"), name, tmpl)
    {
        json_object_del(run->saved, name);
    }
}

static enum verdict run_pages(struct run *run, const json_t *request, bool (*look)(struct run *run))
{
    json_t *page = json_incref((json_t *)(uintptr_t)request);
    enum verdict verdict = VERDICT_DONE;
    run->collecting = true;
    for (int count = 0; page && verdict == VERDICT_DONE; count++) {
        if (count == PAGES_MAX) {
            verdict = run_say(run, VERDICT_FAILED, "more than %d pages", PAGES_MAX);
            break;
        }
        verdict = request_run(run, page, look);
        json_t *next = NULL;
        if (verdict == VERDICT_DONE) {
            verdict = pages_next(run, page, &next);
        }
        json_decref(page);
        page = next;
    }
    json_decref(page);
    run->collecting = false;
    return verdict;
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

/* The items of a for_each: those a deferral or a failure left, else what the expression says now. */
static enum verdict take_items(struct run *run, const json_t *request)
{
    struct err err = ERR_INIT;
    if (run->items_left) {
        return VERDICT_DONE;
    }
    forget_saved(run, request);
    json_t *items = expr_render(run->engine->exprs, json_object_get(request, "for_each"), run->context, &err);
    enum verdict verdict = VERDICT_DONE;
    if (json_is_array(items)) {
        run->items_left = json_deep_copy(items);
    } else if (run->dry) {
        run->items_left = json_array();
    } else {
        verdict =
            run_say(run, VERDICT_FAILED, "for_each: %s", items ? "the expression yields no list" : err_text(&err));
    }
    json_decref(items);
    err_release(&err);
    return verdict;
}

static char *item_name(const json_t *item)
{
    return json_is_string(item) ? mem_strdup(json_string_value(item)) : json_text(item);
}

/* Names the refused items, and keeps only those as left: a retry takes them alone. */
static enum verdict report_refused(struct run *run, enum verdict worst, json_t *refused, size_t total)
{
    struct buf names = {.max = 2000};
    size_t i;
    json_t *item;
    json_array_foreach(refused, i, item)
    {
        char *name = item_name(item);
        buf_addf(&names, "%s%s", i ? ", " : "", name);
        free(name);
    }
    json_decref(run->items_left);
    run->items_left = json_incref(refused);
    char *last = mem_strdup(run->message ? run->message : "");
    run_say(run, worst, "%zu of %zu items failed: %s (%s)", json_array_size(refused), total, buf_text(&names), last);
    free(last);
    buf_release(&names);
    return worst;
}

static enum verdict run_items(struct run *run, const json_t *request)
{
    enum verdict verdict = take_items(run, request);
    enum verdict worst = VERDICT_DONE;
    json_t *refused = json_array();
    size_t total = json_array_size(run->items_left);
    while (verdict == VERDICT_DONE && json_array_size(run->items_left) > 0) {
        json_t *item = json_incref(json_array_get(run->items_left, 0));
        context_set(run, "item", json_incref(item));
        bool pages = json_object_get(request, "pages") != NULL;
        enum verdict one = pages ? run_pages(run, request, NULL) : request_run(run, request, NULL);
        if (one >= VERDICT_BLOCKED && one <= VERDICT_FAILED) {
            json_array_append(refused, item);
            worst = one > worst ? one : worst;
        } else if (one == VERDICT_DEFERRED || one > VERDICT_FAILED) {
            verdict = one;
        }
        if (verdict == VERDICT_DONE) {
            json_array_remove(run->items_left, 0);
        }
        json_decref(item);
    }
    if (verdict != VERDICT_DONE) {
        json_array_extend(run->items_left, refused); /* they get another chance with the rest */
    } else if (worst != VERDICT_DONE) {
        verdict = report_refused(run, worst, refused, total);
    }
    json_decref(refused);
    return verdict;
}

/* ---- the sequence ------------------------------------------------------------------------------------------------ */

static enum verdict run_one(struct run *run, const json_t *request, bool (*look)(struct run *run))
{
    if (!expr_true(run->engine->exprs, json_object_get(request, "if"), run->context, true)) {
        return VERDICT_DONE;
    }
    if (json_object_get(request, "wait")) {
        return signal_wait(run, request);
    }
    if (json_object_get(request, "find")) {
        return once_run(run, request, look);
    }
    if (json_object_get(request, "for_each")) {
        return run_items(run, request);
    }
    if (json_object_get(request, "pages")) {
        forget_saved(run, request);
        return run_pages(run, request, look);
    }
    return request_run(run, request, look);
}

enum verdict sequence_run(struct run *run, const json_t *requests, bool (*look)(struct run *run))
{
    size_t count = json_array_size(requests);
    while ((size_t)run->at < count) {
        enum verdict verdict = run_interrupted(run);
        if (verdict == VERDICT_DONE) {
            verdict = run_one(run, json_array_get(requests, (size_t)run->at), look);
        }
        if (verdict != VERDICT_DONE) {
            return verdict;
        }
        json_decref(run->items_left);
        run->items_left = NULL;
        run->at++;
        if (run->read_back) {
            return VERDICT_DONE; /* the state is there: what remains would only repeat it */
        }
    }
    return VERDICT_DONE;
}
