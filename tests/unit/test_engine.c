/* Jobs against a vendor that answers by script: what is sent, byte for byte, and what is made of the answers. */
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
#include "lib/time.h"
#include "tests/unit/engine_stand.h"
#include "tests/unit/helpers.h"

#define GONE                                                                                                           \
    {                                                                                                                  \
        "GET /users/u1", 200, "{\"active\": false}", NULL                                                              \
    }
#define STAYS                                                                                                          \
    {                                                                                                                  \
        "GET /users/u1", 200, "{\"active\": true}", NULL                                                               \
    }
#define CALL "POST /users/u1/disable"

static const struct engine_row rows[] = {
    /* ---- one call and its read-back */
    {.title = "done and seen",
     .action = "disable",
     .exchanges = {{CALL "\n{\"reason\":\"left\"}", 204, NULL, NULL}, GONE},
     .outcome = "succeeded",
     .said = "confirmed by reading back",
     .facts = {{"verified.ok", "true"}, {"verified.seen", "{\"status\":200,\"body.active\":false}"}}},
    {.title = "members with a dot in their names are seen as they are",
     .action = "disable_dotted",
     .exchanges = {{CALL, 204, NULL, NULL},
                   {"GET /users/u1", 200, "{\".tag\": \"complete\", \"a.b\": 7, \"a\": {\"b\": 8}}", NULL}},
     .outcome = "succeeded",
     .facts = {{"verified.ok", "true"},
               {"verified.seen", "{\"status\":200,\"body[\\\".tag\\\"]\":\"complete\",\"body[\\\"a.b\\\"]\":7}"}}},
    {.title = "a vendor that says yes and does nothing",
     .action = "disable",
     .exchanges = {{CALL, 200, NULL, NULL}, STAYS, STAYS, STAYS},
     .outcome = "failed",
     .said = "not confirmed by reading back: the vendor shows {",
     .facts = {{"verified.ok", "false"}, {"state.accounts.u1.at", "0"}, {"state.accounts.u1.verifying", "absent"}}},
    {.title = "the read-back may need its time",
     .action = "disable",
     .exchanges = {{CALL, 200, NULL, NULL}, STAYS, GONE},
     .outcome = "succeeded"},
    {.title = "the answer is lost after the effect",
     .action = "disable",
     .exchanges = {{CALL, STUB_HANG_UP, NULL, NULL}, GONE},
     .outcome = "succeeded",
     .said = "answered with an error, but reading back shows that it is done"},
    {.title = "an error after the effect",
     .action = "disable",
     .exchanges = {{CALL, 409, "{\"detail\": \"conflict\"}", NULL}, GONE},
     .outcome = "succeeded",
     .said = "reading back shows that it is done"},
    {.title = "a plain refusal",
     .action = "disable",
     .exchanges = {{CALL, 400, "{\"detail\": \"no such reason\"}", NULL}, STAYS},
     .outcome = "failed",
     .said = "refused: the vendor answered 400: no such reason",
     .facts = {{"state.accounts.u1.at", "0"}, {"verified.ok", "false"}}},
    {.title = "so already",
     .action = "disable",
     .exchanges = {{CALL, 200, "{\"already\": true}", NULL}, GONE},
     .outcome = "already_done"},
    {.title = "nobody there", .action = "disable", .exchanges = {{CALL, 404, NULL, NULL}}, .outcome = "missing"},
    {.title = "refused, but done all the same",
     .action = "disable",
     .exchanges = {{CALL, 403, NULL, NULL}, GONE},
     .outcome = "succeeded"},
    {.title = "denied for this person only",
     .action = "disable",
     .exchanges = {{CALL, 403, NULL, NULL}, STAYS, {"GET /check", 200, NULL, NULL}},
     .outcome = "denied",
     .said = "credentials or rights refused: the vendor answered 403"},
    {.title = "throttled, then done",
     .action = "disable",
     .exchanges = {{CALL, 429, NULL, "Retry-After: 0\r\n"}, {CALL, 200, NULL, NULL}, GONE},
     .outcome = "succeeded",
     .facts = {{"calls.0.status", "429"}, {"calls.1.try", "2"}}},
    {.title = "throttled for long: another time",
     .action = "disable",
     .exchanges = {{CALL, 429, NULL, "Retry-After: 3600\r\n"}},
     .outcome = "deferred",
     .due_after = 3590,
     .due_before = 3630,
     .facts = {{"state.accounts.u1.at", "0"},
               {"state.troubles.u1/requests/0.deferrals", "1"},
               {"state.begun", "false"}}},
    {.title = "throttled for a year: given up like all else",
     .action = "disable",
     .exchanges = {{CALL, 429, NULL, "Retry-After: 31536000\r\n"}},
     .outcome = "deferred",
     .due_after = 3 * 86400 - 60,
     .due_before = 3 * 86400 + 60},
    {.title = "trouble for three days",
     .action = "disable",
     .job = "{\"state\": {\"accounts\": {\"u1\": {\"at\": 0, \"saved\": {}}}, \"troubles\": {\"u1/requests/0\": "
            "{\"since\": \"2020-01-01T00:00:00Z\", \"deferrals\": 9}}}}",
     .exchanges = {{CALL, 429, NULL, "Retry-After: 3600\r\n"}},
     .outcome = "failed",
     .said = "given up after three days"},
    {.title = "only the read-back remains",
     .action = "disable",
     .job = "{\"state\": {\"accounts\": {\"u1\": {\"at\": 1, \"saved\": {}, \"verifying\": true}}}}",
     .exchanges = {GONE},
     .outcome = "succeeded"},
    {.title = "the read-back is throttled: only it remains",
     .action = "disable",
     .exchanges = {{CALL, 200, NULL, NULL}, {"GET /users/u1", 429, NULL, "Retry-After: 600\r\n"}},
     .outcome = "deferred",
     .facts = {{"state.accounts.u1.verifying", "true"}, {"state.accounts.u1.at", "1"}}},

    /* ---- what is put into requests */
    {.title = "what lands in a path or query is encoded",
     .action = "echo",
     .job = "{\"with\": {\"path\": \"a/b?c&d \\u00e9%\"}}",
     .exchanges = {{"GET /echo/a%2Fb%3Fc%26d%20%C3%A9%25/end", 200, "\"x\"", NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.body", "\"x\""}}},
    {.title = "a list in a query is repeated, null left out",
     .action = "disable",
     .job = "{\"with\": {\"to\": [\"a b\", null, 7], \"reason\": \"moved on\"}}",
     .exchanges = {{CALL "?to=a%20b&to=null&to=7\nmoved on", 200, NULL, NULL}, GONE},
     .outcome = "succeeded"},
    {.title = "no path without a value",
     .action = "echo",
     .job = "{\"with\": {\"path\": \"${ .steps.gone.outputs.id }\"}}",
     .outcome = "failed",
     .said = "could not build the request"},
    {.title = "no path with an empty value",
     .action = "echo",
     .job = "{\"with\": {\"path\": \"\"}}",
     .outcome = "failed",
     .said = "has no place in a path"},
    {.title = "no path that climbs",
     .action = "echo",
     .job = "{\"with\": {\"path\": \"..\"}}",
     .outcome = "failed",
     .said = "has no place in a path"},
    {.title = "dots within a name do not climb",
     .action = "echo",
     .job = "{\"with\": {\"path\": \"..a\"}}",
     .exchanges = {{"GET /echo/..a/end", 200, "[1]", NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.body", "[1]"}}},
    {.title = "a body that is no JSON is text",
     .action = "echo",
     .exchanges = {{"GET /echo/x/end", 200, "<one>", NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.body", "\"<one>\""}}},
    {.title = "no body is null",
     .action = "echo",
     .exchanges = {{"GET /echo/x/end", 204, NULL, NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.body", "null"}}},
    {.title = "redirects are not followed",
     .action = "echo",
     .exchanges = {{"GET /echo/x/end", 302, NULL, "Location: /elsewhere\r\n"}},
     .outcome = "failed",
     .said = "302"},
    {.title = "what repeats our secret is masked",
     .action = "echo",
     .exchanges = {{"GET /echo/x/end", 200, "{\"you\": [\"sent " ENGINE_STAND_TOKEN "\"]}", NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.body", "{\"you\":[\"sent ***\"]}"}}},
    {.title = "a condition that is not met",
     .action = "disable",
     .job = "{\"if\": \"${ .user.name == \\\"Bob\\\" }\"}",
     .outcome = "skipped",
     .said = "condition"},
    {.title = "too late to be of use",
     .action = "disable",
     .job = "{\"attempt\": 1, \"due_at\": \"2026-01-05T10:00:00Z\", \"expires_us\": 259200000000}",
     .outcome = "skipped",
     .said = "expired: it was due at 2026-01-05T10:00:00Z and of use until 2026-01-08T10:00:00.000000Z"},
    {.title = "a person's retry does not expire",
     .action = "disable",
     .job = "{\"attempt\": 2, \"due_at\": \"2026-01-05T10:00:00Z\", \"expires_us\": 259200000000}",
     .exchanges = {{CALL, 200, NULL, NULL}, GONE},
     .outcome = "succeeded"},
    {.title = "late, but of use still",
     .action = "disable",
     .job = "{\"attempt\": 1, \"due_at\": \"2026-01-05T10:00:00Z\", \"expires_us\": 3155760000000000}",
     .exchanges = {{CALL, 200, NULL, NULL}, GONE},
     .outcome = "succeeded"},
    {.title = "a step of a runbook that a step runs: each sees its own runbook's steps",
     .action = "echo",
     .job =
         "{\"inside\": \"c\", \"run_if\": [{\"inside\": \"\", \"if\": \"${ .steps.a.state == \\\"succeeded\\\" }\"}],"
         " \"if\": \"${ .steps.a.state == \\\"skipped\\\" }\", \"with\": {\"path\": \"${ .steps.a.state }\"},"
         " \"steps\": {\"a\": {\"state\": \"succeeded\"}, \"c.a\": {\"state\": \"skipped\"}}}",
     .exchanges = {{"GET /echo/skipped/end", 200, "1", NULL}},
     .outcome = "succeeded"},
    {.title = "the condition of the step that runs it holds for all of it",
     .action = "echo",
     .job =
         "{\"inside\": \"c\", \"if\": true, \"run_if\": [{\"inside\": \"\", \"if\": true}, {\"inside\": \"c\", \"if\":"
         " \"${ .steps.b.state == \\\"failed\\\" }\"}], \"steps\": {\"b\": {\"state\": \"failed\"}}}",
     .outcome = "skipped",
     .said = "its condition is not met"},
    {.title = "what undoes sees what there was of the account in hand",
     .action = "restore",
     .offboarding = "{\"ids\": {\"vendor\": [\"u1\", \"u2\", \"u3\"]}}",
     .job = "{\"undo_of\": \"x\", \"before\": {\"u1\": {\"role\": \"admin\"}, \"u2\": {\"role\": \"guest\"}}}",
     .exchanges = {{"PUT /users/u1/role\n{\"role\":\"admin\"}", 200, NULL, NULL},
                   {"PUT /users/u2/role\n{\"role\":\"guest\"}", 200, NULL, NULL},
                   {"PUT /users/u3/role\n{\"role\":null}", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "a later read-back only looks",
     .action = "disable",
     .job = "{\"only_verify\": true}",
     .exchanges = {GONE},
     .outcome = "succeeded",
     .said = "still so: reading back confirmed it",
     .facts = {{"verified.ok", "true"}, {"outputs", "{}"}}},
    {.title = "an expression that fails names its place",
     .action = "disable",
     .job = "{\"with\": {\"reason\": \"${ .user.name | tonumber }\"}}",
     .outcome = "failed",
     .said = "with.reason"},
    {.title = "an action the connector does not have",
     .action = "explode",
     .outcome = "failed",
     .said = "no action \"explode\""},

    /* ---- dry run */
    {.title = "a dry run reads and records",
     .action = "leave",
     .offboarding = "{\"mode\": \"dry_run\"}",
     .exchanges = {{"GET /groups", 200, "{\"groups\": [\"a\", \"b\"]}", NULL}},
     .outcome = "succeeded",
     .said = "dry run: would DELETE http://127.0.0.1:",
     .facts = {{"calls.1.dry_run", "true"}, {"calls.2.dry_run", "true"}}},
    {.title = "a dry run begins nothing, and stands in for what it can't know",
     .action = "ticket",
     .offboarding = "{\"mode\": \"dry_run\"}",
     .exchanges = {{"GET /tickets?job=job-1", 200, "{}", NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.key", "\"dry-run:key\""}}},
    {.title = "a dry run doesn't ask about what only a change would have made",
     .action = "open",
     .offboarding = "{\"mode\": \"dry_run\"}",
     .outcome = "succeeded",
     .said = "/doors",
     .facts = {{"outputs.key", "\"dry-run:key\""}, {"calls.1.dry_run", "true"}, {"calls.1.method", "\"GET\""}}},
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

/* What stands in every request, and nowhere else. */
static void test_credentials_and_trace(void **state)
{
    (void)state;
    static const char parent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    static const struct exchange script[] = {{CALL, 200, NULL, NULL}, GONE, {0}};
    struct engine_stand *stand = engine_stand_new("");
    char *job = mem_printf("{\"traceparent\": \"%s\"}", parent);
    struct trial *trial = trial_new(stand, "disable", NULL, job);
    vendor_stub_script(stand->vendor, script);
    trial_start(trial);
    trial_finish(trial);
    assert_string_equal(trial->result.outcome, "succeeded");
    assert_contains(vendor_stub_last_head(stand->vendor), "Authorization: Bearer " ENGINE_STAND_TOKEN "\r\n");
    assert_contains(vendor_stub_last_head(stand->vendor), "traceparent: 00-0af7651916cd43dd8448eb211c80319c-");
    char *context = json_text(trial->result.context);
    assert_null(strstr(context, ENGINE_STAND_TOKEN));
    free(context);
    free(job);
    trial_free(trial);
    engine_stand_free(stand);
}

/* Refused credentials: the check fails too, and the caller is told once. */
static void test_refused_credentials(void **state)
{
    (void)state;
    static const struct exchange script[] = {{CALL, 401, NULL, NULL},
                                             {"GET /users/u1", 401, NULL, NULL},
                                             {"GET /check", 401, "{\"message\": \"token expired\"}", NULL},
                                             {0}};
    struct engine_stand *stand = engine_stand_new("");
    struct trial *trial = trial_new(stand, "disable", NULL, NULL);
    char *why = NULL;
    assert_false(engine_refused(stand->engine, "vendor", &why));
    vendor_stub_script(stand->vendor, script);
    trial_start(trial);
    trial_finish(trial);
    assert_null(vendor_stub_complaint(stand->vendor));
    assert_string_equal(trial->result.outcome, "denied");
    assert_true(engine_refused(stand->engine, "vendor", &why));
    assert_contains(why, "token expired");
    assert_false(engine_refused(stand->engine, "vendor", &why));
    free(why);
    trial_free(trial);
    engine_stand_free(stand);
}

/* Somebody gave access back: a later read-back fails, and takes nothing away by itself. */
static void test_later_read_back_fails(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_new("");
    struct trial *trial = trial_new(stand, "disable", NULL, "{\"only_verify\": true}");
    vendor_stub_always(stand->vendor, 200, "{\"active\": true}");
    trial_start(trial);
    trial_finish(trial);
    assert_string_equal(trial->result.outcome, "failed");
    assert_contains(trial->result.message, "not confirmed by reading back");
    size_t i;
    json_t *call;
    json_array_foreach(json_object_get(trial->result.context, "calls"), i, call)
    {
        assert_string_equal(json_string_at(call, "method"), "GET");
    }
    assert_true(i > 0);
    trial_free(trial);
    engine_stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_credentials_and_trace),
        cmocka_unit_test(test_refused_credentials),
        cmocka_unit_test(test_later_read_back_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
