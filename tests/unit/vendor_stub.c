#include "tests/unit/vendor_stub.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"

enum { ANSWER_AFTER_MS = 2 }; /* so that requests overlap where the client lets them */

struct vendor_stub {
    uv_tcp_t listener;
    struct connection *connections;
    const struct exchange *script;
    struct exchange always;
    bool by_script;
    void (*seen)(size_t count, void *arg);
    void *arg;
    struct exchange (*choose)(const char *line, const char *head, const char *body, void *arg);
    void *choose_arg;
    char *last_head;
    char *last_body;
    char *complaint;
    size_t count;
    size_t open, most;
};

struct connection {
    uv_tcp_t tcp;
    uv_timer_t timer;
    struct vendor_stub *stub;
    struct connection *next;
    struct buf in;
    struct exchange answer;
    bool answering;
    bool closing;
    int handles;
};

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    if (--connection->handles == 0) {
        buf_release(&connection->in);
        free(connection);
    }
}

static void hang_up(struct connection *connection)
{
    if (connection->closing) {
        return;
    }
    connection->closing = true;
    if (connection->answering) {
        connection->stub->open--;
    }
    struct connection **at = &connection->stub->connections;
    while (*at != connection) {
        at = &(*at)->next;
    }
    *at = connection->next;
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
    uv_close((uv_handle_t *)&connection->timer, on_closed);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    free(write->data);
    free(write);
}

/* ---- one exchange ------------------------------------------------------------------------------------------------ */

static void try_next(struct connection *connection);

static void answer(uv_timer_t *timer)
{
    struct connection *connection = timer->data;
    const struct exchange *exchange = &connection->answer;
    if (exchange->status == STUB_HANG_UP) {
        hang_up(connection);
        return;
    }
    const char *body = exchange->body ? exchange->body : "";
    struct buf out = BUF_INIT;
    buf_addf(&out, "HTTP/1.1 %d x\r\n%sContent-Length: %zu\r\n\r\n%s", exchange->status,
             exchange->headers ? exchange->headers : "", strlen(body), body);
    uv_buf_t piece = uv_buf_init(NULL, 0);
    piece.len = out.len;
    piece.base = buf_take(&out);
    uv_write_t *write = MEM_NEW(uv_write_t);
    write->data = piece.base;
    connection->answering = false;
    connection->stub->open--;
    uv_write(write, (uv_stream_t *)&connection->tcp, &piece, 1, on_written);
    try_next(connection);
}

static void complain(struct vendor_stub *stub, const char *wanted, const char *came)
{
    if (!stub->complaint) {
        stub->complaint = mem_printf("request %zu: wanted \"%s\", came \"%s\"", stub->count, wanted, came);
    }
}

/* Does the request, line and body, agree with what the script says? */
static bool agrees(const char *wanted, const char *line, const char *body)
{
    const char *part = strchr(wanted, '\n');
    size_t len = part ? (size_t)(part - wanted) : strlen(wanted);
    return strlen(line) == len && strncmp(line, wanted, len) == 0 && (!part || strstr(body, part + 1));
}

static struct exchange next_answer(struct vendor_stub *stub, const char *line, const char *head, const char *body)
{
    if (stub->choose) {
        return stub->choose(line, head, body, stub->choose_arg);
    }
    if (!stub->by_script) {
        return stub->always;
    }
    const struct exchange *next = stub->script;
    char *came = mem_printf("%s\n%s", line, body);
    bool right = next && next->request && agrees(next->request, line, body);
    if (right) {
        stub->script++;
    } else {
        complain(stub, next && next->request ? next->request : "nothing more", came);
    }
    free(came);
    return right ? *next : (struct exchange){.status = 418};
}

static size_t body_length(const char *head)
{
    const char *header = strcasestr(head, "\r\ncontent-length:");
    return header ? strtoul(header + strlen("\r\ncontent-length:"), NULL, 10) : 0;
}

/* Takes the request that lies complete in the buffer, if there is one. */
static void try_next(struct connection *connection)
{
    struct vendor_stub *stub = connection->stub;
    const char *text = buf_text(&connection->in);
    const char *end = strstr(text, "\r\n\r\n");
    if (!end || connection->answering) {
        return;
    }
    char *head = mem_strndup(text, (size_t)(end - text));
    size_t used = (size_t)(end - text) + 4 + body_length(head);
    if (connection->in.len < used) {
        free(head);
        return;
    }
    char *body = mem_strndup(end + 4, body_length(head));
    char *line = mem_strndup(head, strcspn(head, "\r"));
    char *version = strstr(line, " HTTP/");
    *version = '\0';
    stub->count++;
    connection->answer = next_answer(stub, line, head, body);
    connection->answering = true;
    stub->open++;
    stub->most = stub->open > stub->most ? stub->open : stub->most;
    struct buf rest = BUF_INIT;
    buf_add(&rest, text + used, connection->in.len - used);
    buf_release(&connection->in);
    connection->in = rest;
    free(stub->last_head);
    free(stub->last_body);
    stub->last_head = head;
    stub->last_body = body;
    free(line);
    if (connection->answer.status != STUB_SILENCE) {
        uv_timer_start(&connection->timer, answer, ANSWER_AFTER_MS, 0);
    }
    if (stub->seen) {
        stub->seen(stub->count, stub->arg);
    }
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void)handle;
    *buf = uv_buf_init(mem_alloc(size), (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct connection *connection = stream->data;
    if (count > 0) {
        buf_add(&connection->in, buf->base, (size_t)count);
    }
    free(buf->base);
    if (count < 0) {
        hang_up(connection);
    } else {
        try_next(connection);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct vendor_stub *stub = listener->data;
    struct connection *connection = MEM_NEW(struct connection);
    (void)status;
    connection->stub = stub;
    connection->handles = 2;
    uv_tcp_init(listener->loop, &connection->tcp);
    uv_timer_init(listener->loop, &connection->timer);
    connection->tcp.data = connection;
    connection->timer.data = connection;
    connection->next = stub->connections;
    stub->connections = connection;
    uv_accept(listener, (uv_stream_t *)&connection->tcp);
    uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read);
}

/* ---- for the test ------------------------------------------------------------------------------------------------ */

struct vendor_stub *vendor_stub_start(uv_loop_t *loop)
{
    struct vendor_stub *stub = MEM_NEW(struct vendor_stub);
    struct sockaddr_in address;
    uv_tcp_init(loop, &stub->listener);
    stub->listener.data = stub;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&stub->listener, (const struct sockaddr *)&address, 0);
    uv_listen((uv_stream_t *)&stub->listener, 128, on_connection);
    return stub;
}

int vendor_stub_port(const struct vendor_stub *stub)
{
    struct sockaddr_in address;
    int size = sizeof address;
    uv_tcp_getsockname(&stub->listener, (struct sockaddr *)&address, &size);
    return ntohs(address.sin_port);
}

static void start_over(struct vendor_stub *stub)
{
    free(stub->complaint);
    stub->complaint = NULL;
    stub->count = 0;
    stub->choose = NULL;
}

void vendor_stub_script(struct vendor_stub *stub, const struct exchange *exchanges)
{
    start_over(stub);
    stub->by_script = true;
    stub->script = exchanges;
}

void vendor_stub_always(struct vendor_stub *stub, int status, const char *body)
{
    start_over(stub);
    stub->by_script = false;
    stub->always = (struct exchange){.status = status, .body = body};
}

void vendor_stub_choose(struct vendor_stub *stub,
                        struct exchange (*choose)(const char *line, const char *head, const char *body, void *arg),
                        void *arg)
{
    start_over(stub);
    stub->by_script = false;
    stub->choose = choose;
    stub->choose_arg = arg;
}

void vendor_stub_on_request(struct vendor_stub *stub, void (*seen)(size_t count, void *arg), void *arg)
{
    stub->seen = seen;
    stub->arg = arg;
}

const char *vendor_stub_last_head(const struct vendor_stub *stub)
{
    return stub->last_head ? stub->last_head : "";
}

const char *vendor_stub_last_body(const struct vendor_stub *stub)
{
    return stub->last_body ? stub->last_body : "";
}

size_t vendor_stub_count(const struct vendor_stub *stub)
{
    return stub->count;
}

size_t vendor_stub_most_at_once(const struct vendor_stub *stub)
{
    return stub->most;
}

const char *vendor_stub_complaint(struct vendor_stub *stub)
{
    if (stub->by_script && stub->script && stub->script->request) {
        complain(stub, stub->script->request, "nothing more");
    }
    return stub->complaint;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct vendor_stub *stub = handle->data;
    free(stub->last_head);
    free(stub->last_body);
    free(stub->complaint);
    free(stub);
}

void vendor_stub_stop(struct vendor_stub *stub)
{
    while (stub->connections) {
        hang_up(stub->connections);
    }
    uv_close((uv_handle_t *)&stub->listener, on_listener_closed);
}
