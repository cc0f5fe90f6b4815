/* What of schema/004_apply.sql is neither a case of tests/model nor compared with the model: messages that are the planner's as well,
 * ids in other spellings, large batches, and the guard of a job's state. */
#include "tests/unit/postgres.h"
#include "tests/unit/apply.h"

#include "lib/json.h"
#include "lib/plan.h"

#define CONTEXT(status, effective, started)                                                                            \
    "\"plan\": {\"phases\": [{\"name\": \"only\", \"after\": null, \"after_us\": 0, \"steps\": ["                      \
    "{\"id\": \"a\", \"job_id\": \"@a\", \"system\": \"jira\", \"action\": \"x\", \"effect\": \"notify\","             \
    " \"needs\": [], \"when\": \"on_success\", \"if\": null, \"with\": {\"title\": \"${ .user.name }\"}}]}]},"         \
    " \"offboarding\": {\"user\": {\"email\": \"jane@x.org\", \"name\": \"Jane\"}, \"runbook\": \"r\", \"source\": "   \
    "\"s\", \"received_at\": \"2026-01-05T10:00:00Z\", \"started_at\": " started ", \"effective_at\": \"" effective    \
    "\", \"mode\": \"live\", \"priority\": \"normal\", \"ids\": {}, \"tenant\": \"t1\"}, \"status\": \"" status "\""
#define STARTED CONTEXT("initiated", "2026-01-04T00:00:00Z", "\"2026-01-05T10:00:00Z\"") ", \"published\": [\"@a\"]"
#define HELD    CONTEXT("held", "2100-01-01T00:00:00Z", "null") ", \"published\": []"

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

static void order(struct pg *pg, const char *name, const char *body)
{
    batch_begin(pg);
    stage(name, NULL, body);
    batch_apply();
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
        say("initiated", id, HELD);
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
    assert_answer(*state, "SELECT count(*) FROM analyst.offboardings WHERE status = 'cancelled' AND reason = 'feed'",
                  "300");
    assert_answer(*state, "SELECT count(*) FROM cancellation", "301");
}

static void test_illegal_transition(void **state)
{
    tell(*state, "initiated", PERSON(1), STARTED);
    tell(*state, "job.succeeded", PERSON(1),
         "\"job_id\": \"@a\", \"system\": \"jira\", \"attempt\": 1, \"outcome\": \"succeeded\"");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        APPLIED(test_job_message),
        APPLIED(test_cancel_in_upper_case),
        APPLIED(test_cancel_many),
        APPLIED(test_illegal_transition),
    };
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
