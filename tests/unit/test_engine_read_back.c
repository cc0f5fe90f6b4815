/* What a read proves: that it is about the account, and that the connector's own words about its answer are heard. */
/* links: tests/unit/engine_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "tests/unit/engine_stand.h"
#include "tests/unit/helpers.h"

static const char connector[] =
    "system: vendor\n"
    "settings: {url: {required: true}}\n"
    "identify:\n"
    "  keys: [email]\n"
    "  trusts: \"it is a test\"\n"
    "  requests: [{get: /find, query: {key: \"${ .key }\"}, save: {id: \"${ .body.ids }\"}}]\n"
    "defs:\n"
    "  user:\n"
    "    get: \"/users/${ .ids.vendor }\"\n"
    "    success: \"${ .body.id == .ids.vendor }\"\n"
    "    missing: \"${ .status == 404 }\"\n"
    "    denied: \"${ .body.hidden == true }\"\n"
    "    blocked: \"${ .body.locked == true }\"\n"
    "    retry: \"${ .body.busy == true }\"\n"
    "  reply:\n"
    "    get: /reply\n"
    "    success: \"${ .body.ok }\"\n"
    "actions:\n"
    "  off:\n"
    "    effect: revoke\n"
    "    requests: [{post: /off}]\n"
    "    verify: {use: user, expect: \"${ .body.active == false }\", within: 0s}\n"
    "  off_once:\n" /* it looks first */
    "    effect: revoke\n"
    "    requests:\n"
    "      - {use: user, already: \"${ .body.active == false }\"}\n"
    "      - {post: /off}\n"
    "    verify: {use: user, expect: \"${ .body.active == false }\", within: 0s}\n"
    "  gone:\n"
    "    effect: destroy\n"
    "    requests: [{delete: /reply}]\n"
    "    verify: {use: reply, expect: \"${ .body.error == \\\"not_found\\\" }\", within: 0s}\n"
    "  look:\n"
    "    effect: revoke\n"
    "    requests: [{use: reply, missing: \"${ .body.error == \\\"not_found\\\" }\"}, {post: /off}]\n"
    "  text:\n"
    "    effect: revoke\n"
    "    requests: [{post: /off, text: true}]\n"
    "    verify: {get: /list, text: true, expect: \"${ .body | test(\\\"ann\\\") | not }\", within: 0s}\n"
    "  delete:\n"
    "    effect: destroy\n"
    "    requests: [{delete: /box, missing: \"${ .status == 404 }\"}]\n"
    "    verify: {head: /box, expect: \"${ .status == 404 }\", within: 0s}\n"
    "  present:\n"
    "    effect: handover\n"
    "    requests: [{put: /box}]\n"
    "    verify: {head: /box, expect: \"${ .status == 200 }\", within: 0s}\n"
    "  leave:\n"
    "    effect: revoke\n"
    "    requests: [{post: /off}]\n"
    "    verify: {get: /groups, expect: \"${ .body | all(.type == \\\"BUILT_IN\\\") }\", within: 0s}\n"
    "  fields:\n"
    "    effect: handover\n"
    "    with: {field: {default: left_on}, value: {default: today}}\n"
    "    requests: [{post: /off}]\n"
    "    verify: {get: /fields, expect: \"${ .with as $with | .body[$with.field] == $with.value }\", within: 0s}\n"
    "  export:\n"
    "    effect: handover\n"
    "    requests: [{get: /export, poll: {every: 1m, timeout: 1h, until: \"${ .body.job[\\\".tag\\\"] == \\\"done\\\" "
    "}\"}}]\n"
    "  invite:\n" /* its `success` is about the status: who is there already need not be invited */
    "    effect: handover\n"
    "    requests: [{get: /member, success: \"${ .status == 404 }\", already: \"${ .status == 200 and .body.member "
    "}\"}, {post: /off}]\n"
    "  trouble:\n"
    "    effect: revoke\n"
    "    requests: [{post: /off}]\n"
    "    verify: {get: /state, expect: \"${ .status != 200 }\", within: 0s}\n";

#define OFF                                                                                                            \
    {                                                                                                                  \
        "POST /off", 200, "{}", NULL                                                                                   \
    }
#define USER "GET /users/u1"
#define STRANGE                                                                                                        \
    {                                                                                                                  \
        USER, 200, "{\"id\": \"u2\", \"active\": false}", NULL                                                         \
    }
#define MINE                                                                                                           \
    {                                                                                                                  \
        USER, 200, "{\"id\": \"u1\", \"active\": false}", NULL                                                         \
    }

static const struct engine_row rows[] = {
    {.title = "the account, as it should be",
     .action = "off",
     .exchanges = {OFF, MINE},
     .outcome = "succeeded",
     .facts = {{"verified.ok", "true"}}},
    {.title = "somebody else's account confirms nothing",
     .action = "off",
     .exchanges = {OFF, STRANGE},
     .outcome = "failed",
     .said = "not confirmed by reading back: the answer is not what success looks like",
     .facts = {{"verified.ok", "false"}}},
    {.title = "nor does it excuse an error",
     .action = "off",
     .exchanges = {{"POST /off", 400, NULL, NULL}, STRANGE},
     .outcome = "failed",
     .said = "refused"},
    {.title = "nor was it so already",
     .action = "off_once",
     .exchanges = {STRANGE},
     .outcome = "failed",
     .said = "the answer is not what success looks like"},
    {.title = "a success by its status alone says nothing against what the answer shows",
     .action = "invite",
     .exchanges = {{"GET /member", 200, "{\"member\": true}", NULL}},
     .outcome = "already_done"},
    {.title = "the account was so already", .action = "off_once", .exchanges = {MINE, MINE}, .outcome = "already_done"},
    {.title = "a read-back that says denied",
     .action = "off",
     .exchanges = {OFF, {USER, 200, "{\"id\": \"u1\", \"active\": false, \"hidden\": true}", NULL}},
     .outcome = "denied",
     .said = "credentials or rights refused"},
    {.title = "a read-back that says blocked",
     .action = "off",
     .exchanges = {OFF, {USER, 200, "{\"id\": \"u1\", \"active\": false, \"locked\": true}", NULL}},
     .outcome = "blocked",
     .said = "a person must act"},
    {.title = "a read-back that says later",
     .action = "off",
     .exchanges = {OFF, {USER, 200, "{\"id\": \"u1\", \"active\": false, \"busy\": true}", NULL}},
     .outcome = "deferred",
     .said = "temporary trouble"},
    {.title = "trouble that passes confirms nothing, whatever is expected",
     .action = "trouble",
     .exchanges = {OFF, {"GET /state", 503, NULL, NULL}},
     .outcome = "deferred"},
    {.title = "an error that is expected is no success, and confirms all the same",
     .action = "gone",
     .exchanges = {{"DELETE /reply", 200, "{\"ok\": true}", NULL},
                   {"GET /reply", 200, "{\"ok\": false, \"error\": \"not_found\"}", NULL}},
     .outcome = "succeeded"},
    {.title = "an error that says that it is missing",
     .action = "look",
     .exchanges = {{"GET /reply", 200, "{\"ok\": false, \"error\": \"not_found\"}", NULL}},
     .outcome = "missing"},
};

#define HTML    "Content-Type: text/html; charset=utf-8\r\n"
#define JSON    "Content-Type: application/json\r\n"
#define SIGN_IN "<!DOCTYPE html><html><body>Sign in</body></html>"

static const struct engine_row pages[] = {
    {.title = "a text that lacks the name",
     .action = "text",
     .exchanges = {{"POST /off", 200, "OK", "Content-Type: text/plain\r\n"},
                   {"GET /list", 200, "bob\n", "Content-Type: text/plain\r\n"}},
     .outcome = "succeeded"},
    {.title = "a text that calls itself a page, and is none",
     .action = "text",
     .exchanges = {{"POST /off", 200, "OK", HTML}, {"GET /list", 200, "bob\n", HTML}},
     .outcome = "succeeded"},
    {.title = "a sign-in page lacks every name",
     .action = "text",
     .exchanges = {{"POST /off", 200, "OK", NULL}, {"GET /list", 200, SIGN_IN, HTML}},
     .outcome = "deferred",
     .said = "web page instead of data"},
    {.title = "as an answer to a change",
     .action = "text",
     .exchanges = {{"POST /off", 200, SIGN_IN, HTML}, {"GET /list", 200, "ann\n", NULL}},
     .outcome = "deferred",
     .said = "web page instead of data"},
    {.title = "a vendor's 404 without a body",
     .action = "delete",
     .exchanges = {{"DELETE /box", 204, NULL, NULL}, {"HEAD /box", 404, NULL, JSON}},
     .outcome = "succeeded"},
    {.title = "a gateway's",
     .action = "delete",
     .exchanges = {{"DELETE /box", 204, NULL, NULL}, {"HEAD /box", 404, NULL, HTML}},
     .outcome = "failed",
     .said = "not confirmed"},
    {.title = "a gateway's 404 to a change",
     .action = "delete",
     .exchanges = {{"DELETE /box", 404, NULL, HTML}, {"HEAD /box", 200, NULL, JSON}},
     .outcome = "failed",
     .said = "refused"},
    {.title = "what a HEAD finds is data",
     .action = "present",
     .exchanges = {{"PUT /box", 200, NULL, NULL}, {"HEAD /box", 200, NULL, JSON}},
     .outcome = "succeeded"},
    {.title = "what a HEAD finds is a page",
     .action = "present",
     .exchanges = {{"PUT /box", 200, NULL, NULL}, {"HEAD /box", 200, NULL, HTML}},
     .outcome = "deferred",
     .said = "web page instead of data"},
    {.title = "nothing, by whatever name, is no page",
     .action = "present",
     .exchanges = {{"PUT /box", 204, NULL, HTML}, {"HEAD /box", 200, NULL, JSON}},
     .outcome = "succeeded"},
};

/* Twenty-one groups of a type. */
#define FEW      "{\"id\": \"g\", \"type\": \"BUILT_IN\", \"phone\": \"555\"},"
#define TEN      FEW FEW FEW FEW FEW FEW FEW FEW FEW FEW
#define GROUPS21 "[" TEN TEN "{\"id\": \"g\", \"type\": \"BUILT_IN\"}]"

static const struct engine_row seen[] = {
    {.title = "what a predicate looks at in a list that is the whole answer",
     .action = "leave",
     .exchanges =
         {OFF,
          {"GET /groups", 200,
           "[{\"id\": \"g1\", \"type\": \"BUILT_IN\", \"owner\": {\"phone\": \"555\"}, \"mail\": \"x@example.com\"}]",
           NULL}},
     .outcome = "succeeded",
     .facts = {{"verified.seen", "{\"status\":200,\"body\":[{\"id\":\"g1\",\"type\":\"BUILT_IN\"}]}"}}},
    {.title = "an empty list",
     .action = "leave",
     .exchanges = {OFF, {"GET /groups", 200, "[]", NULL}},
     .outcome = "succeeded",
     .facts = {{"verified.seen", "{\"status\":200,\"body\":[]}"}}},
    {.title = "a long list",
     .action = "leave",
     .exchanges = {OFF, {"GET /groups", 200, GROUPS21, NULL}},
     .outcome = "succeeded",
     .facts = {{"verified.seen.body | length", "21"}}},
    {.title = "a failure says it, too",
     .action = "leave",
     .exchanges = {OFF, {"GET /groups", 200, "[{\"id\": \"g1\", \"type\": \"OKTA\"}]", NULL}},
     .outcome = "failed",
     .said = "the vendor shows {\"status\":200,\"body\":[{\"id\":\"g1\",\"type\":\"OKTA\"}]}"},
    {.title = "a member that only data name",
     .action = "fields",
     .exchanges = {OFF, {"GET /fields", 200, "{\"left_on\": \"today\", \"home\": \"12 Elm Street\"}", NULL}},
     .outcome = "succeeded",
     .facts = {{"verified.seen", "{\"status\":200,\"body\":{\"left_on\":\"today\"}}"}}},
    {.title = "a name with a dot",
     .action = "export",
     .exchanges = {{"GET /export", 200, "{\"job\": {\".tag\": \"in_progress\"}}", NULL}},
     .outcome = "deferred",
     .said = "still under way at the vendor (.tag: in_progress)"},
};

static void test_rows(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "", "retry_wait: 0s");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        engine_stand_check(stand, &rows[i]);
    }
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        engine_stand_check(stand, &seen[i]);
    }
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        engine_stand_check(stand, &pages[i]);
    }
    engine_stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
