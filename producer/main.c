/* offboard-producer: configuration, planner's thread, edge, loop; SIGTERM drains the edge, and ends it in the opposite order. */
#include <stdlib.h>

#include "lib/daemon.h"
#include "lib/log.h"
#include "lib/metrics.h"
#include "lib/reload.h"
#include "lib/secret.h"
#include "producer/producer.h"

static int fail(struct err *err)
{
    log_error("could not start", "error", err_text(err), NULL);
    err_release(err);
    return 1;
}

static int run(const struct conf *conf)
{
    struct err err = ERR_INIT;
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct planner *planner = planner_start(conf, &err);
    struct edge *edge =
        planner ? edge_start(conf, &loop, &producer_api, planner, planner_keyring(planner), &err) : NULL;
    int code = edge ? 0 : fail(&err);
    if (edge) {
        edge_serve(edge);
    }
    uv_run(&loop, UV_RUN_DEFAULT); /* the last close callbacks */
    daemon_ending(code);
    planner_stop(planner);
    uv_loop_close(&loop);
    return code;
}

static int check(const struct conf *conf)
{
    struct err err = ERR_INIT;
    return planner_check(conf, &err) != 0 || edge_check(conf, &producer_api, &err) != 0 ? fail(&err) : 0;
}

int main(int argc, char **argv)
{
    struct conf *conf = daemon_start("offboard-producer",
                                     "Takes HR events, plans offboardings and publishes their jobs.", NULL, argc, argv);
    int code = daemon_only_checks() ? check(conf) : run(conf);
    metrics_release();
    secret_forget_all();
    conf_free(conf);
    if (code == 0 && !daemon_only_checks()) {
        log_info("stopped", NULL);
        reload_now();
    }
    return code;
}
