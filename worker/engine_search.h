/* The search for a leaver's accounts in one system: engine_identify.c says with which keys, engine_search.c asks and compares. */
#ifndef OFFBOARD_WORKER_ENGINE_SEARCH_H
#define OFFBOARD_WORKER_ENGINE_SEARCH_H

#include "worker/engine_internal.h"

/* One search. `found` has an account for each that is the person's: {id, emails, employee_id, by, key}. */
struct search {
    struct run *run;
    const json_t *identify; /* of the connector */
    struct place place;     /* of the requests */
    size_t done;            /* keys that have been searched */
    json_t *found;
    json_t *searched; /* {by, status, found, others} for each key: what the event records */
};

void search_begin(struct search *search, struct run *run, const json_t *identify);
void search_end(struct search *search);

/* Makes the requests for one key (`kind` and `key` NULL: the connector names none) and adds the accounts that they find. BLOCKED
 * when the answers leave open who it is, FAILED when an answer names an account that can't be used. */
enum verdict search_key(struct search *search, const char *kind, const char *key);

/* Makes the requests of `confirm` for an account that the event names. */
enum verdict search_confirm(struct search *search, const char *account);

/* The ids of what was found, a new reference. */
json_t *search_ids(const struct search *search);

/* The member `found` of a request: the accounts of its answer, as they say who they are by the connector's `identify.account`, go
 * to `.saved.accounts`. */
int search_take(struct run *run, const json_t *request, struct err *err);

/* A list of pages begins, or begins again: what its first pages named of other people is not counted twice. */
void search_list_begins(struct run *run);
void search_list_again(struct run *run);

/* An id as text, a new reference: texts and whole numbers are ids; for anything else NULL with an err that says what it is. */
json_t *search_id(const json_t *value, struct err *err);

#endif
