/* Time zones from the system's database (TZif, RFC 8536; Debian package tzdata), without the process-wide TZ: thread-safe. */
#ifndef OFFBOARD_LIB_ZONE_H
#define OFFBOARD_LIB_ZONE_H

#include <stddef.h>
#include <stdint.h>

#define ZONE_DIRECTORY "/usr/share/zoneinfo"

/* Seconds east of UTC and the abbreviation that hold in `zone` at `at` (seconds since 1970). -1 when there is no such zone. */
int zone_offset(const char *zone, int64_t at, int64_t *offset, char *abbreviation, size_t size);

/* The same, from the bytes of a TZif file. -1 when they are no sound one, whatever they hold. */
int zone_offset_in(const void *tzif, size_t len, int64_t at, int64_t *offset, char *abbreviation, size_t size);

/* The instant at which clocks in `zone` show `local` (seconds since 1970 as if local time were UTC); a time that the
 * clocks skip is counted by the offset before the change, a time that they show twice is the first (RFC 5545, 3.3.5). -1 when there is no such zone. */
int zone_to_utc(const char *zone, int64_t local, int64_t *at);

#endif
