#include <stdlib.h>

#include "lib/daemon.h"
#include "lib/http_server.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/secret.h"
#include "logger/logger.h"

static bool ready(void *arg, char **why)
{
    struct logger *logger = arg;
    if (atomic_load(&logger->ready)) {
        return true;
    }
    *why = mem_strdup("PostgreSQL or Kafka is away, or the schema is not there");
    return false;
}

static int run(struct conf *conf, struct err *err)
{
    struct logger *logger = logger_new(conf, err);
    if (!logger) {
        return -1;
    }
    struct http_options options = {.listen = conf_string(conf, "logger.listen"), .ready = ready, .arg = logger};
    struct http_server *server = http_server_start(&options, err);
    int result = err->class == ERR_NONE ? 0 : -1;
    if (result == 0) {
        char *port = server ? mem_printf("%d", http_server_port(server)) : NULL;
        log_info("started", "version", offboard_version, "port", port, NULL);
        free(port);
        result = logger_run(logger, err);
    }
    http_server_stop(server);
    logger_free(logger);
    return result;
}

int main(int argc, char **argv)
{
    struct conf *conf =
        daemon_start("offboard-logger", "Records events in PostgreSQL, exactly once.", NULL, argc, argv);
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
