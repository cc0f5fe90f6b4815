/* links: tests/fuzz/record.c tests/fuzz/shipped.c producer/decide.c producer/roster.c */
#include "tests/fuzz/planner_stand.h"

#include "lib/log.h"
#include "lib/message.h"
#include "producer/planner_internal.h"
#include "tests/fuzz/record.h"
#include "tests/fuzz/shipped.h"

static struct planner planner;
static int decided, published;

/* ---- in place of producer/batch.c ------------------------------------------------------------------------------------------------ */

void batch_add(struct batch *batch, enum stage stage, const char *topic, const char *key, json_t *value,
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
}

void batch_forward(struct batch *batch, const rd_kafka_message_t *message, const char *person)
{
    FUZZ_CHECK(batch && message && person); /* there is one partition: never */
}

void batch_dead(struct batch *batch, const rd_kafka_message_t *message, const char *reason)
{
    FUZZ_CHECK(!batch && message && *reason);
    published++;
}

/* ---------------------------------------------------------------------------------------------------------------------------------- */

static void set_up(void)
{
    log_init("fuzz", LOG_ERROR);
    planner.conf = fuzz_conf();
    planner.definitions = fuzz_definitions();
    planner.control = control_new();
    planner.events = planner.topic = planner.control_topic = mem_strdup("offboard.x");
    planner.partitions = 1;
    planner.dispositions = metric_new(METRIC_COUNTER, "offboard_intake_total", "source disposition", "Records.");
    planner.last_event = metric_new(METRIC_GAUGE, "offboard_intake_last_seconds", "source", "Records.");
}

void planner_stand_decide(struct fuzz_input records, bool remember_only)
{
    if (!planner.conf) {
        set_up();
    }
    planner.published = json_object();
    struct intake intake = {.roster = roster_new(2, planner.conf, planner.control)};
    int published_before = published;
    while (records.left) {
        char *line = fuzz_line(&records);
        struct fuzz_input value = {(const uint8_t *)line, strlen(line)};
        rd_kafka_message_t message = {.payload = fuzz_bytes(&value), .len = value.left, .key = "k", .key_len = 1};
        int before = decided;
        decide_record(&planner, &intake, &message, remember_only);
        FUZZ_CHECK(decided == before + !remember_only);
        free(message.payload);
        free(line);
    }
    FUZZ_CHECK(!remember_only || published == published_before);
    roster_free(intake.roster);
    json_decref(planner.published);
}
