/* Memory: what is asked for is there, or the process ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>

#include "lib/mem.h"
#include "tests/unit/helpers.h"

static void test_alloc_is_zeroed(void **state)
{
    (void)state;
    unsigned char *bytes = mem_alloc(1000);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(bytes[i], 0);
    }
    bytes = mem_realloc(bytes, 100000);
    assert_int_equal(bytes[999], 0);
    free(bytes);
    void *nothing = mem_alloc(0);
    assert_non_null(nothing);
    free(nothing);
}

static void test_texts(void **state)
{
    (void)state;
    assert_null(mem_strdup(NULL));
    char *copy = mem_strdup("okta");
    assert_string_equal(copy, "okta");
    free(copy);
    copy = mem_strndup("deactivate", 4);
    assert_string_equal(copy, "deac");
    free(copy);
    copy = mem_strndup("jira", 100);
    assert_string_equal(copy, "jira");
    free(copy);
    copy = mem_printf("%s/%d/%060d", "phase", 7, 1);
    assert_int_equal(strlen(copy), 68);
    assert_memory_equal(copy, "phase/7/0000", 12);
    free(copy);
}

#ifndef __SANITIZE_ADDRESS__ /* which ends the process itself */
static void ask_for_too_much(void *arg)
{
    (void)arg;
    volatile size_t size = SIZE_MAX / 2;
    free(mem_alloc(size));
}

static void test_exhaustion_aborts_with_a_message(void **state)
{
    (void)state;
    struct outcome outcome = in_child(ask_for_too_much, NULL);
    assert_int_equal(outcome.code, 128 + SIGABRT);
    assert_contains(outcome.out, "out of memory");
    free(outcome.out);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_is_zeroed),
        cmocka_unit_test(test_texts),
#ifndef __SANITIZE_ADDRESS__
        cmocka_unit_test(test_exhaustion_aborts_with_a_message),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
