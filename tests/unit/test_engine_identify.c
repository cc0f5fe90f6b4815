/* Whose accounts: what a search answers is compared with what was asked, and an answer that says nothing is not "nobody". */
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

#define ACTIONS                                                                                                        \
    "actions:\n"                                                                                                       \
    "  off: {effect: revoke, requests: [{post: \"/users/${ .ids.vendor }/off\"}]}\n"                                   \
    "  end: {effect: revoke, requests: [{post: \"/sessions/${ .ids.vendor }\", missing: \"${ .status == 410 }\"}]}\n"

/* A directory with pages that says of everybody who they are. */
static const char directory[] =
    "system: vendor\n"
    "settings: {url: {required: true}}\n"
    "identify:\n"
    "  keys: [employee_id, email]\n"
    "  account: {id: \"${ .account.id }\", email: \"${ [.account.mail] + (.account.aliases // []) }\", employee_id: "
    "\"${ .account.number }\"}\n"
    "  requests:\n"
    "    - {get: /people, query: {by: \"${ .key }\"}, pages: {next: \"${ .body.next }\"}, found: \"${ .body.people "
    "}\"}\n"
    "  confirm:\n"
    "    - {get: \"/people/${ .ids.vendor }\", missing: \"${ .status == 404 }\", found: \"${ .body }\"}\n" ACTIONS;

/* One that lists everybody, page by page. */
static const char listing[] =
    "system: vendor\n"
    "settings: {url: {required: true}}\n"
    "identify:\n"
    "  keys: [email]\n"
    "  account: {id: \"${ .account.id }\", email: \"${ .account.mail }\"}\n"
    "  requests: [{get: /people, pages: {next: \"${ .body.next }\"}, found: \"${ .body.people }\"}]\n" ACTIONS;

/* One that is asked for one address and answers with one list. */
static const char exact[] =
    "system: vendor\n"
    "settings: {url: {required: true}}\n"
    "identify:\n"
    "  keys: [email]\n"
    "  account: {id: \"${ .account.id }\", email: \"${ .account.mail }\"}\n"
    "  requests: [{get: /people, query: {by: \"${ .key }\"}, found: \"${ .body.people }\"}]\n" ACTIONS;

/* One that lists everybody, and can be asked for one address as well. Its vendor leaves an empty list out of the answer, and is
 * trusted where an account shows no address. */
static const char twofold[] =
    "system: vendor\n"
    "settings: {url: {required: true}}\n"
    "identify:\n"
    "  keys: [employee_id, email]\n"
    "  trusts: \"it is a test\"\n"
    "  account: {id: \"${ .account.id }\", email: \"${ .account.mail }\", employee_id: \"${ .account.number }\"}\n"
    "  requests:\n"
    "    - get: /people\n"
    "      if: \"${ .key_kind == \\\"employee_id\\\" }\"\n"
    "      query: {by: \"${ .key }\"}\n"
    "      pages: {next: \"${ .body.next }\"}\n"
    "      omits: [people]\n"
    "      found: \"${ .body.people // [] }\"\n"
    "    - {get: \"/person/${ .key }\", if: \"${ .key_kind == \\\"email\\\" }\", missing: \"${ .status == 404 }\", "
    "found: "
    "\"${ .body }\"}\n"
    "  confirm:\n"
    "    - {get: \"/people/${ .ids.vendor }\", missing: \"${ .status == 404 }\", found: \"${ .body }\"}\n" ACTIONS;

/* One that asks each account of its list for more. */
static const char further[] =
    "system: vendor\n"
    "settings: {url: {required: true}}\n"
    "identify:\n"
    "  keys: [email]\n"
    "  account: {id: \"${ .account.id }\", email: \"${ .account.mail }\"}\n"
    "  requests:\n"
    "    - get: /people\n"
    "      query: {by: \"${ .key }\"}\n"
    "      pages: {next: \"${ .body.next }\"}\n"
    "      found: \"${ .body.people }\"\n"
    "      save: {accounts: \"${ [.body.people[].id] }\"}\n"
    "    - {get: \"/people/${ .item }\", for_each: \"${ .saved.accounts }\", found: \"${ .body }\"}\n"
    "  confirm:\n"
    "    - {get: /people, query: {id: \"${ .ids.vendor }\"}, found: \"${ .body.people }\"}\n" ACTIONS;

/* One whose expression for a list that is not there gives an empty one. */
static const char lenient[] =
    "system: vendor\n"
    "settings: {url: {required: true}}\n"
    "identify:\n"
    "  keys: [email]\n"
    "  account: {id: \"${ .account.id }\", email: \"${ .account.mail }\"}\n"
    "  requests: [{get: /people, query: {by: \"${ .key }\"}, found: \"${ .body.people // [] }\"}]\n" ACTIONS;

/* One whose ids are saved as they come. */
static const char blind[] =
    "system: vendor\n"
    "settings: {url: {required: true}}\n"
    "identify:\n"
    "  keys: [email]\n"
    "  trusts: \"it is a test\"\n"
    "  mutable: \"people rename themselves\"\n"
    "  requests:\n"
    "    - get: /people\n"
    "      pages: {next: \"${ .body.next }\"}\n"
    "      save: {id: \"${ .key as $key | [.body.people[]? | select(.mail == $key) | .id] }\"}\n"
    "actions:\n"
    "  off: {effect: revoke, requests: [{post: \"/users/${ .ids.vendor }/off\", missing: \"${ .status == 404 }\"}]}\n"
    "  delete:\n"
    "    effect: revoke\n"
    "    requests: [{delete: \"/users/${ .ids.vendor }\", already: \"${ .status == 404 }\"}]\n"
    "    verify: {get: \"/users/${ .ids.vendor }\", expect: \"${ .status == 404 }\"}\n";

#define NOBODY_PINNED "{\"ids\": {}}"
#define NUMBERED      "{\"ids\": {}, \"user\": {\"email\": \"ann@example.com\", \"employee_id\": \"0042\"}}"
#define ANN           "{\"id\": \"u1\", \"mail\": \"Ann@Example.com\", \"number\": \"42\"}"
#define BOB           "{\"id\": \"u2\", \"mail\": \"bob@example.com\", \"number\": \"7\"}"
#define EVE           "{\"id\": \"u3\", \"mail\": \"eve@example.com\"}"
#define BY_MAIL       "GET /people?by=ann%40example.com"
#define BY_NUMBER     "GET /people?by=0042"

static const struct engine_row rows_of_directory[] = {
    {.title = "somebody on the second page is found",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [" BOB "], \"next\": \"/people?page=2\"}", NULL},
                   {"GET /people?page=2", 200, "{\"people\": [" ANN "], \"next\": null}", NULL},
                   {"POST /users/u1/off", 200, NULL, NULL}},
     .outcome = "succeeded",
     .facts = {{"pinned.vendor", "[\"u1\"]"}, {"searched.0.others", "1"}}},
    {.title = "a search that names one other person knows them by an address that they do not show",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [" BOB "], \"next\": null}", NULL}},
     .outcome = "blocked",
     .said = "vendor: asked for this e-mail address, the vendor names account u2, which shows another one"},
    {.title = "a search by words finds others as a matter of course",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [{\"id\": \"u3\", \"mail\": \"joann@example.com\"}], \"next\": null}",
                    NULL}},
     .outcome = "missing"},
    {.title = "the address was given to somebody who shows no number",
     .action = "off",
     .offboarding = NUMBERED,
     .exchanges = {{BY_NUMBER, 200,
                    "{\"people\": [{\"id\": \"u1\", \"mail\": \"ann2@example.com\", \"number\": \"0042\"}]}", NULL},
                   {BY_MAIL, 200, "{\"people\": [{\"id\": \"u9\", \"mail\": \"ann@example.com\"}]}", NULL}},
     .outcome = "blocked",
     .said =
         "account u1 has the person's employee number and another address, and account u9 has the person's address"},
    {.title = "two addresses of a person lead to two people",
     .action = "off",
     .offboarding = "{\"ids\": {}, \"user\": {\"email\": \"ann@example.com\", \"emails\": [\"old.ann@example.com\"]}}",
     .exchanges = {{BY_MAIL, 200, "{\"people\": [" ANN "]}", NULL},
                   {"GET /people?by=old.ann%40example.com", 200,
                    "{\"people\": [{\"id\": \"u8\", \"mail\": \"old.ann@example.com\", \"number\": \"43\"}]}", NULL}},
     .outcome = "blocked",
     .said = "accounts u1 and u8 were found, with the employee numbers 42 and 43"},
    {.title = "a number that differs by zeros, of somebody with other addresses",
     .action = "off",
     .offboarding = NUMBERED,
     .exchanges = {{BY_NUMBER, 200,
                    "{\"people\": [{\"id\": \"u2\", \"mail\": \"bob@example.com\", \"number\": \"42\"}]}", NULL}},
     .outcome = "blocked",
     .said = "names account u2"},
    {.title = "found by number under a new address, and again under the old one: one account",
     .action = "off",
     .offboarding = NUMBERED,
     .exchanges = {{BY_NUMBER, 200,
                    "{\"people\": [{\"id\": \"u1\", \"mail\": \"ann.new@example.com\", \"number\": \"0042\"}]}", NULL},
                   {BY_MAIL, 200,
                    "{\"people\": [{\"id\": \"u1\", \"mail\": \"ann.new@example.com\", \"number\": \"0042\"}]}", NULL},
                   {"POST /users/u1/off", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "a whole list that does not name the person: there is no account",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [" BOB "], \"next\": \"/people?page=2\"}", NULL},
                   {"GET /people?page=2", 200, "{\"people\": [" EVE "], \"next\": null}", NULL}},
     .outcome = "missing",
     .facts = {{"pinned.vendor", "[]"},
               {"searched.0.found", "0"},
               {"searched.0.others", "2"},
               {"searched.0.status", "200"}}},
    {.title = "found by number and by address: one account",
     .action = "off",
     .offboarding = NUMBERED,
     .exchanges = {{BY_NUMBER, 200, "{\"people\": [" ANN "]}", NULL},
                   {BY_MAIL, 200, "{\"people\": [" ANN "]}", NULL},
                   {"POST /users/u1/off", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "an address that was given to somebody else",
     .action = "off",
     .offboarding = NUMBERED,
     .exchanges = {{BY_NUMBER, 200, "{\"people\": [" ANN "]}", NULL},
                   {BY_MAIL, 200, "{\"people\": [{\"id\": \"u9\", \"mail\": \"ann@example.com\", \"number\": \"99\"}]}",
                    NULL}},
     .outcome = "blocked",
     .said =
         "account u9 has the person's e-mail address but employee number 99, and the person's is 0042 (account u1)"},
    {.title = "an account that shows no address",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [{\"id\": \"u3\", \"mail\": null}]}", NULL}},
     .outcome = "blocked",
     .said = "names account u3 for this e-mail address, but shows nothing to compare"},
    {.title = "an id that is a number",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [{\"id\": 17, \"mail\": \"ann@example.com\"}]}", NULL},
                   {"POST /users/17/off", 200, NULL, NULL}},
     .outcome = "succeeded",
     .facts = {{"pinned.vendor", "[\"17\"]"}}},
    {.title = "an id that is a number with a decimal point",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [{\"id\": 17.0, \"mail\": \"ann@example.com\"}]}", NULL},
                   {"POST /users/17/off", 200, NULL, NULL}},
     .outcome = "succeeded",
     .facts = {{"pinned.vendor", "[\"17\"]"}}},
    {.title = "an address and a number that look right, with characters that nobody sees",
     .action = "off",
     .offboarding = NUMBERED,
     .exchanges =
         {{BY_NUMBER, 200,
           "{\"people\": [{\"id\": \"u1\", \"mail\": \"ann@example.com\", \"number\": \" 42\\u200b\"}]}", NULL},
          {BY_MAIL, 200,
           "{\"people\": [{\"id\": \"u1\", \"mail\": \" an\\u200bn@example.com\\u00a0\", \"number\": \"42\"}]}", NULL},
          {"POST /users/u1/off", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "a protected person whose address the vendor writes with a character that nobody sees",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200,
                    "{\"people\": [{\"id\": \"u1\", \"mail\": \"ann@example.com\", \"aliases\": [\"ceo@example.com "
                    "\\u200b\"]}]}",
                    NULL}},
     .outcome = "blocked",
     .said = "belongs to ceo@example.com, who is protected"},
    {.title = "an id that is none",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [{\"id\": {\"a\": 1}, \"mail\": \"ann@example.com\"}]}", NULL}},
     .outcome = "failed",
     .said = "has to be a text or a whole number, and the vendor's answer gives {\"a\":1}"},
    {.title = "HR's spelling, then lower case",
     .action = "off",
     .offboarding = "{\"ids\": {}, \"user\": {\"email\": \"Ann@Example.com\"}}",
     .exchanges = {{"GET /people?by=Ann%40Example.com", 200, "{\"people\": []}", NULL},
                   {BY_MAIL, 200, "{\"people\": [" ANN "]}", NULL},
                   {"POST /users/u1/off", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "an account of a protected person, known by another address",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges =
         {{BY_MAIL, 200,
           "{\"people\": [{\"id\": \"u1\", \"mail\": \"ann@example.com\", \"aliases\": [\"ceo@example.com\"]}]}",
           NULL}},
     .outcome = "blocked",
     .said = "belongs to ceo@example.com, who is protected"},
    {.title = "an account of a protected person, whose address stands after a name",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200,
                    "{\"people\": [{\"id\": \"u1\", \"mail\": \"ann@example.com\", \"aliases\": [\"The Chief "
                    "<CEO@example.com>\"]}]}",
                    NULL}},
     .outcome = "blocked",
     .said = "belongs to CEO@example.com, who is protected"},
    {.title = "an employee number within a text",
     .action = "off",
     .offboarding = NUMBERED,
     .exchanges = {{BY_NUMBER, 200,
                    "{\"people\": [{\"id\": \"u1\", \"mail\": \"x@example.com\", \"number\": \"No. "
                    "0042 (Berlin)\"}]}",
                    NULL}},
     .outcome = "blocked",
     .said = "asked for this employee id, the vendor names account u1"},
    {.title = "a person whom a step found out to be protected",
     .action = "off",
     .offboarding = "{\"user\": {\"email\": \"CEO@example.com\"}}",
     .outcome = "blocked",
     .said = "CEO@example.com is protected"},
    {.title = "an alias that is no text is passed over",
     .action = "off",
     .offboarding =
         "{\"ids\": {}, \"user\": {\"email\": \"ann@example.com\", \"emails\": [7, null, \"ann@example.com\"]}}",
     .exchanges = {{BY_MAIL, 200, "{\"people\": [" ANN "]}", NULL}, {"POST /users/u1/off", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "nothing to search by",
     .action = "off",
     .offboarding = "{\"ids\": {}, \"user\": {\"email\": null}}",
     .outcome = "blocked",
     .said = "the event brought none of it"},
    {.title = "an account that the event names is pinned by its own id",
     .action = "off",
     .offboarding = "{\"ids\": {}, \"given_ids\": {\"vendor\": [\"ann\"]}}",
     .exchanges = {{"GET /people/ann", 200, ANN, NULL}, {"POST /users/u1/off", 200, NULL, NULL}},
     .outcome = "succeeded",
     .facts = {{"pinned.vendor", "[\"u1\"]"}}},
    {.title = "a search that is throttled goes on where it was",
     .action = "off",
     .offboarding = NUMBERED,
     .exchanges = {{BY_NUMBER, 200, "{\"people\": [" ANN "]}", NULL}, {BY_MAIL, 429, NULL, "Retry-After: 600\r\n"}},
     .outcome = "deferred",
     .facts = {{"state.search.done", "1"}, {"state.search.found.0.id", "\"u1\""}}},
};

static const struct engine_row rows_of_exact[] = {
    {.title = "nobody has the address; that the system can't be searched by employee id is said and stops nobody",
     .action = "off",
     .offboarding = NUMBERED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": []}", NULL}},
     .outcome = "missing",
     .said = "no account was found in vendor by e-mail ann@example.com, and vendor can't be searched by employee id"},
    {.title = "a spelling that can't be compared is shown",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [{\"id\": \"u1\", \"mail\": \"(ann@example.com)\"}]}", NULL}},
     .outcome = "blocked",
     .said = "names account u1, which shows it in a spelling that can't be compared: \"(ann@example.com)\""},
    {.title = "a server that answers any search with everybody",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [" BOB "]}", NULL}},
     .outcome = "blocked",
     .said = "asked for this e-mail address, the vendor names account u2, which shows another one"},
    {.title = "a server that answers any search with several people",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [" BOB ", " EVE "]}", NULL}},
     .outcome = "blocked",
     .said = "with 2 accounts of other people, as if it had not understood it"},
    {.title = "everybody, and the person among them",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [" BOB ", " ANN "]}", NULL}, {"POST /users/u1/off", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "of two accounts one is not there: both are told",
     .action = "end",
     .offboarding = "{\"ids\": {\"vendor\": [\"7\", \"8\"]}}",
     .exchanges = {{"POST /sessions/7", 200, NULL, NULL}, {"POST /sessions/8", 410, NULL, NULL}},
     .outcome = "succeeded",
     .said = "done; not there: 8"},
    {.title = "an empty list is the vendor's word",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": []}", NULL}},
     .outcome = "missing"},
};

#define BY_NAME "GET /person/ann%40example.com"

static const struct engine_row rows_of_twofold[] = {
    {.title = "a list that the vendor leaves out when it is empty, and nobody of that address",
     .action = "off",
     .offboarding = NUMBERED,
     .exchanges = {{BY_NUMBER, 200, "{\"kind\": \"people\"}", NULL}, {BY_NAME, 404, "{\"message\": \"no\"}", NULL}},
     .outcome = "missing"},
    {.title = "an address that is another person's alias, beside a search that lists everybody",
     .action = "off",
     .offboarding = NUMBERED,
     .exchanges = {{BY_NUMBER, 200, "{\"people\": []}", NULL}, {BY_NAME, 200, BOB, NULL}},
     .outcome = "blocked",
     .said = "asked for this e-mail address, the vendor names account u2, which shows another one"},
    {.title = "an account that shows no address, of a vendor that is trusted",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_NAME, 200, "{\"id\": \"u1\"}", NULL}, {"POST /users/u1/off", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "a 404 that is a web page comes from a gateway, not from the vendor",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_NAME, 404, "<!DOCTYPE html><title>Not found</title>", "Content-Type: text/html\r\n"}},
     .outcome = "failed",
     .said = "the vendor answered 404: a web page titled \"Not found\""},
    {.title = "an account that the event names, of another employee",
     .action = "off",
     .offboarding = "{\"ids\": {}, \"given_ids\": {\"vendor\": [\"bob\"]}, \"user\": {\"email\": \"ann@example.com\", "
                    "\"employee_id\": \"42\"}}",
     .exchanges = {{"GET /people/bob", 200, BOB, NULL}},
     .outcome = "blocked",
     .said = "account u2 has employee number 7, and the person's is 42"},
};

static const struct engine_row rows_of_further[] = {
    {.title = "an account that a list names and then its own answer is one account",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [" BOB "]}", NULL}, {"GET /people/u2", 200, BOB, NULL}},
     .outcome = "blocked",
     .said = "asked for this e-mail address, the vendor names account u2, which shows another one"},
    {.title = "an account that its own answer shows to be the person's",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": [" BOB "]}", NULL},
                   {"GET /people/u2", 200, "{\"id\": \"u2\", \"mail\": \"ann@example.com\"}", NULL},
                   {"POST /users/u2/off", 200, NULL, NULL}},
     .outcome = "succeeded",
     .facts = {{"pinned.vendor", "[\"u2\"]"}}},
    {.title = "an account that the event names, and the answer shows none",
     .action = "off",
     .offboarding = "{\"ids\": {}, \"given_ids\": {\"vendor\": [\"ann\"]}}",
     .exchanges = {{"GET /people?id=ann", 200, "{\"people\": []}", NULL}},
     .outcome = "blocked",
     .said = "the event names account ann, and the vendor's answer shows none"},
    {.title = "an account that the event names, and the answer shows several",
     .action = "off",
     .offboarding = "{\"ids\": {}, \"given_ids\": {\"vendor\": [\"ann\"]}}",
     .exchanges = {{"GET /people?id=ann", 200, "{\"people\": [" BOB ", " EVE "]}", NULL}},
     .outcome = "blocked",
     .said = "the event names account ann, and the vendor's answer shows several"},
};

static const struct engine_row rows_of_lenient[] = {
    {.title = "an answer without the list is not an empty list, whatever the expression makes of it",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"status\": \"maintenance\"}", NULL}},
     .outcome = "deferred",
     .said = "neither an account nor a list of accounts"},
    {.title = "some servers write an empty list as null",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{BY_MAIL, 200, "{\"people\": null}", NULL}},
     .outcome = "missing"},
};

static const struct engine_row rows_of_blind[] = {
    {.title = "somebody on the second page is found, whatever saves the id",
     .action = "off",
     .offboarding = NOBODY_PINNED,
     .exchanges = {{"GET /people", 200, "{\"people\": [], \"next\": \"/people?page=2\"}", NULL},
                   {"GET /people?page=2", 200, "{\"people\": [{\"id\": 7, \"mail\": \"ann@example.com\"}]}", NULL},
                   {"POST /users/7/off", 200, NULL, NULL}},
     .outcome = "succeeded"},
    {.title = "a name that may have changed is not there",
     .action = "off",
     .offboarding = "{\"ids\": {\"vendor\": [\"ann\"]}}",
     .exchanges = {{"POST /users/ann/off", 404, NULL, NULL}},
     .outcome = "blocked",
     .said = "account ann is not there, and its name may have changed (people rename themselves)"},
    {.title = "nor is it done because nobody has that name",
     .action = "delete",
     .offboarding = "{\"ids\": {\"vendor\": [\"ann\"]}}",
     .exchanges = {{"DELETE /users/ann", 404, NULL, NULL}, {"GET /users/ann", 404, NULL, NULL}},
     .outcome = "blocked",
     .said = "account ann is not there, and its name may have changed (people rename themselves)"},
    {.title = "nor because a refusal is followed by a 404",
     .action = "delete",
     .offboarding = "{\"ids\": {\"vendor\": [\"ann\"]}}",
     .exchanges = {{"DELETE /users/ann", 400, NULL, NULL}, {"GET /users/ann", 404, NULL, NULL}},
     .outcome = "blocked",
     .said = "account ann is not there, and its name may have changed (people rename themselves)"},
    {.title = "what was deleted is not there",
     .action = "delete",
     .offboarding = "{\"ids\": {\"vendor\": [\"ann\"]}}",
     .exchanges = {{"DELETE /users/ann", 204, NULL, NULL}, {"GET /users/ann", 404, NULL, NULL}},
     .outcome = "succeeded"},
};

static void check_all(const char *connector, const struct engine_row *rows, size_t count)
{
    struct engine_stand *stand = engine_stand_with(connector, "", "retry_wait: 0s");
    for (size_t i = 0; i < count; i++) {
        engine_stand_check(stand, &rows[i]);
    }
    engine_stand_free(stand);
}

static void test_compared(void **state)
{
    (void)state;
    check_all(directory, rows_of_directory, COUNT_OF(rows_of_directory));
    check_all(exact, rows_of_exact, COUNT_OF(rows_of_exact));
    check_all(twofold, rows_of_twofold, COUNT_OF(rows_of_twofold));
    check_all(further, rows_of_further, COUNT_OF(rows_of_further));
    check_all(lenient, rows_of_lenient, COUNT_OF(rows_of_lenient));
    check_all(blind, rows_of_blind, COUNT_OF(rows_of_blind));
}

/* The key in a wrapping: it is the person's account, or a person has to look. It never counts as no account. */
static void test_spellings(void **state)
{
    (void)state;
    static const struct {
        const char *shown;
        const char *outcome;
    } texts[] = {
        {"Ann Leaver <ann@example.com>", "succeeded"},
        {"<Ann@Example.com>", "succeeded"},
        {"\\\"Leaver, Ann\\\" <ann@example.com>", "succeeded"},
        {"SMTP:ann@example.com", "succeeded"},
        {"Ann <smtp:ann@example.com>", "succeeded"},
        {"mailto:ann@example.com", "succeeded"},
        {"ann@example.com;a.leaver@example.com", "succeeded"},
        {"a.leaver@example.com, ann@example.com", "succeeded"},
        {"ann@example.com\\u0000", "blocked"},
        {"ann@example.com\\ud800", "blocked"},
        {"(ann@example.com)", "blocked"},
        {"'ann@example.com'", "blocked"},
        {"ann@example.com.", "blocked"},
        {"mailto:ann@example.com?subject=Hi", "blocked"},
        {"sip:ann@example.com", "blocked"},
        {"i:0#.f|membership|ann@example.com", "blocked"},
        {"uid=ann@example.com,ou=people", "blocked"},
        {"ann@example.com via Bob <bob@example.com>", "blocked"},
        {"\\u201cann@example.com\\u201d", "blocked"},
        {"ann@example.com\\uff1bx", "blocked"},
        {"joann@example.com", "missing"},
        {"jo.ann@example.com", "missing"},
        {"mary-ann@example.com", "missing"},
        {"Jo <joann@example.com>", "missing"},
        {"\\u00e9ann@example.com", "missing"},
        {"ann@example.com.au", "missing"},
        {"ann@example.community", "missing"},
    };
    struct engine_stand *stand = engine_stand_with(directory, "", "retry_wait: 0s");
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        char *people = mem_printf("{\"people\": [{\"id\": \"u1\", \"mail\": \"%s\"}], \"next\": null}", texts[i].shown);
        const struct engine_row row = {
            .title = texts[i].shown,
            .action = "off",
            .offboarding = NOBODY_PINNED,
            .exchanges = {{BY_MAIL, 200, people, NULL},
                          {strcmp(texts[i].outcome, "succeeded") == 0 ? "POST /users/u1/off" : NULL, 200, NULL, NULL}},
            .outcome = texts[i].outcome,
        };
        engine_stand_check(stand, &row);
        free(people);
    }
    engine_stand_free(stand);
}

/* None of these says that there is no account. */
static void test_answers_that_say_nothing(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        const char *headers;
    } answers[] = {
        {200, NULL, NULL},
        {204, NULL, NULL},
        {200, "null", NULL},
        {200, "{}", NULL},
        {200, "[]", NULL},
        {200, "7", NULL},
        {200, "\"people\"", NULL},
        {200, "{\"people\": null}", NULL},
        {200, "{\"People\": []}", NULL},
        {200, "{\"error\": \"maintenance\"}", NULL},
        {200, "{\"people\": [], \"error\": {\"message\": \"shard down\"}}", NULL},
        {200, "{\"errors\": [{\"message\": \"no rights\"}]}", NULL},
        {200, "{\"ok\": false}", NULL},
        {200, "{\"people\": [], \"errors\": \"boom\"}", NULL},
        {200, "{\"people\": [], \"Error\": {\"code\": 7}}", NULL},
        {200, "{\"people\": [], \"fault\": {\"faultstring\": \"x\"}}", NULL},
        {200, "{\"people\": [], \"ok\": 0}", NULL},
        {200, "{\"people\": [], \"success\": \"false\"}", NULL},
        {200, "{\"people\": [], \"status\": \"500\", \"detail\": \"shard 3 timed out\"}", NULL},
        {200, "{\"people\": [], \"code\": 429, \"message\": \"slow down\"}", NULL},
        {202, "{\"people\": []}", NULL},
        {206, "{\"people\": []}", NULL},
        {200, "<!DOCTYPE html><title>Sign in</title>", "Content-Type: text/html\r\n"},
        {200, "{\"people\": [{\"id\": \"u1\", \"mail\": \"ann@example.com\", \"name\": \"M\xfcller\"}]}", NULL},
        {200, "{\"people\": []} trailing", NULL},
        {401, "{\"people\": []}", NULL},
        {403, "{\"people\": []}", NULL},
        {429, "{\"people\": []}", NULL},
        {500, "{\"people\": []}", NULL},
        {302, "{\"people\": []}", NULL},
    };
    static const char *const connectors[] = {directory, exact, blind};
    for (size_t i = 0; i < COUNT_OF(connectors); i++) {
        struct engine_stand *stand = engine_stand_with(connectors[i], "", "retry_wait: 0s");
        for (size_t j = 0; j < COUNT_OF(answers); j++) {
            const char *path = connectors[i] == blind ? "GET /people" : BY_MAIL;
            const struct exchange always[] = {{path, answers[j].status, answers[j].body, answers[j].headers},
                                              {path, answers[j].status, answers[j].body, answers[j].headers},
                                              {path, answers[j].status, answers[j].body, answers[j].headers},
                                              {0}};
            vendor_stub_script(stand->vendor, always);
            struct trial *trial = trial_new(stand, "off", NOBODY_PINNED, NULL);
            trial_start(trial);
            trial_finish(trial);
            const char *outcome = trial->result.outcome;
            bool told =
                strcmp(outcome, "deferred") == 0 || strcmp(outcome, "failed") == 0 || strcmp(outcome, "denied") == 0;
            if (!told || json_object_get(trial->result.context, "pinned")) {
                fail_msg("connector %zu, %d %s: %s (%s)", i, answers[j].status, answers[j].body ? answers[j].body : "",
                         outcome, trial->result.message);
            }
            trial_free(trial);
        }
        engine_stand_free(stand);
    }
}

static struct exchange list_people(const char *line, const char *head, const char *body, void *arg)
{
    static char people[512];
    (void)head;
    (void)body;
    if (strncmp(line, "GET ", 4) != 0) {
        return (struct exchange){line, 200, "{}", NULL};
    }
    snprintf(people, sizeof people,
             "{\"people\": [{\"id\": \"u9\", \"mail\": \"x@example.com\"}, {\"id\": \"u1\", \"mail\": \"%s\"}, "
             "{\"id\": \"u8\", \"mail\": \"y@example.com\"}]}",
             (const char *)arg);
    return (struct exchange){line, 200, people, NULL};
}

/* One person's address in other letters, and those of two people that look alike. */
static void test_case(void **state)
{
    (void)state;
    static const struct {
        const char *hr, *shown;
        bool same;
    } cases[] = {
        {"JANE@Example.com", "jane@example.COM", true},
        {"J\u00dcRGEN@example.com", "j\u00fcrgen@example.com", true},
        {"j\u00fcrgen@example.com", "J\u00dcRGEN@example.com", true},
        {"ren\u00e9@example.com", "rene\u0301@example.com", true},
        {"jane@m\u00fcnchen.de", "jane@xn--mnchen-3ya.de", true},
        {"jane@xn--mnchen-3ya.de", "jane@m\u00fcnchen.de", true},
        {"rene@example.com", "ren\u00e9@example.com", false},
        {"weiss@example.com", "wei\u00df@example.com", false},
        {"jane@munchen.de", "jane@m\u00fcnchen.de", false},
    };
    struct engine_stand *stand = engine_stand_with(listing, "", "retry_wait: 0s");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *offboarding = mem_printf("{\"ids\": {}, \"user\": {\"email\": \"%s\"}}", cases[i].hr);
        vendor_stub_choose(stand->vendor, list_people, (void *)(uintptr_t)cases[i].shown);
        struct trial *trial = trial_new(stand, "off", offboarding, NULL);
        trial_start(trial);
        trial_finish(trial);
        if (strcmp(trial->result.outcome, cases[i].same ? "succeeded" : "missing") != 0) {
            fail_msg("%s, %s: %s (%s)", cases[i].hr, cases[i].shown, trial->result.outcome, trial->result.message);
        }
        trial_free(trial);
        free(offboarding);
    }
    engine_stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compared),
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_case),
        cmocka_unit_test(test_answers_that_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
