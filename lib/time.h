/* Instants, durations, zones. An instant is int64_t microseconds since 1970-01-01T00:00:00Z; a duration is int64_t
 * microseconds. Texts are RFC 3339 in UTC unless a zone is named. */
#ifndef OFFBOARD_LIB_TIME_H
#define OFFBOARD_LIB_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

#define TIME_SECOND INT64_C(1000000)
#define TIME_MINUTE (60 * TIME_SECOND)
#define TIME_HOUR   (60 * TIME_MINUTE)
#define TIME_DAY    (24 * TIME_HOUR)

enum { TIME_TEXT_SIZE = 40 };

int64_t time_now(void);       /* wall clock */
int64_t time_monotonic(void); /* for measuring; never goes back */

/* "2026-11-23T09:15:00.123456Z" */
void time_format(int64_t at, char out[TIME_TEXT_SIZE]);

/* "2026-11-23 10:15 Europe/Berlin (CET)"; `zone` NULL means UTC. The caller frees. */
char *time_format_zone(int64_t at, const char *zone);

/* RFC 3339 date-time with offset; from 1970 to 2199 in UTC, anything else is an ERR_PERMANENT that says so. `*at` is
 * written only on success. */
int time_parse(const char *text, int64_t *at, struct err *err);

/* As time_parse(), and without an offset: what clocks in `zone` (IANA; NULL: UTC) show. A bare date is the end of that day
 * there (23:59:59.999999; rules.md 7). A time that the clocks skip in spring is counted by the offset before the change (02:30
 * is 03:30), one that they show twice in autumn is the first. */
int time_parse_effective(const char *text, const char *zone, int64_t *at, struct err *err);

/* "90d", "6h", "30s", "500ms", "2m", "1w", or a sum "1d12h"; zero is "0s". Negative and bare numbers are errors. */
int time_parse_duration(const char *text, int64_t *duration, struct err *err);

bool time_zone_known(const char *zone); /* an IANA name this machine has data for */

/* The IANA zone of a country (ISO 3166 alpha-2, from zone.tab). Of several zones it is the one listed first if the clocks of
 * all show the same at `text` (as time_parse_effective() reads it; NULL: at the instant `at`); else, and for an unknown
 * country, NULL. The caller frees. */
char *time_zone_of_country(const char *country, const char *text, int64_t at);

/* Calendar durations are scaled by clock.day / 24 h (design: Time). `day` is the configured length of a day. */
int64_t time_scale(int64_t duration, int64_t day);
int64_t time_unscale(int64_t duration, int64_t day); /* back, as long as the calendar has it */

#endif
