#include "lib/expr_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/expr_value.h"

enum { LOOK_EVERY_NS = 2000000, SECONDS_MAX = 2, MEBIBYTES_MAX = 256 };

enum stop { RUNS, TOO_LONG, TOO_MUCH, TOO_LARGE };

/* Of one thread. What the signal's handler reads and writes is volatile: it interrupts this very thread. */
struct watch {
    jq_state *volatile jq; /* NULL: nothing runs */
    volatile enum stop stop;
    volatile bool looked; /* the two below are known: from the first look on */
    int64_t first_time;
    int64_t first_memory;
    bool made;
    timer_t timer;
};

static _Thread_local struct watch watch;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* its destructor ends the timer with the thread */
static int64_t page_size;

/* ---- looking ------------------------------------------------------------------------------------------------------------- */

static int64_t computing_time(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Resident bytes of the process: the second number of statm, in pages. Reads it as a signal's handler may. */
static int64_t memory(void)
{
    char text[128];
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, sizeof text) : 0;
    if (file >= 0) {
        close(file);
    }
    int64_t pages = 0;
    int field = 0;
    for (ssize_t i = 0; i < length && field < 2; i++) {
        if (text[i] == ' ') {
            field++;
        } else if (field == 1) {
            pages = pages * 10 + (text[i] - '0');
        }
    }
    return pages * page_size;
}

static void halt(enum stop why)
{
    if (watch.jq && !jq_halted(watch.jq)) {
        watch.stop = why;
        jq_halt(watch.jq, jv_invalid(), jv_invalid());
    }
}

static void look(int number)
{
    int kept = errno;
    (void)number;
    if (watch.jq && !watch.looked) {
        watch.first_time = computing_time();
        watch.first_memory = memory();
        watch.looked = true;
    } else if (watch.jq) {
        if (computing_time() - watch.first_time > (int64_t)SECONDS_MAX * 1000000000) {
            halt(TOO_LONG);
        } else if (memory() - watch.first_memory > (int64_t)MEBIBYTES_MAX * 1024 * 1024) {
            halt(TOO_MUCH);
        }
    }
    errno = kept;
}

/* ---- the timer ----------------------------------------------------------------------------------------------------------- */

static void end_timer(void *of)
{
    timer_delete(((struct watch *)of)->timer);
}

static void prepare(void)
{
    struct sigaction action = {.sa_handler = look, .sa_flags = SA_RESTART};
    sigaction(SIGRTMIN + 3, &action, NULL);
    pthread_key_create(&key, end_timer);
    page_size = sysconf(_SC_PAGESIZE);
}

static int make_timer(struct err *err)
{
    pthread_once(&once, prepare);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 3};
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &watch.timer) != 0) {
        return err_set(err, ERR_RETRY, "could not limit an expression: no timer: %s", strerror(errno));
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGRTMIN + 3);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    pthread_setspecific(key, &watch);
    watch.made = true;
    return 0;
}

static void set_timer(long every)
{
    struct itimerspec times = {.it_interval.tv_nsec = every, .it_value.tv_nsec = every};
    timer_settime(watch.timer, 0, &times, NULL);
}

int expr_limit_begin(jq_state *jq, struct err *err)
{
    if (!watch.made && make_timer(err) != 0) {
        return -1;
    }
    watch.stop = RUNS;
    watch.looked = false;
    watch.jq = jq;
    set_timer(LOOK_EVERY_NS);
    return 0;
}

void expr_limit_too_large(void)
{
    halt(TOO_LARGE);
}

int expr_limit_end(struct err *err)
{
    watch.jq = NULL;
    set_timer(0);
    switch (watch.stop) {
    case TOO_LONG:
        return err_set(err, ERR_PERMANENT, "stopped, as it took more than %d s of computing", SECONDS_MAX);
    case TOO_MUCH:
        return err_set(err, ERR_PERMANENT, "stopped, as it took more than %d MiB of memory", MEBIBYTES_MAX);
    case TOO_LARGE:
        return err_set(err, ERR_PERMANENT,
                       "stopped, as a value in it is larger than %zu MiB, or nests deeper than %d levels",
                       EXPR_VALUE_MAX / 1024 / 1024, EXPR_DEPTH_MAX);
    default:
        return 0;
    }
}
