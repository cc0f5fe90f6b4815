/* Does Kafka answer? A thread asks it for its brokers, so that a process knows it even while there is nothing to do. */
#include <stdatomic.h>
#include <stdlib.h>

#include "lib/every.h"
#include "lib/kafka.h"
#include "lib/kafka_internal.h"
#include "lib/mem.h"
#include "lib/time.h"

#define ASK_EVERY (2 * TIME_SECOND)
#define ASK_FOR   (3 * TIME_SECOND)
#define AWAY      (8 * TIME_SECOND) /* without an answer for so long; one broker of many may be slow for less */

struct kafka_health {
    rd_kafka_t *rk;
    _Atomic int64_t answered_at; /* monotonic; 0: never */
    struct every *every;
};

static void ask(void *arg)
{
    struct kafka_health *health = arg;
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(health->rk, 0, NULL, &metadata, (int)(ASK_FOR / 1000)) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        atomic_store(&health->answered_at, time_monotonic());
        rd_kafka_metadata_destroy(metadata);
    }
}

struct kafka_health *kafka_health_start(struct kafka_producer *producer, struct err *err)
{
    struct kafka_health *health = MEM_NEW(struct kafka_health);
    health->rk = kafka_producer_handle(producer);
    health->every = every_start(ASK_EVERY, ask, health, "asks Kafka whether it answers", err);
    if (!health->every) {
        free(health);
        return NULL;
    }
    return health;
}

void kafka_health_stop(struct kafka_health *health)
{
    if (health) {
        every_stop(health->every);
        free(health);
    }
}

bool kafka_answers(struct kafka_health *health, char **why)
{
    int64_t answered_at = atomic_load(&health->answered_at);
    if (answered_at && time_monotonic() - answered_at < AWAY) {
        return true;
    }
    *why = mem_strdup("Kafka does not answer");
    return false;
}
