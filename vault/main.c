#include <stdlib.h>

#include "lib/daemon.h"
#include "lib/log.h"
#include "lib/metrics.h"
#include "lib/reload.h"
#include "lib/secret.h"
#include "vault/vault.h"

static int read_key(struct edge *edge, struct err *err)
{
    const char *pem = conf_string(edge->conf, "vault.escrow_private_key");
    struct err why = ERR_INIT;
    if (!pem) {
        return err_set(err, ERR_FATAL,
                       "vault.escrow_private_key_file is not set: there is nothing that could be opened");
    }
    edge->escrow = escrow_private_key(pem, &why);
    if (!edge->escrow) {
        err_set(err, ERR_FATAL, "vault.escrow_private_key: %s", err_text(&why));
    }
    err_release(&why);
    return edge->escrow ? 0 : -1;
}

static void release(struct edge *edge)
{
    escrow_key_free(edge->escrow);
}

static const struct edge_route routes[] = {
    {"/v1/reveals", reveals_admit, reveals_handle, "POST", NULL},
    {"/v1/version", edge_admit_anybody, edge_version, "GET", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct edge_service api = {
    .source = "vault",
    .listen = "reveal.listen",
    .process_listen = "vault.listen",
    .routes = routes,
    .paths = "the vault has /v1/reveals and /v1/version",
    .read = read_key,
    .release = release,
};

static int run(const struct conf *conf, struct err *err)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct keyring *keyring = keyring_start(conf, NULL, err);
    struct edge *edge = keyring ? edge_start(conf, &loop, &api, NULL, keyring, err) : NULL;
    int result = edge ? 0 : -1;
    if (edge) {
        edge_serve(edge);
    }
    uv_run(&loop, UV_RUN_DEFAULT); /* the last close callbacks */
    uv_loop_close(&loop);
    keyring_stop(keyring);
    return result;
}

int main(int argc, char **argv)
{
    struct conf *conf =
        daemon_start("offboard-vault", "Opens what is in escrow, and puts on record for whom.", NULL, argc, argv);
    struct err err = ERR_INIT;
    bool checks = daemon_only_checks();
    int result = checks ? edge_check(conf, &api, &err) : run(conf, &err);
    if (result != 0) {
        log_error("could not start", "error", err_text(&err), NULL);
    }
    err_release(&err);
    metrics_release();
    secret_forget_all();
    conf_free(conf);
    if (result == 0 && !checks) {
        log_info("stopped", NULL);
        reload_now();
    }
    return result == 0 ? 0 : 1;
}
