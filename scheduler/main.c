#include <stdlib.h>

#include "lib/daemon.h"
#include "lib/http_server.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/secret.h"
#include "scheduler/scheduler.h"

static bool ready(void *arg, char **why)
{
    struct scheduler *scheduler = arg;
    if (atomic_load(&scheduler->ready)) {
        return true;
    }
    *why = mem_strdup("PostgreSQL or Kafka is away, or the logger has not yet recorded what is in Kafka");
    return false;
}

static int run(struct conf *conf, struct err *err)
{
    struct scheduler *scheduler = scheduler_new(conf, err);
    if (!scheduler) {
        return -1;
    }
    struct http_options options = {.listen = conf_string(conf, "scheduler.listen"), .ready = ready, .arg = scheduler};
    struct http_server *server = http_server_start(&options, err);
    int result = err->class == ERR_NONE ? 0 : -1;
    if (result == 0) {
        char *port = server ? mem_printf("%d", http_server_port(server)) : NULL;
        log_info("started", "version", offboard_version, "port", port, NULL);
        free(port);
        result = scheduler_run(scheduler, err);
    }
    http_server_stop(server);
    scheduler_free(scheduler);
    return result;
}

int main(int argc, char **argv)
{
    struct conf *conf = daemon_start("offboard-scheduler", "Publishes what is due.", NULL, argc, argv);
    daemon_catch_signals();
    struct err err = ERR_INIT;
    int result = run(conf, &err);
    if (result != 0) {
        log_error("could not go on", "error", err_text(&err), NULL);
    } else {
        log_info("stopped", NULL);
    }
    err_release(&err);
    conf_free(conf);
    metrics_release();
    secret_forget_all();
    return result == 0 ? 0 : 1;
}
