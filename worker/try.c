#include "worker/try.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/nearest.h"
#include "worker/fiber.h"
#include "worker/worker.h"

struct attempt {
    uv_loop_t *loop;
    bool waits; /* the loop runs for this attempt to end */
    struct engine *engine;
    struct job job;
    struct engine_result result;
    json_t *image;  /* the before-images, by account */
    json_t *sealed; /* values sealed for escrow, by account */
    bool ended;
};

static int on_begin(struct job *job)
{
    (void)job;
    return 0;
}

static int on_before(struct job *job, const json_t *image, const json_t *sealed)
{
    struct attempt *attempt = job->owner;
    json_object_update(attempt->image, (json_t *)(uintptr_t)image);
    json_object_update(attempt->sealed, (json_t *)(uintptr_t)sealed);
    return 0;
}

static void on_held(struct job *job, bool held)
{
    (void)job;
    (void)held;
}

static void run(void *arg)
{
    struct attempt *attempt = arg;
    engine_run(attempt->engine, &attempt->job, &attempt->result);
    attempt->ended = true;
    if (attempt->waits) {
        uv_stop(attempt->loop); /* it may have ended in a timer: the loop would wait for what never comes */
    }
}

/* A vendor that is down would be waited for. */
static void on_too_long(uv_timer_t *timer)
{
    struct attempt *attempt = timer->data;
    engine_interrupt(&attempt->job, INTERRUPT_TOO_LONG);
}

/* Prints a line of JSON, at once: whoever gave the job may answer its requests. */
static void print_line(const json_t *value)
{
    char *text = json_text(value);
    puts(text);
    fflush(stdout);
    free(text);
}

static void on_asks(struct job *job, const json_t *question)
{
    (void)job;
    json_t *line = json_pack("{s:O}", "asks", question);
    print_line(line);
    json_decref(line);
}

/* The next job of standard input. NULL at its end; NULL with an err for a line that is none. */
static json_t *read_message(struct err *err)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len = getline(&line, &size, stdin);
    json_t *message = len > 0 ? json_parse(line, (size_t)len, err) : NULL;
    free(line);
    if (message && (!json_string_at(message, "job.system") || !json_string_at(message, "job.action") ||
                    !json_string_at(message, "job.id"))) {
        err_set(err, ERR_FATAL, "a job message names job.id, job.system and job.action");
        json_decref(message);
        message = NULL;
    }
    if (len > 0 && !message) {
        err_prefix(err, "standard input");
    }
    return message;
}

static void print(struct attempt *attempt)
{
    json_t *said = json_pack("{s:s, s:i, s:s}", "outcome", attempt->result.outcome, "status", attempt->result.status,
                             "message", attempt->result.message ? attempt->result.message : "");
    json_object_update(said, attempt->result.context);
    json_put(said, "trace", json_incref(attempt->result.trace));
    if (json_object_size(attempt->image)) {
        json_put(said, "before", json_incref(attempt->image));
    }
    if (json_object_size(attempt->sealed)) {
        json_put(said, "escrow", json_incref(attempt->sealed));
    }
    print_line(said);
    json_decref(said);
}

static void run_to_end(uv_loop_t *loop, const struct conf *conf, struct attempt *attempt)
{
    uv_timer_t timer;
    uv_timer_init(loop, &timer);
    timer.data = attempt;
    uv_update_time(loop); /* it stood still while a line of standard input was waited for */
    uv_timer_start(&timer, on_too_long, (uint64_t)(conf_duration(conf, "worker.job_time") / 1000), 0);
    fiber_start(run, attempt);
    attempt->waits = true;
    while (!attempt->ended) {
        uv_run(loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
}

/* ERR_FATAL when the connector has no such action; a connector that is not there is the engine's to say. */
static int check_action(const struct definitions *definitions, const char *system, const char *action, struct err *err)
{
    const struct definition *connector = definition_find(definitions, DEFINITION_CONNECTOR, system);
    json_t *actions = connector ? json_object_get(connector->tree, "actions") : NULL;
    if (!connector || json_object_get(actions, action)) {
        return 0;
    }
    const char **names = mem_alloc((json_object_size(actions) + 1) * sizeof *names);
    size_t count = 0;
    struct buf all = BUF_INIT;
    const char *name;
    json_t *ignored;
    json_object_foreach(actions, name, ignored)
    {
        names[count++] = name;
        buf_addf(&all, "%s%s", all.len ? ", " : "", name);
    }
    const char *near = nearest_name(action, names, count);
    err_set(err, ERR_FATAL, "system \"%s\" has no action \"%s\"%s%s%s It has: %s", system, action,
            near ? "; did you mean \"" : ".", near ? near : "", near ? "\"?" : "", buf_text(&all));
    buf_release(&all);
    free(names);
    return -1;
}

static void run_message(uv_loop_t *loop, const struct conf *conf, struct engine *engine, json_t *message, bool asks)
{
    struct attempt attempt = {.loop = loop, .engine = engine, .image = json_object(), .sealed = json_object()};
    attempt.job = (struct job){.message = message,
                               .system = json_string_at(message, "job.system"),
                               .begin = on_begin,
                               .before = on_before,
                               .held = on_held,
                               .asks = asks ? on_asks : NULL,
                               .owner = &attempt};
    run_to_end(loop, conf, &attempt);
    print(&attempt);
    engine_result_release(&attempt.result);
    json_decref(attempt.image);
    json_decref(attempt.sealed);
}

static struct engine *engine_for(uv_loop_t *loop, const struct conf *conf, struct definitions *definitions,
                                 const json_t *message, struct err *err)
{
    const char *systems[] = {json_string_at(message, "job.system"), NULL};
    bool known = check_action(definitions, systems[0], json_string_at(message, "job.action"), err) == 0;
    struct engine *engine = known ? engine_new(loop, conf, definitions, systems, err) : NULL;
    if (engine) {
        engine_trace(engine);
        engine_impatient(engine);
    }
    return engine;
}

int try_jobs(uv_loop_t *loop, const struct conf *conf, struct definitions *definitions, bool asks, struct err *err)
{
    json_t *message = read_message(err);
    char *system = mem_strdup(message ? json_string_at(message, "job.system") : "");
    struct engine *engine = message ? engine_for(loop, conf, definitions, message, err) : NULL;
    while (engine && message) {
        run_message(loop, conf, engine, message, asks);
        json_decref(message);
        message = read_message(err);
        if (message && strcmp(json_string_at(message, "job.system"), system) != 0) {
            err_set(err, ERR_FATAL, "standard input: this job is for another system than the first one, %s", system);
            break;
        }
    }
    if (engine) {
        engine_free(engine);
    }
    json_decref(message);
    free(system);
    return err->class == ERR_NONE ? 0 : -1;
}
