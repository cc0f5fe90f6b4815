/* Access tokens: what is asked of token endpoints, who shares a token, when it is renewed, and what a refusal means. */
/* links: tests/unit/auth_stage.c tests/unit/engine_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "tests/unit/auth_stage.h"
#include "tests/unit/helpers.h"
#include "worker/token.h"

enum { CROWD = 20 };

/* ---- what is sent ------------------------------------------------------------------------------------------------ */

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *auth;
        const char *request;
    } rows[] = {
        {CLIENT ", scopes: [read, \"all: ${ .settings.id }\"], params: {audience: \"a&b\"}}",
         "POST /token Basic bXklMjBpZDpzM2NyZXQlMkZvZiUyMHRoZSUyQmNsaWVudA==\n"
         "grant_type=client_credentials&scope=read%20all%3A%20my%20id&audience=a%26b"},
        {CLIENT ", style: form}", "POST /token -\ngrant_type=client_credentials&client_id=my%20id&"
                                  "client_secret=s3cret%2Fof%20the%2Bclient"},
        /* No member twice: what `params` says takes the place of ours. */
        {CLIENT ", scopes: [read], params: {grant_type: refresh_token, scope: all, refresh_token: r1}}",
         "POST /token Basic bXklMjBpZDpzM2NyZXQlMkZvZiUyMHRoZSUyQmNsaWVudA==\n"
         "grant_type=refresh_token&scope=all&refresh_token=r1"},
        {CLIENT ", style: form, params: {client_id: other, client_secret: \"${ .settings.id }\"}}",
         "POST /token -\ngrant_type=client_credentials&client_id=other&client_secret=my%20id"},
        {"account_credentials: {url: \"${ .settings.url }/token\", account: A=1, id: \"${ .settings.id }\", secret: "
         "\"${ "
         ".settings.secret }\"}",
         "POST /token Basic bXkgaWQ6czNjcmV0L29mIHRoZStjbGllbnQ=\n"
         "grant_type=account_credentials&account_id=A%3D1"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct stage stage;
        set_stage(&stage, rows[i].auth, "");
        succeeds(&stage, "read", "ann@example.com");
        assert_int_equal(stage.vendor.noted_count, 2);
        assert_string_equal(stage.vendor.noted[0], rows[i].request);
        assert_string_equal(stage.vendor.noted[1], "GET /thing Bearer token-1\n");
        clear_stage(&stage);
    }
}

/* A request's own header is sent once, in place of the connector's. */
static void test_header_of_its_own(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with("system: vendor\n"
                                                   "settings: {url: {required: true}}\n"
                                                   "headers: {Accept: a/b, X-More: more}\n"
                                                   "auth: {header: {Authorization: Bearer of-the-connector}}\n"
                                                   "actions:\n"
                                                   "  read: {effect: notify, accounts: none, requests: [{get: /x, "
                                                   "headers: {accept: c/d, AUTHORIZATION: Bearer own}}]}\n",
                                                   "", "");
    vendor_stub_always(stand->vendor, 200, "{}");
    struct trial *trial = trial_new(stand, "read", NULL, NULL);
    trial_start(trial);
    ended(trial, "succeeded");
    const char *head = vendor_stub_last_head(stand->vendor);
    assert_contains(head, "AUTHORIZATION: Bearer own\r\n");
    assert_contains(head, "accept: c/d\r\n");
    assert_contains(head, "X-More: more\r\n");
    assert_null(strstr(head, "of-the-connector"));
    assert_null(strstr(head, "a/b"));
    trial_free(trial);
    engine_stand_free(stand);
}

/* vendor-apis, 1.1: what Google wants to be claimed. */
static void test_assertion(void **state)
{
    (void)state;
    struct stage stage;
    set_stage(&stage, SERVICE ", url: \"${ .settings.url }/token\"}", "");
    int64_t now = time_now() / TIME_SECOND;
    succeeds(&stage, "mail", "ann@example.com");
    static const char start[] =
        "POST /token -\ngrant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    assert_memory_equal(stage.vendor.noted[0], start, strlen(start));
    json_t *claims = claims_of(stage.vendor.noted[0]);
    json_int_t at = json_int_at(claims, "iat", 0);
    char *aud = mem_printf("http://127.0.0.1:%d/token", vendor_stub_port(stage.stand->vendor));
    assert_in_range(at, now, now + 5);
    assert_int_equal(json_int_at(claims, "exp", 0), at + 3600);
    assert_string_equal(json_string_at(claims, "iss"), "offboard@project.example");
    assert_string_equal(json_string_at(claims, "aud"), aud);
    assert_string_equal(json_string_at(claims, "sub"), "ann@example.com");
    assert_string_equal(json_string_at(claims, "scope"), "directory users");
    assert_int_equal(json_object_size(claims), 6);
    free(aud);
    json_decref(claims);
    clear_stage(&stage);
}

/* ---- who shares a token ------------------------------------------------------------------------------------------ */

/* One per subject and scopes, in whatever order they stand. */
static void test_key_of_the_cache(void **state)
{
    (void)state;
    static const struct {
        const char *action;
        const char *user;
        int asked;
    } rows[] = {
        {"read", "ann@example.com", 1}, {"read", "bob@example.com", 1}, {"post", "ann@example.com", 1},
        {"mail", "ann@example.com", 2}, {"mail", "ann@example.com", 2}, {"mail", "bob@example.com", 3},
        {"mail", "ann@example.com", 3}, {"read", "ann@example.com", 3}, {"mail", "admin@example.com", 3},
    };
    struct stage stage;
    set_stage(&stage, SERVICE_HERE, "");
    stage.vendor.sees_any = true;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        succeeds(&stage, rows[i].action, rows[i].user);
        if (stage.vendor.asked != rows[i].asked) {
            fail_msg("row %zu: asked %d times", i, stage.vendor.asked);
        }
    }
    clear_stage(&stage);
}

/* Whom a request acts for must be somebody: not the administrator, because the leaver has no address. */
static void test_nobody_to_act_for(void **state)
{
    (void)state;
    struct stage stage;
    set_stage(&stage, SERVICE_HERE, "");
    struct trial *trial = started(&stage, "gone", "ann@example.com");
    ended(trial, "failed");
    assert_contains(trial->result.message, "as.subject is empty");
    assert_int_equal(stage.vendor.noted_count, 0);
    trial_free(trial);
    clear_stage(&stage);
}

static void start_crowd(struct stage *stage, struct trial **crowd)
{
    for (size_t i = 0; i < CROWD; i++) {
        crowd[i] = started(stage, "read", "ann@example.com");
    }
}

static void crowd_ends(struct trial **crowd, const char *outcome)
{
    for (size_t i = 0; i < CROWD; i++) {
        ended(crowd[i], outcome);
        trial_free(crowd[i]);
    }
}

static void test_one_fetch_for_all(void **state)
{
    (void)state;
    struct stage stage;
    struct trial *crowd[CROWD];
    set_stage(&stage, CLIENT "}", "");
    start_crowd(&stage, crowd);
    crowd_ends(crowd, "succeeded");
    assert_int_equal(stage.vendor.asked, 1);
    assert_int_equal(stage.vendor.noted_count, CROWD + 1);
    clear_stage(&stage);
}

/* All of them are told why there is none; each comes back in its own time. */
static void test_one_refusal_for_all(void **state)
{
    (void)state;
    struct stage stage;
    struct trial *crowd[CROWD];
    set_stage(&stage, CLIENT "}", "");
    stage.vendor.fail = (struct exchange){.status = 401, .body = "{\"error\": \"invalid_client\"}"};
    start_crowd(&stage, crowd);
    crowd_ends(crowd, "denied");
    assert_int_equal(stage.vendor.asked, 2); /* for the jobs, and for the check */
    clear_stage(&stage);
}

/* Who fetches can be sent away: the next of those who wait does it. */
static void test_fetch_broken_off(void **state)
{
    (void)state;
    struct stage stage;
    struct trial *crowd[CROWD];
    set_stage(&stage, CLIENT "}", "");
    stage.vendor.fail = (struct exchange){.status = STUB_SILENCE};
    stage.vendor.fail_times = 1;
    start_crowd(&stage, crowd);
    while (stage.vendor.asked == 0) {
        uv_run(&stage.stand->loop, UV_RUN_ONCE);
    }
    engine_interrupt(&crowd[0]->job, INTERRUPT_DRAIN);
    engine_interrupt(&crowd[1]->job, INTERRUPT_CANCELLED); /* it waits */
    ended(crowd[0], "deferred");
    ended(crowd[1], "cancelled");
    for (size_t i = 2; i < CROWD; i++) {
        ended(crowd[i], "succeeded");
    }
    assert_int_equal(stage.vendor.asked, 2);
    for (size_t i = 0; i < CROWD; i++) {
        trial_free(crowd[i]);
    }
    assert_true(engine_available(stage.stand->engine, "vendor")); /* it says nothing about the vendor */
    clear_stage(&stage);
}

/* ---- renewal ----------------------------------------------------------------------------------------------------- */

static void test_time_of_renewal(void **state)
{
    (void)state;
    static const struct {
        int life, renewal; /* milliseconds */
    } rows[] = {{3600000, 3540000}, {601000, 541000}, {600000, 540000}, {599000, 539100}, {60000, 54000}, {0, 0}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(token_renewal(rows[i].life * INT64_C(1000)), rows[i].renewal * INT64_C(1000));
    }
}

/* A token that has ended is never sent, and one that holds is not asked for again. */
static void test_renewed_in_time(void **state)
{
    (void)state;
    static const struct {
        const char *expires;
        int asked;
    } rows[] = {
        {"\"expires_in\": 3600, ", 1}, {"\"expires_in\": \"3600\", ", 1}, {"", 1}, /* the endpoint doesn't say */
        {"\"expires_in\": 0.02, ", 2}, {"\"expires_in\": \"0.02\", ", 2},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct stage stage;
        set_stage(&stage, CLIENT "}", "");
        stage.vendor.expires = rows[i].expires;
        succeeds(&stage, "read", "ann@example.com");
        int64_t end = time_monotonic() + TIME_SECOND / 50;
        while (time_monotonic() < end) {
            uv_run(&stage.stand->loop, UV_RUN_NOWAIT);
        }
        succeeds(&stage, "read", "ann@example.com");
        if (stage.vendor.asked != rows[i].asked) {
            fail_msg("row %zu: asked %d times", i, stage.vendor.asked);
        }
        clear_stage(&stage);
    }
}

/* A token may end before its time: it is renewed once, for all whom the vendor sends away with it. */
static void test_renewed_after_401(void **state)
{
    (void)state;
    struct stage stage;
    struct trial *crowd[CROWD];
    set_stage(&stage, CLIENT "}", "");
    succeeds(&stage, "read", "ann@example.com");
    stage.vendor.granted++; /* it takes token-2 now, and nobody has it */
    start_crowd(&stage, crowd);
    crowd_ends(crowd, "succeeded");
    assert_int_equal(stage.vendor.asked, 2);
    assert_int_equal(stage.vendor.noted_count, 2 + CROWD + 1 + CROWD);
    clear_stage(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_header_of_its_own),
        cmocka_unit_test(test_assertion),
        cmocka_unit_test(test_key_of_the_cache),
        cmocka_unit_test(test_nobody_to_act_for),
        cmocka_unit_test(test_one_fetch_for_all),
        cmocka_unit_test(test_one_refusal_for_all),
        cmocka_unit_test(test_fetch_broken_off),
        cmocka_unit_test(test_time_of_renewal),
        cmocka_unit_test(test_renewed_in_time),
        cmocka_unit_test(test_renewed_after_401),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
