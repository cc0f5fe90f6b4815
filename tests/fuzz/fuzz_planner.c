/* producer/decide.c, producer/roster.c: records of the intake topic, one a line, in the order they came. Each gets one row of intake or goes
 * to the dead letters, and whatever is published can be read by those who read it. Reading them again, as after a restart, publishes
 * nothing. */
/* links: tests/fuzz/record.c tests/fuzz/shipped.c producer/decide.c producer/roster.c */
#include "lib/log.h"
#include "lib/message.h"
#include "producer/planner_internal.h"
#include "tests/fuzz/record.h"
#include "tests/fuzz/shipped.h"

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

static struct planner planner;

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

static void decide_all(struct fuzz_input input, struct intake *intake, bool remember_only)
{
    while (input.left) {
        char *line = fuzz_line(&input);
        struct fuzz_input value = {(const uint8_t *)line, strlen(line)};
        rd_kafka_message_t message = {.payload = fuzz_bytes(&value), .len = value.left, .key = "k", .key_len = 1};
        int before = decided;
        decide_record(&planner, intake, &message, remember_only);
        FUZZ_CHECK(decided == before + !remember_only);
        free(message.payload);
        free(line);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!planner.conf) {
        set_up();
    }
    planner.published = json_object();
    struct intake intake = {.roster = roster_new(2, planner.conf, planner.control)};
    decide_all((struct fuzz_input){data, size}, &intake, false);
    struct intake again = {.roster = roster_new(2, planner.conf, planner.control)};
    int before = published;
    decide_all((struct fuzz_input){data, size}, &again, true);
    FUZZ_CHECK(published == before);
    roster_free(again.roster);
    roster_free(intake.roster);
    json_decref(planner.published);
    return 0;
}
