/* `for_each`: the request for every item of a list, one by one, several at a time (`parallel`), or many in one call (`batch`).
 * Each item is judged by itself. Those that are refused are named and stay on the list, so that a retry takes them alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_internal.h"

enum { NAMES_MAX = 2000, PARALLEL_MAX = 50 };

/* The items of one request, while they are worked on. */
struct items {
    const json_t *request;
    json_t *items; /* all that are to be done; owned */
    json_t *saved; /* a list for each saved name: by item, what was saved for it; owned */
    char *done;    /* by item: is it over, well or refused? */
    char *refused; /* by item */
    size_t next;   /* the first that nobody has begun */
    enum verdict worst;
    enum verdict stop; /* why the rest must wait; DONE: it need not */
    int64_t due_at;
    char *message; /* of the latest refusal or of `stop`; owned */
    int lanes;     /* fibers at work besides the job's own */
    struct sleeper *waits;
};

/* ---- before ------------------------------------------------------------------------------------------------------ */

/* The items that a deferral or a failure left, else what the expression says now. */
static enum verdict take_items(struct run *run, const json_t *request)
{
    struct err err = ERR_INIT;
    if (run->place->items_left) {
        return VERDICT_DONE;
    }
    sequence_clear_saved(run, request);
    json_t *items = context_value(run, "items", json_object_get(request, "for_each"), &err);
    enum verdict verdict = VERDICT_DONE;
    if (json_is_array(items)) {
        run->place->items_left = json_deep_copy(items);
    } else if (items && context_is_stand_in(items)) {
        run->place->items_left = json_array(); /* a dry run does not know them */
    } else {
        verdict =
            run_say(run, VERDICT_FAILED, "for_each: %s", items ? "the expression yields no list" : err_text(&err));
    }
    json_decref(items);
    err_release(&err);
    return verdict;
}

static void items_begin(struct items *items, struct run *run, const json_t *request)
{
    size_t count = json_array_size(run->place->items_left);
    *items = (struct items){.request = request,
                            .items = json_incref(run->place->items_left),
                            .saved = json_object(),
                            .done = mem_alloc(count + 1),
                            .refused = mem_alloc(count + 1),
                            .worst = VERDICT_DONE,
                            .stop = VERDICT_DONE};
}

static void items_end(struct items *items)
{
    json_decref(items->items);
    json_decref(items->saved);
    free(items->done);
    free(items->refused);
    free(items->message);
}

/* ---- one item ---------------------------------------------------------------------------------------------------- */

static void note_message(struct items *items, const struct run *run)
{
    free(items->message);
    items->message = mem_strdup(run->message ? run->message : "it did not succeed");
}

/* What became of the item at `index`. */
static void note_item(struct items *items, const struct run *run, size_t index, enum verdict verdict)
{
    bool refused = verdict >= VERDICT_BLOCKED && verdict <= VERDICT_FAILED;
    if (verdict == VERDICT_DEFERRED || verdict > VERDICT_FAILED) {
        items->due_at = items->stop != VERDICT_DEFERRED || run->due_at < items->due_at ? run->due_at : items->due_at;
        items->stop = verdict > items->stop ? verdict : items->stop;
        note_message(items, run);
        return;
    }
    items->done[index] = 1;
    if (refused) {
        items->refused[index] = 1;
        items->worst = verdict > items->worst ? verdict : items->worst;
        if (items->stop == VERDICT_DONE) {
            note_message(items, run);
        }
    }
}

static char *item_name(const json_t *item)
{
    static const char *const names[] = {"name", "displayName", "title", "key", "id"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const json_t *name = json_object_get(item, names[i]);
        if (json_is_string(name) || json_is_integer(name)) {
            return json_is_string(name) ? mem_strdup(json_string_value(name)) : json_text(name);
        }
    }
    return json_is_string(item) ? mem_strdup(json_string_value(item)) : json_text(item);
}

static void work_on(struct items *items, struct run *run, size_t index)
{
    json_t *item = json_array_get(items->items, index);
    char *name = item_name(item);
    bool pages = json_object_get(items->request, "pages") != NULL;
    context_set(run, "item", json_incref(item));
    trouble_at(run, "requests/%lld/%s", (long long)run->place->at, name);
    bool collecting = run->collecting;
    run->collecting = true;
    enum verdict verdict = pages ? sequence_pages(run, items->request, NULL) : request_run(run, items->request, NULL);
    run->collecting = collecting;
    note_item(items, run, index, verdict);
    if (items->done[index]) { /* the next item begins at its first page */
        json_decref(run->place->page);
        run->place->page = NULL;
    }
    free(name);
}

/* ---- several at a time ------------------------------------------------------------------------------------------- */

/* A fiber beside the job's own, with a run of its own: what one request sees of its answer, another does not. */
struct lane {
    struct items *items;
    struct run run;
    struct run *parent;
    struct place place;
};

static void lane_open(struct lane *lane, struct items *items, struct run *parent)
{
    *lane = (struct lane){.items = items, .run = *parent, .parent = parent};
    place_init(&lane->place);
    json_object_update(lane->place.saved, parent->place->saved);
    lane->place.at = parent->place->at;
    lane->place.imaged = parent->place->imaged;
    lane->place.sealed = parent->place->sealed;
    lane->run.place = &lane->place;
    lane->run.context = json_copy(parent->context);
    lane->run.message = NULL;
    lane->run.where = NULL;
    lane->run.url = NULL;
    context_set(&lane->run, "saved", json_incref(lane->place.saved));
    run_engage(&lane->run);
}

static void lane_close(struct lane *lane)
{
    struct run *parent = lane->parent;
    run_disengage(&lane->run);
    parent->changed = parent->changed || lane->run.changed;
    parent->last_status = lane->run.last_status;
    json_decref(lane->run.context);
    free(lane->run.message);
    free(lane->run.where);
    free(lane->run.url);
    place_release(&lane->place);
}

/* Keeps what the request saved for the item: the lists of all items are put together in the items' order. */
static void keep_saved(struct items *items, struct lane *lane, size_t index)
{
    const char *name;
    json_t *tmpl;
    json_object_foreach(json_object_get(items->request, "save"), name, tmpl)
    {
        json_t *by_item = json_object_get(items->saved, name);
        if (!by_item) {
            by_item = json_object();
            json_object_set_new(items->saved, name, by_item);
        }
        char key[32];
        snprintf(key, sizeof key, "%zu", index);
        json_object_set(by_item, key, json_object_get(lane->place.saved, name));
    }
}

static void lane_work(struct lane *lane)
{
    struct items *items = lane->items;
    while (items->stop == VERDICT_DONE && items->next < json_array_size(items->items)) {
        size_t index = items->next++;
        sequence_clear_saved(&lane->run, items->request);
        work_on(items, &lane->run, index);
        if (items->done[index]) {
            keep_saved(items, lane, index);
        }
    }
}

static void run_lane(void *arg)
{
    struct lane *lane = arg;
    lane_work(lane);
    if (--lane->items->lanes == 0) {
        sleeper_wake(lane->items->waits);
    }
}

static void put_together(struct items *items, struct run *run)
{
    const char *name;
    json_t *by_item;
    json_object_foreach(items->saved, name, by_item)
    {
        json_t *list = json_object_get(run->place->saved, name);
        for (size_t i = 0; i < json_array_size(items->items); i++) {
            char key[32];
            snprintf(key, sizeof key, "%zu", i);
            json_array_extend(list, json_object_get(by_item, key));
        }
    }
}

static void work_in_parallel(struct items *items, struct run *run, size_t count)
{
    struct lane *lanes = mem_alloc(count * sizeof *lanes);
    for (size_t i = 0; i < count; i++) {
        lane_open(&lanes[i], items, run);
    }
    for (size_t i = 0; i < count; i++) {
        items->lanes++;
        fiber_start(run_lane, &lanes[i]);
    }
    while (items->lanes > 0) {
        engine_sleep(run->engine->loop, -1, &items->waits);
    }
    for (size_t i = 0; i < count; i++) {
        lane_close(&lanes[i]);
    }
    put_together(items, run);
    free(lanes);
}

/* ---- many in one call -------------------------------------------------------------------------------------------- */

/* What one result of a batch says: {index, status | ok, already, why}. */
static enum verdict result_verdict(struct run *run, const json_t *result)
{
    const json_t *status = json_object_get(result, "status");
    const char *why = json_string_at(result, "why");
    why = why ? why : "the vendor gives no reason";
    if (!result) {
        return run_say(run, VERDICT_FAILED, "the vendor's answer to the batch says nothing of it");
    }
    if (json_true_at(result, "already") || json_true_at(result, "ok")) {
        return VERDICT_DONE;
    }
    json_int_t code = json_is_string(status) ? strtol(json_string_value(status), NULL, 10) : json_integer_value(status);
    if (code >= 200 && code < 300 && !json_object_get(result, "ok")) {
        return VERDICT_DONE;
    }
    if (json_true_at(result, "retry") || status_is_temporary((int)code)) {
        return run_say(run, VERDICT_DEFERRED, "temporary trouble: the vendor answered %lld: %s", (long long)code, why);
    }
    bool denied = code == 401 || code == 403;
    return run_say(run, denied ? VERDICT_DENIED : VERDICT_FAILED, "%s: %lld: %s",
                   denied ? "credentials or rights refused" : "refused", (long long)code, why);
}

/* The result for the item at `index` of the call: by its member `index`, else by its place. */
static const json_t *result_at(const json_t *results, size_t index)
{
    size_t i;
    json_t *result;
    bool numbered = false;
    json_array_foreach(results, i, result)
    {
        const json_t *number = json_object_get(result, "index");
        numbered = numbered || number;
        if (json_is_integer(number) && json_integer_value(number) == (json_int_t)index) {
            return result;
        }
    }
    return numbered ? NULL : json_array_get(results, index);
}

/* One call of a batch: which items it is about. */
struct call {
    size_t *indexes;
    json_t *items; /* owned */
};

/* Judges the items of a call; those that the vendor asks to try again stay undone. True when there are any. */
static bool judge_call(struct items *items, struct run *run, const json_t *batch, const struct call *call)
{
    struct err err = ERR_INIT;
    json_t *results = context_value(run, "results", json_object_get(batch, "results"), &err);
    bool unknown = results && context_is_stand_in(results);
    bool again = false;
    for (size_t i = 0; i < json_array_size(call->items); i++) {
        enum verdict verdict = unknown ? VERDICT_DONE
                               : json_is_array(results)
                                   ? result_verdict(run, result_at(results, i))
                                   : run_say(run, VERDICT_FAILED, "batch.results: %s",
                                             results ? "the expression yields no list" : err_text(&err));
        if (verdict == VERDICT_DEFERRED) {
            again = true;
        } else {
            note_item(items, run, call->indexes[i], verdict);
        }
    }
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
        note_item(items, run, call->indexes[i], verdict);
    }
    return items->stop;
}

static void work_in_batches(struct items *items, struct run *run)
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
            note_message(items, run);
        }
        json_decref(call.items);
    }
    json_decref(call.items);
    free(call.indexes);
    run->collecting = collecting;
}

/* ---- after ------------------------------------------------------------------------------------------------------- */

/* What stays on the list: what nobody has done, and what was refused. */
static json_t *items_left(const struct items *items)
{
    json_t *left = json_array();
    for (int refused = 0; refused < 2; refused++) {
        for (size_t i = 0; i < json_array_size(items->items); i++) {
            if (refused ? items->refused[i] : !items->done[i]) {
                json_array_append(left, json_array_get(items->items, i));
            }
        }
    }
    return left;
}

static enum verdict report_refused(const struct items *items, struct run *run)
{
    struct buf names = {.max = NAMES_MAX};
    size_t refused = 0;
    for (size_t i = 0; i < json_array_size(items->items); i++) {
        if (items->refused[i]) {
            char *name = item_name(json_array_get(items->items, i));
            buf_addf(&names, "%s%s", refused++ ? ", " : "", name);
            free(name);
        }
    }
    run_say(run, items->worst, "%zu of %zu items failed: %s (%s)", refused, json_array_size(items->items),
            buf_text(&names), items->message);
    buf_release(&names);
    return items->worst;
}

static enum verdict conclude(struct items *items, struct run *run)
{
    json_t *left = items_left(items);
    json_decref(run->place->items_left);
    run->place->items_left = left;
    if (items->stop != VERDICT_DONE) {
        run->due_at = items->due_at;
        return run_say(run, items->stop, "%s", items->message);
    }
    return items->worst == VERDICT_DONE ? VERDICT_DONE : report_refused(items, run);
}

/* How many are worked on at a time. What a page or a before-image still has to be put on record for goes one by one. */
static size_t lane_count(struct run *run, const json_t *request, size_t items)
{
    json_t *wanted = expr_render(run->engine->exprs, json_object_get(request, "parallel"), run->context, NULL);
    json_int_t number =
        json_is_string(wanted) ? strtol(json_string_value(wanted), NULL, 10) : json_integer_value(wanted);
    json_decref(wanted);
    number = number < 1 ? 1 : number > PARALLEL_MAX ? PARALLEL_MAX : number;
    return (size_t)number < items ? (size_t)number : items;
}

enum verdict items_run(struct run *run, const json_t *request)
{
    enum verdict verdict = take_items(run, request);
    if (verdict != VERDICT_DONE) {
        return verdict;
    }
    struct items items;
    items_begin(&items, run, request);
    size_t count = json_array_size(items.items);
    size_t lanes = lane_count(run, request, count);
    if (json_object_get(request, "batch")) {
        work_in_batches(&items, run);
    } else if (lanes > 1) {
        verdict = request_changes(request) && !run->dry ? before_change(run) : VERDICT_DONE; /* once, for all lanes */
        if (verdict == VERDICT_DONE) {
            work_in_parallel(&items, run, lanes);
        }
    } else {
        while (items.stop == VERDICT_DONE && items.next < count) {
            work_on(&items, run, items.next++);
        }
    }
    verdict = verdict == VERDICT_DONE ? conclude(&items, run) : verdict;
    items_end(&items);
    return verdict;
}
