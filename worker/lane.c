#include "worker/lane.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

struct place {
    void *item;
    bool urgent;
    struct place *next;
};

struct lane {
    const char *key;     /* points behind the struct */
    struct place *first; /* has the turn */
    struct lane *next;   /* all lanes, in no order */
    struct lane *previous;
};

struct lanes {
    void *by_key; /* of tsearch(3) */
    struct lane *all;
    size_t count;
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct lane *)a)->key, ((const struct lane *)b)->key);
}

struct lanes *lanes_new(void)
{
    return MEM_NEW(struct lanes);
}

static struct lane *find(const struct lanes *lanes, const char *key)
{
    struct lane wanted = {.key = key};
    struct lane *const *found = tfind(&wanted, &lanes->by_key, compare);
    return found ? *found : NULL;
}

static struct lane *lane_add(struct lanes *lanes, const char *key)
{
    size_t size = strlen(key) + 1;
    struct lane *lane = mem_alloc(sizeof *lane + size);
    lane->key = memcpy(lane + 1, key, size);
    lane->next = lanes->all;
    if (lanes->all) {
        lanes->all->previous = lane;
    }
    lanes->all = lane;
    lanes->count++;
    tsearch(lane, &lanes->by_key, compare);
    return lane;
}

static void lane_remove(struct lanes *lanes, struct lane *lane)
{
    *(lane->previous ? &lane->previous->next : &lanes->all) = lane->next;
    if (lane->next) {
        lane->next->previous = lane->previous;
    }
    lanes->count--;
    tdelete(lane, &lanes->by_key, compare);
    free(lane);
}

static void places_free(struct place *place)
{
    while (place) {
        struct place *next = place->next;
        free(place);
        place = next;
    }
}

void lanes_free(struct lanes *lanes)
{
    if (!lanes) {
        return;
    }
    while (lanes->all) {
        places_free(lanes->all->first);
        lane_remove(lanes, lanes->all);
    }
    free(lanes);
}

bool lane_enter(struct lanes *lanes, const char *key, void *item, bool urgent)
{
    struct lane *lane = find(lanes, key);
    if (!lane) {
        lane = lane_add(lanes, key);
    }
    struct place **at = &lane->first;
    if (*at) {
        at = &(*at)->next; /* nobody goes before the one that has the turn */
    }
    while (*at && (!urgent || (*at)->urgent)) {
        at = &(*at)->next;
    }
    struct place *place = MEM_NEW(struct place);
    place->item = item;
    place->urgent = urgent;
    place->next = *at;
    *at = place;
    return lane->first == place;
}

void *lane_leave(struct lanes *lanes, const char *key)
{
    struct lane *lane = find(lanes, key);
    if (!lane) {
        return NULL;
    }
    struct place *gone = lane->first;
    lane->first = gone->next;
    free(gone);
    if (lane->first) {
        return lane->first->item;
    }
    lane_remove(lanes, lane);
    return NULL;
}

void lanes_drop_waiting(struct lanes *lanes, void (*dropped)(void *item, void *arg), void *arg)
{
    for (struct lane *lane = lanes->all; lane; lane = lane->next) {
        struct place *waiting = lane->first->next;
        lane->first->next = NULL;
        for (const struct place *place = waiting; place; place = place->next) {
            dropped(place->item, arg);
        }
        places_free(waiting);
    }
}

size_t lanes_count(const struct lanes *lanes)
{
    return lanes->count;
}
