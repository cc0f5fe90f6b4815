/* One HR event: understood, decided, remembered, and handed to outputs.c. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dead.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/plan.h"
#include "lib/time.h"
#include "producer/planner_internal.h"

/* ---- understanding ----------------------------------------------------------------------------------------------- */

/* How long an offboarding stays open after its start if nobody ever says that it is over: its last step's time, and as long as HR events
 * are kept. A step that failed may wait for months for somebody. */
static int64_t open_for(const struct record *record)
{
    int64_t longest = 0;
    size_t i, j;
    json_t *phase, *step;
    json_array_foreach(json_object_get(record->plan, "phases"), i, phase)
    {
        int64_t after = (int64_t)json_int_at(phase, "after_us", 0);
        longest = after > longest ? after : longest;
        json_array_foreach(json_object_get(phase, "steps"), j, step)
        {
            after = (int64_t)(json_int_at(step, "after_us", 0) + json_int_at(step, "wait_us", 0));
            longest = after > longest ? after : longest;
        }
    }
    return longest + time_scale(400 * TIME_DAY, conf_duration(record->planner->conf, "clock.day"));
}

static int understand(struct record *record, struct err *err)
{
    struct planner *planner = record->planner;
    record->event = message_cloudevent(record->message, err);
    if (!record->event) {
        return -1;
    }
    record->forged = stream_believe(record->stream, planner->definitions, record->event, &record->dropped, err) != 0;
    return record->forged ? -1
                          : mapping_apply(planner->definitions, planner->conf, record->event, NULL, record->received_at,
                                          &record->mapped, err);
}

static void mark_absent(struct planner *planner, json_t *plan)
{
    json_t *systems = plan_systems(plan), *system;
    size_t i;
    json_array_foreach(systems, i, system)
    {
        if (!planner_publishes(planner, json_string_value(system))) {
            plan_mark_absent(plan, json_string_value(system));
        }
    }
    json_decref(systems);
}

/* Only what begins needs a plan: what is there already has its own. */
static int make_plan(struct record *record, struct err *err)
{
    enum disposition disposition = record->decision.disposition;
    if (disposition != DISPOSITION_STARTED && disposition != DISPOSITION_HELD && disposition != DISPOSITION_WAITING) {
        return 0;
    }
    record->plan = plan_build(record->planner->definitions, record->mapped.offboarding,
                              conf_duration(record->planner->conf, "clock.day"), err);
    mark_absent(record->planner, record->plan);
    return record->plan ? 0 : -1;
}

/* A source that says nothing for days is a fault that nobody else notices. */
static void note_arrival(const struct record *record)
{
    struct series *newest = metric_series(record->planner->last_event, record->mapped.source, NULL);
    double at = (double)record->received_at / (double)TIME_SECOND;
    if (at > series_value(newest)) {
        series_set(newest, at);
    }
}

/* The broker's time. A topic whose records have their senders' times must not make a date look past by a clock that runs ahead. */
static int64_t time_received(struct stream *stream, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    int64_t at = rd_kafka_message_timestamp(message, &type) * (TIME_SECOND / 1000), now = time_now();
    if (type == RD_KAFKA_TIMESTAMP_CREATE_TIME && !stream->times_told) {
        stream->times_told = true;
        log_warning("HR events have their senders' times, by which decisions are made: set "
                    "message.timestamp.type=LogAppendTime, as `offboard topics` does for a new topic",
                    "topic", stream->topic, NULL);
    }
    return at > 0 && (type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME || at < now) ? at : now;
}

/* One that was replayed counts from when it was first set aside: who was cancelled in between does not start after all, and what began in
 * between is not ended. */
static void record_begin(struct record *record, struct planner *planner, const rd_kafka_message_t *message)
{
    char *parent = kafka_message_header_text(message, "traceparent");
    struct stream *stream = stream_of(planner, message);
    *record = (struct record){.planner = planner,
                              .message = message,
                              .stream = stream,
                              .received_at = dead_since(message, time_received(stream, message)),
                              .traceparent = message_traceparent(parent)}; /* an HR system may not know it */
    free(parent);
    batch_begin(planner->batch, message);
}

static void record_release(struct record *record)
{
    batch_begin(record->planner->batch, NULL);
    json_decref(record->event);
    json_decref(record->plan);
    mapped_release(&record->mapped);
    decision_release(&record->decision);
    free(record->dropped);
    free(record->traceparent);
}

/* ---- deciding ---------------------------------------------------------------------------------------------------- */

static void set_aside(struct record *record, const char *reason)
{
    log_warning("HR event set aside", "topic", record->stream->topic, "reason", reason, NULL);
    batch_dead(record->planner->batch, record->message, reason);
    outputs_add_intake(record, DISPOSITION_DEAD, NULL, reason);
}

/* What was remembered of it goes: a replay is a new attempt. */
static void forget(struct record *record)
{
    const char *id = json_string_at(record->mapped.offboarding, "id");
    if (id) {
        roster_undo(record->planner->roster, id, batch_write_roster, record->planner->batch);
    }
}

static int decide(struct record *record, struct err *err)
{
    struct planner *planner = record->planner;
    struct place place = {record->stream->topic, record->message->partition, record->message->offset};
    int64_t now = time_now();
    if (roster_decide(planner->roster, &record->mapped, &place, record->received_at, now, &record->decision, err) !=
        0) {
        return -1;
    }
    if (record->decision.finished) {
        return 0;
    }
    if (make_plan(record, err) != 0) {
        if (record->decision.again) {
            forget(record); /* its runbook went while it was being published */
        }
        return -1;
    }
    roster_remember(planner->roster, &record->decision, &record->mapped, &place, record->received_at, open_for(record),
                    now, batch_write_roster, planner->batch);
    note_arrival(record);
    outputs_add(record);
    return 0;
}

/* The record says what its topic's writers may not say: somebody tries, or a topic's ACL is too wide. */
static void tell_violation(const struct record *record, const char *why)
{
    if (!record->forged && !record->dropped) {
        return;
    }
    char *partition = mem_printf("%d", record->message->partition);
    char *offset = mem_printf("%lld", (long long)record->message->offset);
    log_line(record->forged ? LOG_ERROR : LOG_WARNING,
             record->forged ? "an HR event is not its writer's to write, and is set aside"
                            : "an HR event says what its writer may not say: it counts without that",
             "topic", record->stream->topic, "partition", partition, "offset", offset, "event_id",
             json_string_at(record->event, "id"), "reason", record->forged ? why : record->dropped, NULL);
    series_add(record->stream->violations, 1);
    free(partition);
    free(offset);
}

void decide_record(struct planner *planner, const rd_kafka_message_t *message)
{
    struct record record;
    struct err err = ERR_INIT;
    record_begin(&record, planner, message);
    bool understood = understand(&record, &err) == 0;
    tell_violation(&record, err_text(&err));
    if (!understood || decide(&record, &err) != 0) {
        set_aside(&record, err_text(&err));
    }
    err_release(&err);
    record_release(&record);
}

void decide_refused(struct planner *planner, const rd_kafka_message_t *message, const char *reason)
{
    struct record record;
    record_begin(&record, planner, message);
    understand(&record, NULL);
    set_aside(&record, reason);
    forget(&record);
    record_release(&record);
}
