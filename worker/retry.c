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

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static int64_t http_date(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return rest && !*rest ? (int64_t)timegm(&tm) * TIME_SECOND : -1;
}

int64_t retry_after_parse(const char *text, int64_t now)
{
    if (!text || !*text) {
        return -1;
    }
    char *end;
    double seconds = strtod(text, &end);
    if (end != text && !*end && isfinite(seconds) && seconds >= 0 && seconds < 1e9) {
        return (int64_t)(seconds * (double)TIME_SECOND);
    }
    int64_t at = http_date(text);
    if (at < 0 && time_parse(text, &at, NULL) != 0) {
        return -1;
    }
    return at > now ? at - now : 0;
}
