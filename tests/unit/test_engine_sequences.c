/* Jobs of several requests: accounts, pages, lists, and what happens once. */
/* links: tests/unit/engine_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "tests/unit/engine_stand.h"

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
    /* ---- pages of a read-back */
    {.title = "gone from every page",
     .action = "expel",
     .exchanges = {{"DELETE /members/u1", 204, NULL, NULL},
                   {"GET /members", 200, "{\"members\": [\"u2\"], \"next\": \"/members?page=2\"}", NULL},
                   {"GET /members?page=2", 200, "{\"members\": [\"u3\"]}", NULL}},
     .outcome = "succeeded",
     .facts = {{"verified.ok", "true"}}},
    {.title = "still on the second page",
     .action = "expel",
     .exchanges = {{"DELETE /members/u1", 204, NULL, NULL},
                   {"GET /members", 200, "{\"members\": [\"u2\"], \"next\": \"/members?page=2\"}", NULL},
                   {"GET /members?page=2", 200, "{\"members\": [\"u1\"]}", NULL}},
     .outcome = "failed",
     .facts = {{"verified.ok", "false"}}},
    {.title = "a next page that is nowhere proves nothing",
     .action = "expel",
     .exchanges = {{"DELETE /members/u1", 204, NULL, NULL},
                   {"GET /members", 200, "{\"members\": [\"u2\"], \"next\": \"https://elsewhere.example/x\"}", NULL}},
     .outcome = "failed",
     .facts = {{"verified.ok", "false"}}},
    /* ---- whose account */
    {.title = "found by employee id and by e-mail",
     .action = "disable",
     .offboarding = "{\"ids\": {}, \"user\": {\"employee_id\": \"e7\", \"email\": \"ann@example.com\"}}",
     .exchanges = {{"GET /find?key=e7", 200, "{\"ids\": [\"u1\"]}", NULL},
                   {"GET /find?key=ann%40example.com", 200, "{\"ids\": \"u1\"}", NULL},
                   {CALL, 200, NULL, NULL},
                   GONE},
     .outcome = "succeeded",
     .facts = {{"pinned.vendor", "[\"u1\"]"}}},
    {.title = "nobody was found",
     .action = "disable",
     .offboarding = "{\"ids\": {}}",
     .exchanges = {{"GET /find?key=ann%40example.com", 200, "{\"ids\": []}", NULL}},
     .outcome = "missing",
     .said = "no account",
     .facts = {{"pinned.vendor", "[]"}}},
    {.title = "two for one key",
     .action = "disable",
     .offboarding = "{\"ids\": {}}",
     .exchanges = {{"GET /find?key=ann%40example.com", 200, "{\"ids\": [\"u1\", \"u2\"]}", NULL}},
     .outcome = "blocked",
     .said = "2 accounts were found for this e-mail address (u1 and u2)"},
    {.title = "pinned and empty: nobody looks again",
     .action = "disable",
     .offboarding = "{\"ids\": {\"vendor\": []}}",
     .outcome = "missing"},
    {.title = "an account that the event names is confirmed",
     .action = "disable",
     .offboarding = "{\"ids\": {}, \"given_ids\": {\"vendor\": [\"u1\"]}}",
     .exchanges = {STAYS, {CALL, 200, NULL, NULL}, GONE},
     .outcome = "succeeded",
     .facts = {{"pinned.vendor", "[\"u1\"]"}}},
    {.title = "an account that the event names and nobody knows",
     .action = "disable",
     .offboarding = "{\"ids\": {}, \"given_ids\": {\"vendor\": [\"u1\"]}}",
     .exchanges = {{"GET /users/u1", 404, NULL, NULL}},
     .outcome = "blocked",
     .said = "names account u1, which is not there"},
    {.title = "the manager's account",
     .action = "disable",
     .offboarding = "{\"user\": {\"email\": \"ann@example.com\", \"manager\": {\"email\": \"boss@example.com\"}}}",
     .exchanges = {{"GET /find?key=boss%40example.com", 200, "{\"ids\": [\"u1\"]}", NULL}},
     .outcome = "blocked",
     .said = "account u1 is the manager's"},
    {.title = "a manager who is the leaver counts as none",
     .action = "disable",
     .offboarding = "{\"user\": {\"email\": \"ann@example.com\", \"manager\": {\"email\": \"Ann@example.com\"}}}",
     .exchanges = {{CALL, 200, NULL, NULL}, GONE},
     .outcome = "succeeded"},
    {.title = "a protected account",
     .action = "disable",
     .offboarding = "{\"ids\": {\"vendor\": [\"u-protected\"]}}",
     .outcome = "blocked",
     .said = "account u-protected is protected"},
    {.title = "what fails for one account leaves no other with access",
     .action = "disable",
     .offboarding = "{\"ids\": {\"vendor\": [\"u-protected\", \"u1\"]}}",
     .exchanges = {{CALL, 200, NULL, NULL}, GONE},
     .outcome = "blocked",
     .said = "u-protected: account u-protected is protected",
     .facts = {{"state.accounts.u1.ended", "\"succeeded\""}, {"state.accounts.u-protected.ended", "absent"}}},
    {.title = "two accounts",
     .action = "disable",
     .offboarding = "{\"ids\": {\"vendor\": [\"u0\", \"u1\"]}}",
     .exchanges = {{"POST /users/u0/disable", 200, "{\"already\": true}", NULL},
                   {"GET /users/u0", 200, "{\"active\": false}", NULL},
                   {CALL, 200, NULL, NULL},
                   GONE},
     .outcome = "succeeded"},
    {.title = "the second account is put off, the first one failed",
     .action = "disable",
     .offboarding = "{\"ids\": {\"vendor\": [\"u-protected\", \"u1\"]}}",
     .exchanges = {{CALL, 429, NULL, "Retry-After: 3600\r\n"}},
     .outcome = "deferred",
     .facts = {{"state.accounts.u-protected.ended", "\"blocked\""}, {"state.accounts.u1.ended", "absent"}}},

    /* ---- sequences, pages, lists */
    {.title = "a vendor's object is saved for the job and stays out of its state",
     .action = "check_first",
     .exchanges = {{"GET /users/u1", 200, "{\"name\": \"Ann\", \"home\": \"Elm Street\"}", NULL},
                   {"PUT /users/u1\n{\"name\":\"Ann\",\"home\":\"Elm Street\",\"active\":false}", 400, NULL, NULL}},
     .outcome = "failed",
     .facts = {{"state.accounts.u1.saved", "{}"}, {"state.accounts.u1.at", "0"}}},
    {.title = "a link is never read as an expression",
     .action = "leave",
     .exchanges = {{"GET /groups", 200, "{\"groups\": [\"a\"], \"next\": \"/groups?x=%2F${.settings.token}\"}", NULL},
                   {"GET /groups?x=%2F${.settings.token}", 403, NULL, NULL},
                   {"GET /check", 200, NULL, NULL}},
     .outcome = "denied"},
    {.title = "pages by link, then one call an item",
     .action = "leave",
     .exchanges = {{"GET /groups", 200, "{\"groups\": [\"a\", \"b\"], \"next\": \"/groups?after=b\"}", NULL},
                   {"GET /groups?after=b", 200, "{\"groups\": [\"c\"], \"next\": null}", NULL},
                   {"DELETE /groups/a", 204, NULL, NULL},
                   {"DELETE /groups/b", 404, NULL, NULL},
                   {"DELETE /groups/c", 204, NULL, NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.groups", "[\"a\",\"b\",\"c\"]"}}},
    {.title = "a link means what it means on its page",
     .action = "leave",
     .exchanges = {{"GET /groups", 200, "{\"groups\": [], \"next\": \"/x/../teams/list?p=1\"}", NULL},
                   {"GET /teams/list?p=1", 200, "{\"groups\": [], \"next\": \"?p=2\"}", NULL},
                   {"GET /teams/list?p=2", 200, "{\"groups\": [], \"next\": \"more?p=3\"}", NULL},
                   {"GET /teams/more?p=3", 200, "{\"groups\": []}", NULL}},
     .outcome = "succeeded"},
    {.title = "a page that leads to itself at once",
     .action = "leave",
     .exchanges = {{"GET /groups", 200, "{\"groups\": [], \"next\": \"/groups\"}", NULL}},
     .outcome = "failed",
     .said = "the same page again"},
    {.title = "a page that leads to another host",
     .action = "leave",
     .exchanges = {{"GET /groups", 200, "{\"groups\": [], \"next\": \"http://127.0.0.2/groups\"}", NULL}},
     .outcome = "failed",
     .said = "leads to another host"},
    {.title = "a page that leads to itself",
     .action = "leave",
     .exchanges = {{"GET /groups", 200, "{\"groups\": [], \"next\": \"/groups?p=1\"}", NULL},
                   {"GET /groups?p=1", 200, "{\"groups\": [], \"next\": \"/groups?p=1\"}", NULL}},
     .outcome = "failed",
     .said = "the same page again"},
    {.title = "pages by parameters",
     .action = "list",
     .exchanges = {{"GET /list?from=1", 200, "{\"items\": [1, 2], \"to\": 3}", NULL},
                   {"GET /list?from=3", 200, "{\"items\": [3], \"to\": \"${ .now }\"}", NULL},
                   {"GET /list?from=%24%7B%20.now%20%7D", 200, "{\"items\": [4], \"to\": null}", NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.all", "[1,2,3,4]"}}},
    {.title = "some items fail: they are named and left",
     .action = "leave",
     .exchanges = {{"GET /groups", 200, "{\"groups\": [\"a\", \"b\", \"c\"]}", NULL},
                   {"DELETE /groups/a", 400, NULL, NULL},
                   {"DELETE /groups/b", 204, NULL, NULL},
                   {"DELETE /groups/c", 403, NULL, NULL}},
     .outcome = "failed",
     .said = "2 of 3 items failed: a, c",
     .facts = {{"state.accounts.u1.items_left", "[\"a\",\"c\"]"}, {"state.accounts.u1.at", "1"}}},
    {.title = "a retry takes only what is left",
     .action = "leave",
     .job = "{\"state\": {\"accounts\": {\"u1\": {\"at\": 1, \"saved\": {\"groups\": [\"a\", \"b\", \"c\"]}, "
            "\"items_left\": "
            "[\"c\"]}}}}",
     .exchanges = {{"DELETE /groups/c", 204, NULL, NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.groups", "[\"a\",\"b\",\"c\"]"}}},
    {.title = "an item is put off with those that failed and those to come",
     .action = "leave",
     .exchanges = {{"GET /groups", 200, "{\"groups\": [\"a\", \"b\", \"c\"]}", NULL},
                   {"DELETE /groups/a", 400, NULL, NULL},
                   {"DELETE /groups/b", 429, NULL, "Retry-After: 900\r\n"}},
     .outcome = "deferred",
     .due_after = 890,
     .due_before = 930,
     .facts = {{"state.accounts.u1.items_left", "[\"b\",\"c\",\"a\"]"}}},

    /* ---- once */
    {.title = "once: looked for, begun, made",
     .action = "ticket",
     .exchanges = {{"GET /tickets?job=job-1", 200, "{}", NULL},
                   {"POST /tickets\ntitle=Ann%20Leaver&job=job-1", 201, "{\"key\": \"T-1\"}", NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.key", "\"T-1\""}},
     .begins = 1},
    {.title = "once: had been made before",
     .action = "ticket",
     .exchanges = {{"GET /tickets?job=job-1", 200, "{\"key\": \"T-0\"}", NULL}},
     .outcome = "succeeded",
     .said = "had already been done before",
     .facts = {{"outputs.key", "\"T-0\""}}},
    {.title = "once: the answer is lost",
     .action = "ticket",
     .exchanges = {{"GET /tickets?job=job-1", 200, "{}", NULL}, {"POST /tickets", STUB_HANG_UP, NULL, NULL}},
     .outcome = "deferred",
     .said = "it will be looked for before it is tried again",
     .due_after = 85,
     .due_before = 95,
     .facts = {{"state.begun", "true"}},
     .begins = 1},
    {.title = "once: an error that leaves it open",
     .action = "ticket",
     .exchanges = {{"GET /tickets?job=job-1", 200, "{}", NULL}, {"POST /tickets", 503, NULL, "Retry-After: 1\r\n"}},
     .outcome = "deferred",
     .due_after = 85,
     .due_before = 95,
     .facts = {{"state.begun", "true"}},
     .begins = 1},
    {.title = "once: throttled is clearly not done",
     .action = "ticket",
     .exchanges = {{"GET /tickets?job=job-1", 200, "{}", NULL},
                   {"POST /tickets", 429, NULL, "Retry-After: 0\r\n"},
                   {"GET /tickets?job=job-1", 200, "{}", NULL},
                   {"POST /tickets", 201, "{\"key\": \"T-1\"}", NULL}},
     .outcome = "succeeded",
     .facts = {{"calls.1.try", "1"}, {"calls.3.try", "2"}},
     .begins = 1},
    {.title = "once: refused",
     .action = "ticket",
     .exchanges = {{"GET /tickets?job=job-1", 200, "{}", NULL}, {"POST /tickets", 400, NULL, NULL}},
     .outcome = "failed",
     .begins = 1},
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

/* Whose partition went away makes no call: its successor will. */
static void test_partition_lost_at_begin(void **state)
{
    (void)state;
    static const struct exchange script[] = {{"GET /tickets?job=job-1", 200, "{}", NULL}, {0}};
    struct engine_stand *stand = engine_stand_new("");
    struct trial *trial = trial_new(stand, "ticket", NULL, NULL);
    vendor_stub_script(stand->vendor, script);
    trial->lost = true;
    trial_start(trial);
    trial_finish(trial);
    assert_true(trial->result.abandoned);
    assert_null(vendor_stub_complaint(stand->vendor));
    trial_free(trial);
    engine_stand_free(stand);
}

/* Jobs of one offboarding look a person up once. */
static void test_found_once(void **state)
{
    (void)state;
    static const struct exchange script[] = {{"GET /find?key=ann%40example.com", 200, "{\"ids\": [\"u1\"]}", NULL},
                                             {CALL, 200, NULL, NULL},
                                             GONE,
                                             {CALL, 200, NULL, NULL},
                                             GONE,
                                             {0}};
    struct engine_stand *stand = engine_stand_new("");
    vendor_stub_script(stand->vendor, script);
    for (int i = 0; i < 2; i++) {
        struct trial *trial = trial_new(stand, "disable", "{\"id\": \"same\", \"ids\": {}}", NULL);
        trial_start(trial);
        trial_finish(trial);
        assert_string_equal(trial->result.outcome, "succeeded");
        trial_free(trial);
    }
    assert_null(vendor_stub_complaint(stand->vendor));
    engine_stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_partition_lost_at_begin),
        cmocka_unit_test(test_found_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
