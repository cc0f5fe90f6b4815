/* lib/zone.c: the bytes of a TZif file, well-formed or not. Offsets stay within what RFC 8536 allows, and a name leads nowhere else. The
 * first line is the zone's name, the second an instant, the rest the file. */
#include <stdio.h>

#include "tests/fuzz/fuzz.h"

static struct fuzz_input file_in_hand;

static FILE *open_file(const char *path, const char *mode)
{
    FUZZ_CHECK(strncmp(path, "/usr/share/zoneinfo/", 20) == 0 && !strstr(path, "/../") && !strstr(path, "/./"));
    return file_in_hand.left ? fmemopen((void *)(uintptr_t)file_in_hand.at, file_in_hand.left, mode) : NULL;
}

#define fopen open_file
#include "lib/zone.c"
#undef fopen

enum { OFFSET_MOST = 26 * 3600 }; /* RFC 8536, 3.2 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *name = fuzz_line(&input), *instant = fuzz_line(&input);
    char *bytes = fuzz_bytes(&input);
    file_in_hand = (struct fuzz_input){(const uint8_t *)bytes, input.left};
    int64_t at = strtoll(instant, NULL, 10) % INT64_C(7258118400); /* until 2199 */
    int64_t offset = INT64_MAX, utc = INT64_MAX;
    char abbreviation[16];
    memset(abbreviation, 'x', sizeof abbreviation);
    if (zone_offset(name, at, &offset, abbreviation, sizeof abbreviation) == 0) {
        FUZZ_CHECK(llabs(offset) <= OFFSET_MOST);
        FUZZ_CHECK(memchr(abbreviation, '\0', sizeof abbreviation));
        FUZZ_CHECK(zone_to_utc(name, at, &utc) == 0);
    }
    if (zone_to_utc(name, at, &utc) == 0) {
        FUZZ_CHECK(llabs(utc - at) <= OFFSET_MOST);
    }
    time_zone_of_country(name);
    free(bytes);
    free(instant);
    free(name);
    return 0;
}
