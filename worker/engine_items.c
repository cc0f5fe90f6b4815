/* `for_each`: the request for every item of a list. Each item is judged by itself. Those that are refused are named and stay on the
 * list, so that a retry takes them alone. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_items.h"

enum { NAMES_MAX = 2000, PARALLEL_MAX = 50 };

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
    place_pass(run->place);
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

/* Their numbers: those that the attempt before left, else 0, 1, 2 … New reference. */
static json_t *numbers_of(const struct place *place)
{
    size_t count = json_array_size(place->items_left);
    if (json_array_size(place->items_at) == count) {
        return json_incref(place->items_at);
    }
    json_t *numbers = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(numbers, json_integer((json_int_t)i));
    }
    return numbers;
}

static void items_begin(struct items *items, struct run *run, const json_t *request)
{
    size_t count = json_array_size(run->place->items_left);
    json_t *saved = run->place->items_saved;
    *items = (struct items){.request = request,
                            .items = json_incref(run->place->items_left),
                            .at = numbers_of(run->place),
                            .saved = saved ? json_incref(saved) : json_object(),
                            .done = mem_alloc(count + 1),
                            .refused = mem_alloc(count + 1),
                            .worst = VERDICT_DONE,
                            .stop = VERDICT_DONE};
}

static void items_end(struct items *items)
{
    json_decref(items->items);
    json_decref(items->at);
    json_decref(items->saved);
    free(items->done);
    free(items->refused);
    free(items->refusal);
    free(items->message);
}

/* ---- what is saved ----------------------------------------------------------------------------------------------- */

/* What each item saves is kept by itself: in the end it is put together in the order of the items, whichever of them was done first,
 * and an item that begins anew saves nothing twice. A batch saves for many items at once. */
static const json_t *saves_by_item(const struct items *items)
{
    return json_object_get(items->request, "batch") ? NULL : json_object_get(items->request, "save");
}

static size_t number_of(const struct items *items, size_t index)
{
    json_int_t number = json_integer_value(json_array_get(items->at, index));
    return number > 0 ? (size_t)number : 0;
}

/* The item's values, as `.saved` of the run that works on it; those of a page before, when it goes on in the midst of its pages. */
static void saved_begin(const struct items *items, struct run *run, size_t index)
{
    const char *name;
    json_t *tmpl;
    json_object_foreach((json_t *)(uintptr_t)saves_by_item(items), name, tmpl)
    {
        json_t *before = json_array_get(json_object_get(items->saved, name), number_of(items, index));
        bool goes_on = run->place->page && json_is_array(before);
        json_object_set_new(run->place->saved, name, goes_on ? json_deep_copy(before) : json_array());
    }
}

/* `kept` false: it begins anew. */
static void saved_end(struct items *items, const struct run *run, size_t index, bool kept)
{
    const char *name;
    json_t *tmpl;
    json_object_foreach((json_t *)(uintptr_t)saves_by_item(items), name, tmpl)
    {
        json_t *by_item = json_object_get(items->saved, name);
        if (!json_is_array(by_item)) {
            by_item = json_array();
            json_object_set_new(items->saved, name, by_item);
        }
        while (json_array_size(by_item) <= number_of(items, index)) {
            json_array_append_new(by_item, json_null());
        }
        json_t *value = kept ? json_incref(json_object_get(run->place->saved, name)) : json_null();
        json_array_set_new(by_item, number_of(items, index), value);
    }
}

static void saved_put_together(const struct items *items, struct run *run)
{
    const char *name;
    json_t *tmpl, *value;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)saves_by_item(items), name, tmpl)
    {
        json_object_set_new(run->place->saved, name, json_array());
        json_array_foreach(json_object_get(items->saved, name), i, value)
        {
            collect_value(run->place->saved, name, json_incref(value));
        }
    }
}

/* ---- one item ---------------------------------------------------------------------------------------------------- */

static void keep_message(char **message, const struct run *run)
{
    free(*message);
    *message = mem_strdup(run->message ? run->message : "it did not succeed");
}

void items_note_message(struct items *items, const struct run *run)
{
    keep_message(&items->message, run);
}

/* What became of the item at `index`. */
void items_note(struct items *items, const struct run *run, size_t index, enum verdict verdict)
{
    bool refused = verdict >= VERDICT_BLOCKED && verdict <= VERDICT_FAILED;
    if (verdict == VERDICT_DEFERRED || verdict > VERDICT_FAILED) {
        items->due_at = items->stop != VERDICT_DEFERRED || run->due_at < items->due_at ? run->due_at : items->due_at;
        items->stop = verdict > items->stop ? verdict : items->stop;
        items_note_message(items, run);
        return;
    }
    items->done[index] = 1;
    if (refused) {
        items->refused[index] = 1;
        items->worst = verdict > items->worst ? verdict : items->worst;
        keep_message(&items->refusal, run);
    }
}

char *items_name(const json_t *item)
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

void items_work_on(struct items *items, struct run *run, size_t index)
{
    json_t *item = json_array_get(items->items, index);
    char *name = items_name(item);
    bool pages = json_object_get(items->request, "pages") != NULL;
    context_set(run, "item", json_incref(item));
    trouble_at(run, "requests/%lld/%s", (long long)run->place->at, name);
    bool collecting = run->collecting;
    run->collecting = true;
    saved_begin(items, run, index);
    enum verdict verdict = pages ? sequence_pages(run, items->request, NULL) : request_run(run, items->request, NULL);
    run->collecting = collecting;
    items_note(items, run, index, verdict);
    saved_end(items, run, index, items->done[index] ? !items->refused[index] : run->place->page != NULL);
    if (items->done[index]) { /* the next item begins at its first page */
        place_first_page(run->place);
    }
    free(name);
}

/* ---- after ------------------------------------------------------------------------------------------------------- */

/* What stays on the list: what nobody has done, and what was refused. `of`: the items, or their numbers. */
static json_t *items_left(const struct items *items, const json_t *of)
{
    json_t *left = json_array();
    for (int refused = 0; refused < 2; refused++) {
        for (size_t i = 0; i < json_array_size(items->items); i++) {
            if (refused ? items->refused[i] : !items->done[i]) {
                json_array_append(left, json_array_get(of, i));
            }
        }
    }
    return left;
}

/* "1 of 3 items failed: b (refused: …)"; NULL: none failed. The caller frees. */
static char *refused_text(const struct items *items)
{
    struct buf names = {.max = NAMES_MAX};
    size_t refused = 0;
    for (size_t i = 0; i < json_array_size(items->items); i++) {
        if (items->refused[i]) {
            char *name = items_name(json_array_get(items->items, i));
            buf_addf(&names, "%s%s", refused++ ? ", " : "", name);
            free(name);
        }
    }
    char *text = refused ? mem_printf("%zu of %zu items failed: %s (%s)", refused, json_array_size(items->items),
                                      buf_text(&names), items->refusal)
                         : NULL;
    buf_release(&names);
    return text;
}

/* What was refused is told even when something else has to wait: the next attempt tries both. */
static enum verdict conclude(struct items *items, struct run *run)
{
    struct place *place = run->place;
    json_t *page = json_incref(place->page);
    saved_put_together(items, run);
    json_t *left = items_left(items, items->items), *at = items_left(items, items->at);
    place_pass(place);
    place->items_left = left;
    place->items_at = at;
    place->items_saved = json_object_size(items->saved) ? json_incref(items->saved) : NULL;
    place->page = page;
    char *refused = refused_text(items);
    enum verdict verdict = items->stop != VERDICT_DONE ? items->stop : items->worst;
    if (items->stop != VERDICT_DONE) {
        run->due_at = items->due_at;
        if (items->stop == VERDICT_CANCELLED) { /* one lane may have been stopped before another changed something */
            run_say_cancelled(run);
            keep_message(&items->message, run);
        }
        run_say(run, items->stop, "%s%s%s", items->message, refused ? "; " : "", refused ? refused : "");
    } else if (refused) {
        run_say(run, items->worst, "%s", refused);
    }
    free(refused);
    return verdict;
}

/* How many are worked on at a time. What a page or a before-image still has to be put on record for goes one by one. */
static size_t lane_count(struct run *run, const json_t *request, size_t items)
{
    json_t *wanted = expr_render(run->engine->exprs, json_object_get(request, "parallel"), run->context, NULL);
    json_int_t number =
        json_is_string(wanted) ? strtol(json_string_value(wanted), NULL, 10) : json_integer_value(wanted);
    json_decref(wanted);
    number = number < 1 || run->searching ? 1 /* what a search finds comes together in one place */
             : number > PARALLEL_MAX      ? PARALLEL_MAX
                                          : number;
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
        items_work_in_batches(&items, run);
    } else if (lanes > 1) {
        verdict = request_changes(request) && !run->dry ? before_change(run) : VERDICT_DONE; /* once, for all lanes */
        if (verdict == VERDICT_DONE) {
            items_work_in_lanes(&items, run, lanes);
        }
    } else {
        while (items.stop == VERDICT_DONE && items.next < count) {
            items_work_on(&items, run, items.next++);
        }
    }
    verdict = verdict == VERDICT_DONE ? conclude(&items, run) : verdict;
    items_end(&items);
    context_set(run, "item", json_null()); /* no later request, and no other account, takes the last one for its own */
    context_set(run, "items", json_null());
    return verdict;
}
