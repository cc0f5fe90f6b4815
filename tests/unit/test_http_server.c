/* The HTTP server, in a loop and in a thread of its own, asked by libcurl from other threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/http_server.h"
#include "lib/json.h"
#include "lib/metrics.h"
#include "lib/time.h"
#include "tests/unit/helpers.h"

enum { MANY = 30, PATIENCE_MS = 20000 };

/* One request and what came back. */
struct call {
    const char *path;
    const char *method; /* NULL: GET, or POST when there is a body */
    const char *body;
    size_t body_len;
    const char *host; /* NULL: 127.0.0.1 */
    bool process;     /* asks the server of metrics and health */
    int port;
    CURLcode code;
    long status;
    struct buf answer;
    struct buf headers;
    uv_async_t *done;
};

static size_t keep(char *data, size_t size, size_t count, void *arg)
{
    return buf_add(arg, data, size * count) == 0 ? size * count : 0;
}

static void *perform(void *arg)
{
    struct call *call = arg;
    CURL *easy = curl_easy_init();
    char *url = mem_printf("http://%s:%d%s", call->host ? call->host : "127.0.0.1", call->port, call->path);
    struct curl_slist *headers = curl_slist_append(NULL, "X-Test: as sent");
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)PATIENCE_MS);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &call->answer);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &call->headers);
    if (call->body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)call->body_len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body);
    }
    if (call->method) {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
    }
    call->code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &call->status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    free(url);
    if (call->done) {
        uv_async_send(call->done);
    }
    return NULL;
}

static void call_release(struct call *call)
{
    buf_release(&call->answer);
    buf_release(&call->headers);
}

/* ---- a server in a loop ------------------------------------------------------------------------------------------------ */

struct fixture {
    uv_loop_t loop;
    uv_async_t done;
    uv_timer_t later;
    struct http_server *server;
    struct http_server *process; /* metrics and health */
    int port;
    bool proven; /* all callers are */
    bool drained;
    size_t handled;
    struct http_request *waiting[MANY];
    size_t waiting_count;
    size_t answer_when; /* so many wait */
    bool stop_instead;
    bool not_ready;
};

static void on_done(uv_async_t *async)
{
    uv_stop(async->loop); /* several calls may have ended: the caller counts threads, not wake-ups */
}

static bool on_ready(void *arg, char **why)
{
    struct fixture *fixture = arg;
    if (fixture->not_ready) {
        *why = mem_strdup("kafka is away");
    }
    return !fixture->not_ready;
}

static void echo(struct http_request *request)
{
    static const char *const headers[] = {"X-Answer", "yes", "Location", "/there", NULL};
    const char *query = http_query(request, "q"), *header = http_header(request, "x-test");
    json_t *body = json_object();
    json_put_string(body, "method", request->method);
    json_put_string(body, "path", request->path);
    json_put_string(body, "query", query);
    json_put_string(body, "none", http_query(request, "none"));
    json_put_string(body, "header", header);
    json_put_string(body, "body", request->body);
    json_put(body, "length", json_integer((json_int_t)request->body_len));
    http_reply(request, 202, headers, body);
}

static void answer_waiting(uv_timer_t *timer)
{
    struct fixture *fixture = timer->data;
    for (size_t i = 0; i < fixture->waiting_count; i++) {
        http_reply(fixture->waiting[i], 200, NULL, json_pack("{s:i}", "number", (int)i));
    }
    fixture->waiting_count = 0;
}

static void stop_now(uv_timer_t *timer)
{
    struct fixture *fixture = timer->data;
    http_server_stop(fixture->server);
    fixture->server = NULL;
}

static void on_request(struct http_request *request, void *arg)
{
    struct fixture *fixture = arg;
    fixture->handled++;
    if (strcmp(request->path, "/wait") == 0) {
        fixture->waiting[fixture->waiting_count++] = request;
        if (fixture->waiting_count == fixture->answer_when) {
            uv_timer_start(&fixture->later, fixture->stop_instead ? stop_now : answer_waiting, 0, 0);
        }
    } else if (strcmp(request->path, "/empty") == 0) {
        http_reply(request, 204, NULL, NULL);
    } else if (strcmp(request->path, "/denied") == 0) {
        http_problem(request, 401, "Unauthorized", "Authorization", "send a bearer token");
    } else if (strcmp(request->path, "/wrong") == 0) {
        http_problem(request, 422, "Unprocessable Content", "user.email", "it must be a text");
    } else {
        echo(request);
    }
}

static bool on_head(struct http_request *request, void *arg)
{
    struct fixture *fixture = arg;
    request->proven = fixture->proven;
    if (strcmp(request->path, "/secret") == 0) {
        http_problem(request, 401, "Unauthorized", "Authorization", "send a bearer token");
        return false;
    }
    return true;
}

static void start_with(struct fixture *fixture, struct http_limits limits)
{
    *fixture = (struct fixture){0};
    uv_loop_init(&fixture->loop);
    uv_async_init(&fixture->loop, &fixture->done, on_done);
    uv_timer_init(&fixture->loop, &fixture->later);
    fixture->later.data = fixture;
    limits.body = limits.body ? limits.body : 1000;
    struct http_options options = {.listen = "127.0.0.1:0",
                                   .loop = &fixture->loop,
                                   .limits = limits,
                                   .admit = on_head,
                                   .handle = on_request,
                                   .arg = fixture};
    struct http_options process = {.listen = "127.0.0.1:0", .loop = &fixture->loop, .ready = on_ready, .arg = fixture};
    struct err err = ERR_INIT;
    fixture->server = http_server_start(&options, &err);
    fixture->process = fixture->server ? http_server_start(&process, &err) : NULL;
    if (!fixture->process) {
        fail_msg("%s", err_text(&err));
    }
    fixture->port = http_server_port(fixture->server);
    assert_in_range(fixture->port, 1, 65535);
}

static int start(void **state)
{
    *state = mem_alloc(sizeof(struct fixture));
    start_with(*state, (struct http_limits){0});
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    http_server_stop(fixture->server);
    http_server_stop(fixture->process);
    uv_close((uv_handle_t *)&fixture->done, NULL);
    uv_close((uv_handle_t *)&fixture->later, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&fixture->loop);
    free(fixture);
    metrics_release();
    return left; /* a handle left open */
}

/* Makes the calls at the same time, serving them, until all have ended. */
static void serve(struct fixture *fixture, struct call *calls, size_t count)
{
    pthread_t threads[MANY];
    for (size_t i = 0; i < count; i++) {
        calls[i].port = calls[i].process ? http_server_port(fixture->process) : fixture->port;
        calls[i].done = &fixture->done;
        assert_int_equal(pthread_create(&threads[i], NULL, perform, &calls[i]), 0);
    }
    for (size_t ended = 0; ended < count;) {
        uv_run(&fixture->loop, UV_RUN_DEFAULT); /* until one or more have ended */
        while (ended < count && pthread_tryjoin_np(threads[ended], NULL) == 0) {
            ended++;
        }
        if (ended < count) {
            uv_async_send(&fixture->done); /* the thread that said so may not be gone yet */
        }
    }
}

static void test_built_in_paths(void **state)
{
    struct fixture *fixture = *state;
    series_add(metric_series(metric_new(METRIC_COUNTER, "offboard_test_total", "", "Tests."), NULL), 3);
    struct call calls[] = {{.path = "/healthz", .process = true},
                           {.path = "/readyz", .process = true},
                           {.path = "/metrics", .process = true}};
    serve(fixture, calls, COUNT_OF(calls));
    assert_int_equal(calls[0].status, 200);
    assert_string_equal(buf_text(&calls[0].answer), "alive\n");
    assert_int_equal(calls[1].status, 200);
    assert_string_equal(buf_text(&calls[1].answer), "ready\n");
    assert_int_equal(calls[2].status, 200);
    assert_contains(buf_text(&calls[2].answer), "offboard_test_total 3\n");
    assert_contains(buf_text(&calls[2].headers), "text/plain; version=0.0.4");
    assert_int_equal(fixture->handled, 0);
    fixture->not_ready = true;
    struct call again = {.path = "/readyz", .process = true};
    serve(fixture, &again, 1);
    assert_int_equal(again.status, 503);
    assert_string_equal(buf_text(&again.answer), "not ready: kafka is away\n");
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        call_release(&calls[i]);
    }
    call_release(&again);
}

static json_t *answer_of(struct call *call)
{
    struct err err = ERR_INIT;
    json_t *answer = json_parse(buf_text(&call->answer), call->answer.len, &err);
    if (!answer) {
        fail_msg("%s: %s", err_text(&err), buf_text(&call->answer));
    }
    return answer;
}

static void test_what_the_handler_sees(void **state)
{
    struct fixture *fixture = *state;
    struct call call = {.path = "/v1/a%20b?q=x%26y", .body = "{\"a\":\"\xc3\xa4\"}", .body_len = 10};
    serve(fixture, &call, 1);
    assert_int_equal(call.status, 202);
    assert_contains(buf_text(&call.headers), "X-Answer: yes\r\n");
    assert_contains(buf_text(&call.headers), "Location: /there\r\n");
    assert_contains(buf_text(&call.headers), "Content-Type: application/json\r\n");
    json_t *answer = answer_of(&call);
    assert_string_equal(json_string_at(answer, "method"), "POST");
    assert_string_equal(json_string_at(answer, "path"), "/v1/a b");
    assert_string_equal(json_string_at(answer, "query"), "x&y");
    assert_null(json_at(answer, "none"));
    assert_string_equal(json_string_at(answer, "header"), "as sent");
    assert_string_equal(json_string_at(answer, "body"), "{\"a\":\"\xc3\xa4\"}");
    assert_int_equal(json_int_at(answer, "length", 0), 10);
    json_decref(answer);
    call_release(&call);
    struct call empty = {.path = "/empty", .method = "DELETE"};
    serve(fixture, &empty, 1);
    assert_int_equal(empty.status, 204);
    assert_int_equal(empty.answer.len, 0);
    call_release(&empty);
}

static void test_problem_details(void **state)
{
    struct fixture *fixture = *state;
    struct call calls[] = {{.path = "/wrong"}, {.path = "/denied"}};
    serve(fixture, calls, COUNT_OF(calls));
    assert_int_equal(calls[0].status, 422);
    assert_contains(buf_text(&calls[0].headers), "Content-Type: application/problem+json\r\n");
    json_t *problem = answer_of(&calls[0]);
    assert_int_equal(json_int_at(problem, "status", 0), 422);
    assert_string_equal(json_string_at(problem, "title"), "Unprocessable Content");
    assert_string_equal(json_string_value(json_object_get(problem, "field")), "user.email");
    assert_string_equal(json_string_at(problem, "detail"), "it must be a text");
    json_decref(problem);
    assert_int_equal(calls[1].status, 401);
    assert_contains(buf_text(&calls[1].headers), "WWW-Authenticate: Bearer\r\n");
    call_release(&calls[0]);
    call_release(&calls[1]);
}

static void test_many_answered_later(void **state)
{
    struct fixture *fixture = *state;
    struct call calls[MANY];
    for (size_t i = 0; i < MANY; i++) {
        calls[i] = (struct call){.path = "/wait"};
    }
    fixture->answer_when = MANY;
    serve(fixture, calls, MANY);
    bool seen[MANY] = {false};
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].status, 200);
        json_t *answer = answer_of(&calls[i]);
        seen[json_int_at(answer, "number", 0)] = true;
        json_decref(answer);
        call_release(&calls[i]);
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_true(seen[i]); /* each got an answer of its own */
    }
}

static void test_large_bodies(void **state)
{
    struct fixture *fixture = *state;
    char body[1001];
    memset(body, 'x', sizeof body);
    struct call fits = {.path = "/", .body = body, .body_len = 1000};
    serve(fixture, &fits, 1);
    assert_int_equal(fits.status, 202);
    assert_int_equal(fixture->handled, 1);
    struct call large = {.path = "/", .body = body, .body_len = 1001};
    serve(fixture, &large, 1);
    assert_int_equal(large.status, 413);
    assert_contains(buf_text(&large.answer), "edge.body_limit");
    assert_contains(buf_text(&large.headers), "application/problem+json");
    char *endless = mem_alloc(50 * 1000 * 1000);
    struct call flood = {.path = "/", .body = endless, .body_len = 50 * 1000 * 1000};
    serve(fixture, &flood, 1);
    assert_int_not_equal(flood.status, 202);
    assert_int_not_equal(flood.code, CURLE_OPERATION_TIMEDOUT);
    assert_int_equal(fixture->handled, 1);
    struct call next = {.path = "/"};
    serve(fixture, &next, 1);
    assert_int_equal(next.status, 202); /* nothing else is disturbed */
    free(endless);
    call_release(&fits);
    call_release(&large);
    call_release(&flood);
    call_release(&next);
}

/* A client that went away while its request waited: the answer goes nowhere, and nothing breaks. */
static void test_client_gone(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)fixture->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    static const char request[] = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(write(client, request, sizeof request - 1), sizeof request - 1);
    while (fixture->waiting_count == 0) {
        uv_run(&fixture->loop, UV_RUN_ONCE);
    }
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(client);
    uv_timer_start(&fixture->later, answer_waiting, 0, 0);
    struct call next = {.path = "/"};
    serve(fixture, &next, 1);
    assert_int_equal(next.status, 202);
    assert_int_equal(fixture->waiting_count, 0);
    call_release(&next);
}

static void test_stopping_answers_who_waits(void **state)
{
    struct fixture *fixture = *state;
    struct call calls[] = {{.path = "/wait"}, {.path = "/wait"}, {.path = "/wait"}};
    fixture->answer_when = COUNT_OF(calls);
    fixture->stop_instead = true;
    serve(fixture, calls, COUNT_OF(calls));
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        assert_int_equal(calls[i].code, CURLE_OK);
        assert_int_equal(calls[i].status, 503);
        assert_contains(buf_text(&calls[i].answer), "the process is stopping");
        assert_contains(buf_text(&calls[i].headers), "Retry-After: 5\r\n");
        call_release(&calls[i]);
    }
}

/* Stopped while a request has only half arrived. */
static void test_stopping_with_half_a_request(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)fixture->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    static const char request[] = "POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf";
    assert_int_equal(write(client, request, sizeof request - 1), sizeof request - 1);
    struct call call = {.path = "/empty"};
    serve(fixture, &call, 1); /* by then the other one was accepted too */
    http_server_stop(fixture->server);
    fixture->server = NULL;
    char byte;
    assert_true(read(client, &byte, 1) <= 0); /* ended */
    close(client);
    assert_int_equal(fixture->handled, 1); /* the other one */
    call_release(&call);
}

/* ---- byte by byte ------------------------------------------------------------------------------------------------------- */

enum { SOON_MS = 3000 };

/* A connection from 127.0.0.<host>. */
static int dial(const struct fixture *fixture, int host)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl((uint32_t)(0x7f000000 + host))};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)fixture->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void turn(struct fixture *fixture, int ms)
{
    for (int64_t end = time_monotonic() + ms * INT64_C(1000); time_monotonic() < end;) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        poll(NULL, 0, 1);
    }
}

static void say(int fd, const char *bytes)
{
    assert_int_equal(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL), strlen(bytes));
}

/* Serves until `text` has come (NULL: until the connection ends). What has come, "" when it was reset; the caller frees. */
static char *hear(struct fixture *fixture, int fd, const char *text)
{
    struct buf heard = BUF_INIT;
    char bytes[4096];
    for (int64_t end = time_monotonic() + SOON_MS * INT64_C(1000);;) {
        ssize_t count = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (count > 0) {
            buf_add(&heard, bytes, (size_t)count);
        }
        bool over = count == 0 || (count < 0 && errno != EAGAIN);
        if (over || (text && strstr(buf_text(&heard), text))) {
            return buf_take(&heard);
        }
        if (time_monotonic() > end) {
            fail_msg("nothing came of it: %s", buf_text(&heard));
        }
        turn(fixture, 1);
    }
}

static void assert_answer(struct fixture *fixture, int fd, const char *text, bool ends)
{
    char *heard = hear(fixture, fd, ends ? NULL : text);
    assert_contains(heard, text);
    free(heard);
    if (ends) {
        close(fd);
    }
}

static bool ended(struct fixture *fixture, int fd)
{
    char byte;
    turn(fixture, 1);
    ssize_t count = recv(fd, &byte, 1, MSG_DONTWAIT);
    return count == 0 || (count < 0 && errno != EAGAIN);
}

static void test_a_body_is_read_only_when_it_may_come(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture, 1);
    say(fd, "POST /secret HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n");
    char *heard = hear(fixture, fd, NULL); /* without a byte of the body */
    assert_int_equal(strncmp(heard, "HTTP/1.1 401 Unauthorized\r\n", 27), 0);
    assert_contains(heard, "Connection: close\r\n");
    free(heard);
    close(fd);
    fd = dial(fixture, 1);
    say(fd, "GET /secret HTTP/1.1\r\nHost: x\r\n\r\n"); /* no body is to come: the connection is of use */
    assert_answer(fixture, fd, "send a bearer token", false);
    assert_int_equal(fixture->handled, 0);
    say(fd, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_answer(fixture, fd, "HTTP/1.1 100 Continue\r\n\r\n", false);
    say(fd, "{}");
    assert_answer(fixture, fd, "HTTP/1.1 202 Accepted\r\n", false);
    close(fd);
}

static void test_requests_behind_one_another(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture, 1);
    say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nxHEAD /b HTTP/1.1\r\nHost: x\r\n\r\n"
            "GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /d HTTP/1.1\r\nHost: x\r\n\r\n");
    char *heard = hear(fixture, fd, NULL);
    assert_contains(heard, "\"path\":\"/a\"");
    assert_null(strstr(heard, "\"path\":\"/b\"")); /* HEAD */
    assert_contains(heard, "\"path\":\"/c\"");
    assert_int_equal(fixture->handled, 3);
    free(heard);
    close(fd);
}

/* What stands behind a request that two servers could read differently is never taken for a second one. */
static void test_nothing_is_smuggled(void **state)
{
    struct fixture *fixture = *state;
    static const char *const heads[] = {"Content-Length: 4\r\nTransfer-Encoding: chunked", "Content-Length : 4",
                                        "Content-Length: 4\r\nContent-Length: 5", "X: a\r\n Content-Length: 4"};
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        char *bytes = mem_printf(
            "POST /first HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n0\r\n\r\nGET /second HTTP/1.1\r\nHost: x\r\n\r\n", heads[i]);
        int fd = dial(fixture, 1);
        say(fd, bytes);
        char *heard = hear(fixture, fd, NULL);
        assert_int_equal(strncmp(heard, "HTTP/1.1 400 ", 13), 0);
        assert_null(strstr(heard, "HTTP/1.1 202"));
        assert_null(strstr(heard + 1, "HTTP/1.1 400"));
        free(heard);
        free(bytes);
        close(fd);
    }
    assert_int_equal(fixture->handled, 0);
}

static void test_chunk_extensions_without_end(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture, 1);
    say(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    char many[33001];
    memset(many, 'x', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    say(fd, many);
    clock_t begun = clock();
    assert_answer(fixture, fd, "HTTP/1.1 400 ", true);
    assert_true(clock() - begun < CLOCKS_PER_SEC);
}

/* ---- limits ----------------------------------------------------------------------------------------------------------- */

static void restart(struct fixture *fixture, struct http_limits limits)
{
    http_server_stop(fixture->server);
    http_server_stop(fixture->process);
    uv_close((uv_handle_t *)&fixture->done, NULL);
    uv_close((uv_handle_t *)&fixture->later, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    start_with(fixture, limits);
}

static void test_idle_connections_make_room(void **state)
{
    struct fixture *fixture = *state;
    enum { LIMIT = 20, IDLE = 60 };
    int idle[IDLE];
    restart(fixture, (struct http_limits){.connections = LIMIT, .per_address = LIMIT});
    for (int i = 0; i < IDLE; i++) {
        idle[i] = dial(fixture, 1 + i % 3);
        if (i % 2) {
            say(idle[i], "POST / HTTP/1.1\r\nHost: x\r\nX"); /* slowly */
        }
        turn(fixture, 2);
    }
    struct call calls[] = {{.path = "/"}, {.path = "/healthz", .process = true}};
    serve(fixture, calls, COUNT_OF(calls));
    assert_int_equal(calls[0].status, 202);
    assert_int_equal(calls[1].status, 200);
    int open = 0;
    for (int i = 0; i < IDLE; i++) {
        open += !ended(fixture, idle[i]);
        close(idle[i]);
    }
    assert_in_range(open, LIMIT / 2, LIMIT);
    call_release(&calls[0]);
    call_release(&calls[1]);
}

/* A request that was let in is given up for nobody. */
static void test_requests_in_hand_make_no_room(void **state)
{
    struct fixture *fixture = *state;
    enum { LIMIT = 10 };
    int waiting[LIMIT];
    restart(fixture, (struct http_limits){.connections = LIMIT, .per_address = LIMIT});
    for (int i = 0; i < LIMIT; i++) {
        waiting[i] = dial(fixture, 1);
        say(waiting[i], i % 2 ? "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
                              : "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n");
        turn(fixture, 5);
    }
    int more = dial(fixture, 2);
    char *heard = hear(fixture, more, NULL);
    assert_string_equal(heard, "");
    free(heard);
    close(more);
    for (int i = 0; i < LIMIT; i += 2) {
        say(waiting[i], "x");
    }
    turn(fixture, 20);
    assert_int_equal(fixture->waiting_count, LIMIT);
    uv_timer_start(&fixture->later, answer_waiting, 0, 0);
    for (int i = 0; i < LIMIT; i++) {
        assert_answer(fixture, waiting[i], "HTTP/1.1 200 OK\r\n", false);
        close(waiting[i]);
    }
}

/* Many connections of one address push out each other, and nobody else's. */
static void test_one_address(void **state)
{
    struct fixture *fixture = *state;
    enum { EACH = 4, MORE = 10 };
    int others[EACH], many[MORE];
    restart(fixture, (struct http_limits){.connections = 100, .per_address = EACH});
    for (int i = 0; i < EACH; i++) {
        others[i] = dial(fixture, 2);
    }
    for (int i = 0; i < MORE; i++) {
        many[i] = dial(fixture, 3);
        turn(fixture, 5);
    }
    for (int i = 0; i < MORE; i++) {
        assert_int_equal(ended(fixture, many[i]), i < MORE - EACH);
        close(many[i]);
    }
    for (int i = 0; i < EACH; i++) {
        assert_false(ended(fixture, others[i]));
        close(others[i]);
    }
}

static void test_who_is_slow(void **state)
{
    struct fixture *fixture = *state;
    restart(fixture, (struct http_limits){.head_ms = 300, .body_ms = 300, .idle_ms = 300});
    int head = dial(fixture, 1), body = dial(fixture, 1), silent = dial(fixture, 1), idle = dial(fixture, 1);
    say(head, "GET / HTTP/1.1\r\nHost: x\r\n");
    say(body, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    say(idle, "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 40 && !ended(fixture, silent);
         i++) { /* something comes all the time: it is no idleness that counts */
        send(head, "X: y\r\n", 6, MSG_NOSIGNAL);
        send(body, "x", 1, MSG_NOSIGNAL);
        turn(fixture, 20);
    }
    assert_answer(fixture, head, "HTTP/1.1 408 Request Timeout\r\n", true);
    assert_answer(fixture, body, "HTTP/1.1 408 Request Timeout\r\n", true);
    assert_answer(fixture, idle, "HTTP/1.1 204 No Content\r\n", true);
    assert_true(ended(fixture, silent));
    close(silent);
    assert_int_equal(fixture->handled, 1);
}

static int post_most(struct fixture *fixture, const char *most)
{
    int fd = dial(fixture, 1);
    say(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n");
    say(fd, most);
    turn(fixture, 10);
    return fd;
}

static void test_memory_for_bodies(void **state)
{
    struct fixture *fixture = *state;
    enum { MOST = 9000 };
    char most[MOST + 1];
    memset(most, 'x', MOST);
    most[MOST] = '\0';
    restart(fixture, (struct http_limits){.body = 10000, .bodies = 3 * 10000});
    int first = post_most(fixture, most);
    assert_answer(fixture, post_most(fixture, most), "HTTP/1.1 503 Service Unavailable\r\n", true);
    fixture->proven = true; /* somebody with a token may use more */
    int second = post_most(fixture, most), third = post_most(fixture, most);
    assert_answer(fixture, post_most(fixture, most), "HTTP/1.1 503 Service Unavailable\r\n", true);
    int fds[] = {first, second, third};
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        most[10000 - MOST] = '\0';
        say(fds[i], most);
        assert_answer(fixture, fds[i], "HTTP/1.1 202 Accepted\r\n", false);
        close(fds[i]);
    }
    fixture->proven = false; /* the memory is free again */
    assert_int_equal(fixture->handled, 3);
    memset(most, 'x', MOST);
    first = post_most(fixture, most);
    assert_false(ended(fixture, first));
    close(first);
}

/* ---- draining --------------------------------------------------------------------------------------------------------- */

static void on_drained(void *arg)
{
    ((struct fixture *)arg)->drained = true;
}

static void test_draining(void **state)
{
    struct fixture *fixture = *state;
    int idle = dial(fixture, 1), waits = dial(fixture, 1), half = dial(fixture, 1);
    say(waits, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    say(half, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{");
    turn(fixture, 20);
    int queued = dial(fixture, 1); /* made by the kernel, not accepted yet */
    say(queued, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    http_server_drain(fixture->server, 10000, on_drained, fixture);
    assert_answer(fixture, queued, "HTTP/1.1 202 Accepted\r\n", true);
    say(half, "}");
    char *heard = hear(fixture, half, NULL);
    assert_contains(heard, "HTTP/1.1 202 Accepted\r\n");
    assert_contains(heard, "Connection: close\r\n");
    free(heard);
    close(half);
    say(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); /* just in time */
    assert_answer(fixture, idle, "HTTP/1.1 202 Accepted\r\n", true);
    assert_false(fixture->drained);
    uv_timer_start(&fixture->later, answer_waiting, 0, 0);
    assert_answer(fixture, waits, "HTTP/1.1 200 OK\r\n", true);
    for (int i = 0; i < 100 && !fixture->drained; i++) {
        turn(fixture, 10);
    }
    assert_true(fixture->drained);
    struct call call = {.path = "/"};
    serve(fixture, &call, 1);
    assert_int_equal(call.code, CURLE_COULDNT_CONNECT);
    call_release(&call);
}

static void test_draining_has_an_end(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture, 1), half = dial(fixture, 1), silent = dial(fixture, 1);
    say(half, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{");
    say(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    turn(fixture, 20);
    http_server_drain(fixture->server, 200, on_drained, fixture);
    for (int i = 0; i < 100 && !fixture->drained; i++) {
        turn(fixture, 10);
    }
    assert_true(fixture->drained);
    http_server_stop(fixture->server);
    fixture->server = NULL;
    assert_answer(fixture, fd, "the process is stopping", true);
    assert_true(ended(fixture, half) && ended(fixture, silent));
    close(half);
    close(silent);
}

/* ---- without a loop, and other addresses ------------------------------------------------------------------------------- */

static void test_in_a_thread_of_its_own(void **state)
{
    (void)state;
    struct fixture fixture = {.not_ready = true};
    struct http_options options = {.listen = "127.0.0.1:0", .ready = on_ready, .arg = &fixture};
    struct http_server *server = http_server_start(&options, NULL);
    assert_non_null(server);
    static const struct {
        const char *path;
        long status;
    } expected[] = {{"/healthz", 200}, {"/metrics", 200}, {"/readyz", 503}, {"/v1/offboardings", 404}};
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        struct call call = {.path = expected[i].path, .port = http_server_port(server)};
        perform(&call);
        assert_int_equal(call.status, expected[i].status);
        call_release(&call);
    }
    http_server_stop(server);
    metrics_release();
}

static void test_ipv6(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct http_options options = {.listen = "[::1]:0", .ready = on_ready, .arg = &fixture};
    struct err err = ERR_INIT;
    struct http_server *server = http_server_start(&options, &err);
    if (!server) {
        assert_contains(err_text(&err), "could not listen on \"[::1]:0\": "); /* a machine without IPv6 */
        err_release(&err);
        skip();
    }
    struct call call = {.path = "/healthz", .host = "[::1]", .port = http_server_port(server)};
    perform(&call);
    assert_int_equal(call.status, 200);
    call_release(&call);
    http_server_stop(server);
}

static void assert_no_server(const char *listen, const char *why)
{
    struct err err = ERR_INIT;
    struct http_options options = {.listen = listen};
    assert_null(http_server_start(&options, &err));
    assert_int_equal(err.class, ERR_FATAL);
    assert_contains(err_text(&err), listen);
    assert_contains(err_text(&err), why);
    err_release(&err);
}

static void test_addresses_that_do_not_work(void **state)
{
    (void)state;
    struct http_options options = {.listen = "127.0.0.1:0"};
    struct http_server *server = http_server_start(&options, NULL);
    char *taken = mem_printf("127.0.0.1:%d", http_server_port(server));
    assert_no_server(taken, "Address already in use");
    free(taken);
    http_server_stop(server);
    assert_no_server("8080", "it must be ADDRESS:PORT");
    assert_no_server("127.0.0.1:http-no-such", "could not listen");
    assert_no_server("192.0.2.1:0", "Cannot assign requested address"); /* RFC 5737: nobody's */
}

static void test_no_server_wanted(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct http_options options = {.listen = ""};
    assert_null(http_server_start(&options, &err));
    options.listen = NULL;
    assert_null(http_server_start(&options, &err));
    assert_int_equal(err.class, ERR_NONE);
    assert_int_equal(http_server_port(NULL), 0);
    http_server_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_built_in_paths, start, stop),
        cmocka_unit_test_setup_teardown(test_what_the_handler_sees, start, stop),
        cmocka_unit_test_setup_teardown(test_problem_details, start, stop),
        cmocka_unit_test_setup_teardown(test_many_answered_later, start, stop),
        cmocka_unit_test_setup_teardown(test_large_bodies, start, stop),
        cmocka_unit_test_setup_teardown(test_client_gone, start, stop),
        cmocka_unit_test_setup_teardown(test_stopping_answers_who_waits, start, stop),
        cmocka_unit_test_setup_teardown(test_stopping_with_half_a_request, start, stop),
        cmocka_unit_test_setup_teardown(test_a_body_is_read_only_when_it_may_come, start, stop),
        cmocka_unit_test_setup_teardown(test_requests_behind_one_another, start, stop),
        cmocka_unit_test_setup_teardown(test_nothing_is_smuggled, start, stop),
        cmocka_unit_test_setup_teardown(test_chunk_extensions_without_end, start, stop),
        cmocka_unit_test_setup_teardown(test_idle_connections_make_room, start, stop),
        cmocka_unit_test_setup_teardown(test_requests_in_hand_make_no_room, start, stop),
        cmocka_unit_test_setup_teardown(test_one_address, start, stop),
        cmocka_unit_test_setup_teardown(test_who_is_slow, start, stop),
        cmocka_unit_test_setup_teardown(test_memory_for_bodies, start, stop),
        cmocka_unit_test_setup_teardown(test_draining, start, stop),
        cmocka_unit_test_setup_teardown(test_draining_has_an_end, start, stop),
        cmocka_unit_test(test_in_a_thread_of_its_own),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_addresses_that_do_not_work),
        cmocka_unit_test(test_no_server_wanted),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
