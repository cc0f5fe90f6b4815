/* The engine and its systems: made at start, ended at exit. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/secret.h"
#include "lib/time.h"
#include "worker/credentials.h"
#include "worker/token.h"

enum { ENGINE_MAGIC = 0x454e4749 };

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int system_load(struct engine *engine, struct system *system, const char *name, struct err *err)
{
    system->engine = engine;
    system->share = 1;
    system->connector = definition_find(engine->definitions, DEFINITION_CONNECTOR, name);
    if (!system->connector) {
        const char *near = definition_nearest(engine->definitions, DEFINITION_CONNECTOR, name);
        return err_set(err, ERR_FATAL, "there is no connector for system \"%s\"%s%s%s", name,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    circuit_init(&system->circuit, (int)conf_int(engine->conf, "worker.circuit_failures"),
                 conf_duration(engine->conf, "worker.circuit_wait"),
                 conf_duration(engine->conf, "worker.circuit_wait_max"));
    return settings_load(system, err) == 0 ? credentials_load(system, err) : -1;
}

struct engine *engine_new(uv_loop_t *loop, const struct conf *conf, struct definitions *definitions,
                          const char *const *systems, struct err *err)
{
    struct engine *engine = MEM_NEW(struct engine);
    engine->magic = ENGINE_MAGIC;
    engine->loop = loop;
    engine->conf = conf;
    engine->definitions = definitions;
    engine->exprs = definitions_exprs(definitions);
    engine->cache = engine_cache_new();
    engine->tokens = token_cache_new();
    engine->requests = metric_new(METRIC_COUNTER, "offboard_vendor_requests_total", "system method code",
                                  "Requests to vendors by status code (0: no answer).");
    engine->request_seconds = metric_new(METRIC_HISTOGRAM, "offboard_vendor_request_duration_seconds", "system",
                                         "How long vendors take to answer.");
    engine->http = http_new(loop);
    if (escrow_load(engine, err) != 0) {
        engine_free(engine);
        return NULL;
    }
    size_t count = 0;
    while (systems[count]) {
        count++;
    }
    engine->systems = mem_alloc((count + 1) * sizeof *engine->systems); /* one piece: systems are pointed to */
    for (size_t i = 0; i < count; i++) {
        engine->system_count++;
        if (system_load(engine, &engine->systems[i], systems[i], err) != 0) {
            engine_free(engine);
            return NULL;
        }
    }
    return engine;
}

static void system_release(struct system *system)
{
    for (size_t i = 0; i < system->limit_count; i++) {
        free(system->limits[i].name);
    }
    free(system->limits);
    free(system->refused_why);
    health_release(&system->health);
    credentials_free(system->credentials);
    json_decref(system->settings);
    json_decref(system->marks);
}

static bool probing(const struct engine *engine)
{
    for (size_t i = 0; i < engine->system_count; i++) {
        if (engine->systems[i].probing) {
            return true;
        }
    }
    return false;
}

void engine_free(struct engine *engine)
{
    if (!engine) {
        return;
    }
    engine->stopping = true;
    for (size_t i = 0; i < engine->system_count; i++) {
        gate_stop(&engine->systems[i]);
    }
    while (probing(engine)) { /* a probe under way ends with its answer or its time-out */
        uv_run(engine->loop, UV_RUN_ONCE);
    }
    for (size_t i = 0; i < engine->system_count; i++) {
        system_release(&engine->systems[i]);
    }
    free(engine->systems);
    http_free(engine->http);
    engine_cache_free(engine->cache);
    token_cache_free(engine->tokens);
    escrow_key_free(engine->escrow);
    free(engine);
}

struct system *engine_system(const struct engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->system_count; i++) {
        if (strcmp(engine->systems[i].connector->name, name) == 0) {
            return &engine->systems[i];
        }
    }
    return NULL;
}

void engine_impatient(struct engine *engine)
{
    engine->impatient = true;
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

void engine_set_share(struct engine *engine, const char *name, double share)
{
    engine_system(engine, name)->share = share;
}

bool engine_available(const struct engine *engine, const char *name)
{
    return !engine_system(engine, name)->circuit.open;
}

void engine_health(const struct engine *engine, const char *name, struct system_health *health)
{
    struct system *system = engine_system(engine, name);
    health_tell(&system->health, system->circuit.open, health);
}

bool engine_refused(struct engine *engine, const char *name, char **why)
{
    struct system *system = engine_system(engine, name);
    if (!system->refused) {
        return false;
    }
    system->refused = false;
    *why = mem_strdup(system->refused_why);
    return true;
}

char *engine_lacks(const struct engine *engine, const char *name)
{
    struct buf actions = BUF_INIT;
    const char *action;
    json_t *declared;
    json_object_foreach(json_object_get(engine_system(engine, name)->connector->tree, "actions"), action, declared)
    {
        if (json_object_get(declared, "escrow") && !engine->escrow) {
            buf_addf(&actions, "%s%s", actions.len ? ", " : "", action);
        }
    }
    char *text = actions.len ? mem_printf("%s: blocked until worker.escrow_key_file is set", actions.data) : NULL;
    buf_release(&actions);
    return text;
}

int64_t engine_expires(const struct engine *engine, const char *name)
{
    return engine_system(engine, name)->expires;
}
