#include "worker/http.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/fiber.h"

enum { ANSWER_MAX = 16 * 1024 * 1024, IDLE_MAX = 256, CONNECT_TIMEOUT_MS = 10000 };

struct http {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    CURL *idle[IDLE_MAX]; /* easy handles are used again: they keep nothing but memory */
    size_t idle_count;
};

/* A socket curl wants to hear about. */
struct watch {
    uv_poll_t poll;
    struct http *http;
    curl_socket_t fd;
};

/* One call; what is abstract in it comes first. */
struct http_flight {
    struct flight flight;
    struct http *http;
    CURL *easy;
    struct fiber *fiber;
    const char *unsent; /* what curl has not taken of the body */
    CURLcode code;
    bool done;
    bool aborted;
};

/* ---- libcurl and libuv: curl says what to watch, libuv says when something happens ------------------------------- */

static void finish_flights(struct http *http)
{
    int queued;
    CURLMsg *message;
    while ((message = curl_multi_info_read(http->multi, &queued))) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        struct http_flight *flight = NULL;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&flight);
        curl_multi_remove_handle(http->multi, easy);
        flight->code = code;
        flight->done = true;
        fiber_resume(flight->fiber);
    }
}

static void on_timeout(uv_timer_t *timer)
{
    struct http *http = timer->data;
    int running;
    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_flights(http);
}

static int want_timeout(CURLM *multi, long ms, void *arg)
{
    (void)multi;
    struct http *http = arg;
    if (ms < 0) {
        uv_timer_stop(&http->timer);
    } else {
        uv_timer_start(&http->timer, on_timeout, (uint64_t)ms, 0);
    }
    return 0;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct http *http = watch->http;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    int running;
    curl_multi_socket_action(http->multi, watch->fd, flags, &running);
    finish_flights(http);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    (void)easy;
    struct http *http = arg;
    struct watch *watch = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (watch) { /* the descriptor may be closed already: libuv tolerates that on stop */
            uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
            curl_multi_assign(http->multi, fd, NULL);
        }
        return 0;
    }
    if (!watch) {
        watch = MEM_NEW(struct watch);
        watch->http = http;
        watch->fd = fd;
        watch->poll.data = watch;
        uv_poll_init_socket(http->loop, &watch->poll, fd);
        curl_multi_assign(http->multi, fd, watch);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&watch->poll, events, on_socket);
    return 0;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct http *http_new(uv_loop_t *loop)
{
    struct http *http = MEM_NEW(struct http);
    http->loop = loop;
    http->multi = curl_multi_init();
    uv_timer_init(loop, &http->timer);
    http->timer.data = http;
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, want_timeout);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_MAX);
    return http;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void http_free(struct http *http)
{
    if (!http) {
        return;
    }
    while (http->idle_count) {
        curl_easy_cleanup(http->idle[--http->idle_count]);
    }
    curl_multi_cleanup(http->multi); /* closes kept connections: want_socket() removes their watches */
    uv_close((uv_handle_t *)&http->timer, on_timer_closed);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_answer *answer = arg;
    return buf_add(&answer->body, data, size * count) == 0 ? size * count : 0;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct http_answer *answer = arg;
    size_t len = size * count;
    const char *colon = memchr(data, ':', len);
    if (len >= 5 && strncmp(data, "HTTP/", 5) == 0) {
        json_object_clear(answer->headers); /* of an interim answer (100 Continue) */
    } else if (colon) {
        char *name = mem_strndup(data, (size_t)(colon - data));
        char *lower = json_lower(name);
        const char *from = colon + 1;
        const char *to = data + len;
        while (from < to && (*from == ' ' || *from == '\t')) {
            from++;
        }
        while (to > from && (to[-1] == '\r' || to[-1] == '\n' || to[-1] == ' ')) {
            to--;
        }
        json_t *value = json_stringn(from, (size_t)(to - from));
        if (value) {
            json_object_set_new(answer->headers, lower, value);
        }
        free(lower);
        free(name);
    }
    return len;
}

size_t http_send_text(char *out, size_t size, size_t count, void *unsent)
{
    const char **text = unsent;
    size_t take = strnlen(*text, size * count);
    memcpy(out, *text, take);
    *text += take;
    return take;
}

/* When a kept connection is cut before an answer, libcurl by itself sends the request again: a ticket opened twice,
 * and one call on record. A body that it can't rewind forbids that (the call then fails and the engine decides); a
 * POST without a body gets a connection of its own. */
static void set_up_body(CURL *easy, const struct http_call *call, struct http_flight *flight)
{
    if (call->body && *call->body) {
        flight->unsent = call->body;
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(call->body));
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, http_send_text);
        curl_easy_setopt(easy, CURLOPT_READDATA, &flight->unsent);
    } else if (call->body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L); /* Content-Length: 0, or some servers answer 411 */
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    }
}

static CURL *set_up(struct http *http, const struct http_call *call, struct http_answer *answer,
                    struct http_flight *flight, char *error)
{
    CURL *easy = http->idle_count ? http->idle[--http->idle_count] : curl_easy_init();
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, call->url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* libcurl would rewrite ".." */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(call->timeout / 1000));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, answer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, flight);
    set_up_body(easy, call, flight);
    if (strcmp(call->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
    }
    if (call->user) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, call->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, call->password);
    }
    if (call->bearer) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, call->bearer);
    }
    if (call->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, call->ca_file);
    }
    return easy;
}

/* Failures before there was a connection: what the request asks for doesn't matter, and none of it was sent. */
static bool unreached(CURL *easy, CURLcode code)
{
    static const CURLcode codes[] = {CURLE_COULDNT_CONNECT,          CURLE_COULDNT_RESOLVE_HOST,
                                     CURLE_COULDNT_RESOLVE_PROXY,    CURLE_SSL_CONNECT_ERROR,
                                     CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        if (code == codes[i]) {
            return true;
        }
    }
    long request_size = 0; /* of a call that waited for its connection until its time was over */
    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request_size);
    return code == CURLE_OPERATION_TIMEDOUT && request_size == 0;
}

/* Failures before a byte of the request went out leave no doubt; all others may have had their effect. */
static bool may_have_been_sent(CURL *easy, CURLcode code)
{
    if (unreached(easy, code) || code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
        return false;
    }
    long request_size = 0;
    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request_size);
    return request_size > 0;
}

static void on_aborted(uv_timer_t *timer)
{
    struct fiber *fiber = timer->data;
    timer->data = timer;
    uv_close((uv_handle_t *)timer, on_timer_closed);
    fiber_resume(fiber);
}

static void abort_call(struct flight *base)
{
    struct http_flight *flight = (struct http_flight *)base;
    if (flight->done) {
        return;
    }
    curl_multi_remove_handle(flight->http->multi, flight->easy);
    flight->code = CURLE_ABORTED_BY_CALLBACK;
    flight->done = true;
    flight->aborted = true;
    uv_timer_t *timer = MEM_NEW(uv_timer_t); /* the fiber goes on from the loop, not from here */
    uv_timer_init(flight->http->loop, timer);
    timer->data = flight->fiber;
    uv_timer_start(timer, on_aborted, 0, 0);
}

void http_abort(struct flight *flight)
{
    if (flight) {
        flight->abort(flight);
    }
}

void http_perform(struct http *http, const struct http_call *call, struct flight **under_way,
                  struct http_answer *answer)
{
    *answer = (struct http_answer){.headers = json_object(), .body = {.max = ANSWER_MAX}};
    struct http_flight flight = {.flight = {abort_call}, .http = http, .fiber = fiber_self()};
    char error[CURL_ERROR_SIZE] = "";
    CURL *easy = set_up(http, call, answer, &flight, error);
    int64_t begin = time_monotonic();
    flight.easy = easy;
    *under_way = &flight.flight;
    curl_multi_add_handle(http->multi, easy);
    while (!flight.done) {
        fiber_wait();
    }
    *under_way = NULL;
    answer->duration = time_monotonic() - begin;
    if (flight.code == CURLE_OK) {
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer->status);
        answer->sent = true;
    } else {
        answer->sent = may_have_been_sent(easy, flight.code);
        answer->unreached = !flight.aborted && unreached(easy, flight.code);
        answer->aborted = flight.aborted;
        answer->error = mem_strdup(answer->body.overflow ? "the answer is larger than 16 MiB"
                                   : flight.aborted      ? "the worker stops before it came"
                                   : *error              ? error
                                                         : curl_easy_strerror(flight.code));
    }
    if (http->idle_count < IDLE_MAX) {
        http->idle[http->idle_count++] = easy;
    } else {
        curl_easy_cleanup(easy);
    }
}

void http_answer_release(struct http_answer *answer)
{
    json_decref(answer->headers);
    buf_release(&answer->body);
    free(answer->error);
    *answer = (struct http_answer){0};
}
