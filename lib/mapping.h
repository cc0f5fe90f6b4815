/* Mapping: an HR event, by its source file, to what we know of it. Pure. The planner decides by it, the edge checks
 * with it, `offboard plan` shows it. */
#ifndef OFFBOARD_LIB_MAPPING_H
#define OFFBOARD_LIB_MAPPING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/definition.h"
#include "lib/err.h"

enum intent { INTENT_START, INTENT_CHANGE, INTENT_CANCEL, INTENT_REHIRE };

struct mapped {
    enum intent intent;
    const char *source;     /* name of the source that maps it; borrowed from the definitions */
    json_t *offboarding;    /* offboarding object without status, started_at; owned */
    char *person;           /* key of intake; owned */
    const char *ignored_by; /* name of the criterion that was not met, NULL when all were; borrowed from the source */
    json_t *seen;           /* the value the criterion saw; owned, may be NULL */
    char *
        refused; /* why it starts nothing: who asked may not (`authorize`), or no runbook serves it; owned, NULL: it may */
    bool dated; /* the event names a date itself */
};

/* Maps a structured CloudEvent received at `received_at` (microseconds). `source` NULL: the one whose address it came to
 * (the attribute MAPPING_SOURCE), else chosen by `type`. ERR_PERMANENT
 * names the field and the remedy. */
int mapping_apply(struct definitions *definitions, const struct conf *conf, const json_t *event, const char *source,
                  int64_t received_at, struct mapped *mapped, struct err *err);
void mapped_release(struct mapped *mapped);

/* The extension attribute by which the edge says which source's sender signed an event, and a worker which source it polls for. It is
 * believed of nobody else (producer/streams.c). */
#define MAPPING_SOURCE "offboardsource"

/* What the record keeps of a CloudEvent: {source, id, type, time}, null where it says nothing. `time` is written by time_format(): RFC
 * 3339 has offsets (+23:00) that PostgreSQL refuses. New reference. */
json_t *mapping_event_summary(const json_t *event);

/* `value` without home addresses, phone numbers and birth dates, at any depth: no object and no event carries them
 * (rules.md 6). New reference; NULL gives NULL. */
json_t *mapping_without_private(const json_t *value);

/* Cleans the keys by which a person is found (email, emails, employee_id), in place, and those of the managers, as
 * identity_clean() says; `field` is the person's name in messages ("user"). -1 with the err. What a job provides of a
 * person must pass here, too. */
int mapping_tidy_person(json_t *person, const char *field, struct err *err);

/* Is the value (NULL and null: there is none) one address, without a name and without "mailto:"? -1 with the err. */
int mapping_check_email(const char *field, const json_t *value, struct err *err);

#endif
