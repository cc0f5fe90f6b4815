/* The planner's memory of what it has decided: who is leaving, and which events it has seen. It is kept in Kafka, on the compacted
 * topic offboard.roster (schema/messages.md), and read back from there; nothing is ever decided a second time. Pure: records come
 * in, records to write go out, and the caller brings the clock. Times are microseconds since 1970. */
#ifndef OFFBOARD_PRODUCER_ROSTER_H
#define OFFBOARD_PRODUCER_ROSTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/control.h"
#include "lib/err.h"
#include "lib/mapping.h"

struct roster;

/* Where a record of an HR event lies. */
struct place {
    const char *topic; /* borrowed; of what is remembered: the roster's */
    int32_t partition;
    int64_t offset;
};

enum disposition {
    DISPOSITION_STARTED,
    DISPOSITION_HELD,
    DISPOSITION_WAITING,
    DISPOSITION_MOVED,
    DISPOSITION_CANCELLED,
    DISPOSITION_REFUSED,
    DISPOSITION_DUPLICATE,
    DISPOSITION_IGNORED,
    DISPOSITION_DEAD,
};

const char *disposition_name(enum disposition disposition);

/* What becomes of one event. */
struct decision {
    enum disposition disposition;
    json_t *offboardings; /* ids concerned: one, or all that a cancellation ends; owned */
    json_t *duplicates;   /* ids of open ones that turn out to repeat offboardings[0]; owned */
    char *reason;         /* owned; may be NULL */
    bool starts_now;      /* a started one */
    bool held;            /* a held one, a moved one that is held and stays so */
    bool urgent;          /* of a moved one: a priority rises and never falls */
    int64_t effective_at;
    bool finished; /* this very record was decided before, and all that it led to is out: there is nothing to do */
    bool again;    /* it was decided before, but perhaps not all is out: publish it, remember nothing */
    bool fleeting; /* nothing needs to be remembered */
};

void decision_release(struct decision *decision);

/* Writes one record of offboard.roster. `value` is taken over; NULL is a tombstone. */
typedef void roster_write(void *arg, const char *key, json_t *value);

/* `conf` has guards.*; `control` what is cancelled. Both are borrowed. */
struct roster *roster_new(const struct conf *conf, const struct control *control);
void roster_free(struct roster *roster);

/* ---- reading back ------------------------------------------------------------------------------------------------ */

/* `unfinished` says whether a place is not committed yet: of such records roster_read() keeps the whole decision. */
void roster_expect(struct roster *roster, bool (*unfinished)(const struct place *place, void *arg), void *arg);

/* Takes one record of the topic in; `value` NULL is a tombstone. Other records than those of decisions are passed over. -1 with an
 * err: it can't be understood. */
int roster_read(struct roster *roster, const char *key, size_t key_len, const void *value, size_t len, struct err *err);

/* All was read. */
void roster_ready(struct roster *roster, int64_t now);

struct roster_size {
    size_t offboardings, events, bytes;
};
struct roster_size roster_size(const struct roster *roster);

/* ---- deciding ---------------------------------------------------------------------------------------------------- */

/* Decides, and changes nothing. `received_at` is the record's time, by which everything is decided but the cap: starts count when
 * they happen, at `now`. -1 with an ERR_PERMANENT, and nothing to release, when the offboarding's date can't be read: it must never
 * count as now. */
int roster_decide(const struct roster *roster, const struct mapped *mapped, const struct place *place,
                  int64_t received_at, int64_t now, struct decision *decision, struct err *err);

/* Remembers a decision, and writes it. `open_for`: how long after its start a new offboarding stays open. */
void roster_remember(struct roster *roster, const struct decision *decision, const struct mapped *mapped,
                     const struct place *place, int64_t received_at, int64_t open_for, int64_t now, roster_write *write,
                     void *arg);

/* Forgets an event, and the offboarding that it began: what it led to could not be published. */
void roster_undo(struct roster *roster, const char *event_id, roster_write *write, void *arg);

/* ---- what comes later -------------------------------------------------------------------------------------------- */

/* PostgreSQL says that it is over; that a person let it go. Unknown ids are passed over. */
void roster_end(struct roster *roster, const char *id, roster_write *write, void *arg);
void roster_approve(struct roster *roster, const char *id, roster_write *write, void *arg);

/* Whom it is about is to be forgotten: its keys go, at once. */
void roster_erase(struct roster *roster, const char *id, roster_write *write, void *arg);

enum roster_start {
    ROSTER_START,   /* it starts, and counts */
    ROSTER_HOLD,    /* more than guards.cap_per_hour allows */
    ROSTER_NOTHING, /* it is over, held already, or was moved to another date */
};

/* The date `due_at` of a waiting one has come: may it start? One that is not known may, within the cap. */
enum roster_start roster_start(struct roster *roster, const char *id, int64_t due_at, int64_t now, roster_write *write,
                               void *arg);

/* Writes tombstones of what is over and of events that are older than 400 days, at most `most`: a part of the memory at each call. */
void roster_forget(struct roster *roster, int64_t now, size_t most, roster_write *write, void *arg);

#define ROSTER_CAP_WHY "more offboardings start within an hour than guards.cap_per_hour allows"

#endif
