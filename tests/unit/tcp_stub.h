/* A server within the test's own loop that says what the test wants, byte by byte. */
#ifndef OFFBOARD_TESTS_UNIT_TCP_STUB_H
#define OFFBOARD_TESTS_UNIT_TCP_STUB_H

#include <stddef.h>
#include <uv.h>

#include "lib/buf.h"

struct tcp_stub;

/* One connection. */
struct tcp_peer {
    struct buf heard; /* what came and was not yet cleared by the test */
    int stage;        /* for the test */
    struct tcp_stub *stub;
    struct tcp_peer *next;
    uv_tcp_t tcp;
};

/* `hear` is called when somebody connects (nothing is heard yet), and whenever more came. */
struct tcp_stub *tcp_stub_start(uv_loop_t *loop, void (*hear)(struct tcp_peer *peer, void *arg), void *arg);
int tcp_stub_port(const struct tcp_stub *stub);
size_t tcp_stub_count(const struct tcp_stub *stub); /* of connections so far */

void tcp_peer_say(struct tcp_peer *peer, const char *data, size_t len);
void tcp_peer_hang_up(struct tcp_peer *peer); /* after what was said; the peer is gone then */

/* Gone when the loop has run its close callbacks. */
void tcp_stub_stop(struct tcp_stub *stub);

#endif
