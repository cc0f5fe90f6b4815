/* Signed tokens: their form, their signature, and what is said about keys that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/jwt.h"
#include "lib/mem.h"
#include "tests/unit/keys.h"

static void assert_part(const char *text, size_t text_len, const char *expected)
{
    size_t len;
    char *bytes = (char *)base64url_decoded(text, text_len, &len);
    json_t *value = json_parse(bytes, len, NULL);
    char *canonical = json_canonical(value);
    assert_string_equal(canonical, expected);
    free(canonical);
    json_decref(value);
    free(bytes);
}

static bool signed_by(EVP_PKEY *pkey, const char *token, const char *signature)
{
    size_t len;
    unsigned char *bytes = base64url_decoded(signature, strlen(signature), &len);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, pkey), 1);
    int right = EVP_DigestVerify(context, bytes, len, (const unsigned char *)token, (size_t)(signature - token) - 1);
    EVP_MD_CTX_free(context);
    free(bytes);
    return right == 1;
}

static void test_signature(void **state)
{
    (void)state;
    EVP_PKEY *pkey = EVP_RSA_gen(2048);
    EVP_PKEY *other = EVP_RSA_gen(2048);
    char *pem = key_pem(pkey);
    struct err err = ERR_INIT;
    struct jwt_key *key = jwt_key_read(pem, &err);
    assert_non_null(key);
    static const char *const ids[] = {"key-1", NULL};
    static const char *const heads[] = {"{\"alg\":\"RS256\",\"kid\":\"key-1\",\"typ\":\"JWT\"}",
                                        "{\"alg\":\"RS256\",\"typ\":\"JWT\"}"};
    json_t *claims = json_pack("{s:s, s:i}", "sub", "ünï?>~@example.com", "exp", 3600);
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        char *token = jwt_sign(key, ids[i], claims, &err);
        assert_non_null(token);
        char *first = strchr(token, '.');
        char *second = strchr(first + 1, '.');
        assert_part(token, (size_t)(first - token), heads[i]);
        assert_part(first + 1, (size_t)(second - first) - 1, "{\"exp\":3600,\"sub\":\"ünï?>~@example.com\"}");
        assert_true(signed_by(pkey, token, second + 1));
        assert_false(signed_by(other, token, second + 1));
        free(token);
    }
    json_decref(claims);
    jwt_key_free(key);
    free(pem);
    EVP_PKEY_free(pkey);
    EVP_PKEY_free(other);
}

static void assert_refused(const char *pem, const char *why)
{
    struct err err = ERR_INIT;
    assert_null(jwt_key_read(pem, &err));
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_string_equal(err_text(&err), why);
    err_release(&err);
}

static void test_wrong_keys(void **state)
{
    (void)state;
    static const char no_key[] = "could not read the private key: it is no private key in PEM without a passphrase";
    EVP_PKEY *keys[] = {EVP_RSA_gen(2048), EVP_RSA_gen(1024), EVP_EC_gen("P-256")};
    char *right = key_pem(keys[0]);
    char *weak = key_pem(keys[1]);
    char *curve = key_pem(keys[2]);
    char *locked = key_pem_locked(keys[0], "passphrase");
    char *cut = mem_strndup(right, strlen(right) / 2);
    assert_refused("", no_key);
    assert_refused("hunter22", no_key);
    assert_refused(cut, no_key);
    assert_refused(locked, no_key);
    assert_refused(weak, "could not read the private key: it has less than 2,048 bits");
    assert_refused(curve, "could not read the private key: it is no RSA key");
    free(right);
    free(weak);
    free(curve);
    free(locked);
    free(cut);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        EVP_PKEY_free(keys[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_wrong_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
