/* `for_each`: several at a time, many in one call; and what a dry run knows. */
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
#include "tests/unit/engine_stand.h"
#include "tests/unit/helpers.h"

static const char connector[] =
    "system: vendor\n"
    "settings: {url: {required: true}, token: {required: true, secret: true}}\n"
    "limits: {default: {in_flight: 4}, narrow: {in_flight: 1}}\n"
    "actions:\n"
    "  each_in_turn:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - get: /items\n"
    "        save: {items: \"${ .body.items }\"}\n"
    "      - {delete: \"/items/${ .item }\", for_each: \"${ .saved.items }\", parallel: 4, limit: narrow}\n"
    "  each_and_wait:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - get: /items\n"
    "        save: {items: \"${ .body.items }\"}\n"
    "      - {delete: \"/items/${ .item }\", for_each: \"${ .saved.items }\", parallel: 4}\n"
    "      - {get: /box, poll: {until: \"${ .body.done }\", failed: \"${ .body.idle }\", every: 1m, timeout: 1h}}\n"
    "  each:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - get: /items\n"
    "        save: {items: \"${ .body.items }\"}\n"
    "      - delete: \"/items/${ .item }\"\n"
    "        for_each: \"${ .saved.items }\"\n"
    "        parallel: 4\n"
    "        save: {seen: \"${ .body.was }\"}\n"
    "    outputs: {seen: \"${ .saved.seen }\"}\n"
    "  bulk:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - post: /batch\n"
    "        for_each: \"${ [\\\"a\\\", \\\"b\\\", \\\"c\\\"] }\"\n"
    "        batch: {size: 2, results: \"${ .body.results }\"}\n"
    "        json: {remove: \"${ .items }\"}\n"
    "  bulk_once:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - post: /batch\n"
    "        for_each: \"${ [\\\"a\\\", \\\"b\\\", \\\"c\\\"] }\"\n"
    "        batch: {size: 3, results: \"${ .body.results }\"}\n"
    "        json: {remove: \"${ .items }\"}\n"
    "  one_by_one:\n"
    "    effect: revoke\n"
    "    requests: [{delete: \"/items/${ .item }\", for_each: \"${ [\\\"a\\\", \\\"b\\\", \\\"c\\\"] }\"}]\n"
    "  guess:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - {get: /box, save: {size: \"${ .body.size | tonumber }\"}}\n"
    "      - {post: /order, json: {size: \"${ .saved.size }\", key: \"${ .settings.token "
    "}\"}, save: {number: \"${ .body.number }\", "
    "parts: \"${ [.body.parts[] | .id] }\"}}\n"
    "      - {get: \"/order/${ .saved.number }\", save: {state: \"${ .body.state }\"}}\n"
    "      - {delete: \"/part/${ .item }\", for_each: \"${ .saved.parts }\"}\n"
    "    outputs: {number: \"${ .saved.number }\", size: \"${ .saved.size }\"}\n"
    "  choose:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - {get: /box, poll: {until: \"${ .body.open }\", every: 1m, timeout: 1h}}\n"
    "      - {post: /order, save: {kind: \"${ .body.kind }\"}}\n"
    "      - {post: /odd, if: \"${ .saved.kind == \\\"odd\\\" }\"}\n"
    "      - {post: /even, if: \"${ .saved.kind != \\\"odd\\\" }\"}\n"
    "      - {post: /never, if: \"${ .user.never == true }\"}\n"
    "      - {get: /box, poll: {until: \"${ .body.shut }\", every: 1m, timeout: 1h}}\n"
    "  reckon:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - {post: /order, save: {n: \"${ .body.n }\"}}\n"
    "      - {post: \"/next/${ .saved.n + 1 }\", query: {at: \"${ .saved.n | tonumber }\"}, "
    "json: {n: \"${ .saved.n + 1 }\", fixed: 7}}\n"
    "  demand:\n"
    "    effect: revoke\n"
    "    with: {to: {required: true}}\n"
    "    requests: [{post: \"/to/${ .with.to }\"}]\n";

#define LIST   "GET /items", 200, "{\"items\": [\"a\", \"b\", \"c\", \"d\", \"e\"]}", NULL
#define BATCH1 "POST /batch\n{\"remove\":[\"a\",\"b\"]}"
#define BATCH2 "POST /batch\n{\"remove\":[\"c\"]}"
#define DRY    "{\"mode\": \"dry_run\"}"

static const struct engine_row rows[] = {
    {.title = "many in one call",
     .action = "bulk",
     .exchanges = {{BATCH1, 200, "{\"results\": [{\"status\": 204}, {\"status\": \"200\"}]}", NULL},
                   {BATCH2, 207, "{\"results\": [{\"ok\": true}]}", NULL}},
     .outcome = "succeeded"},
    {.title = "what one answer refuses is named, and left",
     .action = "bulk",
     .exchanges = {{BATCH1, 200,
                    "{\"results\": [{\"index\": 1, \"status\": 400, \"why\": \"the last owner stays\"}, {\"index\": 0, "
                    "\"status\": 204}]}",
                    NULL},
                   {BATCH2, 200, "{\"results\": [{\"status\": 404, \"already\": true}]}", NULL}},
     .outcome = "failed",
     .said = "1 of 3 items failed: b (refused: 400: the last owner stays)",
     .facts = {{"state.accounts..items_left", "[\"b\"]"}}},
    {.title = "a retry sends only what is left",
     .action = "bulk",
     .job = "{\"state\": {\"accounts\": {\"\": {\"at\": 0, \"saved\": {}, \"items_left\": [\"b\"]}}}}",
     .exchanges = {{"POST /batch\n{\"remove\":[\"b\"]}", 200, "{\"results\": [{\"status\": 204}]}", NULL}},
     .outcome = "succeeded"},
    {.title = "of two results about one item the worst counts",
     .action = "bulk",
     .exchanges = {{BATCH1, 200,
                    "{\"results\": [{\"index\": 0, \"status\": 204}, {\"index\": 1, \"status\": 204}, {\"index\": 1, "
                    "\"status\": 400, \"why\": \"no\"}]}",
                    NULL},
                   {BATCH2, 200, "{\"results\": [{\"status\": 204}]}", NULL}},
     .outcome = "failed",
     .said = "1 of 3 items failed: b (refused: 400: no)"},
    {.title = "an item's refusal that is for now only is sent again",
     .action = "bulk",
     .exchanges = {{BATCH1, 200, "{\"results\": [{\"status\": 204}, {\"status\": 409, \"why\": \"try again\"}]}", NULL},
                   {"POST /batch\n{\"remove\":[\"b\",\"c\"]}", 200,
                    "{\"results\": [{\"status\": 204}, {\"status\": 403, \"why\": \"rate limit exceeded\"}]}", NULL},
                   {BATCH2, 200, "{\"results\": [{\"status\": 204}]}", NULL}},
     .outcome = "succeeded"},
    {.title = "one that is to come later is sent again, alone",
     .action = "bulk",
     .exchanges = {{BATCH1, 200, "{\"results\": [{\"status\": 204}, {\"status\": 429}]}", NULL},
                   {"POST /batch\n{\"remove\":[\"b\",\"c\"]}", 200,
                    "{\"results\": [{\"status\": 204}, {\"status\": 204}]}", NULL}},
     .outcome = "succeeded"},
    {.title = "one that has to wait, and one that was refused: both are told",
     .action = "bulk_once",
     .exchanges =
         {{"POST /batch\n{\"remove\":[\"a\",\"b\",\"c\"]}", 200,
           "{\"results\": [{\"status\": 429, \"why\": \"slow down\"}, {\"status\": 400, \"why\": \"b stays\"}, "
           "{\"status\": 204}]}",
           NULL},
          {"POST /batch\n{\"remove\":[\"a\"]}", 429, NULL, "Retry-After: 600\r\n"}},
     .outcome = "deferred",
     .said = "; 1 of 3 items failed: b (refused: 400: b stays)",
     .facts = {{"state.accounts..items_left", "[\"a\",\"b\"]"}}},
    {.title = "items one by one: the last one waits, the first was refused",
     .action = "one_by_one",
     .exchanges = {{"DELETE /items/a", 400, "{\"message\": \"a stays\"}", NULL},
                   {"DELETE /items/b", 200, NULL, NULL},
                   {"DELETE /items/c", 429, NULL, "Retry-After: 600\r\n"}},
     .outcome = "deferred",
     .said = "; 1 of 3 items failed: a (refused: the vendor answered 400: a stays)",
     .facts = {{"state.accounts..items_left", "[\"c\",\"a\"]"}}},
    {.title = "an item that the answer does not mention",
     .action = "bulk",
     .exchanges = {{BATCH1, 200, "{\"results\": [{\"status\": 204}]}", NULL},
                   {BATCH2, 200, "{\"results\": [{\"status\": 204}]}", NULL}},
     .outcome = "failed",
     .said =
         "2 of 3 items failed: a, b (the vendor's answer has 1 result for 2 items, and does not say which is whose)"},
    {.title = "an item that numbered results do not mention",
     .action = "bulk",
     .exchanges = {{BATCH1, 200, "{\"results\": [{\"index\": 0, \"status\": 204}]}", NULL},
                   {BATCH2, 200, "{\"results\": [{\"status\": 204}]}", NULL}},
     .outcome = "failed",
     .said = "1 of 3 items failed: b (the vendor's answer to the batch says nothing of it)"},
    {.title = "a result that contradicts itself is no success",
     .action = "bulk",
     .exchanges = {{BATCH1, 200, "{\"results\": [{\"ok\": true, \"status\": 400, \"why\": \"no\"}, {\"ok\": true}]}",
                    NULL},
                   {BATCH2, 200, "{\"results\": [{\"status\": 204}, {\"status\": 204}]}", NULL}},
     .outcome = "failed",
     .said =
         "2 of 3 items failed: a, c (the vendor's answer has 2 results for 1 item, and does not say which is whose)"},
    {.title = "a call that is refused as a whole",
     .action = "bulk",
     .exchanges = {{BATCH1, 400, "{\"message\": \"no\"}", NULL},
                   {BATCH2, 200, "{\"results\": [{\"status\": 204}]}", NULL}},
     .outcome = "failed",
     .said = "2 of 3 items failed: a, b"},
    /* ---- dry runs */
    {.title = "a dry run shows what it would send, and guesses only what that would bring",
     .action = "guess",
     .offboarding = DRY,
     .exchanges = {{"GET /box", 200, "{\"size\": \"7\"}", NULL}},
     .outcome = "succeeded",
     .said = "dry run: would POST ",
     .facts = {{"outputs", "{\"number\":\"dry-run:number\",\"size\":7}"},
               {"calls.1.body", "\"{\\\"size\\\":7,\\\"key\\\":\\\"***\\\"}\""}}},
    {.title = "it fails where a live run would: what was read can't be used",
     .action = "guess",
     .offboarding = DRY,
     .exchanges = {{"GET /box", 200, "{\"size\": \"big\"}", NULL}},
     .outcome = "failed",
     .said = "save.size"},
    {.title = "what an unsent request would decide is shown both ways; what nothing would change is waited for",
     .action = "choose",
     .offboarding = DRY,
     .exchanges = {{"GET /box", 200, "{\"open\": true, \"shut\": false}", NULL},
                   {"GET /box", 200, "{\"open\": true, \"shut\": false}", NULL}},
     .outcome = "succeeded",
     .said = "/order, and 2 more",
     .facts = {{"calls.2.uncertain", "true"}, {"calls.3.uncertain", "true"}, {"calls.4.method", "\"GET\""}}},
    {.title = "what is reckoned with an unsent answer is a stand-in, not a failure",
     .action = "reckon",
     .offboarding = DRY,
     .outcome = "succeeded",
     .said = "/order, and 1 more",
     .facts = {{"calls.1.body", "\"{\\\"n\\\":\\\"dry-run:value\\\",\\\"fixed\\\":7}\""}}},
    {.title = "a dry run waits where a live one would, before anything is changed",
     .action = "choose",
     .offboarding = DRY,
     .exchanges = {{"GET /box", 200, "{\"open\": false}", NULL}},
     .outcome = "deferred",
     .said = "still under way at the vendor (open: false)"},
    {.title = "what several lanes would save is not known",
     .action = "each",
     .offboarding = DRY,
     .exchanges = {{LIST}},
     .outcome = "succeeded",
     .facts = {{"outputs.seen", "\"dry-run:seen\""}}},
    {.title = "what several lanes would change is not waited for",
     .action = "each_and_wait",
     .offboarding = DRY,
     .exchanges = {{LIST}, {"GET /box", 200, "{\"done\": false, \"idle\": true}", NULL}},
     .outcome = "succeeded"},
    {.title = "what the event lacks, a dry run lacks, too",
     .action = "demand",
     .offboarding = DRY,
     .job = "{\"with\": {\"to\": \"${ .user.manager.email }\"}}",
     .outcome = "blocked",
     .said = "with.to is null"},
    {.title = "what another step would have brought, it guesses",
     .action = "demand",
     .offboarding = DRY,
     .job = "{\"with\": {\"to\": \"${ .steps.order.outputs.number }\"}, \"steps\": {\"order\": {\"outputs\": "
            "{\"number\": \"dry-run:number\"}}}}",
     .outcome = "succeeded"},
};

static void test_rows(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "token: " ENGINE_STAND_TOKEN, "");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        engine_stand_check(stand, &rows[i]);
    }
    engine_stand_free(stand);
}

/* ---- several at a time ------------------------------------------------------------------------------------------- */

struct several {
    const char *refused; /* an item that is refused; NULL: none */
    const char *later;   /* one that is throttled */
};

static struct exchange answer(const char *line, const char *head, const char *body, void *arg)
{
    static char answers[256][64]; /* by the item's letter: several are under way */
    const struct several *several = arg;
    const char *item = line + strlen("DELETE /items/");
    (void)head;
    (void)body;
    if (strncmp(line, "GET ", 4) == 0) {
        return (struct exchange){LIST};
    }
    if (several->refused && strcmp(item, several->refused) == 0) {
        return (struct exchange){line, 400, "{\"message\": \"no\"}", NULL};
    }
    if (several->later && strcmp(item, several->later) == 0) {
        return (struct exchange){line, 429, NULL, "Retry-After: 600\r\n"};
    }
    char *was = answers[(unsigned char)*item];
    snprintf(was, sizeof answers[0], "{\"was\": \"%s\"}", item);
    return (struct exchange){line, 200, was, NULL};
}

static struct trial *run_several(struct engine_stand *stand, struct several *several)
{
    vendor_stub_choose(stand->vendor, answer, several);
    struct trial *trial = trial_new(stand, "each", NULL, NULL);
    trial_start(trial);
    trial_finish(trial);
    return trial;
}

static void assert_fact(const struct trial *trial, const char *path, const char *value)
{
    char *text = json_text(json_at(trial->result.context, path));
    assert_string_equal(text, value);
    free(text);
}

static void test_several_at_a_time(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "token: " ENGINE_STAND_TOKEN, "");
    struct several all_well = {NULL, NULL};
    struct trial *trial = run_several(stand, &all_well);
    assert_string_equal(trial->result.outcome, "succeeded");
    assert_fact(trial, "outputs.seen", "[\"a\",\"b\",\"c\",\"d\",\"e\"]"); /* in the items' order, whoever came first */
    assert_int_equal(vendor_stub_most_at_once(stand->vendor), 4);
    trial_free(trial);

    struct several refused = {"b", NULL};
    trial = run_several(stand, &refused);
    assert_string_equal(trial->result.outcome, "failed");
    assert_contains(trial->result.message, "1 of 5 items failed: b (refused: the vendor answered 400: no)");
    assert_fact(trial, "state.accounts..items_left", "[\"b\"]");
    trial_free(trial);

    struct several later = {"a", "c"};
    trial = run_several(stand, &later);
    assert_string_equal(trial->result.outcome, "deferred");
    const json_t *left = json_at(trial->result.context, "state.accounts..items_left");
    assert_string_equal(json_string_value(json_array_get(left, 0)), "c"); /* what waits comes first */
    assert_string_equal(json_string_value(json_array_get(left, json_array_size(left) - 1)),
                        "a"); /* who was refused gets another chance */
    trial_free(trial);
    engine_stand_free(stand);
}

static void interrupt_all(size_t count, void *arg)
{
    struct trial *trial = arg;
    if (count == 4) { /* the list and three items */
        engine_interrupt(&trial->job, INTERRUPT_TOO_LONG);
    }
}

/* An interruption reaches every fiber of the job; what is under way is finished. */
static void test_several_interrupted(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "token: " ENGINE_STAND_TOKEN, "");
    struct several all_well = {NULL, NULL};
    vendor_stub_choose(stand->vendor, answer, &all_well);
    struct trial *trial = trial_new(stand, "each", NULL, NULL);
    vendor_stub_on_request(stand->vendor, interrupt_all, trial);
    trial_start(trial);
    trial_finish(trial);
    assert_string_equal(trial->result.outcome, "deferred");
    assert_contains(trial->result.message, "ran longer than worker.job_time");
    assert_in_range(json_array_size(json_at(trial->result.context, "state.accounts..items_left")), 1, 2);
    trial_free(trial);
    engine_stand_free(stand);
}

static void cancel_at_first_change(size_t count, void *arg)
{
    struct trial *trial = arg;
    if (count == 2) { /* the list and one item; three lanes wait for their turn */
        engine_interrupt(&trial->job, INTERRUPT_CANCELLED);
    }
}

/* Whichever lane is stopped, what another one changed is told. */
static void test_several_cancelled(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "token: " ENGINE_STAND_TOKEN, "");
    struct several all_well = {NULL, NULL};
    vendor_stub_choose(stand->vendor, answer, &all_well);
    struct trial *trial = trial_new(stand, "each_in_turn", NULL, NULL);
    vendor_stub_on_request(stand->vendor, cancel_at_first_change, trial);
    trial_start(trial);
    trial_finish(trial);
    assert_string_equal(trial->result.outcome, "cancelled");
    assert_contains(trial->result.message, "what this job had changed before stays so");
    assert_fact(trial, "state.changed", "true");
    trial_free(trial);
    engine_stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_several_at_a_time),
        cmocka_unit_test(test_several_interrupted),
        cmocka_unit_test(test_several_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
