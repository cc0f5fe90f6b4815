/* lib/time.h: instants, dates and durations as HR systems, vendors and definitions write them. The first line is the text, the second a
 * zone. What is read and written again is the same, and stays within the years that can be read. */
#include "lib/time.h"
#include "lib/zone.h"
#include "tests/fuzz/fuzz.h"

#define LAST_YEAR_ENDS INT64_C(7258118400) /* 2200-01-01T00:00:00Z, in seconds */

static void check_instant(int64_t at)
{
    char text[TIME_TEXT_SIZE];
    int64_t again;
    FUZZ_CHECK(at >= 0 && at < LAST_YEAR_ENDS * TIME_SECOND);
    time_format(at, text);
    FUZZ_CHECK(time_parse(text, &again, NULL) == 0);
    FUZZ_CHECK(again == at);
}

static void check_effective(const char *text, const char *zone)
{
    int64_t at, utc;
    struct err err = ERR_INIT;
    if (time_parse_effective(text, zone, &at, &err) == 0) {
        check_instant(at);
        FUZZ_CHECK(time_parse_effective(text, "UTC", &utc, NULL) != 0 || llabs(at - utc) <= 26 * TIME_HOUR);
        char *shown = time_format_zone(at, zone);
        FUZZ_CHECK(strlen(shown) >= strlen("2026-11-23 10:15 UTC"));
        free(shown);
    } else {
        FUZZ_CHECK(err.class == ERR_PERMANENT);
    }
    err_release(&err);
}

static void check_duration(const char *text)
{
    int64_t duration, again;
    if (time_parse_duration(text, &duration, NULL) == 0) {
        char *written = mem_printf("%lldms", (long long)(duration / 1000));
        FUZZ_CHECK(duration >= 0 && duration <= 100 * 365 * TIME_DAY);
        FUZZ_CHECK(time_parse_duration(written, &again, NULL) == 0);
        FUZZ_CHECK(again == duration);
        FUZZ_CHECK(time_scale(duration, TIME_DAY) == duration);
        free(written);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_line(&input), *zone = fuzz_line(&input);
    int64_t at;
    struct err err = ERR_INIT;
    if (time_parse(text, &at, &err) == 0) {
        check_instant(at);
    } else {
        FUZZ_CHECK(err.class == ERR_PERMANENT);
    }
    err_release(&err);
    check_effective(text, zone);
    check_effective(text, NULL);
    check_duration(text);
    char *of_country = time_zone_of_country(zone, text, 0);
    FUZZ_CHECK(!of_country || time_zone_known(of_country));
    free(of_country);
    free(zone);
    free(text);
    return 0;
}
