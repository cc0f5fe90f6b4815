/* `parallel`: the request for several items of a list at a time, each in a lane of its own. */
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
    parent->seen = parent->seen && lane->run.seen;
    parent->place->gone = parent->place->gone || lane->place.gone;
    parent->last_status = lane->run.last_status;
    json_decref(lane->run.context);
    free(lane->run.message);
    free(lane->run.where);
    free(lane->run.url);
    place_release(&lane->place);
}

static void lane_work(struct lane *lane)
{
    struct items *items = lane->items;
    while (items->stop == VERDICT_DONE && items->next < json_array_size(items->items)) {
        items_work_on(items, &lane->run, items->next++);
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

void items_work_in_lanes(struct items *items, struct run *run, size_t count)
{
    struct lane *lanes = mem_alloc(count * sizeof *lanes);
    place_first_page(
        run->place); /* of an attempt that went item by item: each lane's items begin with their first page */
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
    free(lanes);
}
