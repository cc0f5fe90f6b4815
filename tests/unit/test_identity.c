/* Addresses and ids: every character that nobody sees, at the ends and within. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/identity.h"
#include "lib/json.h"
#include "tests/unit/helpers.h"

static void add_code(struct buf *out, uint32_t code)
{
    char bytes[4];
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; code >>= 6) {
        bytes[i] = (char)(0x80 | (code & 0x3f));
    }
    bytes[0] = (char)(len == 1 ? code : (0xf00u >> len | code) & 0xff);
    buf_add(out, bytes, len);
}

/* What becomes of `before`, the character, `after`. NULL: refused, with the err. The caller frees. */
static char *cleaned(const char *before, uint32_t code, const char *after, struct err *err)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, before);
    add_code(&text, code);
    buf_adds(&text, after);
    json_t *given = json_stringn(buf_text(&text), text.len);
    assert_non_null(given);
    json_t *clean = identity_clean("user.email", given, err);
    char *result = mem_strdup(json_string_value(clean));
    json_decref(clean);
    json_decref(given);
    buf_release(&text);
    return result;
}

static void assert_clean(const char *before, uint32_t code, const char *after, const char *expected)
{
    char *clean = cleaned(before, code, after, NULL);
    assert_non_null(clean);
    assert_string_equal(clean, expected);
    free(clean);
}

static void test_invisible(void **state)
{
    (void)state;
    static const uint32_t codes[] = {0x00,   0x01,   0x09,   0x0a,   0x0d,   0x1f,   0x7f,    0x80,    0x9f,
                                     0xa0,   0xad,   0x34f,  0x61c,  0x1160, 0x1680, 0x17b5,  0x180e,  0x2000,
                                     0x200a, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028,  0x2029,  0x202a,
                                     0x202e, 0x202f, 0x205f, 0x2060, 0x2064, 0x2066, 0x2069,  0x206f,  0x2800,
                                     0x3000, 0x3164, 0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0x1d173, 0xe0001, 0xe007f};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        assert_clean("", codes[i], "jane@x.example", "jane@x.example");
        assert_clean("jane@x.example", codes[i], "", "jane@x.example");
        assert_clean(" \t", codes[i], " ", "");
        struct err err = ERR_INIT;
        assert_null(cleaned("jane", codes[i], "@x.example", &err));
        char named[40];
        snprintf(named, sizeof named, "user.email contains U+%04X (", codes[i]);
        assert_contains(err_text(&err), named);
        assert_contains(err_text(&err), ") after \"jane\": nobody sees it");
        assert_int_equal(err.class, ERR_PERMANENT);
        err_release(&err);
    }
}

/* Letters of every script, and a blank within an id, are what they are. */
static void test_visible(void **state)
{
    (void)state;
    static const uint32_t codes[] = {' ',    '!',    '~',    0xa1,   0xe9,   0x3a9,  0x5d0,  0x939,  0x2010,
                                     0x2027, 0x2030, 0x20ac, 0x3001, 0x6f22, 0xfdff, 0xff21, 0xfffd, 0x1f600};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        struct buf expected = BUF_INIT;
        buf_adds(&expected, "a");
        add_code(&expected, codes[i]);
        buf_adds(&expected, "b");
        assert_clean("a", codes[i], "b", buf_text(&expected));
        buf_release(&expected);
    }
}

/* What is shown before the character is cut at a character. */
static void test_a_long_text(void **state)
{
    (void)state;
    struct buf before = BUF_INIT;
    for (int i = 0; i < 100; i++) {
        add_code(&before, 0x6f22);
    }
    struct err err = ERR_INIT;
    assert_null(cleaned(buf_text(&before), 0x200b, "x", &err));
    const char *shown = strstr(err_text(&err), "after \"");
    assert_non_null(shown);
    assert_int_equal(strcspn(shown + 7, "\""), 60);
    assert_memory_equal(shown + 7, buf_text(&before), 60);
    err_release(&err);
    buf_release(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invisible),
        cmocka_unit_test(test_visible),
        cmocka_unit_test(test_a_long_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
