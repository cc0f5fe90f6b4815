/* One record in hand, from its making to the moment its event is in Kafka. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

static struct feed *feed_of(const struct task *task)
{
    return task->stream->partition->feed;
}

/* ---- making and ending ------------------------------------------------------------------------------------------- */

static void on_held(struct job *job, bool held)
{
    struct task *task = job->owner;
    int64_t now = time_monotonic();
    if (held && !task->held_since) {
        task->held_since = now;
    } else if (!held && task->held_since) {
        task->held += now - task->held_since;
        task->held_since = 0;
    }
}

/* Of a job that Kafka has forgotten all about: only a call that must not be made twice is waited for. */
static bool may_have_begun(const struct task *task)
{
    const struct feed *feed = feed_of(task);
    return task->offset < task->stream->forgotten && answered_may_have_begun(feed->answered, task->timestamp) &&
           json_true_at(definition_action(feed->worker->definitions, feed->name, task->action), "once");
}

static void read_message(struct task *task, json_t *message)
{
    json_t *job = json_object_get(message, "job");
    task->job_id = json_string_at(job, "id");
    task->action = json_string_at(job, "action");
    task->attempt = json_int_at(job, "attempt", 1);
    task->offboarding_id = json_string_at(message, "id");
    task->job.message = message;
    task->job.system = feed_of(task)->name;
    task->job.begun_before =
        progress_mark(task->stream->progress, task->offset) == PROGRESS_BEGUN || may_have_begun(task);
    task->job.begin = commit_begin;
    task->job.before = emit_before;
    task->job.held = on_held;
    task->job.owner = task;
    json_put_string(job, "traceparent", task->traceparent); /* for the vendor's logs */
    memory_running(task->stream->partition->memory, task->job_id, task->attempt, task);
}

struct task *task_new(struct stream *stream, const rd_kafka_message_t *record, json_t *message)
{
    struct task *task = MEM_NEW(struct task);
    struct feed *feed = stream->partition->feed;
    char *parent = kafka_message_header_text(record, "traceparent");
    task->magic = TASK_MAGIC;
    task->stream = stream;
    task->generation = stream->generation;
    task->offset = record->offset;
    task->timestamp = record_time(record);
    task->traceparent = message_traceparent(parent);
    message_trace_id(task->traceparent, task->trace_id);
    free(parent);
    task->next = feed->tasks;
    if (feed->tasks) {
        feed->tasks->previous = task;
    }
    feed->tasks = task;
    stream->in_hand++;
    stream->partition->tasks++;
    if (message) {
        read_message(task, message);
    }
    return task;
}

static void task_free(struct task *task)
{
    struct feed *feed = feed_of(task);
    *(task->previous ? &task->previous->next : &feed->tasks) = task->next;
    if (task->next) {
        task->next->previous = task->previous;
    }
    while (task->twins) {
        struct twin *twin = task->twins;
        task->twins = twin->next;
        free(twin);
    }
    task->stream->in_hand--;
    partition_release(task->stream->partition);
    json_decref(task->job.message);
    json_decref(task->event);
    free(task->traceparent);
    task->magic = 0;
    free(task);
    feed_look_again(feed);
}

void task_drop(struct task *task)
{
    if (task->job.message) {
        memory_forget(task->stream->partition->memory, task->job_id, task->attempt);
    }
    task_free(task);
}

void task_settled(struct task *task)
{
    struct partition *partition = task->stream->partition;
    struct feed *feed = partition->feed;
    if (partition->held) {
        stream_finished(task->stream, task->generation, task->offset);
        for (const struct twin *twin = task->twins; twin; twin = twin->next) {
            stream_finished(twin->stream, twin->generation, twin->offset);
        }
        if (task->job.message) {
            memory_finished(partition->memory, task->job_id, task->attempt);
        }
        commit_soon(feed);
    }
    task_free(task);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* The next of its offboarding has the turn. */
static void give_turn(struct task *task)
{
    struct task *next = lane_leave(feed_of(task)->lanes, task->offboarding_id);
    if (next) {
        dispatch_ready(next);
    }
}

/* Its end: its event goes on the way, or none, when another worker has the job and will say better what became of it.
 */
static void task_end(struct task *task, const char *outcome, int status, const char *message, const json_t *context)
{
    struct feed *feed = feed_of(task);
    if (strcmp(outcome, "succeeded") == 0 || strcmp(outcome, "already_done") == 0) {
        memory_succeeded(task->stream->partition->memory, task->job_id,
                         time_now()); /* the next may be this job again */
    }
    give_turn(task);
    if (!task->stream->partition->held && strcmp(outcome, "deferred") == 0) {
        log_info("job left to another worker", "job_id", task->job_id, "system", feed->name, NULL);
        task_drop(task);
        return;
    }
    emit_result(task, outcome, status, message, context);
    feed_look_again(feed);
}

void task_ask_for_pause(struct feed *feed)
{
    char *why = NULL;
    if (engine_refused(feed->worker->engine, feed->name, &why)) {
        log_error("the system refuses our credentials: pausing it", "system", feed->name, "error", why, NULL);
        emit_pause(feed, why);
    }
    free(why);
}

static void run(void *arg)
{
    struct task *task = arg;
    struct feed *feed = feed_of(task);
    bool urgent = task->stream->urgent;
    struct engine_result result = {.outcome = NULL};
    engine_run(feed->worker->engine, &task->job, &result);
    feed->running[urgent]--;
    series_set(feed->jobs_running, (double)(feed->running[NORMAL] + feed->running[URGENT]));
    task_ask_for_pause(feed);
    if (result.abandoned) {
        give_turn(task);
        task_drop(task);
    } else {
        task_end(task, result.outcome, result.status, result.message, result.context);
    }
    engine_result_release(&result);
}

/* When the offboarding was planned: its intake record's time, else the job record's. */
static int64_t planned_at(const struct task *task)
{
    const char *received = json_string_at(task->job.message, "received_at");
    int64_t at;
    return received && time_parse(received, &at, NULL) == 0 ? at : task->timestamp;
}

const char *task_cancelled(const struct task *task)
{
    if (json_at(task->job.message, "job.undo_of") || json_at(task->job.message, "job.results")) {
        return NULL; /* what a cancellation leaves to do: undo, and tell of it */
    }
    return control_cancelled(feed_of(task)->worker->control, task->offboarding_id, task->job.message, planned_at(task));
}

/* The state it came with, and that a `once` call has begun. New reference. */
static json_t *begun_state(const struct task *task)
{
    const json_t *state = json_at(task->job.message, "job.state");
    json_t *begun = json_is_object(state) ? json_deep_copy(state) : json_object();
    if (task->job.begun_before) {
        json_object_set_new(begun, "begun", json_true());
    }
    return begun;
}

static void end_cancelled(struct task *task, const char *reason)
{
    json_t *context = json_pack("{s:o}", "state", begun_state(task));
    const json_t *begun = json_at(context, "state.begun");
    bool may_have_run = begun && !json_is_false(begun) && !json_is_null(begun);
    char *message = mem_printf("cancelled: %s%s", reason,
                               may_have_run ? "; a call of this job that is made only once had begun before" : "");
    task_end(task, "cancelled", 0, message, context);
    free(message);
    json_decref(context);
}

/* A `once` call began in a life before this: what came of it may show only after the vendor's search lag (`settle`,
 * real time), so nobody looks before. False when the action is gone: then the engine says so. */
static bool settle(struct task *task)
{
    struct feed *feed = feed_of(task);
    struct worker *worker = feed->worker;
    if (!task->job.begun_before || !definition_effect(worker->definitions, feed->name, task->action)) {
        return false;
    }
    char due_at[TIME_TEXT_SIZE];
    time_format(time_now() + engine_settle(worker->engine, feed->name, task->action), due_at);
    json_t *context = json_pack("{s:s, s:o}", "due_at", due_at, "state", begun_state(task));
    task_end(task, "deferred", 0,
             "a worker ended while a call of this job was being made; what came of it is looked for later", context);
    json_decref(context);
    return true;
}

/* While it waited for its turn an attempt that was taken for lost has done the job, or a later one is here to do it. */
static bool was_done(struct task *task)
{
    struct partition *partition = task->stream->partition;
    void *owner = NULL;
    if (memory_look(partition->memory, task->job_id, task->attempt, task->timestamp, &owner) != MEMORY_FINISHED) {
        return false;
    }
    log_info("job skipped: it is known", "job_id", task->job_id, "system", partition->feed->name, NULL);
    series_add(partition->feed->repeats, 1);
    give_turn(task);
    task_settled(task);
    return true;
}

void task_start(struct task *task)
{
    if (was_done(task)) {
        return;
    }
    struct feed *feed = feed_of(task);
    const char *reason = task_cancelled(task);
    task->started = time_monotonic();
    task->state = TASK_RUNNING;
    if (reason) {
        end_cancelled(task, reason);
        return;
    }
    if (settle(task)) {
        return;
    }
    feed->running[task->stream->urgent]++;
    series_set(feed->jobs_running, (double)(feed->running[NORMAL] + feed->running[URGENT]));
    fiber_start(run, task);
}

void task_resume_begin(struct task *task, int result)
{
    struct fiber *beginner = task->beginner;
    task->beginner = NULL;
    task->begin_result = result;
    fiber_resume(beginner);
}

/* ---- interrupting ------------------------------------------------------------------------------------------------ */

typedef bool wanted(const struct task *task, int64_t now);

/* Tells every running task that is wanted, once. The engine may go on with it at once, and the list change under us. */
static void interrupt(struct feed *feed, enum interruption why, wanted *want)
{
    int64_t now = time_monotonic();
    for (struct task *task = feed->tasks; task;) {
        bool told = task->told & (1u << why);
        if (task->state == TASK_RUNNING && !told && want(task, now)) {
            task->told |= 1u << why;
            engine_interrupt(&task->job, why);
            task = feed->tasks;
        } else {
            task = task->next;
        }
    }
}

static bool any(const struct task *task, int64_t now)
{
    (void)task;
    (void)now;
    return true;
}

static bool is_held(const struct task *task, int64_t now)
{
    (void)now;
    return task->held_since != 0;
}

static bool is_cancelled(const struct task *task, int64_t now)
{
    (void)now;
    return task_cancelled(task) != NULL;
}

static bool took_too_long(const struct task *task, int64_t now)
{
    int64_t held = task->held + (task->held_since ? now - task->held_since : 0);
    return now - task->started - held > feed_of(task)->worker->job_time;
}

void tasks_interrupt(struct feed *feed, enum interruption why, bool held_only)
{
    interrupt(feed, why, held_only ? is_held : any);
}

void tasks_interrupt_cancelled(struct feed *feed)
{
    interrupt(feed, INTERRUPT_CANCELLED, is_cancelled);
}

void tasks_check_clocks(struct feed *feed)
{
    interrupt(feed, INTERRUPT_TOO_LONG, took_too_long);
}
