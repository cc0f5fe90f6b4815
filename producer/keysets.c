/* The keys that senders of signed tokens publish (JWK sets): fetched when none that is known has signed a token, in a thread of libuv's
 * pool, one fetch of an address at a time and at most one in ten seconds. Requests wait for it, a moment. */
#include <curl/curl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/jwt_check.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "producer/edge_internal.h"

enum {
    KEYSET_MAGIC = 0x4a574b53,
    WAIT_MS = 2500, /* of a request: it is answered within three seconds */
    WAITING_MAX = 200,
    FETCH_TIMEOUT_MS = 10000,
    SET_BYTES_MAX = 1024 * 1024,
};
#define FETCH_EVERY (10 * TIME_SECOND)
#define FRESH_FOR   TIME_HOUR /* a key that its sender withdrew is good for no longer */
#define GOOD_FOR    TIME_DAY  /* while the sender's address does not answer */

/* A request that waits for the keys. */
struct waiting {
    struct waiting *next;
    struct http_request *request;
    keysets_resume *resume;
};

struct keyset {
    int magic;
    struct keyset *next;
    struct edge *edge; /* NULL: it is gone, and the fetch under way frees the set */
    char *url;
    json_t *keys; /* NULL: never fetched */
    bool tried;
    int64_t tried_at, fetched_at; /* monotonic */
    char *why;                    /* the last fetch failed; NULL: it did not */
    size_t waiting_count;
    struct waiting *waiting;
    uv_timer_t timer; /* runs while requests wait */
    bool timer_closed;
    uv_work_t work;
    bool fetching;
    bool resuming; /* those that waited are looked at again: for them the sender has just been asked */
    atomic_bool stopping;
    struct buf answer; /* these two belong to the thread while it fetches */
    struct err err;
};

/* ---- fetching, in the thread ------------------------------------------------------------------------------------- */

static size_t collect(char *data, size_t size, size_t count, void *arg)
{
    return buf_add(arg, data, size * count) == 0 ? size * count : 0;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
    (void)total;
    (void)now;
    (void)up_total;
    (void)up;
    const struct keyset *set = arg;
    return set->stopping;
}

static void set_up(CURL *easy, struct keyset *set)
{
    curl_easy_setopt(easy, CURLOPT_URL, set->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)FETCH_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &set->answer);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, set);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    const char *ca_file = getenv("SSL_CERT_FILE"); /* the curl program reads it, libcurl does not */
    if (ca_file && *ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
    }
}

static void fetch(uv_work_t *work)
{
    struct keyset *set = work->data;
    CURL *easy = curl_easy_init();
    if (!easy) {
        err_set(&set->err, ERR_RETRY, "libcurl can't begin");
        return;
    }
    set_up(easy, set);
    CURLcode code = curl_easy_perform(easy);
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        err_set(&set->err, ERR_RETRY, "%s",
                set->answer.overflow ? "it is larger than 1 MiB" : curl_easy_strerror(code));
    } else if (status != 200) {
        err_set(&set->err, ERR_RETRY, "it was answered %ld", status);
    }
    curl_easy_cleanup(easy);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static void free_when_done(struct keyset *set)
{
    if (set->edge || set->fetching || !set->timer_closed) {
        return;
    }
    set->magic = 0;
    json_decref(set->keys);
    buf_release(&set->answer);
    err_release(&set->err);
    free(set->url);
    free(set->why);
    free(set);
}

static struct waiting *take_all(struct keyset *set)
{
    struct waiting *waiting = set->waiting;
    set->waiting = NULL;
    set->waiting_count = 0;
    uv_timer_stop(&set->timer);
    return waiting;
}

/* All that wait are looked at again: with the keys, or without. */
static void resume_all(struct keyset *set)
{
    struct edge *edge = set->edge;
    set->resuming = true;
    for (struct waiting *waiting = take_all(set), *next; waiting; waiting = next) {
        next = waiting->next;
        waiting->resume(edge, waiting->request);
        free(waiting);
    }
    set->resuming = false;
}

static void on_patience(uv_timer_t *timer)
{
    struct keyset *set = timer->data;
    for (struct waiting *waiting = take_all(set), *next; waiting; waiting = next) {
        next = waiting->next;
        edge_count(set->edge, 503);
        http_problem(waiting->request, 503, "Service Unavailable", NULL,
                     "the sender's keys could not be fetched in time; send the same again");
        free(waiting);
    }
}

static void take_answer(struct keyset *set)
{
    json_t *keys =
        set->err.class == ERR_NONE ? jwt_keys_parse(buf_text(&set->answer), set->answer.len, &set->err) : NULL;
    free(set->why);
    set->why = keys ? NULL : mem_printf("could not fetch the sender's keys from %s: %s", set->url, err_text(&set->err));
    if (keys) {
        json_decref(set->keys);
        set->keys = keys;
        set->fetched_at = time_monotonic();
        log_info("fetched a sender's keys", "url", set->url, NULL);
    } else {
        log_warning("could not fetch a sender's keys", "url", set->url, "error", err_text(&set->err), NULL);
    }
    buf_release(&set->answer);
    err_release(&set->err);
}

static void on_fetched(uv_work_t *work, int cancelled)
{
    (void)cancelled;
    struct keyset *set = work->data;
    if (set->magic != KEYSET_MAGIC) {
        abort();
    }
    set->fetching = false;
    if (set->edge) {
        take_answer(set);
        resume_all(set);
    }
    free_when_done(set);
}

/* ---- sets -------------------------------------------------------------------------------------------------------- */

static struct keyset *find(struct edge *edge, const char *url)
{
    struct keyset *set = edge->keysets;
    while (set && strcmp(set->url, url) != 0) {
        set = set->next;
    }
    return set;
}

static struct keyset *find_or_add(struct edge *edge, const char *url)
{
    struct keyset *set = find(edge, url);
    if (!set) {
        set = MEM_NEW(struct keyset);
        *set = (struct keyset){.magic = KEYSET_MAGIC, .edge = edge, .url = mem_strdup(url), .next = edge->keysets};
        set->answer.max = SET_BYTES_MAX;
        uv_timer_init(edge->loop, &set->timer);
        set->timer.data = set;
        set->work.data = set;
        edge->keysets = set;
    }
    return set;
}

const json_t *keysets_find(struct edge *edge, const char *url)
{
    const struct keyset *set = find(edge, url);
    if (!set || !set->keys) {
        return NULL;
    }
    int64_t now = time_monotonic(), age = now - set->fetched_at;
    bool tried_in_vain = set->why && !set->fetching && now - set->tried_at < FETCH_EVERY;
    return age < FRESH_FOR || (tried_in_vain && age < GOOD_FOR) ? set->keys : NULL;
}

/* False when there was a fetch within FETCH_EVERY. */
static bool begin_fetch(struct keyset *set)
{
    int64_t now = time_monotonic();
    if (set->fetching) {
        return true;
    }
    if (set->tried && now - set->tried_at < FETCH_EVERY) {
        return false;
    }
    set->tried = set->fetching = true;
    set->tried_at = now;
    buf_clear(&set->answer);
    set->answer.max = SET_BYTES_MAX;
    uv_queue_work(set->edge->loop, &set->work, fetch, on_fetched);
    return true;
}

/* Why a token cannot be judged by the keys of the last fetch; NULL: it can be. */
static const char *why_in_doubt(const struct keyset *set)
{
    return set->why ? set->why
           : set->resuming
               ? NULL
               : "none of the keys that the sender published a moment ago has signed the token; send the same again";
}

bool keysets_wait(struct edge *edge, const char *url, struct http_request *request, keysets_resume *resume, char **away)
{
    struct keyset *set = find_or_add(edge, url);
    if (set->waiting_count >= WAITING_MAX) {
        *away = mem_strdup("too many requests wait for the sender's keys; send the same again");
        return false;
    }
    if (!begin_fetch(set)) {
        *away = mem_strdup(why_in_doubt(set));
        return false;
    }
    struct waiting *waiting = MEM_NEW(struct waiting);
    *waiting = (struct waiting){set->waiting, request, resume};
    set->waiting = waiting;
    if (set->waiting_count++ == 0) {
        uv_timer_start(&set->timer, on_patience, WAIT_MS, 0);
    }
    return true;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct keyset *set = handle->data;
    set->timer_closed = true;
    free_when_done(set);
}

void keysets_stop(struct edge *edge)
{
    for (struct keyset *set = edge->keysets, *next; set; set = next) {
        next = set->next;
        for (struct waiting *waiting = take_all(set), *after; waiting; waiting = after) {
            after = waiting->next;
            free(waiting); /* the server answers its request */
        }
        set->edge = NULL;
        set->stopping = true;
        if (set->fetching) {
            uv_cancel((uv_req_t *)&set->work);
        }
        uv_close((uv_handle_t *)&set->timer, on_timer_closed);
    }
    edge->keysets = NULL;
}
