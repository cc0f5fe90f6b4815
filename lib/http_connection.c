/* One connection: its requests, one after the other, and its deadlines. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/http_internal.h"
#include "lib/mem.h"

enum {
    ANSWER_MS = 30000, /* for a client to take its answer */
    LINGER_MS = 2000,
    LINGER_BYTES = 1024 * 1024,
    DRAIN_IDLE_MS = 1000, /* a client that has just begun to send is still read */
    DRAIN_HEAD_MS = 2000,
    READ_SIZE = 64 * 1024
};

static struct connection *connection_of(void *arg)
{
    struct connection *connection = arg;
    if (connection->magic != CONNECTION_MAGIC) {
        abort();
    }
    return connection;
}

static int64_t now_of(const struct connection *connection)
{
    return (int64_t)uv_now(connection->server->loop);
}

static void enter(struct connection *connection, enum connection_state state)
{
    connection->state = state;
    connection->since = now_of(connection);
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */

static void hold(struct connection *connection, size_t bytes)
{
    size_t *held = &connection->server->held[connection->request.proven];
    *held = *held - connection->held + bytes;
    connection->held = bytes;
}

static void end_request(struct connection *connection)
{
    hold(connection, 0);
    free(connection->request.caller);
    connection->request = (struct http_request){0};
    http_read_next(&connection->read);
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = connection_of(handle->data);
    struct http_server *server = connection->server;
    connection->magic = 0;
    buf_release(&connection->early);
    free(connection->answer);
    free(connection);
    http_server_handle_closed(server);
}

void http_connection_close(struct connection *connection, const char *why)
{
    if (connection->state == CONNECTION_CLOSING) {
        return;
    }
    struct http_server *server = connection->server;
    if (why) {
        series_add(metric_series(server->closed, server->options.name, why, NULL), 1);
    }
    connection->state = CONNECTION_CLOSING;
    end_request(connection);
    http_read_release(&connection->read);
    *connection->link = connection->next;
    if (connection->next) {
        connection->next->link = connection->link;
    }
    server->count--;
    series_set(server->open, (double)server->count);
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

static void start_reading(struct connection *connection);

/* RFC 9112, 9.6: with unread bytes a plain close would take the answer away from the client. */
static void linger(struct connection *connection)
{
    enter(connection, CONNECTION_LINGERING);
    if (uv_shutdown(&connection->shutdown, (uv_stream_t *)&connection->tcp, NULL) != 0) {
        http_connection_close(connection, NULL);
        return;
    }
    start_reading(connection);
}

/* ---- answering --------------------------------------------------------------------------------------------------- */

static void take(struct connection *connection, const char *bytes, size_t len);

static void next_request(struct connection *connection)
{
    struct buf early = connection->early;
    connection->early = (struct buf)BUF_INIT;
    end_request(connection);
    connection->served = true;
    enter(connection, CONNECTION_HEAD);
    start_reading(connection);
    take(connection, buf_text(&early), early.len);
    buf_release(&early);
}

static void on_written(uv_write_t *write, int status)
{
    struct connection *connection = connection_of(write->data);
    free(connection->answer);
    connection->answer = NULL;
    if (connection->state != CONNECTION_ANSWERING) {
        return;
    }
    if (status != 0) {
        http_connection_close(connection, NULL);
    } else if (connection->last) {
        linger(connection);
    } else {
        next_request(connection);
    }
}

static void add_date(struct buf *out)
{
    char text[40];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    buf_addf(out, "Date: %s\r\n", text);
}

void http_connection_answer(struct connection *connection, int status, const char *fields, const char *body, size_t len)
{
    struct buf out = BUF_INIT;
    bool body_unread = connection->state == CONNECTION_HEAD || connection->state == CONNECTION_BODY;
    connection->last = connection->last || connection->server->closing || !connection->read.keep_alive ||
                       (body_unread && http_read_has_body(&connection->read));
    buf_addf(&out, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
    add_date(&out);
    buf_adds(&out, fields);
    if (status != 204) {
        buf_addf(&out, "Content-Length: %zu\r\n", len);
    }
    buf_adds(&out, connection->last ? "Connection: close\r\n\r\n" : "\r\n");
    if (!connection->read.method || strcmp(connection->read.method, "HEAD") != 0) {
        buf_add(&out, body, len);
    }
    uv_buf_t part = uv_buf_init(NULL, (unsigned int)out.len);
    part.base = connection->answer = buf_take(&out);
    uv_read_stop((uv_stream_t *)&connection->tcp);
    enter(connection, CONNECTION_ANSWERING);
    if (uv_write(&connection->write, (uv_stream_t *)&connection->tcp, &part, 1, on_written) != 0) {
        http_connection_close(connection, NULL);
    }
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void refuse(struct connection *connection, int status, const char *detail, const char *why)
{
    struct http_server *server = connection->server;
    series_add(metric_series(server->closed, server->options.name, why, NULL), 1);
    connection->last = true;
    http_problem(&connection->request, status, http_reason(status), NULL, detail);
}

/* False: the body is not wanted. */
static bool on_head(struct connection *connection)
{
    const struct http_options *options = &connection->server->options;
    struct http_request *request = &connection->request;
    request->method = connection->read.method;
    request->path = connection->read.path;
    enter(connection, CONNECTION_BODY);
    if (options->admit && !options->admit(request, options->arg)) {
        return false;
    }
    if (connection->read.expects_continue && http_read_has_body(&connection->read)) {
        static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
        uv_buf_t part = uv_buf_init(text, sizeof text - 1);
        uv_try_write((uv_stream_t *)&connection->tcp, &part, 1);
    }
    return true;
}

static void on_whole(struct connection *connection)
{
    const struct http_options *options = &connection->server->options;
    struct http_request *request = &connection->request;
    request->body = buf_text(&connection->read.body);
    request->body_len = connection->read.body.len;
    uv_read_stop((uv_stream_t *)&connection->tcp);
    enter(connection, CONNECTION_HANDLED);
    if (options->handle) {
        options->handle(request, options->arg);
    } else {
        http_builtin(connection);
    }
}

static bool fits_in_memory(struct connection *connection)
{
    const struct http_server *server = connection->server;
    hold(connection, connection->read.body.len);
    size_t limit = server->options.limits.bodies;
    return connection->held == 0 ||
           (server->held[0] + server->held[1] <= limit && (connection->request.proven || server->held[0] <= limit / 2));
}

static void take_step(struct connection *connection, enum http_read_step step)
{
    struct http_read *read = &connection->read;
    if (step == HTTP_READ_REFUSED) {
        refuse(connection, read->status, read->detail, "refused");
    } else if (!fits_in_memory(connection)) {
        refuse(connection, 503, "too many requests are being received; send the same again", "memory");
    } else if (step == HTTP_READ_WHOLE) {
        on_whole(connection);
    }
}

/* Reads on until the bytes are used or a request waits for its answer; what is left then is kept for later. */
static void take(struct connection *connection, const char *bytes, size_t len)
{
    enum http_read_step step = HTTP_READ_HEAD;
    if (connection->state == CONNECTION_HEAD && len && !http_read_begun(&connection->read)) {
        connection->since = connection->served ? now_of(connection) : connection->since;
        connection->request.internal = connection;
        connection->request.address = connection->address;
        connection->request.body = "";
    }
    while ((connection->state == CONNECTION_HEAD || connection->state == CONNECTION_BODY) &&
           (len || step == HTTP_READ_HEAD)) {
        size_t used;
        step = http_read_feed(&connection->read, bytes, len, &used);
        bytes += used;
        len -= used;
        if (step == HTTP_READ_HEAD) {
            on_head(connection);
        } else {
            take_step(connection, step);
        }
    }
    bool waits = connection->state == CONNECTION_HANDLED || connection->state == CONNECTION_ANSWERING;
    if (waits && !connection->last) {
        buf_add(&connection->early, bytes, len);
    }
}

static void on_allocate(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    (void)handle;
    (void)size;
    static _Thread_local char bytes[READ_SIZE]; /* what was read is used before the next read */
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct connection *connection = connection_of(stream->data);
    if (count < 0) {
        http_connection_close(connection, NULL);
    } else if (connection->state != CONNECTION_LINGERING) {
        take(connection, buffer->base, (size_t)count);
    } else if ((connection->discarded += (size_t)count) > LINGER_BYTES) {
        http_connection_close(connection, NULL);
    }
}

static void start_reading(struct connection *connection)
{
    uv_read_start((uv_stream_t *)&connection->tcp, on_allocate, on_read);
}

/* ---- deadlines --------------------------------------------------------------------------------------------------- */

bool http_connection_idle(const struct connection *connection)
{
    return connection->state == CONNECTION_HEAD && !http_read_begun(&connection->read);
}

static void check_head(struct connection *connection, int64_t now)
{
    const struct http_server *server = connection->server;
    const struct http_limits *limits = &server->options.limits;
    bool idle = http_connection_idle(connection);
    int64_t age = now - connection->since;
    int64_t drains = server->drain_until ? now - server->drain_began : 0;
    if (drains > (idle ? DRAIN_IDLE_MS : DRAIN_HEAD_MS) && age > (idle ? DRAIN_IDLE_MS : DRAIN_HEAD_MS)) {
        http_connection_close(connection, NULL);
    } else if (idle && age > (connection->served ? limits->idle_ms : limits->head_ms)) {
        http_connection_close(connection, connection->served ? NULL : "head_time");
    } else if (!idle && age > limits->head_ms) {
        refuse(connection, 408, "the head of the request did not arrive within http.head_time", "head_time");
    }
}

void http_connection_check(struct connection *connection, int64_t now)
{
    int64_t age = now - connection->since;
    if (connection->state == CONNECTION_HEAD) {
        check_head(connection, now);
    } else if (connection->state == CONNECTION_BODY && age > connection->server->options.limits.body_ms) {
        refuse(connection, 408, "the body did not arrive within http.body_time", "body_time");
    } else if (connection->state == CONNECTION_ANSWERING && age > ANSWER_MS) {
        http_connection_close(connection, "answer_time");
    } else if (connection->state == CONNECTION_LINGERING && age > LINGER_MS) {
        http_connection_close(connection, NULL);
    }
}

/* ---- beginning --------------------------------------------------------------------------------------------------- */

void http_address_key(const struct sockaddr_storage *peer, unsigned char *key)
{
    memset(key, 0, ADDRESS_KEY);
    if (peer->ss_family == AF_INET) {
        memcpy(key, &((const struct sockaddr_in *)peer)->sin_addr, 4);
        return;
    }
    const struct in6_addr *address = &((const struct sockaddr_in6 *)peer)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        memcpy(key, address->s6_addr + 12, 4);
    } else {
        memcpy(key, address, ADDRESS_KEY);
    }
}

static void write_address(const struct sockaddr_storage *peer, char *text)
{
    const void *address = peer->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)peer)->sin_addr
                                                     : (const void *)&((const struct sockaddr_in6 *)peer)->sin6_addr;
    if (!inet_ntop(peer->ss_family, address, text, INET6_ADDRSTRLEN)) {
        *text = '\0';
    }
}

void http_connection_new(struct http_server *server, int fd, const struct sockaddr_storage *peer)
{
    struct connection *connection = MEM_NEW(struct connection);
    connection->magic = CONNECTION_MAGIC;
    connection->server = server;
    connection->read.body_limit = server->options.limits.body;
    http_address_key(peer, connection->key);
    write_address(peer, connection->address);
    connection->link = &server->connections;
    connection->next = server->connections;
    if (connection->next) {
        connection->next->link = &connection->next;
    }
    server->connections = connection;
    series_set(server->open, (double)++server->count);
    uv_tcp_init(server->loop, &connection->tcp);
    server->open_handles++;
    connection->tcp.data = connection;
    connection->write.data = connection;
    uv_tcp_open(&connection->tcp, fd);
    uv_tcp_nodelay(&connection->tcp, 1);
    enter(connection, CONNECTION_HEAD);
    start_reading(connection);
    http_server_watch(server);
}
