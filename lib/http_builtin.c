/* What every process serves: GET /metrics, /healthz and /readyz. */
#include <stdlib.h>
#include <string.h>

#include "lib/http_internal.h"
#include "lib/mem.h"
#include "lib/metrics_process.h"

static void serve_metrics(struct connection *connection)
{
    struct buf text = BUF_INIT;
    metrics_process_update();
    metrics_render(&text);
    http_text(connection, 200, "text/plain; version=0.0.4; charset=utf-8", buf_text(&text));
    buf_release(&text);
}

static void serve_ready(struct connection *connection)
{
    const struct http_options *options = &connection->server->options;
    char *why = NULL;
    if (!options->ready || options->ready(options->arg, &why)) {
        http_text(connection, 200, "text/plain", "ready\n");
    } else {
        char *text = mem_printf("not ready: %s\n", why ? why : "starting");
        http_text(connection, 503, "text/plain", text);
        free(text);
    }
    free(why);
}

void http_builtin(struct connection *connection)
{
    struct http_request *request = &connection->request;
    bool get = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    if (get && strcmp(request->path, "/metrics") == 0) {
        serve_metrics(connection);
    } else if (get && strcmp(request->path, "/healthz") == 0) {
        http_text(connection, 200, "text/plain", "alive\n");
    } else if (get && strcmp(request->path, "/readyz") == 0) {
        serve_ready(connection);
    } else {
        http_problem(request, 404, http_reason(404), NULL, "this address serves /metrics, /healthz and /readyz");
    }
}
