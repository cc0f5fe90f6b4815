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

#define BODY "{\"id\":\"evt_1\"}"
#define STRIPE                                                                                                         \
    "{\"signature\": {\"header\": \"Stripe-Signature\", \"prefix\": \"v1=\", \"text\": \"{timestamp}.{body}\","        \
    " \"timestamp\": \"Stripe-Signature\", \"timestamp_prefix\": \"t=\", \"key\": \"key\"}}"
#define NEW "e135cdbed3dda004bf8a2fb350f2541d299393c770e0b9e6e319dc595e9072aa"
#define OLD "af048688d93b58e31cfed30ec83cce01db5947e968bc396e07ee3f5064b781cd" /* by the older key */
#define NIL "0000000000000000000000000000000000000000000000000000000000000000"

/* Time and signatures as parts of one header, in any order; while a sender replaces its key it lists a signature by each. */
static void test_parts_of_one_header(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t at;
        enum signature_verdict verdict;
    } cases[] = {
        {"t=1614265330,v1=" NEW, 0, SIGNATURE_GOOD},
        {"v1=" NEW ",t=1614265330", 0, SIGNATURE_GOOD},
        {"t=1614265330, v1=" NIL ", v1=" NEW ", v0=" NIL, 0, SIGNATURE_GOOD},
        {"t=1614265330;v1=" OLD, 0, SIGNATURE_GOOD},
        {"t=1614265330,v1=" OLD " t=1614265330,v1=" NEW, 0, SIGNATURE_GOOD},
        {"t=1614265331,v1=" NIL " t=1614265330,v1=" NEW, 0, SIGNATURE_GOOD}, /* each has its own time */
        {"t=1614265330,v1=" NEW, 301, SIGNATURE_STALE},
        {"t=1614265331,v1=" NEW, 0, SIGNATURE_WRONG},
        {"t=1614265330,v1=" NIL, 0, SIGNATURE_WRONG},
        {"t=1614265330,v0=" NEW, 0, SIGNATURE_WRONG},
        {"t=1614265330", 0, SIGNATURE_WRONG},
        {"t=,v1=" NEW, 0, SIGNATURE_WRONG},
        {"v1=" NEW, 0, SIGNATURE_MISSING},
        {"t=1,t=2,t=3,t=4,t=1614265330,v1=" NEW, 0, SIGNATURE_WRONG}, /* how many are tried is ours to say */
        {",;, ", 0, SIGNATURE_MISSING},
        {"t", 0, SIGNATURE_MISSING},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *const headers[] = {"Stripe-Signature", cases[i].value, NULL};
        enum signature_verdict got = verdict(STRIPE, "whsec_test_secret", headers, BODY, 1614265330 + cases[i].at);
        if (got != cases[i].verdict) {
            fail_msg("%s: %s", cases[i].value, signature_verdict_name(got));
        }
    }
}

/* Further senders, their rules with made-up keys. */
static void test_more_senders(void **state)
{
    (void)state;
    static const struct vector senders[] = {
        /* Paddle */
        {"{\"signature\": {\"header\": \"Paddle-Signature\", \"prefix\": \"h1=\", \"text\": \"{timestamp}:{body}\","
         " \"timestamp\": \"Paddle-Signature\", \"timestamp_prefix\": \"ts=\", \"key\": \"key\"}}",
         "pdl_ntfset_key",
         {"Paddle-Signature", "ts=1614265330;h1=e49d721cf2e7ff7dc30a8a77a82264ccd947dcef6ddadbc170871c08dfffcd94"},
         BODY,
         1614265330},
        /* GitHub's older header, Intercom: SHA-1 */
        {"{\"signature\": {\"header\": \"X-Hub-Signature\", \"prefix\": \"sha1=\", \"algorithm\": \"sha1\", \"key\": "
         "\"key\"}}",
         "shared secret",
         {"X-Hub-Signature", "sha1=7eea33b5dddf4b04fd4f9a93d573ac671fd5592f"},
         "body",
         0},
        /* Greenhouse: a word and a blank before it */
        {"{\"signature\": {\"header\": \"Signature\", \"key\": \"key\"}}",
         "gh key",
         {"Signature", "sha256 00d100ccaecb927666422483ee8093902948f6564cc176004d6123b86db247e2"},
         "body",
         0},
        /* Microsoft Teams */
        {"{\"signature\": {\"header\": \"Authorization\", \"encoding\": \"base64\", \"key\": \"key\"}}",
         "teams key",
         {"Authorization", "HMAC EwqxlHPioQmsMkGvwAuTm19HJiaV7AgneaHYpEehn7g="},
         "body",
         0},
        /* Deel: text around the body */
        {"{\"signature\": {\"header\": \"x-deel-signature\", \"text\": \"POST{body}\", \"key\": \"key\"}}",
         "deel key",
         {"x-deel-signature", "58776818932bdbe3abfabac92b9ffe6a605a2ba4491c5a748653f4608844c4cb"},
         BODY,
         0},
    };
    for (size_t i = 0; i < COUNT_OF(senders); i++) {
        const struct vector *sender = &senders[i];
        assert_int_equal(verdict(sender->words, sender->key, sender->headers, sender->body, sender->at),
                         SIGNATURE_GOOD);
        assert_int_equal(verdict(sender->words, sender->key, sender->headers, "x" BODY, sender->at), SIGNATURE_WRONG);
    }
}

/* A prefix that is longer than what is left of the header, one with a blank in it, one that is a separator: whatever a caller
 * without a key sends, nothing is read behind it, and nothing fits. */
static void test_prefixes_and_headers_that_collide(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"HMAC ", "v1,", "=", " ", ",", "sha256=", "HMAC HMAC "};
    static const char *const values[] = {"HMAC",       "HMAC ",  "HMAC H", "v1",     "v1,",     "v1, ",
                                         ",",          ";;",     "=",      "sha256", "sha256=", "HMAC HMAC",
                                         "HMAC HMAC ", "H HMAC", " HMAC ", "\t"};
    for (size_t i = 0; i < COUNT_OF(prefixes) * COUNT_OF(values); i++) {
        char *words = mem_printf("{\"signature\": {\"header\": \"X-S\", \"encoding\": \"base64\", \"prefix\": \"%s\","
                                 " \"key\": \"key\"}}",
                                 prefixes[i % COUNT_OF(prefixes)]);
        char *value = mem_strdup(values[i / COUNT_OF(prefixes)]); /* its end is the end of its memory */
        const char *const headers[] = {"X-S", value, NULL};
        assert_int_equal(verdict(words, "k", headers, "b", 0), SIGNATURE_WRONG);
        free(value);
        free(words);
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
    static const char basic[] = "{\"token\": {\"header\": \"Authorization\", \"key\": \"key\", \"prefix\": \"Basic \","
                                " \"encoding\": \"base64\"}}";
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
        {basic, {"authorization", "Basic b2t0YSdzIHNlY3JldA=="}, SIGNATURE_GOOD},
        {basic, {"authorization", "basic b2t0YSdzIHNlY3JldA"}, SIGNATURE_GOOD},
        {basic, {"authorization", "Basic okta's secret"}, SIGNATURE_WRONG},
        {basic, {"authorization", "Basic "}, SIGNATURE_WRONG},
        {basic, {"authorization", "Basic b2t0YSdzIHNlY3JldCA="}, SIGNATURE_WRONG},
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
        cmocka_unit_test(test_published),    cmocka_unit_test(test_changed),
        cmocka_unit_test(test_age),          cmocka_unit_test(test_rules),
        cmocka_unit_test(test_token),        cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_closed),       cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_reads),        cmocka_unit_test(test_parts_of_one_header),
        cmocka_unit_test(test_more_senders), cmocka_unit_test(test_prefixes_and_headers_that_collide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
