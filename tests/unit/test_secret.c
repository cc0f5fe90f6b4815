/* Secrets: whatever form one takes, it is masked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "lib/mem.h"
#include "lib/secret.h"

static int forget(void **state)
{
    (void)state;
    secret_forget_all();
    return 0;
}

static void assert_masked(const char *text, const char *expected)
{
    char *masked = secret_mask(text);
    assert_string_equal(masked, expected);
    free(masked);
}

static void test_plain(void **state)
{
    (void)state;
    assert_null(secret_mask(NULL));
    assert_masked("nothing known yet", "nothing known yet");
    secret_remember("s3cr3t-value");
    secret_remember("s3cr3t-value");
    assert_masked("", "");
    assert_masked("s3cr3t-value", "***");
    assert_masked("a s3cr3t-value, s3cr3t-values3cr3t-value!", "a ***, ******!");
    assert_masked("s3cr3t-valu", "s3cr3t-valu");
    secret_forget_all();
    assert_masked("s3cr3t-value", "s3cr3t-value");
}

static void test_short_words_stay_readable(void **state)
{
    (void)state;
    secret_remember(NULL);
    secret_remember("");
    secret_remember("admin");
    assert_masked("the admin did it", "the admin did it");
    secret_remember("admin1");
    assert_masked("the admin1 did it", "the *** did it");
}

static void test_longest_wins(void **state)
{
    (void)state;
    secret_remember("abcdef");
    secret_remember("abcdefghij");
    assert_masked("abcdefghij abcdefgh", "*** ***gh");
}

/* "user:" in front and ":tail" behind, of every length modulo 3. */
static void test_base64_within_something(void **state)
{
    (void)state;
    static const char *const secrets[] = {"pa55word-of-jira", "pa55word-of-jira1", "pa55word-of-jira12",
                                          "\xff\xfe>>>???~~~"};
    static const char *const fronts[] = {"", "u", "us", "use:", "user:"};
    static const char *const tails[] = {"", "x", "yz", "..."};
    for (size_t s = 0; s < COUNT_OF(secrets); s++) {
        secret_forget_all();
        secret_remember(secrets[s]);
        for (size_t f = 0; f < COUNT_OF(fronts); f++) {
            for (size_t t = 0; t < COUNT_OF(tails); t++) {
                char *whole = mem_printf("%s%s%s", fronts[f], secrets[s], tails[t]);
                char encoded[200];
                EVP_EncodeBlock((unsigned char *)encoded, (unsigned char *)whole, (int)strlen(whole));
                char *masked = secret_mask(encoded);
                assert_non_null(strstr(masked, "***"));
                assert_true(strlen(masked) <= 3 + 4 + 8 + 4); /* what is left says nothing of the secret but a bit */
                free(masked);
                free(whole);
            }
        }
    }
}

static void test_percent_encoded(void **state)
{
    (void)state;
    secret_remember("p/ss wörd+1");
    assert_masked("?password=p%2Fss%20w%C3%B6rd%2B1&x=1", "?password=***&x=1");
    assert_masked("password=p%2fss%20w%c3%b6rd%2b1", "password=***");
    assert_masked("password=p%2Fss+w%C3%B6rd%2B1", "password=***");
}

static void test_in_json(void **state)
{
    (void)state;
    const char *value = "quo\"te\\slash\tand\nline";
    secret_remember(value);
    json_t *object = json_pack("{s:s}", "password", value);
    char *text = json_dumps(object, JSON_COMPACT);
    assert_masked(text, "{\"password\":\"***\"}");
    free(text);
    json_decref(object);
}

static void test_many(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++) {
        char *value = mem_printf("token-number-%03d-", i);
        secret_remember(value);
        free(value);
    }
    assert_masked("token-number-000- token-number-499- token-number-500-", "*** *** token-number-500-");
}

static void test_wipe(void **state)
{
    (void)state;
    char text[] = "0123456789";
    secret_wipe(text);
    for (size_t i = 0; i < sizeof text; i++) {
        assert_int_equal(text[i], 0);
    }
    secret_wipe(NULL);
}

/* ---- of one run -------------------------------------------------------------------------------------------------- */

static void assert_own(const struct secret_set *set, const char *text, const char *expected)
{
    char *masked = secret_set_mask(set, text);
    assert_string_equal(masked, expected);
    free(masked);
}

static void assert_fact(const struct secret_set *set, const char *fact, const char *expected)
{
    char *masked = secret_set_mask_fact(set, fact);
    assert_string_equal(masked, expected);
    free(masked);
}

/* A passcode is its job's: in the texts of others the digits are a part of something else. */
static void test_own_secrets_are_nobody_elses(void **state)
{
    (void)state;
    struct secret_set *set = secret_set_new();
    secret_set_add(set, NULL);
    secret_set_add(set, "482913");
    secret_set_add(set, "4829");
    secret_set_add(set, "no");
    secret_remember("t0ken-of-the-process");
    assert_own(set, "id 1482913, pin 482913, code 4829; no t0ken-of-the-process", "id 1***, pin ***, code ***; no ***");
    assert_own(set, "code 48291 or 14829", "code 48291 or 14829"); /* so short: as a word only */
    assert_own(NULL, "pin 482913, t0ken-of-the-process", "pin 482913, ***");
    assert_masked("id 1482913, pin 482913", "id 1482913, pin 482913");
    assert_null(secret_set_mask(set, NULL));
    secret_set_free(set);
    secret_set_free(NULL);
}

/* What later jobs work with stays as it is where it only looks like a secret. */
static void test_facts(void **state)
{
    (void)state;
    struct secret_set *set = secret_set_new();
    secret_set_add(set, "482913");
    secret_set_add(set, "Madison");
    secret_set_add(set, "San Jos\xc3\xa9");
    secret_set_add(set, "12 Elm Street");
    secret_set_add(set, "sess-t0ken-123456");
    secret_remember("offboard");          /* a password that somebody found good enough */
    secret_remember("k3y-of-the-vendor"); /* and one that is */
    static const char *const rows[][2] = {
        {"1482913", "1482913"},
        {"dev-4829137", "dev-4829137"},
        {"locked with 482913", "locked with ***"},
        {"482913", "***"},
        {"pin=482913&x", "pin=***&x"},
        {"Madison", "Madison"},
        {"office San Jos\xc3\xa9", "office San Jos\xc3\xa9"},
        {"to 12 Elm Street, Madison", "to ***, Madison"},
        {"112 Elm Streets", "112 Elm Streets"},
        {"Bearer sess-t0ken-123456", "Bearer ***"},
        {"xsess-t0ken-123456x", "x***x"},
        {"label offboard", "label offboard"},
        {"ak3y-of-the-vendorb", "a***b"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_fact(set, rows[i][0], rows[i][1]);
    }
    assert_fact(NULL, "pin 482913, k3y-of-the-vendor", "pin 482913, ***");
    secret_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_plain, forget),
        cmocka_unit_test_teardown(test_short_words_stay_readable, forget),
        cmocka_unit_test_teardown(test_longest_wins, forget),
        cmocka_unit_test_teardown(test_base64_within_something, forget),
        cmocka_unit_test_teardown(test_percent_encoded, forget),
        cmocka_unit_test_teardown(test_in_json, forget),
        cmocka_unit_test_teardown(test_many, forget),
        cmocka_unit_test_teardown(test_wipe, forget),
        cmocka_unit_test_teardown(test_own_secrets_are_nobody_elses, forget),
        cmocka_unit_test_teardown(test_facts, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
