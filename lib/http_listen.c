/* The socket that listens, and who gets a connection: how many in all, how many from one address, and who makes room. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/http_internal.h"
#include "lib/mem.h"
#include "lib/reload.h"

enum { ACCEPT_AT_ONCE = 64, NEAR_PERCENT = 90 };

/* "127.0.0.1:8080", "[::1]:8080", ":8080" (all IPv4 addresses). */
static int find_address(const char *text, struct addrinfo **found, struct err *err)
{
    const char *colon = strrchr(text, ':');
    if (!colon) {
        return err_set(err, ERR_FATAL, "could not listen on \"%s\": it must be ADDRESS:PORT", text);
    }
    const char *from = *text == '[' ? text + 1 : text;
    const char *to = colon > text && colon[-1] == ']' ? colon - 1 : colon;
    char *host = to > from ? mem_strndup(from, (size_t)(to - from)) : mem_strdup("0.0.0.0");
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    int code = getaddrinfo(host, colon + 1, &hints, found);
    free(host);
    return code ? err_set(err, ERR_FATAL, "could not listen on \"%s\": %s", text, gai_strerror(code)) : 0;
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return 0;
    }
    return ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                              : ((struct sockaddr_in6 *)&address)->sin6_port);
}

static int take_socket(struct http_server *server, int fd)
{
    server->fd = fd;
    server->port = port_of(fd);
    return 0;
}

int http_listen(struct http_server *server, struct err *err)
{
    int left = reload_socket(server->options.listen);
    if (left >= 0) {
        return take_socket(server, left);
    }
    struct addrinfo *address = NULL;
    if (find_address(server->options.listen, &address, err) != 0) {
        return -1;
    }
    int one = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool listens = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                   bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0;
    int why = errno;
    freeaddrinfo(address);
    if (!listens) {
        if (fd >= 0) {
            close(fd);
        }
        return err_set(err, ERR_FATAL, "could not listen on \"%s\": %s", server->options.listen, strerror(why));
    }
    return take_socket(server, fd);
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

/* The connection that has waited longest without a whole head of a request (`key` NULL: of any address). Those that sent nothing go
 * first; a request whose head was admitted is never given up. NULL: none. */
static struct connection *find_idle(const struct http_server *server, const unsigned char *key)
{
    struct connection *found = NULL;
    for (struct connection *at = server->connections; at; at = at->next) {
        bool counts = (at->state == CONNECTION_HEAD || at->state == CONNECTION_LINGERING) &&
                      (!key || memcmp(at->key, key, ADDRESS_KEY) == 0);
        bool better = found && (http_connection_idle(at) != http_connection_idle(found) ? http_connection_idle(at)
                                                                                        : at->since < found->since);
        found = counts && (!found || better) ? at : found;
    }
    return found;
}

/* True: there is room for one more. */
static bool make_room(struct http_server *server, const unsigned char *key, const char *why)
{
    struct connection *idle = find_idle(server, key);
    if (idle) {
        http_connection_close(idle, why);
    }
    return idle != NULL;
}

static size_t count_of(const struct http_server *server, const unsigned char *key)
{
    size_t count = 0;
    for (const struct connection *at = server->connections; at; at = at->next) {
        count += memcmp(at->key, key, ADDRESS_KEY) == 0;
    }
    return count;
}

static bool has_room(struct http_server *server, const struct sockaddr_storage *peer)
{
    const struct http_limits *limits = &server->options.limits;
    unsigned char key[ADDRESS_KEY];
    http_address_key(peer, key);
    if (count_of(server, key) >= limits->per_address && !make_room(server, key, "address_limit")) {
        return false;
    }
    if (server->count * 100 >= limits->connections * NEAR_PERCENT) {
        make_room(server, NULL, "limit");
    }
    return server->count < limits->connections;
}

/* ---- accepting --------------------------------------------------------------------------------------------------- */

/* The poll would come back at once, and for nothing. */
static bool pause_for_a_moment(struct http_server *server)
{
    server->paused = true;
    uv_poll_stop(&server->poll);
    http_server_watch(server);
    return false;
}

/* False: there is none that waits. */
static bool accept_one(struct http_server *server)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    int fd = accept4(server->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
        return make_room(server, NULL, "descriptors") || pause_for_a_moment(server);
    }
    if (fd < 0) {
        return errno == ECONNABORTED || errno == EINTR;
    }
    if (has_room(server, &peer)) {
        http_connection_new(server, fd, &peer);
    } else {
        series_add(metric_series(server->closed, server->options.name, "no_room", NULL), 1);
        close(fd);
    }
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct http_server *server = poll->data;
    for (int i = 0; i < ACCEPT_AT_ONCE && accept_one(server); i++) {
    }
}

void http_listen_start(struct http_server *server)
{
    uv_poll_init(server->loop, &server->poll, server->fd);
    server->poll.data = server;
    uv_poll_start(&server->poll, UV_READABLE, on_readable);
}

void http_listen_resume(struct http_server *server)
{
    server->paused = false;
    if (server->fd >= 0) {
        uv_poll_start(&server->poll, UV_READABLE, on_readable);
    }
}

static void on_poll_closed(uv_handle_t *handle)
{
    http_server_handle_closed(handle->data);
}

/* A client whose connection the kernel has made already would be reset by close(2). So no further connection is begun (a filter drops
 * the packets that ask for one), those that wait are taken, and then the socket is closed. */
void http_listen_stop(struct http_server *server)
{
    struct sock_filter nothing = {BPF_RET | BPF_K, 0, 0, 0};
    struct sock_fprog filter = {1, &nothing};
    if (server->fd < 0) {
        return;
    }
    uv_poll_stop(&server->poll);
    uv_close((uv_handle_t *)&server->poll, on_poll_closed);
    if (reload_wanted()) { /* those that wait are the next program's */
        reload_leave_socket(server->options.listen, server->fd);
    } else {
        setsockopt(server->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
        while (accept_one(server)) {
        }
        close(server->fd);
    }
    server->fd = -1;
}
