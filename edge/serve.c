/* The life of a program with an edge, from "started" to "stopped". */
#include <stdlib.h>

#include "edge/edge.h"
#include "lib/daemon.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/reload.h"

static void on_drained(void *loop)
{
    uv_stop(loop);
}

/* The first one drains the edge; with a second one nothing is waited for. */
static void on_signal(uv_signal_t *handle, int number)
{
    struct edge *edge = handle->data;
    if (number != RELOAD_SIGNAL) {
        reload_cancel();
    } else if (!reload_wanted()) {
        return;
    }
    if (edge->draining) {
        uv_stop(handle->loop);
    } else {
        edge_drain(edge, on_drained, handle->loop);
    }
}

void edge_serve(struct edge *edge)
{
    static const int numbers[] = {SIGTERM, SIGINT, RELOAD_SIGNAL};
    uv_signal_t signals[COUNT_OF(numbers)];
    uv_loop_t *loop = edge->loop;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        uv_signal_init(loop, &signals[i]);
        signals[i].data = edge;
        uv_signal_start(&signals[i], on_signal, numbers[i]);
    }
    char *port = edge->process_server ? mem_printf("%d", http_server_port(edge->process_server)) : NULL;
    log_info("started", "version", offboard_version, "port", port, NULL);
    free(port);
    daemon_up(edge->conf);
    uv_run(loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        uv_close((uv_handle_t *)&signals[i], NULL);
    }
    edge_stop(edge);
    uv_run(loop, UV_RUN_DEFAULT); /* the last close callbacks */
}
