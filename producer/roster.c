/* The memory itself: entries, events, and what finds them. */
#include "producer/roster.h"

#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "producer/roster_internal.h"

#define EVENTS_KEPT (400 * TIME_DAY) /* as long as intake keeps its records */

enum { SWEEP = 20000 /* elements that roster_forget() looks at */ };

static const char *const names[] = {"started", "held",      "waiting", "moved", "cancelled",
                                    "refused", "duplicate", "ignored", "dead"};

const char *disposition_name(enum disposition disposition)
{
    return names[disposition];
}

void decision_release(struct decision *decision)
{
    json_decref(decision->offboardings);
    json_decref(decision->duplicates);
    free(decision->reason);
    *decision = (struct decision){0};
}

struct roster *roster_new(const struct conf *conf, const struct control *control)
{
    struct roster *roster = MEM_NEW(struct roster);
    roster->conf = conf;
    roster->control = control;
    roster->unfinished = json_object();
    return roster;
}

static void texts_release(struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        free(texts->items[i]);
    }
    free(texts->items);
}

void roster_free(struct roster *roster)
{
    if (!roster) {
        return;
    }
    for (size_t i = 0; i < roster->entry_count; i++) {
        free(roster->entries[i].keys);
    }
    texts_release(&roster->runbooks);
    texts_release(&roster->topics);
    free(roster->entries);
    free(roster->events);
    free(roster->free_entries);
    free(roster->free_events);
    free(roster->by_id.slots);
    free(roster->by_key.slots);
    free(roster->by_event.slots);
    free(roster->starts);
    json_decref(roster->unfinished);
    free(roster);
}

struct roster_size roster_size(const struct roster *roster)
{
    size_t slots = roster->by_id.size + roster->by_key.size + roster->by_event.size;
    return (struct roster_size){roster->entry_live, roster->event_live,
                                roster->entry_room * sizeof *roster->entries +
                                    roster->event_room * sizeof *roster->events + slots * sizeof(uint64_t) +
                                    roster->key_bytes};
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

/* The number of a free element of an array: one that was freed, or one more at its end. */
static uint32_t take_number(void **array, size_t size, size_t *count, size_t *room, uint32_t *freed, size_t *free_count)
{
    if (*free_count) {
        return freed[--*free_count];
    }
    if (*count == *room) {
        *room = *room ? *room + *room / 2 : 64;
        *array = mem_realloc(*array, *room * size);
    }
    return (uint32_t)(*count)++;
}

static void give_number(uint32_t **freed, size_t *count, uint32_t number)
{
    if ((*count & (*count - 1)) == 0) { /* full at every power of two */
        *freed = mem_realloc(*freed, (*count ? *count * 2 : 1) * sizeof **freed);
    }
    (*freed)[(*count)++] = number;
}

static uint32_t intern(struct texts *texts, const char *text)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (strcmp(texts->items[i], text) == 0) {
            return (uint32_t)i;
        }
    }
    texts->items = mem_realloc(texts->items, (texts->count + 1) * sizeof *texts->items);
    texts->items[texts->count] = mem_strdup(text);
    return (uint32_t)texts->count++;
}

struct place roster_place(struct roster *roster, const struct place *place)
{
    uint32_t topic = intern(&roster->topics, place->topic);
    return (struct place){roster->topics.items[topic], place->partition, place->offset};
}

struct entry *roster_entry(const struct roster *roster, const unsigned char id[16])
{
    uint32_t hash = index_hash(id, 16), number;
    for (size_t at = 0; index_next(&roster->by_id, hash, &at, &number);) {
        if (memcmp(roster->entries[number].id, id, 16) == 0) {
            return &roster->entries[number];
        }
    }
    return NULL;
}

struct event *roster_event(const struct roster *roster, const unsigned char id[16])
{
    uint32_t hash = index_hash(id, 16), number;
    for (size_t at = 0; index_next(&roster->by_event, hash, &at, &number);) {
        if (memcmp(roster->events[number].id, id, 16) == 0) {
            return &roster->events[number];
        }
    }
    return NULL;
}

static bool has_key(const struct entry *entry, const char *key)
{
    for (const char *own = entry->keys; *own; own += strlen(own) + 1) {
        if (strcmp(own, key) == 0) {
            return true;
        }
    }
    return false;
}

static size_t keys_size(const char *keys)
{
    const char *at = keys;
    while (*at) {
        at += strlen(at) + 1;
    }
    return (size_t)(at - keys) + 1;
}

bool roster_learn(struct roster *roster, struct entry *entry, const json_t *keys)
{
    bool learned = false;
    size_t i;
    json_t *key;
    json_array_foreach(keys, i, key)
    {
        const char *text = json_string_value(key);
        if (!text || !*text || has_key(entry, text)) {
            continue;
        }
        size_t size = keys_size(entry->keys), len = strlen(text);
        entry->keys = mem_realloc(entry->keys, size + len + 1);
        memcpy(entry->keys + size - 1, text, len + 1);
        entry->keys[size + len] = '\0';
        roster->key_bytes += len + 1;
        index_put(&roster->by_key, index_hash(text, len), (uint32_t)(entry - roster->entries));
        learned = true;
    }
    return learned;
}

struct entry *roster_add_entry(struct roster *roster, const unsigned char id[16], const json_t *keys,
                               const char *runbook)
{
    uint32_t number = take_number((void **)&roster->entries, sizeof *roster->entries, &roster->entry_count,
                                  &roster->entry_room, roster->free_entries, &roster->free_entry_count);
    struct entry *entry = &roster->entries[number];
    *entry = (struct entry){.keys = mem_alloc(1), .runbook = intern(&roster->runbooks, runbook)};
    memcpy(entry->id, id, 16);
    index_put(&roster->by_id, index_hash(id, 16), number);
    roster_learn(roster, entry, keys);
    roster->key_bytes++;
    roster->entry_live++;
    return entry;
}

void roster_drop_entry(struct roster *roster, struct entry *entry)
{
    uint32_t number = (uint32_t)(entry - roster->entries);
    for (const char *key = entry->keys; *key; key += strlen(key) + 1) {
        index_drop(&roster->by_key, index_hash(key, strlen(key)), number);
    }
    index_drop(&roster->by_id, index_hash(entry->id, 16), number);
    roster->key_bytes -= keys_size(entry->keys);
    free(entry->keys);
    entry->keys = NULL;
    roster->entry_live--;
    give_number(&roster->free_entries, &roster->free_entry_count, number);
}

struct event *roster_add_event(struct roster *roster, const unsigned char id[16])
{
    uint32_t number = take_number((void **)&roster->events, sizeof *roster->events, &roster->event_count,
                                  &roster->event_room, roster->free_events, &roster->free_event_count);
    struct event *event = &roster->events[number];
    *event = (struct event){.at = 1};
    memcpy(event->id, id, 16);
    index_put(&roster->by_event, index_hash(id, 16), number);
    roster->event_live++;
    return event;
}

void roster_drop_event(struct roster *roster, struct event *event)
{
    uint32_t number = (uint32_t)(event - roster->events);
    index_drop(&roster->by_event, index_hash(event->id, 16), number);
    event->at = 0;
    roster->event_live--;
    give_number(&roster->free_events, &roster->free_event_count, number);
}

static int by_age(const void *a, const void *b)
{
    const struct entry *left = *(struct entry *const *)a, *right = *(struct entry *const *)b;
    if (left->received_at != right->received_at) {
        return left->received_at < right->received_at ? -1 : 1;
    }
    return memcmp(left->id, right->id, sizeof left->id);
}

struct entry **roster_find(const struct roster *roster, const json_t *keys, size_t *count)
{
    struct entry **found = NULL;
    *count = 0;
    size_t i;
    json_t *key;
    json_array_foreach(keys, i, key)
    {
        const char *text = json_string_value(key);
        uint32_t hash = index_hash(text, strlen(text)), number;
        for (size_t at = 0; index_next(&roster->by_key, hash, &at, &number);) {
            struct entry *entry = &roster->entries[number];
            bool known = !has_key(entry, text);
            for (size_t j = 0; j < *count; j++) {
                known = known || found[j] == entry;
            }
            if (!known) {
                found = mem_realloc(found, (*count + 1) * sizeof *found);
                found[(*count)++] = entry;
            }
        }
    }
    if (*count) {
        qsort(found, *count, sizeof *found, by_age);
    }
    return found;
}

/* ---- the cap ----------------------------------------------------------------------------------------------------- */

void roster_count_start(struct roster *roster, int64_t at, int64_t now)
{
    size_t kept = 0;
    for (size_t i = 0; i < roster->start_count; i++) {
        if (roster->starts[i] > now - TIME_HOUR) {
            roster->starts[kept++] = roster->starts[i];
        }
    }
    roster->start_count = kept;
    if (roster->start_count == roster->start_room) {
        roster->start_room = roster->start_room ? roster->start_room * 2 : 64;
        roster->starts = mem_realloc(roster->starts, roster->start_room * sizeof *roster->starts);
    }
    roster->starts[roster->start_count++] = at;
}

bool roster_within_cap(const struct roster *roster, int64_t now)
{
    int64_t cap = conf_int(roster->conf, "guards.cap_per_hour"), count = 0;
    for (size_t i = 0; i < roster->start_count; i++) {
        count += roster->starts[i] > now - TIME_HOUR;
    }
    return cap <= 0 || count < cap;
}

void roster_ready(struct roster *roster, int64_t now)
{
    roster->start_count = 0;
    for (size_t i = 0; i < roster->entry_count; i++) {
        const struct entry *entry = &roster->entries[i];
        if (entry->keys && entry->started_at > now - TIME_HOUR) {
            roster_count_start(roster, entry->started_at, now);
        }
    }
}

/* ---- forgetting -------------------------------------------------------------------------------------------------- */

/* Its event stays known. Within the hour after its start it counts for the cap. */
static bool may_go(const struct entry *entry, int64_t now)
{
    bool over = entry->state != ENTRY_OPEN || now > entry->open_until;
    return entry->keys && over && entry->started_at <= now - TIME_HOUR;
}

static void forget_entry(struct roster *roster, struct entry *entry, roster_write *write, void *arg)
{
    char id[ID_SIZE];
    roster_id_text(entry->id, id);
    struct event *event = roster_event(roster, entry->id);
    event = event ? event : roster_add_event(roster, entry->id);
    memcpy(event->offboarding, entry->id, sizeof event->offboarding);
    event->concerns = true;
    event->at = entry->received_at;
    event->place = entry->place;
    struct decision decision = {.disposition = DISPOSITION_STARTED, .effective_at = entry->effective_at};
    roster_write_event(event, &decision, write, arg);
    write(arg, id, NULL);
    roster_drop_entry(roster, entry);
}

static void forget_event(struct roster *roster, struct event *event, roster_write *write, void *arg)
{
    char id[ID_SIZE];
    roster_id_text(event->id, id);
    char *key = mem_printf("event/%s", id);
    write(arg, key, NULL);
    free(key);
    roster_drop_event(roster, event);
}

void roster_erase(struct roster *roster, const char *id_text, roster_write *write, void *arg)
{
    unsigned char id[16];
    struct entry *entry = uuid_parse(id_text, id) == 0 ? roster_entry(roster, id) : NULL;
    if (entry) {
        forget_entry(roster, entry, write, arg);
    }
}

void roster_forget(struct roster *roster, int64_t now, size_t most, roster_write *write, void *arg)
{
    for (size_t i = 0; i < SWEEP && i < roster->entry_count && most > 0; i++) {
        struct entry *entry = &roster->entries[roster->swept_entries++ % roster->entry_count];
        if (may_go(entry, now)) {
            forget_entry(roster, entry, write, arg);
            most--;
        }
    }
    for (size_t i = 0; i < SWEEP && i < roster->event_count && most > 0; i++) {
        struct event *event = &roster->events[roster->swept_events++ % roster->event_count];
        if (event->at && event->at < now - EVENTS_KEPT) {
            forget_event(roster, event, write, arg);
            most--;
        }
    }
}
