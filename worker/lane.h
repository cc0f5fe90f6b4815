/* Lanes: the jobs of one offboarding in one system run one after another. A lane is there while something is in it.
 * Pure. */
#ifndef OFFBOARD_WORKER_LANE_H
#define OFFBOARD_WORKER_LANE_H

#include <stdbool.h>
#include <stddef.h>

struct lanes;

struct lanes *lanes_new(void);
void lanes_free(struct lanes *lanes); /* the items are the caller's */

/* Puts `item` (never NULL) at the end of the lane `key`, or, when it is urgent, before those waiting that are not. True
 * when it has the lane to itself: it may run. */
bool lane_enter(struct lanes *lanes, const char *key, void *item, bool urgent);

/* The item that had the turn leaves; gives the one whose turn it is now, NULL when the lane is empty. */
void *lane_leave(struct lanes *lanes, const char *key);

/* Takes every item out that only waits, and hands it to `dropped`. */
void lanes_drop_waiting(struct lanes *lanes, void (*dropped)(void *item, void *arg), void *arg);

size_t lanes_count(const struct lanes *lanes); /* lanes with something in them */

#endif
