/* What a vendor's bytes say: charsets, byte-order marks, JSON that others write, limits. */
/* links: worker/body.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "tests/unit/helpers.h"
#include "worker/body.h"

#define BYTES(literal) literal, sizeof(literal) - 1

static struct body got(const char *data, size_t len, const char *content_type)
{
    struct body body;
    body_read(data, len, content_type, &body);
    assert_non_null(body.value);
    return body;
}

/* It is JSON, and equal to `json`. */
static void assert_json(const char *data, size_t len, const char *content_type, const char *json)
{
    struct body body = got(data, len, content_type);
    char *text = json_text(body.value);
    if (body.kind != BODY_JSON || strcmp(text, json) != 0 || body.why) {
        fail_msg("kind %d, value %s, why %s; wanted JSON %s", (int)body.kind, text, body.why, json);
    }
    free(text);
    body_release(&body);
}

static void assert_kind(const char *data, size_t len, const char *content_type, enum body_kind kind, const char *why)
{
    struct body body = got(data, len, content_type);
    if (body.kind != kind) {
        fail_msg("kind %d, why %s", (int)body.kind, body.why);
    }
    assert_true(kind == BODY_TEXT ? json_is_string(body.value) : json_is_null(body.value));
    if (why) {
        assert_contains(body.why, why);
    } else {
        assert_null(body.why);
    }
    body_release(&body);
}

static void test_nothing_is_empty(void **state)
{
    (void)state;
    assert_kind(NULL, 0, NULL, BODY_EMPTY, NULL);
    assert_kind(BYTES(" \r\n\t"), "application/json", BODY_EMPTY, NULL);
    assert_kind(BYTES("\xef\xbb\xbf"), "application/json", BODY_EMPTY, NULL);
    assert_kind(BYTES("\xff\xfe \0\n\0"), NULL, BODY_EMPTY, NULL);
}

static void test_json(void **state)
{
    (void)state;
    assert_json(BYTES("{\"id\":7}"), "application/json", "{\"id\":7}");
    assert_json(BYTES("\n[1, 2]\n"), NULL, "[1,2]");
    assert_json(BYTES("null"), "application/json", "null");
    assert_json(BYTES("true"), "text/plain", "true");
    assert_json(BYTES("{}"), "text/html; charset=utf-8", "{}");
    assert_json(BYTES("[9007199254740993]"), NULL, "[\"9007199254740993\"]");
}

static void test_text(void **state)
{
    (void)state;
    assert_kind(BYTES("<html>Log in</html>"), "text/html", BODY_TEXT, NULL);
    assert_kind(BYTES("<html>Log in</html>"), "application/json", BODY_TEXT,
                "claims to be JSON, but it is not: line 1");
    assert_kind(BYTES("{\"a\":1} trailing"), "application/scim+json", BODY_TEXT, "end of file expected");
    assert_kind(BYTES("{\"a\":1}{\"a\":2}"), "application/vnd.x+json", BODY_TEXT, "line 1, column 8");
    assert_kind(BYTES("{\"a\":1}\n{\"a\":2}"), "application/x-ndjson", BODY_TEXT, NULL);
    assert_kind(BYTES("{\"a\":\n{\"b\""), "text/html, application/json;charset=utf-8", BODY_TEXT, "line 2, column 4");
    assert_kind(BYTES("{\"a\":1"), "application/json, text/html", BODY_TEXT, NULL);
    assert_kind(BYTES("id,mail\n1,a@b\n"), "text/csv", BODY_TEXT, NULL);
    assert_kind(BYTES("\x1f\x8b\x08 no gzip"), NULL, BODY_UNREADABLE, "not valid UTF-8 (byte 0x8b at offset 1)");
    struct body body = got(BYTES("a\0b\xef\xbb\xbf"), "text/plain");
    assert_string_equal(json_string_value(body.value), "a\xef\xbf\xbd"
                                                       "b\xef\xbb\xbf");
    body_release(&body);
}

static void test_charsets(void **state)
{
    (void)state;
    static const char utf_8[] = "{\"n\":\"J\xc3\xbcrgen \xe2\x82\xac\"}";
    assert_json(BYTES(utf_8), "application/json; charset=UTF-8", utf_8);
    assert_json(BYTES(utf_8), "application/json;version=2;charset=\"utf8\"", utf_8);
    assert_json(BYTES(utf_8), "application/json; Charset = us-ascii", utf_8);
    assert_json(BYTES(utf_8), "application/json; charset=", utf_8);
    assert_json(BYTES(utf_8), "application/json; charset=x-unknown", utf_8);
    assert_json(BYTES("{\"n\":\"J\xfcrgen \x80\"}"), "application/json; charset=windows-1252", utf_8);
    assert_json(BYTES("{\"n\":\"J\xfcrgen \x80\"}"), "application/json; charset='ISO-8859-1'", utf_8);
    assert_json(BYTES("{\"n\":\"J\xfcrgen \xa4\"}"), "application/json; charset=iso-8859-15", utf_8);
    assert_json(BYTES("\xff\xfe{\0\"\0n\0\"\0:\0\"\0\xfc\0\"\0}\0"), NULL, "{\"n\":\"\xc3\xbc\"}");
    assert_json(BYTES("\xfe\xff\0\"\xd8\x3d\xde\0\0\""), "application/json; charset=utf-8", "\"\xf0\x9f\x98\x80\"");
    assert_json(BYTES("[\0001\0]\0"), "application/json; charset=utf-16le", "[1]");
    assert_json(BYTES("\0[\0001\0]"), "application/json; charset=UTF-16", "[1]");
    assert_json(BYTES("[\0001\0]\0"), "application/json; charset=UTF-16", "[1]");
    assert_json(BYTES("[\0001\0]\0"), NULL, "[1]");
    assert_json(BYTES("\xef\xbb\xbf{\"a\":1}"), "application/json", "{\"a\":1}");
    assert_json(BYTES("\xef\xbb\xbf\"\xc3\xbc\""), "application/json; charset=iso-8859-1", "\"\xc3\xbc\"");
}

static void test_unreadable(void **state)
{
    (void)state;
    static const char latin_1[] = "{\"n\":\"J\xfcrgen\"}";
    assert_kind(BYTES(latin_1), "application/json", BODY_UNREADABLE, "not valid UTF-8 (byte 0xfc at offset 7)");
    assert_kind(BYTES("\xef\xbb\xbf\xfc"), "text/plain", BODY_UNREADABLE, "offset 3");
    assert_kind(BYTES(latin_1), "text/html; charset=us-ascii", BODY_UNREADABLE, "offset 7");
    assert_kind(
        BYTES(latin_1), "text/html; charset=KOI8-R", BODY_UNREADABLE,
        "charset \"KOI8-R\", which is not known here, and it is not valid UTF-8 either (byte 0xfc at offset 7)");
    assert_kind(BYTES("a\0\x3d\xd8"), "text/plain; charset=utf-16le", BODY_UNREADABLE, "not valid UTF-16");
    assert_kind(BYTES("a\0b"), "text/plain; charset=utf-16le", BODY_UNREADABLE, "offset 2");
    static const char *const bad[] = {"\xc0\x80",         "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80", "\xc3",         "\xe2\x82",     "\x80",
                                      "\xf0\x80\x80\x80", "\xe2(\xa1",    "\xff"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_kind(bad[i], strlen(bad[i]), NULL, BODY_UNREADABLE, "offset 0");
    }
}

static void test_json_of_others(void **state)
{
    (void)state;
    assert_json(BYTES("{\"a\":1,\"a\":2,\"b\":{\"c\":0,\"c\":[]}}"), NULL, "{\"a\":2,\"b\":{\"c\":[]}}");
    assert_json(BYTES("{\"a\\u0000b\":\"\\u0000\"}"), NULL,
                "{\"a\xef\xbf\xbd"
                "b\":\"\xef\xbf\xbd\"}");
    assert_json(BYTES("\"a\0b\""), NULL,
                "\"a\xef\xbf\xbd"
                "b\"");
    assert_json(BYTES("\"\\ud83d\\ude00 \\ud83d \\ude00 \\ud83d\\ud83d\\ude00\""), NULL,
                "\"\xf0\x9f\x98\x80 \xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd\xf0\x9f\x98\x80\"");
    assert_json(BYTES("\"\\\\u0000 \\\\ud83d \\\"\\u00e4\""), NULL, "\"\\\\u0000 \\\\ud83d \\\"\xc3\xa4\"");
    assert_json(BYTES("\"two\nlines\ta tab\""), NULL, "\"two\\nlines\\ta tab\"");
    assert_kind(BYTES("\"\\u00zz\""), "application/json", BODY_TEXT, "invalid escape");
    assert_kind(BYTES("\"\\"), "application/json", BODY_TEXT, "line 1");
    assert_kind(BYTES("\"\\ud83d\\u"), "application/json", BODY_TEXT, "line 1");
    assert_kind(BYTES("[\"\\ud83d\", 12345678901234567890,\n ?]"), "application/json", BODY_TEXT, "line 2, column 2");
}

static char *repeated(const char *part, size_t count, const char *end)
{
    struct buf out = BUF_INIT;
    buf_adds(&out, "[");
    for (size_t i = 0; i < count; i++) {
        buf_adds(&out, part);
    }
    buf_adds(&out, end);
    return buf_take(&out);
}

static void test_limits(void **state)
{
    (void)state;
    static const char *const parts[] = {"[],", "{},", "1,", "\"\",", "{\"a\":1},", "-1e1,"};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        char *much = repeated(parts[i], 15 * 1024 * 1024 / strlen(parts[i]), "0]");
        assert_kind(much, strlen(much), "text/plain", BODY_UNREADABLE, "more than 64 MiB of memory");
        free(much);
    }
    char *deep = repeated("[", 128, "");
    assert_kind(deep, strlen(deep), "application/json", BODY_UNREADABLE, "more than 128 levels");
    free(deep);
    char *page = repeated("<script>[[[[{{{{", 1000 * 1000, "");
    assert_kind(page, strlen(page), "text/html", BODY_TEXT, NULL);
    free(page);
    char *text = repeated("a long text that is no JSON at all, but [large]; ", 300 * 1000, "");
    assert_kind(text, strlen(text), "text/plain", BODY_TEXT, NULL);
    free(text);
    char *fair = repeated("{\"id\":\"00u1\",\"profile\":{\"email\":\"jane@example.com\"}},", 50 * 1000, "0]");
    struct body body = got(fair, strlen(fair), "application/json");
    assert_int_equal(body.kind, BODY_JSON);
    assert_int_equal(json_array_size(body.value), 50 * 1000 + 1);
    body_release(&body);
    free(fair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_empty),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_charsets),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_json_of_others),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
