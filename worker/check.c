#include "worker/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/mem.h"
#include "lib/secret.h"
#include "worker/fiber.h"
#include "worker/worker.h"

struct check {
    uv_loop_t *loop;
    bool *waits; /* does the loop run for the checks to end? */
    struct engine *engine;
    const char *system;
    size_t *open;
    int *failed;
};

static void print_lack(const struct check *check)
{
    char *lack = engine_lacks(check->engine, check->system);
    if (lack) {
        printf("%s: warning: %s\n", check->system, lack);
    }
    free(lack);
}

static void run(void *arg)
{
    struct check *check = arg;
    struct err err = ERR_INIT;
    if (engine_check(check->engine, check->system, &err) == 0) {
        printf("%s: ok\n", check->system);
        print_lack(check);
    } else {
        char *text = secret_mask(err_text(&err));
        printf("%s: %s\n", check->system, text);
        free(text);
        ++*check->failed;
    }
    err_release(&err);
    --*check->open;
    if (*check->waits) {
        uv_stop(check->loop); /* it may have ended in a timer: the loop would wait for what never comes */
    }
}

int check_systems(uv_loop_t *loop, const struct conf *conf, struct definitions *definitions, const char *const *systems,
                  struct err *err)
{
    struct engine *engine = engine_new(loop, conf, definitions, systems, err);
    if (!engine) {
        return -1;
    }
    size_t count = 0;
    while (systems[count]) {
        count++;
    }
    struct check *checks = mem_alloc((count + 1) * sizeof *checks);
    size_t open = count;
    int failed = 0;
    bool waits = false;
    for (size_t i = 0; i < count; i++) {
        checks[i] = (struct check){loop, &waits, engine, systems[i], &open, &failed};
        fiber_start(run, &checks[i]);
    }
    waits = true;
    while (open) {
        uv_run(loop, UV_RUN_ONCE);
    }
    free(checks);
    engine_free(engine);
    fflush(stdout);
    return failed;
}

int check_configuration(uv_loop_t *loop, const struct conf *conf, struct definitions *definitions,
                        const char *const *systems, struct err *err)
{
    struct engine *engine = engine_new(loop, conf, definitions, systems, err);
    engine_free(engine);
    return engine ? 0 : -1;
}
