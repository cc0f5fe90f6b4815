/* JSON helpers: strict reading, borrowed look-ups, canonical text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "tests/unit/helpers.h"

static json_t *parsed(const char *text)
{
    struct err err = ERR_INIT;
    json_t *value = json_parse(text, strlen(text), &err);
    if (!value) {
        fail_msg("%s", err_text(&err));
    }
    return value;
}

static void assert_refused(const char *text, size_t len, const char *why)
{
    struct err err = ERR_INIT;
    assert_null(json_parse(text, len, &err));
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_contains(err_text(&err), why);
    err_release(&err);
}

static void test_any_value(void **state)
{
    (void)state;
    static const char *const texts[] = {"null", "true", "\"a\"", "1", "-1.5", "[]", "{\"a\":[1,{\"b\":null}]}"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        json_t *value = parsed(texts[i]);
        char *text = json_text(value);
        assert_string_equal(text, texts[i]);
        free(text);
        json_decref(value);
    }
}

static void test_big_integers_become_strings(void **state)
{
    (void)state;
    json_t *value = parsed("[9007199254740992, 9007199254740993, -9007199254740993, 12345678901234567890123, 1e3, 1.5, "
                           "\"say 9007199254740993 \\\"9007199254740993\"]");
    assert_true(json_is_integer(json_array_get(value, 0)));
    assert_string_equal(json_string_value(json_array_get(value, 1)), "9007199254740993");
    assert_string_equal(json_string_value(json_array_get(value, 2)), "-9007199254740993");
    assert_string_equal(json_string_value(json_array_get(value, 3)), "12345678901234567890123");
    assert_true(json_is_real(json_array_get(value, 4)));
    assert_string_equal(json_string_value(json_array_get(value, 6)), "say 9007199254740993 \"9007199254740993");
    json_decref(value);
}

static void test_refused(void **state)
{
    (void)state;
    assert_refused("{\"a\":1,\n \"b\":}", 14, "line 2, column 6");
    assert_refused("[12345678901234567890,\n]", 24, "line 2, column 1");
    assert_refused("{\"a\":1,\"a\":2}", 13, "duplicate");
    assert_refused("", 0, "line");
    assert_refused("{} {}", 5, "line 1");
    assert_refused("\"a\xff\"", 4, "UTF-8");
    assert_refused("\"a\\u0000b\"", 10, "\\u0000");
    assert_refused("\"a\0b\"", 5, "line 1");
    assert_refused("[1\0,2]", 6, "NUL");
    assert_refused("[NaN]", 5, "line 1");
}

/* Big integers get quotes before jansson sees them: quotes must not make JSON of what is none. */
static void test_no_number_is_let_in_by_quotes(void **state)
{
    (void)state;
    assert_refused("[1+2345678901234567890]", 23, "line 1");
    assert_refused("[1-2345678901234567890]", 23, "line 1");
    assert_refused("[--12345678901234567890]", 24, "line 1");
    assert_refused("[012345678901234567890]", 23, "line 1");
    assert_refused("[-012345678901234567890]", 24, "line 1");
    assert_refused("{12345678901234567890:1}", 24, "line 1");
    assert_refused("{12345678901234567890 \n : 1}", 28, "line 1");
    json_t *value = parsed("{\"a\":-12345678901234567890}");
    assert_string_equal(json_string_at(value, "a"), "-12345678901234567890");
    json_decref(value);
}

/* jansson quotes what stands near a fault, byte by byte; what it says goes into events. */
static void test_reasons_are_text(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"a\": \"\\u000\xc3\xa4\"}", "\"\xc3\xa4\xc3\"", "[\xc3\xa4]"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct err err = ERR_INIT;
        assert_null(json_parse(texts[i], strlen(texts[i]), &err));
        json_t *text = json_string(err_text(&err));
        assert_non_null(text);
        assert_contains(err_text(&err), "line 1, column");
        json_decref(text);
        err_release(&err);
    }
}

static void test_depth(void **state)
{
    (void)state;
    char text[2 * 129 + 1];
    memset(text, '[', 128);
    memset(text + 128, ']', 128);
    struct err err = ERR_INIT;
    json_t *value = json_parse(text, 256, &err);
    assert_non_null(value);
    json_decref(value);
    memset(text, '[', 129);
    memset(text + 129, ']', 129);
    assert_refused(text, 258, "128 levels");
    size_t many = 1000 * 1000;
    char *deep = mem_alloc(many);
    memset(deep, '[', many);
    assert_refused(deep, many, "128 levels");
    free(deep);
}

static void test_memory(void **state)
{
    (void)state;
    size_t len = 15 * 1024 * 1024;
    char *much = mem_alloc(len + 1);
    for (size_t i = 0; i < len; i += 3) {
        memcpy(much + i, "[],", 3);
    }
    much[0] = '[';
    assert_refused(much, len, "more than 64 MiB of memory");
    free(much);
}

static void test_look_ups(void **state)
{
    (void)state;
    json_t *value =
        parsed("{\"user\":{\"email\":\"a@b\",\"age\":7,\"manager\":null},\"steps\":[{\"id\":\"x\"},{\"id\":\"y\"}],"
               "\"live\":true,\"dry\":\"true\"}");
    assert_string_equal(json_string_at(value, "user.email"), "a@b");
    assert_null(json_string_at(value, "user.age"));
    assert_null(json_string_at(value, "user.nobody"));
    assert_null(json_string_at(value, "user.email.deeper"));
    assert_null(json_string_at(value, "user.manager.email"));
    assert_string_equal(json_string_at(value, "steps.1.id"), "y");
    assert_null(json_at(value, "steps.2"));
    assert_null(json_at(value, "steps.id"));
    assert_ptr_equal(json_at(value, ""), value);
    assert_int_equal(json_int_at(value, "user.age", -1), 7);
    assert_int_equal(json_int_at(value, "user.email", -1), -1);
    assert_true(json_true_at(value, "live"));
    assert_false(json_true_at(value, "dry"));
    assert_false(json_true_at(NULL, "live"));
    json_decref(value);
}

static void test_put_and_text(void **state)
{
    (void)state;
    json_t *object = json_object();
    json_put(object, "b", json_integer(1));
    json_put(object, "c", NULL);
    json_put_string(object, "a", "x");
    json_put_string(object, "d", NULL);
    char *text = json_text(object);
    char *canonical = json_canonical(object);
    assert_string_equal(text, "{\"b\":1,\"a\":\"x\"}");
    assert_string_equal(canonical, "{\"a\":\"x\",\"b\":1}");
    free(text);
    free(canonical);
    json_decref(object);
    text = json_text(NULL);
    assert_string_equal(text, "null");
    free(text);
}

static void test_lower(void **state)
{
    (void)state;
    char *lower = json_lower("Jane.DOE@Example.COM \xc3\x84");
    assert_string_equal(lower, "jane.doe@example.com \xc3\x84");
    free(lower);
    assert_null(json_lower(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_value),
        cmocka_unit_test(test_big_integers_become_strings),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_look_ups),
        cmocka_unit_test(test_put_and_text),
        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_no_number_is_let_in_by_quotes),
        cmocka_unit_test(test_reasons_are_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
