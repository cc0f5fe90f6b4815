#include "tests/unit/tcp_stub.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

struct tcp_stub {
    uv_tcp_t listener;
    struct tcp_peer *peers;
    size_t count;
    void (*hear)(struct tcp_peer *peer, void *arg);
    void *arg;
};

struct saying {
    uv_write_t write;
    char *data;
};

static void on_peer_closed(uv_handle_t *handle)
{
    struct tcp_peer *peer = handle->data;
    buf_release(&peer->heard);
    free(peer);
}

static void drop(struct tcp_peer *peer)
{
    if (uv_is_closing((uv_handle_t *)&peer->tcp)) {
        return;
    }
    struct tcp_peer **at = &peer->stub->peers;
    while (*at != peer) {
        at = &(*at)->next;
    }
    *at = peer->next;
    uv_close((uv_handle_t *)&peer->tcp, on_peer_closed);
}

static void on_shut(uv_shutdown_t *shut, int status)
{
    struct tcp_peer *peer = shut->data;
    free(shut);
    if (status == 0) { /* else it is being dropped */
        drop(peer);
    }
}

void tcp_peer_hang_up(struct tcp_peer *peer)
{
    uv_shutdown_t *shut = MEM_NEW(uv_shutdown_t);
    shut->data = peer;
    if (uv_shutdown(shut, (uv_stream_t *)&peer->tcp, on_shut) != 0) {
        free(shut);
        drop(peer);
    }
}

static void on_said(uv_write_t *write, int status)
{
    (void)status;
    struct saying *saying = write->data;
    free(saying->data);
    free(saying);
}

void tcp_peer_say(struct tcp_peer *peer, const char *data, size_t len)
{
    struct saying *saying = MEM_NEW(struct saying);
    saying->data = mem_alloc(len + 1);
    memcpy(saying->data, data, len);
    saying->write.data = saying;
    uv_buf_t piece = uv_buf_init(saying->data, (unsigned)len);
    uv_write(&saying->write, (uv_stream_t *)&peer->tcp, &piece, 1, on_said);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void)handle;
    *buf = uv_buf_init(mem_alloc(size), (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct tcp_peer *peer = stream->data;
    if (count > 0) {
        buf_add(&peer->heard, buf->base, (size_t)count);
    }
    free(buf->base);
    if (count < 0) {
        drop(peer);
    } else if (count > 0) {
        peer->stub->hear(peer, peer->stub->arg);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    (void)status;
    struct tcp_stub *stub = listener->data;
    struct tcp_peer *peer = MEM_NEW(struct tcp_peer);
    peer->stub = stub;
    peer->tcp.data = peer;
    peer->next = stub->peers;
    stub->peers = peer;
    stub->count++;
    uv_tcp_init(listener->loop, &peer->tcp);
    uv_accept(listener, (uv_stream_t *)&peer->tcp);
    uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_read);
    stub->hear(peer, stub->arg);
}

struct tcp_stub *tcp_stub_start(uv_loop_t *loop, void (*hear)(struct tcp_peer *peer, void *arg), void *arg)
{
    struct tcp_stub *stub = MEM_NEW(struct tcp_stub);
    struct sockaddr_in address;
    stub->hear = hear;
    stub->arg = arg;
    uv_tcp_init(loop, &stub->listener);
    stub->listener.data = stub;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&stub->listener, (const struct sockaddr *)&address, 0);
    uv_listen((uv_stream_t *)&stub->listener, 128, on_connection);
    return stub;
}

int tcp_stub_port(const struct tcp_stub *stub)
{
    struct sockaddr_in address;
    int size = sizeof address;
    uv_tcp_getsockname(&stub->listener, (struct sockaddr *)&address, &size);
    return ntohs(address.sin_port);
}

size_t tcp_stub_count(const struct tcp_stub *stub)
{
    return stub->count;
}

static void on_stopped(uv_handle_t *handle)
{
    free(handle->data);
}

void tcp_stub_stop(struct tcp_stub *stub)
{
    while (stub->peers) {
        drop(stub->peers);
    }
    uv_close((uv_handle_t *)&stub->listener, on_stopped);
}
