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

/* `pages`: what the requests that read a list say of its pages. */
#define CONNECTOR(pages)                                                                                               \
    "system: vendor\n"                                                                                                 \
    "settings: {url: {required: true}}\n"                                                                              \
    "identify:\n"                                                                                                      \
    "  keys: [email]\n"                                                                                                \
    "  account: {id: \"${ .account.id }\", email: \"${ .account.mail }\"}\n"                                           \
    "  requests: [{get: /people, " pages "query: {by: \"${ .key }\"}, found: \"${ .body.people }\"}]\n"                \
    "actions:\n"                                                                                                       \
    "  search: {effect: revoke, requests: [{post: \"/off/${ .ids.vendor }\"}]}\n"                                      \
    "  verify:\n"                                                                                                      \
    "    effect: revoke\n"                                                                                             \
    "    requests: [{delete: \"/members/${ .ids.vendor }\"}]\n"                                                        \
    "    verify: {get: /members, " pages                                                                               \
    "expect: \"${ .ids.vendor as $me | .body.members | all(.[]; . != $me) }\", within: "                               \
    "0s}\n"                                                                                                            \
    "  save:\n"                                                                                                        \
    "    effect: revoke\n"                                                                                             \
    "    requests:\n"                                                                                                  \
    "      - {get: /teams, " pages "save: {teams: \"${ [.body.teams[].id] }\"}}\n"                                     \
    "      - {delete: \"/teams/${ .item }\", for_each: \"${ .saved.teams }\"}\n"                                       \
    "  require_saved:\n"                                                                                               \
    "    effect: revoke\n"                                                                                             \
    "    requests:\n"                                                                                                  \
    "      - get: /teams\n"                                                                                            \
    "        save: {mine: \"${ [.body.teams[] | select(.owner == \\\"u1\\\")] }\"}\n"                                  \
    "        require: \"${ .saved.mine == [] }\"\n"                                                                    \
    "      - {post: \"/off/${ .ids.vendor }\"}\n"                                                                      \
    "  require:\n"                                                                                                     \
    "    effect: revoke\n"                                                                                             \
    "    requests:\n"                                                                                                  \
    "      - {get: /teams, require: \"${ .body.teams | all(.owner != \\\"u1\\\") }\"}\n"                               \
    "      - {post: \"/off/${ .ids.vendor }\"}\n"                                                                      \
    "  require_first:\n"                                                                                               \
    "    effect: revoke\n"                                                                                             \
    "    requests:\n"                                                                                                  \
    "      - post: \"/off/${ .ids.vendor }\"\n"                                                                        \
    "        require: {get: /teams, that: \"${ .body.teams | all(.owner != \\\"u1\\\") }\", why: \"it owns a "         \
    "team\"}\n"                                                                                                        \
    "  already:\n"                                                                                                     \
    "    effect: revoke\n"                                                                                             \
    "    requests:\n"                                                                                                  \
    "      - {get: /teams, " pages "already: \"${ .body.teams == [] }\"}\n"                                            \
    "      - {post: \"/off/${ .ids.vendor }\"}\n"                                                                      \
    "  find:\n"                                                                                                        \
    "    effect: notify\n"                                                                                             \
    "    accounts: none\n"                                                                                             \
    "    once: true\n"                                                                                                 \
    "    requests:\n"                                                                                                  \
    "      - post: /tickets\n"                                                                                         \
    "        find: {get: /teams, " pages "expect: \"${ .body.teams | any(.job == \\\"job-1\\\") }\"}\n"

static const char connector[] = CONNECTOR("");
static const char with_pages[] = CONNECTOR("pages: {next: \"${ .body.elsewhere }\"}, "); /* no vendor's word */
static const char one_page[] = CONNECTOR("pages: {query: {}, more: false}, ");           /* all comes in one answer */

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
    {"\"ok\": true", "X-MS-ContinuationToken: abc\r\n"},
    {"\"ok\": true", "X-Next-Token: abc\r\n"},
    {"\"ok\": true", "Content-Range: items 0-24/319\r\n"},
    {"\"records\": {\"totalRecords\": 263, \"currentPageSize\": 100, \"currentPageNumber\": 0, \"cursor\": \"eyJ\"}",
     NULL},
    {"\"info\": {\"per_page\": 200, \"count\": 200, \"page\": 1, \"more_records\": true}", NULL},
    {"\"list_info\": {\"has_more_rows\": true, \"start_index\": 1, \"row_count\": 100}", NULL},
    {"\"pagination\": {\"pageNumber\": \"1\", \"pageSize\": \"100\", \"totalAvailable\": \"250\"}", NULL},
    {"\"resultSetSize\": \"100\", \"totalSetSize\": \"250\", \"startPosition\": \"0\"", NULL},
    {"\"totalSize\": 0, \"done\": false", NULL},
    {"\"additional_data\": {\"pagination\": {\"start\": 0, \"more_items_in_collection\": true}}", NULL},
    {"\"navigation\": {\"nextPage\": {\"uri\": \"https://x/y\"}, \"firstPage\": {\"uri\": \"q\"}}", NULL},
    {"\"list_metadata\": {\"before\": null, \"after\": \"obj_1\"}", NULL},
    {"\"metadata\": {\"total_objects\": 250}", NULL},
    {"\"count\": 250", NULL},
    {"\"resultset\": {\"count\": 250, \"offset\": 0, \"limit\": 25}", NULL},
    {"\"meta\": {\"after_cursor\": \"x\"}", NULL},
    {"\"after\": \"abc\"", NULL},
    {"\"pageResult\": {\"nextPage\": \"x\"}", NULL},
    {"\"response\": {\"hasMore\": true}", NULL},
    {"\"response\": {\"remaining\": 40, \"cursor\": 0, \"count\": 100}", NULL},
    {"\"moreDataAvailable\": true", NULL},
    {"\"metadata\": {\"continue\": \"abc\", \"remainingItemCount\": 4}", NULL},
    {"\"scrollId\": \"abc\"", NULL},
    {"\"LastEvaluatedKey\": {\"id\": \"x\"}", NULL},
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
    {"\"count\": 2, \"others\": [1, 2]", NULL},
    {"\"total\": 2, \"others\": [1, 2]", NULL},
    {"\"done\": false", NULL},
    {"\"remaining\": 40", NULL},
    {"\"licence\": {\"count\": 40, \"total\": 50, \"remaining\": 10}", NULL},
    {"\"plan\": {\"more\": true, \"last\": false, \"after\": \"2026-01-01\", \"number\": 7, \"page\": \"home\"}", NULL},
    {"\"ok\": true", "Content-Range: items 0-0/0\r\n"},
    {"\"ok\": true", "Content-Range: items 0-24/*\r\n"},
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
        assert_true(strstr(trial->result.message, "one page of several, as it says in ") ||
                    strstr(trial->result.message, "the connector finds no further page"));
    }
    trial_free(trial);
}

static void check_all(const char *text, const struct beside *all, size_t count, bool is_whole)
{
    struct engine_stand *stand = engine_stand_with(text, "", "retry_wait: 0s");
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < COUNT_OF(actions); j++) {
            bool paged = text == connector || strncmp(actions[j], "require", strlen("require")) != 0;
            if (paged) {
                check(stand, actions[j], &all[i], is_whole);
            }
        }
    }
    engine_stand_free(stand);
}

static void test_one_page_of_several(void **state)
{
    (void)state;
    check_all(connector, others, COUNT_OF(others), false);
}

/* `pages` says how to go on. That it does not know this vendor's word for more is no end of the list. */
static void test_pages_that_end_too_early(void **state)
{
    (void)state;
    check_all(with_pages, others, COUNT_OF(others), false);
}

static void test_the_whole_list(void **state)
{
    (void)state;
    check_all(connector, whole, COUNT_OF(whole), true);
    check_all(with_pages, whole, COUNT_OF(whole), true);
}

static void test_one_page_by_the_connectors_word(void **state)
{
    (void)state;
    check_all(one_page, others, COUNT_OF(others), true);
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

/* What is counted on all pages is compared with what all of them have listed, and `pages` may read the vendor's words itself. */
static void test_totals_of_all_pages(void **state)
{
    (void)state;
    static const char text[] =
        "system: vendor\n"
        "settings: {url: {required: true}}\n"
        "actions:\n"
        "  list:\n"
        "    effect: identify\n"
        "    accounts: none\n"
        "    requests: [{get: /list, pages: {next: \"${ .body.goes }\"}, save: {all: \"${ .body.items }\"}}]\n"
        "    outputs: {all: \"${ .saved.all }\"}\n"
        "  trusting:\n"
        "    effect: identify\n"
        "    accounts: none\n"
        "    requests:\n"
        "      - get: /list\n"
        "        pages: {query: {page: \"2\"}, more: \"${ .body.has_more and .body.items != [] }\"}\n"
        "        save: {all: \"${ .body.items }\"}\n"
        "  bare:\n"
        "    effect: identify\n"
        "    accounts: none\n"
        "    requests:\n"
        "      - {get: /list, pages: {query: {page: \"2\"}, more: \"${ .body.more }\"}, save: {all: \"${ .body.items "
        "}\"}}\n"
        "  equal:\n"
        "    effect: identify\n"
        "    accounts: none\n"
        "    requests:\n"
        "      - {get: /list, pages: {query: {page: \"2\"}, more: \"${ .body.more == true }\"}, save: {all: \"${ "
        ".body.items }\"}}\n";
    static const struct engine_row rows[] = {
        {.title = "all pages together have what was told",
         .action = "list",
         .exchanges = {{"GET /list", 200,
                        "{\"items\": [1, 2], \"total\": 3, \"page\": 0, \"pages\": 2, \"goes\": \"/list?p=2\"}", NULL},
                       {"GET /list?p=2", 200,
                        "{\"items\": [3], \"total\": 3, \"page\": 1, \"pages\": 2, \"goes\": null}", NULL}},
         .outcome = "succeeded",
         .facts = {{"outputs.all", "[1,2,3]"}}},
        {.title = "they have less",
         .action = "list",
         .exchanges = {{"GET /list", 200, "{\"items\": [1, 2], \"total\": 300, \"goes\": \"/list?p=2\"}", NULL},
                       {"GET /list?p=2", 200, "{\"items\": [3], \"total\": 300, \"goes\": null}", NULL}},
         .outcome = "deferred",
         .said = "says in total that there is more"},
        {.title = "what the connector reads itself it has decided on",
         .action = "trusting",
         .exchanges = {{"GET /list", 200, "{\"items\": [], \"has_more\": true}", NULL}},
         .outcome = "succeeded"},
        {.title = "a word that is not there says nothing",
         .action = "bare",
         .exchanges = {{"GET /list", 200, "{\"items\": [1]}", NULL}},
         .outcome = "failed",
         .said = "could not tell whether there is another page"},
        {.title = "nor when it is compared",
         .action = "equal",
         .exchanges = {{"GET /list", 200, "{\"items\": [1]}", NULL}},
         .outcome = "failed",
         .said = "could not tell whether there is another page"},
        {.title = "false is a word",
         .action = "bare",
         .exchanges = {{"GET /list", 200, "{\"items\": [1], \"more\": false}", NULL}},
         .outcome = "succeeded"},
    };
    struct engine_stand *stand = engine_stand_with(text, "", "retry_wait: 0s");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        engine_stand_check(stand, &rows[i]);
    }
    engine_stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_page_of_several), cmocka_unit_test(test_pages_that_end_too_early),
        cmocka_unit_test(test_the_whole_list),      cmocka_unit_test(test_one_page_by_the_connectors_word),
        cmocka_unit_test(test_totals_of_all_pages), cmocka_unit_test(test_what_one_page_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
