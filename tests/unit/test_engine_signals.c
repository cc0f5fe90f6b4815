/* Jobs that wait for the outside world: what ends a wait, what doesn't, what is done meanwhile. */
/* links: tests/unit/engine_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/time.h"
#include "tests/unit/engine_stand.h"
#include "tests/unit/helpers.h"

static const char connector[] =
    "system: vendor\n"
    "settings: {url: {required: true}}\n"
    "base: \"${ .settings.url }\"\n"
    "actions:\n"
    "  follow:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    with: {parcel: {default: P1}, patience: {default: 30d}}\n"
    "    requests:\n"
    "      - {post: \"/trackings\", json: {number: \"${ .with.parcel }\"}}\n"
    "      - wait:\n"
    "          signal: parcel\n"
    "          key: \"${ .with.parcel }\"\n"
    "          for: \"${ .with.patience }\"\n"
    "          until: \"${ .signal.data.tag == \\\"Delivered\\\" }\"\n"
    "          failed: \"${ .signal.data.tag == \\\"Lost\\\" }\"\n"
    "          progress: \"parcel: ${ .signal.data.tag }\"\n"
    "        save: {at: \"${ .signal.data.at }\"}\n"
    "      - {post: \"/done\", json: {at: \"${ .saved.at }\"}}\n"
    "    outputs: {at: \"${ .saved.at }\"}\n"
    "  look:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    requests:\n"
    "      - wait:\n"
    "          signal: parcel\n"
    "          key: P1\n"
    "          for: 30d\n"
    "          meanwhile: {every: 1d, get: /parcels/P1, until: \"${ .body.there }\", save: {at: \"${ .body.at }\"}}\n"
    "        save: {at: \"${ .signal.data.at }\"}\n"
    "    outputs: {at: \"${ .saved.at }\"}\n"
    "  task:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    requests:\n"
    "      - wait:\n"
    "          signal: task\n"
    "          key: \"${ .job.id }\"\n"
    "          for: 3d\n"
    "          otherwise: next\n"
    "          meanwhile: {every: 1d, post: \"/reminders\", json: {number: \"${ .reminder }\"}}\n"
    "        save: {by: \"${ .signal.actor.id }\"}\n"
    "      - {post: \"/escalations\", if: \"${ .saved.by == null }\"}\n"
    "  restless:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    requests:\n"
    "      - wait: {signal: parcel, key: P1, for: 3650d, meanwhile: {every: 1m, get: /parcels/P1, until: \"${ "
    ".body.there }\"}}\n";

#define SIGNAL(id, tag)                                                                                                \
    "{\"id\": \"" id "\", \"name\": \"parcel\", \"key\": \"P1\", \"data\": {\"tag\": \"" tag "\", \"at\": \"dock\"}}"
#define AT_WAIT(more, signals)                                                                                         \
    "{\"state\": {\"accounts\": {\"\": {\"at\": 1, \"saved\": {}, \"awaits_since\": \"2199-01-01T00:00:00Z\"" more     \
    "}}}, \"signals\": [" signals "]}"
#define TASK(since, reminders, signals)                                                                                \
    "{\"state\": {\"accounts\": {\"\": {\"at\": 0, \"saved\": {}, \"awaits_since\": " since                            \
    ", \"reminders\": " reminders "}}}, \"signals\": [" signals "]}"

static const struct engine_row rows[] = {
    {.title = "nobody has said anything: the job rests",
     .action = "follow",
     .exchanges = {{"POST /trackings", 200, NULL, NULL}},
     .outcome = "deferred",
     .said = "waits for signal \"parcel\" of P1",
     .facts = {{"waits", "{\"signal\":\"parcel\",\"key\":\"P1\",\"heard\":[]}"},
               {"state.accounts..at", "1"},
               {"progress", "absent"}},
     .due_after = 30 * 86400 - 10,
     .due_before = 30 * 86400},
    {.title = "the signal that is waited for",
     .action = "follow",
     .job = AT_WAIT("", SIGNAL("s1", "Delivered")),
     .exchanges = {{"POST /done\n{\"at\":\"dock\"}", 200, NULL, NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.at", "\"dock\""}, {"waits", "absent"}}},
    {.title = "one that came before the wait began",
     .action = "follow",
     .job = "{\"signals\": [" SIGNAL("s1", "Delivered") "]}",
     .exchanges = {{"POST /trackings", 200, NULL, NULL}, {"POST /done", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "news that don't end it are told, and heard once",
     .action = "follow",
     .job = AT_WAIT(", \"heard\": [\"s1\"]", SIGNAL("s1", "Pending") ", " SIGNAL("s2", "InTransit")),
     .outcome = "deferred",
     .said = "waits for signal \"parcel\" of P1; parcel: InTransit",
     .facts = {{"progress", "\"parcel: InTransit\""}, {"state.accounts..heard", "[\"s1\",\"s2\"]"}}},
    {.title = "what was heard before is no news",
     .action = "follow",
     .job = AT_WAIT(", \"heard\": [\"s1\"]", SIGNAL("s1", "Pending")),
     .outcome = "deferred",
     .facts = {{"progress", "absent"}, {"state.accounts..heard", "[\"s1\"]"}}},
    {.title = "about something else",
     .action = "follow",
     .job = AT_WAIT("", "{\"id\": \"s1\", \"name\": \"parcel\", \"key\": \"P2\", \"data\": {\"tag\": \"Delivered\"}}"),
     .outcome = "deferred",
     .facts = {{"state.accounts..heard", "[]"}}},
    {.title = "it says that it failed",
     .action = "follow",
     .job = AT_WAIT("", SIGNAL("s1", "Lost")),
     .outcome = "failed",
     .said = "the signal says that it failed: {\"tag\":\"Lost\"",
     .facts = {{"state.accounts..at", "0"}}},
    {.title = "its time is over",
     .action = "follow",
     .job =
         "{\"state\": {\"accounts\": {\"\": {\"at\": 1, \"saved\": {}, \"awaits_since\": \"2020-01-01T00:00:00Z\"}}}}",
     .outcome = "failed",
     .said = "no signal \"parcel\" for P1 came within 30d",
     .facts = {{"state.accounts..awaits_since", "absent"}}},
    {.title = "no time at all",
     .action = "follow",
     .job = "{\"with\": {\"patience\": \"soon\"}}",
     .exchanges = {{"POST /trackings", 200, NULL, NULL}},
     .outcome = "failed",
     .said = "could not begin to wait: wait.for: "},
    {.title = "about nothing",
     .action = "follow",
     .job = "{\"with\": {\"parcel\": \"\"}}",
     .exchanges = {{"POST /trackings", 200, NULL, NULL}},
     .outcome = "failed",
     .said = "could not begin to wait: wait.key is empty"},
    {.title = "a dry run waits for nothing",
     .action = "follow",
     .offboarding = "{\"mode\": \"dry_run\"}",
     .outcome = "succeeded"},

    /* ---- otherwise, meanwhile */
    {.title = "whoever waits comes back to remind",
     .action = "task",
     .outcome = "deferred",
     .facts = {{"state.accounts..reminders", "0"}},
     .due_after = 86400 - 10,
     .due_before = 86400},
    {.title = "and then goes on without",
     .action = "task",
     .job = TASK("\"2020-01-01T00:00:00Z\"", "2", ""),
     .exchanges = {{"POST /escalations", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "a word ends it",
     .action = "task",
     .job = TASK("\"2020-01-01T00:00:00Z\"", "0",
                 "{\"id\": \"s1\", \"name\": \"task\", \"key\": \"job-1\", "
                 "\"actor\": {\"id\": \"ann\"}}"),
     .outcome = "succeeded"},
};

static void test_rows(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "", "");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        engine_stand_check(stand, &rows[i]);
    }
    engine_stand_free(stand);
}

/* Two days and a bit are over: one reminder, the second, and the next one tomorrow. */
static void test_reminders(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "", "");
    char since[TIME_TEXT_SIZE], job[500];
    time_format(time_now() - 2 * TIME_DAY - TIME_HOUR, since);
    snprintf(job, sizeof job, TASK("\"%s\"", "0", ""), since);
    struct engine_row row = {.title = "what was missed is made up for once",
                             .action = "task",
                             .job = job,
                             .exchanges = {{"POST /reminders\n{\"number\":2}", 200, NULL, NULL}},
                             .outcome = "deferred",
                             .facts = {{"state.accounts..reminders", "2"}},
                             .due_after = 23 * 3600 - 60,
                             .due_before = 23 * 3600};
    engine_stand_check(stand, &row);
    row = (struct engine_row){.title = "a vendor that is away keeps no signal from being waited for",
                              .action = "task",
                              .job = job,
                              .exchanges = {{"POST /reminders", 429, NULL, "Retry-After: 3600\r\n"}},
                              .outcome = "deferred",
                              .facts = {{"state.accounts..reminders", "0"}, {"state.accounts..at", "0"}}};
    engine_stand_check(stand, &row);
    row = (struct engine_row){.title = "a look shows what no signal has told",
                              .action = "look",
                              .job = job,
                              .exchanges = {{"GET /parcels/P1", 200, "{\"there\": true, \"at\": \"gate\"}", NULL}},
                              .outcome = "succeeded",
                              .facts = {{"outputs.at", "\"gate\""}}};
    engine_stand_check(stand, &row);
    row.title = "and otherwise the wait goes on";
    row.exchanges[0].body = "{\"there\": false}";
    row.outcome = "deferred";
    row.facts[0].path = "state.accounts..reminders";
    row.facts[0].value = "2";
    engine_stand_check(stand, &row);
    engine_stand_free(stand);
}

/* A minute is 17 us here: while one look is made, the next one becomes due. That is not the end of the ten years. */
static void test_looks_without_a_pause(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "", "retry_wait: 1s}\nclock: {day: 24ms");
    char since[TIME_TEXT_SIZE], job[500];
    time_format(time_now() - TIME_SECOND, since);
    snprintf(job, sizeof job, TASK("\"%s\"", "0", ""), since);
    struct engine_row row = {.title = "the next look is due before this one is over",
                             .action = "restless",
                             .job = job,
                             .exchanges = {{"GET /parcels/P1", 200, "{\"there\": false}", NULL}},
                             .outcome = "deferred",
                             .said = "waits for signal \"parcel\" of P1"};
    engine_stand_check(stand, &row);
    engine_stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_reminders),
                                       cmocka_unit_test(test_looks_without_a_pause)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
