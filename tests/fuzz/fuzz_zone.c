/* lib/zone.h: the bytes of a TZif file, well-formed or not, and names of zones as HR systems write them. Offsets stay within what RFC 8536
 * allows. The first line is a name, the second an instant, the rest a file. */
#include "lib/zone.h"
#include "tests/fuzz/fuzz.h"

enum { OFFSET_MOST = 26 * 3600 }; /* RFC 8536, 3.2 */

static void check_file(const char *bytes, size_t len, int64_t at)
{
    int64_t offset = INT64_MAX;
    char abbreviation[16];
    memset(abbreviation, 'x', sizeof abbreviation);
    if (zone_offset_in(bytes, len, at, &offset, abbreviation, sizeof abbreviation) == 0) {
        FUZZ_CHECK(llabs(offset) <= OFFSET_MOST);
        FUZZ_CHECK(memchr(abbreviation, '\0', sizeof abbreviation));
    }
}

/* A local time and its instant are as far apart as the offset then says, but where clocks skip an hour. */
static void check_name(const char *name, int64_t local)
{
    int64_t at, offset;
    char abbreviation[16];
    if (zone_to_utc(name, local, &at) == 0) {
        FUZZ_CHECK(zone_offset(name, at, &offset, abbreviation, sizeof abbreviation) == 0);
        FUZZ_CHECK(llabs(at + offset - local) <= 24 * 3600);
        FUZZ_CHECK(!strstr(name, "..") && *name != '/');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *name = fuzz_line(&input), *instant = fuzz_line(&input);
    char *bytes = fuzz_bytes(&input);
    int64_t at = strtoll(instant, NULL, 10) % INT64_C(7258118400); /* until 2199 */
    check_file(bytes, input.left, at);
    check_name(name, at);
    free(bytes);
    free(instant);
    free(name);
    return 0;
}
