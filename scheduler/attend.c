/* Systems that have no worker though jobs wait for one. A group without members is no trouble while there is nothing to do. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "scheduler/scheduler.h"

enum { METADATA_MS = 5000 };

void attendance_release(struct attendance *attendance)
{
    json_decref(attendance->seen);
    json_decref(attendance->told);
    *attendance = (struct attendance){0};
}

/* ---- what Kafka says --------------------------------------------------------------------------------------------- */

/* Systems that have topics, as members of an object. NULL with an err. */
static json_t *systems_with_topics(struct publisher *publisher, struct err *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(publisher->client, 1, NULL, &metadata, METADATA_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        err_set(err, ERR_RETRY, "could not ask Kafka for its topics: %s", rd_kafka_err2str(code));
        return NULL;
    }
    json_t *systems = json_object();
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const char *system = publisher_system_of(publisher, metadata->topics[i].topic);
        if (system) {
            json_object_set_new(systems, system, json_null());
        }
    }
    rd_kafka_metadata_destroy(metadata);
    return systems;
}

static bool something_waits(const struct queue *queue)
{
    for (int kind = 0; queue && kind < 2; kind++) {
        for (int32_t i = 0; i < queue->counts[kind]; i++) {
            const struct place *place = &queue->places[kind][i];
            if (place_reads_from(place) < place->high) {
                return true;
            }
        }
    }
    return false;
}

/* Each system of `systems` gets true when jobs wait there for a worker that isn't there, else false. */
static int judge(struct publisher *publisher, json_t *systems, struct err *err)
{
    size_t count = json_object_size(systems), i = 0;
    char **groups = mem_alloc((count + 1) * sizeof *groups);
    int *members = mem_alloc((count + 1) * sizeof *members);
    struct queue *queues = NULL;
    const char *system;
    json_t *value;
    json_object_foreach(systems, system, value)
    {
        groups[i++] = kafka_topic(publisher->conf, system, NULL);
    }
    int result =
        count ? kafka_group_members(publisher->client, (const char **)(uintptr_t)groups, members, count, err) : 0;
    i = 0;
    json_object_foreach(systems, system, value)
    {
        bool none = result == 0 && members[i] == 0 && something_waits(queues_of(&queues, publisher, system));
        json_object_set_new(systems, system, json_boolean(none));
        free(groups[i++]);
    }
    queues_free(queues);
    free(groups);
    free(members);
    return result;
}

/* ---- what is told ------------------------------------------------------------------------------------------------ */

static void tell(struct scheduler *scheduler, const char *system, bool attended, int64_t since)
{
    const char *name = attended ? "system.attended" : "system.unattended";
    const char *told = json_string_at(scheduler->attendance.told, system);
    if (told && strcmp(told, name) == 0) {
        return; /* the logger has not recorded it yet */
    }
    char at[TIME_TEXT_SIZE];
    time_format(since, at);
    publisher_event(&scheduler->publisher,
                    &(struct own_event){.name = name,
                                        .key = system,
                                        .message = attended ? "a worker is there, or nothing waits for one"
                                                            : "jobs wait, and there is no worker",
                                        .context = json_pack("{s:s, s:s}", "system", system, "since", at)});
    json_put_string(scheduler->attendance.told, system, name);
}

/* A worker that is being restarted is away for a moment: only who is away at two looks is missed. */
static void compare(struct scheduler *scheduler, const char *system, bool unattended, bool recorded)
{
    struct attendance *attendance = &scheduler->attendance;
    json_int_t since = json_int_at(attendance->seen, system, 0);
    if (!unattended) {
        json_object_del(attendance->seen, system);
        if (recorded) {
            tell(scheduler, system, true, time_now());
        }
    } else if (!since) {
        json_object_set_new(attendance->seen, system, json_integer(time_now()));
    } else if (!recorded) {
        tell(scheduler, system, false, since);
    }
    if (recorded == unattended) {
        json_object_del(attendance->told, system); /* it is recorded: the next change is news */
    }
}

/* Systems that are recorded as without a worker, as members of an object. NULL with an err. */
static json_t *recorded_systems(struct scheduler *scheduler, struct err *err)
{
    PGresult *rows =
        pg_query(scheduler->pg, err, "SELECT system FROM system_state WHERE unattended_since IS NOT NULL", 0, NULL);
    json_t *recorded = rows ? json_object() : NULL;
    for (int i = 0; rows && i < PQntuples(rows); i++) {
        json_object_set_new(recorded, PQgetvalue(rows, i, 0), json_true());
    }
    PQclear(rows);
    return recorded;
}

static int compare_all(struct scheduler *scheduler, const json_t *systems, const json_t *recorded, struct err *err)
{
    const char *system;
    json_t *unattended;
    if (publisher_begin(&scheduler->publisher, err) != 0) {
        return -1;
    }
    json_object_foreach((json_t *)(uintptr_t)systems, system, unattended)
    {
        compare(scheduler, system, json_is_true(unattended), json_object_get(recorded, system) != NULL);
    }
    return publisher_end(&scheduler->publisher, err);
}

static void note_trouble(struct attendance *attendance, bool trouble, struct err *err)
{
    if (trouble && !attendance->trouble) {
        log_warning("could not find out which systems have workers", "error", err_text(err), NULL);
    }
    attendance->trouble = trouble;
    err_release(err);
}

int scheduler_look_at_workers(struct scheduler *scheduler, struct err *err)
{
    struct attendance *attendance = &scheduler->attendance;
    if (!scheduler->leader || time_monotonic() < attendance->look_at) {
        return 0;
    }
    attendance->look_at = time_monotonic() + conf_duration(scheduler->conf, "scheduler.figures_every");
    attendance->seen = attendance->seen ? attendance->seen : json_object();
    attendance->told = attendance->told ? attendance->told : json_object();
    struct err why = ERR_INIT;
    json_t *systems = systems_with_topics(&scheduler->publisher, &why);
    bool known = systems && judge(&scheduler->publisher, systems, &why) == 0;
    note_trouble(attendance, !known, &why);
    json_t *recorded = known ? recorded_systems(scheduler, err) : NULL;
    int result = !known ? 0 : !recorded ? -1 : compare_all(scheduler, systems, recorded, err);
    json_decref(recorded);
    json_decref(systems);
    return result;
}
