/* What an attempt of a job hands on to the next one, for one account and for several: clocks, lists, failures, read-backs. */
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
    "settings: {url: {required: true}}\n"
    "identify:\n"
    "  keys: [email]\n"
    "  trusts: \"it is a test\"\n"
    "  requests: [{get: /find, query: {key: \"${ .key }\"}, save: {id: \"${ .body.ids }\"}}]\n"
    "actions:\n"
    "  off:\n"
    "    effect: revoke\n"
    "    requests: [{post: \"/users/${ .ids.vendor }/off\"}]\n"
    "    verify: {get: \"/users/${ .ids.vendor }\", expect: \"${ .body.active == false }\", within: 5m, every: 100ms}\n"
    "    outputs: {at: \"${ .body.at }\"}\n"
    "  off_soon:\n"
    "    effect: revoke\n"
    "    requests: [{post: \"/users/${ .ids.vendor }/off\"}]\n"
    "    verify: {get: \"/users/${ .ids.vendor }\", expect: \"${ .body.active == false }\", within: 0s, every: 10ms}\n"
    "  off_with_all:\n" /* the vendor's object may not be written down, and the read-back does not need it */
    "    effect: revoke\n"
    "    requests:\n"
    "      - {get: \"/users/${ .ids.vendor }\", save: {user: \"${ .body }\"}}\n"
    "      - {put: \"/users/${ .ids.vendor }\", json: \"${ .saved.user + {active: false} }\"}\n"
    "    verify: {get: \"/users/${ .ids.vendor }\", expect: \"${ .body.active == false }\", within: 5m, every: 100ms}\n"
    "  strip:\n" /* its read-back shows the first change only */
    "    effect: revoke\n"
    "    requests: [{delete: /ssh}, {delete: /gpg}]\n"
    "    verify: {get: /ssh, expect: \"${ .body == [] }\", within: 0s}\n"
    "  strip_all:\n"
    "    effect: revoke\n"
    "    requests: [{delete: /ssh}, {delete: /gpg}]\n"
    "    covers: all\n"
    "    verify: [{get: /ssh, expect: \"${ .body == [] }\", within: 0s}, {get: /gpg, expect: \"${ .body == [] }\"}]\n"
    "  strip_shown:\n"
    "    effect: revoke\n"
    "    requests: [{delete: /ssh}, {delete: /gpg, unverified: \"the vendor shows no GPG keys\"}]\n"
    "    covers: all\n"
    "    verify: {get: /ssh, expect: \"${ .body == [] }\", within: 0s}\n"
    "  list:\n"
    "    effect: identify\n"
    "    requests:\n"
    "      - {get: /list, pages: {next: \"${ .body.next }\"}, save: {all: \"${ .body.items }\"}}\n"
    "    outputs: {all: \"${ .saved.all }\"}\n"
    "  count:\n"
    "    effect: identify\n"
    "    requests:\n"
    "      - get: /count\n"
    "        query: {page: \"1\"}\n"
    "        pages: {query: {page: \"${ .body.page + 1 }\"}, more: \"${ .body.page < .body.pages }\"}\n"
    "        save: {all: \"${ .body.items }\"}\n"
    "  total:\n"
    "    effect: identify\n"
    "    requests:\n"
    "      - get: /total\n"
    "        query: {from: \"0\"}\n"
    "        pages: {query: {from: \"${ .saved.all | length }\"}, more: \"${ (.saved.all | length) < .body.total }\"}\n"
    "        save: {all: \"${ .body.items }\"}\n"
    "  told:\n" /* the vendor's number counts where there is one, else its word */
    "    effect: identify\n"
    "    requests:\n"
    "      - get: /told\n"
    "        query: {from: \"0\"}\n"
    "        pages: {query: {from: \"1\"}, more: \"${ if .body.total == null then .body.again else (.body.items | "
    "length) "
    "< .body.total end }\"}\n"
    "        save: {all: \"${ .body.items }\"}\n"
    "  headed:\n"
    "    effect: identify\n"
    "    requests:\n"
    "      - get: /headed\n"
    "        query: {page: \"1\"}\n"
    "        pages: {query: {page: \"2\"}, more: \"${ .headers[\\\"x-page\\\"] < .headers[\\\"x-pages\\\"] }\"}\n"
    "        save: {all: \"${ .body.items }\"}\n"
    "  sized:\n"
    "    effect: revoke\n"
    "    requests: [{delete: /sessions}]\n"
    "    verify: {get: /sessions, expect: \"${ .body.total < 1 }\", within: 0s}\n"
    "  expel:\n"
    "    effect: revoke\n"
    "    requests: [{delete: /member}]\n"
    "    verify: {get: /members, pages: {next: \"${ .body.next }\"}, expect: \"${ .body.members | all(.[]; . != 7) "
    "}\", "
    "within: 0s}\n"
    "  three:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - {post: /a, already: \"${ .status == 409 }\"}\n"
    "      - {post: /b, already: \"${ .status == 409 }\"}\n"
    "      - {post: /c, already: \"${ .status == 409 }\"}\n"
    "  leave:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - {get: \"/users/${ .ids.vendor }\", save: {id: \"${ .body.team }\", groups: \"${ .body.groups }\"}}\n"
    "      - {delete: \"/teams/${ .saved.id }/${ .item }\", for_each: \"${ .saved.groups }\", save: {left: \"${ "
    ".body.left }\"}}\n"
    "    outputs: {left: \"${ .saved.left }\"}\n"
    "  twice:\n"
    "    effect: revoke\n"
    "    requests: [{post: /one}, {post: /two}]\n"
    "  leave_some:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - {get: \"/users/${ .ids.vendor }\", save: {kept: \"${ .body.kept }\"}}\n"
    "      - {post: \"/users/${ .ids.vendor }/leave\"}\n"
    "    leaves: {groups: {items: \"${ .saved.kept }\", why: \"they bring the licence\"}}\n"
    "  who:\n"
    "    effect: identify\n"
    "    requests: [{get: /who, save: {who: \"${ .body }\"}}]\n"
    "    outputs: {user: {email: \"${ .saved.who.mail }\", emails: \"${ .saved.who.mails }\", manager: {email: \"${ "
    ".saved.who.boss }\"}}}\n"
    "    provides: [user.email, user.emails, user.manager.email]\n"
    "  export:\n"
    "    effect: handover\n"
    "    requests:\n"
    "      - post: \"/exports/${ .ids.vendor }\"\n"
    "      - get: \"/exports/${ .ids.vendor }\"\n"
    "        poll: {every: 10m, timeout: 48h, until: \"${ .body.done }\"}\n";

#define OFF(id)       "POST /users/" id "/off"
#define SHOW(id)      "GET /users/" id
#define IS_ON         "{\"active\": true}"
#define IS_OFF        "{\"active\": false, \"at\": \"now\"}"
#define TWO           "{\"ids\": {\"vendor\": [\"u1\", \"u2\"]}}"
#define LONG_AGO      "2020-01-01T00:00:00Z"
#define AT(id, place) "{\"state\": {\"accounts\": {\"" id "\": {" place "}}}}"

static const struct engine_row rows[] = {
    /* ---- the read-back's clock */
    {.title = "a look that is not answered does not begin the time",
     .action = "off",
     .exchanges = {{OFF("u1"), 200, NULL, NULL}, {SHOW("u1"), 503, NULL, "Retry-After: 3600\r\n"}},
     .outcome = "deferred",
     .facts = {{"state.accounts.u1.verifying", "true"}, {"state.accounts.u1.verify_since", "absent"}}},
    {.title = "after days the first answer is not the last one",
     .action = "off",
     .job = AT("u1", "\"at\": 1, \"saved\": {}, \"verifying\": true, \"verify_since\": \"" LONG_AGO "\""),
     .exchanges = {{SHOW("u1"), 200, IS_ON, NULL}, {SHOW("u1"), 200, IS_OFF, NULL}},
     .outcome = "succeeded"},
    {.title = "nor is it after an outage between two looks",
     .action = "off_soon",
     .exchanges = {{OFF("u1"), 200, NULL, NULL},
                   {SHOW("u1"), 503, NULL, NULL},
                   {SHOW("u1"), 200, IS_ON, NULL},
                   {SHOW("u1"), 200, IS_OFF, NULL}},
     .outcome = "succeeded"},
    {.title = "the time for the read-back counts from its first look, over all attempts",
     .action = "off",
     .job = AT("u1", "\"at\": 1, \"saved\": {}, \"verifying\": true, \"verify_since\": \"" LONG_AGO "\""),
     .exchanges = {{SHOW("u1"), 200, IS_ON, NULL}, {SHOW("u1"), 200, IS_ON, NULL}},
     .outcome = "failed",
     .said = "not confirmed by reading back",
     .facts = {{"state.accounts.u1.at", "0"}, {"state.accounts.u1.verify_since", "absent"}}},
    {.title = "what may not be written down is not needed for the read-back: the change is not made again",
     .action = "off_with_all",
     .exchanges = {{SHOW("u1"), 200, "{\"active\": true, \"home\": \"Elm Street\"}", NULL},
                   {"PUT /users/u1", 200, NULL, NULL},
                   {SHOW("u1"), 429, NULL, "Retry-After: 600\r\n"}},
     .outcome = "deferred",
     .facts = {{"state.accounts.u1.verifying", "true"},
               {"state.accounts.u1.at", "2"},
               {"state.accounts.u1.saved", "{}"}}},
    /* ---- troubles */
    {.title = "trouble that was over does not count for the next one",
     .action = "twice",
     .job = "{\"state\": {\"accounts\": {\"u1\": {\"at\": 0, \"saved\": {}}}, \"troubles\": {\"u1/requests/0\": "
            "{\"since\": "
            "\"" LONG_AGO "\", \"deferrals\": 9}}}}",
     .exchanges = {{"POST /one", 200, NULL, NULL}, {"POST /two", 429, NULL, "Retry-After: 600\r\n"}},
     .outcome = "deferred",
     .facts = {{"state.troubles.u1/requests/0", "absent"}, {"state.troubles.u1/requests/1.deferrals", "1"}}},
    {.title = "what works for one request does not end the trouble of another",
     .action = "twice",
     .job = "{\"state\": {\"accounts\": {\"u1\": {\"at\": 0, \"saved\": {}}}, \"troubles\": {\"u1/requests/1\": "
            "{\"since\": "
            "\"" LONG_AGO "\", \"deferrals\": 9}}}}",
     .exchanges = {{"POST /one", 200, NULL, NULL}, {"POST /two", 429, NULL, "Retry-After: 600\r\n"}},
     .outcome = "failed",
     .said = "given up after three days"},
    {.title = "after a failure a person's retry has three days again",
     .action = "twice",
     .job = "{\"state\": {\"accounts\": {\"u1\": {\"at\": 1, \"saved\": {}}}, \"troubles\": {\"u1/requests/1\": "
            "{\"since\": "
            "\"" LONG_AGO "\", \"deferrals\": 9}}}}",
     .exchanges = {{"POST /two", 429, NULL, "Retry-After: 600\r\n"}},
     .outcome = "failed",
     .facts = {{"state.troubles", "absent"}, {"state.accounts.u1.at", "1"}}},
    {.title = "trouble while accounts are searched keeps what the job has done",
     .action = "off",
     .offboarding = "{\"ids\": {}}",
     .job = AT("u1", "\"at\": 1, \"saved\": {\"x\": 1}, \"verifying\": true"),
     .exchanges = {{"GET /find?key=ann%40example.com", 429, NULL, "Retry-After: 600\r\n"}},
     .outcome = "deferred",
     .facts = {{"state.accounts.u1.at", "1"},
               {"state.troubles.identify/0.deferrals", "1"},
               {"state.search.done", "0"}}},
    /* ---- several accounts */
    {.title = "one account fails, one waits: both are remembered",
     .action = "off",
     .offboarding = TWO,
     .exchanges = {{OFF("u1"), 400, "{\"message\": \"no\"}", NULL},
                   {SHOW("u1"), 200, IS_ON, NULL},
                   {OFF("u2"), 429, NULL, "Retry-After: 600\r\n"}},
     .outcome = "deferred",
     .said = "u1: refused: the vendor answered 400: no; u2: temporary trouble",
     .facts = {{"state.accounts.u1.ended", "\"failed\""}, {"state.accounts.u2.ended", "absent"}}},
    {.title = "the next attempt goes on with the one that waited, and tells of both",
     .action = "off",
     .offboarding = TWO,
     .job = "{\"state\": {\"accounts\": {\"u1\": {\"at\": 0, \"saved\": {}, \"ended\": \"failed\", \"why\": \"no\"}, "
            "\"u2\": {\"at\": 0, "
            "\"saved\": {}}}}}",
     .exchanges = {{OFF("u2"), 200, NULL, NULL}, {SHOW("u2"), 200, IS_OFF, NULL}},
     .outcome = "failed",
     .said = "u1: no",
     .facts = {{"state.accounts.u1.ended", "absent"},
               {"state.accounts.u2.ended", "\"succeeded\""},
               {"state.outputs.at", "\"now\""}}},
    {.title = "a retry takes the one that failed alone",
     .action = "off",
     .offboarding = TWO,
     .job = "{\"state\": {\"accounts\": {\"u1\": {\"at\": 0, \"saved\": {}}, \"u2\": {\"at\": 1, \"saved\": {}, "
            "\"ended\": "
            "\"succeeded\"}}, \"outputs\": {\"at\": \"now\"}}}",
     .exchanges = {{OFF("u1"), 200, NULL, NULL}, {SHOW("u1"), 200, "{\"active\": false, \"at\": \"later\"}", NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.at", "\"later\""}}},
    {.title = "the first account waits for its vendor, the second one loses its access all the same",
     .action = "export",
     .offboarding = TWO,
     .exchanges = {{"POST /exports/u1", 200, NULL, NULL},
                   {"GET /exports/u1", 200, "{\"done\": false}", NULL},
                   {"POST /exports/u2", 200, NULL, NULL},
                   {"GET /exports/u2", 200, "{\"done\": true}", NULL}},
     .outcome = "deferred",
     .said = "u1: still under way at the vendor",
     .facts = {{"state.accounts.u1.at", "1"}, {"state.accounts.u2.ended", "\"succeeded\""}}},
    {.title = "what is left on purpose is told, for all accounts",
     .action = "leave_some",
     .offboarding = TWO,
     .exchanges = {{SHOW("u1"), 200, "{\"kept\": [\"E3\"]}", NULL},
                   {"POST /users/u1/leave", 200, NULL, NULL},
                   {SHOW("u2"), 200, "{\"kept\": [\"E5\"]}", NULL},
                   {"POST /users/u2/leave", 200, NULL, NULL}},
     .outcome = "succeeded",
     .facts = {{"open", "{\"groups\":{\"items\":[\"E3\",\"E5\"],\"why\":\"they bring the licence\"}}"}}},
    {.title = "that nothing is left is told, too",
     .action = "leave_some",
     .exchanges = {{SHOW("u1"), 200, "{\"kept\": []}", NULL}, {"POST /users/u1/leave", 200, NULL, NULL}},
     .outcome = "succeeded",
     .facts = {{"open.groups.items", "[]"}}},
    /* ---- what is found out about the person */
    {.title = "what is found out is as clean as what HR sends",
     .action = "who",
     .exchanges =
         {{"GET /who", 200,
           "{\"mail\": \" ann@example.com\\u200b\", \"mails\": [\"a@example.com\"], \"boss\": \"boss@example.com\"}",
           NULL}},
     .outcome = "succeeded",
     .facts = {{"provides.user.email", "\"ann@example.com\""},
               {"provides.user.manager.email", "\"boss@example.com\""}}},
    {.title = "an address with something invisible in it",
     .action = "who",
     .exchanges = {{"GET /who", 200, "{\"mail\": \"an\\u200bn@example.com\"}", NULL}},
     .outcome = "failed",
     .said = "U+200B",
     .facts = {{"provides", "absent"}}},
    {.title = "an alias that is no text would stop every later job",
     .action = "who",
     .exchanges = {{"GET /who", 200, "{\"mail\": \"ann@example.com\", \"mails\": [7]}", NULL}},
     .outcome = "failed",
     .said = "user.emails has something that is not a text"},
    /* ---- what a read-back covers */
    {.title = "a refusal is not excused by a look that does not show its effect",
     .action = "strip",
     .exchanges = {{"DELETE /ssh", 204, NULL, NULL}, {"DELETE /gpg", 403, NULL, NULL}},
     .outcome = "denied"},
    {.title = "a lost answer is tried again where no look shows its effect",
     .action = "strip",
     .exchanges = {{"DELETE /ssh", 204, NULL, NULL},
                   {"DELETE /gpg", 500, NULL, NULL},
                   {"DELETE /gpg", 204, NULL, NULL},
                   {"GET /ssh", 200, "[]", NULL}},
     .outcome = "succeeded"},
    {.title = "a refusal is excused when the looks show everything, and the rest is done",
     .action = "strip_all",
     .exchanges = {{"DELETE /ssh", 403, NULL, NULL},
                   {"GET /ssh", 200, "[]", NULL},
                   {"GET /gpg", 200, "[]", NULL},
                   {"DELETE /gpg", 204, NULL, NULL},
                   {"GET /ssh", 200, "[]", NULL},
                   {"GET /gpg", 200, "[]", NULL}},
     .outcome = "succeeded",
     .said = "answered with an error, but reading back shows that it is done"},
    {.title = "a refusal is not excused while one look shows that something is left",
     .action = "strip_all",
     .exchanges = {{"DELETE /ssh", 403, NULL, NULL}, {"GET /ssh", 200, "[]", NULL}, {"GET /gpg", 200, "[7]", NULL}},
     .outcome = "denied"},
    {.title = "a request that no look shows is never excused",
     .action = "strip_shown",
     .exchanges = {{"DELETE /ssh", 204, NULL, NULL}, {"DELETE /gpg", 400, NULL, NULL}},
     .outcome = "failed"},
    /* ---- lists */
    {.title = "a link that is no text is not the end of the list",
     .action = "list",
     .exchanges = {{"GET /list", 200, "{\"items\": [1], \"next\": {\"href\": \"/list?p=2\"}}", NULL}},
     .outcome = "failed",
     .said = "has to be a text, or null after the last page"},
    {.title = "numbers that are not there are not the end of the list",
     .action = "count",
     .exchanges = {{"GET /count?page=1", 200, "{\"items\": [1], \"page\": 1}", NULL}},
     .outcome = "failed",
     .said = "could not tell whether there is another page"},
    {.title = "numbers that are null are not the end of the list either",
     .action = "count",
     .exchanges = {{"GET /count?page=1", 200, "{\"items\": [1], \"page\": 1, \"pages\": null}", NULL}},
     .outcome = "failed",
     .said = "could not tell whether there is another page"},
    {.title = "nor is a total that is null",
     .action = "total",
     .exchanges = {{"GET /total?from=0", 200, "{\"items\": [1], \"total\": null}", NULL}},
     .outcome = "failed",
     .said = "could not tell whether there is another page"},
    {.title = "a total that is null says nothing of an empty list",
     .action = "total",
     .exchanges = {{"GET /total?from=0", 200, "{\"items\": [], \"total\": null}", NULL}},
     .outcome = "failed",
     .said = "could not tell whether there is another page"},
    {.title = "a text is less than another one by its first digit",
     .action = "count",
     .exchanges = {{"GET /count?page=1", 200, "{\"items\": [1], \"page\": \"2\", \"pages\": \"10\"}", NULL}},
     .outcome = "failed",
     .said = "the vendor writes as texts"},
    {.title = "headers that are not there say nothing of another page",
     .action = "headed",
     .exchanges = {{"GET /headed?page=1", 200, "{\"items\": [1]}", NULL}},
     .outcome = "failed",
     .said = "could not tell whether there is another page"},
    {.title = "an expression that says what null means is taken at its word",
     .action = "told",
     .exchanges = {{"GET /told?from=0", 200, "{\"items\": [1], \"total\": null, \"again\": false}", NULL}},
     .outcome = "succeeded"},
    {.title = "a total that is null is not less than one",
     .action = "sized",
     .exchanges = {{"DELETE /sessions", 200, NULL, NULL}, {"GET /sessions", 200, "{\"total\": null}", NULL}},
     .outcome = "failed",
     .said = "not confirmed by reading back"},
    {.title = "a vendor that does not know the page's number gives the first page again",
     .action = "count",
     .exchanges = {{"GET /count?page=1", 200, "{\"items\": [{\"id\": 1}], \"page\": 1, \"pages\": 2}", NULL},
                   {"GET /count?page=2", 200, "{\"items\": [{\"id\": 1}], \"page\": 2, \"pages\": 2}", NULL}},
     .outcome = "failed",
     .said = "the vendor gave the same page again"},
    {.title = "the same people are the same page, whatever else has changed about them",
     .action = "count",
     .exchanges = {{"GET /count?page=1", 200,
                    "{\"items\": [{\"id\": 1, \"at\": 5}, {\"id\": 2, \"at\": 5}], \"page\": 1, \"pages\": 3}", NULL},
                   {"GET /count?page=2", 200,
                    "{\"items\": [{\"id\": 1, \"at\": 6}, {\"id\": 2, \"at\": 6}], \"page\": 2, \"pages\": 3}", NULL}},
     .outcome = "failed",
     .said = "the vendor gave the same page again"},
    {.title = "a page that repeats the one before an interruption",
     .action = "count",
     .job = AT("u1", "\"at\": 0, \"saved\": {\"all\": [7]}, \"page\": {\"query\": {\"page\": 2}, \"read\": {\"seen\": "
                     "\"58ceeac666a2c1f8d25fcebdf807d13b\"}}"),
     .exchanges = {{"GET /count?page=2", 200, "{\"items\": [7], \"page\": 2, \"pages\": 2}", NULL}},
     .outcome = "failed",
     .said = "the vendor gave the same page again"},
    {.title = "pages with nothing on them do not repeat each other",
     .action = "list",
     .exchanges = {{"GET /list", 200, "{\"items\": [], \"next\": \"/list?p=2\"}", NULL},
                   {"GET /list?p=2", 200, "{\"items\": [], \"next\": \"/list?p=3\"}", NULL},
                   {"GET /list?p=3", 200, "{\"items\": [1], \"next\": null}", NULL}},
     .outcome = "succeeded"},
    {.title = "a read-back over a page that comes twice",
     .action = "expel",
     .exchanges = {{"DELETE /member", 200, NULL, NULL},
                   {"GET /members", 200, "{\"members\": [1, 2], \"next\": \"/members?p=2\"}", NULL},
                   {"GET /members?p=2", 200, "{\"members\": [1, 2], \"next\": null}", NULL}},
     .outcome = "failed",
     .said = "not confirmed by reading back: the vendor gave the same page again"},
    {.title = "an item that was so before does not end the work",
     .action = "three",
     .exchanges = {{"POST /a", 200, NULL, NULL}, {"POST /b", 409, NULL, NULL}, {"POST /c", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "when everything was so before, it was so already",
     .action = "three",
     .exchanges = {{"POST /a", 409, NULL, NULL}, {"POST /b", 409, NULL, NULL}, {"POST /c", 409, NULL, NULL}},
     .outcome = "already_done"},
    {.title = "what a request saves for the items of an empty list is an empty list",
     .action = "leave",
     .exchanges = {{SHOW("u1"), 200, "{\"team\": \"t1\", \"groups\": []}", NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.left", "[]"}}},
    {.title = "the search for the manager's account leaves what was saved alone",
     .action = "leave",
     .offboarding = "{\"user\": {\"email\": \"ann@example.com\", \"manager\": {\"email\": \"boss@example.com\"}}}",
     .job = AT("u1", "\"at\": 1, \"saved\": {\"id\": \"t1\", \"groups\": [\"a\", \"b\"], \"left\": [\"a\"]}, "
                     "\"items_left\": [\"b\"], \"items_at\": [1], \"items_saved\": {\"left\": [[\"a\"], null]}"),
     .exchanges = {{"GET /find?key=boss%40example.com", 200, "{\"ids\": [\"u9\"]}", NULL},
                   {"DELETE /teams/t1/b", 200, "{\"left\": \"b\"}", NULL}},
     .outcome = "succeeded",
     .facts = {{"outputs.left", "[\"a\",\"b\"]"}}},
};

static void test_rows(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "", "");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        engine_stand_check(stand, &rows[i]);
    }
    engine_stand_free(stand);
}

/* A page that is throttled is the one that the next attempt begins with: nothing is read twice. */
static void test_listing_goes_on(void **state)
{
    (void)state;
    static const struct exchange first[] = {{"GET /list", 200, "{\"items\": [1], \"next\": \"/list?p=2\"}", NULL},
                                            {"GET /list?p=2", 429, NULL, "Retry-After: 600\r\n"},
                                            {0}};
    static const struct exchange second[] = {{"GET /list?p=2", 200, "{\"items\": [2], \"next\": \"/list?p=3\"}", NULL},
                                             {"GET /list?p=3", 200, "{\"items\": [3], \"next\": null}", NULL},
                                             {0}};
    struct engine_stand *stand = engine_stand_with(connector, "", "");
    vendor_stub_script(stand->vendor, first);
    struct trial *trial = trial_new(stand, "list", NULL, NULL);
    trial_start(trial);
    trial_finish(trial);
    assert_string_equal(trial->result.outcome, "deferred");
    char *left = json_text(json_object_get(trial->result.context, "state"));
    char *job = mem_printf("{\"state\": %s}", left);
    trial_free(trial);
    vendor_stub_script(stand->vendor, second);
    trial = trial_new(stand, "list", NULL, job);
    trial_start(trial);
    trial_finish(trial);
    assert_null(vendor_stub_complaint(stand->vendor));
    char *all = json_text(json_at(trial->result.context, "outputs.all"));
    assert_string_equal(all, "[1,2,3]");
    free(all);
    free(job);
    free(left);
    trial_free(trial);
    engine_stand_free(stand);
}

/* A vendor that accepts the change and never shows it, and a read-back that takes longer than a job may run: each attempt goes on
 * with the clock of the one before. */
static void test_read_back_longer_than_a_job(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "", "");
    vendor_stub_always(stand->vendor, 200, IS_ON);
    char *since = NULL;
    for (int attempt = 0; attempt < 3; attempt++) {
        char *job =
            since
                ? mem_printf(AT("u1", "\"at\": 1, \"saved\": {}, \"verifying\": true, \"verify_since\": \"%s\""), since)
                : NULL;
        struct trial *trial = trial_new(stand, "off", NULL, job);
        trial_start(trial);
        while (vendor_stub_count(stand->vendor) < (size_t)(2 * attempt + 2)) {
            uv_run(&stand->loop, UV_RUN_ONCE);
        }
        engine_interrupt(&trial->job, INTERRUPT_TOO_LONG);
        trial_finish(trial);
        assert_string_equal(trial->result.outcome, "deferred");
        const char *now = json_string_at(trial->result.context, "state.accounts.u1.verify_since");
        assert_non_null(now);
        if (since) {
            assert_string_equal(now, since);
        }
        free(since);
        since = mem_strdup(now);
        free(job);
        trial_free(trial);
    }
    free(since);
    engine_stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_listing_goes_on),
        cmocka_unit_test(test_read_back_longer_than_a_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
