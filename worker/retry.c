#include "worker/retry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/time.h"

#define BACKOFF_FIRST  (TIME_SECOND / 2)
#define BACKOFF_MAX    (15 * TIME_SECOND)
#define DEFERRAL_FIRST (5 * TIME_MINUTE)
#define DEFERRAL_MAX   (6 * TIME_HOUR)
#define SECONDS_MAX    1e11 /* epoch seconds pass too */

static int64_t doubled(int64_t first, int times, int64_t most)
{
    int64_t value = first;
    for (int i = 0; i < times && value < most; i++) {
        value *= 2;
    }
    return value < most ? value : most;
}

int64_t retry_backoff(int n, double random)
{
    return (int64_t)(random * (double)doubled(BACKOFF_FIRST, n - 1, BACKOFF_MAX));
}

int64_t retry_deferral(int n, double random)
{
    int64_t most = doubled(DEFERRAL_FIRST, n, DEFERRAL_MAX);
    return most / 2 + (int64_t)(random * (double)(most / 2));
}

/* RFC 9110, 5.6.7: the present form, and the two obsolete ones that every recipient accepts. */
static int64_t http_date(const char *text)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %d %H:%M:%S %Y"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm tm = {0};
        const char *rest = strptime(text, forms[i], &tm);
        if (rest && !*rest) {
            return (int64_t)timegm(&tm) * TIME_SECOND;
        }
    }
    return -1;
}

int64_t retry_after_parse(const char *text, int64_t now)
{
    if (!text || !*text) {
        return -1;
    }
    char *end;
    double seconds = strtod(text, &end);
    if (end != text && !*end && isfinite(seconds) && seconds >= 0 && seconds < SECONDS_MAX) {
        return (int64_t)(seconds * (double)TIME_SECOND);
    }
    int64_t at = http_date(text);
    if (at < 0 && time_parse(text, &at, NULL) != 0) {
        return -1;
    }
    return at > now ? at - now : 0;
}
