/* Who is leaving, as one intake partition tells it. Everything is decided from records and their timestamps: reading
 * the partition again decides alike, on whatever replica. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/protected.h"
#include "lib/time.h"
#include "producer/producer.h"

/* One offboarding that was accepted. */
struct entry {
    json_t *offboarding; /* as it was mapped */
    const char *id;      /* these three are borrowed from it */
    const char *runbook;
    const json_t *user;
    int64_t received_at;
    int64_t effective_at;
    int64_t open_until;
    bool live, urgent, held, cancelled;
};

struct roster {
    struct entry **entries;
    size_t count;
    json_t *events;    /* the id an event's source and id give, to the first offboarding it concerned, or null */
    json_t *by_person; /* each_key() to a list of indices */
    int64_t cap;
    int64_t *starts; /* record timestamps of the last hour's live offboardings, oldest first */
    size_t start_count;
    const struct conf *conf;
    const struct control *control;
};

static const char *const names[] = {"started", "held",      "waiting", "moved", "cancelled",
                                    "refused", "duplicate", "ignored", "dead"};

const char *disposition_name(enum disposition disposition)
{
    return names[disposition];
}

int64_t roster_cap_share(int64_t cap, int32_t partition, int32_t partitions)
{
    if (cap <= 0) {
        return 0;
    }
    /* Fixed parts by partition number, not by who holds it: a rebalance must not change what was decided. */
    int64_t share = (partition + 1) * cap / partitions - partition * cap / partitions;
    return share > 0 ? share : 1;
}

struct roster *roster_new(int64_t cap, const struct conf *conf, const struct control *control)
{
    struct roster *roster = MEM_NEW(struct roster);
    roster->events = json_object();
    roster->by_person = json_object();
    roster->cap = cap;
    roster->conf = conf;
    roster->control = control;
    return roster;
}

void roster_free(struct roster *roster)
{
    if (!roster) {
        return;
    }
    for (size_t i = 0; i < roster->count; i++) {
        json_decref(roster->entries[i]->offboarding);
        free(roster->entries[i]);
    }
    free(roster->entries);
    free(roster->starts);
    json_decref(roster->events);
    json_decref(roster->by_person);
    free(roster);
}

void decision_release(struct decision *decision)
{
    json_decref(decision->offboardings);
    free(decision->reason);
    *decision = (struct decision){0};
}

/* ---- persons ----------------------------------------------------------------------------------------------------- */

/* Calls `each` with every key a person is known by: e-mail, aliases, employee id. Accounts make a person only of somebody of whom
 * the event says nothing else: an account may be shared. */
static void each_key(const json_t *offboarding, void (*each)(const char *key, void *arg), void *arg)
{
    const json_t *user = json_object_get(offboarding, "user");
    char *email = json_lower(json_string_at(user, "email"));
    if (email) {
        each(email, arg);
    }
    free(email);
    size_t i;
    json_t *alias;
    json_array_foreach(json_object_get(user, "emails"), i, alias)
    {
        char *lower = json_lower(json_string_value(alias));
        if (lower) {
            each(lower, arg);
        }
        free(lower);
    }
    const char *employee = json_string_at(user, "employee_id");
    if (employee) {
        char *key = mem_printf("id:%s", employee);
        each(key, arg);
        free(key);
    }
    const char *system;
    json_t *accounts, *account;
    bool unnamed = !json_string_at(user, "email") && !employee;
    json_object_foreach(unnamed ? json_object_get(offboarding, "given_ids") : NULL, system, accounts)
    {
        json_array_foreach(accounts, i, account)
        {
            char *key = mem_printf("%s:%s", system, json_string_value(account));
            each(key, arg);
            free(key);
        }
    }
}

struct indexing {
    struct roster *roster;
    size_t index;
};

static void index_key(const char *key, void *arg)
{
    struct indexing *indexing = arg;
    json_t *list = json_object_get(indexing->roster->by_person, key);
    if (!list) {
        list = json_array();
        json_object_set_new(indexing->roster->by_person, key, list);
    }
    json_array_append_new(list, json_integer((json_int_t)indexing->index));
}

/* Open entries of a person: collected once each, in order. */
struct search {
    struct roster *roster;
    int64_t now;
    struct entry **found;
    size_t count;
};

static bool is_open(const struct roster *roster, const struct entry *entry, int64_t now)
{
    if (entry->cancelled || now > entry->open_until) {
        return false;
    }
    int64_t when = control_cancelled_when(roster->control, entry->id, entry->user, entry->received_at);
    return when == 0 || when > now;
}

static void search_key(const char *key, void *arg)
{
    struct search *search = arg;
    size_t i;
    json_t *index;
    json_array_foreach(json_object_get(search->roster->by_person, key), i, index)
    {
        struct entry *entry = search->roster->entries[json_integer_value(index)];
        bool known = !is_open(search->roster, entry, search->now);
        for (size_t j = 0; j < search->count; j++) {
            known = known || search->found[j] == entry;
        }
        if (!known) {
            search->found = mem_realloc(search->found, (search->count + 1) * sizeof(struct entry *));
            search->found[search->count++] = entry;
        }
    }
}

/* The caller frees the array. */
static struct entry **open_entries(struct roster *roster, const json_t *offboarding, int64_t now, size_t *count)
{
    struct search search = {.roster = roster, .now = now};
    each_key(offboarding, search_key, &search);
    *count = search.count;
    return search.found;
}

/* ---- guards ------------------------------------------------------------------------------------------------------ */

/* Counts this start, or says that the hour's part is used up. */
static bool within_cap(struct roster *roster, int64_t now)
{
    size_t old = 0;
    while (old < roster->start_count && roster->starts[old] <= now - TIME_HOUR) {
        old++;
    }
    roster->start_count -= old;
    if (old) {
        memmove(roster->starts, roster->starts + old, roster->start_count * sizeof *roster->starts);
    }
    if (roster->cap > 0 && (int64_t)roster->start_count >= roster->cap) {
        return false;
    }
    roster->starts = mem_realloc(roster->starts, (roster->start_count + 1) * sizeof *roster->starts);
    roster->starts[roster->start_count++] = now;
    return true;
}

/* ---- deciding ---------------------------------------------------------------------------------------------------- */

static void conclude(struct decision *decision, enum disposition disposition, const char *id, const char *reason)
{
    decision->disposition = disposition;
    if (id) {
        json_array_append_new(decision->offboardings, json_string(id));
    }
    decision->reason = mem_strdup(reason);
}

static struct entry *remember(struct roster *roster, const struct mapped *mapped, int64_t now, int64_t effective_at,
                              int64_t open_for)
{
    struct entry *entry = MEM_NEW(struct entry);
    entry->offboarding = json_incref(mapped->offboarding);
    entry->id = json_string_at(entry->offboarding, "id");
    entry->runbook = json_string_at(entry->offboarding, "runbook");
    entry->user = json_object_get(entry->offboarding, "user");
    entry->received_at = now;
    entry->effective_at = effective_at;
    entry->open_until = (effective_at > now ? effective_at : now) + open_for;
    entry->live = strcmp(json_string_at(mapped->offboarding, "mode"), "live") == 0;
    entry->urgent = strcmp(json_string_at(mapped->offboarding, "priority"), "urgent") == 0;
    size_t index = roster->count++;
    roster->entries = mem_realloc(roster->entries, roster->count * sizeof(struct entry *));
    roster->entries[index] = entry;
    if (entry->live) {
        struct indexing indexing = {roster, index};
        each_key(entry->offboarding, index_key, &indexing);
    }
    return entry;
}

/* An open one is there already: moved, or a duplicate. */
static void decide_again(struct entry *entry, const struct mapped *mapped, int64_t now, int64_t open_for,
                         struct decision *decision)
{
    bool urgent = strcmp(json_string_at(mapped->offboarding, "priority"), "urgent") == 0;
    if (mapped->intent == INTENT_CHANGE && !mapped->dated) {
        decision->effective_at = entry->effective_at; /* another priority only */
    }
    int64_t effective_at = decision->effective_at;
    bool begun = !entry->held && entry->effective_at <= now;
    bool moves = effective_at != entry->effective_at && (effective_at > now || entry->effective_at > now);
    bool rises = urgent && !entry->urgent;
    if (begun || (!moves && !rises)) {
        conclude(decision, DISPOSITION_DUPLICATE, entry->id,
                 begun ? "the offboarding has begun" : "the same offboarding is open already");
        return;
    }
    entry->effective_at = effective_at;
    entry->urgent = entry->urgent || urgent;
    entry->open_until = (effective_at > now ? effective_at : now) + open_for;
    decision->offboarding = entry->offboarding;
    decision->urgent = entry->urgent;
    decision->held = entry->held;
    decision->starts_now = !entry->held && effective_at <= now;
    conclude(decision, DISPOSITION_MOVED, entry->id, NULL);
}

static void decide_start(struct roster *roster, const struct mapped *mapped, int64_t now, int64_t open_for,
                         struct decision *decision)
{
    const char *id = json_string_at(mapped->offboarding, "id");
    bool live = strcmp(json_string_at(mapped->offboarding, "mode"), "live") == 0;
    const char *runbook = json_string_at(mapped->offboarding, "runbook");
    size_t count = 0;
    struct entry **open = live ? open_entries(roster, mapped->offboarding, now, &count) : NULL;
    struct entry *same = NULL;
    for (size_t i = 0; i < count && !same; i++) {
        same = strcmp(open[i]->runbook, runbook) == 0 ? open[i] : NULL;
    }
    free(open);
    if (same) {
        decide_again(same, mapped, now, open_for, decision);
        return;
    }
    if (mapped->intent == INTENT_CHANGE) {
        conclude(decision, DISPOSITION_IGNORED, NULL, "there is no open offboarding to change");
        return;
    }
    struct entry *entry = remember(roster, mapped, now, decision->effective_at, open_for);
    if (live && !within_cap(roster, now)) {
        entry->held = true;
        decision->held = true;
        conclude(decision, DISPOSITION_HELD, id, "more offboardings within an hour than guards.cap_per_hour allows");
        return;
    }
    decision->starts_now = decision->effective_at <= now;
    conclude(decision, decision->starts_now ? DISPOSITION_STARTED : DISPOSITION_WAITING, id, NULL);
}

static void decide_end(struct roster *roster, const struct mapped *mapped, int64_t now, struct decision *decision)
{
    size_t count = 0;
    struct entry **open = open_entries(roster, mapped->offboarding, now, &count);
    for (size_t i = 0; i < count; i++) {
        open[i]->cancelled = true;
        json_array_append_new(decision->offboardings, json_string(open[i]->id));
    }
    free(open);
    const char *given = json_string_at(mapped->offboarding, "reason");
    const char *reason = given ? given : mapped->intent == INTENT_REHIRE ? "rehired" : "cancelled by the HR system";
    conclude(decision, count ? DISPOSITION_CANCELLED : DISPOSITION_IGNORED, NULL,
             count ? reason : "the person has no open offboarding");
}

/* Keeps what became of an event: sent again, it changes nothing, even when others came in between. */
static void remember_event(struct roster *roster, const char *id, const struct decision *decision)
{
    json_t *first = json_array_get(decision->offboardings, 0);
    json_object_set_new(roster->events, id, first ? json_incref(first) : json_null());
}

/* Who is leaving, and when, is known; "now" is `now`. */
static void decide(struct roster *roster, const struct mapped *mapped, int64_t now, int64_t open_for,
                   struct decision *decision)
{
    const char *id = json_string_at(mapped->offboarding, "id");
    const json_t *known = json_object_get(roster->events, id);
    if (known) {
        conclude(decision, DISPOSITION_DUPLICATE, json_string_value(known), "this event was received before");
        return;
    }
    if (mapped->intent == INTENT_CANCEL || mapped->intent == INTENT_REHIRE) {
        decide_end(roster, mapped, now, decision);
    } else if (protected_person(roster->conf, mapped->offboarding)) {
        conclude(decision, DISPOSITION_REFUSED, NULL, PROTECTED_WHY);
    } else {
        decide_start(roster, mapped, now, open_for, decision);
    }
    remember_event(roster, id, decision);
}

int roster_decide(struct roster *roster, const struct mapped *mapped, int64_t received_at, int64_t open_for,
                  struct decision *decision, struct err *err)
{
    *decision = (struct decision){.offboardings = json_array(), .effective_at = received_at};
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
    decide(roster, mapped, received_at, open_for, decision);
    return 0;
}
