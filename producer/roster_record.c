/* Records of offboard.roster, written and read. */
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/time.h"
#include "producer/roster_internal.h"

#define EVENT_KEY "event/"

static const char *const states[] = {"open", "ended", "cancelled", "duplicate"};

void roster_id_text(const unsigned char id[16], char text[ID_SIZE])
{
    uuid_unparse_lower(id, text);
}

char *place_text(const struct place *place)
{
    return mem_printf("%s/%d/%lld", place->topic, place->partition, (long long)place->offset);
}

static json_t *place_json(const struct place *place)
{
    return json_pack("[s, i, I]", place->topic, (int)place->partition, (json_int_t)place->offset);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

void roster_write_entry(const struct roster *roster, const struct entry *entry, roster_write *write, void *arg)
{
    char id[ID_SIZE];
    roster_id_text(entry->id, id);
    json_t *keys = json_array();
    for (const char *key = entry->keys; *key; key += strlen(key) + 1) {
        json_array_append_new(keys, json_string(key));
    }
    json_t *value = json_pack("{s:i, s:s, s:s, s:s, s:o, s:s, s:o}", "version", MESSAGE_VERSION, "runbook",
                              roster->runbooks.items[entry->runbook], "mode", "live", "priority",
                              entry->urgent ? "urgent" : "normal", "keys", keys, "state", states[entry->state], "place",
                              place_json(&entry->place));
    json_put_instant(value, "received_at", entry->received_at);
    json_put_instant(value, "effective_at", entry->effective_at);
    json_put_instant(value, "open_until", entry->open_until);
    if (entry->started_at) {
        json_put_instant(value, "started_at", entry->started_at);
    }
    json_put(value, "held", entry->held ? json_true() : NULL);
    write(arg, id, value);
}

void roster_write_event(const struct event *event, const struct decision *decision, roster_write *write, void *arg)
{
    char id[ID_SIZE], offboarding[ID_SIZE];
    roster_id_text(event->id, id);
    roster_id_text(event->offboarding, offboarding);
    json_t *value = json_pack("{s:i, s:s, s:o}", "version", MESSAGE_VERSION, "disposition",
                              disposition_name(decision->disposition), "place", place_json(&event->place));
    json_put_instant(value, "at", event->at);
    json_put(value, "offboardings",
             decision->offboardings ? json_incref(decision->offboardings)
             : event->concerns      ? json_pack("[s]", offboarding)
                                    : json_array());
    json_put(value, "duplicates", json_array_size(decision->duplicates) ? json_incref(decision->duplicates) : NULL);
    json_put_string(value, "reason", decision->reason);
    json_put_instant(value, "effective_at", decision->effective_at);
    json_put(value, "starts_now", decision->starts_now ? json_true() : NULL);
    json_put(value, "held", decision->held ? json_true() : NULL);
    json_put(value, "urgent", decision->urgent ? json_true() : NULL);
    char *key = mem_printf(EVENT_KEY "%s", id);
    write(arg, key, value);
    free(key);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int read_time(const json_t *value, const char *name, bool needed, int64_t *at, struct err *err)
{
    const char *text = json_string_at(value, name);
    *at = 0;
    if (!text && !needed) {
        return 0;
    }
    return time_parse(text ? text : "", at, err) == 0 ? 0 : err_prefix(err, "%s", name);
}

static int read_place(struct roster *roster, const json_t *value, struct place *place, struct err *err)
{
    const char *topic = json_string_at(value, "place.0");
    const json_t *partition = json_at(value, "place.1"), *offset = json_at(value, "place.2");
    if (!topic || !json_is_integer(partition) || !json_is_integer(offset)) {
        return err_set(err, ERR_PERMANENT, "place must be [topic, partition, offset]");
    }
    struct place read = {topic, (int32_t)json_integer_value(partition), json_integer_value(offset)};
    *place = roster_place(roster, &read);
    return 0;
}

static void keep_unfinished(struct roster *roster, const struct place *place, json_t *value)
{
    if (roster->is_unfinished && roster->is_unfinished(place, roster->arg)) {
        char *text = place_text(place);
        json_object_set(roster->unfinished, text, value);
        free(text);
    }
}

static int read_entry(struct roster *roster, const unsigned char id[16], json_t *value, struct err *err)
{
    struct entry read = {.urgent =
                             json_string_at(value, "priority") && !strcmp(json_string_at(value, "priority"), "urgent"),
                         .held = json_true_at(value, "held")};
    const char *runbook = json_string_at(value, "runbook"), *state = json_string_at(value, "state");
    if (read_time(value, "received_at", true, &read.received_at, err) != 0 ||
        read_time(value, "effective_at", true, &read.effective_at, err) != 0 ||
        read_time(value, "open_until", true, &read.open_until, err) != 0 ||
        read_time(value, "started_at", false, &read.started_at, err) != 0 ||
        read_place(roster, value, &read.place, err) != 0) {
        return -1;
    }
    if (!runbook || !state) {
        return err_set(err, ERR_PERMANENT, "%s is missing", runbook ? "state" : "runbook");
    }
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        read.state = strcmp(states[i], state) == 0 ? (uint8_t)i : read.state;
    }
    struct entry *entry = roster_entry(roster, id);
    if (entry) {
        roster_drop_entry(roster, entry);
    }
    entry = roster_add_entry(roster, id, json_object_get(value, "keys"), runbook);
    read.keys = entry->keys;
    read.runbook = entry->runbook;
    memcpy(read.id, id, sizeof read.id);
    *entry = read;
    keep_unfinished(roster, &entry->place, value);
    return 0;
}

static int read_event(struct roster *roster, const unsigned char id[16], json_t *value, struct err *err)
{
    struct event read = {0};
    const char *first = json_string_at(value, "offboardings.0");
    if (read_time(value, "at", true, &read.at, err) != 0 || read_place(roster, value, &read.place, err) != 0) {
        return -1;
    }
    read.concerns = first && uuid_parse(first, read.offboarding) == 0;
    struct event *event = roster_event(roster, id);
    event = event ? event : roster_add_event(roster, id);
    memcpy(read.id, id, sizeof read.id);
    *event = read;
    keep_unfinished(roster, &event->place, value);
    return 0;
}

static void read_tombstone(struct roster *roster, const unsigned char id[16], bool is_event)
{
    struct entry *entry = is_event ? NULL : roster_entry(roster, id);
    struct event *event = is_event ? roster_event(roster, id) : NULL;
    if (entry) {
        roster_drop_entry(roster, entry);
    }
    if (event) {
        roster_drop_event(roster, event);
    }
}

/* False: a key of another kind. */
static bool read_key(const char *key, size_t len, bool *is_event, unsigned char id[16])
{
    size_t prefix = strlen(EVENT_KEY);
    *is_event = len == prefix + ID_LEN && strncmp(key, EVENT_KEY, prefix) == 0;
    const char *start = *is_event ? key + prefix : key;
    char text[ID_SIZE] = "";
    if (!*is_event && len != ID_LEN) {
        return false;
    }
    memcpy(text, start, ID_LEN);
    return uuid_parse(text, id) == 0;
}

void roster_expect(struct roster *roster, bool (*unfinished)(const struct place *place, void *arg), void *arg)
{
    roster->is_unfinished = unfinished;
    roster->arg = arg;
}

int roster_read(struct roster *roster, const char *key, size_t key_len, const void *value, size_t len, struct err *err)
{
    unsigned char id[16];
    bool is_event;
    if (!key || !read_key(key, key_len, &is_event, id)) {
        return 0;
    }
    if (!value) {
        read_tombstone(roster, id, is_event);
        return 0;
    }
    json_t *object = json_parse(value, len, err);
    int result = -1;
    if (object && json_int_at(object, "version", -1) != MESSAGE_VERSION) {
        err_set(err, ERR_PERMANENT, "version is missing or unknown, must be %d", MESSAGE_VERSION);
    } else if (object) {
        result = is_event ? read_event(roster, id, object, err) : read_entry(roster, id, object, err);
    }
    json_decref(object);
    return result;
}

/* ---- what was begun ---------------------------------------------------------------------------------------------- */

static enum disposition disposition_of(const char *name)
{
    for (int i = DISPOSITION_STARTED; name && i < DISPOSITION_DEAD; i++) {
        if (strcmp(disposition_name((enum disposition)i), name) == 0) {
            return (enum disposition)i;
        }
    }
    return DISPOSITION_IGNORED;
}

static void recall_start(const struct entry *entry, struct decision *decision)
{
    char id[ID_SIZE];
    roster_id_text(entry->id, id);
    decision->held = entry->held;
    decision->starts_now = !entry->held && entry->started_at;
    decision->disposition = decision->held         ? DISPOSITION_HELD
                            : decision->starts_now ? DISPOSITION_STARTED
                                                   : DISPOSITION_WAITING;
    decision->effective_at = entry->effective_at;
    decision->reason = entry->held ? mem_strdup(ROSTER_CAP_WHY) : NULL;
    json_array_append_new(decision->offboardings, json_string(id));
}

static void recall_other(const json_t *value, struct decision *decision)
{
    decision->disposition = disposition_of(json_string_at(value, "disposition"));
    json_array_extend(decision->offboardings, json_object_get(value, "offboardings"));
    json_array_extend(decision->duplicates, json_object_get(value, "duplicates"));
    decision->reason = mem_strdup(json_string_at(value, "reason"));
    decision->starts_now = json_true_at(value, "starts_now");
    decision->held = json_true_at(value, "held");
    decision->urgent = json_true_at(value, "urgent");
    const char *effective_at = json_string_at(value, "effective_at");
    if (effective_at) {
        time_parse(effective_at, &decision->effective_at, NULL);
    }
}

bool roster_recall(const struct roster *roster, const struct place *place, const struct entry *entry,
                   struct decision *decision)
{
    char *text = place_text(place);
    const json_t *value = json_object_get(roster->unfinished, text);
    free(text);
    if (value && entry) {
        recall_start(entry, decision);
    } else if (value) {
        recall_other(value, decision);
    }
    return value != NULL;
}
