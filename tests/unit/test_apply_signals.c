/* The state machine in SQL, for jobs that wait for what the outside world says. */
#include "tests/unit/postgres.h"
#include "tests/unit/apply.h"

#define STEP(id)                                                                                                       \
    "{\"id\": \"" id "\", \"job_id\": \"@" id                                                                          \
    "\", \"system\": \"aftership\", \"action\": \"follow\", \"effect\": \"notify\", \"when\": \"on_success\"}"
#define STARTED                                                                                                        \
    "\"plan\": {\"phases\": [{\"name\": \"first\", \"after\": null, \"after_us\": 0, \"steps\": [" STEP(               \
        "a") "]}]},"                                                                                                   \
             " \"offboarding\": {\"user\": {\"email\": \"jane@x.org\"}, \"runbook\": \"r\", \"source\": \"s\","        \
             " \"received_at\": \"2020-01-05T10:00:00Z\", \"started_at\": \"2020-01-05T10:00:00Z\","                   \
             " \"effective_at\": \"2020-01-05T10:00:00Z\", \"mode\": \"live\", \"priority\": \"normal\", \"ids\": "    \
             "{}},"                                                                                                    \
             " \"status\": \"initiated\", \"published\": [\"@a\"]"
#define SPOKEN(id, key)                                                                                                \
    "{\"context\": {\"signal\": {\"id\": \"00000000-0000-4000-8000-0000000000" id                                      \
    "\", \"name\": \"parcel\", \"key\": \"" key "\", \"source\": \"aftership\", \"data\": {\"tag\": \"" id "\"}}}}"
#define RESTS(step, attempt, heard)                                                                                    \
    "\"job_id\": \"@" step "\", \"attempt\": " attempt                                                                 \
    ", \"outcome\": \"deferred\", \"due_at\": \"2199-01-01T00:00:00Z\","                                               \
    " \"waits\": {\"signal\": \"parcel\", \"key\": \"P1\", \"heard\": [" heard "]}"
#define ID(id) "\"00000000-0000-4000-8000-0000000000" id "\""

/* A batch with one signal. */
static void hear(struct pg *pg, const char *body)
{
    batch_begin(pg);
    stage("signal", NULL, body);
    batch_apply();
}

/* Whoever waits is woken by what comes later, and finds what came before. */
static void test_signals(void **state)
{
    static const char carried[] = "SELECT string_agg(s #>> '{data,tag}', ' ') FROM due_messages(10, '{}') m,"
                                  " jsonb_array_elements(m.message #> '{job,signals}') s WHERE kind = 'job'";
    tell(*state, "initiated", PERSON(1), STARTED);
    hear(*state, SPOKEN("01", "P2")); /* nobody waits for that one */
    tell(*state, "job.deferred", PERSON(1), RESTS("a", "1", ""));
    assert_answer(*state, "SELECT count(*) FROM due WHERE job_id IS NOT NULL AND due_at <= now()", "0");
    assert_jobs(*state, PERSON(1), "a:ready");
    hear(*state, SPOKEN("02", "P1"));
    hear(*state, SPOKEN("02", "P1")); /* the same once more */
    assert_answer(*state, "SELECT count(*) FROM due WHERE job_id IS NOT NULL AND due_at <= now()", "1");
    assert_answer(*state, carried, "02");
    /* While the worker hears that one, the next comes: the job is due again as soon as it rests. */
    hear(*state, SPOKEN("03", "P1"));
    free(ask(*state,
             "DELETE FROM due WHERE job_id IS NOT NULL")); /* published: the worker knows the pair and skips it */
    tell(*state, "job.deferred", PERSON(1), RESTS("a", "2", ID("02")));
    assert_answer(*state, carried, "02 03");
    tell(*state, "job.deferred", PERSON(1), RESTS("a", "3", ID("02") ", " ID("03")));
    assert_answer(*state, "SELECT count(*) FROM due WHERE job_id IS NOT NULL AND due_at <= now()", "0");
    tell(*state, "job.succeeded", PERSON(1), "\"job_id\": \"@a\", \"attempt\": 3, \"outcome\": \"succeeded\"");
    hear(*state, SPOKEN("04", "P1")); /* it is over: nobody is woken */
    assert_answer(*state, "SELECT count(*) FROM due WHERE job_id IS NOT NULL AND due_at <= now()", "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_signals, database_make, database_drop)};
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
