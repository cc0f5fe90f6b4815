/* What an answer means: a request's own predicates, then the defaults. */
/* links: worker/engine_secret.c worker/report.c */
/* links: worker/engine_classify.c worker/engine_context.c */
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
     VERDICT_FAILED, false, "409: no such list"},
    {"{}", 404, "\"gone fishing\"", VERDICT_FAILED, false, "404: gone fishing"},
    {"{}", 408, "null", VERDICT_FAILED, true, "408"},
    {"{}", 409, "null", VERDICT_FAILED, false, "409"},
    {"{}", 425, "null", VERDICT_FAILED, true, "425"},
    {"{}", 429, "null", VERDICT_FAILED, true, "429"},
    {"{}", 500, "null", VERDICT_FAILED, true, "500"},
    {"{}", 503, "{\"errorMessages\": [\"down for the night\"]}", VERDICT_FAILED, true, "503: down for the night"},
    {"{}", 0, "null", VERDICT_FAILED, true, "no answer: connection refused"},
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
    /* no predicate of the request speaks about an answer that never came */
    {"{\"already\": true}", 0, "null", VERDICT_FAILED, true, "no answer"},
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
    struct system system;
    struct job job;
};

static int setup(void **state)
{
    struct fixture *fixture = MEM_NEW(struct fixture);
    fixture->engine.exprs = expr_set_new();
    fixture->system.settings = json_object();
    fixture->job.message = json_pack("{s:{}, s:{}, s:{}}", "user", "ids", "job");
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    expr_set_free(fixture->engine.exprs);
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
        struct response response = {.status = row->status, .error = "connection refused", .retry_after = -1};
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
        cmocka_unit_test_setup_teardown(test_throttling, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
