/* The state machine in SQL, for the words of a step that decide what becomes of others. */
#include "tests/unit/postgres.h"
#include "tests/unit/apply.h"

#define STEP(id, more)                                                                                                 \
    "{\"id\": \"" id "\", \"job_id\": \"@" id                                                                          \
    "\", \"system\": \"scim\", \"action\": \"x\", \"effect\": \"revoke\", \"when\": \"on_success\"" more "}"

/* Started long ago: the second phase's time, too, has come. */
#define PLANNED(first, second)                                                                                         \
    "\"plan\": {\"phases\": ["                                                                                         \
    "{\"name\": \"first\", \"after\": null, \"after_us\": 0, \"steps\": [" first "]},"                                 \
    "{\"name\": \"second\", \"after\": \"1d\", \"after_us\": 86400000000, \"steps\": [" second "]}]},"                 \
    " \"offboarding\": {\"user\": {\"email\": \"jane@x.org\"}, \"runbook\": \"r\", \"source\": \"s\","                 \
    " \"received_at\": \"2020-01-05T10:00:00Z\", \"started_at\": \"2020-01-05T10:00:00Z\","                            \
    " \"effective_at\": \"2020-01-05T10:00:00Z\", \"mode\": \"live\", \"priority\": \"normal\", \"ids\": {}},"         \
    " \"status\": \"initiated\", \"published\": [\"@a\"]"
#define SECOND_DUE           "\"phase\": \"second\", \"due_at\": \"2020-01-06T10:00:00Z\""
#define ANSWER(step, result) "\"job_id\": \"@" step "\", \"attempt\": 1, \"outcome\": \"" result "\""

/* rules.md 8. */
static void test_expires(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(
             STEP("a", "") "," STEP("b", ", \"needs\": [\"a\"], \"after_us\": 86400000000, \"expires_us\": 1") "," STEP(
                 "c", ", \"needs\": [\"a\"], \"expires_us\": 1") "," STEP("d", ", \"needs\": [\"b\"]"),
             STEP("e", ", \"expires_us\": 3600000000") "," STEP("f", ", \"expires_us\": 946080000000000")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    /* c has no time of its own: it is due as soon as it may run. */
    assert_jobs(*state, PERSON(1), "a:succeeded b:skipped c:ready d:skipped e:waiting f:waiting");
    assert_answer(*state, "SELECT reason FROM job WHERE step = 'b'", "expired: it could not begin in time");
    assert_answer(*state, "SELECT message #>> '{job,expires_us}' FROM due_messages(10, '{}') WHERE kind = 'job'", "1");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("c", "succeeded"));
    tell(*state, "phase.due", PERSON(1), SECOND_DUE);
    assert_jobs(*state, PERSON(1), "a:succeeded b:skipped c:succeeded d:skipped e:skipped f:ready");
}

#define ALWAYS(id, needs)                                                                                              \
    "{\"id\": \"" id "\", \"job_id\": \"@" id "\", \"system\": \"scim\", \"action\": \"x\", \"effect\": \"notify\","   \
    " \"when\": \"always\", \"needs\": [" needs "], \"expires_us\": 1}"

/* One order for all that failed: what needs another of them waits for it anew, and comes neither before it nor too late. */
static void test_retry_in_order(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("a", "") "," ALWAYS("b", "\"a\"") "," ALWAYS("c", "\"b\"") "," STEP("d", ", \"needs\": [\"a\"]"),
                 STEP("e", "")));
    tell(*state, "job.failed", PERSON(1), ANSWER("a", "blocked"));
    tell(*state, "job.failed", PERSON(1), ANSWER("b", "blocked"));
    tell(*state, "job.failed", PERSON(1), ANSWER("c", "failed"));
    assert_jobs(*state, PERSON(1), "a:failed b:failed c:failed d:waiting e:waiting");
    tell(*state, "order.retry", PERSON(1), "\"reason\": \"there is a manager\"");
    assert_jobs(*state, PERSON(1), "a:ready b:waiting c:waiting d:waiting e:waiting");
    assert_due(*state, PERSON(1), "a#2 second");
    tell(*state, "job.failed", PERSON(1), "\"job_id\": \"@a\", \"attempt\": 2, \"outcome\": \"blocked\"");
    assert_due(*state, PERSON(1), "b#2 second");
    tell(*state, "order.retry", PERSON(1), "\"step\": \"a\", \"reason\": \"now\""); /* by name: at once */
    assert_due(*state, PERSON(1), "a#3 b#2 second");
    tell(*state, "job.succeeded", PERSON(1), "\"job_id\": \"@a\", \"attempt\": 3, \"outcome\": \"succeeded\"");
    assert_due(*state, PERSON(1), "b#2 d#1 second");
    tell(*state, "job.succeeded", PERSON(1), "\"job_id\": \"@b\", \"attempt\": 2, \"outcome\": \"succeeded\"");
    assert_due(*state, PERSON(1), "c#2 d#1 second");
}

/* rules.md 11. */
static void test_missing_cancels_the_phase(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("a", "") "," STEP("b", ", \"needs\": [\"a\"], \"on_missing\": \"cancel_phase\"") "," STEP(
                     "c", ", \"needs\": [\"a\"]") "," STEP("d", ", \"needs\": [\"b\"]"),
                 STEP("e", "")));
    tell(*state, "job.missing", PERSON(1), ANSWER("a", "missing")); /* where the runbook says nothing */
    assert_status(*state, PERSON(1), "initiated: completed waiting");
    tell(*state, "initiated", PERSON(2),
         PLANNED(STEP("a", "") "," STEP("b", ", \"needs\": [\"a\"], \"on_missing\": \"cancel_phase\"") "," STEP(
                     "c", ", \"needs\": [\"a\"]") "," STEP("d", ", \"needs\": [\"b\"]"),
                 STEP("e", "")));
    tell(*state, "job.succeeded", PERSON(2), ANSWER("a", "succeeded"));
    tell(*state, "job.missing", PERSON(2), ANSWER("b", "missing"));
    assert_jobs(*state, PERSON(2), "a:succeeded b:skipped c:cancelled d:cancelled e:cancelled");
    assert_status(*state, PERSON(2), "cancelled: cancelled cancelled");
    assert_answer(*state, "SELECT reason FROM offboarding WHERE status = 'cancelled'", "b: account missing");
    assert_answer(*state, "SELECT string_agg(DISTINCT reason, '') FROM job WHERE state = 'cancelled'",
                  "b: account missing");
    assert_due(*state, PERSON(2), NULL);
    tell(*state, "job.succeeded", PERSON(2), ANSWER("c", "succeeded")); /* it ran already: the truth counts */
    assert_jobs(*state, PERSON(2), "a:succeeded b:skipped c:succeeded d:cancelled e:cancelled");
    assert_status(*state, PERSON(2), "cancelled: cancelled cancelled");
}

/* A later phase: what was done before stays completed. */
static void test_missing_in_a_later_phase(void **state)
{
    tell(*state, "initiated", PERSON(1), PLANNED(STEP("a", ""), STEP("b", ", \"on_missing\": \"cancel_phase\"")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    tell(*state, "phase.due", PERSON(1), SECOND_DUE);
    tell(*state, "job.missing", PERSON(1), ANSWER("b", "missing"));
    assert_status(*state, PERSON(1), "cancelled: completed cancelled");
    assert_jobs(*state, PERSON(1), "a:succeeded b:skipped");
}

/* A read-back waits from the success of its step, and gets what that one could read. */
static void test_later_read_back(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("a", "") "," STEP("b", ", \"needs\": [\"a\"]") "," STEP(
                     "b.verify-2d", ", \"needs\": [\"b\"], \"reads\": [\"a\"], \"only_verify\": true, \"wait_us\": "
                                    "172800000000"),
                 STEP("e", "")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded") ", \"outputs\": {\"key\": 7}");
    assert_jobs(*state, PERSON(1), "a:succeeded b:ready b.verify-2d:waiting e:waiting");
    tell_at(*state, "job.succeeded", PERSON(1), ANSWER("b", "succeeded"), "2100-01-01T00:00:00Z");
    assert_jobs(*state, PERSON(1), "a:succeeded b:succeeded b.verify-2d:ready e:waiting");
    assert_answer(*state, "SELECT due_at FROM job WHERE step = 'b.verify-2d'", "2100-01-03 00:00:00+00");
    assert_answer(*state,
                  "SELECT jsonb_build_array(m #> '{job,only_verify}', m #> '{job,steps,a,outputs,key}', m #> "
                  "'{job,steps,b,state}') FROM (SELECT job_message(j, o) FROM job j JOIN offboarding o ON true"
                  " WHERE step = 'b.verify-2d') x (m)",
                  "[true, 7, \"succeeded\"]");
    assert_status(*state, PERSON(1), "initiated: initiated waiting");
    assert_answer(*state, "SELECT count(*) FROM analyst.time_to_revoke", "3"); /* a, b, e: it revokes nothing itself */
    tell(*state, "job.failed", PERSON(1), ANSWER("b.verify-2d", "failed"));
    assert_answer(*state, "SELECT string_agg(step, ' ') FROM analyst.open_failures", "b.verify-2d");
}

/* A phase of a runbook that a step runs begins as phases do: when the one before it is over, and nothing of it has failed. */
static void test_behind(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("a", "") "," STEP("b", "") "," STEP("c", ", \"behind\": [\"a\", \"b\"]"), STEP("e", "")));
    assert_jobs(*state, PERSON(1), "a:ready b:ready c:waiting e:waiting");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    tell(*state, "job.failed", PERSON(1), ANSWER("b", "failed"));
    assert_jobs(*state, PERSON(1), "a:succeeded b:failed c:waiting e:waiting");
    tell(*state, "order.skip", PERSON(1), "\"step\": \"b\", \"reason\": \"by hand\"");
    assert_jobs(*state, PERSON(1), "a:succeeded b:skipped c:ready e:waiting");
}

#define UNDONE(action)                                                                                                 \
    ", \"undo\": \"" action "\", \"undo_effect\": \"handover\", \"undo_job_id\": \"@undo-" action                      \
    "\", \"with\": {\"to\": \"x\"}"

/* What a person finds undone of a completed offboarding: b and d, not what was so already, nor what failed. */
static void complete(struct pg *pg)
{
    tell(pg, "initiated", PERSON(1),
         PLANNED(STEP("a", "") "," STEP("b", ", \"needs\": [\"a\"]" UNDONE("bb")) "," STEP("c", UNDONE("cc")),
                 STEP("d", UNDONE("dd"))));
    tell(pg, "job.succeeded", PERSON(1), ANSWER("a", "succeeded") ", \"outputs\": {\"key\": 7}");
    tell(pg, "job.before", PERSON(1), "\"job_id\": \"@b\", \"before\": {\"u1\": {\"role\": \"admin\"}}");
    tell(pg, "job.before", PERSON(1),
         "\"job_id\": \"@b\", \"before\": {\"u1\": {\"role\": \"none\"}, \"u2\": {\"role\": \"guest\"}}");
    tell(pg, "job.succeeded", PERSON(1), ANSWER("b", "succeeded"));
    tell(pg, "job.already_done", PERSON(1), ANSWER("c", "already_done"));
    tell(pg, "phase.due", PERSON(1), SECOND_DUE);
    tell(pg, "job.succeeded", PERSON(1), ANSWER("d", "succeeded"));
    assert_status(pg, PERSON(1), "completed: completed completed");
}

static void test_undo(void **state)
{
    complete(*state);
    tell(*state, "order.undo", PERSON(1), "\"reason\": \"wrong Jane\"");
    assert_note(*state, "order.undo", NULL);
    assert_jobs(*state, PERSON(1), "a:succeeded b:succeeded c:succeeded d:succeeded b.undo:ready d.undo:ready");
    assert_due(*state, PERSON(1), "b.undo#1 d.undo#1");
    assert_answer(*state,
                  "SELECT reason || ' ' || action || ' ' || effect || ' ' || phase FROM job WHERE step = 'b.undo'",
                  "undo: wrong Jane bb handover first");
    assert_answer(
        *state,
        "SELECT jsonb_build_array(m #> '{job,undo_of}', m #> '{job,before,u1,role}', m #> '{job,before,u2,role}',"
        " m #> '{job,with,to}', m #> '{job,steps,a,outputs,key}') FROM due_messages(10, '{}') d (k, a, o, p, s, t, m)"
        " WHERE k = 'job' AND m #>> '{job,step}' = 'b.undo'",
        "[\"b\", \"admin\", \"guest\", \"x\", 7]");
    tell(*state, "job.succeeded", PERSON(1), "\"job_id\": \"@undo-bb\", \"attempt\": 1, \"outcome\": \"succeeded\"");
    tell(*state, "job.failed", PERSON(1), "\"job_id\": \"@undo-dd\", \"attempt\": 1, \"outcome\": \"failed\"");
    assert_status(*state, PERSON(1), "completed: completed completed");
    assert_answer(*state, "SELECT string_agg(step, ' ') FROM analyst.open_failures", "d.undo");
    tell(*state, "order.undo", PERSON(1), "\"reason\": \"again\"");
    assert_jobs(*state, PERSON(1), "a:succeeded b:succeeded c:succeeded d:succeeded b.undo:succeeded d.undo:ready");
    assert_due(*state, PERSON(1), "d.undo#2");
    assert_answer(*state, "SELECT string_agg(context ->> 'step', ' ') FROM unanswered('-1 h')", NULL);
    assert_answer(*state, "SELECT count(*) FROM due_messages(10, '{}') WHERE kind = 'job'",
                  "1"); /* taken, unanswered */
    assert_answer(*state, "SELECT string_agg(context ->> 'step', ' ') FROM unanswered('-1 h')", "d.undo");
    tell(*state, "order.undo", PERSON(1), "\"reason\": \"again\"");
    assert_note(*state, "order.undo", "refused: it was ordered before; the jobs that undo have not failed");
}

/* What was so already is undone only when a person names it. */
static void test_undo_of_one_step(void **state)
{
    complete(*state);
    tell(*state, "order.undo", PERSON(1), "\"reason\": \"x\", \"step\": \"c\"");
    assert_jobs(*state, PERSON(1), "a:succeeded b:succeeded c:succeeded d:succeeded c.undo:ready");
    tell(*state, "order.undo", PERSON(1), "\"reason\": \"x\", \"step\": \"a\"");
    assert_note(*state, "order.undo", "refused: no such step has succeeded and can be undone");
    tell(*state, "job.failed", PERSON(1), "\"job_id\": \"@undo-cc\", \"attempt\": 1, \"outcome\": \"failed\"");
    tell(*state, "order.retry", PERSON(1), "\"reason\": \"x\"");
    assert_due(*state, PERSON(1), "c.undo#2");
}

static void test_undo_refused(void **state)
{
    tell(*state, "initiated", PERSON(1), PLANNED(STEP("a", UNDONE("aa")), STEP("d", "")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    tell(*state, "order.undo", PERSON(1), "\"reason\": \"x\"");
    assert_note(*state, "order.undo",
                "refused: the offboarding is initiated; cancel it first (offboard cancel), or wait until it is over");
    tell(*state, "order.undo", PERSON(2), "\"reason\": \"x\"");
    assert_note(*state, "order.undo", "refused: unknown offboarding");
    tell(*state, "job.before", PERSON(1), "\"job_id\": \"@nobody\", \"before\": {\"\": {}}");
    assert_note(*state, "job.before", "unknown job");
    tell(*state, "cancelled", PERSON(1), "\"reason\": \"wrong Jane\"");
    tell(*state, "order.undo", PERSON(1), "\"reason\": \"x\"");
    assert_jobs(*state, PERSON(1), "a:succeeded d:cancelled a.undo:ready");
    assert_status(*state, PERSON(1), "cancelled: completed cancelled");
}

/* Started by whom HR names, with what it says of the managers. */
#define LEAVES(email, more)                                                                                            \
    "\"plan\": {\"phases\": [{\"name\": \"first\", \"after\": null, \"after_us\": 0, \"steps\": [" STEP(               \
        "a",                                                                                                           \
        "") "]}]}, \"offboarding\": {\"user\": {\"email\": \"" email "\"" more                                         \
            "}, \"runbook\": \"r\", \"source\": \"s\", \"received_at\": \"2020-01-05T10:00:00Z\", \"started_at\":"     \
            " \"2020-01-05T10:00:00Z\", \"effective_at\": \"2020-01-05T10:00:00Z\", \"ids\": {}, \"mode\": "

static void assert_managers(struct pg *pg, const char *expected)
{
    assert_answer(pg,
                  "SELECT jsonb_build_array(u #> '{manager,leaving}', u #> '{manager_chain,0,leaving}',"
                  " u #> '{manager_chain,1,leaving}', u #> '{manager_chain,2,leaving}') FROM"
                  " (SELECT job_message(j, o) -> 'user' FROM offboarding o JOIN job j ON j.offboarding_id = o.id"
                  " WHERE o.id = '" PERSON(1) "') x (u)",
                  expected);
}

/* rules.md 5: nobody hands over to somebody who leaves as well. */
static void test_managers_who_leave(void **state)
{
    tell(*state, "initiated", PERSON(1),
         LEAVES("jane@x.org",
                ", \"manager\": {\"email\": \"Boss@x.org\", \"leaving\": true}, \"manager_chain\": [{\"email\": "
                "\"boss@x.org\"}, {\"employee_id\": \"E7\", \"email\": \"ceo@x.org\"}, {\"email\": "
                "\"jane@x.org\"}]") "\"live\"}, \"status\": \"initiated\", \"published\": []");
    assert_managers(*state,
                    "[null, null, null, null]"); /* what was said before doesn't count, nor does this offboarding */
    tell(*state, "initiated", PERSON(2),
         LEAVES("boss@x.org", "") "\"dry_run\"}, \"status\": \"initiated\", \"published\": []");
    assert_managers(*state, "[null, null, null, null]");
    tell(*state, "initiated", PERSON(3),
         LEAVES("b@x.org", ", \"emails\": [\"BOSS@x.org\"]") "\"live\"}, \"status\": \"held\", \"published\": []");
    assert_managers(*state, "[true, true, null, null]");
    tell(*state, "initiated", PERSON(4),
         LEAVES("other@x.org", ", \"employee_id\": \"E7\"") "\"live\"}, \"status\": \"initiated\", \"published\": []");
    assert_managers(*state, "[true, true, true, null]");
    tell(*state, "cancelled", PERSON(3), "\"reason\": \"stays\"");
    assert_managers(*state, "[null, null, true, null]");
    assert_answer(*state,
                  "SELECT leaver #> '{manager_chain,1}' ? 'leaving' FROM offboarding WHERE id = '" PERSON(1) "'",
                  "f"); /* as it is now, never kept */
}

#define LOST(step, attempt)                                                                                            \
    "\"job_id\": \"@" step "\", \"step\": \"" step "\", \"attempt\": " #attempt ", \"outcome\": \"lost\""

/* What is lost is due at once, as a new attempt, once; it says nothing of what was answered meanwhile. */
static void test_lost(void **state)
{
    tell(*state, "initiated", PERSON(1), PLANNED(STEP("a", "") "," STEP("b", ", \"needs\": [\"a\"]"), STEP("e", "")));
    assert_answer(*state, "SELECT string_agg(kind || ' ' || (context ->> 'step'), ',') FROM unanswered('1d')", "job a");
    tell(*state, "job.lost", PERSON(1), LOST("a", 1));
    assert_note(*state, "job.lost", NULL);
    assert_due(*state, PERSON(1), "a#2 second");
    assert_answer(*state, "SELECT count(*) FROM unanswered('-1d') WHERE kind = 'job'", "0"); /* not published yet */
    assert_answer(*state, "SELECT reason || ' ' || attempt || ' ' || (outcome IS NULL) FROM job WHERE step = 'a'",
                  "attempt 1 was lost; it is published again 2 true");
    tell(*state, "job.lost", PERSON(1), LOST("a", 1));
    assert_note(*state, "job.lost", "late: attempt 1 is over, attempt 2 counts");
    assert_due(*state, PERSON(1), "a#2 second");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded")); /* the answer turns up after all */
    assert_jobs(*state, PERSON(1), "a:succeeded b:ready e:waiting");
    tell(*state, "job.lost", PERSON(1), LOST("a", 2));
    assert_note(*state, "job.lost", "the job is already succeeded");
    tell(*state, "job.lost", PERSON(1), LOST("nobody", 1));
    assert_note(*state, "job.lost", "unknown job");
    assert_due(*state, PERSON(1), "b#1 second");
}

static void test_lost_beyond_its_term(void **state)
{
    tell(*state, "initiated", PERSON(1),
         PLANNED(STEP("a", ", \"expires_us\": 1") "," STEP("b", ", \"needs\": [\"a\"]"), STEP("e", "")));
    tell(*state, "job.lost", PERSON(1), LOST("a", 1));
    assert_jobs(*state, PERSON(1), "a:skipped b:skipped e:waiting");
    assert_due(*state, PERSON(1), "second");
}

static void test_phase_again(void **state)
{
    tell(*state, "initiated", PERSON(1), PLANNED(STEP("a", ""), STEP("e", "")));
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", "succeeded"));
    tell(*state, "phase.again", PERSON(1), SECOND_DUE);
    assert_note(*state, "phase.again", "late: it is due to be said again");
    assert_answer(*state, "SELECT count(*) FROM unanswered('1d')", "0"); /* not said yet */
    free(ask(*state, "DELETE FROM due"));
    assert_answer(*state, "SELECT context FROM unanswered('1d') WHERE kind = 'phase'",
                  "{\"phase\": \"second\", \"due_at\": \"2020-01-06T10:00:00.000000Z\"}");
    tell(*state, "phase.again", PERSON(1), "\"phase\": \"second\", \"due_at\": \"2020-01-07T10:00:00Z\"");
    assert_note(*state, "phase.again", "stale: the phase is due at 2020-01-06T10:00:00.000000Z");
    tell(*state, "phase.again", PERSON(1), SECOND_DUE);
    assert_due(*state, PERSON(1), "second");
    assert_answer(*state, "SELECT string_agg(kind, ' ') FROM due_messages(10, '{}')",
                  "phase");                                              /* said again, and lost */
    assert_answer(*state, "SELECT count(*) FROM unanswered('1d')", "0"); /* within the day */
    assert_answer(*state, "SELECT count(*) FROM unanswered('-1d')", "1");
    tell(*state, "phase.due", PERSON(1), SECOND_DUE);
    tell(*state, "phase.again", PERSON(1), SECOND_DUE);
    assert_note(*state, "phase.again", "the phase is already initiated");
    assert_jobs(*state, PERSON(1), "a:succeeded e:ready");
}

#define APPLIED(test) cmocka_unit_test_setup_teardown(test, database_make, database_drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        APPLIED(test_expires),
        APPLIED(test_retry_in_order),
        APPLIED(test_missing_cancels_the_phase),
        APPLIED(test_missing_in_a_later_phase),
        APPLIED(test_later_read_back),
        APPLIED(test_behind),
        APPLIED(test_undo),
        APPLIED(test_undo_of_one_step),
        APPLIED(test_undo_refused),
        APPLIED(test_managers_who_leave),
        APPLIED(test_lost),
        APPLIED(test_lost_beyond_its_term),
        APPLIED(test_phase_again),
    };
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
