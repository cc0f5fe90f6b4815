/* What a read proves: that it is about the account, and that the connector's own words about its answer are heard. */
/* links: tests/unit/engine_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/json.h"
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
     .outcome = "deferred",
     .said = "the answer is not what success looks like",
     .facts = {{"verified", "null"}}},
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

static void test_rows(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "", "retry_wait: 0s");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        engine_stand_check(stand, &rows[i]);
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
