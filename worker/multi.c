#include "worker/multi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "worker/fiber.h"

enum { IDLE_MAX = 256, CONNECT_TIMEOUT_MS = 10000 };

struct multi {
    uv_loop_t *loop;
    CURLM *curl;
    uv_timer_t timer;
    CURL *idle[IDLE_MAX]; /* easy handles are used again: they keep nothing but memory */
    size_t idle_count;
};

/* A socket curl wants to hear about. */
struct watch {
    uv_poll_t poll;
    struct multi *multi;
    curl_socket_t fd;
};

/* A transfer that is to end early does so from the loop: not within a callback of libcurl, nor under whoever aborts it. */
struct ending {
    uv_timer_t timer;
    struct transfer *transfer; /* NULL: it has ended by itself meanwhile */
};

static void on_data_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void finish(struct transfer *transfer, CURLcode code)
{
    if (transfer->ending) {
        transfer->ending->transfer = NULL;
    }
    transfer->ending = NULL;
    transfer->code = code;
    transfer->done = true;
    fiber_resume(transfer->fiber);
}

static void finish_transfers(struct multi *multi)
{
    int queued;
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi->curl, &queued))) {
        struct transfer *transfer = NULL;
        if (message->msg == CURLMSG_DONE) {
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
            finish(transfer, message->data.result);
        }
    }
}

static void on_ending(uv_timer_t *timer)
{
    struct ending *ending = timer->data;
    struct transfer *transfer = ending->transfer;
    uv_close((uv_handle_t *)timer, on_data_closed);
    if (transfer) {
        curl_multi_remove_handle(transfer->multi->curl, transfer->easy);
        finish(transfer, transfer->aborted ? CURLE_ABORTED_BY_CALLBACK : CURLE_FAILED_INIT);
    }
}

static void end_soon(struct transfer *transfer)
{
    if (transfer->done || transfer->ending) {
        return;
    }
    struct ending *ending = MEM_NEW(struct ending);
    ending->transfer = transfer;
    ending->timer.data = ending;
    transfer->ending = ending;
    uv_timer_init(transfer->multi->loop, &ending->timer);
    uv_timer_start(&ending->timer, on_ending, 0, 0);
}

static void abort_transfer(struct flight *flight)
{
    struct transfer *transfer = (struct transfer *)flight;
    transfer->aborted = !transfer->done;
    end_soon(transfer);
}

/* ---- what curl wants --------------------------------------------------------------------------------------------- */

static void on_timeout(uv_timer_t *timer)
{
    struct multi *multi = timer->data;
    int running;
    curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_transfers(multi);
}

static int want_timeout(CURLM *curl, long ms, void *arg)
{
    (void)curl;
    struct multi *multi = arg;
    if (ms < 0) {
        uv_timer_stop(&multi->timer);
    } else {
        uv_timer_start(&multi->timer, on_timeout, (uint64_t)ms, 0);
    }
    return 0;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct multi *multi = watch->multi;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    int running;
    curl_multi_socket_action(multi->curl, watch->fd, flags, &running);
    finish_transfers(multi);
}

/* A socket that nobody watches would leave its transfer, and the fiber, waiting for ever. */
static void give_up(CURL *easy, int error)
{
    struct transfer *transfer = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
    if (transfer) {
        snprintf(transfer->error, sizeof transfer->error, "could not watch the connection: %s", uv_strerror(error));
        end_soon(transfer);
    }
}

static struct watch *watch_new(struct multi *multi, curl_socket_t fd, int *error)
{
    struct watch *watch = MEM_NEW(struct watch);
    *error = uv_poll_init_socket(multi->loop, &watch->poll, fd);
    if (*error) {
        free(watch);
        return NULL;
    }
    watch->multi = multi;
    watch->fd = fd;
    watch->poll.data = watch;
    curl_multi_assign(multi->curl, fd, watch);
    return watch;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct multi *multi = arg;
    struct watch *watch = socket_arg;
    int error = 0;
    if (what == CURL_POLL_REMOVE) {
        if (watch) { /* the descriptor may be closed already: libuv tolerates that on stop */
            uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, on_data_closed);
            curl_multi_assign(multi->curl, fd, NULL);
        }
        return 0;
    }
    watch = watch ? watch : watch_new(multi, fd, &error);
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    error = watch ? uv_poll_start(&watch->poll, events, on_socket) : error;
    if (error) {
        give_up(easy, error);
    }
    return 0; /* else libcurl would give up all transfers, now and later */
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct multi *multi_new(uv_loop_t *loop)
{
    struct multi *multi = MEM_NEW(struct multi);
    multi->loop = loop;
    multi->curl = curl_multi_init();
    uv_timer_init(loop, &multi->timer);
    multi->timer.data = multi;
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, want_timeout);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(multi->curl, CURLMOPT_MAXCONNECTS, (long)IDLE_MAX);
    return multi;
}

void multi_free(struct multi *multi)
{
    if (!multi) {
        return;
    }
    while (multi->idle_count) {
        curl_easy_cleanup(multi->idle[--multi->idle_count]);
    }
    curl_multi_cleanup(multi->curl); /* closes kept connections: want_socket() removes their watches */
    uv_close((uv_handle_t *)&multi->timer, on_data_closed);
}

uv_loop_t *multi_loop(struct multi *multi)
{
    return multi->loop;
}

/* ---- transfers --------------------------------------------------------------------------------------------------- */

void transfer_begin(struct transfer *transfer, struct multi *multi)
{
    CURL *easy = multi->idle_count ? multi->idle[--multi->idle_count] : curl_easy_init();
    *transfer = (struct transfer){.flight = {abort_transfer}, .multi = multi, .easy = easy, .fiber = fiber_self()};
    if (easy) {
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_QUICK_EXIT,
                         1L); /* or the end of a call waits for a name server, and the loop with it */
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
        curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    }
}

void transfer_run(struct transfer *transfer, struct flight **under_way)
{
    CURLMcode code =
        transfer->easy ? curl_multi_add_handle(transfer->multi->curl, transfer->easy) : CURLM_OUT_OF_MEMORY;
    if (code != CURLM_OK) {
        transfer->code = CURLE_FAILED_INIT;
        transfer->done = true;
        snprintf(transfer->error, sizeof transfer->error, "could not begin: %s", curl_multi_strerror(code));
        return;
    }
    *under_way = &transfer->flight;
    while (!transfer->done) {
        fiber_wait();
    }
    *under_way = NULL;
}

const char *transfer_error(const struct transfer *transfer)
{
    return transfer->code == CURLE_ABORTED_BY_CALLBACK && transfer->aborted ? "the worker stops before it came"
           : *transfer->error                                               ? transfer->error
                                                                            : curl_easy_strerror(transfer->code);
}

/* Reset when it is put away, not when it is taken: until then it would point to the stack of a call that is over. */
void transfer_end(struct transfer *transfer)
{
    struct multi *multi = transfer->multi;
    if (!transfer->easy) {
        return;
    }
    curl_multi_remove_handle(multi->curl, transfer->easy);
    if (multi->idle_count < IDLE_MAX) {
        curl_easy_reset(transfer->easy);
        multi->idle[multi->idle_count++] = transfer->easy;
    } else {
        curl_easy_cleanup(transfer->easy);
    }
    transfer->easy = NULL;
}
