/* Does Kafka answer? A thread asks it for its brokers, so that a process knows it even while there is nothing to do. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

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
    bool stopping;               /* under the lock */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

static void ask(struct kafka_health *health)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(health->rk, 0, NULL, &metadata, (int)(ASK_FOR / 1000)) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        atomic_store(&health->answered_at, time_monotonic());
        rd_kafka_metadata_destroy(metadata);
    }
}

static void wait_for_next(struct kafka_health *health)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ASK_EVERY / TIME_SECOND;
    int waited = 0;
    while (!health->stopping && waited == 0) {
        waited = pthread_cond_timedwait(&health->wake, &health->lock, &until);
    }
}

static void *run(void *arg)
{
    struct kafka_health *health = arg;
    pthread_mutex_lock(&health->lock);
    while (!health->stopping) {
        pthread_mutex_unlock(&health->lock);
        ask(health);
        pthread_mutex_lock(&health->lock);
        wait_for_next(health);
    }
    pthread_mutex_unlock(&health->lock);
    return NULL;
}

struct kafka_health *kafka_health_start(struct kafka_producer *producer, struct err *err)
{
    struct kafka_health *health = MEM_NEW(struct kafka_health);
    pthread_condattr_t monotonic;
    health->rk = kafka_producer_handle(producer);
    pthread_mutex_init(&health->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&health->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&health->thread, NULL, run, health) != 0) {
        free(health);
        err_set(err, ERR_FATAL, "could not start the thread that asks Kafka whether it answers");
        return NULL;
    }
    return health;
}

void kafka_health_stop(struct kafka_health *health)
{
    if (!health) {
        return;
    }
    pthread_mutex_lock(&health->lock);
    health->stopping = true;
    pthread_cond_signal(&health->wake);
    pthread_mutex_unlock(&health->lock);
    pthread_join(health->thread, NULL);
    free(health);
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
