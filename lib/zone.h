/* Time zones from the system's database (TZif, RFC 8536; Debian package tzdata), without the process-wide TZ: thread-safe. */
#ifndef OFFBOARD_LIB_ZONE_H
#define OFFBOARD_LIB_ZONE_H

#include <stddef.h>
#include <stdint.h>

/* Seconds east of UTC and the abbreviation that hold in `zone` at `at` (seconds since 1970). -1 when there is no such zone. */
int zone_offset(const char *zone, int64_t at, int64_t *offset, char *abbreviation, size_t size);

/* The instant at which clocks in `zone` show `local` (seconds since 1970 as if local time were UTC); a time that does not
 * exist gives the one an hour later, an ambiguous one the first. -1 when there is no such zone. */
int zone_to_utc(const char *zone, int64_t local, int64_t *at);

#endif
