/* The id of a mail: the same however often it is tried, another one for every other mail of the job. */
/* links: tests/unit/engine_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "tests/unit/engine_stand.h"
#include "tests/unit/helpers.h"
#include "worker/engine_internal.h"

static const char connector[] =
    "system: vendor\n"
    "settings: {url: {required: true}}\n"
    "base: \"smtp://127.0.0.1:1\"\n"
    "check: {mail: {}}\n"
    "actions:\n"
    "  ask:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    requests:\n"
    "      - mail: {from: a@example.com, to: b@example.com, subject: please, text: hello}\n"
    "      - wait:\n"
    "          signal: done\n"
    "          key: k\n"
    "          for: 9d\n"
    "          meanwhile:\n"
    "            every: 1d\n"
    "            mail: {from: a@example.com, to: b@example.com, subject: \"reminder ${ .reminder }\", text: hello}\n"
    "      - mail: {from: a@example.com, to: c@example.com, subject: nobody answers, text: hello}\n";

/* The line of its id in the mail that `request` makes; the caller frees. */
static char *message_id(struct run *run, const json_t *request, json_int_t at, json_int_t reminder)
{
    struct rendered rendered = {0};
    struct err err = ERR_INIT;
    run->place->at = at;
    context_set(run, "reminder", reminder ? json_integer(reminder) : json_null());
    if (mail_render(run, request, &rendered, &err) != 0) {
        fail_msg("%s", err_text(&err));
    }
    const char *line = strstr(rendered.mail.message, "Message-ID: ");
    assert_non_null(line);
    char *id = mem_strndup(line, strcspn(line, "\r\n"));
    rendered_release(&rendered);
    return id;
}

static void test_ids(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "ca_file: \"\"", "");
    struct trial *trial = trial_new(stand, "ask", NULL, NULL);
    struct run run = {.engine = stand->engine, .system = engine_system(stand->engine, "vendor"), .job = &trial->job};
    run.action = json_at(run.system->connector->tree, "actions.ask");
    struct place place;
    place_init(&place);
    run.place = &place;
    context_start(&run);
    const json_t *first = json_at(run.action, "requests.0");
    const json_t *reminder = json_at(run.action, "requests.1.wait.meanwhile");
    const json_t *last = json_at(run.action, "requests.2");
    const struct {
        const json_t *request;
        json_int_t at, reminder;
        const char *id;
    } rows[] = {
        {first, 0, 0, "Message-ID: <job-1@offboard>"},          {reminder, 1, 1, "Message-ID: <job-1.0.1.1@offboard>"},
        {reminder, 1, 1, "Message-ID: <job-1.0.1.1@offboard>"}, /* the answer was lost: it is sent again */
        {reminder, 1, 2, "Message-ID: <job-1.0.1.2@offboard>"}, {last, 2, 0, "Message-ID: <job-1.0.2@offboard>"},
        {last, 2, 2, "Message-ID: <job-1.0.2@offboard>"}, /* in the attempt of the second reminder, too */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *id = message_id(&run, rows[i].request, rows[i].at, rows[i].reminder);
        assert_string_equal(id, rows[i].id);
        free(id);
    }
    json_decref(run.context);
    place_release(&place);
    trial_free(trial);
    engine_stand_free(stand);
}

/* Day 60 is 60 days later in what people read, though it comes after a minute. */
static void test_the_calendar_of_short_days(void **state)
{
    (void)state;
    static const char phases[] = "[{\"name\": \"mailbox\", \"title\": \"the mailbox closes\", \"status\": \"waiting\", "
                                 "\"due_at\": \"2026-11-30T10:01:00.000000Z\", \"steps\": [{\"system\": \"Google\", "
                                 "\"action\": \"close it\"}]}]";
    struct engine_stand *stand = engine_stand_with(connector, "ca_file: \"\"", "retry_wait: 1s}\nclock: {day: 1s");
    struct trial *trial = trial_new(stand, "ask", NULL, NULL);
    json_put_string(trial->job.message, "started_at", "2026-11-30T10:00:00Z");
    json_put(json_object_get(trial->job.message, "job"), "phases", json_parse(phases, strlen(phases), NULL));
    struct run run = {.engine = stand->engine, .system = engine_system(stand->engine, "vendor"), .job = &trial->job};
    context_start(&run);
    const json_t *phase = json_array_get(json_object_get(run.context, "phases"), 0);
    assert_string_equal(json_string_at(phase, "due_on"), "29 January 2027");
    assert_string_equal(json_string_at(phase, "due_at"), "2026-11-30T10:01:00.000000Z");
    assert_string_equal(json_string_at(run.context, "agenda"),
                        "29 January 2027: the mailbox closes\n\u2022 Google: close it");
    json_decref(run.context);
    trial_free(trial);
    engine_stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ids), cmocka_unit_test(test_the_calendar_of_short_days)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
