/* What a handler reads of a request, and how it answers. */
#include <stdlib.h>
#include <string.h>

#include "lib/http_internal.h"
#include "lib/json.h"
#include "lib/request.h"

static struct exchange *exchange_of(const struct http_request *request)
{
    struct exchange *exchange = request->internal;
    if (exchange->magic != EXCHANGE_MAGIC) {
        abort();
    }
    return exchange;
}

struct MHD_Response *http_text_response(const char *text, const char *type)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, "Content-Type", type);
    return response;
}

static struct MHD_Response *json_response(json_t *body, const char *type)
{
    if (!body) {
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    char *text = json_text(body);
    struct MHD_Response *response = http_text_response(text, type);
    free(text);
    json_decref(body);
    return response;
}

void http_reply(struct http_request *request, int status, const char *const *headers, json_t *body)
{
    struct MHD_Response *response = json_response(body, "application/json");
    for (; headers && headers[0]; headers += 2) {
        MHD_add_response_header(response, headers[0], headers[1]);
    }
    http_exchange_answer(exchange_of(request), (unsigned int)status, response);
}

void http_problem(struct http_request *request, int status, const char *title, const char *field, const char *detail)
{
    json_t *problem = json_object();
    json_put_string(problem, "type", "about:blank");
    json_put_string(problem, "title", title);
    json_put(problem, "status", json_integer(status));
    json_put_string(problem, "detail", detail);
    json_put_string(problem, "field", field);
    struct MHD_Response *response = json_response(problem, "application/problem+json");
    if (status == 401) {
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    }
    if (status == 405) { /* RFC 9110, 15.5.6; what is read with GET is answered before any handler */
        MHD_add_response_header(response, "Allow", "POST");
    }
    if (status == 503) {
        MHD_add_response_header(response, "Retry-After", "5");
    }
    http_exchange_answer(exchange_of(request), (unsigned int)status, response);
}

const char *http_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(exchange_of(request)->connection, MHD_HEADER_KIND, name);
}

/* One that is no UTF-8 is left out. */
static enum MHD_Result add_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    if (name && value) {
        request_add_header(arg, name, value);
    }
    return MHD_YES;
}

json_t *http_headers(const struct http_request *request)
{
    json_t *headers = json_object();
    MHD_get_connection_values(exchange_of(request)->connection, MHD_HEADER_KIND, add_header, headers);
    return headers;
}

const char *http_query(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(exchange_of(request)->connection, MHD_GET_ARGUMENT_KIND, name);
}
