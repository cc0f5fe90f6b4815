/* Forms, as browsers and vendors send them, and as nobody should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/form.h"
#include "lib/json.h"
#include "lib/mem.h"

static void test_forms(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "{}"},
        {"a=1&b=2", "{\"a\":\"1\",\"b\":\"2\"}"},
        {"command=%2Foffboard&text=jane%40example.com+now",
         "{\"command\":\"/offboard\",\"text\":\"jane@example.com now\"}"},
        {"a=1&a=2&a=3", "{\"a\":[\"1\",\"2\",\"3\"]}"},
        {"a&=b&&c=", "{\"\":\"b\",\"a\":\"\",\"c\":\"\"}"},
        {"a=%&b=%2&c=%zz&d=100%", "{\"a\":\"%\",\"b\":\"%2\",\"c\":\"%zz\",\"d\":\"100%\"}"},
        {"a=x=y", "{\"a\":\"x=y\"}"},
        {"n=%C3%BC", "{\"n\":\"ü\"}"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *form = form_parse(cases[i][0], strlen(cases[i][0]), NULL);
        assert_non_null(form);
        char *text = json_canonical(form);
        assert_string_equal(text, cases[i][1]);
        free(text);
        json_decref(form);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {{"a=%00", 5}, {"a\0=1", 4}, {"a=%ff", 5}, {"%c3=1", 5}, {"a=\xc3", 3}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = ERR_INIT;
        assert_null(form_parse(cases[i].text, cases[i].len, &err));
        assert_int_equal(err.class, ERR_PERMANENT);
        err_release(&err);
    }
    char many[4096];
    memset(many, '&', sizeof many);
    assert_null(form_parse(many, sizeof many, NULL));
}

/* Every cut of a form, and every byte in it changed, is read or refused: nothing past the end is touched. */
static void test_cuts(void **state)
{
    (void)state;
    static const char form[] = "command=%2Foffboard&text=jane%40example.com&n=%C3%BC&a=1&a=2";
    for (size_t len = 0; len < sizeof form; len++) {
        for (int c = 0; c < 256; c += len ? 15 : 1) {
            char *text = mem_alloc(len + 1);
            char *cut = mem_alloc(len);
            memcpy(text, form, len);
            text[len ? len - 1 : 0] = (char)c;
            memcpy(cut, text, len);
            json_decref(form_parse(cut, len, NULL));
            free(cut);
            free(text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_cuts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
