/* Remembering what was decided, and what became of it. */
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/person.h"
#include "producer/roster_internal.h"

/* ---- remembering ------------------------------------------------------------------------------------------------- */

static struct entry *entry_of(const struct roster *roster, const char *id_text)
{
    unsigned char id[16];
    return id_text && uuid_parse(id_text, id) == 0 ? roster_entry(roster, id) : NULL;
}

static struct entry *remember_start(struct roster *roster, const struct decision *decision, const struct mapped *mapped,
                                    int64_t received_at, int64_t open_for, int64_t now)
{
    unsigned char id[16];
    uuid_parse(json_string_at(mapped->offboarding, "id"), id);
    json_t *keys = person_keys(mapped->offboarding);
    struct entry *entry = roster_add_entry(roster, id, keys, json_string_at(mapped->offboarding, "runbook"));
    json_decref(keys);
    entry->received_at = received_at;
    entry->effective_at = decision->effective_at;
    entry->open_until = (decision->effective_at > received_at ? decision->effective_at : received_at) + open_for;
    entry->urgent = json_says(mapped->offboarding, "priority", "urgent");
    entry->held = decision->held;
    if (decision->starts_now) {
        entry->started_at = now;
        roster_count_start(roster, now, now);
    }
    return entry;
}

static void move(struct entry *entry, const struct decision *decision, int64_t received_at)
{
    int64_t from = entry->effective_at > entry->received_at ? entry->effective_at : entry->received_at;
    int64_t to = decision->effective_at > received_at ? decision->effective_at : received_at;
    entry->open_until += to - from;
    entry->effective_at = decision->effective_at;
    entry->urgent = decision->urgent;
}

static void end_all(struct roster *roster, const json_t *ids, enum entry_state state, roster_write *write, void *arg)
{
    size_t i;
    json_t *id;
    json_array_foreach(ids, i, id)
    {
        struct entry *entry = entry_of(roster, json_string_value(id));
        if (entry) {
            entry->state = (uint8_t)state;
            roster_write_entry(roster, entry, write, arg);
        }
    }
}

/* What an event about an open one changes of it. */
static void remember_change(struct roster *roster, const struct decision *decision, const struct mapped *mapped,
                            int64_t received_at, roster_write *write, void *arg)
{
    struct entry *entry = entry_of(roster, json_string_value(json_array_get(decision->offboardings, 0)));
    if (!entry) {
        return;
    }
    bool moved = decision->disposition == DISPOSITION_MOVED;
    if (moved) {
        move(entry, decision, received_at);
    }
    json_t *keys = person_keys(mapped->offboarding);
    if (roster_learn(roster, entry, keys) || moved) {
        roster_write_entry(roster, entry, write, arg);
    }
    json_decref(keys);
    end_all(roster, decision->duplicates, ENTRY_DUPLICATE, write, arg);
}

static void remember_event(struct roster *roster, const struct decision *decision, const struct mapped *mapped,
                           const struct place *place, int64_t received_at, roster_write *write, void *arg)
{
    unsigned char id[16];
    uuid_parse(json_string_at(mapped->offboarding, "id"), id);
    struct event *event = roster_event(roster, id);
    event = event ? event : roster_add_event(roster, id);
    const char *first = json_string_value(json_array_get(decision->offboardings, 0));
    event->concerns = first && uuid_parse(first, event->offboarding) == 0;
    event->at = received_at;
    event->place = roster_place(roster, place);
    roster_write_event(event, decision, write, arg);
}

void roster_remember(struct roster *roster, const struct decision *decision, const struct mapped *mapped,
                     const struct place *place, int64_t received_at, int64_t open_for, int64_t now, roster_write *write,
                     void *arg)
{
    if (decision->fleeting || decision->again || decision->finished) {
        return;
    }
    switch (decision->disposition) {
    case DISPOSITION_STARTED:
    case DISPOSITION_HELD:
    case DISPOSITION_WAITING:
        if (json_says(mapped->offboarding, "mode", "live")) { /* a dry run is open to nobody */
            struct entry *entry = remember_start(roster, decision, mapped, received_at, open_for, now);
            entry->place = roster_place(roster, place);
            roster_write_entry(roster, entry, write, arg);
            return;
        }
        break;
    case DISPOSITION_MOVED:
    case DISPOSITION_DUPLICATE:
        remember_change(roster, decision, mapped, received_at, write, arg);
        break;
    case DISPOSITION_CANCELLED:
        end_all(roster, decision->offboardings, ENTRY_CANCELLED, write, arg);
        break;
    default:
        break;
    }
    remember_event(roster, decision, mapped, place, received_at, write, arg);
}

void roster_undo(struct roster *roster, const char *event_id, roster_write *write, void *arg)
{
    unsigned char id[16];
    if (uuid_parse(event_id, id) != 0) {
        return;
    }
    struct entry *entry = roster_entry(roster, id);
    struct event *event = roster_event(roster, id);
    if (entry) {
        write(arg, event_id, NULL);
        roster_drop_entry(roster, entry);
    }
    if (event) {
        char *key = mem_printf("event/%s", event_id);
        write(arg, key, NULL);
        free(key);
        roster_drop_event(roster, event);
    }
}

/* ---- what comes later -------------------------------------------------------------------------------------------- */

void roster_end(struct roster *roster, const char *id, roster_write *write, void *arg)
{
    struct entry *entry = entry_of(roster, id);
    if (entry && entry->state == ENTRY_OPEN) {
        entry->state = ENTRY_ENDED;
        roster_write_entry(roster, entry, write, arg);
    }
}

void roster_approve(struct roster *roster, const char *id, roster_write *write, void *arg)
{
    struct entry *entry = entry_of(roster, id);
    if (entry && entry->held) {
        entry->held = false;
        roster_write_entry(roster, entry, write, arg);
    }
}

enum roster_start roster_start(struct roster *roster, const char *id, int64_t due_at, int64_t now, roster_write *write,
                               void *arg)
{
    struct entry *entry = entry_of(roster, id);
    if (entry && entry->started_at) {
        return ROSTER_START; /* the answer was lost */
    }
    bool over = entry && entry->state != ENTRY_OPEN && entry->state != ENTRY_ENDED;
    if (over || (entry && entry->effective_at != due_at)) {
        return ROSTER_NOTHING;
    }
    bool starts = !(entry && entry->held) && roster_within_cap(roster, now);
    if (starts) {
        roster_count_start(roster, now, now);
    }
    if (entry) {
        entry->started_at = starts ? now : 0;
        entry->held = !starts;
        roster_write_entry(roster, entry, write, arg);
    }
    return starts ? ROSTER_START : ROSTER_HOLD;
}
