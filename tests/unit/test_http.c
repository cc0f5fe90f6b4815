/* HTTP to vendors: what each kind of answer, and of failure, is taken for. */
/* links: worker/fiber.c worker/gzip.c worker/http.c worker/multi.c tests/unit/tcp_stub.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "tests/unit/helpers.h"
#include "tests/unit/tcp_stub.h"
#include "worker/fiber.h"
#include "worker/http.h"

struct stage {
    uv_loop_t loop;
    struct http *http;
    struct tcp_stub *stub;
    struct buf reply; /* to every request */
    bool stays;       /* the server hangs up after it, unless */
    bool greets;      /* it says its reply at once */
    bool abort;       /* the call is aborted once the server heard it */
    char *last_head;  /* of the latest request */
    struct http_call call;
    struct http_answer answer;
    struct flight *flight;
};

static void hear(struct tcp_peer *peer, void *arg)
{
    struct stage *stage = arg;
    if (!strstr(buf_text(&peer->heard), "\r\n\r\n") && !stage->greets) {
        return;
    }
    free(stage->last_head);
    stage->last_head = buf_take(&peer->heard);
    if (stage->abort) {
        http_abort(stage->flight);
        return;
    }
    tcp_peer_say(peer, buf_text(&stage->reply), stage->reply.len);
    if (!stage->stays) {
        tcp_peer_hang_up(peer);
    }
}

static int set_up(void **state)
{
    struct stage *stage = MEM_NEW(struct stage);
    uv_loop_init(&stage->loop);
    stage->http = http_new(&stage->loop);
    stage->stub = tcp_stub_start(&stage->loop, hear, stage);
    stage->reply.max = 64 * 1024 * 1024;
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;
    http_answer_release(&stage->answer);
    http_free(stage->http);
    tcp_stub_stop(stage->stub);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stage->loop), 0);
    fibers_release();
    free(stage->last_head);
    buf_release(&stage->reply);
    free(stage);
    return 0;
}

static void run_call(void *arg)
{
    struct stage *stage = arg;
    http_perform(stage->http, &stage->call, &stage->flight, &stage->answer);
    uv_stop(&stage->loop);
}

/* Makes the call; the answer lies in the stage. */
static struct http_answer *call_url(struct stage *stage, const char *method, const char *url)
{
    http_answer_release(&stage->answer);
    stage->call.method = method;
    stage->call.url = url;
    stage->call.timeout = stage->call.timeout ? stage->call.timeout : 20 * TIME_SECOND;
    if (fiber_start(run_call, stage)) {
        uv_run(&stage->loop, UV_RUN_DEFAULT);
    }
    assert_null(stage->flight);
    return &stage->answer;
}

static struct http_answer *call(struct stage *stage, const char *method)
{
    char *url = mem_printf("http://127.0.0.1:%d/users", tcp_stub_port(stage->stub));
    struct http_answer *answer = call_url(stage, method, url);
    free(url);
    return answer;
}

/* GET is answered by these bytes. */
static struct http_answer *answered_by(struct stage *stage, const char *reply, size_t len)
{
    buf_clear(&stage->reply);
    buf_add(&stage->reply, reply, len);
    return call(stage, "GET");
}

static struct http_answer *answered(struct stage *stage, const char *reply)
{
    return answered_by(stage, reply, strlen(reply));
}

static void assert_good(const struct http_answer *answer, const char *body)
{
    if (answer->fault || answer->error) {
        fail_msg("fault %d: %s", (int)answer->fault, answer->error);
    }
    assert_int_equal(answer->status, 200);
    assert_true(answer->sent);
    assert_string_equal(buf_text(&answer->body), body);
}

static void assert_fault(const struct http_answer *answer, enum http_fault fault, long status, const char *error)
{
    if (answer->fault != fault) {
        fail_msg("fault %d, wanted %d: %s", (int)answer->fault, (int)fault, answer->error);
    }
    assert_int_equal(answer->status, status);
    assert_int_equal(answer->body.len, 0);
    assert_contains(answer->error, error);
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static void assert_header(const struct http_answer *answer, const char *name, const char *value)
{
    const char *is = json_string_at(answer->headers, name);
    if (!is || strcmp(is, value) != 0) {
        fail_msg("%s is \"%s\", not \"%s\"", name, is, value);
    }
}

static void test_headers(void **state)
{
    struct stage *stage = *state;
    struct http_answer *answer = answered(stage, "HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n"
                                                 "HTTP/1.1 200 OK\r\nLink: <a>; rel=\"next\"\r\nX-Name: J\xfcrgen\r\n"
                                                 "X-Utf: J\xc3\xbcrgen\r\nlink:<b>; rel=last \r\nRetry-After: 30\r\n"
                                                 "Set-Cookie: a=1; Expires=Wed, 21 Oct 2026\r\nRetry-After: 30\r\n"
                                                 "Set-Cookie: b=2\r\nX-Folded: one,\r\n\t two\r\nX-Empty:\r\n"
                                                 "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Trailer: 1\r\n"
                                                 "Link: <c>\r\n\r\n");
    assert_good(answer, "hi");
    assert_header(answer, "link", "<a>; rel=\"next\", <b>; rel=last");
    assert_header(answer, "x-name", "J\xc3\xbcrgen");
    assert_header(answer, "x-utf", "J\xc3\xbcrgen");
    assert_header(answer, "set-cookie", "a=1; Expires=Wed, 21 Oct 2026\nb=2");
    assert_header(answer, "retry-after", "30");
    assert_header(answer, "x-folded", "one, two");
    assert_header(answer, "x-empty", "");
    assert_null(json_object_get(answer->headers, "x-interim"));
    assert_null(json_object_get(answer->headers, "x-trailer"));
}

/* A reply whose head has `part` many times. */
static struct http_answer *answered_many(struct stage *stage, const char *before, const char *part, size_t count)
{
    buf_clear(&stage->reply);
    buf_adds(&stage->reply, before);
    for (size_t i = 0; i < count; i++) {
        buf_adds(&stage->reply, part);
    }
    buf_adds(&stage->reply, "\r\n\r\nhi");
    return call(stage, "GET");
}

static void test_too_many_headers(void **state)
{
    struct stage *stage = *state;
    static const char many[] = "its headers are more than 1,000 lines or 128 KiB";
    assert_good(answered_many(stage, "HTTP/1.1 200 OK", "\r\nX-More: 1", 900), "hi");
    assert_fault(answered_many(stage, "HTTP/1.1 200 OK", "\r\nX-More: 1", 1100), HTTP_FAULT_ANSWER, 200, many);
    assert_good(answered_many(stage, "HTTP/1.1 200 OK\r\nX-Long: ", "0123456789", 9000), "hi");
    assert_fault(answered_many(stage, "HTTP/1.1 200 OK\r\nX-Long: ", "0123456789", 20000), HTTP_FAULT_ANSWER, 200,
                 "the answer cannot be used");
    assert_fault(answered_many(stage, "", "HTTP/1.1 102 Processing\r\n\r\n", 2000), HTTP_FAULT_ANSWER, 102, many);
}

/* ---- codings ----------------------------------------------------------------------------------------------------- */

static void gzip(const char *data, size_t len, struct buf *out)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&stream, (uLong)len) + 64;
    char *coded = mem_alloc(room);
    stream.next_out = (Bytef *)coded;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    buf_add(out, coded, room - stream.avail_out);
    deflateEnd(&stream);
    free(coded);
}

static struct http_answer *answered_in(struct stage *stage, const char *coding, const char *body, size_t len)
{
    buf_clear(&stage->reply);
    buf_addf(&stage->reply, "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\n\r\n", coding);
    buf_add(&stage->reply, body, len);
    return call(stage, "GET");
}

static void test_codings(void **state)
{
    struct stage *stage = *state;
    static const char *const plain[] = {"UTF-8", "none",        "identity", "gzip",   "x-gzip",
                                        "br",    "aws-chunked", "",         "deflate"};
    struct buf coded = BUF_INIT;
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        assert_good(answered_in(stage, plain[i], "{}", 2), "{}");
    }
    assert_contains(stage->last_head, "\r\nAccept-Encoding: gzip\r\n");
    assert_good(answered_in(stage, "gzip", "", 0), "");
    gzip("{\"a\":", 5, &coded);
    gzip("1}", 2, &coded);
    buf_adds(&coded, "padding");
    assert_good(answered_in(stage, "identity, X-GZIP", coded.data, coded.len), "{\"a\":1}");
    struct http_answer *answer = answered_in(stage, "UTF-8", coded.data, coded.len);
    assert_int_equal(answer->body.len, coded.len);
    buf_release(&coded);
}

static void test_own_coding(void **state)
{
    struct stage *stage = *state;
    stage->call.headers = curl_slist_append(NULL, "accept-encoding: identity");
    assert_good(answered(stage, "HTTP/1.1 200 OK\r\n\r\nhi"), "hi");
    assert_contains(stage->last_head, "accept-encoding: identity\r\n");
    assert_null(strstr(stage->last_head, "gzip"));
    curl_slist_free_all(stage->call.headers);
}

static void test_bad_codings(void **state)
{
    struct stage *stage = *state;
    struct buf coded = BUF_INIT;
    gzip("{\"a\":1}", 7, &coded);
    assert_fault(answered_in(stage, "gzip", coded.data, coded.len - 6), HTTP_FAULT_ANSWER, 200, "its gzip is cut off");
    coded.data[12] ^= 0x55;
    assert_fault(answered_in(stage, "gzip", coded.data, coded.len), HTTP_FAULT_ANSWER, 200, "its gzip is damaged");
    buf_clear(&coded);
    size_t large = 100 * 1024 * 1024;
    char *zeros = mem_alloc(large);
    gzip(zeros, large, &coded);
    assert_true(coded.len < 1024 * 1024);
    assert_fault(answered_in(stage, "gzip", coded.data, coded.len), HTTP_FAULT_ANSWER, 200,
                 "larger than 16 MiB when decoded");
    assert_fault(answered_in(stage, "identity", zeros, 17 * 1024 * 1024), HTTP_FAULT_ANSWER, 200,
                 "it is larger than 16 MiB");
    free(zeros);
    buf_release(&coded);
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

static void test_malformed(void **state)
{
    struct stage *stage = *state;
    static const struct {
        const char *reply;
        long status;
    } replies[] = {
        {"<html>what is HTTP?</html>\n", 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 200},
        {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhi", 200},
        {"HTTP/7.0 200 OK\r\n\r\nhi", 0},
    };
    for (size_t i = 0; i < COUNT_OF(replies); i++) {
        struct http_answer *answer = answered(stage, replies[i].reply);
        assert_fault(answer, HTTP_FAULT_ANSWER, replies[i].status, "the answer cannot be used: ");
        assert_true(answer->sent);
    }
}

static void test_away(void **state)
{
    struct stage *stage = *state;
    assert_fault(answered(stage, ""), HTTP_FAULT_AWAY, 0, "Empty reply");
    assert_true(stage->answer.sent);
    assert_fault(answered(stage, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), HTTP_FAULT_AWAY, 0, "closed");
    stage->stays = true;
    stage->call.timeout = 300 * 1000;
    assert_fault(answered(stage, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), HTTP_FAULT_AWAY, 0, "timed out");
    assert_false(stage->answer.aborted);
}

static void test_aborted(void **state)
{
    struct stage *stage = *state;
    stage->abort = true;
    assert_fault(answered(stage, ""), HTTP_FAULT_AWAY, 0, "the worker stops");
    assert_true(stage->answer.aborted);
    assert_true(stage->answer.sent);
    stage->abort = false;
    assert_good(answered(stage, "HTTP/1.1 200 OK\r\n\r\nhi"), "hi");
}

/* A port that nobody listens on; the descriptor keeps it. */
static int closed_port(int *fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&address, size), 0);
    getsockname(*fd, (struct sockaddr *)&address, &size);
    return ntohs(address.sin_port);
}

static void test_addresses(void **state)
{
    struct stage *stage = *state;
    int fd;
    char *refused = mem_printf("https://127.0.0.1:%d/", closed_port(&fd));
    assert_fault(call_url(stage, "POST", refused), HTTP_FAULT_ADDRESS, 0, "connect");
    assert_false(stage->answer.sent);
    free(refused);
    close(fd);
    assert_fault(
        call_url(stage, "GET", "http://a-label-of-more-than-63-letters-is-no-name-that-any-server-would-know.test/"),
        HTTP_FAULT_ADDRESS, 0, "resolve host");
    stage->stays = true;
    char *plain = mem_printf("https://127.0.0.1:%d/", tcp_stub_port(stage->stub));
    buf_adds(&stage->reply, "no TLS here\n");
    stage->greets = true;
    assert_fault(call_url(stage, "GET", plain), HTTP_FAULT_ADDRESS, 0, "SSL");
    assert_false(stage->answer.sent);
    free(plain);
    assert_int_equal(http_fault_of(CURLE_PEER_FAILED_VERIFICATION), HTTP_FAULT_ADDRESS);
    assert_int_equal(http_fault_of(CURLE_COULDNT_RESOLVE_PROXY), HTTP_FAULT_ADDRESS);
}

/* In place of the C library's, also for libcurl: a name server that takes its time with one name. */
enum { SLOW_US = 4000 * 1000 };
static atomic_bool looked_up;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node && strcmp(node, "slow.test") == 0) {
        usleep(SLOW_US);
        atomic_store(&looked_up, true);
        return EAI_NONAME;
    }
    return real(node, service, hints, found);
}

/* A name server that does not answer must not hold up the loop, not even when the call is over. */
static void test_slow_names(void **state)
{
    struct stage *stage = *state;
    int64_t begin = time_monotonic();
    stage->call.timeout = 200 * 1000;
    assert_fault(call_url(stage, "GET", "http://slow.test/"), HTTP_FAULT_AWAY, 0, "timed out");
    assert_true(time_monotonic() - begin < SLOW_US / 2);
    assert_false(stage->answer.sent);
    while (!atomic_load(&looked_up)) {
        usleep(1000);
    }
}

static void test_requests(void **state)
{
    struct stage *stage = *state;
    static const char *const urls[] = {"http://[half", "ftp://127.0.0.1/", "", "http://127.0.0.1:99999/",
                                       "http://a b/"};
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        assert_fault(call_url(stage, "GET", urls[i]), HTTP_FAULT_REQUEST, 0, "");
        assert_false(stage->answer.sent);
    }
}

static void on_nothing(uv_poll_t *poll, int status, int events)
{
    (void)poll, (void)status, (void)events;
}

/* The number of the next socket is taken in the loop, by a watch whose descriptor was closed under it. The server is one that the
 * loop does not serve. */
static void test_unwatchable_socket(void **state)
{
    struct stage *stage = *state;
    int server;
    char *url = mem_printf("http://127.0.0.1:%d/", closed_port(&server));
    assert_int_equal(listen(server, 1), 0);
    assert_good(answered(stage, "HTTP/1.1 200 OK\r\n\r\nhi"), "hi"); /* what is opened only once is open */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    uv_poll_t poll;
    assert_int_equal(uv_poll_init_socket(&stage->loop, &poll, fd), 0);
    uv_poll_start(&poll, UV_READABLE, on_nothing);
    uv_run(&stage->loop, UV_RUN_NOWAIT);
    close(fd);
    assert_fault(call_url(stage, "GET", url), HTTP_FAULT_AWAY, 0, "could not watch the connection");
    assert_false(stage->answer.aborted);
    assert_false(stage->answer.sent);
    uv_poll_stop(&poll);
    uv_close((uv_handle_t *)&poll, NULL);
    uv_run(&stage->loop, UV_RUN_NOWAIT);
    assert_good(answered(stage, "HTTP/1.1 200 OK\r\n\r\nhi"), "hi");
    close(server);
    free(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_codings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_coding, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_codings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_aborted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_addresses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unwatchable_socket, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
