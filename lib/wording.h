/* Dates, lengths of time and lists, as people write them in a mail. All texts are the caller's to free. */
#ifndef OFFBOARD_LIB_WORDING_H
#define OFFBOARD_LIB_WORDING_H

#include <jansson.h>
#include <stdint.h>

/* "29 November 2026" in `zone` (IANA; NULL or unknown: UTC). `at`: microseconds since 1970. */
char *wording_day(int64_t at, const char *zone);
char *wording_date(int64_t at, const char *zone); /* the same day for machines: 2026-11-30 */

/* "29 November 2026, 10:44 (UTC)": the same with the time that clocks show there, and the zone's name. */
char *wording_moment(int64_t at, const char *zone);

/* "less than a second", "1 second", "40 minutes", "3 days". Uses the largest unit that fits, rounded down. */
char *wording_span(int64_t length);

/* "Okta, Google and Slack" of a list of texts; "" of an empty one. */
char *wording_list(const json_t *texts);

/* Who asked for an offboarding, by its `actor` {kind, id, name} (schema/messages.md): the name; without one the id. */
char *wording_actor(const json_t *actor);

#endif
