#include "producer/results.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/pg.h"
#include "lib/time.h"

enum {
    LOOK_EVERY_MS = 40,
    WAIT_MAX_S = 30,
};

/* Somebody waits. Belongs to the thread while it is open, then to the loop. */
struct ask {
    struct ask *next;
    const char *sql;
    char *about;   /* its parameter, JSON */
    size_t wanted; /* rows */
    bool thread;   /* of each offboarding that is about to open one */
    int64_t until; /* monotonic */
    results_known *known;
    void *arg;
    json_t *rows; /* of the last look; NULL: there was none that succeeded */
};

struct results {
    struct pg *pg;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct ask *open;
    struct ask *done;
    volatile sig_atomic_t stopping;
    bool away; /* told already */
    uv_async_t ready;
};

/* ---- asking, on the thread --------------------------------------------------------------------------------------- */

static void tell_trouble(struct results *results, const struct err *err)
{
    bool away = err->class != ERR_NONE;
    if (away && !results->away) {
        log_warning("what became of orders and HR events can't be read; callers are not told", "error", err_text(err),
                    NULL);
    }
    results->away = away;
}

static void look(struct results *results, struct ask *ask)
{
    struct err err = ERR_INIT;
    PGresult *found = NULL;
    if (pg_connected(results->pg) || pg_connect(results->pg, &err) == 0) {
        found = pg_query(results->pg, &err, ask->sql, 1, (const char *const[]){ask->about});
    }
    if (found) {
        const char *text = PQgetvalue(found, 0, 0);
        json_decref(ask->rows);
        ask->rows = json_parse(text, strlen(text), NULL);
        PQclear(found);
    }
    tell_trouble(results, &err);
    err_release(&err);
}

static bool is_complete(const struct ask *ask)
{
    bool complete = json_array_size(ask->rows) >= ask->wanted;
    size_t i;
    json_t *row;
    json_array_foreach(ask->rows, i, row)
    {
        complete = complete && !(ask->thread && json_true_at(row, "thread_comes"));
    }
    return complete;
}

static bool is_over(const struct results *results, const struct ask *ask)
{
    return results->stopping || is_complete(ask) || time_monotonic() >= ask->until;
}

static void push_all(struct ask **list, struct ask *asks)
{
    while (asks) {
        struct ask *ask = asks;
        asks = ask->next;
        ask->next = *list;
        *list = ask;
    }
}

/* Looks once for everybody who waits; the lock is not held meanwhile. */
static void look_for_all(struct results *results, struct ask *asks)
{
    struct ask *waiting = NULL, *over = NULL;
    while (asks) {
        struct ask *ask = asks;
        asks = ask->next;
        ask->next = NULL;
        look(results, ask);
        push_all(is_over(results, ask) ? &over : &waiting, ask);
    }
    pthread_mutex_lock(&results->lock);
    push_all(&results->open, waiting);
    push_all(&results->done, over);
    pthread_mutex_unlock(&results->lock);
    if (over) {
        uv_async_send(&results->ready);
    }
}

static void *run(void *arg)
{
    struct results *results = arg;
    struct err err = ERR_INIT;
    pg_connect(results->pg, &err); /* before somebody waits for it */
    tell_trouble(results, &err);
    err_release(&err);
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    for (;;) {
        pthread_mutex_lock(&results->lock);
        while (!results->open && !results->stopping) {
            pthread_cond_wait(&results->more, &results->lock);
        }
        struct ask *asks = results->open;
        results->open = NULL;
        pthread_mutex_unlock(&results->lock);
        if (!asks) {
            return NULL;
        }
        look_for_all(results, asks);
        nanosleep(&pause, NULL);
    }
}

/* ---- telling, on the loop ---------------------------------------------------------------------------------------- */

static void tell_done(struct results *results)
{
    pthread_mutex_lock(&results->lock);
    struct ask *done = results->done;
    results->done = NULL;
    pthread_mutex_unlock(&results->lock);
    while (done) {
        struct ask *ask = done;
        done = ask->next;
        ask->known(ask->arg, ask->rows);
        json_decref(ask->rows);
        free(ask->about);
        free(ask);
    }
}

static void on_ready(uv_async_t *async)
{
    tell_done(async->data);
}

/* ---- for callers ------------------------------------------------------------------------------------------------- */

struct results *results_start(const struct conf *conf, uv_loop_t *loop, struct err *err)
{
    const char *conninfo = conf_string(conf, "postgres.edge");
    if (!conninfo || !*conninfo) {
        return NULL;
    }
    struct results *results = MEM_NEW(struct results);
    results->pg = pg_new(conninfo, "offboard-edge");
    pg_stop_with(results->pg, &results->stopping);
    pthread_mutex_init(&results->lock, NULL);
    pthread_cond_init(&results->more, NULL);
    if (pthread_create(&results->thread, NULL, run, results) != 0) {
        err_set(err, ERR_FATAL, "could not start the thread that asks what became of orders");
        pg_free(results->pg);
        free(results);
        return NULL;
    }
    uv_async_init(loop, &results->ready, on_ready);
    results->ready.data = results;
    return results;
}

static void on_closed(uv_handle_t *handle)
{
    struct results *results = handle->data;
    pthread_mutex_destroy(&results->lock);
    pthread_cond_destroy(&results->more);
    pg_free(results->pg);
    free(results);
}

void results_stop(struct results *results)
{
    if (!results) {
        return;
    }
    pthread_mutex_lock(&results->lock);
    results->stopping = 1;
    pthread_cond_signal(&results->more);
    pthread_mutex_unlock(&results->lock);
    pthread_join(results->thread, NULL);
    tell_done(results);
    uv_close((uv_handle_t *)&results->ready, on_closed);
}

/* One row is wanted for each item of `about`. */
static void add(struct results *results, struct ask ask, const json_t *about, unsigned int ms)
{
    if (!results) {
        ask.known(ask.arg, NULL);
        return;
    }
    struct ask *added = MEM_NEW(struct ask);
    *added = ask;
    added->about = json_text(about);
    added->wanted = json_array_size(about);
    added->until = time_monotonic() + (int64_t)ms * 1000;
    pthread_mutex_lock(&results->lock);
    push_all(&results->open, added);
    pthread_cond_signal(&results->more);
    pthread_mutex_unlock(&results->lock);
}

void results_of_orders(struct results *results, const json_t *ids, unsigned int ms, results_known *known, void *arg)
{
    static const char sql[] = "SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]')"
                              " FROM results_of_orders(ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::uuid)) r";
    add(results, (struct ask){.sql = sql, .known = known, .arg = arg}, ids, ms);
}

void results_of_events(struct results *results, const json_t *events, bool thread, unsigned int ms,
                       results_known *known, void *arg)
{
    static const char sql[] = "SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') FROM results_of_events($1::jsonb) r";
    add(results, (struct ask){.sql = sql, .thread = thread, .known = known, .arg = arg}, events, ms);
}

const json_t *results_find_event(const json_t *rows, const char *source, const char *id)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (json_says(row, "source", source) && json_says(row, "event", id)) {
            return row;
        }
    }
    return NULL;
}

unsigned int results_wanted(const struct http_request *request)
{
    const char *prefer = http_header(request, "Prefer");
    const char *wait = prefer ? strcasestr(prefer, "wait=") : NULL;
    long seconds = wait ? strtol(wait + strlen("wait="), NULL, 10) : 0;
    return (unsigned int)(seconds < 0 ? 0 : seconds > WAIT_MAX_S ? WAIT_MAX_S : seconds) * 1000;
}
