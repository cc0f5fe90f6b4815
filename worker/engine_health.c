/* How a system is, as far as its answers tell: down, rejecting our credentials, throttling, or well. */
#include <stdlib.h>

#include "lib/mem.h"
#include "lib/time.h"
#include "worker/engine_internal.h"

#define THROTTLED_FOR                                                                                                  \
    (5 * TIME_MINUTE) /* after the last answer that said so: between two of them others may be taken */

static void note(struct finding *finding, int status, const char *why)
{
    if (!finding->since) {
        finding->since = time_now();
    }
    finding->status = status;
    char *old = finding->why;
    finding->why = mem_strdup(why);
    free(old);
}

static void forget(struct finding *finding)
{
    free(finding->why);
    *finding = (struct finding){0};
}

void health_release(struct health *health)
{
    forget(&health->down);
    forget(&health->refused);
    forget(&health->throttled);
}

void health_down(struct health *health, const struct response *response)
{
    note(&health->down, response->status, response->error ? response->error : "it answers with errors of its own");
}

void health_answered(struct health *health, const struct response *response)
{
    if (response->throttled) {
        note(&health->throttled, response->status, "it asks to come back later");
        health->throttled_at = time_monotonic();
    } else if (response->status >= 200 && response->status < 300) {
        forget(&health->refused);
        health->well_since = health->well_since ? health->well_since : time_now();
    }
}

void health_checked(struct health *health, bool denied, int status, const char *why)
{
    if (denied) {
        note(&health->refused, status, why);
    } else if (!why) {
        forget(&health->refused);
        health->well_since = health->well_since ? health->well_since : time_now();
    }
}

void health_tell(struct health *health, bool circuit_open, struct system_health *out)
{
    if (!circuit_open && health->down.since) {
        forget(&health->down);
        health->well_since = time_now(); /* it answers again */
    }
    if (health->throttled.since && time_monotonic() - health->throttled_at > THROTTLED_FOR) {
        forget(&health->throttled);
    }
    const struct finding *findings[] = {&health->down, &health->refused, &health->throttled};
    static const char *const states[] = {"down", "refused", "throttled"};
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        if (findings[i]->since) {
            health->well_since = 0;
            *out = (struct system_health){states[i], findings[i]->since, findings[i]->status, findings[i]->why};
            return;
        }
    }
    *out = (struct system_health){health->well_since ? "up" : NULL, health->well_since, 0, NULL};
}
