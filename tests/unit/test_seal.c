/* Sealed texts: the form is fixed, and nothing opens but what was sealed, as it was sealed, for whom it was sealed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/decode.h"
#include "lib/mem.h"
#include "lib/seal.h"

#define SUBJECT "5f0d2a4c-0000-4000-8000-000000000001"
#define OTHER   "5f0d2a4c-0000-4000-8000-000000000002"

static const char text[] = "{\"user\": {\"email\": \"anna@example.com\"}}";

/* Bytes 0 to 31. */
static const unsigned char *key(void)
{
    static unsigned char bytes[SEAL_KEY_SIZE];
    for (int i = 0; i < SEAL_KEY_SIZE; i++) {
        bytes[i] = (unsigned char)i;
    }
    return bytes;
}

static void assert_opens(const char *subject, const void *sealed, size_t len, const char *expected, size_t expected_len)
{
    struct err err = ERR_INIT;
    size_t opened_len = 0;
    char *opened = seal_open(key(), subject, sealed, len, &opened_len, &err);
    assert_non_null(opened);
    assert_int_equal(opened_len, expected_len);
    assert_memory_equal(opened, expected, expected_len);
    assert_int_equal(opened[opened_len], '\0');
    free(opened);
}

static void assert_shut(const unsigned char *with, const char *subject, const void *sealed, size_t len, const char *why)
{
    struct err err = ERR_INIT;
    size_t opened_len = 4711;
    assert_null(seal_open(with, subject, sealed, len, &opened_len, &err));
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_non_null(strstr(err_text(&err), why));
    assert_int_equal(opened_len, 4711);
    err_release(&err);
}

/* What Python's package cryptography makes of this key, subject, text, and the IV 100, 101, …, 115 (tests/system/sealing.py). */
static const char golden[] =
    "4f4253316465666768696a6b6c6d6e6f70717273a6cb98d0bb11aa5b6caeb6ff1b01773db58147f0785002e5680a0b8c91"
    "0c5f467f693d037413eb687ec92491c9aa59c94c34a046afc8b31b94dcad8f9566ebeb4a93a43f5c05295d2f3c793131"
    "3a44f8";

static void test_form_is_fixed(void **state)
{
    (void)state;
    size_t len = 0;
    unsigned char *sealed = decode_hex(golden, strlen(golden), &len);
    assert_int_equal(len, 4 + 16 + 48 + 32);
    assert_opens(SUBJECT, sealed, len, text, strlen(text));
    free(sealed);
}

static unsigned char *seal(const char *what, size_t *len)
{
    unsigned char *sealed = seal_make(key(), SUBJECT, what, strlen(what), len, NULL);
    assert_non_null(sealed);
    return sealed;
}

static void test_what_is_sealed_opens(void **state)
{
    (void)state;
    char *what = mem_strdup("");
    for (size_t size = 0; size < 70; size++) {
        size_t len = 0;
        unsigned char *sealed = seal(what, &len);
        assert_int_equal(len, 4 + 16 + (size / 16 + 1) * 16 + 32);
        assert_true(seal_is(sealed, len));
        assert_opens(SUBJECT, sealed, len, what, size);
        free(sealed);
        char *longer = mem_printf("%sx", what);
        free(what);
        what = longer;
    }
    free(what);
    assert_false(seal_is(text, strlen(text)));
    assert_false(seal_is("OBS", 3));
    assert_false(seal_is(NULL, 0));
}

/* The same text twice looks different: nobody sees that two records are alike. */
static void test_sealed_twice_differs(void **state)
{
    (void)state;
    size_t len = 0, again_len = 0;
    unsigned char *sealed = seal(text, &len), *again = seal(text, &again_len);
    assert_int_equal(len, again_len);
    assert_memory_not_equal(sealed, again, len);
    assert_memory_not_equal(sealed + 4, again + 4, 16);
    free(sealed);
    free(again);
}

static void test_wrong_subject_or_key(void **state)
{
    (void)state;
    size_t len = 0;
    unsigned char other[SEAL_KEY_SIZE];
    unsigned char *sealed = seal(text, &len);
    assert_int_equal(seal_key_new(other, NULL), 0);
    assert_shut(key(), OTHER, sealed, len, "another key or for another offboarding");
    assert_shut(key(), "", sealed, len, "another key or for another offboarding");
    assert_shut(other, SUBJECT, sealed, len, "another key or for another offboarding");
    free(sealed);
}

static void test_changed_byte(void **state)
{
    (void)state;
    size_t len = 0;
    unsigned char *sealed = seal(text, &len);
    for (size_t i = 0; i < len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            sealed[i] = (unsigned char)(sealed[i] ^ 1 << bit);
            assert_shut(key(), SUBJECT, sealed, len, i < 4 ? "no sealed text" : "another key");
            sealed[i] = (unsigned char)(sealed[i] ^ 1 << bit);
        }
    }
    free(sealed);
}

static void test_truncated_or_longer(void **state)
{
    (void)state;
    size_t len = 0;
    unsigned char *sealed = seal(text, &len);
    for (size_t less = 0; less < len; less++) {
        unsigned char *copy = mem_alloc(less + 1); /* of its own, so that a sanitizer sees a byte too far */
        memcpy(copy, sealed, less);
        copy = mem_realloc(copy, less ? less : 1);
        assert_shut(key(), SUBJECT, copy, less, "");
        free(copy);
    }
    unsigned char *more = mem_alloc(len + 16);
    memcpy(more, sealed, len);
    assert_shut(key(), SUBJECT, more, len + 16, "another key");
    assert_shut(key(), SUBJECT, more, len + 1, "no sealed text");
    assert_shut(key(), SUBJECT, NULL, 0, "no sealed text");
    free(more);
    free(sealed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form_is_fixed),        cmocka_unit_test(test_what_is_sealed_opens),
        cmocka_unit_test(test_sealed_twice_differs), cmocka_unit_test(test_wrong_subject_or_key),
        cmocka_unit_test(test_changed_byte),         cmocka_unit_test(test_truncated_or_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
