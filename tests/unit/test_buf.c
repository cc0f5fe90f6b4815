/* Buffers: they grow to a maximum and say so when something did not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"

static void test_grows(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT;
    assert_string_equal(buf_text(&buf), "");
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(buf_addf(&buf, "%04d,", i), 0);
    }
    assert_int_equal(buf.len, 50000);
    assert_memory_equal(buf.data, "0000,0001,", 10);
    assert_string_equal(buf.data + 49995, "9999,");
    assert_int_equal(buf_add(&buf, "a\0b", 3), 0);
    assert_int_equal(buf.len, 50003);
    buf_clear(&buf);
    assert_int_equal(buf.len, 0);
    assert_string_equal(buf_text(&buf), "");
    assert_int_equal(buf_add_hex(&buf, "\x00\x7f\xff", 3), 0);
    assert_string_equal(buf_text(&buf), "007fff");
    buf_release(&buf);
    assert_null(buf.data);
}

static void test_keeps_its_maximum(void **state)
{
    (void)state;
    struct buf buf = {.max = 10};
    assert_int_equal(buf_adds(&buf, "0123456789"), 0); /* exactly fits */
    assert_false(buf.overflow);
    assert_int_equal(buf_adds(&buf, "x"), -1);
    assert_true(buf.overflow);
    assert_string_equal(buf_text(&buf), "0123456789");
    buf_clear(&buf);
    assert_false(buf.overflow);
    assert_int_equal(buf_adds(&buf, "abc"), 0);
    assert_int_equal(buf_add(&buf, "", SIZE_MAX), -1); /* a length that would wrap around */
    assert_int_equal(buf_adds(&buf, "d"), -1);         /* once something is missing, nothing follows */
    assert_string_equal(buf_text(&buf), "abc");
    buf_release(&buf);
    assert_int_equal(buf.max, 10);
}

static void test_take(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT;
    char *empty = buf_take(&buf);
    assert_string_equal(empty, "");
    free(empty);
    buf_adds(&buf, "mine");
    char *text = buf_take(&buf);
    assert_string_equal(text, "mine");
    assert_int_equal(buf.len, 0);
    buf_adds(&buf, "next");
    assert_string_equal(text, "mine");
    free(text);
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_keeps_its_maximum),
        cmocka_unit_test(test_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
