#include "lib/wording.h"

#include <stddef.h>
#include <time.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "lib/zone.h"

/* Not strftime(): its names follow the locale. */
static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};

/* What clocks in `*zone` show; an unknown zone becomes UTC. */
static struct tm clock_in(int64_t at, const char **zone)
{
    char abbreviation[16];
    int64_t offset = 0, seconds = at / TIME_SECOND - (at % TIME_SECOND < 0);
    if (!*zone || zone_offset(*zone, seconds, &offset, abbreviation, sizeof abbreviation) != 0) {
        *zone = "UTC";
    }
    time_t local = (time_t)(seconds + offset);
    struct tm tm;
    gmtime_r(&local, &tm);
    return tm;
}

char *wording_day(int64_t at, const char *zone)
{
    struct tm tm = clock_in(at, &zone);
    return mem_printf("%d %s %d", tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900);
}

char *wording_date(int64_t at, const char *zone)
{
    struct tm tm = clock_in(at, &zone);
    return mem_printf("%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

char *wording_moment(int64_t at, const char *zone)
{
    struct tm tm = clock_in(at, &zone);
    return mem_printf("%d %s %d, %02d:%02d (%s)", tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
                      tm.tm_min, zone);
}

char *wording_span(int64_t length)
{
    static const struct {
        int64_t length;
        const char *name;
    } units[] = {{TIME_DAY, "day"}, {TIME_HOUR, "hour"}, {TIME_MINUTE, "minute"}, {TIME_SECOND, "second"}};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        long long count = (long long)(length / units[i].length);
        if (count > 0) {
            return mem_printf("%lld %s%s", count, units[i].name, count == 1 ? "" : "s");
        }
    }
    return mem_strdup("less than a second");
}

char *wording_list(const json_t *texts)
{
    struct buf out = BUF_INIT;
    size_t count = json_array_size(texts), i;
    json_t *text;
    json_array_foreach(texts, i, text)
    {
        buf_addf(&out, "%s%s", i == 0 ? "" : i + 1 == count ? " and " : ", ", json_string_value(text));
    }
    return buf_take(&out);
}

char *wording_actor(const json_t *actor)
{
    const char *name = json_string_at(actor, "name");
    const char *id = json_string_at(actor, "id");
    return mem_strdup(name ? name : id ? id : "somebody unknown");
}
