/* The state machine in SQL, for who is told of results: `mirror` and `notify`. */
#include "tests/unit/postgres.h"
#include "tests/unit/apply.h"

#define STEP(id, more)                                                                                                 \
    "{\"id\": \"" id "\", \"job_id\": \"@" id                                                                          \
    "\", \"system\": \"scim\", \"action\": \"x\", \"effect\": \"revoke\", \"when\": \"on_success\"" more "}"
#define FOLLOWER(name, kind, needs) FOLLOWER_AT("jira", name, kind, needs)
#define FOLLOWER_AT(system, name, kind, needs)                                                                         \
    "{\"name\": \"" name "\", \"kind\": \"" kind "\", \"system\": \"" system                                           \
    "\", \"action\": \"comment\", \"effect\": \"notify\", \"needs\": [" needs "], \"with\": {}}"
#define PHASE(name, steps)        "{\"name\": \"" name "\", \"after\": null, \"after_us\": 0, \"steps\": [" steps "]}"
#define PLANNED(steps, followers) PLANNED_PHASES(PHASE("only", steps), followers)
#define PLANNED_PHASES(phases, followers)                                                                              \
    PLAN(phases, followers, "\"2020-01-05T10:00:00Z\"", "2020-01-05T10:00:00Z") ", \"status\": \"initiated\""
#define PLANNED_WAITING(steps, followers)                                                                              \
    PLAN(PHASE("only", steps), followers, "null", "2199-01-05T10:00:00Z") ", \"status\": \"waiting\""
#define PLAN(phases, followers, started, effective)                                                                    \
    "\"plan\": {\"phases\": [" phases "], \"followers\": [" followers "]}, \"published\": [],"                         \
    " \"offboarding\": {\"user\": {\"email\": \"jane@x.org\"}, \"runbook\": \"r\", \"source\": \"s\","                 \
    " \"received_at\": \"2020-01-05T10:00:00Z\", \"started_at\": " started ", \"effective_at\": \"" effective          \
    "\", \"mode\": \"live\", \"priority\": \"normal\", \"ids\": {}}"
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

/* The time of a phase has come. */
static void tell_phase_due(struct pg *pg, const char *phase)
{
    char *context = ask(
        pg,
        "SELECT format('\"phase\": \"%%s\", \"due_at\": \"%%s\"', name, instant(due_at)) FROM phase WHERE name = '%s'",
        phase);
    tell(pg, "phase.due", PERSON(1), context);
    free(context);
}

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
                  "ended , job mirror-1, stale a, stale b");
}

/* All that happened at once is told at once, and what is said twice is told once. */
static void test_one_batch(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("a", "") "," STEP("b", "") "," STEP("c", ""), FOLLOWER("mirror-1", "mirror", "\"a\"")));
    batch_begin(*state);
    say("job.failed", PERSON(1), ANSWER("b", "failed"));
    say("job.succeeded", PERSON(1), ANSWER("c", "succeeded"));
    say("job.succeeded", PERSON(1), ANSWER("c", "succeeded"));
    say("job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    batch_apply();
    assert_jobs(*state, PERSON(1), "a:succeeded b:failed c:succeeded mirror-1:ready");
    assert_answer(*state, CARRIED("mirror-1"), "b:failed c:succeeded a:succeeded");
    tell(*state, "job.failed", PERSON(1), ANSWER("b", "failed"));
    answer(*state, "mirror-1", "succeeded");
    assert_jobs(*state, PERSON(1), "a:succeeded b:failed c:succeeded mirror-1:succeeded");
}

/* What the next phase begins with doesn't keep the report of the one before. */
static void test_phases_are_reported_by_themselves(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED_PHASES(PHASE("first", STEP("a", "") "," STEP("b", "")) "," PHASE(
                            "second", STEP("c", ", \"needs\": [\"b\"]") "," STEP("d", "")),
                        FOLLOWER("on-phase-end-1", "on_phase_end", "")));
    tell(*state, "job.skipped", PERSON(1), ANSWER("b", "skipped"));
    tell_phase_due(*state, "second");
    assert_status(*state, PERSON(1), "initiated: initiated held");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    assert_jobs(*state, PERSON(1), "a:succeeded b:skipped c:skipped d:ready on-phase-end-1:ready");
    assert_answer(*state, CARRIED("on-phase-end-1"), "a:succeeded b:skipped");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("d", "succeeded"));
    assert_status(*state, PERSON(1), "initiated: completed completed");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("b", "succeeded")); /* late, but the truth */
    answer(*state, "on-phase-end-1", "succeeded");
    assert_answer(*state, CARRIED("on-phase-end-1.2"), "a:succeeded b:succeeded");
    answer(*state, "on-phase-end-1.2", "succeeded");
    assert_answer(*state, CARRIED("on-phase-end-1.3"), "c:skipped d:succeeded");
    assert_answer(*state, "SELECT string_agg(phase, ' ' ORDER BY position) FROM job WHERE follower IS NOT NULL",
                  "first first second");
    answer(*state, "on-phase-end-1.3", "skipped"); /* its `if` was false: told as well as not */
    assert_status(*state, PERSON(1), "completed: completed completed");
}

/* A report closes the thread: what is mirrored there comes first. Another system's mirror keeps none back. */
static void test_reports_come_last(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("a", "") "," STEP("b", ""),
                 FOLLOWER("mirror-1", "mirror", "") "," FOLLOWER("on-phase-end-1", "on_phase_end", "") "," FOLLOWER_AT(
                     "mail", "on-phase-end-2", "on_phase_end", "") "," FOLLOWER("mirror-2", "mirror", "\"b\"")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    tell(*state, "job.failed", PERSON(1), ANSWER("b", "failed"));
    assert_jobs(*state, PERSON(1), "a:succeeded b:failed mirror-1:ready on-phase-end-2:ready");
    answer(*state, "mirror-1", "succeeded");
    assert_jobs(*state, PERSON(1), "a:succeeded b:failed mirror-1:succeeded on-phase-end-2:ready mirror-1.2:ready");
    answer(*state, "mirror-1.2", "failed"); /* nor does one that can't tell, or has nowhere to tell it yet */
    assert_jobs(*state, PERSON(1),
                "a:succeeded b:failed mirror-1:succeeded on-phase-end-2:ready mirror-1.2:failed on-phase-end-1:ready");
}

/* A mirror's job belongs to the phase of the newest result. */
static void test_a_job_belongs_to_the_latest_phase(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED_PHASES(PHASE("first", STEP("a", "")) "," PHASE("second", STEP("b", "")),
                        FOLLOWER("mirror-1", "mirror", "\"b\"")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    tell_phase_due(*state, "second");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("b", "succeeded"));
    assert_answer(*state, CARRIED("mirror-1"), "a:succeeded b:succeeded");
    assert_answer(*state, "SELECT phase FROM job WHERE step = 'mirror-1'", "second");
}

/* Cancelled by a person: whoever follows hears of that, too, and a telling that fails can be retried. */
static void test_cancelled_by_order(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED_PHASES(
             PHASE("first", STEP("a", "") "," STEP("b", "")) "," PHASE("second", STEP("c", "")),
             FOLLOWER("mirror-1", "mirror", "") "," FOLLOWER_AT("mail", "on-phase-end-1", "on_phase_end", "")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    tell(*state, "cancelled", PERSON(1), "\"reason\": \"rehired\"");
    assert_status(*state, PERSON(1), "cancelled: cancelled cancelled");
    assert_jobs(*state, PERSON(1), "a:succeeded b:cancelled c:cancelled mirror-1:ready on-phase-end-1:ready");
    assert_answer(*state, CARRIED("on-phase-end-1"), "a:succeeded b:cancelled");
    answer(*state, "mirror-1", "succeeded");
    assert_answer(*state, CARRIED("mirror-1.2"), "b:cancelled c:cancelled");
    answer(*state, "mirror-1.2", "failed");
    assert_answer(*state, "SELECT string_agg(step, ' ') FROM analyst.open_failures", "mirror-1.2");
    tell(*state, "order.retry", PERSON(1), "\"reason\": \"\"");
    assert_note(*state, "order.retry", NULL);
    assert_due(*state, PERSON(1), "on-phase-end-1#1 mirror-1.2#2");
    assert_answer(*state,
                  "SELECT string_agg(message #>> '{job,step}', ' ' ORDER BY message #>> '{job,step}') FROM "
                  "due_messages(10, '{}') WHERE kind = 'job'",
                  "mirror-1.2 on-phase-end-1");
    answer(*state, "on-phase-end-1", "succeeded"); /* the second phase never began */
    assert_answer(*state, "SELECT string_agg(step, ' ' ORDER BY position) FROM job WHERE follower IS NOT NULL",
                  "mirror-1 on-phase-end-1 mirror-1.2");
}

/* What never began is told to nobody. */
static void test_cancelled_before_it_began(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED_WAITING(STEP("a", ""),
                         FOLLOWER("mirror-1", "mirror", "") "," FOLLOWER("on-phase-end-1", "on_phase_end", "")));
    tell(*state, "cancelled", PERSON(1), "\"reason\": \"stays\"");
    assert_jobs(*state, PERSON(1), "a:cancelled");
}

#define FIVE(letter)                                                                                                   \
    STEP(letter "1", "")                                                                                               \
    "," STEP(letter "2", "") "," STEP(letter "3", "") "," STEP(letter "4", "") "," STEP(letter "5", "")

/* No text takes any number of results: they are told by and by. */
static void test_many_results(void **state)
{
    tell(
        *state, "initiated", PERSON(1),
        PLANNED(FIVE("a") "," FIVE("b") "," FIVE("c") "," FIVE("d") "," FIVE("e"), FOLLOWER("mirror-1", "mirror", "")));
    tell(*state, "cancelled", PERSON(1), "\"reason\": \"rehired\"");
    assert_answer(*state, "SELECT jsonb_array_length(carried_results(j)) FROM job j WHERE step = 'mirror-1'", "20");
    answer(*state, "mirror-1", "succeeded");
    assert_answer(*state, CARRIED("mirror-1.2"), "e1:cancelled e2:cancelled e3:cancelled e4:cancelled e5:cancelled");
    answer(*state, "mirror-1.2", "succeeded");
    assert_answer(*state, "SELECT count(*) FROM job WHERE follower IS NOT NULL", "2");
}

static void test_undoing_is_told(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("a", ", \"undo\": \"y\", \"undo_effect\": \"handover\", \"undo_job_id\": \"@a.undo\""),
                 FOLLOWER("mirror-1", "mirror", "")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    answer(*state, "mirror-1", "succeeded");
    assert_status(*state, PERSON(1), "completed: completed");
    tell(*state, "order.undo", PERSON(1), "\"reason\": \"wrong person\"");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a.undo", "succeeded"));
    assert_jobs(*state, PERSON(1), "a:succeeded mirror-1:succeeded a.undo:succeeded mirror-1.2:ready");
    assert_answer(*state, CARRIED("mirror-1.2"), "a.undo:succeeded");
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
        APPLIED(test_one_batch),
        APPLIED(test_phases_are_reported_by_themselves),
        APPLIED(test_reports_come_last),
        APPLIED(test_a_job_belongs_to_the_latest_phase),
        APPLIED(test_cancelled_by_order),
        APPLIED(test_cancelled_before_it_began),
        APPLIED(test_many_results),
        APPLIED(test_undoing_is_told),
        APPLIED(test_ids_are_uuids_of_their_own),
    };
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
