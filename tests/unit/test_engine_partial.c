/* One page of several, and a connector that does not read the others: whatever words the vendor has for it, nobody counts as not there
 * and nothing as done. And an answer that is the whole list is taken for that, whatever stands beside it. */
/* links: tests/unit/engine_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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
    "  account: {id: \"${ .account.id }\", email: \"${ .account.mail }\"}\n"
    "  requests: [{get: /people, query: {by: \"${ .key }\"}, found: \"${ .body.people }\"}]\n"
    "actions:\n"
    "  search: {effect: revoke, requests: [{post: \"/off/${ .ids.vendor }\"}]}\n"
    "  verify:\n"
    "    effect: revoke\n"
    "    requests: [{delete: \"/members/${ .ids.vendor }\"}]\n"
    "    verify: {get: /members, expect: \"${ .ids.vendor as $me | .body.members | all(.[]; . != $me) }\", within: "
    "0s}\n"
    "  save:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - {get: /teams, save: {teams: \"${ [.body.teams[].id] }\"}}\n"
    "      - {delete: \"/teams/${ .item }\", for_each: \"${ .saved.teams }\"}\n"
    "  require_saved:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - get: /teams\n"
    "        save: {mine: \"${ [.body.teams[] | select(.owner == \\\"u1\\\")] }\"}\n"
    "        require: \"${ .saved.mine == [] }\"\n"
    "      - {post: \"/off/${ .ids.vendor }\"}\n"
    "  require:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - {get: /teams, require: \"${ .body.teams | all(.owner != \\\"u1\\\") }\"}\n"
    "      - {post: \"/off/${ .ids.vendor }\"}\n"
    "  require_first:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - post: \"/off/${ .ids.vendor }\"\n"
    "        require: {get: /teams, that: \"${ .body.teams | all(.owner != \\\"u1\\\") }\", why: \"it owns a team\"}\n"
    "  already:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - {get: /teams, already: \"${ .body.teams == [] }\"}\n"
    "      - {post: \"/off/${ .ids.vendor }\"}\n"
    "  find:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    once: true\n"
    "    requests:\n"
    "      - post: /tickets\n"
    "        find: {get: /teams, expect: \"${ .body.teams | any(.job == \\\"job-1\\\") }\"}\n";

static const char *const actions[] = {"search",  "verify",        "save",    "require_saved",
                                      "require", "require_first", "already", "find"};

/* What stands beside the list, and a header. */
struct beside {
    const char *members;
    const char *header;
};

static const struct beside others[] = {
    {"\"next\": \"http://x/teams?page=2\"", NULL},
    {"\"has_more\": true", NULL},
    {"\"hasMore\": \"true\"", NULL},
    {"\"more\": true", NULL},
    {"\"isLast\": false", NULL},
    {"\"last\": false, \"totalPages\": 3, \"number\": 0", NULL},
    {"\"isLastPage\": false, \"nextPageStart\": 25", NULL},
    {"\"nextPage\": 2", NULL},
    {"\"next_page\": 2", NULL},
    {"\"nextPage\": \"/x?p=2\"", NULL},
    {"\"paging\": {\"next\": {\"after\": \"33\"}}", NULL},
    {"\"pagination\": {\"next\": \"/x?2\"}", NULL},
    {"\"pagination\": {\"has_next_page\": true}", NULL},
    {"\"meta\": {\"next\": \"/x?2\"}", NULL},
    {"\"meta\": {\"pagination\": {\"links\": {\"next\": \"/x?2\"}}}", NULL},
    {"\"meta\": {\"page\": {\"current\": 1, \"total_pages\": 3}}", NULL},
    {"\"meta\": {\"pagination\": {\"page\": 1, \"pages\": 3}}", NULL},
    {"\"pageInfo\": {\"hasNextPage\": true}", NULL},
    {"\"data\": {\"organization\": {\"users\": {\"pageInfo\": {\"hasNextPage\": true}}}}", NULL},
    {"\"offset\": \"itr123\"", NULL},
    {"\"cursor\": \"abc\"", NULL},
    {"\"continuation\": \"x\"", NULL},
    {"\"total\": 240, \"count\": 100", NULL},
    {"\"total\": \"240\"", NULL},
    {"\"totalResults\": 240, \"startIndex\": 1, \"itemsPerPage\": 100", NULL},
    {"\"@odata.count\": 240", NULL},
    {"\"total_pages\": 3, \"page\": 1", NULL},
    {"\"current_page\": 1, \"last_page\": 4", NULL},
    {"\"nextPageToken\": \"x\"", NULL},
    {"\"next_token\": \"x\"", NULL},
    {"\"NextToken\": \"x\"", NULL},
    {"\"Marker\": \"x\", \"IsTruncated\": true", NULL},
    {"\"incomplete_results\": true", NULL},
    {"\"response_metadata\": {\"next_cursor\": \"x\"}", NULL},
    {"\"links\": {\"next\": {\"href\": \"/x\"}}", NULL},
    {"\"links\": [{\"rel\": \"self\", \"href\": \"/\"}, {\"rel\": \"next\", \"href\": \"/x\"}]", NULL},
    {"\"link\": [{\"relation\": \"next\", \"url\": \"/x\"}]", NULL},
    {"\"_links\": {\"next\": \"/x\"}", NULL},
    {"\"@odata.nextLink\": \"x\"", NULL},
    {"\"odata.nextLink\": \"x\"", NULL},
    {"\"nextRecordsUrl\": \"/query/01g-2000\", \"done\": false", NULL},
    {"\"ok\": true", "Link: </x?page=2>; rel=\"next\"\r\n"},
    {"\"ok\": true", "Link: </x?page=1>; rel=prev, </x?page=2>; rel=\"last next\"\r\n"},
    {"\"ok\": true", "X-Next-Page: 2\r\n"},
    {"\"ok\": true", "X-Total-Count: 240\r\n"},
    {"\"ok\": true", "X-Page: 1\r\nX-Total-Pages: 2\r\n"},
};

static const struct beside whole[] = {
    {"\"ok\": true", NULL},
    {"\"next\": null", NULL},
    {"\"next\": \"\"", NULL},
    {"\"next\": {}", NULL},
    {"\"has_more\": false, \"next_cursor\": \"x\"", NULL},
    {"\"has_more\": false, \"cursor\": \"x\"", NULL},
    {"\"isLast\": true, \"nextPage\": \"/x\"", NULL},
    {"\"last\": true, \"totalPages\": 1, \"number\": 0", NULL},
    {"\"nextPageToken\": \"\"", NULL},
    {"\"nextSyncToken\": \"x\"", NULL},
    {"\"@odata.deltaLink\": \"x\"", NULL},
    {"\"links\": {\"next\": null, \"self\": \"/x\"}", NULL},
    {"\"links\": [{\"rel\": \"self\", \"href\": \"/x\"}]", NULL},
    {"\"meta\": {\"has_more\": false}, \"links\": {\"next\": \"/x\"}", NULL},
    {"\"paging\": {\"cursors\": {\"after\": \"x\"}}", NULL},
    {"\"total\": 0, \"offset\": 0, \"limit\": 100", NULL},
    {"\"page\": 1, \"pages\": 1", NULL},
    {"\"number\": 0, \"totalPages\": 0, \"totalElements\": 0", NULL},
    {"\"incomplete_results\": false", NULL},
    {"\"IsTruncated\": false", NULL},
    {"\"owner\": {\"name\": \"Next\", \"next\": \"2027-01-01\", \"last\": \"Doe\", \"total\": 7}", NULL},
    {"\"ok\": true", "Link: </x?page=1>; rel=\"first\", </next>; rel=\"last\"\r\n"},
    {"\"ok\": true", "X-Next-Page: \r\nX-Page: 1\r\nX-Total-Pages: 1\r\nX-Total: 0\r\n"},
};

static struct exchange choose(const char *line, const char *head, const char *body, void *arg)
{
    static char text[1024];
    const struct beside *beside = arg;
    (void)head;
    (void)body;
    if (strncmp(line, "GET ", 4) != 0) {
        return (struct exchange){line, 200, "{\"ok\": true}", NULL};
    }
    snprintf(text, sizeof text, "{\"people\": [], \"members\": [], \"teams\": [], %s}", beside->members);
    return (struct exchange){line, 200, text, beside->header};
}

static void check(struct engine_stand *stand, const char *action, const struct beside *beside, bool is_whole)
{
    bool searches = strcmp(action, "search") == 0;
    vendor_stub_choose(stand->vendor, choose, (void *)(uintptr_t)beside);
    struct trial *trial = trial_new(stand, action, searches ? "{\"ids\": {}}" : NULL, NULL);
    trial_start(trial);
    trial_finish(trial);
    const char *outcome = trial->result.outcome;
    const char *good = searches ? "missing" : strcmp(action, "already") == 0 ? "already_done" : "succeeded";
    if (strcmp(outcome, is_whole ? good : "deferred") != 0) {
        fail_msg("%s, %s %s: %s (%s)", action, beside->members, beside->header ? beside->header : "", outcome,
                 trial->result.message);
    }
    if (!is_whole) {
        assert_contains(trial->result.message, "one page of several");
    }
    trial_free(trial);
}

static void check_all(const struct beside *all, size_t count, bool is_whole)
{
    struct engine_stand *stand = engine_stand_with(connector, "", "retry_wait: 0s");
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < COUNT_OF(actions); j++) {
            check(stand, actions[j], &all[i], is_whole);
        }
    }
    engine_stand_free(stand);
}

static void test_one_page_of_several(void **state)
{
    (void)state;
    check_all(others, COUNT_OF(others), false);
}

static void test_the_whole_list(void **state)
{
    (void)state;
    check_all(whole, COUNT_OF(whole), true);
}

/* What one page shows is so, whatever the others hold. */
static void test_what_one_page_shows(void **state)
{
    (void)state;
    static const char shown[] =
        "system: vendor\n"
        "settings: {url: {required: true}}\n"
        "actions:\n"
        "  latest:\n"
        "    effect: revoke\n"
        "    accounts: none\n"
        "    requests:\n"
        "      - {get: /commands, already: \"${ .body.commands | any(.done) }\"}\n"
        "      - {get: /commands, save: {latest: \"${ .body.commands[0].id }\"}}\n"
        "      - {post: \"/commands/${ .saved.latest }\"}\n"
        "    verify: {get: /commands, expect: \"${ .body.commands | any(.done) }\", within: 0s}\n";
    static const struct engine_row rows[] = {
        {.title = "the newest of many",
         .action = "latest",
         .exchanges = {{"GET /commands", 200, "{\"commands\": [{\"id\": \"c9\"}], \"total\": 240}", NULL},
                       {"GET /commands", 200, "{\"commands\": [{\"id\": \"c9\"}], \"total\": 240}", NULL},
                       {"POST /commands/c9", 200, NULL, NULL},
                       {"GET /commands", 200, "{\"commands\": [{\"id\": \"c9\", \"done\": true}], \"total\": 240}",
                        NULL}},
         .outcome = "succeeded"},
        {.title = "it was so already, as the first page shows",
         .action = "latest",
         .exchanges = {{"GET /commands", 200, "{\"commands\": [{\"id\": \"c9\", \"done\": true}], \"has_more\": true}",
                        NULL},
                       {"GET /commands", 200, "{\"commands\": [{\"id\": \"c9\", \"done\": true}], \"total\": 240}",
                        NULL}},
         .outcome = "already_done"},
    };
    struct engine_stand *stand = engine_stand_with(shown, "", "retry_wait: 0s");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        engine_stand_check(stand, &rows[i]);
    }
    engine_stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_page_of_several),
        cmocka_unit_test(test_the_whole_list),
        cmocka_unit_test(test_what_one_page_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
