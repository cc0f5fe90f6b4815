/* Which requests are read, and as what: each as a whole, byte by byte, and with another request behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/http_read.h"
#include "tests/unit/helpers.h"

enum { BODY_LIMIT = 1000, GIVEN_UP = -1 /* more bytes are wanted */ };

#define NEXT "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"

/* Feeds `bytes` in pieces of `piece` until a request is whole or refused. Its status (0: whole), and how many bytes it took. */
static int feed(struct http_read *read, const char *bytes, size_t len, size_t piece, size_t *taken)
{
    enum http_read_step step = HTTP_READ_MORE;
    *taken = 0;
    read->body_limit = BODY_LIMIT;
    while (step != HTTP_READ_WHOLE && step != HTTP_READ_REFUSED) {
        size_t left = len - *taken, used;
        if (left == 0 && step == HTTP_READ_MORE) {
            return GIVEN_UP;
        }
        step = http_read_feed(read, bytes + *taken, left < piece ? left : piece, &used);
        *taken += used;
    }
    return step == HTTP_READ_WHOLE ? 0 : read->status;
}

static int status_of(const char *bytes, size_t len, size_t piece)
{
    struct http_read read = {0};
    size_t taken;
    int status = feed(&read, bytes, len, piece, &taken);
    assert_true(status <= 0 || read.detail);
    http_read_release(&read);
    return status;
}

struct sample {
    const char *bytes;
    size_t len;
    int status; /* 0: it is read */
};

#define SAMPLE(text, status)                                                                                           \
    {                                                                                                                  \
        text, sizeof(text) - 1, status                                                                                 \
    }

static void check_samples(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = samples[i].len;
        for (size_t piece = 1; piece <= len; piece++) {
            int status = status_of(samples[i].bytes, len, piece);
            if (status != samples[i].status) {
                fail_msg("%d instead of %d, in pieces of %zu: %s", status, samples[i].status, piece, samples[i].bytes);
            }
        }
    }
}

static void test_what_is_read(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        SAMPLE("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0),
        SAMPLE("GET / HTTP/1.0\r\n\r\n", 0),
        SAMPLE("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 0), /* RFC 9112, 2.2 */
        SAMPLE("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 0),
        SAMPLE("GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n", 0),
        SAMPLE("GET https://x HTTP/1.1\r\nHost: x\r\n\r\n", 0),
        SAMPLE("POST /a?b=c&d HTTP/1.1\r\nhost:x\r\nX:\r\nY: a\tb \t\r\n\r\n", 0),
        SAMPLE("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 0),
        SAMPLE("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 0),
        SAMPLE("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
               "Chunked\r\n\r\n3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
               0),
        SAMPLE("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", 0),
        SAMPLE("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na", 0),
    };
    check_samples(samples, COUNT_OF(samples));
}

/* What one server reads so and another otherwise: the material of request smuggling. */
static void test_framing_that_is_refused(void **state)
{
    (void)state;
#define HEAD    "POST / HTTP/1.1\r\nHost: x\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"
    static const struct sample samples[] = {
        SAMPLE(HEAD "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        SAMPLE(HEAD "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
        SAMPLE(HEAD "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        SAMPLE(HEAD "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        SAMPLE(HEAD "Content-Length: 3, 3\r\n\r\nabc", 400),
        SAMPLE(HEAD "Content-Length: +3\r\n\r\nabc", 400),
        SAMPLE(HEAD "Content-Length: -3\r\n\r\nabc", 400),
        SAMPLE(HEAD "Content-Length: 0x3\r\n\r\nabc", 400),
        SAMPLE(HEAD "Content-Length: 3 4\r\n\r\nabc", 400),
        SAMPLE(HEAD "Content-Length:\r\n\r\n", 400),
        SAMPLE(HEAD "Content-Length: 18446744073709551619\r\n\r\nabc", 400), /* 3 above 2^64 */
        SAMPLE(HEAD "Content-Length : 3\r\n\r\nabc", 400),
        SAMPLE(HEAD "Content-Length\t: 3\r\n\r\nabc", 400),
        SAMPLE(HEAD " Content-Length: 3\r\n\r\nabc", 400),
        SAMPLE(HEAD "X: a\r\n b\r\n\r\n", 400),
        SAMPLE(HEAD "X: a\r\n\tb\r\n\r\n", 400),
        SAMPLE(HEAD "X: a\n\r\n", 400),
        SAMPLE("POST / HTTP/1.1\nHost: x\n\n", 400),
        SAMPLE(HEAD "X: a\rb\r\n\r\n", 400),
        SAMPLE(HEAD "X: a\0b\r\n\r\n", 400),
        SAMPLE(HEAD "X\0: b\r\n\r\n", 400),
        SAMPLE(HEAD "X\r\n\r\n", 400),
        SAMPLE(HEAD ": a\r\n\r\n", 400),
        SAMPLE(HEAD "X Y: a\r\n\r\n", 400),
        SAMPLE(HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        SAMPLE(HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        SAMPLE(HEAD "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501),
        SAMPLE(HEAD "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", 400),
        SAMPLE(HEAD "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        SAMPLE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        SAMPLE(CHUNKED "x\r\n", 400),
        SAMPLE(CHUNKED "\r\n", 400),
        SAMPLE(CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", 400),
        SAMPLE(CHUNKED "3 \r\nabc\r\n0\r\n\r\n", 400),
        SAMPLE(CHUNKED " 3\r\nabc\r\n0\r\n\r\n", 400),
        SAMPLE(CHUNKED "+3\r\nabc\r\n0\r\n\r\n", 400),
        SAMPLE(CHUNKED "3\nabc\r\n0\r\n\r\n", 400),
        SAMPLE(CHUNKED "3\r\nabcd\r\n0\r\n\r\n", 400),
        SAMPLE(CHUNKED "3\r\nabc\n0\r\n\r\n", 400),
        SAMPLE(CHUNKED "3;\x01\r\nabc\r\n0\r\n\r\n", 400),
        SAMPLE(CHUNKED "3;a\rb\r\nabc\r\n0\r\n\r\n", 400),
        SAMPLE(CHUNKED "100000003\r\nabc\r\n0\r\n\r\n", 400), /* 3 above 2^32 */
        SAMPLE(CHUNKED "0\r\nno field\r\n\r\n", 400),
        SAMPLE(CHUNKED "0\r\nA: b\r\n c\r\n\r\n", 400),
    };
    check_samples(samples, COUNT_OF(samples));
}

static void test_heads_that_are_refused(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        SAMPLE("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\n\r\n", 400), /* no Host */
        SAMPLE("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: x y\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400),
        SAMPLE("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET /\tHTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET /\r\nHost: x\r\n\r\n", 400),
        SAMPLE("G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET / http/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.11\r\nHost: x\r\n\r\n", 505),
        SAMPLE("PRI * HTTP/2.0\r\n\r\n", 505),
        SAMPLE("GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET /%0a HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET /?a=%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n", 417),
        SAMPLE("\x16\x03\x01\x02", 400), /* TLS */
        SAMPLE("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413),
        SAMPLE("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", 413),
    };
    check_samples(samples, COUNT_OF(samples));
}

static void test_what_was_read(void **state)
{
    (void)state;
    static const char bytes[] = "POST /v1/a%20b?q=x%26y&r&q=2&s=a+b HTTP/1.1\r\nHost: x\r\nX-Test: \t as sent \r\n"
                                "Connection: foo, Close\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Test: trailer\r\n\r\n" NEXT;
    for (size_t piece = 1; piece < sizeof bytes; piece++) {
        struct http_read read = {0};
        size_t taken;
        assert_int_equal(feed(&read, bytes, sizeof bytes - 1, piece, &taken), 0);
        assert_int_equal(taken, sizeof bytes - sizeof NEXT);
        assert_string_equal(read.method, "POST");
        assert_string_equal(read.path, "/v1/a b");
        assert_string_equal(http_read_arg(&read, "q"), "x&y");
        assert_string_equal(http_read_arg(&read, "r"), "");
        assert_string_equal(http_read_arg(&read, "s"), "a b");
        assert_null(http_read_arg(&read, "Q"));
        assert_string_equal(http_read_field(&read, "x-tEST"), "as sent");
        assert_null(http_read_field(&read, "x-none"));
        assert_string_equal(buf_text(&read.body), "abcde");
        assert_false(read.keep_alive);
        http_read_next(&read);
        assert_int_equal(feed(&read, NEXT, strlen(NEXT), piece, &taken), 0);
        assert_string_equal(read.path, "/next");
        assert_true(read.keep_alive);
        http_read_release(&read);
    }
}

/* Feeds `unit` again and again: the status of the refusal, or GIVEN_UP after `most` bytes. */
static int feed_endlessly(const char *head, const char *unit, size_t most, size_t *held)
{
    struct http_read read = {.body_limit = BODY_LIMIT};
    size_t used, fed = 0, len = strlen(unit);
    enum http_read_step step = http_read_feed(&read, head, strlen(head), &used);
    for (; step != HTTP_READ_REFUSED && fed < most; fed += len) {
        assert_int_not_equal(step, HTTP_READ_WHOLE);
        for (size_t at = 0; at < len && step != HTTP_READ_REFUSED; at += used) {
            step = http_read_feed(&read, unit + at, len - at, &used);
        }
    }
    *held = read.head.cap + read.line.cap + read.body.cap;
    int status = step == HTTP_READ_REFUSED ? read.status : GIVEN_UP;
    http_read_release(&read);
    return status;
}

static void test_what_never_ends(void **state)
{
    (void)state;
    static const struct {
        const char *head, *unit;
        int status;
    } samples[] = {
        {"GET /", "a", 414},
        {"GET / HTTP/1.1\r\n", "X: y\r\n", 431},
        {"GET / HTTP/1.1\r\nX: ", "y", 431},
        {CHUNKED "1;", "x", 400},
        {CHUNKED, "1;x\r\nx\r\n", 413},
        {CHUNKED, "0", 400},
        {CHUNKED "0\r\n", "X: y\r\n", 400},
        {CHUNKED "0\r\nX: ", "y", 400},
        {CHUNKED,
         "1;"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "\r\nx\r\n",
         400},
    };
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        size_t held;
        int status = feed_endlessly(samples[i].head, samples[i].unit, 1000000, &held);
        if (status != samples[i].status) {
            fail_msg("%d instead of %d: %s%s…", status, samples[i].status, samples[i].head, samples[i].unit);
        }
        assert_true(held <= 2 * HTTP_HEAD_LIMIT + 2 * HTTP_TRAILER_LIMIT + 2 * BODY_LIMIT);
    }
    struct buf many = BUF_INIT;
    buf_adds(&many, HEAD);
    for (int i = 0; i <= HTTP_FIELDS_LIMIT; i++) {
        buf_adds(&many, "X: y\r\n");
    }
    buf_adds(&many, "\r\n");
    assert_int_equal(status_of(many.data, many.len, many.len), 431);
    buf_release(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read),           cmocka_unit_test(test_framing_that_is_refused),
        cmocka_unit_test(test_heads_that_are_refused), cmocka_unit_test(test_what_was_read),
        cmocka_unit_test(test_what_never_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
