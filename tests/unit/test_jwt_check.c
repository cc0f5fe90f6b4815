/* Tokens that their sender signs: published examples, keys made here, and what must not pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>
#include <openssl/core_names.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/jwt_check.h"
#include "lib/time.h"
#include "tests/unit/helpers.h"
#include "tests/unit/keys.h"

#define NOW 1614265330

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

static json_t *json_of(const char *text)
{
    json_t *value = json_parse(text, strlen(text), NULL);
    assert_non_null(value);
    return value;
}

/* `token` is the body, or with `body` it stands in Authorization. `why`: a part of the err's text. */
static enum signature_verdict verdict(const char *words, const json_t *keys, const char *token, const char *body,
                                      int64_t now, const char *why)
{
    char *bearer = mem_printf("Bearer %s", token);
    const char *headers[] = {"Authorization", bearer, NULL};
    json_t *jwt = json_of(words), *claims = NULL;
    struct err err = ERR_INIT;
    const char *sent = body ? body : token;
    struct signature_request request = {header, headers, sent, strlen(sent), now * TIME_SECOND};
    enum signature_verdict result = jwt_check(jwt, keys, &request, &claims, &err);
    assert_int_equal(result == SIGNATURE_GOOD, err.class == ERR_NONE);
    assert_int_equal(result == SIGNATURE_GOOD, claims != NULL);
    if (why) {
        assert_contains(err_text(&err), why);
    }
    err_release(&err);
    json_decref(claims);
    json_decref(jwt);
    free(bearer);
    return result;
}

/* ---- RFC 7515, A.2 and A.3 --------------------------------------------------------------------------------------- */

#define PAYLOAD "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

static const char rs256[] =
    "eyJhbGciOiJSUzI1NiJ9." PAYLOAD
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W"
    "2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_"
    "eSN9383LcOL"
    "n6_dO--xi12jzDwusC-"
    "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ"
    "Ge77Rw";
static const char es256[] = "eyJhbGciOiJFUzI1NiJ9." PAYLOAD
                            ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
static const char published[] =
    "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"},"
    "{\"kty\": \"RSA\", \"e\": \"AQAB\", \"n\": "
    "\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEz"
    "P1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"
    "KXBdQOS-UTo"
    "7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
    "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h"
    "4FRWyuXpoQ\"},"
    "{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    " \"y\": \"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";
static const char joe[] = "{\"claims\": {\"iss\": \"joe\"}}";

static void test_published(void **state)
{
    (void)state;
    json_t *keys = jwt_keys_parse(published, strlen(published), NULL);
    assert_int_equal(json_array_size(json_object_get(keys, "keys")), 2);
    static const char *const tokens[] = {rs256, es256};
    for (size_t i = 0; i < COUNT_OF(tokens); i++) {
        assert_int_equal(verdict(joe, keys, tokens[i], NULL, 1300819380, NULL), SIGNATURE_GOOD);
        assert_int_equal(verdict(joe, keys, tokens[i], NULL, 1300819380 + 61, "the token ended 61 s ago"),
                         SIGNATURE_STALE);
        char *changed = mem_strdup(tokens[i]); /* a letter of the claims, then one of the signature */
        changed[60] ^= 1;
        assert_int_not_equal(verdict(joe, keys, changed, NULL, 1300819380, NULL), SIGNATURE_GOOD);
        changed[60] ^= 1;
        changed[strlen(changed) - 10] ^= 1;
        assert_int_equal(verdict(joe, keys, changed, NULL, 1300819380, "fits no key of the sender's"),
                         SIGNATURE_UNKNOWN_KEY);
        free(changed);
    }
    json_decref(keys);
}

/* ---- keys made here ---------------------------------------------------------------------------------------------- */

static char *base64url(const unsigned char *bytes, size_t len)
{
    char *text = mem_alloc((len + 2) / 3 * 4 + 1);
    EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
    text[strcspn(text, "=")] = '\0';
    for (char *c = text; *c; c++) {
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    }
    return text;
}

static json_t *number_of(EVP_PKEY *pkey, const char *name, size_t len)
{
    unsigned char bytes[1024];
    BIGNUM *number = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, name, &number), 1);
    len = len ? len : (size_t)BN_num_bytes(number);
    assert_true(BN_bn2binpad(number, bytes, (int)len) > 0);
    char *text = base64url(bytes, len);
    json_t *value = json_string(text);
    free(text);
    BN_free(number);
    return value;
}

/* A JWK set of this key. */
static json_t *set_of(EVP_PKEY *pkey, const char *kid)
{
    json_t *jwk =
        EVP_PKEY_base_id(pkey) == EVP_PKEY_RSA
            ? json_pack("{s:s, s:s, s:o, s:o}", "kty", "RSA", "use", "sig", "n",
                        number_of(pkey, OSSL_PKEY_PARAM_RSA_N, 0), "e", number_of(pkey, OSSL_PKEY_PARAM_RSA_E, 0))
            : json_pack("{s:s, s:s, s:o, s:o}", "kty", "EC", "crv", "P-256", "x",
                        number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_X, 32), "y",
                        number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, 32));
    json_put_string(jwk, "kid", kid);
    return json_pack("{s:[o]}", "keys", jwk);
}

static char *token_of(EVP_PKEY *pkey, const char *head, const char *claims)
{
    char *first = base64url((const unsigned char *)head, strlen(head));
    char *second = base64url((const unsigned char *)claims, strlen(claims));
    char *text = mem_printf("%s.%s", first, second);
    unsigned char bytes[1024];
    size_t len = sizeof bytes;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, pkey), 1);
    assert_int_equal(EVP_DigestSign(context, bytes, &len, (unsigned char *)text, strlen(text)), 1);
    EVP_MD_CTX_free(context);
    char *third = base64url(bytes, len);
    char *token = mem_printf("%s.%s", text, third);
    free(third);
    free(text);
    free(second);
    free(first);
    return token;
}

/* What is asked of the claims, the age and the body: one fault each. */
static void test_claims(void **state)
{
    (void)state;
    static const char words[] = "{\"header\": \"authorization\", \"prefix\": \"Bearer \", \"body_sha256\": \"hash\","
                                " \"claims\": {\"aud\": \"us\", \"email\": \"hr@x\"}}";
    static const struct {
        const char *claims;
        enum signature_verdict verdict;
        const char *why;
    } cases[] = {
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": 1614265400, \"hash\": \"%s\"", SIGNATURE_GOOD, NULL},
        {"\"aud\": [\"them\", \"us\"], \"email\": \"hr@x\", \"iat\": 1614265100, \"hash\": \"%s\"", SIGNATURE_GOOD,
         NULL},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": 1614265270.5, \"hash\": \"%s\"", SIGNATURE_GOOD, NULL},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": 1614265269, \"hash\": \"%s\"", SIGNATURE_STALE,
         "ended 61 s ago"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"iat\": 1614265029, \"hash\": \"%s\"", SIGNATURE_STALE,
         "made 301 s ago"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"iat\": 1614265400, \"hash\": \"%s\"", SIGNATURE_STALE, "ahead"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": 1614265400, \"nbf\": 1614265395, \"hash\": \"%s\"",
         SIGNATURE_STALE, "ahead"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"hash\": \"%s\"", SIGNATURE_MISSING, "neither when it ends"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": \"1614265400\", \"hash\": \"%s\"", SIGNATURE_WRONG,
         "claim exp"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": \"1\", \"iat\": 1614265330, \"hash\": \"%s\"", SIGNATURE_WRONG,
         "the token's claim exp is not a number of seconds since 1970"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": -5, \"iat\": 1614265330, \"hash\": \"%s\"", SIGNATURE_WRONG,
         "claim exp"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": null, \"iat\": 1614265330, \"hash\": \"%s\"", SIGNATURE_WRONG,
         "claim exp"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": 1614265400000, \"iat\": 1614265330, \"hash\": \"%s\"",
         SIGNATURE_WRONG, "claim exp"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": 1614265400, \"nbf\": \"soon\", \"hash\": \"%s\"",
         SIGNATURE_WRONG, "claim nbf"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": 1614265400, \"iat\": [], \"hash\": \"%s\"", SIGNATURE_WRONG,
         "claim iat"},
        {"\"aud\": \"them\", \"email\": \"hr@x\", \"exp\": 1614265400, \"hash\": \"%s\"", SIGNATURE_WRONG, "claim aud"},
        {"\"aud\": [\"them\"], \"email\": \"hr@x\", \"exp\": 1614265400, \"hash\": \"%s\"", SIGNATURE_WRONG,
         "claim aud"},
        {"\"aud\": \"us\", \"exp\": 1614265400, \"hash\": \"%s\"", SIGNATURE_WRONG, "claim email"},
        {"\"aud\": \"us\", \"email\": true, \"exp\": 1614265400, \"hash\": \"%s\"", SIGNATURE_WRONG, "claim email"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": 1614265400, \"hash\": \"%s0\"", SIGNATURE_WRONG,
         "another body"},
        {"\"aud\": \"us\", \"email\": \"hr@x\", \"exp\": 1614265400, \"more\": \"%s\"", SIGNATURE_WRONG,
         "another body"},
    };
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    json_t *keys = set_of(pkey, "k-1");
    char digest[ID_SHA256_HEX_SIZE];
    id_sha256_hex("{}", 2, digest);
    /* ES256 wants r and s side by side, which libcrypto doesn't write: the other kind of key has the same claims. */
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    json_t *rsa_keys = set_of(rsa, "k-1");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf claims = BUF_INIT;
        buf_adds(&claims, "{");
        char *hash = strstr(cases[i].claims, "%s");
        buf_add(&claims, cases[i].claims, (size_t)(hash - cases[i].claims));
        buf_addf(&claims, "%s%s}", digest, hash + 2);
        char *token = token_of(rsa, "{\"alg\": \"RS256\", \"kid\": \"k-1\"}", buf_text(&claims));
        if (verdict(words, rsa_keys, token, "{}", NOW, cases[i].why) != cases[i].verdict) {
            fail_msg("%s", cases[i].claims);
        }
        assert_int_equal(verdict(words, keys, token, "{}", NOW, "is not among the sender's"), SIGNATURE_UNKNOWN_KEY);
        free(token);
        buf_release(&claims);
    }
    json_decref(rsa_keys);
    json_decref(keys);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(pkey);
}

/* `tolerance` limits a token that says when it ends, too. */
static void test_tolerance(void **state)
{
    (void)state;
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    json_t *keys = set_of(rsa, NULL);
    char *token = token_of(rsa, "{\"alg\": \"RS256\"}", "{\"aud\": \"us\", \"iat\": 1614265330, \"exp\": 1900000000}");
    static const char loose[] = "{\"claims\": {\"aud\": \"us\"}}";
    static const char strict[] = "{\"claims\": {\"aud\": \"us\"}, \"tolerance\": \"1h\"}";
    assert_int_equal(verdict(loose, keys, token, NULL, NOW + 3601, NULL), SIGNATURE_GOOD);
    assert_int_equal(verdict(strict, keys, token, NULL, NOW + 3600, NULL), SIGNATURE_GOOD);
    assert_int_equal(verdict(strict, keys, token, NULL, NOW + 3601, "was made 3601 s ago"), SIGNATURE_STALE);
    free(token);
    json_decref(keys);
    EVP_PKEY_free(rsa);
}

static void test_which_key(void **state)
{
    (void)state;
    static const char claims[] = "{\"aud\": \"us\", \"exp\": 1614265400}";
    static const char words[] = "{\"claims\": {\"aud\": \"us\"}}";
    static const struct {
        const char *head;
        enum signature_verdict verdict;
    } cases[] = {
        {"{\"alg\": \"RS256\", \"kid\": \"k-1\"}", SIGNATURE_GOOD},
        {"{\"alg\": \"RS256\"}", SIGNATURE_GOOD},
        {"{\"alg\": \"RS256\", \"kid\": \"k-2\"}", SIGNATURE_UNKNOWN_KEY},
        {"{\"alg\": \"ES256\", \"kid\": \"k-1\"}", SIGNATURE_UNKNOWN_KEY},
        {"{\"alg\": \"HS256\", \"kid\": \"k-1\"}", SIGNATURE_WRONG},
        {"{\"alg\": \"none\"}", SIGNATURE_WRONG},
        {"{\"kid\": \"k-1\"}", SIGNATURE_WRONG},
        {"{\"alg\": \"RS256\", \"kid\": \"k-1\", \"crit\": [\"exp\"]}", SIGNATURE_WRONG},
    };
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *other = EVP_RSA_gen(2048), *small = EVP_RSA_gen(1024);
    json_t *keys = set_of(rsa, "k-1"), *others = set_of(other, "k-1"), *weak = set_of(small, "k-1");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *token = token_of(rsa, cases[i].head, claims);
        assert_int_equal(verdict(words, keys, token, NULL, NOW, NULL), cases[i].verdict);
        free(token);
    }
    char *token = token_of(rsa, cases[0].head, claims);
    assert_int_equal(verdict(words, others, token, NULL, NOW, NULL),
                     SIGNATURE_UNKNOWN_KEY); /* or a new key of that name */
    assert_int_equal(verdict(words, NULL, token, NULL, NOW, NULL), SIGNATURE_UNKNOWN_KEY);
    free(token);
    token = token_of(small, cases[0].head, claims);
    assert_int_equal(verdict(words, weak, token, NULL, NOW, NULL), SIGNATURE_UNKNOWN_KEY); /* too short to trust */
    free(token);
    json_decref(weak);
    json_decref(others);
    json_decref(keys);
    EVP_PKEY_free(small);
    EVP_PKEY_free(other);
    EVP_PKEY_free(rsa);
}

static void test_garbage(void **state)
{
    (void)state;
    static const char *const tokens[] = {
        "",         ".",         "..",          "a.b",         "a.b.c",           "e30.e30",
        "e30..e30", "e30.e30.*", "e30.W10.e30", "W10.e30.e30", "e30.e30.e30.e30", "\xff.\xff.\xff"};
    json_t *keys = json_of(published);
    for (size_t i = 0; i < COUNT_OF(tokens); i++) {
        enum signature_verdict got = verdict(joe, keys, tokens[i], NULL, NOW, NULL);
        assert_true(got == SIGNATURE_MISSING || got == SIGNATURE_WRONG);
    }
    json_decref(keys);
    static const char *const sets[] = {
        "",
        "{}",
        "[]",
        "{\"keys\": 7}",
        "{\"keys\": [7, {}, {\"kty\": \"oct\"}]}",
        "<html>",
        "{\"keys\": [{\"kty\": \"RSA\", \"use\": \"enc\"}, {\"kty\": \"EC\", \"crv\": \"P-521\"}]}",
        "{\"keys\": [{\"kty\": \"RSA\", \"alg\": \"RS512\"}]}"};
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        struct err err = ERR_INIT;
        assert_null(jwt_keys_parse(sets[i], strlen(sets[i]), &err));
        assert_int_equal(err.class, ERR_PERMANENT);
        err_release(&err);
    }
    /* keys that are none fit nothing */
    static const char *const broken[] = {"{\"keys\": [{\"kty\": \"RSA\"}, {\"kty\": \"EC\", \"crv\": \"P-256\"}]}",
                                         "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"\", \"e\": \"\"}, {\"kty\": \"EC\", "
                                         "\"crv\": \"P-256\", \"x\": \"AA\", \"y\": \"AA\"}]}",
                                         "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"***\", \"e\": 7}, {\"kty\": \"EC\", "
                                         "\"crv\": \"P-256\", \"x\": [], \"y\": null}]}"};
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        json_t *set = json_of(broken[i]);
        assert_int_equal(verdict(joe, set, rs256, NULL, 1300819380, NULL), SIGNATURE_UNKNOWN_KEY);
        assert_int_equal(verdict(joe, set, es256, NULL, 1300819380, NULL), SIGNATURE_UNKNOWN_KEY);
        json_decref(set);
    }
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const safe[] = {"https://keys.example.com/jwks", "https://k", "http://127.0.0.1:8080/x",
                                       "http://localhost/x", "http://[::1]:80/"};
    static const char *const unsafe[] = {
        "http://keys.example.com",      "https://",           "https:///x", "http://127.0.0.1.example.com/",
        "http://localhost.example.com", "file:///etc/passwd", "",           "keys"};
    for (size_t i = 0; i < COUNT_OF(safe); i++) {
        assert_true(jwt_address_safe(safe[i]));
    }
    for (size_t i = 0; i < COUNT_OF(unsafe); i++) {
        assert_false(jwt_address_safe(unsafe[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_claims),  cmocka_unit_test(test_tolerance),
        cmocka_unit_test(test_which_key), cmocka_unit_test(test_garbage), cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
