#include "lib/every.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "lib/mem.h"
#include "lib/time.h"

struct every {
    int64_t period;
    void (*look)(void *arg);
    void *arg;
    bool stopping; /* under the lock */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

/* With the lock. */
static void wait_for_next(struct every *every)
{
    int64_t at = time_monotonic() + every->period;
    struct timespec until = {.tv_sec = at / TIME_SECOND, .tv_nsec = at % TIME_SECOND * 1000};
    int waited = 0;
    while (!every->stopping && waited == 0) {
        waited = pthread_cond_timedwait(&every->wake, &every->lock, &until);
    }
}

static void *run(void *arg)
{
    struct every *every = arg;
    pthread_mutex_lock(&every->lock);
    while (!every->stopping) {
        pthread_mutex_unlock(&every->lock);
        every->look(every->arg);
        pthread_mutex_lock(&every->lock);
        wait_for_next(every);
    }
    pthread_mutex_unlock(&every->lock);
    return NULL;
}

struct every *every_start(int64_t period, void (*look)(void *arg), void *arg, const char *what, struct err *err)
{
    struct every *every = MEM_NEW(struct every);
    pthread_condattr_t monotonic;
    every->period = period;
    every->look = look;
    every->arg = arg;
    pthread_mutex_init(&every->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&every->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&every->thread, NULL, run, every) != 0) {
        free(every);
        err_set(err, ERR_FATAL, "could not start the thread that %s", what);
        return NULL;
    }
    return every;
}

void every_stop(struct every *every)
{
    if (!every) {
        return;
    }
    pthread_mutex_lock(&every->lock);
    every->stopping = true;
    pthread_cond_signal(&every->wake);
    pthread_mutex_unlock(&every->lock);
    pthread_join(every->thread, NULL);
    free(every);
}
