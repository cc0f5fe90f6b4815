/* libcurl's multi interface in the libuv loop: curl says which sockets to watch, libuv says when something happens. What HTTP and
 * SMTP have in common. */
#ifndef OFFBOARD_WORKER_MULTI_H
#define OFFBOARD_WORKER_MULTI_H

#include <curl/curl.h>
#include <stdbool.h>
#include <uv.h>

struct multi;
struct fiber;

/* A call under way, for http_abort(). */
struct flight {
    void (*abort)(struct flight *flight);
};

/* One transfer of libcurl; on the stack of the fiber that waits for it. */
struct transfer {
    struct flight flight; /* first: http_abort() knows no more */
    struct multi *multi;
    CURL *easy; /* NULL: libcurl has no memory for one */
    struct fiber *fiber;
    struct ending *ending; /* NULL: nobody wants it to end early */
    CURLcode code;
    bool done;
    bool aborted;                /* by http_abort() */
    char error[CURL_ERROR_SIZE]; /* what went wrong, "" where only the code says */
};

struct multi *multi_new(uv_loop_t *loop);

/* No transfer may be under way; handles close while the loop runs on. NULL is accepted. */
void multi_free(struct multi *multi);

uv_loop_t *multi_loop(struct multi *multi);

/* Prepares a transfer: `easy` has the options that every one has, and is otherwise as new. */
void transfer_begin(struct transfer *transfer, struct multi *multi);

/* Runs it; on a fiber. `*under_way` names it meanwhile. Then `code` and `error` tell; where libcurl or libuv could not even begin,
 * code is CURLE_FAILED_INIT. */
void transfer_run(struct transfer *transfer, struct flight **under_way);

/* Why it failed, in words: valid as long as the transfer. */
const char *transfer_error(const struct transfer *transfer);

/* Gives the handle back. A connection made with CURLOPT_CONNECT_ONLY is closed only here. */
void transfer_end(struct transfer *transfer);

#endif
