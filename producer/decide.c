/* One intake record: understood, decided, and turned into what will be published. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/plan.h"
#include "lib/time.h"
#include "producer/planner_internal.h"

enum {
    DATA_MAX = 256 * 1024
}; /* bytes of a record whose data is kept beside the decision: an event has to fit into a record */

/* One record in hand. */
struct record {
    struct planner *planner;
    const rd_kafka_message_t *message;
    int64_t received_at;
    json_t *event;
    struct mapped mapped;
    json_t *plan; /* of a start or change */
    struct decision decision;
    char *traceparent;
};

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void add_event(struct record *record, enum stage stage, const char *key, json_t *event)
{
    const char *id = json_string_at(event, "id");
    char *name = mem_strdup(json_string_at(event, "name"));
    char *copy = mem_strdup(id);
    char trace_id[TRACE_ID_SIZE];
    message_trace_id(record->traceparent, trace_id);
    json_put_string(json_object_get(event, "context"), "trace_id", trace_id);
    batch_add(record->planner->batch, stage, record->planner->events, key, event, name, copy, record->traceparent);
    free(copy);
    free(name);
}

/* What became of the record, for the table `intake`. */
static void add_intake_event(struct record *record, enum disposition disposition, const char *offboarding_id,
                             const char *reason)
{
    const rd_kafka_message_t *message = record->message;
    json_t *context = json_pack("{s:s}", "disposition", disposition_name(disposition));
    json_put_string(context, "person", record->mapped.person);
    json_put_string(context, "reason", reason);
    bool small = message->len <= DATA_MAX;
    if (record->mapped.ignored_by) {
        json_put(context, "criterion",
                 json_pack("{s:s, s:o?}", "name", record->mapped.ignored_by, "seen",
                           small ? mapping_without_private(record->mapped.seen) : NULL));
    }
    json_put_instant(context, "received_at", record->received_at);
    json_put(context, "record",
             json_pack("{s:s, s:i, s:I}", "topic", rd_kafka_topic_name(message->rkt), "partition",
                       (int)message->partition, "offset", (json_int_t)message->offset));
    json_put(context, "event", mapping_event_summary(record->event));
    if (disposition != DISPOSITION_DEAD && small) {
        json_put(context, "data", mapping_without_private(json_object_get(record->event, "data")));
    }
    char *place =
        mem_printf("%s/%d/%lld", rd_kafka_topic_name(message->rkt), message->partition, (long long)message->offset);
    const char *source = json_string_at(record->event, "source");
    const char *event_id = json_string_at(record->event, "id");
    char id[ID_SIZE];
    id_intake(source ? source : "", event_id ? event_id : "", place, id);
    json_t *event = message_event_new("intake", offboarding_id, context);
    json_object_set_new(event, "id", json_string(id));
    message_event_response(event, 0, reason ? reason : disposition_name(disposition));
    add_event(record, STAGE_EVENTS,
              offboarding_id          ? offboarding_id
              : record->mapped.person ? record->mapped.person
                                      : place,
              event);
    free(place);
    char trace_id[TRACE_ID_SIZE];
    message_trace_id(record->traceparent, trace_id);
    log_info("HR event decided", "disposition", disposition_name(disposition), "source", record->mapped.source,
             "event_id", event_id, "offboarding_id", offboarding_id, "trace_id", trace_id, NULL);
    const char *mapped_by = record->mapped.source ? record->mapped.source : ""; /* dead: nobody could */
    series_add(metric_series(record->planner->dispositions, mapped_by, disposition_name(disposition), NULL), 1);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static void add_definition(struct record *record, enum definition_kind kind, const char *name)
{
    struct planner *planner = record->planner;
    const struct definition *definition = definition_find(planner->definitions, kind, name);
    if (!definition || json_object_get(planner->published, definition->hash)) {
        return;
    }
    json_object_set_new(planner->published, definition->hash, json_true());
    json_t *context =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", definition_kind_name(kind), "name", definition->name, "hash",
                  definition->hash, "text", definition->text, "file", definition->file);
    add_event(record, STAGE_DEFINITIONS, definition->hash, message_event_new("definition", NULL, context));
}

/* The texts that a plan was made from: they are kept as long as it is (rules.md 17). */
static void add_definitions(struct record *record, const json_t *offboarding)
{
    add_definition(record, DEFINITION_RUNBOOK, json_string_at(offboarding, "runbook"));
    add_definition(record, DEFINITION_SOURCE, json_string_at(offboarding, "source"));
    const char *child;
    json_t *hash;
    json_object_foreach(json_object_get(record->plan, "runs"), child, hash)
    {
        add_definition(record, DEFINITION_RUNBOOK, child);
    }
    json_t *systems = plan_systems(record->plan);
    size_t i;
    json_t *system;
    json_array_foreach(systems, i, system)
    {
        add_definition(record, DEFINITION_CONNECTOR, json_string_value(system));
    }
    json_decref(systems);
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

static void add_jobs(struct record *record, const json_t *offboarding, const json_t *job_ids)
{
    bool urgent = strcmp(json_string_at(offboarding, "priority"), "urgent") == 0;
    size_t i;
    json_t *id;
    json_array_foreach(job_ids, i, id)
    {
        json_t *job = plan_job_message(offboarding, record->plan, json_string_value(id), 1, NULL, NULL);
        char *topic = kafka_topic(record->planner->conf, urgent ? "urgent" : "jobs", json_string_at(job, "job.system"));
        batch_add(record->planner->batch, STAGE_JOBS, topic, json_string_at(offboarding, "id"), job, "job",
                  json_string_value(id), record->traceparent);
        free(topic);
    }
}

/* The event's sentence; times with their zone (rules.md 7). */
static void respond(json_t *event, const char *status, const struct decision *decision, const json_t *offboarding)
{
    char *at = time_format_zone(decision->effective_at, json_string_at(offboarding, "zone"));
    char *message = decision->reason                 ? mem_strdup(decision->reason)
                    : decision->starts_now           ? mem_printf("starts now, effective %s", at)
                    : strcmp(status, "waiting") == 0 ? mem_printf("waits until %s", at)
                                                     : mem_printf("%s, effective %s", status, at);
    message_event_response(event, 0, message);
    free(message);
    free(at);
}

/* `initiated`, and the first jobs when it starts now. */
static void add_initiated(struct record *record)
{
    const struct decision *decision = &record->decision;
    json_t *offboarding = record->mapped.offboarding;
    const char *status = decision->held ? "held" : decision->starts_now ? "initiated" : "waiting";
    json_put_string(offboarding, "status", status);
    if (decision->starts_now) {
        json_put_instant(offboarding, "started_at", time_now());
    } else {
        json_object_set_new(offboarding, "started_at", json_null());
    }
    json_t *published = decision->starts_now ? plan_first_wave(record->plan) : json_array();
    add_definitions(record, offboarding);
    json_t *context = json_pack("{s:O, s:O, s:O, s:s}", "offboarding", offboarding, "plan", record->plan, "published",
                                published, "status", status);
    json_put_string(context, "reason", decision->reason);
    if (strcmp(status, "waiting") == 0) {
        json_put_instant(context, "due_at", decision->effective_at);
    }
    const char *id = json_string_at(offboarding, "id");
    json_t *event = message_event_new("initiated", id, context);
    respond(event, status, decision, offboarding);
    char event_id[ID_SIZE];
    id_initiated(id, event_id);
    json_object_set_new(event, "id", json_string(event_id));
    add_event(record, STAGE_INITIATED, id, event);
    add_jobs(record, offboarding, published);
    json_decref(published);
}

/* Jobs of a moved offboarding that starts at once, with the ids of its plan. They are planned from the definitions
 * of now: access must not wait for whoever keeps the old ones. New reference to their ids. */
static json_t *add_moved_jobs(struct record *record, json_t *offboarding)
{
    struct planner *planner = record->planner;
    json_t *plan = plan_build(planner->definitions, offboarding, conf_duration(planner->conf, "clock.day"), NULL);
    if (!plan) {
        return json_array(); /* its runbook is gone: the scheduler starts it, from the plan as it was made */
    }
    json_decref(record->plan);
    record->plan = plan;
    add_definitions(record, offboarding);
    json_t *published = plan_first_wave(plan);
    add_jobs(record, offboarding, published);
    return published;
}

/* The open offboarding gets another date or priority; with a date that is not ahead it starts at once. */
static void add_moved(struct record *record)
{
    const struct decision *decision = &record->decision;
    const char *id = json_string_at(decision->offboarding, "id");
    const char *status = decision->held ? "held" : decision->starts_now ? "initiated" : "waiting";
    json_t *offboarding = json_copy((json_t *)(uintptr_t)decision->offboarding);
    json_put_string(offboarding, "status", status);
    json_put_string(offboarding, "priority", decision->urgent ? "urgent" : "normal");
    json_put_instant(offboarding, "effective_at", decision->effective_at);
    json_t *context =
        json_pack("{s:s, s:O, s:O}", "status", status, "effective_at", json_object_get(offboarding, "effective_at"),
                  "priority", json_object_get(offboarding, "priority"));
    json_t *published = NULL;
    if (decision->starts_now) {
        json_put_instant(offboarding, "started_at", time_now());
        json_object_set(context, "started_at", json_object_get(offboarding, "started_at"));
        published = add_moved_jobs(record, offboarding);
    } else if (!decision->held) {
        json_put_instant(context, "due_at", decision->effective_at);
    }
    json_put(context, "published", published ? published : json_array());
    json_t *event = message_event_new("moved", id, context);
    respond(event, status, decision, offboarding);
    add_event(record, STAGE_INITIATED, id, event);
    json_decref(offboarding);
}

static void add_cancelled(struct record *record)
{
    const struct decision *decision = &record->decision;
    size_t i;
    json_t *id;
    json_array_foreach(decision->offboardings, i, id)
    {
        const char *text = json_string_value(id);
        json_t *actor = json_incref(json_object_get(record->mapped.offboarding, "actor"));
        json_t *order =
            json_pack("{s:i, s:s, s:O}", "version", MESSAGE_VERSION, "reason", decision->reason, "actor", actor);
        json_put_instant(order, "at", record->received_at);
        char *key = mem_printf("cancel/%s", text);
        batch_add(record->planner->batch, STAGE_CONTROL, record->planner->control_topic, key, order, "cancel", key,
                  record->traceparent);
        free(key);
        json_t *context = json_pack("{s:s, s:{s:s, s:o}}", "reason", decision->reason, "by", "event",
                                    json_string_at(record->event, "id"), "actor", actor);
        json_t *event = message_event_new("cancelled", text, context);
        message_event_response(event, 0, decision->reason);
        add_event(record, STAGE_EVENTS, text, event);
    }
}

static void add_outputs(struct record *record)
{
    switch (record->decision.disposition) {
    case DISPOSITION_STARTED:
    case DISPOSITION_HELD:
    case DISPOSITION_WAITING:
        add_initiated(record);
        break;
    case DISPOSITION_MOVED:
        add_moved(record);
        break;
    case DISPOSITION_CANCELLED:
        add_cancelled(record);
        break;
    case DISPOSITION_REFUSED:
        log_warning("HR event refused", "source", json_string_at(record->event, "source"), "event",
                    json_string_at(record->event, "id"), "reason", record->decision.reason, NULL);
        break;
    default:
        break;
    }
    /* One row for one record, however many offboardings it ends. */
    const char *first = json_string_value(json_array_get(record->decision.offboardings, 0));
    add_intake_event(record, record->decision.disposition, first, record->decision.reason);
}

/* ---- understanding ----------------------------------------------------------------------------------------------- */

/* How long an offboarding stays open after its start: its last step's time, and a month. */
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
            after = (int64_t)json_int_at(step, "after_us", 0);
            longest = after > longest ? after : longest;
        }
    }
    return longest + time_scale(30 * TIME_DAY, conf_duration(record->planner->conf, "clock.day"));
}

static int understand(struct record *record, struct err *err)
{
    struct planner *planner = record->planner;
    record->event = message_cloudevent(record->message, err);
    if (!record->event || mapping_apply(planner->definitions, planner->conf, record->event, NULL, record->received_at,
                                        &record->mapped, err) != 0) {
        return -1;
    }
    bool plans = record->mapped.intent == INTENT_START || record->mapped.intent == INTENT_CHANGE;
    if (!record->mapped.ignored_by && !record->mapped.refused && plans) {
        record->plan = plan_build(planner->definitions, record->mapped.offboarding,
                                  conf_duration(planner->conf, "clock.day"), err);
        return record->plan ? 0 : -1;
    }
    return 0;
}

/* Does the record lie on another partition than its person's? */
static bool astray(const struct record *record)
{
    const char *person = record->mapped.person;
    return person && kafka_partition(person, strlen(person), record->planner->partitions) != record->message->partition;
}

static void record_release(struct record *record)
{
    json_decref(record->event);
    json_decref(record->plan);
    mapped_release(&record->mapped);
    decision_release(&record->decision);
    free(record->traceparent);
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

static void set_aside(struct record *record, bool remember_only, const struct err *err)
{
    if (!remember_only) {
        log_warning("intake record set aside", "reason", err_text(err), NULL);
        batch_dead(record->planner->batch, record->message, err_text(err));
        add_intake_event(record, DISPOSITION_DEAD, NULL, err_text(err));
    }
}

void decide_record(struct planner *planner, struct intake *intake, const rd_kafka_message_t *message,
                   bool remember_only)
{
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(message, &type);
    struct record record = {.planner = planner, .message = message};
    /* A sender whose clock runs ahead must not make a date look past: its record is not newer than now. */
    int64_t now = time_now();
    record.received_at = timestamp > 0 && timestamp * 1000 < now ? timestamp * 1000 : now;
    char *parent = kafka_message_header_text(message, "traceparent");
    record.traceparent = message_traceparent(parent); /* an HR system that writes to the topic may not know it */
    free(parent);
    struct err err = ERR_INIT;
    if (understand(&record, &err) != 0) {
        set_aside(&record, remember_only, &err);
    } else if (astray(&record)) {
        if (!remember_only) {
            batch_forward(planner->batch, message, record.mapped.person);
        }
    } else if (roster_decide(intake->roster, &record.mapped, record.received_at, open_for(&record), &record.decision,
                             &err) != 0) {
        set_aside(&record, remember_only, &err);
    } else {
        note_arrival(&record);
        if (!remember_only) {
            add_outputs(&record);
        }
    }
    err_release(&err);
    record_release(&record);
}
