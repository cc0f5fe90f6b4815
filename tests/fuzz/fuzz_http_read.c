/* lib/http_read.c: a stream of HTTP requests. However it is cut into pieces, the same requests are read; a head that was taken means the
 * same when it is written out plainly; nothing that two servers could read differently is taken; memory and steps stay within bounds. The
 * input's first byte is the length of the pieces (0: all at once), the rest is the stream. */
#include <strings.h>

#include "lib/buf.h"
#include "lib/http_read.h"
#include "tests/fuzz/fuzz.h"

enum { BODY_LIMIT = 2000, MEMORY_LIMIT = 4 * (HTTP_HEAD_LIMIT + HTTP_TRAILER_LIMIT + BODY_LIMIT) };

static size_t count_of(const struct http_read *read, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < read->field_count; i++) {
        count += strcasecmp(read->fields[i].name, name) == 0;
    }
    return count;
}

/* The request as we would write it: with Content-Length, one way of spelling each thing. */
static void write_out(const struct http_read *read, struct buf *out)
{
    buf_addf(out, "%s ", read->method);
    for (const char *at = read->path; *at; at++) {
        bool star = strcmp(read->path, "*") == 0;
        buf_addf(out, star || *at == '/' ? "%c" : "%%%02x", *(const unsigned char *)at);
    }
    buf_addf(out, " HTTP/1.1\r\n");
    if (count_of(read, "Host") == 0) {
        buf_adds(out, "Host: x\r\n"); /* HTTP/1.0 */
    }
    for (size_t i = 0; i < read->field_count; i++) {
        const char *name = read->fields[i].name;
        if (strcasecmp(name, "Content-Length") != 0 && strcasecmp(name, "Transfer-Encoding") != 0) {
            buf_addf(out, "%s: %s\r\n", name, read->fields[i].value);
        }
    }
    buf_addf(out, "Content-Length: %zu\r\n\r\n", read->body.len);
    buf_add(out, read->body.data, read->body.len);
}

static void check_request(const struct http_read *read)
{
    static const char *const single[] = {"Host", "Content-Length", "Transfer-Encoding", "Authorization"};
    for (size_t i = 0; i < COUNT_OF(single); i++) {
        FUZZ_CHECK(count_of(read, single[i]) <= 1);
    }
    FUZZ_CHECK(count_of(read, "Content-Length") + count_of(read, "Transfer-Encoding") <= 1);
    FUZZ_CHECK(*read->path == '/' || strcmp(read->path, "*") == 0);
    FUZZ_CHECK(read->body.len <= BODY_LIMIT && !read->body.overflow);
    for (size_t i = 0; i < read->field_count; i++) {
        FUZZ_CHECK(!strpbrk(read->fields[i].value, "\r\n"));
    }
    struct buf plain = BUF_INIT, again = BUF_INIT;
    struct http_read other = {.body_limit = BODY_LIMIT};
    write_out(read, &plain);
    size_t used, at = 0;
    enum http_read_step step = HTTP_READ_HEAD;
    while (step == HTTP_READ_HEAD) {
        step = http_read_feed(&other, plain.data + at, plain.len - at, &used);
        at += used;
    }
    if (step != HTTP_READ_REFUSED) { /* a head near its limit is longer when it is written plainly */
        FUZZ_CHECK(step == HTTP_READ_WHOLE && at == plain.len);
        write_out(&other, &again);
        FUZZ_CHECK(strcmp(buf_text(&again), buf_text(&plain)) == 0);
    } else {
        FUZZ_CHECK(other.status == 431 || other.status == 414);
    }
    buf_release(&plain);
    buf_release(&again);
    http_read_release(&other);
}

/* What was read of the stream, in pieces of `piece` bytes, as one text. */
static void read_all(const char *bytes, size_t len, size_t piece, struct buf *out)
{
    struct http_read read = {.body_limit = BODY_LIMIT};
    enum http_read_step step = HTTP_READ_MORE;
    size_t at = 0, steps = 0;
    while (step != HTTP_READ_REFUSED && (at < len || step == HTTP_READ_HEAD)) {
        size_t used, left = len - at < piece ? len - at : piece;
        char *exact = mem_alloc(left + 1); /* so that a read beyond it is seen */
        char *part = mem_realloc(exact, left ? left : 1);
        memcpy(part, bytes + at, left);
        step = http_read_feed(&read, part, left, &used);
        free(part);
        FUZZ_CHECK(used <= left && (step != HTTP_READ_MORE || used == left));
        FUZZ_CHECK(++steps <= 3 * len + 3);
        FUZZ_CHECK(read.head.cap + read.line.cap + read.body.cap <= MEMORY_LIMIT);
        at += used;
        if (step == HTTP_READ_WHOLE) {
            check_request(&read);
            write_out(&read, out);
            http_read_next(&read);
        }
    }
    if (step == HTTP_READ_REFUSED) {
        FUZZ_CHECK(read.status >= 400 && read.status < 506 && read.detail);
        buf_addf(out, "refused: %d %s", read.status, read.detail);
    }
    http_read_release(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct buf whole = BUF_INIT, pieces = BUF_INIT;
    const char *bytes = (const char *)data + 1;
    read_all(bytes, size - 1, size, &whole);
    read_all(bytes, size - 1, *data ? *data : size, &pieces);
    FUZZ_CHECK(strcmp(buf_text(&whole), buf_text(&pieces)) == 0);
    buf_release(&whole);
    buf_release(&pieces);
    return 0;
}
