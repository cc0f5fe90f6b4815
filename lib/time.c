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

int time_parse(const char *text, int64_t *at, struct err *err)
{
    const char *c = text;
    int64_t day;
    if (parse_date(&c, text, &day, err) != 0) {
        return -1;
    }
    if (*c != 'T' && *c != 't' && *c != ' ') {
        return err_set(err, ERR_PERMANENT, "\"%s\" has no time of day (2026-11-23T17:00:00Z)", text);
    }
    c++;
    int hour = number(&c, 2);
    int minute = skip(&c, ':') ? number(&c, 2) : -1;
    int second = skip(&c, ':') ? number(&c, 2) : -1;
    int64_t micros = parse_fraction(&c);
    int64_t offset;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 || micros < 0 ||
        !parse_offset(&c, &offset)) {
        return err_set(err, ERR_PERMANENT, "\"%s\" is no RFC 3339 date-time with an offset (2026-11-23T17:00:00+01:00)",
                       text);
    }
    *at = (day + hour * 3600 + minute * 60 + second - offset) * TIME_SECOND + micros;
    return 0;
}

int time_parse_effective(const char *text, const char *zone, int64_t *at, struct err *err)
{
    const char *c = text;
    int64_t day;
    if (parse_date(&c, text, &day, err) != 0) {
        return -1;
    }
    if (*c != '\0') {
        return time_parse(text, at, err);
    }
    int64_t local_end = day + 86400; /* the first second of the next day, in local time */
    int64_t seconds;
    if (zone_to_utc(zone ? zone : "UTC", local_end, &seconds) != 0) {
        return err_set(err, ERR_PERMANENT, "there is no time zone \"%s\" (IANA name, like Europe/Berlin)", zone);
    }
    *at = seconds * TIME_SECOND - 1;
    return 0;
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
