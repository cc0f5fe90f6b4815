/* Systems that have no worker though jobs wait for one. A group without members is no trouble while there is nothing to do. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "scheduler/scheduler.h"

enum { METADATA_MS = 5000 };

/* ---- what Kafka says, asked on the thread ------------------------------------------------------------------------- */

/* Systems that have topics, as members of an object. NULL with an err. */
static json_t *systems_with_topics(const struct attendance *attendance, struct err *err)
{
    const struct rd_kafka_metadata *metadata = kafka_topics(attendance->client, METADATA_MS, err);
    if (!metadata) {
        return NULL;
    }
    json_t *systems = json_object();
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const char *system = system_of_topic(attendance->conf, metadata->topics[i].topic);
        if (system) {
            json_object_set_new(systems, system, json_null());
        }
    }
    rd_kafka_metadata_destroy(metadata);
    return systems;
}

/* Does a topic of the system hold what no worker has read? Nobody knows, where Kafka does not say. */
static bool waits_in(const struct attendance *attendance, const char *kind, const char *system)
{
    struct err err = ERR_INIT;
    char *topic = kafka_topic(attendance->conf, kind, system);
    int32_t count = 0;
    struct place *places = places_of(attendance->conf, attendance->client, system, topic, &count, &err);
    bool waits = false;
    for (int32_t i = 0; places && i < count; i++) {
        waits = waits || place_reads_from(&places[i]) < places[i].high;
    }
    free(places);
    free(topic);
    err_release(&err);
    return waits;
}

/* Each system of `systems` gets true when jobs wait there for a worker that isn't there, else false. */
static int judge(const struct attendance *attendance, json_t *systems, struct err *err)
{
    size_t count = json_object_size(systems), i = 0;
    char **groups = mem_alloc((count + 1) * sizeof *groups);
    int *members = mem_alloc((count + 1) * sizeof *members);
    const char *system;
    json_t *value;
    json_object_foreach(systems, system, value)
    {
        groups[i++] = kafka_topic(attendance->conf, system, NULL);
    }
    int result = count ? kafka_group_members(attendance->client, groups, members, count, err) : 0;
    i = 0;
    json_object_foreach(systems, system, value)
    {
        bool none = result == 0 && members[i] == 0 &&
                    (waits_in(attendance, "jobs", system) || waits_in(attendance, "urgent", system));
        json_object_set_new(systems, system, json_boolean(none));
        free(groups[i++]);
    }
    free(groups);
    free(members);
    return result;
}

static void note_trouble(struct attendance *attendance, bool trouble, struct err *err)
{
    if (trouble && !attendance->trouble) {
        log_warning("could not find out which systems have workers", "error", err_text(err), NULL);
    }
    attendance->trouble = trouble;
    err_release(err);
}

/* Puts the answer in place of one that nobody has taken; takes `asked`. */
static void put_answer(struct attendance *attendance, json_t *asked)
{
    pthread_mutex_lock(&attendance->lock);
    json_decref(attendance->asked);
    attendance->asked = asked;
    pthread_mutex_unlock(&attendance->lock);
}

static json_t *take_answer(struct attendance *attendance)
{
    pthread_mutex_lock(&attendance->lock);
    json_t *asked = attendance->asked;
    attendance->asked = NULL;
    pthread_mutex_unlock(&attendance->lock);
    return asked;
}

static void look(void *arg)
{
    struct attendance *attendance = arg;
    struct err err = ERR_INIT;
    if (!atomic_load(&attendance->wanted)) {
        return;
    }
    json_t *systems = systems_with_topics(attendance, &err);
    bool known = systems && judge(attendance, systems, &err) == 0;
    note_trouble(attendance, !known, &err);
    if (known) {
        put_answer(attendance, systems);
    } else {
        json_decref(systems);
    }
}

int attendance_start(struct attendance *attendance, const struct conf *conf, struct err *err)
{
    attendance->conf = conf;
    attendance->client = kafka_consumer_new(kafka_consumer_conf(conf, NULL, err), err);
    if (!attendance->client) {
        return -1;
    }
    pthread_mutex_init(&attendance->lock, NULL);
    atomic_store(&attendance->wanted, true); /* until it is known who tells */
    attendance->seen = json_object();
    attendance->told = json_object();
    attendance->every =
        every_start(conf_duration(conf, "scheduler.figures_every"), look, attendance, "looks at workers", err);
    return attendance->every ? 0 : -1;
}

void attendance_stop(struct attendance *attendance)
{
    every_stop(attendance->every);
    if (attendance->client) {
        rd_kafka_destroy(attendance->client);
        pthread_mutex_destroy(&attendance->lock);
    }
    json_decref(attendance->asked);
    json_decref(attendance->seen);
    json_decref(attendance->told);
    *attendance = (struct attendance){0};
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

int scheduler_look_at_workers(struct scheduler *scheduler, struct err *err)
{
    struct attendance *attendance = &scheduler->attendance;
    atomic_store(&attendance->wanted, scheduler->leader);
    json_t *systems = take_answer(attendance);
    json_t *recorded = systems && scheduler->leader ? recorded_systems(scheduler, err) : NULL;
    int result = !systems || !scheduler->leader ? 0 : !recorded ? -1 : compare_all(scheduler, systems, recorded, err);
    json_decref(recorded);
    json_decref(systems);
    return result;
}
