#include "lib/http_read.h"

#include <string.h>
#include <strings.h>

#include "lib/decode.h"
#include "lib/http_head.h"

enum phase { HEAD, BODY, LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, WHOLE, REFUSED };

enum {
    SIZE_DIGITS = 8,       /* of a chunk */
    FRAMING_PER_BYTE = 16, /* a body of chunks of one byte each is still read */
};

static enum http_read_step refuse(struct http_read *read, int status, const char *detail)
{
    http_read_refuse(read, status, detail);
    read->phase = REFUSED;
    return HTTP_READ_REFUSED;
}

/* Adds bytes up to the end of the line, or all. 1: the line is complete; 0: more is needed; -1: it is too long; -2: a line break is no
 * CRLF. */
static int take_line(struct buf *line, size_t start, const char *bytes, size_t len, size_t *used)
{
    const char *feed = memchr(bytes, '\n', len);
    *used = feed ? (size_t)(feed - bytes) + 1 : len;
    if (buf_add(line, bytes, *used) != 0) {
        return -1;
    }
    if (!feed) {
        return 0;
    }
    return line->len >= start + 2 && line->data[line->len - 2] == '\r' ? 1 : -2;
}

/* ---- head -------------------------------------------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static enum http_read_step end_head(struct http_read *read)
{
    if (http_head_parse(read) != 0) {
        read->phase = REFUSED;
        return HTTP_READ_REFUSED;
    }
    read->phase = BODY;
    return HTTP_READ_HEAD;
}

static enum http_read_step feed_head(struct http_read *read, const char *bytes, size_t len, size_t *used)
{
    if (len && read->head.len == 0 && (unsigned char)*bytes != '\r' && !is_letter(*bytes)) {
        return refuse(read, 400, "this is no HTTP/1.1; if it is TLS, a proxy must end it");
    }
    read->head.max = HTTP_HEAD_LIMIT;
    int line = take_line(&read->head, read->line_start, bytes, len, used);
    if (line == -1) {
        return read->line_start == 0 ? refuse(read, 414, "the address of the request is too long")
                                     : refuse(read, 431, "the header fields of the request are too large");
    }
    if (line == -2) {
        return refuse(read, 400, "a line of the request's head does not end in CR LF");
    }
    if (line == 0) {
        return HTTP_READ_MORE;
    }
    bool empty = read->head.len == read->line_start + 2;
    if (empty && read->line_start == 0) { /* RFC 9112, 2.2: some clients send one after a body */
        if (read->blank_skipped) {
            return refuse(read, 400, "the request begins with an empty line");
        }
        read->blank_skipped = true;
        buf_clear(&read->head);
        return HTTP_READ_MORE;
    }
    read->line_start = read->head.len;
    return empty ? end_head(read) : HTTP_READ_MORE;
}

/* ---- body -------------------------------------------------------------------------------------------------------- */

static enum http_read_step too_large(struct http_read *read)
{
    return refuse(read, 413, "the body is larger than edge.body_limit");
}

static enum http_read_step whole(struct http_read *read)
{
    read->phase = WHOLE;
    return HTTP_READ_WHOLE;
}

static enum http_read_step begin_body(struct http_read *read)
{
    read->body.max = read->body_limit;
    if (read->chunked) {
        read->phase = CHUNK_SIZE;
        return HTTP_READ_MORE;
    }
    if (read->length > read->body_limit) {
        return too_large(read);
    }
    read->left = read->length;
    read->phase = LENGTH;
    return read->left ? HTTP_READ_MORE : whole(read);
}

/* Moves bytes into the body; true when nothing is left of the body or chunk. */
static bool take_data(struct http_read *read, const char *bytes, size_t len, size_t *used)
{
    *used = len < read->left ? len : (size_t)read->left;
    buf_add(&read->body, bytes, *used);
    read->left -= *used;
    return read->left == 0;
}

/* 1 to 8 hex digits, then nothing or ";" with visible text. */
static bool parse_chunk_size(struct http_read *read, const char *line, size_t len)
{
    size_t at = 0;
    read->left = 0;
    for (; at < len && decode_hex_digit(line[at]) >= 0; at++) {
        read->left = read->left * 16 + (uint64_t)decode_hex_digit(line[at]);
        if (at >= SIZE_DIGITS) {
            return false;
        }
    }
    if (at == 0 || (at < len && line[at] != ';')) {
        return false;
    }
    for (; at < len; at++) {
        if ((unsigned char)line[at] < ' ' || line[at] == 0x7f) {
            return false;
        }
    }
    return true;
}

static enum http_read_step end_chunk_size(struct http_read *read, const char *line, size_t len)
{
    if (!parse_chunk_size(read, line, len)) {
        return refuse(read, 400, "the size of a chunk is not one to eight hexadecimal digits");
    }
    if (read->left > read->body_limit - read->body.len) {
        return too_large(read);
    }
    read->phase = read->left ? CHUNK_DATA : TRAILER;
    return HTTP_READ_MORE;
}

static enum http_read_step end_trailer(struct http_read *read, char *line, size_t len)
{
    struct http_field ignored;
    if (len == 0) {
        return whole(read);
    }
    const char *wrong = http_head_field(line, len, &ignored);
    return wrong ? refuse(read, 400, wrong) : HTTP_READ_MORE;
}

/* Lines around the data of chunks. */
static enum http_read_step feed_framing(struct http_read *read, const char *bytes, size_t len, size_t *used)
{
    read->line.max = read->phase == CHUNK_SIZE ? HTTP_CHUNK_LINE_LIMIT : HTTP_TRAILER_LIMIT;
    int line = take_line(&read->line, 0, bytes, len, used);
    read->framing += *used;
    if (line < 0) {
        return refuse(read, 400,
                      line == -2 ? "a line between chunks does not end in CR LF" : "a line between chunks is too long");
    }
    if (read->framing > HTTP_TRAILER_LIMIT + FRAMING_PER_BYTE * read->body.len) {
        return refuse(read, 400, "the body has more framing than content");
    }
    if (line == 0) {
        return HTTP_READ_MORE;
    }
    size_t text = read->line.len - 2;
    read->line.data[text] = '\0';
    enum http_read_step step = HTTP_READ_MORE;
    if (read->phase == CHUNK_SIZE) {
        step = end_chunk_size(read, read->line.data, text);
    } else if (read->phase == TRAILER) {
        step = end_trailer(read, read->line.data, text);
    } else if (text > 0) {
        step = refuse(read, 400, "a chunk is longer than its size says");
    } else {
        read->phase = CHUNK_SIZE;
    }
    buf_clear(&read->line);
    return step;
}

static enum http_read_step feed_once(struct http_read *read, const char *bytes, size_t len, size_t *used)
{
    switch (read->phase) {
    case HEAD:
        return feed_head(read, bytes, len, used);
    case BODY:
        return begin_body(read);
    case LENGTH:
        return take_data(read, bytes, len, used) ? whole(read) : HTTP_READ_MORE;
    case CHUNK_DATA:
        read->phase = take_data(read, bytes, len, used) ? CHUNK_END : CHUNK_DATA;
        return HTTP_READ_MORE;
    case CHUNK_SIZE:
    case CHUNK_END:
    case TRAILER:
        return feed_framing(read, bytes, len, used);
    case WHOLE:
        return HTTP_READ_WHOLE;
    default:
        return HTTP_READ_REFUSED;
    }
}

enum http_read_step http_read_feed(struct http_read *read, const char *bytes, size_t len, size_t *used)
{
    enum http_read_step step;
    *used = 0;
    do {
        size_t taken = 0;
        step = feed_once(read, bytes + *used, len - *used, &taken);
        *used += taken;
    } while (step == HTTP_READ_MORE && *used < len);
    return step;
}

/* ---- what was read ----------------------------------------------------------------------------------------------- */

bool http_read_begun(const struct http_read *read)
{
    return read->phase != HEAD || read->head.len > 0;
}

bool http_read_has_body(const struct http_read *read)
{
    return read->phase != WHOLE && (read->chunked || read->length > 0);
}

static const char *find(const struct http_field *fields, size_t count, const char *name,
                        int (*compare)(const char *, const char *))
{
    for (size_t i = 0; i < count; i++) {
        if (compare(fields[i].name, name) == 0) {
            return fields[i].value;
        }
    }
    return NULL;
}

const char *http_read_field(const struct http_read *read, const char *name)
{
    return find(read->fields, read->field_count, name, strcasecmp);
}

const char *http_read_arg(const struct http_read *read, const char *name)
{
    return find(read->args, read->arg_count, name, strcmp);
}

void http_read_release(struct http_read *read)
{
    buf_release(&read->head);
    buf_release(&read->line);
    buf_release(&read->body);
}

void http_read_next(struct http_read *read)
{
    size_t limit = read->body_limit;
    http_read_release(read);
    *read = (struct http_read){.body_limit = limit};
}
