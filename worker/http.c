#include "worker/http.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "lib/utf8.h"
#include "worker/gzip.h"

enum { ANSWER_MAX = 16 * 1024 * 1024, HEADER_LINES_MAX = 1000, HEADER_BYTES_MAX = 128 * 1024 };

struct http {
    struct multi *multi;
};

/* One call. */
struct exchange {
    struct transfer transfer; /* first: libcurl's private pointer names it */
    struct http_answer *answer;
    const char *unsent;   /* what curl has not taken of the body */
    size_t lines, bytes;  /* of headers, of interim answers too */
    char *latest;         /* name of the latest header, for what continues it */
    bool headers_end;     /* what comes then are trailers */
    const char *unusable; /* why the answer is, NULL: it is not */
};

struct http *http_new(uv_loop_t *loop)
{
    struct http *http = MEM_NEW(struct http);
    http->multi = multi_new(loop);
    return http;
}

void http_free(struct http *http)
{
    if (http) {
        multi_free(http->multi);
        free(http);
    }
}

struct multi *http_multi(struct http *http)
{
    return http->multi;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

/* The value without white space around it, as UTF-8; the caller frees. */
static char *header_value(const char *from, const char *to)
{
    struct buf out = BUF_INIT;
    while (from < to && strchr(" \t\r\n", *from)) {
        from++;
    }
    while (to > from && strchr(" \t\r\n", to[-1])) {
        to--;
    }
    bool valid = utf8_valid(from, (size_t)(to - from)) == (size_t)(to - from);
    for (; from < to; from++) {
        if (valid) {
            buf_add(&out, from, 1);
        } else {
            utf8_add(&out, (unsigned char)*from); /* ISO-8859-1 is the beginning of Unicode */
        }
    }
    return buf_take(&out);
}

static void add_header(json_t *headers, const char *name, const char *value, const char *separator)
{
    const char *old = json_string_at(headers, name);
    if (!old || !*old) {
        json_put_string(headers, name, value);
    } else if (strcmp(old, value) != 0) {
        char *joined = mem_printf("%s%s%s", old, separator, value);
        json_put_string(headers, name, joined);
        free(joined);
    }
}

static void take_header(struct exchange *exchange, const char *data, const char *colon, size_t len)
{
    char *name = mem_strndup(data, (size_t)(colon - data));
    char *value = header_value(colon + 1, data + len);
    free(exchange->latest);
    exchange->latest = json_lower(name);
    add_header(exchange->answer->headers, exchange->latest, value,
               strcmp(exchange->latest, "set-cookie") == 0 ? "\n" : ", ");
    free(value);
    free(name);
}

/* A line that begins with white space continues the one before (RFC 9112, 5.2). */
static void continue_header(struct exchange *exchange, const char *data, size_t len)
{
    char *value = header_value(data, data + len);
    if (exchange->latest && *value) {
        add_header(exchange->answer->headers, exchange->latest, value, " ");
    }
    free(value);
}

/* The line that ends the head, or the trailers. libcurl puts no NUL behind a line. */
static bool is_end(const char *line, size_t len)
{
    size_t blank = 0;
    while (blank < len && (line[blank] == '\r' || line[blank] == '\n')) {
        blank++;
    }
    return blank == len;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    size_t len = size * count;
    const char *colon = memchr(data, ':', len);
    exchange->lines++;
    exchange->bytes += len;
    if (exchange->lines > HEADER_LINES_MAX || exchange->bytes > HEADER_BYTES_MAX) {
        exchange->unusable = "its headers are more than 1,000 lines or 128 KiB";
        return 0;
    }
    if (len >= 5 && strncmp(data, "HTTP/", 5) == 0) {
        json_object_clear(exchange->answer->headers); /* of an interim answer (100 Continue) */
        exchange->headers_end = false;
    } else if (is_end(data, len) || exchange->headers_end) {
        exchange->headers_end = true;
    } else if (*data == ' ' || *data == '\t') {
        continue_header(exchange, data, len);
    } else if (colon) {
        take_header(exchange, data, colon, len);
    }
    return len;
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    if (buf_add(&exchange->answer->body, data, size * count) != 0) {
        exchange->unusable = "it is larger than 16 MiB";
        return 0;
    }
    return size * count;
}

/* "gzip", "x-gzip", "identity, GZIP". */
static bool says_gzip(const char *codings)
{
    return codings && strcasestr(codings, "gzip");
}

/* Replaces a body in gzip by what it stands for; what is wrong with it becomes a fault. */
static void decode_body(struct http_answer *answer)
{
    struct buf coded = answer->body;
    struct err err = ERR_INIT;
    if (!says_gzip(json_string_at(answer->headers, "content-encoding")) || !gzip_begins(coded.data, coded.len)) {
        return;
    }
    answer->body = (struct buf){.max = ANSWER_MAX};
    if (gzip_decode(coded.data, coded.len, &answer->body, &err) != 0) {
        answer->fault = HTTP_FAULT_ANSWER;
        answer->error = mem_printf("the answer cannot be used: %s", err_text(&err));
    }
    err_release(&err);
    buf_release(&coded);
}

static size_t send_body(char *out, size_t size, size_t count, void *arg)
{
    const char **unsent = arg;
    size_t take = strnlen(*unsent, size * count);
    memcpy(out, *unsent, take);
    *unsent += take;
    return take;
}

/* When a kept connection is cut before an answer, libcurl by itself sends the request again: a ticket opened twice,
 * and one call on record. A body that it can't rewind forbids that (the call then fails and the engine decides); a
 * POST without a body gets a connection of its own. */
static void set_up_body(CURL *easy, const struct http_call *call, struct exchange *exchange)
{
    if (call->body && *call->body) {
        exchange->unsent = call->body;
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(call->body));
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, send_body);
        curl_easy_setopt(easy, CURLOPT_READDATA, &exchange->unsent);
    } else if (call->body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L); /* Content-Length: 0, or some servers answer 411 */
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    }
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* `accept` goes before the call's headers, unless one of these says which coding it wants. libcurl's own option would make it fail on
 * every coding that it does not know ("Content-Encoding: UTF-8"), and on plain text that is called gzip. */
static struct curl_slist *ask_for_gzip(struct curl_slist *headers, struct curl_slist *accept)
{
    for (struct curl_slist *at = headers; at; at = at->next) {
        if (strncasecmp(at->data, "accept-encoding:", strlen("accept-encoding:")) == 0) {
            return headers;
        }
    }
    static char line[] = "Accept-Encoding: gzip";
    *accept = (struct curl_slist){line, headers};
    return accept;
}

static void set_up_log_in(CURL *easy, const struct http_call *call)
{
    if (call->user) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, call->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, call->password);
    }
    if (call->bearer) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, call->bearer);
    }
}

static void set_up(CURL *easy, const struct http_call *call, struct curl_slist *headers, struct exchange *exchange)
{
    curl_easy_setopt(easy, CURLOPT_URL, call->url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* libcurl would rewrite ".." */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(call->timeout / 1000));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    set_up_body(easy, call, exchange);
    if (strcmp(call->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
    }
    set_up_log_in(easy, call);
    if (call->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, call->ca_file);
    }
}

/* Failures before a byte of the request went out leave no doubt; all others may have had their effect. */
static bool may_have_been_sent(const struct transfer *transfer)
{
    enum http_fault fault = http_fault_of(transfer->code);
    long request_size = 0;
    if (!transfer->easy || fault == HTTP_FAULT_ADDRESS) {
        return false;
    }
    curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &request_size);
    return request_size > 0;
}

enum http_fault http_fault_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return HTTP_FAULT_NONE;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_PROXY:
        return HTTP_FAULT_ADDRESS;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_FUNCTION_ARGUMENT:
        return HTTP_FAULT_REQUEST;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_FILESIZE_EXCEEDED:
        return HTTP_FAULT_ANSWER;
    default:
        return HTTP_FAULT_AWAY;
    }
}

/* libcurl has codes of several meanings: what came after the request was sent concerns the answer. */
static enum http_fault fault_of(const struct exchange *exchange, bool sent)
{
    const struct transfer *transfer = &exchange->transfer;
    enum http_fault fault = http_fault_of(transfer->code);
    bool old_http = transfer->code == CURLE_UNSUPPORTED_PROTOCOL; /* HTTP/0.9, which is none */
    bool long_header = transfer->code == CURLE_OUT_OF_MEMORY;     /* a line over libcurl's 100 KiB */
    bool bad_chunk = transfer->code == CURLE_RECV_ERROR && strstr(transfer->error, "chunked-encoding");
    return exchange->unusable || (sent && (old_http || long_header || bad_chunk)) ? HTTP_FAULT_ANSWER : fault;
}

static void take_fault(const struct exchange *exchange, struct http_answer *answer)
{
    const struct transfer *transfer = &exchange->transfer;
    answer->sent = may_have_been_sent(transfer);
    answer->aborted = transfer->aborted;
    answer->fault = fault_of(exchange, answer->sent);
    if (answer->fault != HTTP_FAULT_ANSWER) {
        answer->status = 0;
        answer->error = mem_strdup(transfer_error(transfer));
    } else {
        answer->error = mem_printf("the answer cannot be used: %s",
                                   exchange->unusable ? exchange->unusable : transfer_error(transfer));
    }
}

void http_perform(struct http *http, const struct http_call *call, struct flight **under_way,
                  struct http_answer *answer)
{
    *answer = (struct http_answer){.headers = json_object(), .body = {.max = ANSWER_MAX}};
    struct exchange exchange = {.answer = answer};
    struct curl_slist accept;
    int64_t begin = time_monotonic();
    transfer_begin(&exchange.transfer, http->multi);
    if (exchange.transfer.easy) {
        set_up(exchange.transfer.easy, call, ask_for_gzip(call->headers, &accept), &exchange);
    }
    transfer_run(&exchange.transfer, under_way);
    answer->duration = time_monotonic() - begin;
    if (exchange.transfer.easy) {
        curl_easy_getinfo(exchange.transfer.easy, CURLINFO_RESPONSE_CODE, &answer->status);
    }
    if (exchange.transfer.code == CURLE_OK) {
        answer->sent = true;
        decode_body(answer);
    } else {
        take_fault(&exchange, answer);
    }
    if (answer->fault) {
        buf_release(&answer->body);
    }
    transfer_end(&exchange.transfer);
    free(exchange.latest);
}

void http_abort(struct flight *flight)
{
    if (flight) {
        flight->abort(flight);
    }
}

void http_answer_release(struct http_answer *answer)
{
    json_decref(answer->headers);
    buf_release(&answer->body);
    free(answer->error);
    *answer = (struct http_answer){0};
}
