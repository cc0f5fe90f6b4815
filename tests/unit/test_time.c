/* Instants, durations and zones; libc's own zone arithmetic is the yardstick for ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <time.h>

#include "lib/mem.h"
#include "lib/time.h"
#include "lib/yaml.h"
#include "lib/zone.h"
#include "tests/unit/helpers.h"

static int64_t instant(const char *text)
{
    struct err err = ERR_INIT;
    int64_t at = -1;
    if (time_parse(text, &at, &err) != 0) {
        fail_msg("%s", err_text(&err));
    }
    return at;
}

static void assert_refused(const char *text, const char *why)
{
    struct err err = ERR_INIT;
    int64_t at = 42;
    assert_int_equal(time_parse(text, &at, &err), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_contains(err_text(&err), why);
    assert_int_equal(at, 42);
    err_release(&err);
}

static void test_parse(void **state)
{
    (void)state;
    assert_int_equal(instant("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(instant("2026-11-23T09:15:00.123456Z"), INT64_C(1795425300123456));
    assert_int_equal(instant("2026-11-23t09:15:00z"), INT64_C(1795425300000000));
    assert_int_equal(instant("2026-11-23 10:15:00+01:00"), INT64_C(1795425300000000));
    assert_int_equal(instant("2026-11-23T03:45:00-05:30"), INT64_C(1795425300000000));
    assert_int_equal(instant("2026-11-23T09:15:00.1Z"), INT64_C(1795425300100000));
    assert_int_equal(instant("2026-11-23T09:15:00.123456789Z"), INT64_C(1795425300123456));
    assert_int_equal(instant("2024-02-29T00:00:00Z"), INT64_C(1709164800000000));
    assert_int_equal(instant("2199-12-31T23:59:59Z"), INT64_C(7258118399000000));
}

static void test_refused(void **state)
{
    (void)state;
    assert_refused("9999-12-31T00:00:00Z", "year 9999 is out of range (1970 to 2199)");
    assert_refused("1969-12-31T23:59:59Z", "year 1969 is out of range");
    assert_refused("2200-01-01T00:00:00Z", "year 2200 is out of range");
    assert_refused("2199-12-31T23:59:60Z", "is 2200-01-01T00:00:00Z, which is out of range (1970 to 2199)");
    assert_refused("2199-12-31T20:00:00-05:00", "is 2200-01-01T01:00:00Z, which is out of range");
    assert_refused("1970-01-01T00:30:00+01:00", "is 1969-12-31T23:30:00Z, which is out of range");
    assert_refused("2026-02-29T00:00:00Z", "no such day");
    assert_refused("2026-13-01T00:00:00Z", "no such day");
    assert_refused("2026-00-10T00:00:00Z", "no such day");
    assert_refused("2100-02-29T00:00:00Z", "no such day"); /* no leap year: RFC 3339, C */
    assert_refused("2026-11-23", "no time of day");
    assert_refused("2026-11-23T09:15:00", "with an offset");
    assert_refused("2026-11-23T09:15Z", "with an offset");
    assert_refused("2026-11-23T24:00:00Z", "with an offset");
    assert_refused("2026-11-23T09:60:00Z", "with an offset");
    assert_refused("2026-11-23T09:15:00.Z", "with an offset");
    assert_refused("2026-11-23T09:15:00+25:00", "with an offset");
    assert_refused("2026-11-23T09:15:00Zulu", "with an offset");
    assert_refused("2026-11-23T09:15:00+0100", "with an offset");
    assert_refused("23.11.2026", "no RFC 3339 date");
    assert_refused("", "no RFC 3339 date");
    assert_refused("tomorrow", "no RFC 3339 date");
    assert_refused("-026-11-23T00:00:00Z", "no RFC 3339 date");
}

static void test_format(void **state)
{
    (void)state;
    char text[TIME_TEXT_SIZE];
    time_format(INT64_C(1795425300123456), text);
    assert_string_equal(text, "2026-11-23T09:15:00.123456Z");
    time_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
    static const char *const zones[] = {"Europe/Berlin",
                                        "2026-11-23 10:15 Europe/Berlin (CET)",
                                        "America/New_York",
                                        "2026-11-23 04:15 America/New_York (EST)",
                                        "UTC",
                                        "2026-11-23 09:15 UTC",
                                        "Asia/Kolkata",
                                        "2026-11-23 14:45 Asia/Kolkata (IST)",
                                        "No/Where",
                                        "2026-11-23 09:15 UTC"};
    for (size_t i = 0; i < COUNT_OF(zones); i += 2) {
        char *shown = time_format_zone(INT64_C(1795425300123456), zones[i]);
        assert_string_equal(shown, zones[i + 1]);
        free(shown);
    }
    char *shown = time_format_zone(INT64_C(1784362500000000), "Europe/Berlin"); /* in summer */
    assert_string_equal(shown, "2026-07-18 10:15 Europe/Berlin (CEST)");
    free(shown);
    shown = time_format_zone(0, NULL);
    assert_string_equal(shown, "1970-01-01 00:00 UTC");
    free(shown);
}

static void assert_ends(const char *date, const char *zone, const char *expected)
{
    struct err err = ERR_INIT;
    int64_t at;
    if (time_parse_effective(date, zone, &at, &err) != 0) {
        fail_msg("%s", err_text(&err));
    }
    char text[TIME_TEXT_SIZE];
    time_format(at, text);
    assert_string_equal(text, expected);
}

/* rules.md 7: a bare date is the end of that day where the leaver is. */
static void test_end_of_day(void **state)
{
    (void)state;
    assert_ends("2026-11-23", NULL, "2026-11-23T23:59:59.999999Z");
    assert_ends("2026-11-23", "UTC", "2026-11-23T23:59:59.999999Z");
    assert_ends("2026-11-23", "Europe/Berlin", "2026-11-23T22:59:59.999999Z");
    assert_ends("2026-07-18", "Europe/Berlin", "2026-07-18T21:59:59.999999Z");
    assert_ends("2026-11-23", "America/Los_Angeles", "2026-11-24T07:59:59.999999Z");
    assert_ends("2026-11-23", "Pacific/Kiritimati", "2026-11-23T09:59:59.999999Z");
    assert_ends("2026-12-31", "Asia/Kolkata", "2026-12-31T18:29:59.999999Z");
    assert_ends("2026-03-29", "Europe/Berlin", "2026-03-29T21:59:59.999999Z"); /* the day summer time begins */
    assert_ends("2026-10-25", "Europe/Berlin", "2026-10-25T22:59:59.999999Z"); /* and ends */
    assert_ends("2150-07-18", "Europe/Berlin", "2150-07-18T21:59:59.999999Z"); /* beyond the table */
    assert_ends("2024-04-25", "Africa/Cairo", "2024-04-25T21:59:59.999999Z");  /* midnight does not exist */
    assert_ends("2024-10-31", "Africa/Cairo", "2024-10-31T21:59:59.999999Z");  /* the last hour comes twice */
    assert_ends("2026-11-23T12:00:00Z", "Europe/Berlin", "2026-11-23T12:00:00.000000Z");
    struct err err = ERR_INIT;
    int64_t at = 42;
    assert_int_equal(time_parse_effective("2026-11-23", "Europe/Bärlin", &at, &err), -1);
    assert_contains(err_text(&err), "no time zone \"Europe/Bärlin\"");
    assert_int_equal(time_parse_effective("2026-11-31", "Europe/Berlin", &at, &err), -1);
    assert_contains(err_text(&err), "no such day");
    assert_int_equal(at, 42);
    err_release(&err);
}

/* What HR systems write: the clock where the leaver is. */
static void test_local_time_of_day(void **state)
{
    (void)state;
    assert_ends("2199-12-31T17:00:00", "Europe/Berlin", "2199-12-31T16:00:00.000000Z");
    assert_ends("2024-06-05T14:30:42", "Europe/Berlin", "2024-06-05T12:30:42.000000Z");
    assert_ends("2024-06-05 14:30:42.5", "Asia/Kolkata", "2024-06-05T09:00:42.500000Z");
    assert_ends("2024-06-05T14:30", "America/New_York", "2024-06-05T18:30:00.000000Z");
    assert_ends("2024-06-05T14:30", NULL, "2024-06-05T14:30:00.000000Z");
    assert_ends("2024-06-05T14:30+02:00", "Asia/Tokyo", "2024-06-05T12:30:00.000000Z"); /* its own offset wins */
    assert_ends("2026-03-29T02:30:00", "Europe/Berlin", "2026-03-29T01:30:00.000000Z"); /* skipped: 03:30 CEST */
    assert_ends("2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30:00.000000Z"); /* twice: the first, CEST */
    assert_ends("2026-03-08T02:30:00", "America/New_York", "2026-03-08T07:30:00.000000Z");
    assert_ends("2026-11-01T01:30:00", "America/New_York", "2026-11-01T05:30:00.000000Z");
    assert_ends("2011-12-30T12:00:00", "Pacific/Apia", "2011-12-30T22:00:00.000000Z"); /* a day that was skipped */
    static const char *const bad[] = {"2024-06-05T",      "2024-06-05T14",        "2024-06-05T24:00",
                                      "2024-06-05T14:60", "2024-06-05T14:30:",    "2024-06-05T14:30 ",
                                      "2024-06-05X14:30", "2024-06-05T14:30:00+", "2024-06-05T14:30:00 CET"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct err err = ERR_INIT;
        int64_t at = 42;
        assert_int_equal(time_parse_effective(bad[i], "Europe/Berlin", &at, &err), -1);
        assert_contains(err_text(&err), "is no date-time (2026-11-23T17:00:00 where the leaver is, or with an offset");
        assert_int_equal(at, 42);
        err_release(&err);
    }
}

/* An instant of the last hours may lie beyond the range once it is in UTC; whatever is taken can be read again. */
static void test_range_after_conversion(void **state)
{
    (void)state;
    static const struct {
        const char *text, *zone;
        bool good;
    } cases[] = {
        {"2199-12-31", "Europe/Berlin", true},
        {"2199-12-31", "America/New_York", false},
        {"2199-12-31T18:59:59", "America/New_York", true},
        {"2199-12-31T19:00:00", "America/New_York", false},
        {"1970-01-01T01:00:00", "Europe/Berlin", true},
        {"1970-01-01T00:59:59", "Europe/Berlin", false},
        {"1970-01-01", "Pacific/Kiritimati", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = ERR_INIT;
        int64_t at = 42, again;
        int result = time_parse_effective(cases[i].text, cases[i].zone, &at, &err);
        assert_int_equal(result, cases[i].good ? 0 : -1);
        if (result == 0) {
            char text[TIME_TEXT_SIZE];
            time_format(at, text);
            assert_int_equal(time_parse(text, &again, NULL), 0);
            assert_true(again == at);
        } else {
            assert_contains(err_text(&err), "which is out of range (1970 to 2199)");
            assert_int_equal(at, 42);
        }
        err_release(&err);
    }
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t duration;
    } good[] = {
        {"90d", 90 * TIME_DAY},       {"6h", 6 * TIME_HOUR},
        {"30s", 30 * TIME_SECOND},    {"500ms", 500 * 1000},
        {"2m", 2 * TIME_MINUTE},      {"1w", 7 * TIME_DAY},
        {"1d12h", 36 * TIME_HOUR},    {"0s", 0},
        {"36500d", 36500 * TIME_DAY}, {"1h30m15s", 5415 * TIME_SECOND},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        int64_t duration = -1;
        assert_int_equal(time_parse_duration(good[i].text, &duration, NULL), 0);
        assert_int_equal(duration, good[i].duration);
    }
    static const char *const bad[] = {"",
                                      "90",
                                      "-1d",
                                      "d",
                                      "1.5h",
                                      "1y",
                                      "1 d",
                                      "1d ",
                                      "1D",
                                      "36501d",
                                      "36500d1s",
                                      "99999999999999999999999d",
                                      "36500d36500d36500d36500d",
                                      "1d-1h"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct err err = ERR_INIT;
        int64_t duration = 42;
        assert_int_equal(time_parse_duration(bad[i], &duration, &err), -1);
        assert_contains(err_text(&err), "is no duration");
        assert_int_equal(duration, 42);
        err_release(&err);
    }
}

static void test_scale(void **state)
{
    (void)state;
    assert_int_equal(time_scale(90 * TIME_DAY, TIME_DAY), 90 * TIME_DAY);
    assert_int_equal(time_scale(90 * TIME_DAY, TIME_SECOND), 90 * TIME_SECOND);
    assert_int_equal(time_scale(TIME_HOUR, 2 * TIME_MINUTE), 5 * TIME_SECOND);
    assert_int_equal(time_scale(36500 * TIME_DAY, 36500 * TIME_DAY) > 0, 1);
    assert_int_equal(time_scale(0, TIME_SECOND), 0);
    assert_int_equal(time_unscale(90 * TIME_SECOND, TIME_SECOND), 90 * TIME_DAY);
    assert_int_equal(time_unscale(90 * TIME_DAY, TIME_DAY), 90 * TIME_DAY);
}

static void test_zone_names(void **state)
{
    (void)state;
    assert_true(time_zone_known("Europe/Berlin"));
    assert_true(time_zone_known("America/Argentina/Buenos_Aires"));
    assert_true(time_zone_known("Etc/GMT+5"));
    assert_true(time_zone_known("UTC"));
    static const char *const none[] = {"",
                                       "Europe",
                                       "Europe/",
                                       "Europe/Nowhere",
                                       "/etc/passwd",
                                       "../../../etc/passwd",
                                       "Europe/../Europe/Berlin",
                                       "Europe//Berlin",
                                       "zone.tab",
                                       "Europe/Berlin\n",
                                       "MEZ",
                                       ":Europe/Berlin"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        assert_false(time_zone_known(none[i]));
    }
    assert_false(time_zone_known(NULL));
}

static void assert_country(const char *country, const char *text, int64_t at, const char *expected)
{
    char *zone = time_zone_of_country(country, text, at);
    if (!expected) {
        assert_null(zone);
    } else {
        assert_non_null(zone);
        assert_string_equal(zone, expected);
    }
    free(zone);
}

/* A country whose clocks all show the same has one zone, whatever the database lists. */
static void test_countries(void **state)
{
    (void)state;
    assert_country("FR", NULL, 0, "Europe/Paris");
    assert_country("in", "2199-12-31", 0, "Asia/Kolkata");
    assert_country("DE", "2199-12-31", 0, "Europe/Berlin"); /* Busingen, too */
    assert_country("DE", "2026-07-18T17:00:00", 0, "Europe/Berlin");
    assert_country("DE", NULL, instant("2026-11-23T09:15:00Z"), "Europe/Berlin");
    assert_country("DE", "no date", instant("2026-11-23T09:15:00Z"), "Europe/Berlin");
    assert_country("CY", "2026-11-23", 0, "Asia/Nicosia");
    assert_country("CY", "2017-01-15", 0, NULL); /* the north kept summer time that winter */
    assert_country("ES", "2026-11-23", 0, NULL); /* the Canaries are an hour behind */
    assert_country("US", "2026-11-23", 0, NULL);
    assert_country("US", "2026-11-23T12:00:00Z", 0, NULL);
    static const char *const none[] = {"XX", "FRA", "", "##", NULL};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        assert_country(none[i], NULL, 0, NULL);
    }
}

/* ---- what a file of the database may hold ------------------------------------------------------------------------------- */

static void read_all(const void *bytes, size_t len)
{
    static const int64_t instants[] = {
        0, INT64_C(1700000000), INT64_C(-3000000000), INT64_C(7258118400), INT64_MIN / 4, INT64_MAX / 4};
    for (size_t i = 0; i < COUNT_OF(instants); i++) {
        int64_t offset;
        char abbreviation[16];
        if (zone_offset_in(bytes, len, instants[i], &offset, abbreviation, sizeof abbreviation) == 0) {
            assert_in_range(offset + 26 * 3600, 0, 2 * 26 * 3600); /* RFC 8536, 3.2 */
        }
    }
}

/* The footer speaks for all instants after the last change: one that no zone can have says nothing. */
static void test_footer_out_of_range(void **state)
{
    (void)state;
    size_t len;
    char *file = yaml_read_file(ZONE_DIRECTORY "/Etc/GMT+5", &len, NULL);
    int64_t offset = 0;
    char abbreviation[16];
    assert_non_null(file);
    assert_memory_equal(file + len - 8, "\n<-05>5\n", 8);
    memcpy(file + len - 8, "\nX999Y,\n", 8);
    assert_int_equal(zone_offset_in(file, len, INT64_C(1700000000), &offset, abbreviation, sizeof abbreviation), 0);
    assert_int_equal(offset, -5 * 3600);
    assert_string_equal(abbreviation, "-05");
    free(file);
}

/* Every byte of a real file changed in turn, and every shorter one: nothing behind the bytes is read (under a sanitizer). */
static void test_broken_files(void **state)
{
    (void)state;
    static const char *const zones[] = {ZONE_DIRECTORY "/Europe/Berlin", ZONE_DIRECTORY "/Etc/GMT+5"};
    for (size_t i = 0; i < COUNT_OF(zones); i++) {
        size_t len;
        char *file = yaml_read_file(zones[i], &len, NULL);
        assert_non_null(file);
        int64_t offset = 0;
        char abbreviation[16];
        assert_int_equal(zone_offset_in(file, len, 0, &offset, abbreviation, sizeof abbreviation), 0);
        for (size_t at = 0; at < len; at++) {
            static const char values[] = {0, 1, 0x7f, (char)0x80, (char)0xff, ',', '9'};
            char kept = file[at];
            for (size_t v = 0; v < sizeof values; v++) {
                file[at] = values[v];
                read_all(file, len);
            }
            file[at] = kept;
            char *shorter = mem_alloc(at + 1); /* its end is the end of its memory */
            memcpy(shorter, file, at);
            read_all(shorter, at);
            free(shorter);
        }
        free(file);
    }
}

/* One block of each kind, with what a test changes. */
static void test_indices_out_of_range(void **state)
{
    (void)state;
    unsigned char file[44 + 44 + 8 + 1 + 6 + 4 + 5];
    for (int fault = 0; fault < 6; fault++) {
        memset(file, 0, sizeof file);
        memcpy(file, "TZif2", 5);
        unsigned char *block = file + 44;
        memcpy(block, "TZif2", 5);
        block[35] = 1;                          /* one time */
        block[39] = fault == 1 ? 0 : 1;         /* one type */
        block[43] = 4;                          /* four bytes of names */
        block[44 + 8] = fault == 2 ? 1 : 0;     /* its type */
        block[44 + 9] = fault == 3 ? 0x7f : 0;  /* seconds east */
        block[44 + 9 + 5] = fault == 4 ? 4 : 0; /* its name */
        memcpy(block + 44 + 15, fault == 5 ? "UTCX" : "UTC", 4);
        memcpy(block + 44 + 19, "\nUTC\n", 5);
        int64_t offset = 42;
        char abbreviation[16] = "";
        int result = zone_offset_in(file, sizeof file, -5, &offset, abbreviation, sizeof abbreviation);
        assert_int_equal(result, fault ? -1 : 0);
        assert_string_equal(abbreviation, fault ? "" : "UTC");
    }
}

/* ---- against libc ------------------------------------------------------------------------------------------------------ */

static void compare_with_libc(const char *zone, int64_t at)
{
    time_t seconds = (time_t)at;
    struct tm tm;
    localtime_r(&seconds, &tm);
    int64_t offset = 1;
    char abbreviation[16] = "";
    assert_int_equal(zone_offset(zone, at, &offset, abbreviation, sizeof abbreviation), 0);
    if (offset != tm.tm_gmtoff || strcmp(abbreviation, tm.tm_zone) != 0) {
        fail_msg("%s at %lld: %lld %s, but libc says %ld %s", zone, (long long)at, (long long)offset, abbreviation,
                 tm.tm_gmtoff, tm.tm_zone);
    }
}

static void test_zones_agree_with_libc(void **state)
{
    (void)state;
    static const char *const zones[] = {
        "Europe/Berlin",       "Europe/London",    "Europe/Dublin",      "America/New_York", "America/Sao_Paulo",
        "America/Santiago",    "America/St_Johns", "America/Havana",     "Asia/Kolkata",     "Asia/Kathmandu",
        "Australia/Lord_Howe", "Australia/Sydney", "Pacific/Auckland",   "Pacific/Chatham",  "Africa/Cairo",
        "Asia/Jerusalem",      "America/Asuncion", "Pacific/Kiritimati", "Asia/Tokyo",       "Europe/Moscow",
    };
    for (size_t i = 0; i < COUNT_OF(zones); i++) {
        setenv("TZ", zones[i], 1);
        tzset();
        for (int64_t at = 0; at < INT64_C(7258118400); at += 37 * 86400 + 3607) {
            compare_with_libc(zones[i], at);
        }
        /* hour by hour where rules change within a year, in the table and beyond it */
        for (int64_t at = INT64_C(1772323200); at < INT64_C(1772323200) + 365 * 86400; at += 12 * 3600) {
            compare_with_libc(zones[i], at);
            compare_with_libc(zones[i], at + INT64_C(3155760000));
        }
    }
    unsetenv("TZ");
    tzset();
}

/* The second before and the second of each change that libc sees in a year beyond the table. */
static void test_footer_is_exact_to_the_second(void **state)
{
    (void)state;
    static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo",
                                        "Europe/Dublin"};
    for (size_t i = 0; i < COUNT_OF(zones); i++) {
        setenv("TZ", zones[i], 1);
        tzset();
        int changes = 0;
        long before = 0;
        for (int64_t hour = INT64_C(4102444800); hour < INT64_C(4102444800) + 365 * 86400; hour += 1800) {
            time_t seconds = (time_t)hour;
            struct tm tm;
            localtime_r(&seconds, &tm);
            if (hour > INT64_C(4102444800) && tm.tm_gmtoff != before) {
                changes++;
                compare_with_libc(zones[i], hour - 1);
                compare_with_libc(zones[i], hour);
            }
            before = tm.tm_gmtoff;
        }
        assert_int_equal(changes, 2);
    }
    unsetenv("TZ");
    tzset();
}

static void test_local_to_utc_and_back(void **state)
{
    (void)state;
    static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"};
    for (size_t i = 0; i < COUNT_OF(zones); i++) {
        for (int64_t at = INT64_C(1772323200); at < INT64_C(1772323200) + 365 * 86400; at += 1800) {
            int64_t offset, found, again;
            char abbreviation[16];
            zone_offset(zones[i], at, &offset, abbreviation, sizeof abbreviation);
            assert_int_equal(zone_to_utc(zones[i], at + offset, &found), 0);
            zone_offset(zones[i], found, &again, abbreviation, sizeof abbreviation);
            assert_int_equal(found + again, at + offset); /* clocks there show what was asked for */
            assert_true(found <= at);                     /* the first of two */
        }
    }
    int64_t found;
    assert_int_equal(zone_to_utc("Europe/Berlin", INT64_C(1774751400), &found),
                     0);                          /* 2026-03-29 02:30 does not exist */
    assert_int_equal(found, INT64_C(1774747800)); /* 03:30 CEST, 01:30 UTC */
    assert_int_equal(zone_to_utc("No/Where", 0, &found), -1);
}

static void *read_zones(void *arg)
{
    const char *zone = arg;
    int64_t expected, offset;
    char abbreviation[16];
    zone_offset(zone, INT64_C(1795425300), &expected, abbreviation, sizeof abbreviation);
    for (int i = 0; i < 500; i++) {
        zone_offset(zone, INT64_C(1795425300), &offset, abbreviation, sizeof abbreviation);
        if (offset != expected) {
            return "differs";
        }
    }
    return NULL;
}

static void test_threads_do_not_disturb_each_other(void **state)
{
    (void)state;
    static const char *const zones[] = {"Europe/Berlin", "Asia/Tokyo", "America/New_York", "Australia/Sydney"};
    pthread_t threads[COUNT_OF(zones)];
    for (size_t i = 0; i < COUNT_OF(zones); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_zones, (void *)(uintptr_t)zones[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(zones); i++) {
        void *complaint;
        pthread_join(threads[i], &complaint);
        assert_null(complaint);
    }
}

static void test_clocks(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL) * TIME_SECOND;
    assert_in_range(time_now(), before, before + TIME_MINUTE);
    int64_t first = time_monotonic();
    assert_true(time_monotonic() >= first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_end_of_day),
        cmocka_unit_test(test_local_time_of_day),
        cmocka_unit_test(test_range_after_conversion),
        cmocka_unit_test(test_footer_out_of_range),
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_indices_out_of_range),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_zone_names),
        cmocka_unit_test(test_countries),
        cmocka_unit_test(test_zones_agree_with_libc),
        cmocka_unit_test(test_footer_is_exact_to_the_second),
        cmocka_unit_test(test_local_to_utc_and_back),
        cmocka_unit_test(test_threads_do_not_disturb_each_other),
        cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
