/* offboard-worker: runs the jobs of one or more systems. The order of start-up is the story; worker.h says the rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/daemon.h"
#include "lib/http_server.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/reload.h"
#include "lib/secret.h"
#include "worker/check.h"
#include "worker/fiber.h"
#include "worker/systems.h"
#include "worker/try.h"
#include "worker/worker.h"

struct process {
    uv_loop_t loop;
    struct worker *worker;
    struct http_server *server;
    uv_signal_t terminate;
    uv_signal_t interrupt;
    uv_signal_t again; /* lib/reload.h */
};

static bool ready(void *arg, char **why)
{
    return worker_ready(((struct process *)arg)->worker, why);
}

/* Nothing is in hand any more: with its last handles gone the loop ends. */
static void on_drained(void *arg)
{
    struct process *process = arg;
    http_server_stop(process->server);
    uv_close((uv_handle_t *)&process->terminate, NULL);
    uv_close((uv_handle_t *)&process->interrupt, NULL);
    uv_close((uv_handle_t *)&process->again, NULL);
    uv_stop(&process->loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct process *process = handle->data;
    if (number != RELOAD_SIGNAL) {
        reload_cancel();
    } else if (!reload_wanted()) {
        return;
    }
    worker_drain(process->worker, on_drained, process);
}

static void catch_signal(struct process *process, uv_signal_t *handle, int number)
{
    uv_signal_init(&process->loop, handle);
    handle->data = process;
    uv_signal_start(handle, on_signal, number);
}

static int serve(struct process *process, const struct conf *conf, struct definitions *definitions,
                 const char *const *systems, struct err *err)
{
    process->worker = worker_new(&process->loop, conf, definitions, systems, err);
    if (!process->worker) {
        return -1;
    }
    struct http_options options = {
        .listen = conf_string(conf, "worker.listen"), .loop = &process->loop, .ready = ready, .arg = process};
    process->server = http_server_start(&options, err);
    if (!process->server && err->class != ERR_NONE) {
        worker_free(process->worker);
        return -1;
    }
    char *port = process->server ? mem_printf("%d", http_server_port(process->server)) : NULL;
    log_info("started", "port", port, "version", offboard_version, NULL);
    free(port);
    catch_signal(process, &process->terminate, SIGTERM);
    catch_signal(process, &process->interrupt, SIGINT);
    catch_signal(process, &process->again, RELOAD_SIGNAL);
    daemon_up(conf);
    uv_run(&process->loop, UV_RUN_DEFAULT);
    daemon_ending(0);
    worker_free(process->worker);
    log_info("stopped", NULL);
    return 0;
}

enum task { SERVE, CHECK_CONFIG, CHECK, TRY, TRY_ASKING };

/* People read what the last two tasks say, and they have begun with `offboard`. Problems of definitions are lines by themselves
 * ("file:line: problem"), as `offboard validate` prints them. */
static int refuse(enum task task, bool problems, struct err *err)
{
    if (task == SERVE || task == CHECK_CONFIG) {
        log_error("could not start", "error", err_text(err), NULL);
    } else {
        char *text = secret_mask(err_text(err));
        fprintf(stderr, "%s%s\n", problems ? "" : "offboard: ", text);
        free(text);
    }
    err_release(err);
    return -1;
}

static int run(const struct conf *conf, const char *const *systems, enum task task)
{
    struct err err = ERR_INIT;
    struct process process = {.worker = NULL};
    struct definition_use use = {
        .sources = conf_list_size(conf, "worker.polls") > 0, .runbooks = true, .connectors = systems, .alone = true};
    bool tries = task == TRY || task == TRY_ASKING;
    struct definitions *definitions = tries && *systems ? definitions_load_connector(conf, *systems, &err)
                                                        : definitions_load_or_fail(conf, &use, &err);
    if (!definitions) {
        return refuse(task, true, &err);
    }
    uv_loop_init(&process.loop);
    int result = task == CHECK_CONFIG ? check_configuration(&process.loop, conf, definitions, systems, &err)
                 : task == CHECK      ? check_systems(&process.loop, conf, definitions, systems, &err)
                 : tries              ? try_jobs(&process.loop, conf, definitions, task == TRY_ASKING, &err)
                                      : serve(&process, conf, definitions, systems, &err);
    if (result < 0) {
        refuse(task, false, &err);
    }
    uv_run(&process.loop, UV_RUN_DEFAULT); /* the last close callbacks, and threads that nobody waits for any more */
    if (uv_loop_close(&process.loop) == 0) {
        fibers_release();
        definitions_free(definitions);
    }
    return result;
}

int main(int argc, char **argv)
{
    const char *names = NULL;
    const char *check = NULL;
    const char *try = NULL;
    const char *asks = NULL;
    const struct daemon_option options[] = {
        {"system", "NAME[,NAME]", "systems to serve, instead of worker.systems", &names},
        {"check", NULL, "try the credentials of the systems, say so, and end", &check},
        {"try", NULL, "run the jobs on standard input, one a line, say what became of each, and end", &try},
        {"asks", NULL, "with --try: tell of each request before it is sent, and of what its expressions see", &asks},
        {NULL, NULL, NULL, NULL},
    };
    struct conf *conf = daemon_start("offboard-worker", "Runs the jobs of one or more systems.", options, argc, argv);
    char **systems = systems_read(conf, names);
    enum task task = daemon_only_checks() ? CHECK_CONFIG : check ? CHECK : try && asks ? TRY_ASKING : try ? TRY : SERVE;
    int result = -1;
    if (!*systems && !try) {
        struct err err = ERR_INIT;
        err_set(&err, ERR_FATAL, "no system to serve: give --system NAME or worker.systems");
        refuse(task, false, &err);
    } else {
        if (task != SERVE && task != CHECK_CONFIG && strcmp(conf_string(conf, "log.level"), "debug") != 0) {
            log_init("offboard-worker", LOG_ERROR); /* the result says it all */
        }
        result = run(conf, (const char *const *)systems, task);
    }
    systems_free(systems);
    conf_free(conf);
    metrics_release();
    secret_forget_all();
    if (task == SERVE && result == 0) {
        reload_now();
    }
    return result == 0 ? 0 : 1;
}
