/* What a handler reads of a request, and how it answers. */
#include <stdlib.h>
#include <string.h>

#include "lib/http_internal.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/request.h"

static struct connection *connection_of(const struct http_request *request)
{
    struct connection *connection = request->internal;
    if (connection->magic != CONNECTION_MAGIC) {
        abort();
    }
    return connection;
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {{200, "OK"},
                   {202, "Accepted"},
                   {204, "No Content"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {413, "Content Too Large"},
                   {414, "URI Too Long"},
                   {415, "Unsupported Media Type"},
                   {417, "Expectation Failed"},
                   {422, "Unprocessable Content"},
                   {431, "Request Header Fields Too Large"},
                   {501, "Not Implemented"},
                   {503, "Service Unavailable"},
                   {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "Status"; /* of a source's own choice */
}

void http_text(struct connection *connection, int status, const char *type, const char *text)
{
    char *field = mem_printf("Content-Type: %s\r\n", type);
    http_connection_answer(connection, status, field, text, strlen(text));
    free(field);
}

/* A value that came from a client must end no line. */
static void add_field(struct buf *fields, const char *name, const char *value)
{
    if (!strpbrk(value, "\r\n")) {
        buf_addf(fields, "%s: %s\r\n", name, value);
    }
}

static void answer_json(struct http_request *request, int status, const char *type, struct buf *fields, json_t *body)
{
    char *text = body ? json_text(body) : NULL;
    if (text) {
        add_field(fields, "Content-Type", type);
    }
    http_connection_answer(connection_of(request), status, buf_text(fields), text ? text : "", text ? strlen(text) : 0);
    buf_release(fields);
    free(text);
    json_decref(body);
}

void http_reply(struct http_request *request, int status, const char *const *headers, json_t *body)
{
    struct buf fields = BUF_INIT;
    for (; headers && headers[0]; headers += 2) {
        add_field(&fields, headers[0], headers[1]);
    }
    answer_json(request, status, "application/json", &fields, body);
}

void http_reply_problem(struct http_request *request, int status, json_t *problem)
{
    struct buf fields = BUF_INIT;
    answer_json(request, status, "application/problem+json", &fields, problem);
}

void http_problem(struct http_request *request, int status, const char *title, const char *field, const char *detail)
{
    struct buf fields = BUF_INIT;
    json_t *problem = json_object();
    json_put_string(problem, "type", "about:blank");
    json_put_string(problem, "title", title);
    json_put(problem, "status", json_integer(status));
    json_put_string(problem, "detail", detail);
    json_put_string(problem, "field", field);
    if (status == 401) {
        add_field(&fields, "WWW-Authenticate", "Bearer");
    }
    if (status == 405) { /* RFC 9110, 15.5.6 */
        add_field(&fields, "Allow", strstr(detail, "GET") ? "GET" : "POST");
    }
    if (status == 503) {
        add_field(&fields, "Retry-After", "5");
    }
    answer_json(request, status, "application/problem+json", &fields, problem);
}

const char *http_header(const struct http_request *request, const char *name)
{
    return http_read_field(&connection_of(request)->read, name);
}

/* One that is no UTF-8 is left out. */
json_t *http_headers(const struct http_request *request)
{
    const struct http_read *read = &connection_of(request)->read;
    json_t *headers = json_object();
    for (size_t i = 0; i < read->field_count; i++) {
        request_add_header(headers, read->fields[i].name, read->fields[i].value);
    }
    return headers;
}

const char *http_query(const struct http_request *request, const char *name)
{
    return http_read_arg(&connection_of(request)->read, name);
}
