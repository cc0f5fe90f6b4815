/* HTTP/1.1 requests in files (RFC 9112, 2.1), as a proxy or a log keeps them; lines may end without a carriage return. */
#include <stdlib.h>
#include <string.h>

#include "cli/plan.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/yaml.h"

void raw_request_release(struct raw_request *raw)
{
    free(raw->text);
    free(raw->method);
    free(raw->path);
    json_decref(raw->headers);
    *raw = (struct raw_request){0};
}

int raw_header_add(json_t *headers, const char *line, size_t len, struct err *err)
{
    const char *colon = memchr(line, ':', len);
    size_t name_len = colon ? (size_t)(colon - line) : 0;
    if (!name_len || strcspn(line, " \t") < name_len) {
        return err_set(err, ERR_PERMANENT, "\"%.*s\" is no header: it must be Name: value", (int)len, line);
    }
    const char *from = colon + 1, *to = line + len;
    while (from < to && strchr(" \t", *from)) {
        from++;
    }
    while (to > from && strchr(" \t\r", to[-1])) {
        to--;
    }
    char *name = mem_strndup(line, name_len), *value = mem_strndup(from, (size_t)(to - from));
    int result = request_add_header(headers, name, value)
                     ? 0
                     : err_set(err, ERR_PERMANENT, "the value of the header %s is no UTF-8 text", name);
    free(value);
    free(name);
    return result;
}

/* The next line of `*at`, without its end; NULL when there is no end. */
static const char *next_line(const char **at, const char *end, size_t *len)
{
    const char *line = *at;
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    if (!newline) {
        return NULL;
    }
    *len = (size_t)(newline - line);
    *len -= *len && line[*len - 1] == '\r';
    *at = newline + 1;
    return line;
}

/* "POST /v1/sources/okta-hook?x=y HTTP/1.1", or a whole address. */
static int read_first_line(struct raw_request *raw, const char *line, size_t len, struct err *err)
{
    const char *blank = memchr(line, ' ', len);
    const char *target = blank ? blank + 1 : line + len;
    const char *scheme = strstr(target, "://");
    if (scheme && scheme < line + len) {
        target = scheme + 3 + strcspn(scheme + 3, "/ \r\n");
    }
    if (!blank || blank == line || target >= line + len || *target != '/' || memchr(line, '\0', len)) {
        return err_set(err, ERR_PERMANENT, "the first line must be that of a request: POST /v1/sources/… HTTP/1.1");
    }
    raw->method = mem_strndup(line, (size_t)(blank - line));
    raw->path = mem_strndup(target, strcspn(target, "? \r\n"));
    return 0;
}

/* The body is what follows; an editor may have put a newline behind it, which Content-Length tells. */
static int read_body(struct raw_request *raw, const char *from, const char *end, struct err *err)
{
    const char *said = json_string_at(raw->headers, "content-length");
    size_t len = (size_t)(end - from);
    if (json_object_get(raw->headers, "transfer-encoding")) {
        return err_set(err, ERR_PERMANENT, "the body is in chunks: write it out, and leave Transfer-Encoding away");
    }
    if (said && strtoull(said, NULL, 10) > len) {
        return err_set(err, ERR_PERMANENT, "the body has %zu bytes, and Content-Length says %s", len, said);
    }
    raw->request = (struct request){raw->method, raw->headers, from, said ? (size_t)strtoull(said, NULL, 10) : len};
    return 0;
}

static int parse(struct raw_request *raw, size_t text_len, struct err *err)
{
    const char *at = raw->text, *end = raw->text + text_len, *line;
    size_t len = 0;
    line = next_line(&at, end, &len);
    if (read_first_line(raw, line ? line : "", len, err) != 0) {
        return -1;
    }
    while ((line = next_line(&at, end, &len)) && len) {
        if (raw_header_add(raw->headers, line, len, err) != 0) {
            return -1;
        }
    }
    return line ? read_body(raw, at, end, err)
                : err_set(err, ERR_PERMANENT, "there is no empty line between the headers and the body");
}

int raw_request_read(const char *file, struct raw_request *raw, struct err *err)
{
    size_t len = 0;
    *raw = (struct raw_request){.text = yaml_read_file(file, &len, err), .headers = json_object()};
    if (!raw->text || parse(raw, len, err) != 0) {
        raw_request_release(raw);
        return err_prefix(err, "%s", file);
    }
    return 0;
}
