/* A job over several attempts, each of which gets the state that the one before has left: before another connector, another
 * vendor's mood, or after a person's retry. */
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

#define HEAD                                                                                                           \
    "system: vendor\n"                                                                                                 \
    "settings: {url: {required: true}}\n"
#define IDENTIFY                                                                                                       \
    "identify:\n"                                                                                                      \
    "  keys: [employee_id, email]\n"                                                                                   \
    "  trusts: \"it is a test\"\n"                                                                                     \
    "  requests: [{get: /find, query: {key: \"${ .key }\"}, save: {id: \"${ .body.ids }\"}}]\n"
#define ACTION                                                                                                         \
    "actions:\n"                                                                                                       \
    "  leave:\n"                                                                                                       \
    "    effect: revoke\n"

enum { ATTEMPTS_MAX = 4 };

struct attempt {
    const char *connector; /* NULL: the one before */
    struct exchange exchanges[EXCHANGES_MAX];
    const char *outcome;
    const char *said; /* part of the message; NULL: anything */
    struct {
        const char *path;
        const char *value;
    } facts[FACTS_MAX];
};

struct story {
    const char *title;
    const char *offboarding;
    struct attempt attempts[ATTEMPTS_MAX];
};

static void check_facts(const char *title, const struct attempt *attempt, const struct trial *trial)
{
    for (size_t i = 0; i < FACTS_MAX && attempt->facts[i].path; i++) {
        const json_t *value = json_at(trial->result.context, attempt->facts[i].path);
        char *text = value ? json_text(value) : mem_strdup("absent");
        if (strcmp(text, attempt->facts[i].value) != 0) {
            fail_msg("%s: %s is %s (%s)", title, attempt->facts[i].path, text, trial->result.message);
        }
        free(text);
    }
}

/* `*job` is what the attempt gets, and then what it leaves; the caller frees. */
static void try_once(struct engine_stand *stand, const struct story *story, const struct attempt *attempt, char **job)
{
    struct trial *trial = trial_new(stand, "leave", story->offboarding, *job);
    vendor_stub_script(stand->vendor, attempt->exchanges);
    trial_start(trial);
    trial_finish(trial);
    const char *complaint = vendor_stub_complaint(stand->vendor);
    if (complaint || strcmp(trial->result.outcome, attempt->outcome) != 0) {
        fail_msg("%s: %s (%s); %s", story->title, trial->result.outcome, trial->result.message,
                 complaint ? complaint : "requests as written");
    }
    if (attempt->said) {
        assert_contains(trial->result.message, attempt->said);
    }
    check_facts(story->title, attempt, trial);
    const json_t *state = json_object_get(trial->result.context, "state");
    char *text = state ? json_text(state) : NULL;
    free(*job);
    *job = text ? mem_printf("{\"state\": %s}", text) : NULL;
    free(text);
    trial_free(trial);
}

static void check_story(const struct story *story)
{
    struct engine_stand *stand = NULL;
    char *job = NULL;
    for (size_t i = 0; i < ATTEMPTS_MAX && story->attempts[i].outcome; i++) {
        const struct attempt *attempt = &story->attempts[i];
        if (attempt->connector) {
            if (stand) {
                engine_stand_free(stand);
            }
            stand = engine_stand_with(attempt->connector, "", "retry_wait: 0s");
        }
        try_once(stand, story, attempt, &job);
    }
    free(job);
    engine_stand_free(stand);
}

static void check_stories(const struct story *stories, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_story(&stories[i]);
    }
}

#define LATER   "Retry-After: 600\r\n"
#define CHANGED "; the connector was changed since the last attempt, so the action was begun again"

/* ---- another connector ------------------------------------------------------------------------------------------- */

static const char two[] = HEAD IDENTIFY ACTION "    requests: [{post: /sessions}, {post: /mail}]\n";
static const char three[] = HEAD IDENTIFY ACTION "    requests: [{post: /tokens}, {post: /sessions}, {post: /mail}]\n";
static const char groups[] =
    HEAD IDENTIFY ACTION "    requests:\n"
                         "      - {get: /all, save: {groups: \"${ .body.groups }\"}}\n"
                         "      - {delete: \"/groups/${ .item }\", for_each: \"${ .saved.groups }\"}\n";
static const char devices[] =
    HEAD IDENTIFY ACTION "    requests:\n"
                         "      - {get: /all, save: {groups: \"${ .body.groups }\", devices: \"${ .body.devices }\"}}\n"
                         "      - {delete: \"/devices/${ .item }\", for_each: \"${ .saved.devices }\"}\n"
                         "      - {delete: \"/groups/${ .item }\", for_each: \"${ .saved.groups }\"}\n";
static const char checked[] =
    HEAD IDENTIFY ACTION "    requests: [{post: /off}]\n"
                         "    verify: {get: /state, expect: \"${ .body.off }\", within: 0s}\n";
static const char checked_more[] =
    HEAD IDENTIFY ACTION "    requests: [{post: /off}, {post: /tokens}]\n"
                         "    verify: {get: /state, expect: \"${ .body.off }\", within: 0s}\n";
static const char waits[] = HEAD IDENTIFY ACTION
    "    requests: [{get: /export, poll: {every: 10m, timeout: 48h, until: \"${ .body.done }\"}}]\n";
static const char waits_more[] = HEAD IDENTIFY ACTION
    "    requests: [{post: /export}, {get: /export, poll: {every: 10m, timeout: 48h, until: \"${ .body.done }\"}}]\n";
static const char ticket[] = HEAD IDENTIFY "actions:\n"
                                           "  leave:\n"
                                           "    effect: notify\n"
                                           "    once: true\n"
                                           "    settle: 1s\n"
                                           "    requests:\n"
                                           "      - post: /tickets\n"
                                           "        find: {get: /tickets, expect: \"${ .body.key != null }\"}\n";
static const char ticket_and_note[] =
    HEAD IDENTIFY "actions:\n"
                  "  leave:\n"
                  "    effect: notify\n"
                  "    once: true\n"
                  "    settle: 1s\n"
                  "    requests:\n"
                  "      - post: /tickets\n"
                  "        find: {get: /tickets, expect: \"${ .body.key != null }\"}\n"
                  "      - {get: /note}\n";
static const char by_other_keys[] =
    HEAD "identify:\n"
         "  keys: [email]\n"
         "  trusts: \"it is a test\"\n"
         "  requests: [{get: /find, query: {key: \"${ .key }\"}, save: {id: \"${ .body.ids }\"}}]\n" ACTION
         "    requests: [{post: \"/off/${ .ids.vendor }\"}]\n";
static const char by_keys[] = HEAD IDENTIFY ACTION "    requests: [{post: \"/off/${ .ids.vendor }\"}]\n";

#define UNKNOWN "{\"ids\": {}, \"user\": {\"email\": \"ann@example.com\", \"employee_id\": \"42\"}}"
#define ALL     "{\"groups\": [\"1\", \"2\", \"3\"], \"devices\": [\"9\"]}"

static const struct story changed[] = {
    {.title = "the same connector goes on where it was",
     .attempts = {{two, {{"POST /sessions", 200, NULL, NULL}, {"POST /mail", 503, NULL, LATER}}, .outcome = "deferred"},
                  {NULL, {{"POST /mail", 200, NULL, NULL}}, .outcome = "succeeded", .said = "done"}}},
    {.title = "a request in front of the others is made",
     .attempts =
         {{two, {{"POST /sessions", 200, NULL, NULL}, {"POST /mail", 503, NULL, LATER}}, .outcome = "deferred"},
          {three,
           {{"POST /tokens", 200, NULL, NULL}, {"POST /sessions", 200, NULL, NULL}, {"POST /mail", 503, NULL, LATER}},
           .outcome = "deferred",
           .said = CHANGED},
          {NULL, {{"POST /mail", 200, NULL, NULL}}, .outcome = "succeeded"}}},
    {.title = "items of one list never go to the request of another",
     .attempts = {{groups,
                   {{"GET /all", 200, ALL, NULL},
                    {"DELETE /groups/1", 204, NULL, NULL},
                    {"DELETE /groups/2", 503, NULL, LATER}},
                   .outcome = "deferred"},
                  {devices,
                   {{"GET /all", 200, "{\"groups\": [\"2\", \"3\"], \"devices\": [\"9\"]}", NULL},
                    {"DELETE /devices/9", 204, NULL, NULL},
                    {"DELETE /groups/2", 204, NULL, NULL},
                    {"DELETE /groups/3", 204, NULL, NULL}},
                   .outcome = "succeeded",
                   .said = CHANGED}}},
    {.title = "after a failure, too",
     .attempts = {{groups,
                   {{"GET /all", 200, ALL, NULL},
                    {"DELETE /groups/1", 204, NULL, NULL},
                    {"DELETE /groups/2", 400, NULL, NULL},
                    {"DELETE /groups/3", 204, NULL, NULL}},
                   .outcome = "failed"},
                  {devices,
                   {{"GET /all", 200, "{\"groups\": [\"2\"], \"devices\": [\"9\"]}", NULL},
                    {"DELETE /devices/9", 204, NULL, NULL},
                    {"DELETE /groups/2", 204, NULL, NULL}},
                   .outcome = "succeeded",
                   .said = CHANGED}}},
    {.title = "while only the read-back was left",
     .attempts = {{checked, {{"POST /off", 200, NULL, NULL}, {"GET /state", 503, NULL, LATER}}, .outcome = "deferred"},
                  {checked_more,
                   {{"POST /off", 200, NULL, NULL},
                    {"POST /tokens", 200, NULL, NULL},
                    {"GET /state", 200, "{\"off\": true}", NULL}},
                   .outcome = "succeeded",
                   .said = CHANGED}}},
    {.title = "while something was waited for",
     .attempts = {{waits, {{"GET /export", 200, "{\"done\": false}", NULL}}, .outcome = "deferred"},
                  {waits_more,
                   {{"POST /export", 200, NULL, NULL}, {"GET /export", 200, "{\"done\": true}", NULL}},
                   .outcome = "succeeded",
                   .said = CHANGED}}},
    {.title = "before anything was done nothing begins again",
     .attempts =
         {{two, {{"POST /sessions", 503, NULL, LATER}}, .outcome = "deferred"},
          {three,
           {{"POST /tokens", 200, NULL, NULL}, {"POST /sessions", 200, NULL, NULL}, {"POST /mail", 200, NULL, NULL}},
           .outcome = "succeeded"}}},
    {.title = "what must happen once is looked for",
     .attempts =
         {{ticket,
           {{"GET /tickets", 200, "{}", NULL}, {"POST /tickets", 503, NULL, NULL}},
           .outcome = "deferred",
           .facts = {{"state.begun", "true"}}},
          {ticket_and_note,
           {{"GET /tickets", 200, "{\"key\": \"T-1\"}", NULL}, {"GET /note", 503, NULL, LATER}},
           .outcome = "deferred",
           .facts = {{"state.begun", "true"}}},
          {ticket, {{"GET /tickets", 200, "{\"key\": \"T-1\"}", NULL}}, .outcome = "succeeded", .said = CHANGED}}},
    {.title = "the search for accounts goes on where it was",
     .offboarding = UNKNOWN,
     .attempts = {{by_keys,
                   {{"GET /find?key=42", 200, "{\"ids\": [\"u1\"]}", NULL},
                    {"GET /find?key=ann%40example.com", 429, NULL, LATER}},
                   .outcome = "deferred"},
                  {NULL,
                   {{"GET /find?key=ann%40example.com", 200, "{\"ids\": [\"u1\"]}", NULL},
                    {"POST /off/u1", 200, NULL, NULL}},
                   .outcome = "succeeded"}}},
    {.title = "the keys of the search are others now",
     .offboarding = UNKNOWN,
     .attempts =
         {{by_keys,
           {{"GET /find?key=42", 200, "{\"ids\": []}", NULL}, {"GET /find?key=ann%40example.com", 429, NULL, LATER}},
           .outcome = "deferred"},
          {by_other_keys,
           {{"GET /find?key=ann%40example.com", 200, "{\"ids\": [\"u1\"]}", NULL}, {"POST /off/u1", 200, NULL, NULL}},
           .outcome = "succeeded"}}},
};

static void test_changed_connector(void **state)
{
    (void)state;
    check_stories(changed, COUNT_OF(changed));
}

/* A state that does not say what wrote it is nobody's. */
static void test_state_of_nobody(void **state)
{
    (void)state;
    static const struct exchange script[] = {{"POST /sessions", 200, NULL, NULL}, {"POST /mail", 200, NULL, NULL}, {0}};
    struct engine_stand *stand = engine_stand_with(two, "", "");
    struct trial *trial =
        trial_new(stand, "leave", NULL, "{\"state\": {\"accounts\": {\"u1\": {\"at\": 1}}, \"requests\": null}}");
    vendor_stub_script(stand->vendor, script);
    trial_start(trial);
    trial_finish(trial);
    assert_null(vendor_stub_complaint(stand->vendor));
    assert_contains(trial->result.message, "the connector was changed");
    trial_free(trial);
    engine_stand_free(stand);
}

/* ---- names that may have changed --------------------------------------------------------------------------------- */

#define MUTABLE                                                                                                        \
    "identify:\n"                                                                                                      \
    "  keys: [email]\n"                                                                                                \
    "  trusts: \"it is a test\"\n"                                                                                     \
    "  mutable: \"people choose their names\"\n"                                                                       \
    "  requests: [{get: /find, query: {key: \"${ .key }\"}, save: {id: \"${ .body.ids }\"}}]\n"

static const char keys[] = HEAD MUTABLE ACTION "    requests:\n"
                                               "      - {delete: /keys, already: \"${ .status == 404 }\"}\n"
                                               "      - {post: /mail}\n";
#define TEAMS(parallel)                                                                                                \
    HEAD MUTABLE ACTION                                                                                                \
        "    requests:\n"                                                                                              \
        "      - {delete: \"/teams/${ .item }\", for_each: \"${ [\\\"a\\\", \\\"b\\\"] }\", already: \"${ "            \
        ".status == 404 }\", parallel: " parallel "}\n"
static const char one_by_one[] = TEAMS("1");
static const char in_lanes[] = TEAMS("4");

#define NOT_THERE "account u1 is not there, and its name may have changed"

static const struct story gone[] = {
    {.title = "what is waited for is no word about the account",
     .attempts = {{keys,
                   {{"DELETE /keys", 404, NULL, NULL}, {"POST /mail", 503, NULL, LATER}},
                   .outcome = "deferred",
                   .said = "temporary trouble",
                   .facts = {{"state.accounts.u1.gone", "true"}}},
                  {NULL, {{"POST /mail", 200, NULL, NULL}}, .outcome = "blocked", .said = NOT_THERE},
                  {NULL,
                   {{"DELETE /keys", 204, NULL, NULL}, {"POST /mail", 200, NULL, NULL}},
                   .outcome = "succeeded"}}},
    {.title = "in one attempt",
     .attempts = {{keys,
                   {{"DELETE /keys", 404, NULL, NULL}, {"POST /mail", 200, NULL, NULL}},
                   .outcome = "blocked",
                   .said = NOT_THERE}}},
    {.title = "item by item",
     .attempts = {{one_by_one,
                   {{"DELETE /teams/a", 404, NULL, NULL}, {"DELETE /teams/b", 404, NULL, NULL}},
                   .outcome = "blocked",
                   .said = NOT_THERE}}},
    {.title = "in lanes",
     .attempts = {{in_lanes,
                   {{"DELETE /teams/a", 404, NULL, NULL}, {"DELETE /teams/b", 404, NULL, NULL}},
                   .outcome = "blocked",
                   .said = NOT_THERE}}},
};

static void test_gone(void **state)
{
    (void)state;
    check_stories(gone, COUNT_OF(gone));
}

/* ---- what items save --------------------------------------------------------------------------------------------- */

#define READ(parallel)                                                                                                 \
    HEAD IDENTIFY ACTION "    requests:\n"                                                                             \
                         "      - get: \"/teams/${ .item }\"\n"                                                        \
                         "        for_each: \"${ [\\\"a\\\", \\\"b\\\", \\\"c\\\"] }\"\n"                              \
                         "        parallel: " parallel "\n"                                                            \
                         "        pages: {next: \"${ .body.next }\"}\n"                                                \
                         "        save: {members: \"${ .body.m }\"}\n"                                                 \
                         "    outputs: {members: \"${ .saved.members }\"}\n"
static const char reads[] = READ("1");

#define A1                                                                                                             \
    {                                                                                                                  \
        "GET /teams/a", 200, "{\"m\": [\"a1\"], \"next\": \"/teams/a?p=2\"}", NULL                                     \
    }
#define A2                                                                                                             \
    {                                                                                                                  \
        "GET /teams/a?p=2", 200, "{\"m\": [\"a2\"], \"next\": null}", NULL                                             \
    }
#define B1                                                                                                             \
    {                                                                                                                  \
        "GET /teams/b", 200, "{\"m\": [\"b1\"], \"next\": \"/teams/b?p=2\"}", NULL                                     \
    }
#define B2                                                                                                             \
    {                                                                                                                  \
        "GET /teams/b?p=2", 200, "{\"m\": [\"b2\"], \"next\": null}", NULL                                             \
    }
#define C1                                                                                                             \
    {                                                                                                                  \
        "GET /teams/c", 200, "{\"m\": [\"c1\"], \"next\": null}", NULL                                                 \
    }
#define IN_ORDER                                                                                                       \
    {                                                                                                                  \
        "outputs.members", "[\"a1\",\"a2\",\"b1\",\"b2\",\"c1\"]"                                                      \
    }

static const struct story saved[] = {
    {.title = "an item that was put off on its second page goes on there",
     .attempts = {{reads, {A1, A2, B1, {"GET /teams/b?p=2", 503, NULL, LATER}}, .outcome = "deferred"},
                  {NULL, {B2, C1}, .outcome = "succeeded", .facts = {IN_ORDER}}}},
    {.title = "an item that was refused on its second page begins anew, and nothing is saved twice",
     .attempts = {{reads, {A1, A2, B1, {"GET /teams/b?p=2", 403, NULL, NULL}, C1}, .outcome = "denied"},
                  {NULL, {B1, B2}, .outcome = "succeeded", .facts = {IN_ORDER}}}},
};

static void test_saved_by_item(void **state)
{
    (void)state;
    check_stories(saved, COUNT_OF(saved));
}

/* ---- pages that are not what they were --------------------------------------------------------------------------- */

static const char listed[] = HEAD "identify:\n"
                                  "  keys: [email]\n"
                                  "  account: {id: \"${ .account.id }\", email: \"${ .account.mail }\"}\n"
                                  "  requests:\n"
                                  "    - {get: /people, pages: {next: \"${ .body.next }\"}, missing: \"${ .status == "
                                  "404 }\", found: \"${ .body.people }\"}\n" ACTION "    requests:\n"
                                  "      - get: /groups\n"
                                  "        pages: {next: \"${ .body.next }\"}\n"
                                  "        missing: \"${ .status == 404 }\"\n"
                                  "        already: \"${ .body.groups == [] }\"\n"
                                  "        save: {groups: \"${ [.body.groups[].id] }\"}\n"
                                  "      - {delete: \"/groups/${ .item }\", for_each: \"${ .saved.groups }\"}\n";
static const char read_back[] = HEAD IDENTIFY ACTION "    requests: [{post: /off}]\n"
                                                     "    verify:\n"
                                                     "      get: /groups\n"
                                                     "      pages: {next: \"${ .body.next }\"}\n"
                                                     "      expect: \"${ .status == 404 or .body.groups == [] }\"\n"
                                                     "      within: 0s\n";

static const char knowing[] = HEAD IDENTIFY ACTION /* it looks itself whether the page is the last one */
    "    requests:\n"
    "      - get: /groups\n"
    "        pages: {next: \"${ .body.next }\"}\n"
    "        already: \"${ .body.groups == [] and .body.next == null }\"\n"
    "      - {post: /off}\n";

#define NOBODY "{\"ids\": {}}"
#define G1                                                                                                             \
    {                                                                                                                  \
        "GET /groups", 200, "{\"groups\": [{\"id\": \"a\"}], \"next\": \"/groups?p=2\"}", NULL                         \
    }
#define G2 "GET /groups?p=2"
#define G2_B                                                                                                           \
    {                                                                                                                  \
        G2, 200, "{\"groups\": [{\"id\": \"b\"}], \"next\": null}", NULL                                               \
    }
#define NOTHING(page, next)                                                                                            \
    {                                                                                                                  \
        page, 200, "{\"groups\": [], \"next\": " next "}", NULL                                                        \
    }
#define GONE_A                                                                                                         \
    {                                                                                                                  \
        "DELETE /groups/a", 204, NULL, NULL                                                                            \
    }
#define GONE_B                                                                                                         \
    {                                                                                                                  \
        "DELETE /groups/b", 204, NULL, NULL                                                                            \
    }
#define P1                                                                                                             \
    {                                                                                                                  \
        "GET /people", 200,                                                                                            \
            "{\"people\": [{\"id\": \"u7\", \"mail\": \"bob@example.com\"}], \"next\": \"/people?p=2\"}", NULL         \
    }
#define P2 "GET /people?p=2"
#define P2_ANN                                                                                                         \
    {                                                                                                                  \
        P2, 200, "{\"people\": [{\"id\": \"u1\", \"mail\": \"ann@example.com\"}], \"next\": null}", NULL               \
    }
#define EXPIRED 400, "{\"message\": \"invalid cursor\"}", NULL
#define NO_PAGE 404, "{\"message\": \"the page token has expired\"}", NULL

static const struct story pages[] = {
    {.title = "a later page that is not there is no missing account",
     .attempts =
         {{listed, {G1, {G2, NO_PAGE}, G1, {G2, NO_PAGE}}, .outcome = "failed", .said = "the page token has expired"}}},
    {.title = "a list whose second page has expired begins again",
     .attempts = {{listed, {G1, {G2, EXPIRED}, G1, G2_B, GONE_A, GONE_B}, .outcome = "succeeded"}}},
    {.title = "after a deferral, too",
     .attempts = {{listed, {G1, {G2, 503, NULL, LATER}}, .outcome = "deferred"},
                  {NULL, {{G2, NO_PAGE}, G1, G2_B, GONE_A, GONE_B}, .outcome = "succeeded"}}},
    {.title = "a person's retry begins with the first page",
     .attempts = {{listed,
                   {G1, {G2, EXPIRED}, G1, {G2, EXPIRED}},
                   .outcome = "failed",
                   .facts = {{"state.accounts.u1.page", "absent"}}},
                  {NULL, {G1, G2_B, GONE_A, GONE_B}, .outcome = "succeeded"}}},
    {.title = "a page that is a riddle is not asked for for ever",
     .attempts = {{listed,
                   {G1, {G2, 200, "{\"error\": \"cursor\"}", NULL}},
                   .outcome = "deferred",
                   .facts = {{"state.accounts.u1.page", "absent"}}},
                  {NULL, {G1, G2_B, GONE_A, GONE_B}, .outcome = "succeeded"}}},
    {.title = "the search for a person begins again as well, and counts nobody twice",
     .offboarding = NOBODY,
     .attempts = {{listed,
                   {P1, {P2, NO_PAGE}, P1, P2_ANN, G1, G2_B, GONE_A, GONE_B},
                   .outcome = "succeeded",
                   .facts = {{"searched.0.others", "1"}}}}},
    {.title = "nobody counts as not there because of a page",
     .offboarding = NOBODY,
     .attempts = {{listed, {P1, {P2, 503, NULL, LATER}}, .outcome = "deferred"},
                  {NULL, {{P2, NO_PAGE}, P1, {P2, NO_PAGE}}, .outcome = "failed"}}},
    {.title = "an error on a later page confirms nothing",
     .attempts = {{read_back,
                   {{"POST /off", 200, NULL, NULL}, NOTHING("GET /groups", "\"/groups?p=2\""), {G2, NO_PAGE}},
                   .outcome = "failed",
                   .said = "not confirmed"}}},
    {.title = "an empty page with a page behind it is no empty list",
     .attempts = {{listed, {NOTHING("GET /groups", "\"/groups?p=2\""), G2_B, GONE_B}, .outcome = "succeeded"}}},
    {.title = "an empty last page is no empty list",
     .attempts = {{listed, {G1, NOTHING(G2, "null"), GONE_A}, .outcome = "succeeded"}}},
    {.title = "several empty pages are one",
     .attempts = {{listed,
                   {NOTHING("GET /groups", "\"/groups?p=2\""), NOTHING(G2, "null")},
                   .outcome = "already_done"}}},
    {.title = "a predicate that looks at the pages itself is believed",
     .attempts = {{knowing, {G1, NOTHING(G2, "null")}, .outcome = "already_done"}}},
    {.title = "an empty list is one",
     .attempts = {{listed, {NOTHING("GET /groups", "null")}, .outcome = "already_done"}}},
    {.title = "an account that is not there is missing",
     .attempts = {{listed, {{"GET /groups", 404, NULL, NULL}}, .outcome = "missing"}}},
};

static void test_pages(void **state)
{
    (void)state;
    check_stories(pages, COUNT_OF(pages));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changed_connector), cmocka_unit_test(test_state_of_nobody), cmocka_unit_test(test_gone),
        cmocka_unit_test(test_saved_by_item),     cmocka_unit_test(test_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
