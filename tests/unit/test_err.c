/* Errors: a class and a text, replaced, prefixed, released. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"

static void test_set_replaces(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_string_equal(err_text(&err), "no error");
    assert_int_equal(err_set(&err, ERR_RETRY, "could not reach %s: %d", "kafka", 7), -1);
    assert_int_equal(err.class, ERR_RETRY);
    assert_string_equal(err_text(&err), "could not reach kafka: 7");
    assert_int_equal(err_set(&err, ERR_FATAL, "gave up after: %s", err.text), -1); /* its own old text as an argument */
    assert_int_equal(err.class, ERR_FATAL);
    assert_string_equal(err_text(&err), "gave up after: could not reach kafka: 7");
    err_release(&err);
    assert_int_equal(err.class, ERR_NONE);
    assert_null(err.text);
    err_release(&err); /* twice is harmless */
}

static void test_prefix_keeps_the_class(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    err_set(&err, ERR_PERMANENT, "no such system");
    assert_int_equal(err_prefix(&err, "%s:%d", "runbook.yaml", 12), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_string_equal(err_text(&err), "runbook.yaml:12: no such system");
    err_release(&err);
}

static void test_nobody_is_interested(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_RETRY, "lost"), -1);
    assert_int_equal(err_prefix(NULL, "lost"), -1);
    assert_string_equal(err_text(NULL), "no error");
    err_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_replaces),
        cmocka_unit_test(test_prefix_keeps_the_class),
        cmocka_unit_test(test_nobody_is_interested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
