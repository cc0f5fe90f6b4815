/* Signatures as their senders publish them, and what must not pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/signature.h"
#include "lib/time.h"

/* Headers as "name", "value", …, NULL. */
static const char *header(const char *name, void *arg)
{
    for (const char **headers = arg; *headers; headers += 2) {
        if (strcasecmp(headers[0], name) == 0) {
            return headers[1];
        }
    }
    return NULL;
}

static const json_t *keys_of(const char *setting, void *arg)
{
    return json_object_get(arg, setting);
}

static enum signature_verdict verdict(const char *words_text, const char *key, const char *const *headers,
                                      const char *body, int64_t now)
{
    struct err err = ERR_INIT;
    json_t *words = json_parse(words_text, strlen(words_text), NULL);
    assert_non_null(words);
    json_t *keys = json_pack("{s:[s, s]}", "key", "an older key, still valid", key);
    struct signature_request request = {header, (void *)(uintptr_t)headers, body, strlen(body), now * TIME_SECOND};
    enum signature_verdict result = signature_check(words, keys_of, keys, &request, &err);
    assert_int_equal(result == SIGNATURE_GOOD, err.class == ERR_NONE);
    assert_null(strstr(err_text(&err), key));
    err_release(&err);
    json_decref(keys);
    json_decref(words);
    return result;
}

/* One sender: what its documentation gives, and what of it may not be changed. */
struct vector {
    const char *words;
    const char *key;
    const char *headers[9];
    const char *body;
    int64_t at;
};

/* docs.slack.dev, "Verifying requests from Slack". */
static const struct vector slack = {
    "{\"signature\": {\"header\": \"X-Slack-Signature\", \"prefix\": \"v0=\", \"text\": \"v0:{timestamp}:{body}\","
    " \"timestamp\": \"X-Slack-Request-Timestamp\", \"key\": \"key\"}}",
    "8f742231b10e8888abcd99yyyzzz85a5",
    {"X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
     "X-Slack-Request-Timestamp", "1531420618"},
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    "&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack."
    "com"
    "%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121."
    "803a0bc887a14d"
    "10d2c447fce8b6703c",
    1531420618};

/* github.com/standard-webhooks/standard-webhooks, the tests of its libraries. */
static const struct vector standard = {
    "{\"signature\": {\"header\": \"webhook-signature\", \"prefix\": \"v1,\", \"encoding\": \"base64\","
    " \"text\": \"{id}.{timestamp}.{body}\", \"timestamp\": \"webhook-timestamp\", \"id\": \"webhook-id\","
    " \"key\": \"key\", \"key_encoding\": \"base64\", \"key_prefix\": \"whsec_\"}}",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    {"webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp", "1614265330", "webhook-signature",
     "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v1a,x v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
    "{\"test\": 2432232314}",
    1614265330};

/* docs.github.com, "Validating webhook deliveries". */
static const struct vector github = {
    "{\"signature\": {\"header\": \"X-Hub-Signature-256\", \"prefix\": \"sha256=\", \"key\": \"key\"}}",
    "It's a Secret to Everybody",
    {"X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
    "Hello, World!",
    0};

static const struct vector *const published[] = {&slack, &standard, &github};

static void test_published(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(published); i++) {
        const struct vector *vector = published[i];
        assert_int_equal(verdict(vector->words, vector->key, vector->headers, vector->body, vector->at),
                         SIGNATURE_GOOD);
    }
}

/* One byte of anything that is signed, and it fits no more. */
static void test_changed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(published); i++) {
        const struct vector *vector = published[i];
        char *body = mem_strdup(vector->body);
        body[strlen(body) - 1] ^= 1;
        assert_int_equal(verdict(vector->words, vector->key, vector->headers, body, vector->at), SIGNATURE_WRONG);
        free(body);
        assert_int_equal(
            verdict(vector->words, "another key, another sender", vector->headers, vector->body, vector->at),
            SIGNATURE_WRONG);
        for (size_t j = 0; vector->headers[j]; j += 2) {
            const char *headers[9];
            memcpy(headers, vector->headers, sizeof headers);
            headers[j] = "x-other";
            assert_int_equal(verdict(vector->words, vector->key, headers, vector->body, vector->at), SIGNATURE_MISSING);
            headers[j] = vector->headers[j];
            char *value = mem_strdup(headers[j + 1]);
            value[strlen(value) - 2] ^= 1;
            headers[j + 1] = value;
            assert_int_equal(verdict(vector->words, vector->key, headers, vector->body, vector->at), SIGNATURE_WRONG);
            free(value);
        }
    }
}

static void test_age(void **state)
{
    (void)state;
    static const struct {
        int64_t ahead;
        enum signature_verdict verdict;
    } cases[] = {{300, SIGNATURE_GOOD}, {301, SIGNATURE_STALE}, {-300, SIGNATURE_GOOD}, {-301, SIGNATURE_STALE}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(verdict(slack.words, slack.key, slack.headers, slack.body, slack.at + cases[i].ahead),
                         cases[i].verdict);
    }
    /* GitHub signs no time: as old as it may be */
    assert_int_equal(verdict(github.words, github.key, github.headers, github.body, 4102444800), SIGNATURE_GOOD);
}

/* Made with `openssl dgst -sha256 -hmac KEY`: senders that publish the rule and no example. */
static void test_rules(void **state)
{
    (void)state;
    static const struct vector rules[] = {
        /* BambooHR: the body first, then the time, nothing between */
        {"{\"signature\": {\"header\": \"X-BambooHR-Signature\", \"text\": \"{body}{timestamp}\","
         " \"timestamp\": \"X-BambooHR-Timestamp\", \"key\": \"key\"}}",
         "bamboo-private-key",
         {"X-BambooHR-Signature", "8d888621b570e1cc4be8f027114539caf0c7f7a47418a3cc3d29eaf9c1df08f3",
          "X-BambooHR-Timestamp", "1614265330"},
         "{\"employees\":[]}",
         1614265330},
        {"{\"signature\": {\"header\": \"aftership-hmac-sha256\", \"encoding\": \"base64\", \"key\": \"key\"}}",
         "aftership-secret",
         {"aftership-hmac-sha256", "mak0of2FuMTOTkc/ki04GPpr3byi4mKSUY5cEhpN/5U="},
         "{\"event\":\"tracking_update\"}",
         0},
        {"{\"signature\": {\"header\": \"X-Hmac-Signature\", \"prefix\": \"hmac-sha256-hex=\", \"key\": \"key\"}}",
         "easypost-secret",
         {"X-Hmac-Signature", "hmac-sha256-hex=464bc779eb89aee0b3e15d029d1e60c0920700965fd7e8068afbb72e1b7144bf"},
         "{\"description\":\"tracker.updated\"}",
         0},
        {"{\"signature\": {\"header\": \"X-S\", \"algorithm\": \"sha512\", \"key\": \"key\", \"key_encoding\": "
         "\"hex\"}}",
         "736563726574",
         {"X-S", "de4a671e8233987c46a9048b8041bda6296901960022836c15c28023d3f66c3720449af241bdfe2e592c5b2273730cd1df763"
                 "073e018e60d7313077c5342fde9"},
         "body",
         0},
    };
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        const struct vector *rule = &rules[i];
        assert_int_equal(verdict(rule->words, rule->key, rule->headers, rule->body, rule->at), SIGNATURE_GOOD);
    }
}

static void test_timestamps(void **state)
{
    (void)state;
    static const char words[] = "{\"signature\": {\"header\": \"X-S\", \"text\": \"{timestamp}{body}\", \"timestamp\":"
                                " \"X-T\", \"tolerance\": \"1m\", \"key\": \"key\"}}";
    static const struct {
        const char *headers[5];
        enum signature_verdict verdict;
    } cases[] = {
        {{"X-T", "1614265330000", "X-S", "826309f2ba1f31766d1a9b4fffc6a96a1e5835a0db8cc880377c95172bf5cb75"},
         SIGNATURE_GOOD},
        {{"X-T", "2021-02-25T15:02:10Z", "X-S", "07ac864d6e9431f377701cb34992473213c0d68779c63079530c8462037163bc"},
         SIGNATURE_GOOD},
        {{"X-T", "soon", "X-S", "19078ea4177b19044280b07b12d1e7c78e33c73f3813f3a5a9e7d365d7cfeb49"}, SIGNATURE_MISSING},
        {{"X-T", "99999999999999999999", "X-S", "600febe55501c0bf2513535304798f8837e9d94d2f7f19c3bc61fd3c2f714427"},
         SIGNATURE_MISSING},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(verdict(words, "k", cases[i].headers, "b", 1614265330 + 59), cases[i].verdict);
    }
}

static void test_token(void **state)
{
    (void)state;
    static const char words[] = "{\"token\": {\"header\": \"Authorization\", \"key\": \"key\"}}";
    static const char bearer[] =
        "{\"token\": {\"header\": \"Authorization\", \"key\": \"key\", \"prefix\": \"Bearer \"}}";
    static const struct {
        const char *words;
        const char *headers[3];
        enum signature_verdict verdict;
    } cases[] = {
        {words, {"authorization", "okta's secret"}, SIGNATURE_GOOD},
        {words, {"authorization", "okta's secre"}, SIGNATURE_WRONG},
        {words, {"authorization", "okta's secret "}, SIGNATURE_WRONG},
        {words, {"authorization", ""}, SIGNATURE_WRONG},
        {words, {"other", "okta's secret"}, SIGNATURE_MISSING},
        {bearer, {"authorization", "bearer okta's secret"}, SIGNATURE_GOOD},
        {bearer, {"authorization", "okta's secret"}, SIGNATURE_MISSING},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(verdict(cases[i].words, "okta's secret", cases[i].headers, "", 0), cases[i].verdict);
    }
}

/* Nobody is let in where there is no key: not with an empty one either. */
static void test_closed(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-S", "", NULL};
    static const char *const words[] = {"{}", "{\"token\": {\"header\": \"X-S\", \"key\": \"other\"}}",
                                        "{\"signature\": {\"header\": \"X-S\", \"key\": \"other\"}}"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        assert_int_equal(verdict(words[i], "key", headers, "", 0), SIGNATURE_CLOSED);
    }
    json_t *empty = json_pack("{s:[s]}", "key", "");
    json_t *token = json_pack("{s:{s:s, s:s}}", "token", "header", "X-S", "key", "key");
    struct signature_request request = {header, (void *)(uintptr_t)headers, "", 0, 0};
    assert_int_equal(signature_check(token, keys_of, empty, &request, NULL), SIGNATURE_WRONG);
    json_decref(token);
    json_decref(empty);
}

/* A header that was cut, a pile of signatures, bytes of no encoding. */
static void test_garbage(void **state)
{
    (void)state;
    static const char *const values[] = {
        "v1,",  "v1,=",   "v1,====", "v1",   " ",
        "v1,*", "v1,A A", "v1,\xff", "v1,A", "v1,v1,v1, v1, v1, v1, v1, v1, v1, v1, v1,"};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        const char *headers[9];
        memcpy(headers, standard.headers, sizeof headers);
        headers[5] = values[i];
        assert_int_equal(verdict(standard.words, standard.key, headers, standard.body, standard.at), SIGNATURE_WRONG);
    }
    /* a key that is no base64 lets nobody in */
    assert_int_equal(verdict(standard.words, "whsec_***", standard.headers, standard.body, standard.at),
                     SIGNATURE_WRONG);
}

static void test_reads(void **state)
{
    (void)state;
    json_t *words = json_parse(slack.words, strlen(slack.words), NULL);
    assert_true(signature_reads(words, "x-slack-signature"));
    assert_false(signature_reads(words, "x-slack-request-timestamp"));
    json_decref(words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_changed), cmocka_unit_test(test_age),
        cmocka_unit_test(test_rules),     cmocka_unit_test(test_token),   cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_closed),    cmocka_unit_test(test_garbage), cmocka_unit_test(test_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
