/* What the worker says: events about jobs, dead letters, the wish to pause a system that refuses us. */
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics_process.h"
#include "lib/secret.h"
#include "lib/time.h"
#include "worker/shrink.h"
#include "worker/worker_internal.h"

static struct feed *feed_of(const struct task *task)
{
    return task->stream->partition->feed;
}

/* ---- the event --------------------------------------------------------------------------------------------------- */

static void copy_members(json_t *to, const json_t *from, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(from, names[i]);
        if (value) {
            json_object_set(to, names[i], (json_t *)(uintptr_t)value);
        }
    }
}

static json_t *context_new(const struct task *task, const char *outcome, const json_t *engine_context)
{
    static const char *const of_job[] = {"phase", "step", "system", "action", "effect"};
    const struct feed *feed = feed_of(task);
    const struct definition *connector = definition_find(feed->worker->definitions, DEFINITION_CONNECTOR, feed->name);
    json_t *context = json_object();
    json_put_string(context, "job_id", task->job_id);
    json_put_string(context, "trace_id", task->trace_id);
    copy_members(context, json_object_get(task->job.message, "job"), of_job, COUNT_OF(of_job));
    json_put(context, "attempt", json_integer(task->attempt));
    json_put_string(context, "outcome", outcome);
    json_put(context, "duration_ms", json_integer((time_monotonic() - task->started) / 1000));
    json_put_string(context, "mode", json_string_at(task->job.message, "mode"));
    json_put_string(context, "connector", connector ? connector->hash : NULL);
    if (engine_context) {
        json_object_update(context, (json_t *)(uintptr_t)engine_context);
    }
    return context;
}

static json_t *event_new(const struct task *task, const char *outcome, int status, const char *message,
                         const json_t *engine_context)
{
    char *name = mem_printf("job.%s", outcome);
    json_t *event = message_event_new(name, task->offboarding_id, context_new(task, outcome, engine_context));
    message_event_response(event, status, message);
    free(name);
    return event;
}

/* An event, ready to go but for who is told. */
static struct outgoing *outgoing_new(const struct feed *feed, const char *key, const json_t *event)
{
    struct outgoing *outgoing = MEM_NEW(struct outgoing);
    outgoing->topic = mem_strdup(feed->results);
    outgoing->key = mem_strdup(key);
    outgoing->type = mem_strdup(json_string_at(event, "name"));
    outgoing->id = mem_strdup(json_string_at(event, "id"));
    outgoing->value = json_text(event);
    outgoing->value_len = strlen(outgoing->value);
    return outgoing;
}

static struct outgoing *outgoing_event(const struct task *task, const json_t *event)
{
    struct outgoing *outgoing = outgoing_new(feed_of(task), task->offboarding_id, event);
    outgoing->traceparent = mem_strdup(task->traceparent);
    outgoing->seal = mem_strdup(task->offboarding_id);
    return outgoing;
}

/* ---- before-images ----------------------------------------------------------------------------------------------- */

struct imaging {
    struct fiber *fiber;
    bool refused;
};

static void on_image_settled(void *arg, const struct err *err)
{
    struct imaging *imaging = arg;
    imaging->refused = err != NULL;
    fiber_resume(imaging->fiber);
}

int emit_before(struct job *job, const json_t *image, const json_t *sealed)
{
    struct task *task = job->owner;
    struct imaging imaging = {.fiber = fiber_self()};
    json_t *context = context_new(task, NULL, NULL);
    json_put(context, "before", image ? json_incref((json_t *)(uintptr_t)image) : json_object());
    if (sealed) {
        json_put(context, "escrow", json_incref((json_t *)(uintptr_t)sealed));
    }
    json_t *event = message_event_new("job.before", task->offboarding_id, context);
    message_event_response(event, 0, "what is there before the change");
    struct outgoing *outgoing = outgoing_event(task, event);
    json_decref(event);
    outgoing->settled = on_image_settled;
    outgoing->arg = &imaging;
    outbox_send(feed_of(task)->worker, outgoing);
    fiber_wait();
    return imaging.refused ? -1 : 0;
}

/* ---- events on their way ----------------------------------------------------------------------------------------- */

static void send_event(struct task *task, bool stubborn);

static void on_event_settled(void *arg, const struct err *err)
{
    struct task *task = arg;
    struct feed *feed = feed_of(task);
    if (err && event_shrink(task->event, task->shrunk++)) {
        send_event(task, false);
        return;
    }
    if (err) {
        /* Nothing is left but ids: the topic's own limit is too small. Neither lost nor given up: somebody raises it. */
        log_error("could not emit an event: raise max.message.bytes of the results topic; trying again", "job_id",
                  task->job_id, "system", feed->name, "error", err_text(err), NULL);
        send_event(task, true);
        return;
    }
    task_settled(task);
}

static void send_event(struct task *task, bool stubborn)
{
    struct outgoing *outgoing = outgoing_event(task, task->event);
    outgoing->stubborn = stubborn;
    outgoing->settled = on_event_settled;
    outgoing->arg = task;
    outbox_send(feed_of(task)->worker, outgoing);
}

/* A revocation that did not happen is an error: access is still there. Other failures are warnings. */
static enum log_level level_of(const struct task *task, const char *outcome)
{
    const char *effect = json_string_at(task->job.message, "job.effect");
    bool failed = strcmp(outcome, "failed") == 0 || strcmp(outcome, "denied") == 0 || strcmp(outcome, "blocked") == 0;
    return !failed ? LOG_INFO : effect && strcmp(effect, "revoke") == 0 ? LOG_ERROR : LOG_WARNING;
}

void emit_result(struct task *task, const char *outcome, int status, const char *message, const json_t *context)
{
    struct feed *feed = feed_of(task);
    task->state = TASK_EMITTING;
    task->event = event_new(task, outcome, status, message, context);
    log_line(level_of(task, outcome), "job ended", "system", feed->name, "offboarding_id", task->offboarding_id,
             "job_id", task->job_id, "action", task->action, "outcome", outcome, "detail", message, "trace_id",
             task->trace_id, NULL);
    measure_job(task, outcome);
    send_event(task, false);
}

/* ---- dead letters ------------------------------------------------------------------------------------------------ */

static void on_dead_settled(void *arg, const struct err *err)
{
    if (err) {
        log_error("could not set a message aside: Kafka refuses it for its size", "error", err_text(err), NULL);
    }
    task_settled(arg);
}

void emit_dead(struct task *task, rd_kafka_message_t *record, const char *reason)
{
    struct feed *feed = feed_of(task);
    char *offset = mem_printf("%lld", (long long)record->offset);
    char *partition = mem_printf("%d", record->partition);
    log_warning("message set aside: it can't be understood", "topic", rd_kafka_topic_name(record->rkt), "partition",
                partition, "offset", offset, "error", reason, NULL);
    free(offset);
    free(partition);
    series_add(dead_letters(), 1);
    task->state = TASK_EMITTING;
    struct outgoing *outgoing = MEM_NEW(struct outgoing);
    outgoing->dead = record;
    outgoing->dead_size = record->len;
    outgoing->reason = secret_mask(reason);
    outgoing->settled = on_dead_settled;
    outgoing->arg = task;
    outbox_send(feed->worker, outgoing);
}

/* ---- the system --------------------------------------------------------------------------------------------------- */

/* Takes the event. */
static void send_about_system(struct feed *feed, json_t *event)
{
    outbox_send(feed->worker, outgoing_new(feed, feed->name, event));
    json_decref(event);
}

void emit_system(struct feed *feed, const struct system_health *health)
{
    char since[TIME_TEXT_SIZE];
    time_format(health->since, since);
    json_t *context = json_pack("{s:s, s:s}", "system", feed->name, "since", since);
    char *why = health->why ? secret_mask(health->why) : NULL;
    char *name = mem_printf("system.%s", health->state);
    json_t *event = message_event_new(name, NULL, context);
    message_event_response(event, health->status, why);
    free(why);
    free(name);
    send_about_system(feed, event);
}

/* ---- pause ------------------------------------------------------------------------------------------------------- */

/* Every worker of the system has to stop calling it: the logger records it, and the scheduler gives the order. Until we read that
 * `refused` holds. */
void emit_pause(struct feed *feed, const char *reason)
{
    json_t *event = message_event_new("system.pause", NULL, json_pack("{s:s}", "system", feed->name));
    message_event_response(event, 0, reason ? reason : "the system refuses our credentials");
    feed->refused = true;
    send_about_system(feed, event);
}
