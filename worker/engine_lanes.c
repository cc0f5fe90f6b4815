/* `parallel`: the request for several items of a list at a time, each in a lane of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_items.h"

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
        items_work_on(items, &lane->run, index);
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

void items_work_in_lanes(struct items *items, struct run *run, size_t count)
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
