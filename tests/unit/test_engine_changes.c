/* What surrounds a change: what it requires, what was there before, what it waits for, what it makes up and finds out. */
/* links: tests/unit/engine_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/secret.h"
#include "tests/unit/engine_stand.h"
#include "tests/unit/helpers.h"

#define PIN      "237398"
#define AT_POLL  "{\"state\": {\"accounts\": {\"u1\": {\"at\": 1, \"saved\": {\"id\": \"t1\"}}}}}"
#define LONG_AGO "2020-01-01T00:00:00Z"
#define TIRED                                                                                                          \
    "{\"state\": {\"accounts\": {\"u1\": {\"at\": 1, \"saved\": {\"id\": \"t1\"}, \"polled_since\": "                  \
    "\"2026-01-01T00:00:00Z\"}}}}"

static const struct engine_row rows[] = {
    /* ---- require */
    {.title = "what is required is there",
     .action = "wipe",
     .exchanges = {{"GET /devices/d1", 200, "{\"owner\": \"ann@example.com\"}", NULL},
                   {"POST /devices/d1/wipe\n{\"why\":\"left\"}", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "somebody else's device is not wiped",
     .action = "wipe",
     .exchanges = {{"GET /devices/d1", 200, "{\"owner\": \"bob@example.com\"}", NULL}},
     .outcome = "blocked",
     .said = "device d1 is not ann@example.com's"},
    {.title = "an answer that says nothing of it is no yes",
     .action = "wipe",
     .exchanges = {{"GET /devices/d1", 200, NULL, NULL}},
     .outcome = "blocked"},

    {.title = "read right before each call",
     .action = "wipe_all",
     .exchanges = {{"GET /devices/d1", 200, "{\"owner\": \"ann@example.com\"}", NULL},
                   {"POST /devices/d1/wipe", 200, NULL, NULL},
                   {"GET /devices/d2", 200, "{\"owner\": \"bob@example.com\"}", NULL},
                   {"GET /devices/d3", 200, "{\"owner\": \"bob@example.com\", \"wiped\": true}", NULL}},
     .outcome = "blocked",
     .said = "1 of 3 items failed: d2 (somebody else's",
     .facts = {{"state.accounts.u1.items_left", "[\"d2\"]"}}},

    {.title = "what a person puts right is looked at anew",
     .action = "wipe_later",
     .exchanges = {{"GET /devices", 200, "{\"id\": \"d1\"}", NULL},
                   {"GET /devices/d1", 200, "{\"free\": false}", NULL}},
     .outcome = "blocked",
     .facts = {{"state.accounts.u1.at", "0"}, {"state.accounts.u1.saved", "{}"}}},
    {.title = "but not behind a change",
     .action = "wipe_later",
     .exchanges = {{"GET /devices", 200, "{\"id\": \"d1\"}", NULL},
                   {"GET /devices/d1", 200, "{\"free\": true}", NULL},
                   {"POST /locks", 200, NULL, NULL},
                   {"GET /locks", 200, "{\"held\": false}", NULL}},
     .outcome = "blocked",
     .facts = {{"state.accounts.u1.at", "3"}, {"state.accounts.u1.saved", "{\"device\":\"d1\"}"}}},

    {.title = "of several things required each is looked at, for each item; what is so already is left out",
     .action = "lock_all",
     .exchanges = {{"GET /owner/a", 200, "{\"mine\": true}", NULL},
                   {"GET /orders/a", 200, "{}", NULL},
                   {"POST /lock/a", 503, NULL, NULL},
                   {"GET /owner/a", 200, "{\"mine\": true}", NULL}, /* before every try anew */
                   {"GET /orders/a", 200, "{\"pending\": true}", NULL},
                   {"GET /owner/b", 200, "{\"mine\": false}", NULL}},
     .outcome = "blocked",
     .said = "1 of 2 items failed: b (somebody else's"},

    /* ---- looks that hand on what they saw */
    {.title = "a look asks about what the looks before it saw",
     .action = "unassign",
     .exchanges = {{"DELETE /assignments/u1", 200, NULL, NULL},
                   {"GET /users/u1", 200, "{\"state\": \"active\"}", NULL},
                   {"GET /apps", 200, "{\"apps\": [\"a\"], \"next\": \"/apps?page=2\"}", NULL},
                   {"GET /apps?page=2", 200, "{\"apps\": [\"b\"]}", NULL},
                   {"GET /apps/a", 200, "{\"scope\": \"GROUP\"}", NULL},
                   {"GET /apps/b", 200, "{\"scope\": \"GROUP\"}", NULL}},
     .outcome = "succeeded"},
    {.title = "what one of its items shows counts",
     .action = "unassign",
     .exchanges = {{"DELETE /assignments/u1", 200, NULL, NULL},
                   {"GET /users/u1", 200, "{\"state\": \"active\"}", NULL},
                   {"GET /apps", 200, "{\"apps\": [\"a\", \"b\"]}", NULL},
                   {"GET /apps/a", 200, "{\"scope\": \"USER\"}", NULL}},
     .outcome = "failed",
     .said = "the vendor shows {\"status\":200,\"body.scope\":\"USER\"}",
     .facts = {{"verified.ok", "false"}}},
    {.title = "a look that what was seen makes needless is left out",
     .action = "unassign",
     .exchanges = {{"DELETE /assignments/u1", 200, NULL, NULL}, {"GET /users/u1", 404, "{}", NULL}},
     .outcome = "succeeded",
     .facts = {{"verified.seen", "{\"status\":404}"}}},
    {.title = "a look that can't hand on what it should shows nothing",
     .action = "unassign",
     .exchanges = {{"DELETE /assignments/u1", 200, NULL, NULL}, {"GET /users/u1", 200, "[\"active\"]", NULL}},
     .outcome = "failed",
     .said = "not confirmed by reading back"},
    {.title = "a later read-back begins with the first look",
     .action = "unassign",
     .job = "{\"only_verify\": true}",
     .exchanges = {{"GET /users/u1", 200, "{\"state\": \"active\"}", NULL}, {"GET /apps", 200, "{\"apps\": []}", NULL}},
     .outcome = "succeeded",
     .facts = {{"verified.expected", "\"${ .status == 200 }\""}, {"verified.seen", "{\"status\":200}"}}},

    /* ---- poll */
    {.title = "what is under way is looked at later, by whichever worker",
     .action = "transfer",
     .exchanges = {{"POST /transfers\n{}", 200, "{\"id\": \"t1\"}", NULL},
                   {"GET /transfers/t1", 200, "{\"state\": \"new\"}", NULL}},
     .outcome = "deferred",
     .said = "still under way at the vendor (state: new); the next look is in 10m",
     .facts = {{"state.accounts.u1.at", "1"},
               {"state.accounts.u1.saved", "{\"id\":\"t1\"}"},
               {"state.troubles", "absent"}},
     .due_after = 590,
     .due_before = 600},
    {.title = "the longer it takes, the rarer are the looks",
     .action = "transfer_slowly",
     .job = "{\"state\": {\"accounts\": {\"u1\": {\"at\": 1, \"saved\": {\"id\": \"t1\"}, \"polled_since\": \"" LONG_AGO
            "\"}}}}",
     .exchanges = {{"GET /transfers/t1", 200, "{\"state\": \"new\"}", NULL}},
     .outcome = "deferred",
     .said = "the next look is in 2h",
     .due_after = 7190,
     .due_before = 7200},
    {.title = "the first looks come soon",
     .action = "transfer_slowly",
     .exchanges = {{"POST /transfers\n{}", 200, "{\"id\": \"t1\"}", NULL},
                   {"GET /transfers/t1", 200, "{\"state\": \"new\"}", NULL}},
     .outcome = "deferred",
     .said = "the next look is in 1m",
     .due_after = 55,
     .due_before = 60},
    {.title = "a dry run doesn't wait for what it has not begun",
     .action = "transfer_slowly",
     .offboarding = "{\"mode\": \"dry_run\"}",
     .outcome = "succeeded"},
    {.title = "done: nothing is begun anew",
     .action = "transfer",
     .job = AT_POLL,
     .exchanges = {{"GET /transfers/t1", 200, "{\"state\": \"done\"}", NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.id", "\"t1\""}}},
    {.title = "the vendor says that it failed: a retry begins anew",
     .action = "transfer",
     .job = AT_POLL,
     .exchanges = {{"GET /transfers/t1", 200, "{\"state\": \"failed\"}", NULL}},
     .outcome = "failed",
     .said = "the vendor reports that it failed",
     .facts = {{"state.accounts.u1.at", "0"}}},
    {.title = "too long",
     .action = "transfer",
     .job = TIRED,
     .exchanges = {{"GET /transfers/t1", 200, "{\"state\": \"new\"}", NULL}},
     .outcome = "failed",
     .said = "not done within 48h",
     .facts = {{"state.accounts.u1.at", "1"}, {"state.accounts.u1.polled_since", "absent"}}},
    {.title = "trouble while looking is trouble like any other",
     .action = "transfer",
     .job = AT_POLL,
     .exchanges = {{"GET /transfers/t1", 429, NULL, "Retry-After: 3600\r\n"}},
     .outcome = "deferred",
     .facts = {{"state.accounts.u1.at", "1"}, {"state.troubles.u1/requests/1.deferrals", "1"}}},

    /* ---- before */
    {.title = "nothing is pictured when nothing is left to change",
     .action = "leave_all",
     .exchanges = {{"GET /groups", 200, "{\"groups\": []}", NULL}},
     .outcome = "succeeded"},

    /* ---- provides */
    {.title = "what is found out is for all later jobs",
     .action = "find_boss",
     .exchanges = {{"GET /boss", 200, "{\"email\": \"boss@example.com\"}", NULL}},
     .outcome = "succeeded",
     .facts = {{"provides", "{\"user\":{\"manager\":{\"email\":\"boss@example.com\"}}}"}}},

    /* ---- defs, base */
    {.title = "a snippet is part of the request that uses it; the request's own wins",
     .action = "use",
     .exchanges = {{"GET /elsewhere/used?mine=yes&from=defs", 400, "{\"busy\": true}", NULL},
                   {"GET /elsewhere/used?mine=yes&from=defs", 200, NULL, NULL}},
     .outcome = "succeeded"},

    /* ---- dry run */
    {.title = "a dry run asks for nothing that only the change would have brought",
     .action = "transfer",
     .offboarding = "{\"mode\": \"dry_run\"}",
     .outcome = "succeeded",
     .said = "dry run: would POST",
     .facts = {{"outputs.id", "\"dry-run:id\""}}},
    {.title = "a dry run requires as the real one",
     .action = "wipe",
     .offboarding = "{\"mode\": \"dry_run\"}",
     .exchanges = {{"GET /devices/d1", 200, "{\"owner\": \"bob@example.com\"}", NULL}},
     .outcome = "blocked"},
};

static void test_rows(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_new("");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        engine_stand_check(stand, &rows[i]);
    }
    engine_stand_free(stand);
}

static struct trial *run_trial(struct engine_stand *stand, const char *action, const char *job,
                               const struct exchange *script)
{
    struct trial *trial = trial_new(stand, action, NULL, job);
    vendor_stub_script(stand->vendor, script);
    trial_start(trial);
    trial_finish(trial);
    return trial;
}

/* The picture is on record before the first change, and taken once. */
static void test_before(void **state)
{
    (void)state;
    static const struct exchange all[] = {{"GET /groups", 200, "{\"groups\": [\"a\", \"b\"]}", NULL},
                                          {"DELETE /groups/a", 200, NULL, NULL},
                                          {"DELETE /groups/b", 400, NULL, NULL},
                                          {0}};
    struct engine_stand *stand = engine_stand_new("");
    struct trial *trial = run_trial(stand, "leave_all", NULL, all);
    assert_null(vendor_stub_complaint(stand->vendor));
    assert_string_equal(trial->result.outcome, "failed");
    assert_int_equal(trial->images, 1);
    json_t *wanted = json_pack("{s:{s:[s, s]}}", "u1", "groups", "a", "b");
    assert_true(json_equal(trial->image, wanted));
    json_decref(wanted);
    char *state_text = json_text(json_object_get(trial->result.context, "state"));
    char *job = mem_printf("{\"state\": %s}", state_text);
    trial_free(trial);

    static const struct exchange rest[] = {{"DELETE /groups/b", 200, NULL, NULL}, {0}};
    trial = run_trial(stand, "leave_all", job, rest);
    assert_null(vendor_stub_complaint(stand->vendor));
    assert_string_equal(trial->result.outcome, "succeeded");
    assert_int_equal(trial->images, 0); /* what is there now is no longer what was there before */
    trial_free(trial);
    free(job);
    free(state_text);
    engine_stand_free(stand);
}

static void test_nothing_changes_without_the_picture(void **state)
{
    (void)state;
    static const struct exchange script[] = {{"GET /groups", 200, "{\"groups\": [\"a\"]}", NULL}, {0}};
    struct engine_stand *stand = engine_stand_new("");
    struct trial *trial = trial_new(stand, "leave_all", NULL, NULL);
    vendor_stub_script(stand->vendor, script);
    trial->unrecorded = true;
    trial_start(trial);
    trial_finish(trial);
    assert_null(vendor_stub_complaint(stand->vendor));
    assert_string_equal(trial->result.outcome, "failed");
    assert_contains(trial->result.message, "could not be put on record");
    trial_free(trial);
    engine_stand_free(stand);
}

/* The passcode of job-1: HMAC-SHA256 of the key and "job-1\npin\n0", its bytes below 250 modulo 10. */
static void test_derived(void **state)
{
    (void)state;
    static const struct exchange script[] = {
        {"POST /lock\n{\"pin\":\"" PIN "\"}", 200, "{\"said\": \"locked with " PIN "\"}", NULL}, {0}};
    struct engine_stand *stand = engine_stand_new("");
    for (int i = 0; i < 2; i++) { /* a retry makes up the same */
        struct trial *trial = run_trial(stand, "lock", NULL, script);
        assert_null(vendor_stub_complaint(stand->vendor));
        assert_string_equal(json_string_at(trial->result.context, "outputs.said"), "locked with ***");
        trial_free(trial);
    }
    char *text = secret_mask(PIN);
    assert_string_equal(text, PIN); /* forgotten with the job */
    free(text);
    engine_stand_free(stand);
}

#define STREET "12 Elm Street"
static const char ships[] =
    "system: vendor\n"
    "settings: {url: {required: true}}\n"
    "actions:\n"
    "  ship:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    requests:\n"
    "      - {get: /home, save: {street: \"${ .body.street }\", town: \"${ .body.town }\"}, secret: [street, town]}\n"
    "      - {get: /name, save: {name: \"${ .body.name }\"}}\n"
    "      - {post: /boxes, json: {to: \"${ .saved.street }\"}}\n"
    "    outputs: {name: \"${ .saved.name }\"}\n";

/* A secret value is for the requests: no state, no message holds it, and facts that happen to look like it stay. */
static void test_secret(void **state)
{
    (void)state;
    static const struct exchange home = {"GET /home", 200, "{\"street\": \"" STREET "\", \"town\": \"Madison\"}", NULL};
    static const struct exchange name = {"GET /name", 200, "{\"name\": \"Madison\"}", NULL};
    const struct exchange refused[] = {
        home,
        name,
        {"POST /boxes\n{\"to\":\"" STREET "\"}", 400, "{\"message\": \"" STREET ": no such place\"}", NULL},
        {0}};
    const struct exchange throttled[] = {home, name, {"POST /boxes", 429, NULL, "Retry-After: 3600\r\n"}, {0}};
    const struct exchange done[] = {home, name, {"POST /boxes", 200, NULL, NULL}, {0}};
    struct engine_stand *stand = engine_stand_with(ships, "", "");
    struct trial *trial = run_trial(stand, "ship", NULL, refused);
    assert_null(vendor_stub_complaint(stand->vendor));
    assert_string_equal(trial->result.outcome, "failed");
    assert_contains(trial->result.message, "the vendor answered 400: ***: no such place");
    char *text = json_text(trial->result.context);
    assert_null(strstr(text, STREET));
    free(text);
    trial_free(trial);

    trial = run_trial(stand, "ship", NULL, throttled);
    assert_string_equal(trial->result.outcome, "deferred");
    text = json_text(json_object_get(trial->result.context, "state"));
    assert_null(strstr(text, STREET));
    char *job = mem_printf("{\"state\": %s}", text);
    trial_free(trial);
    trial = run_trial(stand, "ship", job, done); /* it is read again */
    assert_null(vendor_stub_complaint(stand->vendor));
    assert_string_equal(trial->result.outcome, "succeeded");
    assert_string_equal(json_string_at(trial->result.context, "outputs.name"), "Madison");
    trial_free(trial);
    free(job);
    free(text);
    text = secret_mask(STREET);
    assert_string_equal(text, STREET);
    free(text);
    engine_stand_free(stand);
}

/* ---- whose secrets ------------------------------------------------------------------------------------------------ */

static struct exchange lock_or_look(const char *line, const char *head, const char *body, void *arg)
{
    (void)head;
    (void)body;
    struct exchange answer = {line, STUB_SILENCE, NULL, NULL};
    if (strncmp(line, "POST /lock", strlen("POST /lock")) != 0) {
        answer.status = 200;
        answer.body = arg;
    }
    return answer;
}

/* While one job knows a passcode of six digits, ids of others may hold these digits. */
static void test_a_passcode_is_not_masked_in_other_jobs(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_new("");
    vendor_stub_choose(stand->vendor, lock_or_look, "{\"id\": \"77" PIN "7\", \"pin\": \"" PIN "\"}");
    struct trial *locks = trial_new(stand, "lock", NULL, NULL);
    trial_start(locks);
    while (vendor_stub_count(stand->vendor) == 0) {
        uv_run(&stand->loop, UV_RUN_ONCE);
    }
    struct trial *other = trial_new(stand, "echo", NULL, NULL);
    trial_start(other);
    trial_finish(other);
    assert_string_equal(other->result.outcome, "succeeded");
    assert_string_equal(json_string_at(other->result.context, "outputs.body.id"), "77" PIN "7");
    assert_string_equal(json_string_at(other->result.context, "outputs.body.pin"), PIN);
    engine_interrupt(&locks->job, INTERRUPT_DRAIN);
    trial_finish(locks);
    char *text = json_text(locks->result.context);
    assert_null(strstr(text, PIN));
    free(text);
    trial_free(locks);
    trial_free(other);
    engine_stand_free(stand);
}

#define SESSION "sess-t0ken-123456"
static const char signs_in[] =
    "system: vendor\n"
    "settings: {url: {required: true}}\n"
    "actions:\n"
    "  ask:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    requests:\n"
    "      - {post: /login, changes: false, save: {tok: \"${ .body.tok }\", zip: \"${ .body.zip }\"}, secret: [tok, "
    "zip]}\n"
    "      - {get: \"/me/${ .saved.tok }\", save: {seen: \"${ .body }\", keys: \"${ [.body.auth] }\"}}\n"
    "      - {get: \"/next/${ .saved.keys[0] }\"}\n"
    "    outputs: {v: \"${ .saved.seen }\"}\n";

/* What a request calls secret is masked wherever the vendor repeats it, in outputs and state, too. */
static void test_a_secret_that_the_vendor_repeats(void **state)
{
    (void)state;
    static const struct exchange start[] = {
        {"POST /login", 200, "{\"tok\": \"" SESSION "\", \"zip\": 10115}", NULL},
        {"GET /me/" SESSION, 200,
         "{\"auth\": \"Bearer " SESSION "\", \"list\": [\"" SESSION "\"], \"id\": \"9101157\"}", NULL}};
    const struct exchange done[] = {start[0], start[1], {"GET /next/Bearer%20" SESSION, 200, "{}", NULL}, {0}};
    const struct exchange later[] = {
        start[0], start[1], {"GET /next/Bearer%20" SESSION, 429, NULL, "Retry-After: 3600\r\n"}, {0}};
    struct engine_stand *stand = engine_stand_with(signs_in, "", "");
    struct trial *trial = run_trial(stand, "ask", NULL, done);
    assert_null(vendor_stub_complaint(stand->vendor));
    assert_string_equal(trial->result.outcome, "succeeded");
    assert_string_equal(json_string_at(trial->result.context, "outputs.v.auth"), "Bearer ***");
    assert_string_equal(json_string_at(trial->result.context, "outputs.v.list.0"), "***");
    assert_string_equal(json_string_at(trial->result.context, "outputs.v.id"), "9101157");
    trial_free(trial);
    trial = run_trial(stand, "ask", NULL, later);
    assert_string_equal(trial->result.outcome, "deferred");
    char *text = json_text(trial->result.context);
    assert_null(strstr(text, SESSION));
    free(text);
    trial_free(trial);
    engine_stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_before),
        cmocka_unit_test(test_nothing_changes_without_the_picture),
        cmocka_unit_test(test_derived),
        cmocka_unit_test(test_secret),
        cmocka_unit_test(test_a_passcode_is_not_masked_in_other_jobs),
        cmocka_unit_test(test_a_secret_that_the_vendor_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
