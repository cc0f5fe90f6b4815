/* Access tokens that are refused or late, credentials that are wrong, and what is said of them. */
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
#include "lib/secret.h"
#include "tests/unit/auth_stage.h"
#include "tests/unit/helpers.h"
#include "tests/unit/keys.h"
#include "worker/fiber.h"

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

/* What the job is told, and whether the system is paused. */
static void assert_denied(struct stage *stage, const char *action, const char *said, bool paused)
{
    struct trial *trial = started(stage, action, "ann@example.com");
    char *why = NULL;
    ended(trial, "denied");
    assert_contains(trial->result.message, said);
    assert_int_equal(engine_refused(stage->stand->engine, "vendor", &why), paused);
    if (paused) {
        assert_contains(why, "credentials refused");
    }
    free(why);
    trial_free(trial);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct exchange refusals[] = {
        {NULL, 400, "{\"error\": \"invalid_client\", \"reason\": \"Invalid client_id\"}", NULL},
        {NULL, 401, "{\"error\": \"invalid_client\", \"error_description\": \"Invalid client_id\"}", NULL},
        {NULL, 403, "{\"error\": {\"message\": \"Invalid client_id\"}}", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        struct stage stage;
        set_stage(&stage, CLIENT "}", "");
        stage.vendor.fail = refusals[i];
        assert_denied(&stage, "read", "Invalid client_id", true);
        assert_int_equal(stage.vendor.granted, 0);
        clear_stage(&stage);
    }
}

/* A person whom Google doesn't know is that person's problem: nobody else has to wait. */
static void test_subject_refused(void **state)
{
    (void)state;
    struct stage stage;
    set_stage(&stage, SERVICE_HERE, "");
    stage.vendor.sees_any = true;
    stage.vendor.fail_for = "ann@example.com";
    stage.vendor.fail = (struct exchange){
        .status = 400, .body = "{\"error\": \"invalid_grant\", \"error_description\": \"Invalid email or User ID\"}"};
    assert_denied(&stage, "mail",
                  "no access token for ann@example.com: the token endpoint answered 400: invalid_grant: Invalid email",
                  false);
    succeeds(&stage, "mail", "bob@example.com");
    clear_stage(&stage);
}

/* The vendor takes none of our tokens: asked once with a new one, no more. */
static void test_still_401(void **state)
{
    (void)state;
    struct stage stage;
    set_stage(&stage, CLIENT "}", "");
    stage.vendor.refuses = true;
    struct trial *trial = started(&stage, "read", "ann@example.com");
    ended(trial, "denied");
    json_t *calls = json_object_get(trial->result.context, "calls");
    static const char *const paths[] = {"/token", "/thing", "/token", "/thing"};
    static const int statuses[] = {200, 401, 200, 401};
    assert_int_equal(json_array_size(calls), COUNT_OF(paths));
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        json_t *call = json_array_get(calls, i);
        assert_contains(json_string_at(call, "url"), paths[i]);
        assert_int_equal(json_int_at(call, "status", 0), statuses[i]);
        assert_false(json_true_at(call, "changes"));
    }
    trial_free(trial);
    clear_stage(&stage);
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

/* Whatever else the endpoint answers says nothing about the request: its `missing` (404) is not asked. */
static void test_tried_again(void **state)
{
    (void)state;
    static const struct exchange troubles[] = {
        {NULL, 404, "<html>not here</html>", NULL},
        {NULL, 500, NULL, NULL},
        {NULL, 429, NULL, "Retry-After: 0\r\n"},
        {NULL, 200, "{\"token\": \"of another kind\"}", NULL},
        {NULL, 200, "{\"access_token\": \"a\\r\\nb\"}", NULL},
        {NULL, STUB_HANG_UP, NULL, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(troubles); i++) {
        struct stage stage;
        set_stage(&stage, CLIENT "}", "");
        stage.vendor.fail = troubles[i];
        stage.vendor.fail_times = 1;
        succeeds(&stage, "read", "ann@example.com");
        assert_int_equal(stage.vendor.asked, 2);
        clear_stage(&stage);
    }
}

static void test_put_off(void **state)
{
    (void)state;
    struct stage stage;
    set_stage(&stage, CLIENT "}", "circuit_failures: 50, retry_wait: 0s");
    stage.vendor.fail = (struct exchange){.status = 404};
    struct trial *trial = started(&stage, "read", "ann@example.com");
    ended(trial, "deferred");
    assert_contains(trial->result.message, "no access token: the token endpoint answered 404");
    trial_free(trial);
    clear_stage(&stage);
}

/* A token endpoint that is down opens the circuit, and the check, which needs a token too, closes it. */
static void test_circuit(void **state)
{
    (void)state;
    struct stage stage;
    set_stage(&stage, CLIENT "}", "circuit_failures: 2, circuit_wait: 10ms, circuit_wait_max: 10ms, retry_wait: 60s");
    stage.vendor.fail = (struct exchange){.status = 503};
    stage.vendor.fail_times = 5;
    struct trial *trials[] = {started(&stage, "read", "ann@example.com"), started(&stage, "read", "bob@example.com")};
    for (size_t i = 0; i < COUNT_OF(trials); i++) {
        ended(trials[i], "succeeded");
    }
    assert_true(trials[0]->held + trials[1]->held > 0);
    assert_int_equal(stage.vendor.asked, 6);
    for (size_t i = 0; i < COUNT_OF(trials); i++) {
        trial_free(trials[i]);
    }
    clear_stage(&stage);
}

struct checking {
    struct engine *engine;
    struct err err;
    int result;
    bool ended;
};

static void check(void *arg)
{
    struct checking *checking = arg;
    checking->result = engine_check(checking->engine, "vendor", &checking->err);
    checking->ended = true;
}

static void run_check(struct stage *stage, struct checking *checking)
{
    *checking = (struct checking){.engine = stage->stand->engine};
    fiber_start(check, checking);
    while (!checking->ended) {
        uv_run(&stage->stand->loop, UV_RUN_ONCE);
    }
}

static void test_check(void **state)
{
    (void)state;
    struct stage stage;
    struct checking checking;
    set_stage(&stage, CLIENT "}", "");
    run_check(&stage, &checking);
    assert_int_equal(checking.result, 0);
    assert_string_equal(stage.vendor.noted[1], "GET /check Bearer token-1\n");
    clear_stage(&stage);
    set_stage(&stage, CLIENT "}", "");
    stage.vendor.fail = (struct exchange){.status = 401, .body = "{\"error\": \"invalid_client\"}"};
    run_check(&stage, &checking);
    assert_int_equal(checking.result, -1);
    assert_contains(err_text(&checking.err), "the token endpoint answered 401: invalid_client");
    err_release(&checking.err);
    clear_stage(&stage);
}

/* Nobody is at the token endpoint: what it is made of is named. */
static void test_wrong_address(void **state)
{
    (void)state;
    static const char connector[] =
        "system: vendor\n"
        "settings: {url: {required: true}, tenant: {default: \"1\"}}\n"
        "auth: {client_credentials: {url: \"http://127.0.0.1:${ .settings.tenant }/t\", id: i, "
        "secret: s3cret-of-the-test}}\n"
        "check: {get: /x}\n"
        "actions: {}\n";
    struct engine_stand *stand = engine_stand_with(connector, "ca_file: \"\"", "");
    struct checking checking = {.engine = stand->engine};
    fiber_start(check, &checking);
    while (!checking.ended) {
        uv_run(&stand->loop, UV_RUN_ONCE);
    }
    assert_int_equal(checking.result, -1);
    assert_contains(err_text(&checking.err), "no access token: Failed to connect to 127.0.0.1 port 1");
    assert_contains(err_text(&checking.err), "is systems.vendor.tenant right?");
    err_release(&checking.err);
    engine_stand_free(stand);
}

/* It reads, and so needs a token; it changes nothing. */
static void test_dry_run(void **state)
{
    (void)state;
    struct stage stage;
    set_stage(&stage, CLIENT "}", "");
    struct trial *trial = trial_new(stage.stand, "change", "{\"mode\": \"dry_run\"}", NULL);
    trial_start(trial);
    ended(trial, "succeeded");
    assert_int_equal(stage.vendor.noted_count, 2);
    assert_string_equal(stage.vendor.noted[1], "GET /thing Bearer token-1\n");
    assert_contains(trial->result.message, "would POST");
    assert_null(strstr(trial->result.message, "/token"));
    trial_free(trial);
    clear_stage(&stage);
}

/* ---- wrong settings ---------------------------------------------------------------------------------------------- */

static void assert_refusal(const char *auth, const char *settings, const char *said)
{
    char *connector = auth_connector(auth);
    char *why = engine_stand_refusal(connector, settings);
    assert_contains(why, said);
    free(why);
    free(connector);
}

static void test_settings_missing(void **state)
{
    (void)state;
    assert_refusal(CLIENT "}", "", "systems.vendor.secret is not set, and auth.client_credentials.secret of ");
    assert_refusal(CLIENT "}", "secret: s3cret-of-it, id: \"\"", "systems.vendor.id is not set");
    assert_refusal("account_credentials: {url: \"${ .settings.url }\", account: a, id: i, secret: \"\"}", "",
                   "vendor.yaml: auth.account_credentials.secret is not set");
    assert_refusal(SERVICE "}", "", "systems.vendor.key is not set");
}

/* Which setting is wrong and how, and nothing of what it holds. */
static void test_wrong_key(void **state)
{
    (void)state;
    EVP_PKEY *curve = EVP_EC_gen("P-256");
    char *no_rsa = key_pem(curve);
    const struct {
        const char *pem, *url, *said;
    } rows[] = {
        {"hunter22-is-no-key", "https://t.example", "it is no private key in PEM without a passphrase"},
        {no_rsa, "https://t.example", "it is no RSA key"},
        {no_rsa, NULL, "the key file has no \"token_uri\""},
        {NULL, "https://t.example", "the key file has no \"private_key\""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *file = key_file(rows[i].pem, rows[i].url);
        char *key = setting("key", file);
        char *connector = auth_connector(SERVICE "}");
        char *why = engine_stand_refusal(connector, key);
        assert_contains(why, rows[i].said);
        assert_memory_equal(why, "systems.vendor.key: ", strlen("systems.vendor.key: "));
        assert_null(strstr(why, "hunter22"));
        assert_null(strstr(why, "BEGIN"));
        free(why);
        free(connector);
        free(key);
        free(file);
    }
    free(no_rsa);
    EVP_PKEY_free(curve);
    assert_refusal(SERVICE "}", "key: hunter22-is-no-json",
                   "systems.vendor.key: it is not the JSON text of a service account's key file");
    secret_forget_all();
}

/* ---- secrets ----------------------------------------------------------------------------------------------------- */

static char *all_of(const struct trial *trial)
{
    char *context = json_text(trial->result.context);
    char *text = mem_printf("%s %s", trial->result.message, context);
    free(context);
    return text;
}

/* A vendor that repeats our token in its answer. */
static void test_token_masked(void **state)
{
    (void)state;
    struct stage stage;
    set_stage(&stage, CLIENT "}", "");
    struct trial *trial = started(&stage, "read", "ann@example.com");
    ended(trial, "succeeded");
    char *text = all_of(trial);
    assert_string_equal(json_string_at(trial->result.context, "outputs.said"), "hello, Bearer ***");
    assert_null(strstr(text, "token-1"));
    free(text);
    trial_free(trial);
    clear_stage(&stage);
}

/* An endpoint that repeats what it was sent: the assertion, the secret, basic auth's base64 of it. */
static struct exchange repeat(const char *line, const char *head, const char *body, void *arg)
{
    char **kept = arg;
    (void)line;
    const char *basic = strstr(head, "Basic ");
    const char *said = basic ? basic : strstr(body, "assertion=") ? strstr(body, "assertion=") : body;
    free(*kept);
    *kept = mem_printf("{\"error\": \"invalid_request\", \"error_description\": \"%.*s\"}", (int)strcspn(said, "\r\n"),
                       said);
    return (struct exchange){.status = 400, .body = *kept};
}

static void test_endpoint_that_repeats(void **state)
{
    (void)state;
    static const struct {
        const char *auth;
        const char *said;
    } rows[] = {
        {CLIENT "}", "invalid_request: Basic ***"},
        {CLIENT ", style: form}", "client_id=my%20id&client_secret=***"},
        {SERVICE_HERE, "assertion=***"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct stage stage;
        char *kept = NULL;
        set_stage(&stage, rows[i].auth, "");
        vendor_stub_choose(stage.stand->vendor, repeat, &kept);
        struct trial *trial = started(&stage, "read", "ann@example.com");
        ended(trial, "denied");
        assert_contains(trial->result.message, rows[i].said);
        trial_free(trial);
        clear_stage(&stage);
        free(kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_subject_refused),
        cmocka_unit_test(test_still_401),
        cmocka_unit_test(test_tried_again),
        cmocka_unit_test(test_put_off),
        cmocka_unit_test(test_circuit),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_wrong_address),
        cmocka_unit_test(test_dry_run),
        cmocka_unit_test(test_settings_missing),
        cmocka_unit_test(test_wrong_key),
        cmocka_unit_test(test_token_masked),
        cmocka_unit_test(test_endpoint_that_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
