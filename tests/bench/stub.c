/* A vendor that answers as fast as a single epoll thread can: every request gets 200 and `{"id":"1","active":false}`.
 *
 *   stub PORT [MS]   listens on 127.0.0.1:PORT (0: a free one), prints "port N", runs until SIGTERM; every answer comes MS
 *                    milliseconds after its request
 *
 * It understands just enough HTTP/1.1 for a benchmark: keep-alive, Content-Length bodies, pipelined requests. It exists so
 * that the worker and raw libcurl are measured against the same peer, one that is never the bottleneck. GET /count answers
 * with the number of requests served so far. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/mem.h"

struct peer {
    int fd;
    struct buf in;
    struct buf out;
    size_t owed; /* answers whose time has not come */
    bool gone;   /* closed; freed when nothing is owed to it any more */
};

/* Answers to come, in the order of their time: all wait equally long. */
struct debt {
    struct peer *peer;
    int64_t due; /* milliseconds */
};

static volatile sig_atomic_t stopping;
static unsigned long served;
static int64_t latency; /* milliseconds */
static struct debt *debts;
static size_t first_debt, debt_count, debt_room;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_term(int sig)
{
    (void)sig;
    stopping = 1;
}

/* Length of the first whole request in `in`, 0 while it is incomplete. */
static size_t request_length(const struct buf *in)
{
    if (!in->len) {
        return 0;
    }
    const char *end = strstr(in->data, "\r\n\r\n");
    if (!end) {
        return 0;
    }
    size_t head = (size_t)(end - in->data) + 4;
    const char *length = strcasestr(in->data, "\r\ncontent-length:");
    size_t body = length && length < end ? strtoul(length + strlen("\r\ncontent-length:"), NULL, 10) : 0;
    return in->len >= head + body ? head + body : 0;
}

static void reply(struct peer *peer, const char *body)
{
    buf_addf(&peer->out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
}

static void serve(struct peer *peer)
{
    reply(peer, "{\"id\":\"1\",\"active\":false}");
    served++;
}

static void owe(struct peer *peer)
{
    if (first_debt + debt_count == debt_room) {
        memmove(debts, debts + first_debt, debt_count * sizeof *debts);
        first_debt = 0;
        if (debt_count * 2 > debt_room || !debt_room) {
            debt_room = debt_room ? debt_room * 2 : 1024;
            debts = mem_realloc(debts, debt_room * sizeof *debts);
        }
    }
    debts[first_debt + debt_count++] = (struct debt){peer, now_ms() + latency};
    peer->owed++;
}

static void answer(struct peer *peer)
{
    if (strncmp(peer->in.data, "GET /count ", 11) == 0) {
        char body[64];
        snprintf(body, sizeof body, "{\"served\":%lu}", served);
        reply(peer, body);
    } else if (latency) {
        owe(peer);
    } else {
        serve(peer);
    }
}

static bool peer_flush(struct peer *peer)
{
    while (peer->out.len) {
        ssize_t n = send(peer->fd, peer->out.data, peer->out.len, MSG_NOSIGNAL);
        if (n < 0) {
            return errno == EAGAIN;
        }
        memmove(peer->out.data, peer->out.data + n, peer->out.len - (size_t)n + 1);
        peer->out.len -= (size_t)n;
    }
    return true;
}

/* False when the peer is gone. */
static bool peer_serve(struct peer *peer)
{
    char chunk[16384];
    for (;;) {
        ssize_t n = recv(peer->fd, chunk, sizeof chunk, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            return false;
        }
        if (n < 0) {
            break;
        }
        buf_add(&peer->in, chunk, (size_t)n);
    }
    size_t len;
    while ((len = request_length(&peer->in)) > 0) {
        answer(peer);
        memmove(peer->in.data, peer->in.data + len, peer->in.len - len + 1);
        peer->in.len -= len;
    }
    return peer_flush(peer);
}

static void peer_free(struct peer *peer)
{
    buf_release(&peer->in);
    buf_release(&peer->out);
    free(peer);
}

static void peer_end(struct peer *peer)
{
    close(peer->fd);
    peer->gone = true;
    if (!peer->owed) {
        peer_free(peer);
    }
}

/* Answers whose time has come; the milliseconds until the next. */
static int pay(void)
{
    while (debt_count && debts[first_debt].due <= now_ms()) {
        struct peer *peer = debts[first_debt++].peer;
        debt_count--;
        peer->owed--;
        if (!peer->gone) {
            serve(peer);
            if (!peer_flush(peer)) {
                peer_end(peer);
            }
        } else if (!peer->owed) {
            peer_free(peer);
        }
    }
    return debt_count ? (int)(debts[first_debt].due - now_ms()) + 1 : 1000;
}

static int listen_on(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0) {
        perror("stub: could not listen");
        exit(1);
    }
    printf("port %d\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

static void accept_all(int poller, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct peer *peer = MEM_NEW(struct peer);
        peer->fd = fd;
        struct epoll_event want = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = peer};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &want);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: stub PORT [MS]\n");
        return 2;
    }
    latency = argc == 3 ? atoi(argv[2]) : 0;
    struct sigaction term = {.sa_handler = on_term};
    sigaction(SIGTERM, &term, NULL);
    int listener = listen_on(atoi(argv[1]));
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event want = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &want);
    struct epoll_event ready[256];
    while (!stopping) {
        int wait = pay();
        int n = epoll_wait(poller, ready, (int)COUNT_OF(ready), wait > 0 ? wait : 0);
        for (int i = 0; i < n; i++) {
            struct peer *peer = ready[i].data.ptr;
            if (!peer) {
                accept_all(poller, listener);
            } else if (!peer_serve(peer)) {
                peer_end(peer);
            }
        }
    }
    return 0;
}
