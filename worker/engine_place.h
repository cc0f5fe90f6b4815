/* Where the work on one account stands: what an attempt of a job hands on to the next one. One struct, one reset, one writer, one
 * reader; whatever a request, a wait or a read-back must remember between two attempts stands here and nowhere else. */
#ifndef OFFBOARD_WORKER_ENGINE_PLACE_H
#define OFFBOARD_WORKER_ENGINE_PLACE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct place {
    char *ended;         /* outcome of the work on this account ("succeeded", "failed", …); owned, NULL: it goes on */
    char *why;           /* what the vendor or the engine said of a bad end; owned, NULL: it ended well or goes on */
    json_int_t at;       /* index of the current request */
    json_t *saved;       /* `.saved`: an object, owned; the context of expressions refers to it */
    json_t *items_left;  /* of the current `for_each`; owned, NULL: the current request has none, or has not begun */
    json_t *items_at;    /* the number of each of these among all items; owned, NULL like `items_left` */
    json_t *items_saved; /* {name: [what was saved for item 0, …]}, null for none; owned, NULL: nothing */
    json_t *page;        /* member `page` of the current listing's next request; owned, NULL: its first page */
    bool verifying;      /* the requests are done, only the read-back remains */
    int64_t
        verify_since; /* when the vendor first answered a look of the read-back, microseconds since 1970; 0: never */
    int64_t polled_since; /* when the current `poll` first looked; 0: it has not */
    int64_t awaits_since; /* when the current `wait` began; 0: it has not */
    json_t *heard;        /* ids of the signals that did not end the current wait; owned, NULL: none */
    json_int_t reminders; /* how often the current wait has made the request of `meanwhile` */
    bool gone;            /* a change was taken for done although the vendor knows no such name (404, 410) */
    bool imaged;          /* the before-image is on record */
    bool sealed; /* so is the escrow, by this attempt; never handed on: each attempt seals what it is about to set */
    json_t *verified; /* what the read-back expected and saw; owned, NULL: it has not looked */
};

/* An empty place: the work on the account has not begun. Release with place_release(). */
void place_init(struct place *place);
void place_release(struct place *place);

/* The work on the account begins again at its first request. The clock of the read-back and what is on record of the time before
 * the first change stay: neither a vendor that never shows the change nor a lost before-image may go unnoticed. */
void place_restart(struct place *place);

/* Does the place hold a position among the requests, or anything that depends on one? */
bool place_has_begun(const struct place *place);

/* As place_restart(), for requests that are not those that the place knows: the clocks of a `poll` and a `wait` begin anew, too. */
void place_forget(struct place *place);

/* Forgets what belongs to the request in hand: its items and its page. */
void place_pass(struct place *place);

/* The next attempt, or the next item, begins with the first page of the listing. */
void place_first_page(struct place *place);

/* The place as it goes into a job's state, a new reference. `dropped` names members of `saved` that must not be written down
 * (schema/messages.md, `state`); without `complete`, what remains to be done needs one of them, and the place is written as
 * restarted. */
json_t *place_to_json(const struct place *place, const json_t *dropped, bool complete);

/* Reads what place_to_json() wrote; anything else leaves an empty place. `place` must be initialised. */
void place_from_json(struct place *place, const json_t *json);

#endif
