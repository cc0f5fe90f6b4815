#include "lib/zone.h"

#include <ctype.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/buf.h"
#include "lib/mem.h"

static const char directory[] = ZONE_DIRECTORY;

enum { FILE_MAX = 1024 * 1024 };

/* Names come from HR events: letters, digits, "_+-" and "/" between parts, nothing that climbs out of the directory. */
static bool name_ok(const char *zone)
{
    if (!zone || !isalpha((unsigned char)*zone) || strlen(zone) > 64 || strstr(zone, "//")) {
        return false;
    }
    for (const char *c = zone; *c; c++) {
        if (!isalnum((unsigned char)*c) && !strchr("_+-/", *c)) {
            return false;
        }
    }
    return true;
}

static int read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        return -1;
    }
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0) {
        buf_add(out, chunk, n);
    }
    fclose(file);
    return out->len ? 0 : -1;
}

static int64_t big_endian(const unsigned char *at, int bytes)
{
    uint64_t value = (at[0] & 0x80) ? UINT64_MAX : 0;
    for (int i = 0; i < bytes; i++) {
        value = value << 8 | at[i];
    }
    return (int64_t)value;
}

/* The 64-bit block of a TZif file, version 2 or later. */
struct tzif {
    const unsigned char *times;
    const unsigned char *indices;
    const unsigned char *types;
    const char *names;
    const char *footer; /* POSIX TZ string between two newlines */
    int64_t time_count, type_count, name_count;
};

enum { HEADER = 44, TYPE_SIZE = 6, OFFSET_MAX = 26 * 3600 /* seconds; RFC 8536, 3.2 */ };

/* A count of the header: four bytes without a sign. */
static int64_t count_at(const unsigned char *header, int at)
{
    return big_endian(header + at, 4) & INT64_C(0xffffffff);
}

/* Reads the block at `data`, whose times have `width` bytes. Gives where it ends; NULL when it does not fit before `end`. */
static const unsigned char *read_block(const unsigned char *data, const unsigned char *end, int64_t width,
                                       struct tzif *tz)
{
    if (end - data < HEADER || memcmp(data, "TZif", 4) != 0 || data[4] < '2') {
        return NULL;
    }
    int64_t ut = count_at(data, 20), standard = count_at(data, 24), leaps = count_at(data, 28);
    tz->time_count = count_at(data, 32);
    tz->type_count = count_at(data, 36);
    tz->name_count = count_at(data, 40);
    int64_t size = tz->time_count * (width + 1) + tz->type_count * TYPE_SIZE + tz->name_count + leaps * (width + 4) +
                   standard + ut;
    if (end - data - HEADER < size) {
        return NULL;
    }
    tz->times = data + HEADER;
    tz->indices = tz->times + tz->time_count * width;
    tz->types = tz->indices + tz->time_count;
    tz->names = (const char *)tz->types + tz->type_count * TYPE_SIZE;
    return data + HEADER + size;
}

static bool offset_sound(int64_t offset)
{
    return offset > -OFFSET_MAX && offset < OFFSET_MAX;
}

/* Every index leads to something, and every name ends: nothing that is read later lies outside. */
static bool tzif_sound(const struct tzif *tz)
{
    bool sound = tz->type_count > 0 && tz->name_count > 0 && tz->names[tz->name_count - 1] == '\0';
    for (int64_t i = 0; i < tz->time_count && sound; i++) {
        sound = tz->indices[i] < tz->type_count;
    }
    for (int64_t i = 0; i < tz->type_count && sound; i++) {
        const unsigned char *type = tz->types + i * TYPE_SIZE;
        sound = type[5] < tz->name_count && offset_sound(big_endian(type, 4));
    }
    return sound;
}

static bool tzif_open(const struct buf *file, struct tzif *tz)
{
    const unsigned char *data = (const unsigned char *)buf_text(file);
    const unsigned char *end = data + file->len;
    const unsigned char *second = read_block(data, end, 4, tz);
    const unsigned char *footer = second ? read_block(second, end, 8, tz) : NULL;
    if (!footer || !tzif_sound(tz)) {
        return false;
    }
    tz->footer = (const char *)footer + (footer < end && *footer == '\n'); /* a buf ends in NUL */
    return true;
}

/* ---- the footer: a POSIX TZ string, for instants after the last transition ---- */

struct posix_rule {
    int month, week, day; /* Mm.w.d: the only form in the database for what is in use after 2037 */
    int64_t seconds;      /* local time of day of the change */
};

static const char *posix_name(const char *at, char *name, size_t size)
{
    size_t len;
    if (*at == '<') {
        at++;
        len = strcspn(at, ">");
        snprintf(name, size, "%.*s", (int)len, at);
        return at + len + (at[len] == '>');
    }
    len = strcspn(at, "0123456789+-,\n");
    snprintf(name, size, "%.*s", (int)len, at);
    return at + len;
}

/* Up to three digits, which is more than any number of a rule has. */
static const char *posix_number(const char *at, int *value)
{
    *value = 0;
    for (int i = 0; i < 3 && isdigit((unsigned char)*at); i++, at++) {
        *value = *value * 10 + (*at - '0');
    }
    return at;
}

static const char *posix_time(const char *at, int64_t *seconds)
{
    int sign = 1;
    if (*at == '-' || *at == '+') {
        sign = *at == '-' ? -1 : 1;
        at++;
    }
    int64_t value = 0, unit = 3600;
    for (; unit; unit /= 60, at++) {
        int number = 0;
        at = posix_number(at, &number);
        value += number * unit;
        if (*at != ':') {
            break;
        }
    }
    *seconds = sign * value;
    return at;
}

static const char *posix_rule(const char *at, struct posix_rule *rule)
{
    if (at[0] != ',' || at[1] != 'M') {
        return NULL;
    }
    at = posix_number(at + 2, &rule->month);
    at = *at == '.' ? posix_number(at + 1, &rule->week) : at;
    at = *at == '.' ? posix_number(at + 1, &rule->day) : at;
    if (rule->month < 1 || rule->month > 12 || rule->week < 1 || rule->week > 5 || rule->day > 6) {
        return NULL;
    }
    rule->seconds = 7200;
    return *at == '/' ? posix_time(at + 1, &rule->seconds) : at;
}

/* Local instant (as if UTC) at which a rule takes effect in `year`. */
static int64_t rule_instant(const struct posix_rule *rule, int year)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = rule->month - 1, .tm_mday = 1};
    int64_t first = (int64_t)timegm(&tm);
    int day = 1 + (rule->day - tm.tm_wday + 7) % 7 + (rule->week - 1) * 7;
    struct tm next = {.tm_year = year - 1900, .tm_mon = rule->month, .tm_mday = 1};
    int64_t days = ((int64_t)timegm(&next) - first) / 86400;
    if (day > days) {
        day -= 7; /* week 5 means the last */
    }
    return first + (int64_t)(day - 1) * 86400 + rule->seconds;
}

/* False when the footer names no offset that a zone can have. */
static bool posix_offset(const char *footer, int64_t at, int64_t *offset, char *abbreviation, size_t size)
{
    char winter_name[16] = "", summer_name[16] = "";
    int64_t west = 0;
    const char *c = posix_name(footer, winter_name, sizeof winter_name);
    c = posix_time(c, &west);
    if (!offset_sound(west)) {
        return false;
    }
    *offset = -west;
    snprintf(abbreviation, size, "%s", winter_name);
    if (*c == '\n' || *c == '\0') {
        return true;
    }
    int64_t summer_west = west - 3600;
    c = posix_name(c, summer_name, sizeof summer_name);
    if (*c != ',') {
        c = posix_time(c, &summer_west);
    }
    struct posix_rule begin = {0}, end = {0};
    c = posix_rule(c, &begin);
    time_t local = (time_t)(at - west);
    struct tm tm;
    if (!offset_sound(summer_west) || !c || !posix_rule(c, &end) || !gmtime_r(&local, &tm)) {
        return true;
    }
    int64_t from = rule_instant(&begin, tm.tm_year + 1900) + west;
    int64_t to = rule_instant(&end, tm.tm_year + 1900) + summer_west;
    bool summer = from < to ? at >= from && at < to : at >= from || at < to;
    if (summer) {
        *offset = -summer_west;
        snprintf(abbreviation, size, "%s", summer_name);
    }
    return true;
}

static void tzif_offset(const struct tzif *tz, int64_t at, int64_t *offset, char *abbreviation, size_t size)
{
    int64_t low = 0, high = tz->time_count; /* the number of transitions at or before `at` */
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (big_endian(tz->times + middle * 8, 8) <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == tz->time_count && *tz->footer && *tz->footer != '\n' &&
        posix_offset(tz->footer, at, offset, abbreviation, size)) {
        return;
    }
    const unsigned char *type = tz->types + (low ? tz->indices[low - 1] : 0) * TYPE_SIZE;
    *offset = big_endian(type, 4);
    snprintf(abbreviation, size, "%s", tz->names + type[5]);
}

/* ---- zones by name ---- */

int zone_offset_in(const void *tzif, size_t len, int64_t at, int64_t *offset, char *abbreviation, size_t size)
{
    struct buf file = {.max = FILE_MAX};
    struct tzif tz;
    bool opened = buf_add(&file, tzif, len) == 0 && tzif_open(&file, &tz);
    if (opened) {
        tzif_offset(&tz, at, offset, abbreviation, size);
    }
    buf_release(&file);
    return opened ? 0 : -1;
}

/* A file that was read. It stays until the process ends: every job asks for the same few zones. */
struct zone_file {
    struct zone_file *next;
    char *name;
    struct buf bytes;
    struct tzif tz;
};

static struct zone_file *files;
static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;

static struct zone_file *file_find(const char *zone)
{
    struct zone_file *file = files;
    while (file && strcmp(file->name, zone) != 0) {
        file = file->next;
    }
    return file;
}

static struct zone_file *file_read(const char *zone)
{
    char *path = mem_printf("%s/%s", directory, zone);
    struct buf bytes = {.max = FILE_MAX};
    struct zone_file *file = NULL;
    struct tzif tz;
    if (read_file(path, &bytes) == 0 && tzif_open(&bytes, &tz)) {
        file = MEM_NEW(struct zone_file);
        *file = (struct zone_file){.next = files, .name = mem_strdup(zone), .bytes = bytes, .tz = tz};
        files = file;
    } else {
        buf_release(&bytes);
    }
    free(path);
    return file;
}

/* The file of a zone; NULL when there is none. It never changes. */
static const struct zone_file *file_of(const char *zone)
{
    pthread_mutex_lock(&files_lock);
    struct zone_file *file = file_find(zone);
    if (!file) {
        file = file_read(zone);
    }
    pthread_mutex_unlock(&files_lock);
    return file;
}

int zone_offset(const char *zone, int64_t at, int64_t *offset, char *abbreviation, size_t size)
{
    if (!name_ok(zone)) {
        return -1;
    }
    if (strcmp(zone, "UTC") == 0) {
        *offset = 0;
        snprintf(abbreviation, size, "UTC");
        return 0;
    }
    const struct zone_file *file = file_of(zone);
    if (!file) {
        return -1;
    }
    tzif_offset(&file->tz, at, offset, abbreviation, size);
    return 0;
}

int zone_to_utc(const char *zone, int64_t local, int64_t *at)
{
    int64_t before = 0, after = 0;
    char abbreviation[16];
    if (zone_offset(zone, local - 86400, &before, abbreviation, sizeof abbreviation) != 0) {
        return -1;
    }
    zone_offset(zone, local - before, &after, abbreviation, sizeof abbreviation);
    *at = local - before;
    if (after != before) {
        int64_t check = 0;
        zone_offset(zone, local - after, &check, abbreviation, sizeof abbreviation);
        *at = local - (check == after ? after : before);
    }
    return 0;
}
