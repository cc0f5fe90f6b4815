/* The state machine in SQL: what each event makes of jobs, phases and offboardings. */
#include "tests/unit/postgres.h"
#include "tests/unit/apply.h"

#include "lib/json.h"
#include "lib/plan.h"

/* Two phases. a and b are published by the planner; c is told when b fails; d reports whatever happened; e needs a and waits
 * two days. The second phase comes after 90 days. */
#define PLAN                                                                                                           \
    "\"plan\": {\"phases\": [{\"name\": \"first\", \"after\": null, \"after_us\": 0, \"steps\": ["                     \
    "{\"id\": \"a\", \"job_id\": \"@a\", \"system\": \"jira\", \"action\": \"x\", \"effect\": \"notify\", \"needs\": " \
    "[],"                                                                                                              \
    " \"when\": \"on_success\", \"if\": null, \"with\": {\"title\": \"${ .user.name }\"}},"                            \
    "{\"id\": \"b\", \"job_id\": \"@b\", \"system\": \"scim\", \"action\": \"x\", \"effect\": \"revoke\", \"needs\": " \
    "[]},"                                                                                                             \
    "{\"id\": \"c\", \"job_id\": \"@c\", \"system\": \"jira\", \"action\": \"x\", \"effect\": \"notify\", \"needs\": " \
    "[\"b\"],"                                                                                                         \
    " \"when\": \"on_failure\"},"                                                                                      \
    "{\"id\": \"d\", \"job_id\": \"@d\", \"system\": \"jira\", \"action\": \"x\", \"effect\": \"notify\","             \
    " \"needs\": [\"a\", \"b\"], \"when\": \"always\"},"                                                               \
    "{\"id\": \"e\", \"job_id\": \"@e\", \"system\": \"jira\", \"action\": \"x\", \"effect\": \"notify\", \"needs\": " \
    "[\"a\"],"                                                                                                         \
    " \"after_us\": 172800000000}]},"                                                                                  \
    "{\"name\": \"second\", \"after\": \"90d\", \"after_us\": 7776000000000, \"steps\": ["                             \
    "{\"id\": \"f\", \"job_id\": \"@f\", \"system\": \"scim\", \"action\": \"x\", \"effect\": \"destroy\", "           \
    "\"needs\": []}]}]}"

#define OBJECT(email, effective, started)                                                                              \
    "\"offboarding\": {\"user\": {\"email\": \"" email                                                                 \
    "\", \"name\": \"Jane\"}, \"runbook\": \"r\", \"source\": \"s\","                                                  \
    " \"received_at\": \"2026-01-05T10:00:00Z\", \"started_at\": " started ", \"effective_at\": \"" effective "\","    \
    " \"mode\": \"live\", \"priority\": \"normal\", \"ids\": {}, \"tenant\": \"t1\"}"

#define STARTED                                                                                                        \
    PLAN ", " OBJECT("jane@x.org", "2026-01-04T00:00:00Z",                                                             \
                     "\"2026-01-05T10:00:00Z\"") ", \"status\": \"initiated\", \"published\": [\"@a\", \"@b\"]"
#define WAITING(at) PLAN ", " OBJECT("jane@x.org", at, "null") ", \"status\": \"waiting\", \"published\": []"
#define HELD(at)                                                                                                       \
    PLAN ", " OBJECT("jane@x.org", at, "null") ", \"status\": \"held\", \"reason\": \"cap\", \"published\": []"
#define ANSWER(step, attempt, outcome)                                                                                 \
    "\"job_id\": \"@" step "\", \"step\": \"" step "\", \"attempt\": " #attempt ", \"outcome\": \"" outcome "\""

static void succeed(struct pg *pg, const char *const *steps)
{
    for (; *steps; steps++) {
        char *context = mem_printf("\"job_id\": \"@%s\", \"attempt\": 1, \"outcome\": \"succeeded\"", *steps);
        tell(pg, "job.succeeded", PERSON(1), context);
        free(context);
    }
}

static void test_start(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    assert_status(*state, PERSON(1), "initiated: initiated waiting");
    assert_jobs(*state, PERSON(1), "a:ready b:ready c:waiting d:waiting e:waiting f:waiting");
    assert_due(*state, PERSON(1), "second"); /* what the planner published has no row */
    assert_answer(*state, "SELECT due_at FROM phase WHERE name = 'second'", "2026-04-05 10:00:00+00");
    assert_answer(*state, "SELECT string_agg(attempt::text, '' ORDER BY position) FROM job", "110000");
}

static void test_repeated_start(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", 1, "succeeded"));
    tell(*state, "initiated", PERSON(1), STARTED);
    assert_note(*state, "initiated", "repeated: the first one counts");
    assert_jobs(*state, PERSON(1), "a:succeeded b:ready c:waiting d:waiting e:ready f:waiting");
    assert_answer(*state, "SELECT count(*) FROM event WHERE name = 'initiated'", "2");
}

static void test_success(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.succeeded", PERSON(1), ANSWER("b", 1, "succeeded"));
    assert_jobs(*state, PERSON(1), "a:ready b:succeeded c:skipped d:waiting e:waiting f:waiting");
    tell(*state, "job.already_done", PERSON(1), ANSWER("a", 1, "already_done"));
    assert_jobs(*state, PERSON(1), "a:succeeded b:succeeded c:skipped d:ready e:ready f:waiting");
    assert_due(*state, PERSON(1), "d#1 e#1 second");
    /* 48 hours after the later of effective_at and the start, or now: the offboarding began in the past. */
    assert_answer(
        *state,
        "SELECT due_at >= started_at + interval '2 days' FROM job j JOIN offboarding o ON true WHERE step = 'e'", "t");
}

static void test_failure(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.failed", PERSON(1), ANSWER("b", 1, "failed"));
    assert_jobs(*state, PERSON(1), "a:ready b:failed c:ready d:waiting e:waiting f:waiting");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", 1, "succeeded"));
    succeed(*state, (const char *const[]){"c", "d", "e", NULL});
    assert_status(*state, PERSON(1), "initiated: initiated waiting"); /* a failed job keeps the phase open */
    assert_answer(*state, "SELECT step FROM analyst.open_failures", "b");
}

static void test_skipped_cascades(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.missing", PERSON(1), ANSWER("a", 1, "missing"));
    assert_jobs(*state, PERSON(1), "a:skipped b:ready c:waiting d:waiting e:skipped f:waiting");
    tell(*state, "job.skipped", PERSON(1), ANSWER("b", 1, "skipped"));
    assert_jobs(*state, PERSON(1), "a:skipped b:skipped c:skipped d:ready e:skipped f:waiting"); /* d runs always */
}

static void test_deferred(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.deferred", PERSON(1),
         ANSWER("b", 1, "deferred") ", \"due_at\": \"2026-01-05T16:00:00Z\", \"state\": {\"at\": 2, \"begun\": true}");
    assert_jobs(*state, PERSON(1), "a:ready b:ready c:waiting d:waiting e:waiting f:waiting");
    assert_due(*state, PERSON(1), "b#2 second");
    tell(*state, "job.deferred", PERSON(1), ANSWER("b", 1, "deferred"));
    assert_note(*state, "job.deferred", "late: attempt 1 is over, attempt 2 counts");
    assert_due(*state, PERSON(1), "b#2 second");
    assert_answer(*state, "SELECT message #>> '{job,attempt}' FROM due_messages(10, '{}') WHERE kind = 'job'", "2");
    assert_answer(*state, "SELECT saved FROM job WHERE step = 'b'", "{\"at\": 2, \"begun\": true}");
    tell(*state, "job.failed", PERSON(1), ANSWER("b", 2, "failed"));
    assert_jobs(*state, PERSON(1), "a:ready b:failed c:ready d:waiting e:waiting f:waiting");
}

static void test_late_answers(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.succeeded", PERSON(1), ANSWER("b", 1, "succeeded"));
    tell(*state, "job.failed", PERSON(1), ANSWER("b", 1, "failed"));
    assert_note(*state, "job.failed", "the job is already succeeded");
    tell(*state, "cancelled", PERSON(1), "\"reason\": \"rehired\"");
    assert_jobs(*state, PERSON(1), "a:cancelled b:succeeded c:skipped d:cancelled e:cancelled f:cancelled");
    assert_status(*state, PERSON(1), "cancelled: cancelled cancelled");
    tell(*state, "job.failed", PERSON(1), ANSWER("a", 1, "failed"));
    assert_note(*state, "job.failed", "the job is already cancelled");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", 1, "succeeded"));
    assert_jobs(*state, PERSON(1), "a:succeeded b:succeeded c:skipped d:cancelled e:cancelled f:cancelled");
    tell(*state, "job.failed", PERSON(2), ANSWER("a", 1, "failed"));
    assert_note(*state, "job.failed", "unknown job");
}

static void test_facts_go_on(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.succeeded", PERSON(1),
         ANSWER("b", 1, "succeeded") ", \"pinned\": {\"scim\": [\"7\"]}, \"provides\": {\"user\": {\"manager\": "
                                     "{\"name\": \"M\"}}}");
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", 1, "succeeded") ", \"outputs\": {\"key\": \"IT-1\"}");
    assert_answer(
        *state,
        "SELECT jsonb_build_array(m #> '{ids}', m #> '{user}', m #> '{job,steps,a}', m -> 'tenant') FROM"
        " (SELECT job_message(j, o) FROM job j JOIN offboarding o ON true WHERE step = 'd') x (m)",
        "[{\"scim\": [\"7\"]}, {\"name\": \"Jane\", \"email\": \"jane@x.org\", \"manager\": {\"name\": \"M\"}},"
        " {\"state\": \"succeeded\", \"outcome\": \"succeeded\", \"outputs\": {\"key\": \"IT-1\"}}, \"t1\"]");
}

static json_t *ask_json(struct pg *pg, const char *sql)
{
    char *text = ask(pg, "%s", sql);
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    free(text);
    return value;
}

/* The scheduler's job messages and the planner's are the same. */
static void test_job_message(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    json_t *ours = ask_json(*state, "SELECT job_message(j, o) FROM job j JOIN offboarding o ON true WHERE step = 'a'");
    json_t *object = ask_json(*state, "SELECT offboarding_object(o) FROM offboarding o");
    json_t *plan = ask_json(*state, "SELECT plan FROM offboarding");
    json_t *theirs = plan_job_message(object, plan, json_string_at(ours, "job.id"), 1, NULL, NULL);
    assert_non_null(theirs);
    static const char *const times[] = {"due_at", "published_at"};
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        assert_true(time_parse(json_string_at(json_object_get(ours, "job"), times[i]), &(int64_t){0}, NULL) == 0);
        json_object_del(json_object_get(ours, "job"), times[i]);
        json_object_del(json_object_get(theirs, "job"), times[i]);
    }
    if (!json_equal(ours, theirs)) {
        fail_msg("%s\n%s", json_canonical(ours), json_canonical(theirs));
    }
    json_decref(ours);
    json_decref(object);
    json_decref(plan);
    json_decref(theirs);
}

static void test_phases(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "phase.due", PERSON(1), "\"phase\": \"second\", \"due_at\": \"2026-04-05T09:00:00Z\"");
    assert_note(*state, "phase.due", "stale: the phase is due at 2026-04-05T10:00:00.000000Z");
    tell(*state, "phase.due", PERSON(1), "\"phase\": \"second\", \"due_at\": \"2026-04-05T10:00:00Z\"");
    assert_status(*state, PERSON(1), "initiated: initiated held");
    assert_jobs(*state, PERSON(1), "a:ready b:ready c:waiting d:waiting e:waiting f:waiting");
    succeed(*state, (const char *const[]){"a", "b", "d", "e", NULL});
    assert_status(*state, PERSON(1), "initiated: completed initiated");
    assert_jobs(*state, PERSON(1), "a:succeeded b:succeeded c:skipped d:succeeded e:succeeded f:ready");
    succeed(*state, (const char *const[]){"f", NULL});
    assert_status(*state, PERSON(1), "completed: completed completed");
    tell(*state, "phase.due", PERSON(1), "\"phase\": \"second\", \"due_at\": \"2026-04-05T10:00:00Z\"");
    assert_note(*state, "phase.due", "the offboarding is completed");
}

static void test_phase_in_its_turn(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    succeed(*state, (const char *const[]){"a", "b", "d", "e", NULL});
    assert_status(*state, PERSON(1), "initiated: completed waiting");
    tell(*state, "phase.due", PERSON(1), "\"phase\": \"second\", \"due_at\": \"2026-04-05T10:00:00Z\"");
    assert_status(*state, PERSON(1), "initiated: completed initiated");
    assert_due(*state, PERSON(1), "f#1");
}

static void test_waits_for_its_date(void **state)
{
    tell(*state, "initiated", PERSON(1), WAITING("2026-02-01T00:00:00Z"));
    assert_status(*state, PERSON(1), "waiting: waiting waiting");
    assert_due(*state, PERSON(1), "first");
    tell(*state, "moved", PERSON(1),
         "\"effective_at\": \"2026-03-01T00:00:00Z\", \"priority\": \"urgent\", \"status\": \"waiting\", "
         "\"published\": []");
    assert_due(*state, PERSON(1), "first"); /* one row counts, the other is stale */
    assert_answer(*state, "SELECT count(*) FROM due", "2");
    tell(*state, "phase.due", PERSON(1), "\"phase\": \"first\", \"due_at\": \"2026-02-01T00:00:00Z\"");
    assert_note(*state, "phase.due", "stale: the phase is due at 2026-03-01T00:00:00.000000Z");
    tell(*state, "phase.due", PERSON(1), "\"phase\": \"first\", \"due_at\": \"2026-03-01T00:00:00Z\"");
    assert_status(*state, PERSON(1), "initiated: initiated waiting");
    assert_due(*state, PERSON(1), "a#1 b#1 second");
    assert_answer(*state, "SELECT priority FROM offboarding", "urgent");
    tell(*state, "moved", PERSON(1),
         "\"effective_at\": \"2027-01-01T00:00:00Z\", \"status\": \"waiting\", \"published\": []");
    assert_note(*state, "moved", "refused: the offboarding is initiated");
}

static void test_moved_to_now(void **state)
{
    tell(*state, "initiated", PERSON(1), WAITING("2100-01-01T00:00:00Z"));
    tell(*state, "moved", PERSON(1), "\"effective_at\": \"2026-01-05T09:00:00Z\", \"status\": \"waiting\"");
    assert_status(*state, PERSON(1), "waiting: waiting waiting");
    /* The planner counts starts: it is asked, and not twice. */
    assert_answer(*state, "SELECT string_agg(kind || ' ' || message::text, ', ') FROM due_messages(9, '{}')",
                  "start {\"due_at\": \"2026-01-05T09:00:00.000000Z\", \"version\": 1}");
    assert_answer(*state, "SELECT count(*) FROM due_messages(9, '{}')", "0");
    tell(*state, "started", PERSON(1), "\"due_at\": \"2026-01-04T09:00:00Z\"");
    assert_note(*state, "started", "stale: its date is 2026-01-05T09:00:00.000000Z");
    tell(*state, "started", PERSON(1), "\"due_at\": \"2026-01-05T09:00:00Z\"");
    assert_status(*state, PERSON(1), "initiated: initiated waiting");
    assert_due(*state, PERSON(1), "a#1 b#1 second");
    tell(*state, "started", PERSON(1), "\"due_at\": \"2026-01-05T09:00:00Z\"");
    assert_note(*state, "started", "refused: the offboarding is initiated");
    tell(*state, "held", PERSON(1), "\"due_at\": \"2026-01-05T09:00:00Z\", \"reason\": \"cap\"");
    assert_note(*state, "held", "refused: the offboarding is initiated");
}

/* Held is held, whatever HR says of its date, and whoever says that it starts: only a person lets it go. */
static void test_held_starts_by_approval_alone(void **state)
{
    tell(*state, "initiated", PERSON(1), WAITING("2026-01-05T09:00:00Z"));
    tell(*state, "held", PERSON(1), "\"due_at\": \"2026-01-05T09:00:00Z\", \"reason\": \"the cap\"");
    assert_status(*state, PERSON(1), "held: waiting waiting");
    assert_answer(*state, "SELECT reason FROM analyst.held_offboardings", "the cap");
    tell(*state, "moved", PERSON(1),
         "\"effective_at\": \"2026-01-04T09:00:00Z\", \"status\": \"initiated\", \"published\": [\"@a\"]");
    tell(*state, "started", PERSON(1), "\"due_at\": \"2026-01-04T09:00:00Z\"");
    assert_note(*state, "started", "refused: the offboarding is held");
    free(ask(*state, "SELECT start_offboardings(ARRAY[ROW('" PERSON(1) "', now(), '{}')::start])"));
    assert_status(*state, PERSON(1), "held: waiting waiting");
    assert_jobs(*state, PERSON(1), "a:waiting b:waiting c:waiting d:waiting e:waiting f:waiting");
    tell(*state, "order.approve", PERSON(1), "\"order_id\": \"1\"");
    assert_status(*state, PERSON(1), "initiated: initiated waiting");
    /* One that is approved before its date starts without asking. */
    tell(*state, "initiated", PERSON(2), HELD("2100-01-01T00:00:00Z"));
    tell(*state, "order.approve", PERSON(2), "\"order_id\": \"2\"");
    tell(*state, "moved", PERSON(2), "\"effective_at\": \"2026-01-04T09:00:00Z\", \"status\": \"waiting\"");
    assert_answer(
        *state,
        "SELECT string_agg(kind, ' ' ORDER BY kind) FROM due_messages(9, '{}') WHERE offboarding_id = '" PERSON(2) "'",
        "approved phase");
}

static void test_approve(void **state)
{
    tell(*state, "initiated", PERSON(1), HELD("2026-01-04T00:00:00Z"));
    tell(*state, "initiated", PERSON(2), HELD("2100-01-01T00:00:00Z"));
    assert_answer(*state, "SELECT count(*) FROM due", "0");
    assert_answer(*state, "SELECT string_agg(DISTINCT reason, '') FROM analyst.held_offboardings", "cap");
    batch_begin(*state);
    say("order.approve", PERSON(1), "\"order_id\": \"1\"");
    say("order.approve", PERSON(2), "\"order_id\": \"1\"");
    say("order.approve", PERSON(1), "\"order_id\": \"2\"");
    batch_apply();
    assert_status(*state, PERSON(1), "initiated: initiated waiting");
    assert_due(*state, PERSON(1), "a#1 b#1 second");
    assert_status(*state, PERSON(2), "waiting: waiting waiting"); /* its date lies ahead */
    assert_note(*state, "order.approve", "refused: the offboarding is initiated");
    tell(*state, "order.approve", PERSON(3), "\"order_id\": \"3\"");
    assert_note(*state, "order.approve", "refused: unknown offboarding");
}

static void test_retry_and_skip(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.failed", PERSON(1), ANSWER("b", 1, "blocked") ", \"state\": {\"items_left\": [3]}");
    tell(*state, "order.retry", PERSON(1), "\"step\": \"a\"");
    assert_note(*state, "order.retry", "refused: the job is ready, not failed");
    tell(*state, "order.retry", PERSON(1), "\"reason\": \"fixed\"");
    assert_note(*state, "order.retry", NULL);
    assert_due(*state, PERSON(1), "b#2 c#1 second");
    assert_answer(*state, "SELECT saved || jsonb_build_object('reason', reason) FROM job WHERE step = 'b'",
                  "{\"reason\": \"retried: fixed\", \"items_left\": [3]}");
    tell(*state, "order.retry", PERSON(1), "\"reason\": \"again\"");
    assert_note(*state, "order.retry", "refused: no job has failed");
    tell(*state, "order.skip", PERSON(1), "\"reason\": \"all\"");
    assert_note(*state, "order.skip", "refused: it names no job and no step");
    tell(*state, "order.skip", PERSON(1), "\"step\": \"nowhere\"");
    assert_note(*state, "order.skip", "refused: no such job");
    tell(*state, "order.skip", PERSON(1), "\"job_id\": \"@b\", \"reason\": \"by hand\"");
    assert_jobs(*state, PERSON(1), "a:ready b:skipped c:ready d:waiting e:waiting f:waiting");
    assert_due(*state, PERSON(1), "c#1 second");
    assert_answer(*state, "SELECT count(*) FROM due WHERE job_id IS NOT NULL", "1"); /* it is not published any more */
    tell(*state, "order.skip", PERSON(1),
         "\"step\": \"a\", \"reason\": \"it takes too long\""); /* the planner published it */
    static const char running[] = "refused: the job has been published, and its worker may be running it; skip it when "
                                  "it has answered, or cancel the offboarding";
    assert_note(*state, "order.skip", running);
    assert_answer(*state, "SELECT count(*) FROM due_messages(10, '{}') WHERE kind = 'job'", "1");
    tell(*state, "order.skip", PERSON(1),
         "\"step\": \"c\", \"reason\": \"it takes too long\""); /* and the scheduler this */
    assert_note(*state, "order.skip", running);
    assert_jobs(*state, PERSON(1), "a:ready b:skipped c:ready d:waiting e:waiting f:waiting");
}

static void order(struct pg *pg, const char *name, const char *body)
{
    batch_begin(pg);
    stage(name, NULL, body);
    batch_apply();
}

static void test_pause(void **state)
{
    order(*state, "control.pause",
          "{\"key\": \"pause/scim\", \"value\": {\"reason\": \"401\", \"actor\": {\"name\": \"w\"}}}");
    assert_answer(*state, "SELECT system || reason || paused_by FROM analyst.paused_systems", "scim401w");
    assert_answer(*state, "SELECT system FROM event", "scim");
    order(*state, "control.resume", "{\"key\": \"pause/scim\", \"value\": null}");
    assert_answer(*state, "SELECT count(*) FROM system_pause", "0");
}

static void test_cancel_by_order(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "initiated", PERSON(2), HELD("2100-01-01T00:00:00Z"));
    order(*state, "control.cancel", "{\"key\": \"cancel/" PERSON(1) "\", \"value\": {\"reason\": \"oops\"}}");
    assert_status(*state, PERSON(1), "cancelled: cancelled cancelled");
    assert_answer(*state, "SELECT reason FROM offboarding WHERE status = 'cancelled'", "oops");
    assert_status(*state, PERSON(2), "held: waiting waiting");
    assert_due(*state, PERSON(1), NULL);
    /* All of a person that were received up to now; and those not yet heard of when the order came. */
    order(*state, "control.cancel", "{\"key\": \"cancel/jane@x.org\", \"value\": {\"reason\": \"rehired\"}}");
    assert_status(*state, PERSON(2), "cancelled: cancelled cancelled");
    tell(*state, "initiated", PERSON(3), STARTED);
    assert_status(*state, PERSON(3), "cancelled: cancelled cancelled");
    assert_jobs(*state, PERSON(3), "a:cancelled b:cancelled c:cancelled d:cancelled e:cancelled f:cancelled");
    order(*state, "control.uncancel", "{\"key\": \"cancel/jane@x.org\", \"value\": null}");
    tell(*state, "initiated", PERSON(4), STARTED);
    assert_status(*state, PERSON(4), "initiated: initiated waiting");
}

/* An order names an offboarding as tools write ids: in any case. */
static void test_cancel_in_upper_case(void **state)
{
    tell(*state, "initiated", "0000000a-0000-4000-8000-00000000000b", STARTED);
    order(*state, "control.cancel",
          "{\"key\": \"cancel/0000000A-0000-4000-8000-00000000000B\", \"value\": {\"reason\": \"oops\"}}");
    assert_answer(*state, "SELECT status FROM offboarding", "cancelled");
    assert_answer(*state, "SELECT subject FROM cancellation", "0000000a-0000-4000-8000-00000000000b");
}

/* One batch may cancel thousands, some of them twice: by id, and by a key of the person. The plan uses the indexes. */
static void test_cancel_many(void **state)
{
    batch_begin(*state);
    for (int i = 0; i < 300; i++) {
        char *id = mem_printf("00000000-0000-4000-8000-%012d", i);
        say("initiated", id, HELD("2100-01-01T00:00:00Z"));
        free(id);
    }
    batch_apply();
    batch_begin(*state);
    for (int i = 0; i < 300; i++) {
        char *body =
            mem_printf("{\"key\": \"cancel/00000000-0000-4000-8000-%012d\", \"value\": {\"reason\": \"feed\"}}", i);
        stage("control.cancel", NULL, body);
        free(body);
    }
    stage("control.cancel", NULL, "{\"key\": \"cancel/jane@x.org\", \"value\": {\"reason\": \"all of her\"}}");
    batch_apply();
    assert_answer(*state, "SELECT count(*) FROM offboarding WHERE status = 'cancelled' AND reason = 'feed'", "300");
    assert_answer(*state, "SELECT count(*) FROM cancellation", "301");
}

/* Several events of one offboarding in one batch are applied in their order. */
static void test_one_batch(void **state)
{
    batch_begin(*state);
    say("initiated", PERSON(1), STARTED);
    say("initiated", PERSON(2), STARTED);
    say("job.succeeded", PERSON(1), ANSWER("a", 1, "succeeded"));
    say("job.deferred", PERSON(1), ANSWER("b", 1, "deferred"));
    say("job.succeeded", PERSON(1), ANSWER("b", 2, "succeeded"));
    say("job.succeeded", PERSON(2), ANSWER("b", 1, "succeeded"));
    batch_apply();
    assert_jobs(*state, PERSON(1), "a:succeeded b:succeeded c:skipped d:ready e:ready f:waiting");
    assert_jobs(*state, PERSON(2), "a:ready b:succeeded c:skipped d:waiting e:waiting f:waiting");
}

static void test_illegal_transition(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.succeeded", PERSON(1), ANSWER("a", 1, "succeeded"));
    struct err err = ERR_INIT;
    assert_int_equal(
        pg_run(*state, &err,
               "SELECT change_job_state(ARRAY[ROW(id, 'failed', NULL, NULL, NULL, false, NULL)::job_change])"
               " FROM job WHERE step = 'a'",
               0, NULL),
        -1);
    assert_non_null(strstr(err_text(&err), "may not go from succeeded to failed"));
    assert_string_equal(pg_sqlstate(*state), "22000");
    err_release(&err);
}

#define APPLIED(test) cmocka_unit_test_setup_teardown(test, database_make, database_drop)

/* What the planner has to know is told it once. */
static void test_the_planner_is_told_what_is_over(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "cancelled", PERSON(1), "\"reason\": \"rehired\"");
    tell(*state, "initiated", PERSON(2), STARTED);
    order(*state, "control.cancel",
          "{\"key\": \"cancel/" PERSON(
              2) "\", \"value\": {\"reason\": \"the same person\", \"duplicate_of\": \"" PERSON(1) "\"}}");
    assert_status(*state, PERSON(2), "duplicate: cancelled cancelled");
    assert_answer(*state,
                  "SELECT string_agg(kind || ' ' || right(offboarding_id::text, 1), ', ' ORDER BY offboarding_id) FROM "
                  "due_messages(9, '{}') WHERE kind <> 'stale'",
                  "ended 1, ended 2");
    assert_answer(*state, "SELECT count(*) FROM due_messages(9, '{}') WHERE kind <> 'stale'", "0");
    /* The control record may come first. */
    order(*state, "control.cancel",
          "{\"key\": \"cancel/" PERSON(
              3) "\", \"value\": {\"reason\": \"the same person\", \"duplicate_of\": \"" PERSON(1) "\"}}");
    tell(*state, "initiated", PERSON(3), STARTED);
    assert_status(*state, PERSON(3), "duplicate: cancelled cancelled");
    assert_jobs(*state, PERSON(3), "a:cancelled b:cancelled c:cancelled d:cancelled e:cancelled f:cancelled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        APPLIED(test_start),
        APPLIED(test_repeated_start),
        APPLIED(test_success),
        APPLIED(test_failure),
        APPLIED(test_skipped_cascades),
        APPLIED(test_deferred),
        APPLIED(test_late_answers),
        APPLIED(test_facts_go_on),
        APPLIED(test_job_message),
        APPLIED(test_phases),
        APPLIED(test_phase_in_its_turn),
        APPLIED(test_waits_for_its_date),
        APPLIED(test_moved_to_now),
        APPLIED(test_held_starts_by_approval_alone),
        APPLIED(test_the_planner_is_told_what_is_over),
        APPLIED(test_approve),
        APPLIED(test_retry_and_skip),
        APPLIED(test_pause),
        APPLIED(test_cancel_by_order),
        APPLIED(test_cancel_in_upper_case),
        APPLIED(test_cancel_many),
        APPLIED(test_one_batch),
        APPLIED(test_illegal_transition),
    };
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
