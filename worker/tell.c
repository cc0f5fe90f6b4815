/* How a system is, told when it changes: to the logger, and so to `offboard status`. Of all replicas the one tells that holds
 * partition 0 of the system's jobs. */
#include <string.h>

#include "lib/mem.h"
#include "worker/worker_internal.h"

void tell_step(struct feed *feed)
{
    struct system_health health;
    if (!feed_leads(feed)) {
        feed->told = NULL; /* whoever tells next knows nothing of what was told */
        return;
    }
    engine_health(feed->worker->engine, feed->name, &health);
    if (health.state && (!feed->told || strcmp(feed->told, health.state) != 0)) {
        feed->told = health.state;
        emit_system(feed, &health);
    }
}
