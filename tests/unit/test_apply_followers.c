/* The state machine in SQL, for who is told of results: `mirror` and `notify`. */
#include "tests/unit/postgres.h"
#include "tests/unit/apply.h"

#define STEP(id, more)                                                                                                 \
    "{\"id\": \"" id "\", \"job_id\": \"@" id                                                                          \
    "\", \"system\": \"scim\", \"action\": \"x\", \"effect\": \"revoke\", \"when\": \"on_success\"" more "}"
#define FOLLOWER(name, kind, needs)                                                                                    \
    "{\"name\": \"" name "\", \"kind\": \"" kind                                                                       \
    "\", \"system\": \"jira\", \"action\": \"comment\", \"effect\": \"notify\", \"needs\": [" needs "], \"with\": {}}"
#define PLANNED(steps, followers)                                                                                      \
    "\"plan\": {\"phases\": [{\"name\": \"only\", \"after\": null, \"after_us\": 0, \"steps\": [" steps                \
    "]}], \"followers\": [" followers "]},"                                                                            \
    " \"offboarding\": {\"user\": {\"email\": \"jane@x.org\"}, \"runbook\": \"r\", \"source\": \"s\","                 \
    " \"received_at\": \"2020-01-05T10:00:00Z\", \"started_at\": \"2020-01-05T10:00:00Z\","                            \
    " \"effective_at\": \"2020-01-05T10:00:00Z\", \"mode\": \"live\", \"priority\": \"normal\", \"ids\": {}},"         \
    " \"status\": \"initiated\", \"published\": []"
#define ANSWER(step, result) "\"job_id\": \"@" step "\", \"attempt\": 1, \"outcome\": \"" result "\""

/* The follower's job answers; its id is nobody's but the database's. */
static void answer(struct pg *pg, const char *step, const char *outcome)
{
    char *id = ask(pg, "SELECT id FROM job WHERE step = '%s'", step);
    char *context = mem_printf("\"job_id\": \"%s\", \"attempt\": 1, \"outcome\": \"%s\"", id, outcome);
    char *name = mem_printf("job.%s", outcome);
    tell(pg, name, PERSON(1), context);
    free(name);
    free(context);
    free(id);
}

#define CARRIED(step)                                                                                                  \
    "SELECT coalesce(string_agg(r ->> 'step' || ':' || (r ->> 'state'), ' ' ORDER BY n), '')"                          \
    " FROM job j CROSS JOIN jsonb_array_elements(carried_results(j)) WITH ORDINALITY AS e (r, n) WHERE j.step = "      \
    "'" step "'"

/* Every result once: those that come while it tells wait for its next job. */
static void test_mirror(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("t", "") "," STEP("a", "") "," STEP("b", ""), FOLLOWER("mirror-1", "mirror", "\"t\"")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    assert_jobs(*state, PERSON(1), "t:ready a:succeeded b:ready"); /* nowhere to tell it yet */
    tell(*state, "job.succeeded", PERSON(1), ANSWER("t", "succeeded"));
    assert_jobs(*state, PERSON(1), "t:succeeded a:succeeded b:ready mirror-1:ready");
    assert_answer(*state, CARRIED("mirror-1"), "a:succeeded t:succeeded");
    tell(*state, "job.failed", PERSON(1), ANSWER("b", "failed"));
    assert_jobs(*state, PERSON(1), "t:succeeded a:succeeded b:failed mirror-1:ready");
    answer(*state, "mirror-1", "succeeded");
    assert_jobs(*state, PERSON(1), "t:succeeded a:succeeded b:failed mirror-1:succeeded mirror-1.2:ready");
    assert_answer(*state, CARRIED("mirror-1.2"), "b:failed");
    assert_status(*state, PERSON(1), "initiated: initiated");
    answer(*state, "mirror-1.2", "succeeded");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("b", "succeeded"));
    assert_status(*state, PERSON(1), "initiated: completed"); /* it has something to tell yet */
    answer(*state, "mirror-1.3", "succeeded");
    assert_status(*state, PERSON(1), "completed: completed");
}

static void test_messages_carry_the_results(void **state)
{
    tell(*state, "initiated", PERSON(1), PLANNED(STEP("a", ""), FOLLOWER("mirror-1", "mirror", "")));
    free(ask(*state, "DELETE FROM due"));
    tell(*state, "job.blocked", PERSON(1), ANSWER("a", "blocked"));
    assert_answer(*state,
                  "SELECT message #>> '{job,step}' || ' ' || (message #>> '{job,results,0,step}') || ' '"
                  " || (message #>> '{job,results,0,outcome}') FROM due_messages(10, '{}')",
                  "mirror-1 a blocked");
}

static void test_on_failure(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("a", "") "," STEP("b", ""), FOLLOWER("on-failure-1", "on_failure", "")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    assert_jobs(*state, PERSON(1), "a:succeeded b:ready");
    tell(*state, "job.denied", PERSON(1), ANSWER("b", "denied"));
    assert_jobs(*state, PERSON(1), "a:succeeded b:failed on-failure-1:ready");
    assert_answer(*state, CARRIED("on-failure-1"), "b:failed");
}

/* A report when nothing is under way, and again when that has changed. */
static void test_on_phase_end(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("a", "") "," STEP("b", "") "," STEP("c", ", \"needs\": [\"b\"]"),
                 FOLLOWER("on-phase-end-1", "on_phase_end", "")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    assert_jobs(*state, PERSON(1), "a:succeeded b:ready c:waiting");
    tell(*state, "job.failed", PERSON(1), ANSWER("b", "failed"));
    assert_jobs(*state, PERSON(1), "a:succeeded b:failed c:waiting on-phase-end-1:ready");
    assert_answer(*state, CARRIED("on-phase-end-1"), "a:succeeded b:failed c:waiting");
    answer(*state, "on-phase-end-1", "succeeded");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("b", "succeeded"));
    assert_jobs(*state, PERSON(1), "a:succeeded b:succeeded c:ready on-phase-end-1:succeeded");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("c", "succeeded"));
    assert_answer(*state, CARRIED("on-phase-end-1.2"), "a:succeeded b:succeeded c:succeeded");
}

/* The report closes the thread: it comes after what the mirror has to tell there. */
static void test_the_report_comes_last(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("a", "") "," STEP("b", ""),
                 FOLLOWER("mirror-1", "mirror", "") "," FOLLOWER("on-phase-end-1", "on_phase_end", "")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("b", "succeeded"));
    answer(*state, "mirror-1", "succeeded");
    assert_jobs(*state, PERSON(1), "a:succeeded b:succeeded mirror-1:succeeded mirror-1.2:ready");
    answer(*state, "mirror-1.2", "failed"); /* what can't be told keeps no report back */
    assert_jobs(*state, PERSON(1), "a:succeeded b:succeeded mirror-1:succeeded mirror-1.2:failed on-phase-end-1:ready");
}

/* A mirror without its thread tells nothing, and one of another system has its own outages. */
static void test_what_no_report_waits_for(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("t", "") "," STEP("a", ""),
                 FOLLOWER("mirror-1", "mirror", "\"t\"") "," FOLLOWER("on-phase-end-1", "on_phase_end", "")));
    tell(*state, "job.failed", PERSON(1), ANSWER("t", "failed"));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    assert_jobs(*state, PERSON(1), "t:failed a:succeeded on-phase-end-1:ready");
    free(ask(*state, "UPDATE follower SET spec = spec || '{\"system\": \"slack\"}' WHERE kind = 'on_phase_end'"));
    answer(*state, "on-phase-end-1", "succeeded");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("t", "succeeded"));
    assert_jobs(*state, PERSON(1),
                "t:succeeded a:succeeded on-phase-end-1:succeeded mirror-1:ready on-phase-end-1.2:ready");
}

/* A follower that fails fails alone, and is a failure all the same. */
static void test_a_follower_fails(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("a", ""), FOLLOWER("mirror-1", "mirror", "") "," FOLLOWER("on-failure-1", "on_failure", "")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    answer(*state, "mirror-1", "failed");
    assert_jobs(*state, PERSON(1), "a:succeeded mirror-1:failed");
    assert_status(*state, PERSON(1), "initiated: completed");
    answer(*state, "mirror-1", "succeeded"); /* ordered anew */
    assert_status(*state, PERSON(1), "completed: completed");
}

/* Cancelled by the runbook itself: that is told. */
static void test_cancelled_by_on_missing(void **state)
{
    tell(
        *state, "initiated", PERSON(1),
        PLANNED(STEP("a", ", \"on_missing\": \"cancel_phase\"") "," STEP("b", ""), FOLLOWER("mirror-1", "mirror", "")));
    tell(*state, "job.missing", PERSON(1), ANSWER("a", "missing"));
    assert_status(*state, PERSON(1), "cancelled: cancelled");
    assert_jobs(*state, PERSON(1), "a:skipped b:cancelled mirror-1:ready");
    assert_answer(*state, CARRIED("mirror-1"), "a:skipped b:cancelled");
    assert_answer(*state,
                  "SELECT string_agg(kind || ' ' || coalesce(message #>> '{job,step}', ''), ', ' ORDER BY kind)"
                  " FROM due_messages(10, '{}')",
                  "job mirror-1, stale a, stale b");
}

static void test_ids_are_uuids_of_their_own(void **state)
{
    assert_answer(*state, "SELECT follower_job_id('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'x')",
                  "11b62a1a-e8bd-36e0-b820-022b51d828c4");
}

#define APPLIED(test) cmocka_unit_test_setup_teardown(test, database_make, database_drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        APPLIED(test_mirror),
        APPLIED(test_messages_carry_the_results),
        APPLIED(test_on_failure),
        APPLIED(test_on_phase_end),
        APPLIED(test_the_report_comes_last),
        APPLIED(test_what_no_report_waits_for),
        APPLIED(test_a_follower_fails),
        APPLIED(test_cancelled_by_on_missing),
        APPLIED(test_ids_are_uuids_of_their_own),
    };
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
