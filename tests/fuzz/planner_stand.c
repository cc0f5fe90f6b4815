/* links: tests/fuzz/record.c tests/fuzz/shipped.c producer/streams.c producer/decide.c producer/outputs.c producer/roster.c */
/* links: producer/roster_index.c producer/roster_record.c producer/roster_decide.c producer/roster_remember.c */
#include "tests/fuzz/planner_stand.h"

#include "lib/log.h"
#include "lib/message.h"
#include "producer/planner_internal.h"
#include "tests/fuzz/record.h"
#include "tests/fuzz/shipped.h"

static struct planner planner;
static struct roster *second; /* what a process that takes over would know */
static int decided, published;

/* ---- in place of producer/batch.c ------------------------------------------------------------------------------------------------ */

size_t batch_add(struct batch *batch, enum stage stage, const char *topic, const char *key, json_t *value,
                 const char *type, const char *id, const char *traceparent)
{
    struct err err = ERR_INIT;
    char *text = json_text(value);
    json_t *read = stage == STAGE_JOBS      ? message_job(text, strlen(text), &err)
                   : stage == STAGE_CONTROL ? message_control(key, strlen(key), text, strlen(text), &err)
                                            : message_event(text, strlen(text), &err);
    FUZZ_CHECK(read && !batch && *topic && *key && *id && traceparent);
    decided += strcmp(type, "intake") == 0;
    published++;
    json_decref(read);
    json_decref(value);
    free(text);
    return 9999; /* so that what stands for it is looked at as well */
}

void batch_or(struct batch *batch, json_t *value)
{
    char *text = json_text(value);
    json_t *read = message_event(text, strlen(text), NULL);
    FUZZ_CHECK(!batch && read);
    json_decref(read);
    json_decref(value);
    free(text);
}

void batch_else(struct batch *batch, const char *topic, json_t *event)
{
    FUZZ_CHECK(!batch && *topic);
    batch_or(NULL, event);
}

void batch_begin(struct batch *batch, const rd_kafka_message_t *message)
{
    FUZZ_CHECK(!batch && (!message || message->payload));
}

/* Another roster understands what this one writes. */
void batch_write_roster(void *batch, const char *key, json_t *value)
{
    struct err err = ERR_INIT;
    char *text = value ? json_text(value) : NULL;
    FUZZ_CHECK(!batch && *key && roster_read(second, key, strlen(key), text, text ? strlen(text) : 0, &err) == 0);
    json_decref(value);
    free(text);
}

/* What is about an offboarding is sealed with its key, which is made first. */
void batch_make_key(struct batch *batch, const char *offboarding_id)
{
    FUZZ_CHECK(!batch && *offboarding_id);
}

bool batch_has_key(struct batch *batch, const char *offboarding_id)
{
    FUZZ_CHECK(!batch && *offboarding_id);
    return true;
}

void batch_seal(struct batch *batch, const char *offboarding_id)
{
    FUZZ_CHECK(!batch && *offboarding_id);
}

bool planner_publishes(struct planner *given, const char *system)
{
    FUZZ_CHECK(given == &planner && *system);
    return true;
}

void batch_dead(struct batch *batch, const rd_kafka_message_t *message, const char *reason)
{
    FUZZ_CHECK(!batch && message && *reason);
    published++;
}

/* ---------------------------------------------------------------------------------------------------------------------------------- */

static void set_up(void)
{
    log_init("fuzz", (enum log_level)(LOG_ERROR + 1)); /* each HR event that is set aside is an error there */
    planner.conf = fuzz_conf();
    planner.definitions = fuzz_definitions();
    planner.control = control_new();
    planner.events = planner.control_topic = mem_strdup("offboard.x");
    streams_open(&planner);
    FUZZ_CHECK(planner.stream_count >= 3);
    planner.dispositions = metric_new(METRIC_COUNTER, "offboard_intake_total", "source disposition", "Records.");
    planner.last_event = metric_new(METRIC_GAUGE, "offboard_intake_last_seconds", "source", "Records.");
    planner.without_effect = metric_new(METRIC_COUNTER, "offboard_cancellations_total", "source", "Records.");
}

/* The attributes that are believed on no topic but some do not come through, and what a worker writes is its own sources'. */
static void check_believed(const struct stream *stream, const char *line)
{
    json_t *event = json_parse(line, strlen(line), NULL);
    char *dropped = NULL;
    if (json_is_object(event) && json_string_at(event, "source") &&
        stream_believe(stream, planner.definitions, event, &dropped, NULL) == 0) {
        const char *name = json_string_at(event, MAPPING_SOURCE);
        const struct definition *source = name ? definition_find(planner.definitions, DEFINITION_SOURCE, name) : NULL;
        FUZZ_CHECK(stream->writer == WRITER_EDGE || !json_object_get(event, "offboardactor"));
        FUZZ_CHECK(stream->writer != WRITER_HR || !json_object_get(event, MAPPING_SOURCE));
        FUZZ_CHECK(stream->writer != WRITER_WORKER ||
                   (source && strcmp(json_string_at(source->tree, "poll.system"), stream->system) == 0 &&
                    strcmp(json_string_at(event, "source"), name) == 0));
    }
    free(dropped);
    json_decref(event);
}

/* Each line once, from the offset 0 on, one topic after the other. Returns how many were decided. */
static int decide_all(struct fuzz_input records)
{
    int before = decided;
    for (int64_t offset = 0; records.left; offset++) {
        char *line = fuzz_line(&records);
        const struct stream *stream = &planner.streams[(size_t)offset % planner.stream_count];
        check_believed(stream, line);
        struct fuzz_input value = {(const uint8_t *)line, strlen(line)};
        rd_kafka_message_t message = {.rkt = (rd_kafka_topic_t *)stream->topic,
                                      .payload = fuzz_bytes(&value),
                                      .len = value.left,
                                      .key = "k",
                                      .key_len = 1,
                                      .offset = offset};
        int one = decided;
        decide_record(&planner, &message);
        FUZZ_CHECK(decided <= one + 1);
        free(message.payload);
        free(line);
    }
    return decided - before;
}

static int count_lines(struct fuzz_input records)
{
    int count = 0;
    for (; records.left; count++) {
        free(fuzz_line(&records));
    }
    return count;
}

void planner_stand_decide(struct fuzz_input records)
{
    if (!planner.conf) {
        set_up();
    }
    control_free(planner.control);
    planner.control = control_new();
    planner.published = json_object();
    planner.roster = roster_new(planner.conf, planner.control);
    second = roster_new(planner.conf, planner.control);
    FUZZ_CHECK(decide_all(records) == count_lines(records));
    struct roster_size one = roster_size(planner.roster), other = roster_size(second);
    FUZZ_CHECK(one.offboardings == other.offboardings && one.events == other.events);
    /* The one that takes over reads the same records once more: nothing is decided anew. */
    struct roster *first = planner.roster;
    planner.roster = second;
    second = roster_new(planner.conf, planner.control);
    decide_all(records);
    FUZZ_CHECK(roster_size(second).offboardings == 0 && roster_size(second).events == 0);
    roster_free(first);
    roster_free(second);
    roster_free(planner.roster);
    json_decref(planner.published);
}
