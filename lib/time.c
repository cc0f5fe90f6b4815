#include "lib/time.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/mem.h"
#include "lib/zone.h"

enum { YEAR_FIRST = 1970, YEAR_LAST = 2199 };

static int64_t clock_read(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * TIME_SECOND + now.tv_nsec / 1000;
}

int64_t time_now(void)
{
    return clock_read(CLOCK_REALTIME);
}

int64_t time_monotonic(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

/* Whole seconds and microseconds of an instant, rounding down. */
static time_t split(int64_t at, long *micros)
{
    int64_t seconds = at / TIME_SECOND;
    int64_t rest = at % TIME_SECOND;
    if (rest < 0) {
        rest += TIME_SECOND;
        seconds--;
    }
    *micros = (long)rest;
    return (time_t)seconds;
}

void time_format(int64_t at, char out[TIME_TEXT_SIZE])
{
    long micros;
    time_t seconds = split(at, &micros);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(out, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + len, TIME_TEXT_SIZE - len, ".%06ldZ", micros);
}

char *time_format_zone(int64_t at, const char *zone)
{
    char abbreviation[16] = "UTC";
    int64_t offset = 0;
    if (!zone || zone_offset(zone, at / TIME_SECOND, &offset, abbreviation, sizeof abbreviation) != 0) {
        zone = NULL;
    }
    long micros;
    time_t local = split(at + offset * TIME_SECOND, &micros);
    struct tm tm;
    gmtime_r(&local, &tm);
    char text[32];
    strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm);
    if (!zone || strcmp(zone, "UTC") == 0) {
        return mem_printf("%s UTC", text);
    }
    return mem_printf("%s %s (%s)", text, zone, abbreviation);
}

/* Reads exactly `digits` digits; -1 when they are not there. */
static int number(const char **at, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (!isdigit((unsigned char)**at)) {
            return -1;
        }
        value = value * 10 + (**at - '0');
    }
    return value;
}

static bool skip(const char **at, char expected)
{
    if (**at != expected) {
        return false;
    }
    (*at)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Seconds since 1970 at the start of a civil day. */
static int parse_date(const char **at, const char *text, int64_t *seconds, struct err *err)
{
    int year = number(at, 4);
    int month = year >= 0 && skip(at, '-') ? number(at, 2) : -1;
    int day = month >= 0 && skip(at, '-') ? number(at, 2) : -1;
    if (day < 0) {
        return err_set(err, ERR_PERMANENT, "\"%s\" is no RFC 3339 date or date-time (2026-11-23, 2026-11-23T17:00:00Z)",
                       text);
    }
    if (year < YEAR_FIRST || year > YEAR_LAST) {
        return err_set(err, ERR_PERMANENT, "\"%s\": year %d is out of range (%d to %d)", text, year, YEAR_FIRST,
                       YEAR_LAST);
    }
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) {
        return err_set(err, ERR_PERMANENT, "there is no such day as \"%s\"", text);
    }
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    *seconds = (int64_t)timegm(&tm);
    return 0;
}

/* Microseconds, finer digits cut off; -1 when a point has no digit after it. */
static int64_t parse_fraction(const char **at)
{
    int64_t micros = 0;
    if (skip(at, '.')) {
        if (!isdigit((unsigned char)**at)) {
            return -1;
        }
        int64_t unit = TIME_SECOND / 10;
        for (; isdigit((unsigned char)**at); (*at)++, unit /= 10) {
            micros += (**at - '0') * unit;
        }
    }
    return micros;
}

/* Offset in seconds east; false when it is none. */
static bool parse_offset(const char **at, int64_t *offset)
{
    if (**at == 'Z' || **at == 'z') {
        (*at)++;
        *offset = 0;
        return **at == '\0';
    }
    int sign = **at == '-' ? -1 : 1;
    if (**at != '+' && **at != '-') {
        return false;
    }
    (*at)++;
    int hours = number(at, 2);
    int minutes = skip(at, ':') ? number(at, 2) : -1;
    *offset = sign * (hours * 3600 + minutes * 60);
    return hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60 && **at == '\0';
}

/* A date, and a time of day when one follows, as a text has them. */
struct reading {
    int64_t seconds; /* since 1970, as if the clock showed UTC */
    int64_t micros;
    bool timed, has_offset;
    int64_t offset; /* seconds east */
};

/* Seconds of a time of day, with `*micros`; -1 when there is none. They may be left out only when `short_form`. */
static int parse_clock(const char **at, bool short_form, int64_t *micros)
{
    int hour = number(at, 2);
    int minute = skip(at, ':') ? number(at, 2) : -1;
    bool seconds = skip(at, ':');
    int second = seconds ? number(at, 2) : short_form ? 0 : -1;
    *micros = seconds ? parse_fraction(at) : 0;
    bool fine = hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second <= 60 && *micros >= 0;
    return fine ? hour * 3600 + minute * 60 + second : -1;
}

static int refuse_date_time(const char *text, bool zone, struct err *err)
{
    return zone ? err_set(err, ERR_PERMANENT,
                          "\"%s\" is no date-time (2026-11-23T17:00:00 where the leaver is, or with an offset: "
                          "2026-11-23T17:00:00+01:00)",
                          text)
                : err_set(err, ERR_PERMANENT,
                          "\"%s\" is no RFC 3339 date-time with an offset (2026-11-23T17:00:00+01:00)", text);
}

/* `zone`: the text may leave out the offset, and the seconds. */
static int parse(const char *text, bool zone, struct reading *reading, struct err *err)
{
    const char *at = text;
    *reading = (struct reading){0};
    if (parse_date(&at, text, &reading->seconds, err) != 0) {
        return -1;
    }
    if (!*at) {
        return 0;
    }
    if (!strchr("Tt ", *at)) {
        return refuse_date_time(text, zone, err);
    }
    at++;
    int of_day = parse_clock(&at, zone, &reading->micros);
    if (of_day < 0) {
        return refuse_date_time(text, zone, err);
    }
    reading->timed = true;
    reading->seconds += of_day;
    if (zone && !*at) {
        return 0;
    }
    reading->has_offset = true;
    return parse_offset(&at, &reading->offset) ? 0 : refuse_date_time(text, zone, err);
}

/* A year at the edge of the range may lie beyond it once it is in UTC: what is stored must be readable again. */
static int set_instant(const char *text, int64_t seconds, int64_t micros, int64_t *at, struct err *err)
{
    struct tm end = {.tm_year = YEAR_LAST + 1 - 1900, .tm_mday = 1};
    if (seconds < 0 || seconds >= (int64_t)timegm(&end)) {
        char shown[TIME_TEXT_SIZE];
        time_format(seconds * TIME_SECOND, shown);
        return err_set(err, ERR_PERMANENT, "\"%s\" is %.19sZ, which is out of range (%d to %d)", text, shown,
                       YEAR_FIRST, YEAR_LAST);
    }
    *at = seconds * TIME_SECOND + micros;
    return 0;
}

int time_parse(const char *text, int64_t *at, struct err *err)
{
    struct reading reading;
    if (parse(text, false, &reading, err) != 0) {
        return -1;
    }
    if (!reading.timed) {
        return err_set(err, ERR_PERMANENT, "\"%s\" has no time of day (2026-11-23T17:00:00Z)", text);
    }
    return set_instant(text, reading.seconds - reading.offset, reading.micros, at, err);
}

int time_parse_effective(const char *text, const char *zone, int64_t *at, struct err *err)
{
    struct reading reading;
    if (parse(text, true, &reading, err) != 0) {
        return -1;
    }
    if (reading.has_offset) {
        return set_instant(text, reading.seconds - reading.offset, reading.micros, at, err);
    }
    int64_t local = reading.seconds + (reading.timed ? 0 : 86400); /* of a date, the first second of the next day */
    int64_t seconds = 0;
    if (zone_to_utc(zone ? zone : "UTC", local, &seconds) != 0) {
        return err_set(err, ERR_PERMANENT, "there is no time zone \"%s\" (IANA name, like Europe/Berlin)", zone);
    }
    return reading.timed ? set_instant(text, seconds, reading.micros, at, err)
                         : set_instant(text, seconds - 1, TIME_SECOND - 1, at, err);
}

static const struct {
    const char *name;
    int64_t length;
} units[] = {
    {"ms", TIME_SECOND / 1000}, {"s", TIME_SECOND}, {"m", TIME_MINUTE},
    {"h", TIME_HOUR},           {"d", TIME_DAY},    {"w", 7 * TIME_DAY},
};

static int64_t unit_length(const char **at)
{
    size_t len = 0;
    while (isalpha((unsigned char)(*at)[len])) {
        len++;
    }
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (strlen(units[i].name) == len && strncmp(units[i].name, *at, len) == 0) {
            *at += len;
            return units[i].length;
        }
    }
    return 0;
}

int time_parse_duration(const char *text, int64_t *duration, struct err *err)
{
    const char *at = text;
    int64_t sum = 0;
    const int64_t most = 100 * 365 * TIME_DAY;
    while (isdigit((unsigned char)*at)) {
        char *end;
        unsigned long long count = strtoull(at, &end, 10);
        at = end;
        int64_t unit = unit_length(&at);
        if (!unit || count > (unsigned long long)((most - sum) / unit)) {
            return err_set(err, ERR_PERMANENT, "\"%s\" is no duration (90d, 6h, 30s, 500ms, 1d12h; at most 100 years)",
                           text);
        }
        sum += (int64_t)count * unit;
    }
    if (at == text || *at) {
        return err_set(err, ERR_PERMANENT, "\"%s\" is no duration (90d, 6h, 30s, 500ms, 1d12h)", text);
    }
    *duration = sum;
    return 0;
}

bool time_zone_known(const char *zone)
{
    int64_t offset;
    char abbreviation[16];
    return zone_offset(zone, 0, &offset, abbreviation, sizeof abbreviation) == 0;
}

int64_t time_scale(int64_t duration, int64_t day)
{
    return (int64_t)((__int128)duration * day / TIME_DAY);
}

int64_t time_unscale(int64_t duration, int64_t day)
{
    return (int64_t)((__int128)duration * TIME_DAY / day);
}
