/* What an answer means: a request's own predicates, then the defaults. */
/* links: worker/engine_health.c worker/engine_secret.c worker/ldap_text.c worker/report.c worker/report_phase.c */
/* links: worker/engine_classify.c worker/engine_context.c worker/engine_evidence.c worker/engine_told.c worker/engine_explain.c worker/engine_definition.c */
/* links: worker/engine_ahead.c worker/engine_compare.c worker/engine_lists.c worker/engine_partial.c worker/engine_paths.c worker/engine_seen.c worker/engine_signs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "tests/unit/helpers.h"
#include "worker/engine_internal.h"

struct row {
    const char *request; /* JSON */
    int status;          /* 0: no answer */
    const char *body;    /* JSON */
    enum verdict verdict;
    bool again;
    const char *said; /* part of the message; NULL: none expected */
};

static const struct row rows[] = {
    /* the defaults */
    {"{}", 200, "{}", VERDICT_DONE, false, NULL},
    {"{}", 204, "null", VERDICT_DONE, false, NULL},
    {"{}", 299, "null", VERDICT_DONE, false, NULL},
    {"{}", 302, "null", VERDICT_FAILED, false, "302"},
    {"{}", 400, "{\"detail\": \"no such filter\"}", VERDICT_FAILED, false, "400: no such filter"},
    {"{}", 401, "null", VERDICT_DENIED, false, "401"},
    {"{}", 403, "{\"error\": {\"message\": \"not an admin\"}}", VERDICT_DENIED, false, "403: not an admin"},
    {"{}", 409, "{\"error\": {\"message\": \"failed\", \"details\": [{\"message\": \"no such list\"}]}}",
     VERDICT_FAILED, false, "409: failed; no such list"},
    {"{}", 404, "\"gone fishing\"", VERDICT_FAILED, false, "404: gone fishing"},
    {"{}", 408, "null", VERDICT_FAILED, true, "408"},
    {"{}", 409, "null", VERDICT_FAILED, false, "409"},
    {"{}", 425, "null", VERDICT_FAILED, true, "425"},
    {"{}", 429, "null", VERDICT_FAILED, true, "429"},
    {"{}", 500, "null", VERDICT_FAILED, true, "500"},
    {"{}", 503, "{\"errorMessages\": [\"down for the night\"]}", VERDICT_FAILED, true, "503: down for the night"},
    {"{}", 0, "null", VERDICT_FAILED, true, "no answer: connection refused"},
    {"{}", 409, "{\"message\": \"Bitte erneut versuchen\"}", VERDICT_FAILED, true, "temporary trouble"},
    {"{}", 409, "{\"message\": \"this user owns an order in progress\"}", VERDICT_FAILED, false, "refused"},
    {"{}", 409, "{\"message\": \"No concurrent licences on this plan\"}", VERDICT_FAILED, false, "refused"},
    {"{}", 403, "{\"message\": \"You need scope rate-limit:write\"}", VERDICT_DENIED, false, "rights refused"},
    {"{}", 409, "{\"message\": \"another operation is in progress\"}", VERDICT_FAILED, true, "temporary trouble"},
    {"{}", 409, "{\"message\": \"name taken, try again with another name\"}", VERDICT_FAILED, false, "refused"},
    {"{}", 403, "{\"message\": \"You have exceeded a secondary rate limit.\"}", VERDICT_FAILED, true,
     "temporary trouble"},
    {"{}", 403, "{\"error\": {\"errors\": [{\"reason\": \"userRateLimitExceeded\"}]}}", VERDICT_FAILED, true,
     "temporary"},
    {"{}", 200, "{\"status\": \"error\", \"message\": \"no such realm\"}", VERDICT_FAILED, true, "no such realm"},
    {"{}", 200, "{\"status\": \"error\", \"id\": \"a phone that has an error\"}", VERDICT_DONE, false, NULL},
    {"{\"get\": \"/\", \"save\": {\"x\": \"${ .body.data }\"}}", 200,
     "{\"status\": \"error\", \"message\": \"no such realm\"}", VERDICT_FAILED, true,
     "but with an error: no such realm"},
    {"{\"get\": \"/\", \"save\": {\"x\": \"${ .body.status }\"}}", 200,
     "{\"status\": \"error\", \"message\": \"lost\"}", VERDICT_DONE, false, NULL},
    /* own predicates */
    {"{\"missing\": \"${ .status == 404 }\"}", 404, "null", VERDICT_MISSING, false, "not there"},
    {"{\"already\": \"${ .body.active == false }\"}", 400, "{\"active\": false}", VERDICT_ALREADY, false, NULL},
    {"{\"blocked\": \"${ .status == 405 }\"}", 405, "null", VERDICT_BLOCKED, false, "a person must act"},
    {"{\"denied\": \"${ .body.code == 7 }\"}", 200, "{\"code\": 7}", VERDICT_DENIED, false, "200"},
    {"{\"retry\": \"${ .body.ok == false }\"}", 200, "{\"ok\": false}", VERDICT_FAILED, true, "temporary trouble"},
    {"{\"success\": \"${ .body.ok }\"}", 200, "{\"ok\": true}", VERDICT_DONE, false, NULL},
    {"{\"success\": \"${ .body.ok }\"}", 200, "{\"ok\": false}", VERDICT_FAILED, false, "not what success looks like"},
    {"{\"success\": \"${ .status == 404 }\"}", 404, "null", VERDICT_DONE, false, NULL},
    {"{\"success\": \"${ .body.ok }\"}", 500, "null", VERDICT_FAILED, true, "500"},
    /* of several the gravest; an error within a predicate is false */
    {"{\"already\": true, \"missing\": true, \"denied\": true}", 200, "null", VERDICT_DENIED, false, "refused"},
    {"{\"already\": true, \"missing\": true}", 200, "null", VERDICT_MISSING, false, "not there"},
    {"{\"missing\": \"${ .body.a.b.c == 1 }\"}", 200, "\"text\"", VERDICT_DONE, false, NULL},
    /* a directory's result codes, of which 0 is success */
    {"{\"ldap\": {}}", 0, "[]", VERDICT_DONE, false, NULL},
    {"{\"ldap\": {}}", LDAP_NO_ANSWER, "null", VERDICT_FAILED, true, "no answer: connection refused"},
    {"{\"ldap\": {}}", 3, "null", VERDICT_FAILED, true, "temporary trouble: the vendor answered 3"},
    {"{\"ldap\": {}}", 8, "null", VERDICT_DENIED, false, "8"},
    {"{\"ldap\": {}}", 10, "null", VERDICT_FAILED, false, "10"},
    {"{\"ldap\": {}}", 11, "null", VERDICT_FAILED, false, "11"},
    {"{\"ldap\": {}}", 32, "{\"message\": \"No such object\"}", VERDICT_FAILED, false, "32: No such object"},
    {"{\"ldap\": {}}", 49, "null", VERDICT_DENIED, false, "49"},
    {"{\"ldap\": {}}", 50, "null", VERDICT_DENIED, false, "50"},
    {"{\"ldap\": {}}", 51, "null", VERDICT_FAILED, true, "51"},
    {"{\"ldap\": {}}", 52, "null", VERDICT_FAILED, true, "52"},
    {"{\"ldap\": {}}", 53, "null", VERDICT_FAILED, false, "refused: the vendor answered 53"},
    {"{\"ldap\": {}, \"missing\": \"${ .status == 32 }\"}", 32, "null", VERDICT_MISSING, false, "not there"},
    {"{\"ldap\": {}, \"already\": \"${ .status == 0 }\"}", LDAP_NO_ANSWER, "null", VERDICT_FAILED, true, "no answer"},
    {"{\"ldap\": {}, \"success\": \"${ .body == [] }\"}", 0, "[1]", VERDICT_FAILED, false, "not what success"},
    /* no predicate of the request speaks about an answer that never came */
    {"{\"already\": true}", 0, "null", VERDICT_FAILED, true, "no answer"},
    /* what the vendor will never do is no trouble that passes */
    {"{}", 501, "{\"detail\": \"PATCH is not implemented\"}", VERDICT_FAILED, false, "501: PATCH is not implemented"},
    {"{}", 505, "null", VERDICT_FAILED, false, "505"},
    {"{}", 510, "null", VERDICT_FAILED, false, "510"},
    {"{}", 409, "{\"error\": {\"message\": \"Conflicting requests. Please try again\"}}", VERDICT_FAILED, true,
     "try again"},
    /* an error answer is about the request: it neither shows that somebody is missing nor that something was so before */
    {"{\"missing\": \"${ .body.user == null }\"}", 401, "{}", VERDICT_DENIED, false, "401"},
    {"{\"missing\": \"${ .body.user == null }\"}", 403, "{}", VERDICT_DENIED, false, "403"},
    {"{\"missing\": \"${ .body.user == null }\"}", 429, "{}", VERDICT_FAILED, true, "429"},
    {"{\"missing\": \"${ .body.user == null }\"}", 302, "{}", VERDICT_FAILED, false, "302"},
    {"{\"missing\": \"${ .body.user == null }\"}", 500, "{}", VERDICT_FAILED, true, "500"},
    {"{\"missing\": \"${ .body.user == null }\"}", 400, "{\"message\": \"trouble\"}", VERDICT_FAILED, false, "trouble"},
    {"{\"missing\": \"${ .body.code == 7 }\"}", 403, "{\"code\": 7}", VERDICT_DENIED, false, "403"},
    {"{\"missing\": \"${ .body.code == 7 }\"}", 404, "{\"code\": 7}", VERDICT_MISSING, false, "404"},
    {"{\"missing\": \"${ .status == 403 and .body.code == 7 }\"}", 403, "{\"code\": 7}", VERDICT_MISSING, false, "403"},
    {"{\"already\": \"${ [.body.groups[]?] == [] }\"}", 500, "{\"message\": \"trouble\"}", VERDICT_FAILED, true,
     "trouble"},
    {"{\"success\": \"${ .body.errors == null }\"}", 500, "{}", VERDICT_FAILED, true, "500"},
    /* nor does an answer that holds nothing of what it is asked about */
    {"{\"already\": \"${ [.body.groups[]?] == [] }\"}", 200, "{}", VERDICT_DONE, false, NULL},
    {"{\"already\": \"${ [.body.groups[]?] == [] }\"}", 200, "{\"groups\": []}", VERDICT_ALREADY, false, NULL},
    {"{\"already\": \"${ (.body.groups | length) == 0 }\"}", 200, "{\"message\": \"maintenance\"}", VERDICT_DONE, false,
     NULL},
    {"{\"already\": \"${ .body == [] }\"}", 200, "[]", VERDICT_ALREADY, false, NULL},
    {"{\"missing\": \"${ .body.manager == null }\"}", 200, "{\"manager\": null}", VERDICT_MISSING, false, "not there"},
    {"{\"missing\": \"${ .body.manager == null }\"}", 200, "{\"id\": 1}", VERDICT_DONE, false, NULL},
    {"{\"already\": \"${ [.body.delegates[]?] == [] }\", \"omits\": [\"delegates\"]}", 200, "{\"kind\": 1}",
     VERDICT_ALREADY, false, NULL},
    {"{\"get\": \"/\", \"already\": \"${ (.body.groups | length) == 0 }\"}", 200, "null", VERDICT_FAILED, true,
     "empty"},
    {"{\"get\": \"/\", \"missing\": \"${ .body.user == null }\"}", 200, "null", VERDICT_FAILED, true, "empty"},
    {"{\"get\": \"/\", \"already\": \"${ .body.active | not }\"}", 202, "null", VERDICT_FAILED, true, "empty"},
    {"{\"already\": \"${ (.body.data.groups | length) == 0 }\"}", 200, "{\"data\": null}", VERDICT_DONE, false, NULL},
    {"{\"get\": \"/\", \"save\": {\"x\": \"${ .body.groups // [] }\"}}", 200, "{\"message\": \"wait\"}", VERDICT_FAILED,
     true, "lacks the list"},
    {"{\"get\": \"/\", \"save\": {\"x\": \"${ (.body.groups // []) | map(.id) }\"}}", 200, "{}", VERDICT_FAILED, true,
     "lacks the list"},
    {"{\"get\": \"/\", \"save\": {\"x\": \"${ .body.groups // [] }\"}}", 200, "{\"groups\": []}", VERDICT_DONE, false,
     NULL},
    {"{}", 400, "{\"failureReason\": {\"code\": \"E17\"}}", VERDICT_FAILED, false, "E17"},
    {"{\"already\": \"${ .status == 204 or .body.gone }\"}", 204, "null", VERDICT_ALREADY, false, NULL},
    {"{\"get\": \"/\", \"save\": {\"x\": \"${ .body.x }\"}}", 200, "null", VERDICT_FAILED, true, "empty"},
    {"{\"get\": \"/\", \"missing\": \"${ .status == 404 and .body.error.code == 7 }\", \"save\": {\"x\": \"${ .body.x "
     "}\"}}",
     200, "{\"error\": {\"message\": \"maintenance\"}}", VERDICT_FAILED, true, "but with an error: maintenance"},
    {"{\"get\": \"/\", \"missing\": \"${ .body.error.code == 7 }\", \"save\": {\"x\": \"${ .body.x }\"}}", 200,
     "{\"error\": {\"code\": 7, \"message\": \"no such user\"}}", VERDICT_MISSING, false, "no such user"},
    {"{\"get\": \"/\", \"already\": \"${ .status == 200 and .body.on != true }\"}", 200, "null", VERDICT_FAILED, true,
     "the vendor's answer is empty"},
    {"{\"get\": \"/\", \"omits\": [\"on\"], \"already\": \"${ .status == 200 and .body.on != true }\"}", 200, "null",
     VERDICT_FAILED, true, "the vendor's answer is empty"},
    {"{\"get\": \"/\", \"omits\": [\"on\"], \"already\": \"${ .status == 200 and .body.on != true }\"}", 200,
     "{\"of\": 1}", VERDICT_ALREADY, false, NULL},
    {"{\"get\": \"/\", \"save\": {\"x\": \"${ .body.x }\"}}", 200, "{\"error\": {\"message\": \"maintenance\"}}",
     VERDICT_FAILED, true, "but with an error: maintenance"},
    {"{\"get\": \"/\", \"save\": {\"x\": \"${ [.body.x[]?] }\"}}", 200, "{\"X\": [1]}", VERDICT_FAILED, true,
     "lacks the list"},
    {"{\"get\": \"/\", \"save\": {\"x\": \"${ [.body.x[]?] }\"}}", 200, "{\"x\": []}", VERDICT_DONE, false, NULL},
    {"{\"get\": \"/\", \"save\": {\"x\": \"${ [.body[]?] }\"}}", 200, "{\"error\": \"maintenance\"}", VERDICT_FAILED,
     true, "maintenance"},
    {"{\"get\": \"/\", \"success\": \"${ .body.error == null }\", \"missing\": \"${ .body.error == \\\"unknown\\\" "
     "}\"}",
     200, "{\"ok\": true, \"error\": \"unknown\"}", VERDICT_MISSING, false, "unknown"},
    /* an empty body is no body: what is read of it is not there, whether the vendor may leave it out or not */
    {"{\"get\": \"/\", \"expect\": \"${ .body.enabled != true }\"}", 200, "null", VERDICT_FAILED, true, "empty"},
    {"{\"get\": \"/\", \"expect\": \"${ .status == 200 and .body.enabled != true }\", \"omits\": [\"enabled\"]}", 200,
     "null", VERDICT_FAILED, true, "empty"},
    {"{\"get\": \"/\", \"missing\": \"${ .body.user == null }\"}", 200, "null", VERDICT_FAILED, true, "empty"},
    /* success that is about the status alone, or that absence satisfies, does not make an empty body an answer */
    {"{\"get\": \"/\", \"success\": \"${ .status == 200 or .status == 404 }\", \"save\": {\"x\": \"${ .body.x }\"}}",
     200, "null", VERDICT_FAILED, true, "empty"},
    {"{\"get\": \"/\", \"success\": \"${ .body.errors == null }\", \"save\": {\"x\": \"${ .body.x }\"}}", 200, "null",
     VERDICT_FAILED, true, "empty"},
    {"{\"get\": \"/\", \"success\": \"${ .status == 200 }\"}", 200, "null", VERDICT_DONE, false, NULL},
    {"{\"get\": \"/\", \"missing\": \"${ .body | tostring | contains(\\\"group-7\\\") | not }\"}", 200, "null",
     VERDICT_FAILED, true, "empty"},
    {"{\"get\": \"/\", \"missing\": \"${ [.. | objects | .groups? // empty | .[]] == [] }\"}", 200, "{}", VERDICT_DONE,
     false, NULL},
    {"{\"get\": \"/\", \"missing\": \"${ [.body | to_entries[] | select(.key == \\\"groups\\\") | .value[]] == [] }\"}",
     200, "{}", VERDICT_DONE, false, NULL},
    {"{\"get\": \"/\", \"missing\": \"${ (.body | keys | index(\\\"groups\\\")) == null }\"}", 200, "{}", VERDICT_DONE,
     false, NULL},
    {"{\"get\": \"/\", \"missing\": \"${ .status == 404 }\"}", 404, "\"404 page not found\"", VERDICT_MISSING, false,
     "not there"},
    /* an error that the request knows what to make of, and one that it does not know */
    {"{\"get\": \"/\", \"retry\": \"${ .status == 403 and .body.error.code == 7 }\"}", 200,
     "{\"error\": {\"message\": \"maintenance\"}}", VERDICT_FAILED, true, "but with an error: maintenance"},
    {"{\"get\": \"/\", \"retry\": \"${ .body.error.code == 7 }\"}", 200, "{\"error\": {\"code\": 7}}", VERDICT_FAILED,
     true, "temporary trouble"},
    {"{\"get\": \"/\", \"denied\": \"${ .body.error == \\\"no token\\\" }\"}", 200, "{\"error\": \"no token\"}",
     VERDICT_DENIED, false, "no token"},
    {"{\"post\": \"/\", \"blocked\": \"${ .body.error.code == 7 }\"}", 200,
     "{\"error\": {\"message\": \"maintenance\"}}", VERDICT_FAILED, true, "but with an error: maintenance"},
    /* the vendor's own words, whatever their shape */
    {"{}", 400, "{\"errors\": [{\"message\": \"no such field\"}]}", VERDICT_FAILED, false, "400: no such field"},
    {"{}", 400, "[{\"message\": \"locked\", \"errorCode\": \"X\"}]", VERDICT_FAILED, false, "400: locked"},
    {"{}", 400, "{\"errors\": [\"first\", \"second\"]}", VERDICT_FAILED, false, "400: first; second"},
    {"{}", 400, "{\"message\": {\"title\": [\"is too long\"], \"base\": [\"no more issues\"]}}", VERDICT_FAILED, false,
     "400: title: is too long; base: no more issues"},
    {"{}", 400, "{\"errorMessages\": [], \"errors\": {\"summary\": \"no newline\"}}", VERDICT_FAILED, false,
     "400: summary: no newline"},
    {"{}", 400, "{\"errors\": {\"summary\": [\"is long\", \"is odd\"]}}", VERDICT_FAILED, false,
     "summary: is long; summary: is odd"},
    {"{}", 409, "{\"error_summary\": \"path/not_found\"}", VERDICT_FAILED, false, "409: path/not_found"},
    {"{}", 400, "{\"fault\": {\"faultstring\": \"bad key\"}}", VERDICT_FAILED, false, "400: bad key"},
    {"{}", 422, "{\"error\": \"RecordInvalid\", \"description\": \"Record validation errors\"}", VERDICT_FAILED, false,
     "422: Record validation errors"},
    {"{}", 400, "{\"error\": {\"message\": \"Invalid Input\", \"errors\": [\"has 1 schedule\"]}}", VERDICT_FAILED,
     false, "400: Invalid Input; has 1 schedule"},
    {"{}", 400, "\"<html><head><title>Bad gateway</title></head></html>\"", VERDICT_FAILED, false,
     "a web page titled \"Bad gateway\""},
    {"{\"message\": \"${ .body.x.why }\"}", 400, "{\"message\": \"no\", \"x\": {\"why\": \"the owner stays\"}}",
     VERDICT_FAILED, false, "400: the owner stays"},
    {"{}", 400, "{\"message\": null, \"error\": \"null\"}", VERDICT_FAILED, false, "400"},
    {"{}", 400, "{\"statusMessage\": \"locked\"}", VERDICT_FAILED, false, "400: locked"},
    {"{}", 400, "{\"result\": {\"error\": \"locked\"}}", VERDICT_FAILED, false, "400: locked"},
    {"{}", 400, "{\"data\": {\"email\": \"ann@example.com\", \"message\": \"locked\"}}", VERDICT_FAILED, false,
     "400: locked"},
    {"{}", 400, "{\"Fault\": {\"Error\": [{\"Message\": \"locked\", \"code\": \"1\"}]}}", VERDICT_FAILED, false,
     "400: locked"},
    {"{}", 400, "{\"odata.error\": {\"code\": \"X\", \"message\": {\"lang\": \"en\", \"value\": \"locked\"}}}",
     VERDICT_FAILED, false, "locked"},
    {"{}", 400, "{\"_embedded\": {\"errors\": [{\"message\": \"locked\"}]}}", VERDICT_FAILED, false, "400: locked"},
    {"{}", 400, "{\"validation_errors\": [{\"field\": \"x\", \"msg\": \"locked\"}]}", VERDICT_FAILED, false,
     "400: locked"},
    {"{}", 400, "{\"exception\": {\"cause\": \"locked\"}}", VERDICT_FAILED, false, "400: locked"},
    {"{}", 400, "{\"code\": 7}", VERDICT_FAILED, false, "400: {\"code\":7}"},
};

static struct run *run_of(struct engine *engine, struct system *system, struct job *job, const struct row *row)
{
    struct run *run = MEM_NEW(struct run);
    *run = (struct run){.engine = engine, .system = system, .job = job, .last_status = row->status};
    context_start(run);
    context_set(run, "status", json_integer(row->status));
    context_set(run, "headers", json_object());
    context_set(run, "body", json_parse(row->body, strlen(row->body), NULL));
    return run;
}

static void run_free(struct run *run)
{
    json_decref(run->context);
    free(run->message);
    free(run);
}

struct fixture {
    struct engine engine;
    struct definition connector;
    struct system system;
    struct job job;
};

static int setup(void **state)
{
    struct fixture *fixture = MEM_NEW(struct fixture);
    fixture->engine.exprs = expr_set_new();
    fixture->connector.tree = json_object();
    fixture->system.connector = &fixture->connector;
    fixture->system.settings = json_object();
    fixture->job.message = json_pack("{s:{}, s:{}, s:{}}", "user", "ids", "job");
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    expr_set_free(fixture->engine.exprs);
    json_decref(fixture->connector.tree);
    json_decref(fixture->system.settings);
    json_decref(fixture->job.message);
    free(fixture);
    return 0;
}

static void test_answers(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        struct run *run = run_of(&fixture->engine, &fixture->system, &fixture->job, row);
        json_t *request = json_parse(row->request, strlen(row->request), NULL);
        struct response response = {
            .status = row->status, .ldap = request_ldap(request), .error = "connection refused", .retry_after = -1};
        bool again = !row->again;
        enum verdict verdict = classify(run, request, &response, &again);
        if (verdict != row->verdict || again != row->again) {
            fail_msg("row %zu (%s, %d): verdict %d, again %d", i, row->request, row->status, (int)verdict, (int)again);
        }
        if (row->said) {
            assert_contains(run->message, row->said);
        } else {
            assert_null(run->message);
        }
        json_decref(request);
        run_free(run);
    }
}

/* An answer that is not what was hoped for is shown, unless what was to be kept of it is secret. What explains itself is told either way. */
static void test_a_secret_answer_is_not_shown(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *request, *body;
        bool shows;
    } cases[] = {
        {"{\"success\": \"${ .body.ok }\"}", "{\"street\": \"12 Elm\"}", true},
        {"{\"success\": \"${ .body.ok }\", \"secret\": [\"home\"]}", "{\"street\": \"12 Elm\"}", false},
        {"{\"success\": \"${ .body.ok }\", \"secret\": [\"home\"]}", "{\"message\": \"12 Elm is gone\"}", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct row row = {.status = 200, .body = cases[i].body};
        struct run *run = run_of(&fixture->engine, &fixture->system, &fixture->job, &row);
        json_t *request = json_parse(cases[i].request, strlen(cases[i].request), NULL);
        struct response response = {.status = 200, .sent = true, .retry_after = -1};
        bool again;
        assert_int_equal(classify(run, request, &response, &again), VERDICT_FAILED);
        assert_contains(run->message, "200");
        if ((strstr(run->message, "12 Elm") != NULL) != cases[i].shows) {
            fail_msg("case %zu: %s", i, run->message);
        }
        json_decref(request);
        run_free(run);
    }
}

/* Who asks for patience is obeyed only where it throttles: many vendors send rate-limit headers with every answer. */
static void test_throttling(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *request;
        int status;
        int64_t said;
        bool throttled;
        int64_t obeyed;
    } cases[] = {
        {"{}", 429, 60, true, 60},
        {"{}", 429, -1, true, -1},
        {"{}", 503, 60, true, 60},
        {"{}", 503, -1, false, -1},
        {"{}", 500, 60, false, -1},
        {"{}", 200, 60, false, -1},
        {"{}", 400, 60, false, -1},
        {"{\"retry\": \"${ .status == 403 }\"}", 403, 60, true, 60},
        {"{\"retry\": \"${ .status == 403 }\"}", 403, -1, false, -1},
        {"{\"retry\": \"${ .status == 403 }\"}", 403, 60, true, 60},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct row row = {.status = cases[i].status, .body = "null"};
        struct run *run = run_of(&fixture->engine, &fixture->system, &fixture->job, &row);
        json_t *request = json_parse(cases[i].request, strlen(cases[i].request), NULL);
        struct response response = {.status = cases[i].status, .sent = true, .retry_after = cases[i].said};
        bool again;
        classify(run, request, &response, &again);
        if (response.throttled != cases[i].throttled || response.retry_after != cases[i].obeyed) {
            fail_msg("case %zu: throttled %d, %lld", i, (int)response.throttled, (long long)response.retry_after);
        }
        json_decref(request);
        run_free(run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_secret_answer_is_not_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_throttling, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
