/* What one record's decision leads to: events, jobs, control records. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/person.h"
#include "lib/plan.h"
#include "lib/time.h"
#include "producer/planner_internal.h"

enum {
    DATA_SMALL = 8 * 1024, /* bytes of a record that fits whatever Kafka's limits are */
    DATA_MAX =
        256 * 1024 /* bytes of a record whose data is kept beside the decision: an event has to fit into a record */
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
    char *offboarding = mem_strdup(json_string_at(event, "context.offboarding_id"));
    batch_add(record->planner->batch, stage, record->planner->events, key, event, name, copy, record->traceparent);
    if (offboarding) {
        batch_seal(record->planner->batch, offboarding);
    }
    free(offboarding);
    free(copy);
    free(name);
}

/* The event's data, and what a criterion saw of it. */
static void put_data(const struct record *record, json_t *context, bool whole)
{
    if (record->mapped.ignored_by) {
        json_put(context, "criterion",
                 json_pack("{s:s, s:o?}", "name", record->mapped.ignored_by, "seen",
                           whole ? mapping_without_private(record->mapped.seen) : NULL));
    }
    if (whole) {
        json_put(context, "data", mapping_without_private(json_object_get(record->event, "data")));
    }
}

static json_t *intake_context(const struct record *record, enum disposition disposition, const char *reason)
{
    const rd_kafka_message_t *message = record->message;
    json_t *context = json_pack("{s:s}", "disposition", disposition_name(disposition));
    json_put_string(context, "person", record->mapped.person);
    json_put_string(context, "reason", reason);
    json_put_instant(context, "received_at", record->received_at);
    json_put(context, "record",
             json_pack("{s:s, s:i, s:I}", "topic", rd_kafka_topic_name(message->rkt), "partition",
                       (int)message->partition, "offset", (json_int_t)message->offset));
    json_put(context, "event", mapping_event_summary(record->event));
    put_data(record, context, disposition != DISPOSITION_DEAD && message->len <= DATA_MAX);
    return context;
}

static void tell_of_intake(const struct record *record, enum disposition disposition, const char *offboarding_id)
{
    char trace_id[TRACE_ID_SIZE];
    message_trace_id(record->traceparent, trace_id);
    log_info("HR event decided", "disposition", disposition_name(disposition), "source", record->mapped.source,
             "event_id", json_string_at(record->event, "id"), "offboarding_id", offboarding_id, "trace_id", trace_id,
             NULL);
    const char *mapped_by = record->mapped.source ? record->mapped.source : ""; /* dead: nobody could */
    series_add(metric_series(record->planner->dispositions, mapped_by, disposition_name(disposition), NULL), 1);
}

/* The same without what HR said, in case Kafka's limit is lower than ours. */
static void add_smaller(struct record *record, const json_t *event)
{
    if (record->message->len <= DATA_SMALL) {
        return;
    }
    json_t *smaller = json_deep_copy(event);
    json_object_del(json_object_get(smaller, "context"), "data");
    json_object_del(json_at(smaller, "context.criterion"), "seen");
    batch_or(record->planner->batch, smaller);
}

static char *reason_of(const struct record *record, const char *reason)
{
    return record->dropped ? mem_printf("%s%s%s", reason ? reason : "", reason ? "; " : "", record->dropped)
                           : mem_strdup(reason);
}

/* The caller frees. */
static char *place_of(const rd_kafka_message_t *message)
{
    return mem_printf("%s/%d/%lld", rd_kafka_topic_name(message->rkt), message->partition, (long long)message->offset);
}

/* With the id that this record at this place always gets; takes `context`. */
static json_t *intake_event(const struct record *record, const char *place, const char *offboarding_id, json_t *context)
{
    const char *source = json_string_at(record->event, "source"), *event_id = json_string_at(record->event, "id");
    char id[ID_SIZE];
    id_intake(source ? source : "", event_id ? event_id : "", place, id);
    json_t *event = message_event_new("intake", offboarding_id, context);
    json_object_set_new(event, "id", json_string(id));
    return event;
}

/* An event about an offboarding that was erased, which came once more: without its key only what names nobody is told. */
static void add_intake_of_erased(struct record *record)
{
    static const char *const personal[] = {"person", "data", "criterion", "reason"};
    enum disposition disposition = record->decision.disposition;
    char *place = place_of(record->message);
    json_t *event = intake_event(record, place, NULL, intake_context(record, disposition, NULL));
    add_event(record, STAGE_EVENTS, place,
              message_event_without(event, personal, COUNT_OF(personal), "its offboarding was erased"));
    json_decref(event);
    free(place);
    tell_of_intake(record, disposition, NULL);
}

void outputs_add_intake(struct record *record, enum disposition disposition, const char *offboarding_id,
                        const char *why)
{
    char *reason = reason_of(record, why);
    char *place = place_of(record->message);
    json_t *event = intake_event(record, place, offboarding_id, intake_context(record, disposition, reason));
    message_event_response(event, 0, reason ? reason : disposition_name(disposition));
    const char *key = offboarding_id ? offboarding_id : record->mapped.person ? record->mapped.person : place;
    add_event(record, STAGE_EVENTS, key, json_incref(event));
    add_smaller(record, event);
    json_decref(event);
    free(place);
    free(reason);
    tell_of_intake(record, disposition, offboarding_id);
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

/* The system of a planned job; borrowed. */
static const char *system_of(const json_t *plan, const char *job_id)
{
    size_t i, j;
    json_t *phase, *step;
    json_array_foreach(json_object_get(plan, "phases"), i, phase)
    {
        json_array_foreach(json_object_get(phase, "steps"), j, step)
        {
            if (strcmp(json_string_at(step, "job_id"), job_id) == 0) {
                return json_string_at(step, "system");
            }
        }
    }
    return "";
}

/* Ids of the jobs that the planner publishes: the first wave, but for systems whose topics are missing. A new reference. */
static json_t *first_jobs(const struct record *record)
{
    json_t *wave = plan_first_wave(record->plan), *ids = json_array();
    size_t i;
    json_t *id;
    json_array_foreach(wave, i, id)
    {
        if (planner_publishes(record->planner, system_of(record->plan, json_string_value(id)))) {
            json_array_append(ids, id);
        }
    }
    json_decref(wave);
    return ids;
}

/* The event that a job has failed, should Kafka not take it: `initiated` says that it is published. */
static json_t *job_refused(const json_t *offboarding, const json_t *job)
{
    static const char *const members[] = {"phase", "step", "system", "action", "effect", "attempt"};
    json_t *context = json_pack("{s:O, s:s, s:O}", "job_id", json_object_get(job, "id"), "outcome", "failed", "mode",
                                json_object_get(offboarding, "mode"));
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        json_put(context, members[i], json_incref(json_object_get(job, members[i])));
    }
    json_t *event = message_event_new("job.failed", json_string_at(offboarding, "id"), context);
    message_event_response(event, 0, "the job can't be published: it is larger than Kafka allows");
    return event;
}

static void add_jobs(struct record *record, const json_t *offboarding, const json_t *job_ids)
{
    bool urgent = strcmp(json_string_at(offboarding, "priority"), "urgent") == 0;
    size_t i;
    json_t *id;
    json_array_foreach(job_ids, i, id)
    {
        json_t *job = plan_job_message(offboarding, record->plan, json_string_value(id), 1, NULL, NULL);
        char *topic = kafka_topic(record->planner->conf, urgent ? "urgent" : "jobs", json_string_at(job, "job.system"));
        json_t *refused = job_refused(offboarding, json_object_get(job, "job"));
        size_t size = batch_add(record->planner->batch, STAGE_JOBS, topic, json_string_at(offboarding, "id"), job,
                                "job", json_string_value(id), record->traceparent);
        batch_seal(record->planner->batch, json_string_at(offboarding, "id"));
        if (size > DATA_SMALL) {
            batch_else(record->planner->batch, record->planner->events, json_incref(refused));
        }
        json_decref(refused);
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
    json_object_set_new(offboarding, "started_at", json_null());
    if (decision->starts_now) {
        json_put_instant(offboarding, "started_at", time_now());
    }
    json_t *published = decision->starts_now ? first_jobs(record) : json_array();
    add_definitions(record, offboarding);
    json_t *context = json_pack("{s:O, s:O, s:O, s:s}", "offboarding", offboarding, "plan", record->plan, "published",
                                published, "status", status);
    json_put_string(context, "reason", decision->reason);
    if (strcmp(status, "waiting") == 0) {
        json_put_instant(context, "due_at", decision->effective_at);
    }
    const char *id = json_string_at(offboarding, "id");
    batch_make_key(record->planner->batch, id);
    json_t *event = message_event_new("initiated", id, context);
    respond(event, status, decision, offboarding);
    char event_id[ID_SIZE];
    id_initiated(id, event_id);
    json_object_set_new(event, "id", json_string(event_id));
    add_event(record, STAGE_INITIATED, id, event);
    add_jobs(record, offboarding, published);
    json_decref(published);
}

/* The open offboarding gets another date or priority. PostgreSQL has its plan, and says when its time has come. */
static void add_moved(struct record *record)
{
    const struct decision *decision = &record->decision;
    const char *id = json_string_value(json_array_get(decision->offboardings, 0));
    const char *status = decision->held ? "held" : "waiting";
    json_t *context = json_pack("{s:s, s:s}", "status", status, "priority", decision->urgent ? "urgent" : "normal");
    json_put_instant(context, "effective_at", decision->effective_at);
    json_put(context, "actor", json_incref(json_object_get(record->mapped.offboarding, "actor")));
    if (!decision->held) {
        json_put_instant(context, "due_at", decision->effective_at);
    }
    json_t *event = message_event_new("moved", id, context);
    respond(event, status, decision, record->mapped.offboarding);
    add_event(record, STAGE_INITIATED, id, event);
}

void outputs_add_start(struct planner *planner, const char *id, bool starts, const char *due_at,
                       const char *traceparent)
{
    struct record record = {.planner = planner, .traceparent = message_traceparent(traceparent)};
    json_t *context = json_object();
    json_put_string(context, "due_at", due_at);
    json_put_string(context, "reason", starts ? NULL : ROSTER_CAP_WHY);
    json_t *event = message_event_new(starts ? "started" : "held", id, context);
    message_event_response(event, 0, starts ? "its date has come" : ROSTER_CAP_WHY);
    add_event(&record, STAGE_INITIATED, id, event);
    free(record.traceparent);
}

void outputs_add_erased(struct planner *planner, const char *id, const char *traceparent)
{
    char *child = message_traceparent(traceparent);
    char event_id[ID_SIZE];
    id_v5(id, "erased", strlen("erased"), event_id);
    json_t *event = message_event_new("erased", id, NULL);
    json_object_set_new(event, "id", json_string(event_id));
    message_event_response(event, 0, "its key was erased: nobody can read its personal data any more");
    batch_add(planner->batch, STAGE_ERASED, planner->events, id, event, "erased", event_id, child);
    free(child);
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

/* `value` (taken over) gets what every order has. Kafka compacts the topic to the last record of each key, so an order that is older than
 * the one that is there is not written: a worker that starts later would see only the older one. The newer one covers it. */
static void add_control(struct record *record, const char *subject, json_t *value, const char *reason, int64_t at)
{
    if (control_name_cancelled_when(record->planner->control, subject, at + 1) != 0) {
        json_decref(value);
        return;
    }
    json_object_set_new(value, "version", json_integer(MESSAGE_VERSION));
    json_put_string(value, "reason", reason);
    json_put(value, "actor", json_incref(json_object_get(record->mapped.offboarding, "actor")));
    json_put_instant(value, "at", at);
    char *key = mem_printf("cancel/%s", subject);
    batch_add(record->planner->batch, STAGE_CONTROL, record->planner->control_topic, key, value, "cancel", key,
              record->traceparent);
    control_note_cancelled(record->planner->control, subject, reason, at);
    free(key);
}

/* Every key of the person, as HR gives it: whoever knows an offboarding that the roster does not know ends it. What came in the same
 * millisecond is the roster's to judge. */
static void cancel_person(struct record *record)
{
    json_t *keys = person_keys(record->mapped.offboarding);
    size_t i;
    json_t *key;
    json_array_foreach(keys, i, key)
    {
        add_control(record, person_control_name(json_string_value(key)), json_object(), record->decision.reason,
                    record->received_at - 1);
    }
    json_decref(keys);
}

static void cancel_offboarding(struct record *record, const char *id)
{
    const struct decision *decision = &record->decision;
    add_control(record, id, json_object(), decision->reason, record->received_at);
    json_t *actor = json_incref(json_object_get(record->mapped.offboarding, "actor"));
    json_t *context = json_pack("{s:s, s:{s:s, s:o}}", "reason", decision->reason, "by", "event",
                                json_string_at(record->event, "id"), "actor", actor);
    json_t *event = message_event_new("cancelled", id, context);
    message_event_response(event, 0, decision->reason);
    add_event(record, STAGE_EVENTS, id, event);
}

/* A cancellation or rehire, whomever it finds. */
static void add_cancelled(struct record *record)
{
    size_t i;
    json_t *id;
    cancel_person(record);
    json_array_foreach(record->decision.offboardings, i, id)
    {
        cancel_offboarding(record, json_string_value(id));
    }
    if (json_array_size(record->decision.offboardings) == 0) {
        series_add(metric_series(record->planner->without_effect, record->mapped.source, NULL), 1);
    }
}

/* Open ones that turned out to be of the same person. */
static void add_duplicates(struct record *record)
{
    const char *kept = json_string_value(json_array_get(record->decision.offboardings, 0));
    size_t i;
    json_t *id;
    json_array_foreach(record->decision.duplicates, i, id)
    {
        char *reason = mem_printf("the same person as offboarding %s", kept);
        add_control(record, json_string_value(id), json_pack("{s:s}", "duplicate_of", kept), reason,
                    record->received_at);
        free(reason);
    }
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static void add_by_disposition(struct record *record)
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
    case DISPOSITION_REFUSED:
        log_warning("HR event refused", "source", json_string_at(record->event, "source"), "event",
                    json_string_at(record->event, "id"), "reason", record->decision.reason, NULL);
        break;
    default:
        break;
    }
}

/* A decision of the past, about an offboarding whose key is gone: it makes no new one. */
static bool is_about_erased(const struct record *record)
{
    const struct decision *decision = &record->decision;
    const char *first = json_string_value(json_array_get(decision->offboardings, 0));
    bool begins = decision->disposition == DISPOSITION_STARTED || decision->disposition == DISPOSITION_HELD ||
                  decision->disposition == DISPOSITION_WAITING;
    return first && (decision->again || !begins) && !batch_has_key(record->planner->batch, first);
}

void outputs_add(struct record *record)
{
    const struct decision *decision = &record->decision;
    if (is_about_erased(record)) {
        add_intake_of_erased(record);
        return;
    }
    bool ends = record->mapped.intent == INTENT_CANCEL || record->mapped.intent == INTENT_REHIRE;
    if (ends && !decision->fleeting) {
        add_cancelled(record);
    } else {
        add_by_disposition(record);
        add_duplicates(record);
    }
    /* One row for one record, however many offboardings it ends. */
    const char *first = json_string_value(json_array_get(decision->offboardings, 0));
    outputs_add_intake(record, decision->disposition, first, decision->reason);
}
