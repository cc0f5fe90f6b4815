/* offboard-producer: configuration, planner's thread, edge, loop; SIGTERM drains the edge, and ends it in the opposite order. */
#include <stdlib.h>

#include "lib/daemon.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/reload.h"
#include "lib/secret.h"
#include "producer/producer.h"

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
    if (edge_draining(edge)) {
        uv_stop(handle->loop);
    } else {
        edge_drain(edge, on_drained, handle->loop);
    }
}

static void catch (uv_loop_t *loop, uv_signal_t *handle, int number, struct edge *edge)
{
    uv_signal_init(loop, handle);
    handle->data = edge;
    uv_signal_start(handle, on_signal, number);
}

static int fail(struct err *err)
{
    log_error("could not start", "error", err_text(err), NULL);
    err_release(err);
    return 1;
}

int main(int argc, char **argv)
{
    struct conf *conf = daemon_start("offboard-producer",
                                     "Takes HR events, plans offboardings and publishes their jobs.", NULL, argc, argv);
    struct err err = ERR_INIT;
    if (daemon_only_checks()) {
        int wrong = planner_check(conf, &err) != 0 || edge_check(conf, &err) != 0 ? fail(&err) : 0;
        secret_forget_all();
        conf_free(conf);
        return wrong;
    }
    uv_loop_t loop;
    uv_loop_init(&loop);

    struct planner *planner = planner_start(conf, &err);
    struct edge *edge = planner ? edge_start(conf, &loop, planner, &err) : NULL;
    int code = edge ? 0 : fail(&err);

    if (edge) {
        uv_signal_t terminate, interrupt, again;
        catch (&loop, &terminate, SIGTERM, edge);
        catch (&loop, &interrupt, SIGINT, edge);
        catch (&loop, &again, RELOAD_SIGNAL, edge);
        char *port = edge_process_port(edge) ? mem_printf("%d", edge_process_port(edge)) : NULL;
        log_info("started", "version", offboard_version, "port", port, NULL);
        free(port);
        daemon_up(conf);
        uv_run(&loop, UV_RUN_DEFAULT);
        uv_close((uv_handle_t *)&again, NULL);
        uv_close((uv_handle_t *)&terminate, NULL);
        uv_close((uv_handle_t *)&interrupt, NULL);
        edge_stop(edge);
    }
    uv_run(&loop, UV_RUN_DEFAULT); /* the last close callbacks */
    daemon_ending(code);
    planner_stop(planner);
    if (edge) {
        log_info("stopped", NULL);
        reload_now();
    }
    uv_loop_close(&loop);
    metrics_release();
    secret_forget_all();
    conf_free(conf);
    return code;
}
