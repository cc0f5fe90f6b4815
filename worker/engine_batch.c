/* `batch`: one call for many items, and what its answer says of each. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_items.h"

/* What one result of a batch says: {index, status | ok, already, why}. */
static enum verdict result_verdict(struct run *run, const json_t *result)
{
    const json_t *status = json_object_get(result, "status");
    const char *why = json_string_at(result, "why");
    why = why ? why : "the vendor gives no reason";
    if (!result) {
        return run_say(run, VERDICT_FAILED, "the vendor's answer to the batch says nothing of it");
    }
    json_int_t code = json_is_string(status) ? strtol(json_string_value(status), NULL, 10) : json_integer_value(status);
    if (json_true_at(result, "already") || (json_true_at(result, "ok") && code < 300)) {
        return VERDICT_DONE;
    }
    if (code >= 200 && code < 300 && !json_object_get(result, "ok")) {
        return VERDICT_DONE;
    }
    if (json_true_at(result, "retry") || status_is_temporary((int)code) || words_ask_again((int)code, why)) {
        return run_say(run, VERDICT_DEFERRED, "temporary trouble: the vendor answered %lld: %s", (long long)code, why);
    }
    bool denied = code == 401 || code == 403;
    const char *what = denied ? "credentials or rights refused" : "refused";
    return code ? run_say(run, denied ? VERDICT_DENIED : VERDICT_FAILED, "%s: %lld: %s", what, (long long)code, why)
                : run_say(run, VERDICT_FAILED, "%s: %s", what, why);
}

/* Is it about the item at `index` of the call: by its member `index`, else by its place? */
static bool is_about(const json_t *result, size_t place, size_t index)
{
    const json_t *number = json_object_get(result, "index");
    return number ? json_is_integer(number) && json_integer_value(number) == (json_int_t)index : place == index;
}

/* The verdict of an item. Of several results about it the worst counts. */
static enum verdict item_verdict(struct run *run, const json_t *results, size_t index)
{
    enum verdict worst = VERDICT_DONE;
    char *why = NULL;
    bool any = false;
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        enum verdict verdict = is_about(result, i, index) ? result_verdict(run, result) : VERDICT_DONE;
        any = any || is_about(result, i, index);
        if (verdict > worst) {
            worst = verdict;
            free(why);
            why = mem_strdup(run->message);
        }
    }
    if (!any) {
        worst = result_verdict(run, NULL);
    } else if (why) {
        run_say(run, worst, "%s", why);
    }
    free(why);
    return worst;
}

/* A list of another length that does not number its results can't be matched with the items. */
static bool matches(const json_t *results, size_t count)
{
    return json_array_size(results) == count || json_object_get(json_array_get(results, 0), "index");
}

static enum verdict mismatch(struct run *run, size_t results, size_t items)
{
    return run_say(run, VERDICT_FAILED,
                   "the vendor's answer has %zu result%s for %zu item%s, and does not say which is whose", results,
                   results == 1 ? "" : "s", items, items == 1 ? "" : "s");
}

/* One call of a batch: which items it is about. */
struct call {
    size_t *indexes;
    json_t *items; /* owned */
};

/* Notes an item that is to be tried again: what the vendor says of the first such item is why the call has to wait. */
static void note_waiting(const struct run *run, const json_t *item, char **why)
{
    if (!*why) {
        char *name = items_name(item);
        *why = mem_printf("%s: %s", name, run->message);
        free(name);
    }
}

/* Judges the items of a call; those that the vendor asks to try again stay undone. True when there are any: then the run's message says
 * why. */
static bool judge_call(struct items *items, struct run *run, const json_t *batch, const struct call *call)
{
    struct err err = ERR_INIT;
    json_t *results = context_value(run, "results", json_object_get(batch, "results"), &err);
    bool unknown = results && context_is_stand_in(results);
    char *why = NULL;
    for (size_t i = 0; i < json_array_size(call->items); i++) {
        enum verdict verdict = unknown ? VERDICT_DONE
                               : json_is_array(results) && !matches(results, json_array_size(call->items))
                                   ? mismatch(run, json_array_size(results), json_array_size(call->items))
                               : json_is_array(results)
                                   ? item_verdict(run, results, i)
                                   : run_say(run, VERDICT_FAILED, "batch.results: %s",
                                             results ? "the expression yields no list" : err_text(&err));
        if (verdict == VERDICT_DEFERRED) {
            note_waiting(run, json_array_get(call->items, i), &why);
        } else {
            items_note(items, run, call->indexes[i], verdict);
        }
    }
    bool again = why != NULL;
    if (again) {
        run_say(run, VERDICT_DEFERRED, "%s", why);
    }
    free(why);
    json_decref(results);
    err_release(&err);
    return again;
}

/* The next items that are not done, at most `size`. */
static void next_call(const struct items *items, size_t size, struct call *call)
{
    call->items = json_array();
    for (size_t i = 0; i < json_array_size(items->items) && json_array_size(call->items) < size; i++) {
        if (!items->done[i]) {
            call->indexes[json_array_size(call->items)] = i;
            json_array_append(call->items, json_array_get(items->items, i));
        }
    }
}

static size_t batch_size(struct run *run, const json_t *batch)
{
    json_t *size = expr_render(run->engine->exprs, json_object_get(batch, "size"), run->context, NULL);
    json_int_t number = json_is_string(size) ? strtol(json_string_value(size), NULL, 10) : json_integer_value(size);
    json_decref(size);
    return number > 0 ? (size_t)number : 1;
}

/* One call, and what its answer says of each item. `*again`: some are to be tried again. */
static enum verdict make_call(struct items *items, struct run *run, const struct call *call, bool *again)
{
    const json_t *batch = json_object_get(items->request, "batch");
    context_set(run, "items", json_incref(call->items));
    trouble_at(run, "requests/%lld/batch", (long long)run->place->at);
    enum verdict verdict = request_run(run, items->request, NULL);
    *again = false;
    if (verdict == VERDICT_DONE) {
        *again = judge_call(items, run, batch, call);
        return VERDICT_DONE;
    }
    for (size_t i = 0; i < json_array_size(call->items); i++) {
        items_note(items, run, call->indexes[i], verdict);
    }
    return items->stop;
}

void items_work_in_batches(struct items *items, struct run *run)
{
    size_t size = batch_size(run, json_object_get(items->request, "batch"));
    struct call call = {.indexes = mem_alloc((json_array_size(items->items) + 1) * sizeof *call.indexes)};
    bool collecting = run->collecting;
    int waits = 0;
    run->collecting = true;
    for (next_call(items, size, &call); json_array_size(call.items) && items->stop == VERDICT_DONE;
         next_call(items, size, &call)) {
        bool again;
        enum verdict verdict = make_call(items, run, &call, &again);
        if (verdict == VERDICT_DONE && again) {
            run->tries = waits++;
            verdict = run_wait_or_defer(run, -1);
        }
        if (verdict != VERDICT_DONE && items->stop == VERDICT_DONE) {
            items->stop = verdict;
            items->due_at = run->due_at;
            items_note_message(items, run);
        }
        json_decref(call.items);
    }
    json_decref(call.items);
    free(call.indexes);
    run->collecting = collecting;
}
