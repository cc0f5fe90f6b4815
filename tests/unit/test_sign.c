/* Signed requests: the examples that those who verify them have published, what is signed when, and keys that are none. */
/* links: tests/unit/engine_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/secret.h"
#include "lib/time.h"
#include "tests/unit/definitions.h"
#include "tests/unit/engine_stand.h"

#define KEY "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define STANDARD                                                                                                       \
    "key: \"${ .settings.key | ltrimstr(\\\"whsec_\\\") }\", key_coding: base64, coding: base64, "                     \
    "headers: {webhook-id: \"${ .job.id }\", webhook-timestamp: \"${ .signing.timestamp }\", "                         \
    "webhook-signature: \"v1,${ .signing.signature }\"}, "
#define SLACK_BODY                                                                                                     \
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name="      \
    "foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url="                     \
    "https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id="       \
    "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"

static char *connector_with(const char *signature)
{
    return mem_printf("system: vendor\n"
                      "settings: {url: {required: true}, key: {secret: true}}\n"
                      "auth:\n"
                      "  signature: {%s}\n"
                      "check: {get: /check}\n"
                      "actions:\n"
                      "  look: {effect: notify, accounts: none, requests: [{get: /thing}]}\n"
                      "  send:\n"
                      "    effect: notify\n"
                      "    accounts: none\n"
                      "    requests: [{post: \"\", json: {a: \"Gr\u00fc\u00dfe \\\"x\\\"\", b: [1, null]}}]\n",
                      signature);
}

static struct engine_stand *stand_with(const char *signature, const char *key)
{
    char *connector = connector_with(signature);
    char *settings = mem_printf("key: \"%s\"", key);
    struct engine_stand *stand = engine_stand_with(connector, settings, "");
    free(settings);
    free(connector);
    return stand;
}

static void run_action(struct engine_stand *stand, const char *action)
{
    struct trial *trial = trial_new(stand, action, NULL, NULL);
    trial_start(trial);
    trial_finish(trial);
    if (strcmp(trial->result.outcome, "succeeded") != 0) {
        fail_msg("%s: %s", trial->result.outcome, trial->result.message);
    }
    trial_free(trial);
}

/* A header of the latest request; "" when it had none. The caller frees. */
static char *header(const struct engine_stand *stand, const char *name)
{
    char *start = mem_printf("\r\n%s: ", name);
    const char *at = strcasestr(vendor_stub_last_head(stand->vendor), start);
    at = at ? at + strlen(start) : "";
    free(start);
    return mem_strndup(at, strcspn(at, "\r\n"));
}

/* ---- what others have published ---------------------------------------------------------------------------------- */

static void test_published_examples(void **state)
{
    (void)state;
    static const struct {
        const char *title, *key, *signature, *header, *value;
    } rows[] = {
        {"Standard Webhooks, libraries' test", KEY,
         STANDARD "text: \"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\\\"test\\\": 2432232314}${ .signing.body }\"",
         "webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"Slack, verifying requests", "8f742231b10e8888abcd99yyyzzz85a5",
         "key: \"${ .settings.key }\", text: \"v0:1531420618:" SLACK_BODY "${ .signing.body }\", "
         "headers: {X-Slack-Signature: \"v0=${ .signing.signature }\"}",
         "x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"},
        {"RFC 4231, 4.2", "0b0B0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
         "key: \"${ .settings.key }\", key_coding: hex, coding: hex, text: \"Hi There${ .signing.body }\", "
         "headers: {X-Hub-Signature-256: \"sha256=${ .signing.signature }\"}",
         "x-hub-signature-256", "sha256=b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct engine_stand *stand = stand_with(rows[i].signature, rows[i].key);
        vendor_stub_always(stand->vendor, 200, "{}");
        run_action(stand, "look");
        char *value = header(stand, rows[i].header);
        if (strcmp(value, rows[i].value) != 0) {
            fail_msg("%s: %s", rows[i].title, value);
        }
        free(value);
        engine_stand_free(stand);
        secret_forget_all();
    }
}

/* ---- what is signed, and when ------------------------------------------------------------------------------------ */

static void assert_signed(const struct engine_stand *stand)
{
    static const unsigned char key[] = {0x31, 0xf2, 0x90, 0xf6, 0xbf, 0x06, 0x29, 0x8a, 0xab, 0x4f, 0x08, 0xd4,
                                        0x3c, 0x3f, 0x08, 0x2c, 0xf6, 0x48, 0xa3, 0x62, 0xda, 0x2d, 0xa4, 0xb0};
    char *id = header(stand, "webhook-id");
    char *timestamp = header(stand, "webhook-timestamp");
    char *signature = header(stand, "webhook-signature");
    char *text = mem_printf("%s.%s.%s", id, timestamp, vendor_stub_last_body(stand->vendor));
    unsigned char mac[32];
    char wanted[48] = "v1,";
    HMAC(EVP_sha256(), key, sizeof key, (const unsigned char *)text, strlen(text), mac, NULL);
    EVP_EncodeBlock((unsigned char *)wanted + 3, mac, sizeof mac);
    assert_string_equal(signature, wanted);
    assert_in_range(atoll(timestamp), time_now() / TIME_SECOND - 5, time_now() / TIME_SECOND);
    free(id);
    free(timestamp);
    free(signature);
    free(text);
}

struct sending {
    char *seen[2]; /* id, timestamp and body of each try */
    size_t count;
    struct engine_stand *stand;
};

static struct exchange fail_first(const char *line, const char *head, const char *body, void *arg)
{
    struct sending *sending = arg;
    (void)head;
    assert_string_equal(line, "POST /");
    assert_in_range(sending->count, 0, 1);
    sending->seen[sending->count] = mem_strdup(body);
    return (struct exchange){.status = sending->count++ == 0 ? 503 : 200, .body = "{}"};
}

/* Each try is signed anew, over the bytes that it sends, and keeps the job's id. */
static void test_every_try_is_signed(void **state)
{
    (void)state;
    struct sending sending = {
        .stand = stand_with(STANDARD "text: \"${ .job.id }.${ .signing.timestamp }.${ .signing.body }\"", KEY)};
    vendor_stub_choose(sending.stand->vendor, fail_first, &sending);
    run_action(sending.stand, "send");
    assert_int_equal(sending.count, 2);
    assert_string_equal(sending.seen[0], sending.seen[1]);
    assert_non_null(strstr(sending.seen[1], "Gr\u00fc\u00dfe \\\"x\\\""));
    assert_signed(sending.stand);
    free(sending.seen[0]);
    free(sending.seen[1]);
    engine_stand_free(sending.stand);
    secret_forget_all();
}

/* ---- keys and words that are wrong ------------------------------------------------------------------------------- */

static void test_keys_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *coding, *key, *said;
    } rows[] = {
        {"base64", "c2VjcmV0c2VjcmV0!", "systems.vendor.key is not base64"},
        {"base64", "c2VjcmV0c2Vjcm", "systems.vendor.key is not base64"},
        {"base64", "=", "systems.vendor.key is not base64"},
        {"base64", "c2Vjcm==\\n\\n\\n\\n", "systems.vendor.key is not base64"},
        {"hex", "0b0b0", "systems.vendor.key is not hex"},
        {"hex", "s3cret-s3cret", "systems.vendor.key is not hex"},
        {"text", "", "systems.vendor.key is not set"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *signature = mem_printf("key: \"${ .settings.key }\", key_coding: %s, text: \"${ .signing.body }\", "
                                     "headers: {X: \"${ .signing.signature }\"}",
                                     rows[i].coding);
        char *connector = connector_with(signature);
        char *settings = mem_printf("key: \"%s\"", rows[i].key);
        char *why = engine_stand_refusal(connector, settings);
        if (!strstr(why, rows[i].said) || (*rows[i].key && strstr(why, rows[i].key))) {
            fail_msg("row %zu: %s", i, why);
        }
        free(why);
        free(settings);
        free(connector);
        free(signature);
        secret_forget_all();
    }
}

static void test_words(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/words.yaml",
        "system: words\n"                                                   /* 1 */
        "auth:\n"                                                           /* 2 */
        "  signature:\n"                                                    /* 3 */
        "    key: \"${ .user.email }\"\n"                                   /* 4 */
        "    key_coding: base46\n"                                          /* 5 */
        "    text: \"${ .signing.timestamp }.${ .signing.signature }\"\n"   /* 6 */
        "    coding: text\n"                                                /* 7 */
        "    headers: {X: \"${ .signing.body }\", Y: \"${ .sgning.x }\"}\n" /* 8 */
        "actions:\n"                                                        /* 9 */
        "  send:\n"                                                         /* 10 */
        "    effect: notify\n"                                              /* 11 */
        "    requests: [{post: \"\", json: \"${ .signing.body }\"}]\n"      /* 12 */
    );
    put(fixture, "connectors/other.yaml",
        "system: other\n"                                                   /* 1 */
        "auth: {signature: {key: x, text: \"${ .signing.body }\"}}\n"       /* 2 */
        "actions: {send: {effect: notify, requests: [{post: no-slash}]}}\n" /* 3 */
    );
    load(fixture);
    assert_has(fixture, "words.yaml", 4, "credentials are made of .settings only, not of .user");
    assert_has(fixture, "words.yaml", 5, "\"key_coding\" must be text, base64 or hex; did you mean \"base64\"?");
    assert_has(fixture, "words.yaml", 6,
               "there is no .signing.signature here, only .signing.timestamp and .signing.body");
    assert_has(fixture, "words.yaml", 6, "nothing here reads .signing.body");
    assert_has(fixture, "words.yaml", 7, "\"coding\" must be hex or base64");
    assert_has(fixture, "words.yaml", 8, "nothing here reads .signing.signature");
    assert_has(fixture, "words.yaml", 8, "there is no .sgning here");
    assert_has(fixture, "words.yaml", 12, "there is no .signing here");
    assert_has(fixture, "other.yaml", 2, "\"headers\" is missing");
    assert_has(fixture, "other.yaml", 3, "a path begins with \"/\"");
    assert_count(fixture, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_examples),
        cmocka_unit_test(test_every_try_is_signed),
        cmocka_unit_test(test_keys_that_are_none),
        cmocka_unit_test_setup_teardown(test_words, definitions_setup, definitions_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
