/* Between roster.c (memory), roster_index.c (finding), roster_record.c (records), roster_decide.c and roster_remember.c. */
#ifndef OFFBOARD_PRODUCER_ROSTER_INTERNAL_H
#define OFFBOARD_PRODUCER_ROSTER_INTERNAL_H

#include "lib/id.h"
#include "producer/roster.h"

/* ---- finding ----------------------------------------------------------------------------------------------------- */

/* From hashes to numbers of array elements; the owner of the array compares. Eight bytes a slot. */
struct index {
    uint64_t *slots;
    size_t size; /* a power of two; 0: none */
    size_t used; /* slots that are not empty, those of dropped numbers included */
    size_t live;
};

uint32_t index_hash(const void *bytes, size_t len);
void index_put(struct index *index, uint32_t hash, uint32_t number);
void index_drop(struct index *index, uint32_t hash, uint32_t number);
/* The next number under the hash; `*at` is 0 at first. */
bool index_next(const struct index *index, uint32_t hash, size_t *at, uint32_t *number);

/* ---- memory ------------------------------------------------------------------------------------------------------ */

enum entry_state { ENTRY_OPEN, ENTRY_ENDED, ENTRY_CANCELLED, ENTRY_DUPLICATE };

/* One live offboarding. */
struct entry {
    unsigned char id[16];
    char *keys; /* texts one after the other, an empty one at the end; NULL: the element is free */
    int64_t received_at;
    int64_t effective_at;
    int64_t open_until;
    int64_t started_at; /* 0: not, or nobody told the planner */
    struct place place; /* of its event */
    uint32_t runbook;   /* of roster.runbooks */
    uint8_t state;
    bool held, urgent;
};

/* An event that began no offboarding that is still in memory. */
struct event {
    unsigned char id[16]; /* what its source and id give */
    unsigned char offboarding[16];
    int64_t at; /* 0: the element is free */
    struct place place;
    bool concerns; /* `offboarding` is one */
};

/* Few texts that many elements have: each is kept once, and stays where it is. */
struct texts {
    char **items;
    size_t count;
};

struct roster {
    const struct conf *conf;
    const struct control *control;
    struct entry *entries;
    size_t entry_count, entry_room, entry_live;
    struct event *events;
    size_t event_count, event_room, event_live;
    uint32_t *free_entries, *free_events; /* numbers of free elements */
    size_t free_entry_count, free_event_count;
    struct index by_id, by_key, by_event;
    struct texts runbooks, topics;
    int64_t *starts; /* of the last hour */
    size_t start_count, start_room;
    size_t key_bytes;
    json_t *
        unfinished; /* a place_text() to the record of its decision; of what was not committed when the memory was read */
    bool (*is_unfinished)(const struct place *place, void *arg);
    void *arg;
    size_t swept_entries, swept_events; /* how far roster_forget() has come */
};

struct place roster_place(struct roster *roster, const struct place *place); /* the same, to be remembered */
struct entry *roster_entry(const struct roster *roster, const unsigned char id[16]);
struct event *roster_event(const struct roster *roster, const unsigned char id[16]);
struct entry *roster_add_entry(struct roster *roster, const unsigned char id[16], const json_t *keys,
                               const char *runbook);
void roster_drop_entry(struct roster *roster, struct entry *entry);
struct event *roster_add_event(struct roster *roster, const unsigned char id[16]);
void roster_drop_event(struct roster *roster, struct event *event);
/* Adds those of the keys that the entry does not have; were there any? */
bool roster_learn(struct roster *roster, struct entry *entry, const json_t *keys);
/* Entries that have one of the keys, each once, the oldest first. The caller frees. */
struct entry **roster_find(const struct roster *roster, const json_t *keys, size_t *count);
void roster_count_start(struct roster *roster, int64_t at, int64_t now);
bool roster_within_cap(const struct roster *roster, int64_t now);

/* ---- records ----------------------------------------------------------------------------------------------------- */

void roster_id_text(const unsigned char id[16], char text[ID_SIZE]);
char *place_text(const struct place *place); /* the caller frees */
void roster_write_entry(const struct roster *roster, const struct entry *entry, roster_write *write, void *arg);
void roster_write_event(const struct event *event, const struct decision *decision, roster_write *write, void *arg);
/* The decision that is on record for a place that was not committed; false: it was. */
bool roster_recall(const struct roster *roster, const struct place *place, const struct entry *entry,
                   struct decision *decision);

#endif
