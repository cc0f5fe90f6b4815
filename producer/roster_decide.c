/* Deciding by the memory. */
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/person.h"
#include "lib/protected.h"
#include "lib/time.h"
#include "producer/roster_internal.h"

/* One event that is being decided. */
struct asked {
    const struct roster *roster;
    const struct mapped *mapped;
    int64_t received_at;
    int64_t now;
    struct decision *decision;
    json_t *keys;
};

static void conclude(struct decision *decision, enum disposition disposition, const unsigned char *id,
                     const char *reason)
{
    char text[ID_SIZE];
    decision->disposition = disposition;
    if (id) {
        roster_id_text(id, text);
        json_array_append_new(decision->offboardings, json_string(text));
    }
    decision->reason = mem_strdup(reason);
}

/* ---- open ones --------------------------------------------------------------------------------------------------- */

/* By an order, up to the time `at`. */
static bool is_cancelled(const struct roster *roster, const struct entry *entry, int64_t at)
{
    char id[ID_SIZE];
    roster_id_text(entry->id, id);
    int64_t when = control_name_cancelled_when(roster->control, id, 0);
    bool cancelled = when && when <= at;
    for (const char *key = entry->keys; *key && !cancelled; key += strlen(key) + 1) {
        when = control_name_cancelled_when(roster->control, person_control_name(key), entry->received_at);
        cancelled = when && when <= at;
    }
    return cancelled;
}

static bool is_open(const struct roster *roster, const struct entry *entry, int64_t at)
{
    return entry->state == ENTRY_OPEN && at <= entry->open_until && !is_cancelled(roster, entry, at);
}

/* Open entries of the person; the oldest first. The caller frees. */
static struct entry **open_entries(const struct asked *asked, size_t *count)
{
    size_t all;
    struct entry **found = roster_find(asked->roster, asked->keys, &all);
    *count = 0;
    for (size_t i = 0; i < all; i++) {
        if (is_open(asked->roster, found[i], asked->received_at)) {
            found[(*count)++] = found[i];
        }
    }
    return found;
}

static bool has_begun(const struct entry *entry, int64_t at)
{
    return entry->started_at || (!entry->held && entry->effective_at <= at);
}

/* The open one of this runbook: of several that has begun, or else the oldest; the others repeat it. NULL: there is none. */
static struct entry *choose(const struct asked *asked)
{
    const char *runbook = json_string_at(asked->mapped->offboarding, "runbook");
    size_t count;
    struct entry **open = open_entries(asked, &count), *chosen = NULL;
    for (int begun = 1; begun >= 0; begun--) {
        for (size_t i = 0; i < count && !chosen; i++) {
            bool same = strcmp(asked->roster->runbooks.items[open[i]->runbook], runbook) == 0;
            chosen = same && has_begun(open[i], asked->received_at) >= begun ? open[i] : NULL;
        }
    }
    for (size_t i = 0; chosen && i < count; i++) {
        if (open[i] != chosen && open[i]->runbook == chosen->runbook) {
            char id[ID_SIZE];
            roster_id_text(open[i]->id, id);
            json_array_append_new(asked->decision->duplicates, json_string(id));
        }
    }
    free(open);
    return chosen;
}

/* ---- deciding ---------------------------------------------------------------------------------------------------- */

/* An open one is there already: moved, or a duplicate. */
static void decide_again(const struct asked *asked, const struct entry *entry)
{
    struct decision *decision = asked->decision;
    int64_t at = asked->received_at;
    bool urgent = json_says(asked->mapped->offboarding, "priority", "urgent");
    if (asked->mapped->intent == INTENT_CHANGE && !asked->mapped->dated) {
        decision->effective_at = entry->effective_at; /* another priority only */
    }
    int64_t effective_at = decision->effective_at;
    bool begun = has_begun(entry, at);
    bool moves = effective_at != entry->effective_at && (effective_at > at || entry->effective_at > at);
    bool rises = urgent && !entry->urgent;
    if (begun || (!moves && !rises)) {
        conclude(decision, DISPOSITION_DUPLICATE, entry->id,
                 begun ? "the offboarding has begun" : "the same offboarding is open already");
        return;
    }
    decision->urgent = entry->urgent || urgent;
    decision->held = entry->held;
    conclude(decision, DISPOSITION_MOVED, entry->id, NULL);
}

/* Was the person, or the event itself, cancelled after the event had come? Then it starts nothing, however late it is read. */
static bool cancelled_since(const struct asked *asked)
{
    const struct control *control = asked->roster->control;
    bool cancelled = control_name_cancelled_when(control, json_string_at(asked->mapped->offboarding, "id"), 0) != 0;
    size_t i;
    json_t *key;
    json_array_foreach(asked->keys, i, key)
    {
        const char *name = person_control_name(json_string_value(key));
        cancelled = cancelled || control_name_cancelled_when(control, name, asked->received_at) != 0;
    }
    return cancelled;
}

static void decide_start(const struct asked *asked)
{
    struct decision *decision = asked->decision;
    const struct mapped *mapped = asked->mapped;
    bool live = json_says(mapped->offboarding, "mode", "live");
    unsigned char id[16];
    uuid_parse(json_string_at(mapped->offboarding, "id"), id);
    if (cancelled_since(asked)) {
        conclude(decision, DISPOSITION_CANCELLED, NULL, "the person was cancelled after this event had come");
        return;
    }
    struct entry *same = live ? choose(asked) : NULL;
    if (same) {
        decide_again(asked, same);
        return;
    }
    if (mapped->intent == INTENT_CHANGE) {
        conclude(decision, DISPOSITION_IGNORED, NULL, "there is no open offboarding to change");
        return;
    }
    bool now = decision->effective_at <= asked->received_at;
    if (live && now && !roster_within_cap(asked->roster, asked->now)) {
        decision->held = true;
        conclude(decision, DISPOSITION_HELD, id, ROSTER_CAP_WHY);
        return;
    }
    decision->starts_now = now;
    conclude(decision, now ? DISPOSITION_STARTED : DISPOSITION_WAITING, id, NULL);
}

/* All that came before it; what HR started after it stays. */
static void decide_end(const struct asked *asked)
{
    size_t count, ended = 0;
    struct entry **open = open_entries(asked, &count);
    for (size_t i = 0; i < count; i++) {
        if (open[i]->received_at <= asked->received_at) {
            char id[ID_SIZE];
            roster_id_text(open[i]->id, id);
            json_array_append_new(asked->decision->offboardings, json_string(id));
            ended++;
        }
    }
    free(open);
    const char *given = json_string_at(asked->mapped->offboarding, "reason");
    const char *reason = given                                    ? given
                         : asked->mapped->intent == INTENT_REHIRE ? "rehired"
                                                                  : "cancelled by the HR system";
    conclude(asked->decision, ended ? DISPOSITION_CANCELLED : DISPOSITION_IGNORED, NULL,
             ended ? reason : "the person has no open offboarding");
}

static bool same_place(const struct place *a, const struct place *b)
{
    return a->partition == b->partition && a->offset == b->offset && strcmp(a->topic, b->topic) == 0;
}

/* The event was decided before: at this very place, or it came again. */
static bool decide_known(const struct asked *asked, const struct place *place)
{
    struct decision *decision = asked->decision;
    unsigned char id[16];
    uuid_parse(json_string_at(asked->mapped->offboarding, "id"), id);
    const struct entry *entry = roster_entry(asked->roster, id);
    const struct event *event = entry ? NULL : roster_event(asked->roster, id);
    const struct place *known = entry ? &entry->place : event ? &event->place : NULL;
    if (!known) {
        return false;
    }
    if (same_place(known, place)) {
        decision->again = roster_recall(asked->roster, place, entry, decision);
        decision->finished = !decision->again;
    } else {
        decision->fleeting = true;
        conclude(decision, DISPOSITION_DUPLICATE,
                 entry             ? entry->id
                 : event->concerns ? event->offboarding
                                   : NULL,
                 "this event was received before");
    }
    return true;
}

static void decide(const struct asked *asked, const struct place *place)
{
    const struct mapped *mapped = asked->mapped;
    if (decide_known(asked, place)) {
        return;
    }
    if (mapped->intent == INTENT_CANCEL || mapped->intent == INTENT_REHIRE) {
        decide_end(asked);
    } else if (protected_person(asked->roster->conf, mapped->offboarding)) {
        conclude(asked->decision, DISPOSITION_REFUSED, NULL, PROTECTED_WHY);
    } else {
        decide_start(asked);
    }
}

int roster_decide(const struct roster *roster, const struct mapped *mapped, const struct place *place,
                  int64_t received_at, int64_t now, struct decision *decision, struct err *err)
{
    *decision =
        (struct decision){.offboardings = json_array(), .duplicates = json_array(), .effective_at = received_at};
    decision->fleeting = mapped->ignored_by || mapped->refused;
    if (mapped->ignored_by) {
        conclude(decision, DISPOSITION_IGNORED, NULL, "a criterion of the source is not met");
        return 0;
    }
    if (mapped->refused) {
        conclude(decision, DISPOSITION_REFUSED, NULL, mapped->refused);
        return 0;
    }
    const char *effective_at = json_string_at(mapped->offboarding, "effective_at");
    if (time_parse(effective_at ? effective_at : "", &decision->effective_at, err) != 0) {
        decision_release(decision);
        return err_prefix(err, "effective_at");
    }
    struct asked asked = {roster, mapped, received_at, now, decision, person_keys(mapped->offboarding)};
    decide(&asked, place);
    json_decref(asked.keys);
    return 0;
}
