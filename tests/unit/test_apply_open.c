/* The state machine in SQL, for what steps leave in place on purpose: an offboarding is not completed while anything is open. */
#include "tests/unit/postgres.h"
#include "tests/unit/apply.h"

#define STEP(id, system)                                                                                               \
    "{\"id\": \"" id "\", \"job_id\": \"@" id "\", \"system\": \"" system                                              \
    "\", \"action\": \"leave\", \"effect\": \"revoke\", \"when\": \"on_success\"}"
#define STARTED                                                                                                        \
    "\"plan\": {\"phases\": [{\"name\": \"first\", \"after\": null, \"after_us\": 0, \"steps\": [" STEP(               \
        "a", "m365") "," STEP("b",                                                                                     \
                              "m365") "," STEP("c",                                                                    \
                                               "exchange") "]}]},"                                                     \
                                                           " \"offboarding\": {\"user\": {\"email\": "                 \
                                                           "\"jane@x.org\"}, \"runbook\": \"r\", \"source\": \"s\","   \
                                                           " \"received_at\": \"2020-01-05T10:00:00Z\", "              \
                                                           "\"started_at\": \"2020-01-05T10:00:00Z\","                 \
                                                           " \"effective_at\": \"2020-01-05T10:00:00Z\", \"mode\": "   \
                                                           "\"live\", \"priority\": \"normal\", \"ids\": {}},"         \
                                                           " \"status\": \"initiated\", \"published\": [\"@a\", "      \
                                                           "\"@b\", \"@c\"]"
#define DONE(step, open) "\"job_id\": \"@" step "\", \"attempt\": 1, \"outcome\": \"succeeded\", \"open\": {" open "}"
#define GROUPS(names)    "\"licence_groups\": {\"items\": [" names "], \"why\": \"they bring the licence\"}"
#define OPEN                                                                                                           \
    "SELECT string_agg(system || '/' || item, ' ' ORDER BY system, item) FROM analyst.open_items WHERE closed_at IS "  \
    "NULL"

static void test_a_later_step_resolves(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.succeeded", PERSON(1), DONE("a", GROUPS("\"E3\", \"E5\", \"E3\"")));
    tell(*state, "job.succeeded", PERSON(1), DONE("c", GROUPS("\"E3\"")));
    assert_answer(*state, OPEN, "exchange/E3 m365/E3 m365/E5");
    tell(*state, "job.succeeded", PERSON(1), DONE("b", GROUPS("\"E5\"")));
    assert_answer(*state, OPEN, "exchange/E3 m365/E5"); /* another system's word does not count */
    assert_answer(*state, "SELECT closed_by FROM analyst.open_items WHERE system = 'm365' AND item = 'E3'", "step b");
    assert_status(*state, PERSON(1), "initiated: completed");
}

static void test_a_person_resolves(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.succeeded", PERSON(1), DONE("a", GROUPS("\"E3\"")));
    tell(*state, "job.succeeded", PERSON(1), DONE("b", ""));
    tell(*state, "job.succeeded", PERSON(1), DONE("c", GROUPS("")));
    assert_status(*state, PERSON(1), "initiated: completed"); /* every step is done, and one thing is open */
    tell(*state, "order.skip", PERSON(1), "\"step\": \"b\", \"reason\": \"x\", \"actor\": {\"id\": \"ann\"}");
    assert_note(*state, "order.skip", "refused: the job is succeeded");
    tell(*state, "order.skip", PERSON(1), "\"step\": \"a\", \"reason\": \"x\", \"actor\": {\"id\": \"ann\"}");
    assert_answer(*state, OPEN, NULL);
    assert_answer(*state, "SELECT closed_by FROM analyst.open_items", "ann");
    assert_status(*state, PERSON(1), "completed: completed");
    assert_jobs(*state, PERSON(1), "a:succeeded b:succeeded c:succeeded");
}

static void test_nothing_is_left(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.succeeded", PERSON(1), DONE("a", GROUPS("")));
    tell(*state, "job.succeeded", PERSON(1), DONE("b", ""));
    tell(*state, "job.succeeded", PERSON(1), DONE("c", ""));
    assert_status(*state, PERSON(1), "completed: completed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_later_step_resolves, database_make, database_drop),
        cmocka_unit_test_setup_teardown(test_a_person_resolves, database_make, database_drop),
        cmocka_unit_test_setup_teardown(test_nothing_is_left, database_make, database_drop),
    };
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
