/* The topics that HR events come on, by who writes them. Kafka's ACLs tell topics apart and nothing else, so the topic decides what is
 * believed of a record. */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "producer/planner_internal.h"

#define ACTOR "offboardactor"

enum { NAME_MOST = 200 /* bytes of a source's name that are repeated: what is told of the record has to fit */ };

/* ---- which there are --------------------------------------------------------------------------------------------- */

static void add(struct planner *planner, enum writer writer, const char *kind, const char *system)
{
    char *label = mem_printf("%s%s%s", kind, system ? "." : "", system ? system : "");
    planner->streams = mem_realloc(planner->streams, (planner->stream_count + 1) * sizeof *planner->streams);
    planner->streams[planner->stream_count++] = (struct stream){
        .topic = kafka_topic(planner->conf, kind, system),
        .writer = writer,
        .system = system,
        .lag = metric_series(metric_new(METRIC_GAUGE, "offboard_planner_lag_seconds", "topic",
                                        "Age of the newest HR event of a topic when its batch was published."),
                             label, NULL),
        .lost = metric_series(metric_new(METRIC_COUNTER, "offboard_intake_lost_total", "topic",
                                         "HR events that retention deleted before they were read."),
                              label, NULL),
        .violations = metric_series(
            metric_new(METRIC_COUNTER, "offboard_violations_total", "topic",
                       "Messages that say what the writers of their topic may not say: they are not believed."),
            label, NULL)};
    free(label);
}

static bool is_polled(const struct planner *planner, const char *system)
{
    for (size_t i = 0; i < planner->stream_count; i++) {
        if (planner->streams[i].system && strcmp(planner->streams[i].system, system) == 0) {
            return true;
        }
    }
    return false;
}

void streams_open(struct planner *planner)
{
    add(planner, WRITER_HR, "intake", NULL);
    add(planner, WRITER_EDGE, "received", NULL);
    for (size_t i = 0; i < definition_count(planner->definitions, DEFINITION_SOURCE); i++) {
        const struct definition *source = definition_item(planner->definitions, DEFINITION_SOURCE, i);
        const char *system = json_string_at(source->tree, "poll.system");
        if (system && !is_polled(planner, system)) {
            add(planner, WRITER_WORKER, "polled", system);
        }
    }
}

void streams_close(struct planner *planner)
{
    for (size_t i = 0; i < planner->stream_count; i++) {
        free(planner->streams[i].topic);
    }
    free(planner->streams);
    planner->streams = NULL;
    planner->stream_count = 0;
}

struct stream *stream_find(struct planner *planner, const char *topic)
{
    for (size_t i = 0; i < planner->stream_count; i++) {
        if (strcmp(planner->streams[i].topic, topic) == 0) {
            return &planner->streams[i];
        }
    }
    return NULL;
}

struct stream *stream_of(struct planner *planner, const rd_kafka_message_t *message)
{
    return stream_find(planner, rd_kafka_topic_name(message->rkt));
}

/* Its worker can't write it either, and no other HR event waits for it. A system without any topic is not used here. */
static void tell_missing(struct planner *planner, struct stream *stream)
{
    char *jobs = kafka_topic(planner->conf, "jobs", stream->system);
    if (!stream->missing && kafka_partitions(planner->rk, jobs, NULL) > 0) {
        log_warning("a topic of polled HR events is missing: nothing of the system is polled until `offboard topics` "
                    "has made it",
                    "topic", stream->topic, "system", stream->system, NULL);
    }
    free(jobs);
    stream->missing = true;
}

int32_t stream_partitions(struct planner *planner, struct stream *stream, int64_t timeout, struct err *err)
{
    if (stream->writer != WRITER_WORKER) {
        return kafka_partition_count(planner->rk, stream->topic, timeout, err);
    }
    int32_t count = kafka_partitions(planner->rk, stream->topic, err);
    if (count == 0) {
        tell_missing(planner, stream);
    } else if (count > 0) {
        stream->missing = false;
    }
    return count;
}

/* ---- what is believed -------------------------------------------------------------------------------------------- */

/* Takes away what only the edge says. The caller frees what is said of it; NULL: there was nothing. */
static char *drop(json_t *event, const char *const *names, size_t count, const char *topic)
{
    struct buf dropped = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        if (json_object_get(event, names[i])) {
            buf_addf(&dropped, "%s%s", dropped.len ? ", " : "", names[i]);
            json_object_del(event, names[i]);
        }
    }
    char *said =
        dropped.len ? mem_printf("not believed of a record on %s, and dropped: %s", topic, buf_text(&dropped)) : NULL;
    buf_release(&dropped);
    return said;
}

/* A worker speaks for the sources that poll its system, and for nobody else. */
static int check_worker(const struct stream *stream, const struct definitions *definitions, const json_t *event,
                        struct err *err)
{
    const char *name = json_string_at(event, MAPPING_SOURCE);
    if (!name) {
        return err_set(err, ERR_PERMANENT, MAPPING_SOURCE " is missing: on %s it names a source that polls %s",
                       stream->topic, stream->system);
    }
    const struct definition *source = definition_find(definitions, DEFINITION_SOURCE, name);
    const char *polls = source ? json_string_at(source->tree, "poll.system") : NULL;
    if (!polls || strcmp(polls, stream->system) != 0) {
        return err_set(err, ERR_PERMANENT, MAPPING_SOURCE ": no source \"%s\" polls %s, whose worker wrote the record",
                       strlen(name) <= NAME_MOST ? name : "…", stream->system);
    }
    const char *said = json_string_at(event, "source");
    return strcmp(said, name) == 0
               ? 0
               : err_set(err, ERR_PERMANENT, "source: a worker's event comes from \"%s\", not from \"%s\"", name, said);
}

/* An HR system has a name of its own: with that of another writer it could take an event's id before that writer does. */
static int check_hr(const struct definitions *definitions, const json_t *event, struct err *err)
{
    static const char ours[] = "/offboard/";
    const char *said = json_string_at(event, "source");
    const struct definition *source = definition_find(definitions, DEFINITION_SOURCE, said);
    bool polled = source && json_string_at(source->tree, "poll.system");
    return polled || strncmp(said, ours, strlen(ours)) == 0
               ? err_set(err, ERR_PERMANENT,
                         "source: \"%s\" is what %s; give the HR system that writes this topic a name of its own",
                         strlen(said) <= NAME_MOST ? said : "…",
                         polled ? "the worker that polls it calls itself" : "the API calls its senders")
               : 0;
}

int stream_believe(const struct stream *stream, const struct definitions *definitions, json_t *event, char **dropped,
                   struct err *err)
{
    static const char *const of_edge[] = {ACTOR, MAPPING_SOURCE};
    switch (stream->writer) {
    case WRITER_HR:
        *dropped = drop(event, of_edge, COUNT_OF(of_edge), stream->topic);
        return check_hr(definitions, event, err);
    case WRITER_WORKER:
        *dropped = drop(event, of_edge, 1, stream->topic);
        return check_worker(stream, definitions, event, err);
    default:
        return 0;
    }
}
