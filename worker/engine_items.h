/* Between engine_items.c, which has the list, and the ways to work on it: engine_lanes.c (several at a time) and engine_batch.c (many
 * in one call). */
#ifndef OFFBOARD_WORKER_ENGINE_ITEMS_H
#define OFFBOARD_WORKER_ENGINE_ITEMS_H

#include "worker/engine_internal.h"

/* The items of one request, while they are worked on. */
struct items {
    const json_t *request;
    json_t *items; /* all that are to be done; owned */
    json_t *at;    /* the number of each among all items of the request; owned */
    json_t *saved; /* {name: [what was saved for item 0, …]}, null for none; owned */
    char *done;    /* by item: is it over, well or refused? */
    char *refused; /* by item */
    size_t next;   /* the first that nobody has begun */
    enum verdict worst;
    enum verdict stop; /* why the rest must wait; DONE: it need not */
    int64_t due_at;
    char *refusal; /* what was said of the latest refusal; owned, NULL: none */
    char *message; /* of `stop`; owned, NULL: nothing must wait */
    int lanes;     /* fibers at work besides the job's own */
    struct sleeper *waits;
};

/* Notes what became of the item at `index`: `run` has the message. */
void items_note(struct items *items, const struct run *run, size_t index, enum verdict verdict);
void items_note_message(struct items *items, const struct run *run); /* why the rest must wait */
char *items_name(const json_t *item);                                /* as people call it; the caller frees */

/* Makes the request for the item at `index`, and notes what became of it. */
void items_work_on(struct items *items, struct run *run, size_t index);

void items_work_in_lanes(struct items *items, struct run *run, size_t count); /* `count` at a time */
void items_work_in_batches(struct items *items, struct run *run);

#endif
