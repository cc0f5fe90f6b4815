/* The nearest right name to a wrong one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "lib/nearest.h"

static const char *const names[] = {"okta", "google", "slack", "jira", "deactivate_user", "reactivate_user"};

static void test_near(void **state)
{
    (void)state;
    assert_string_equal(nearest_name("okta", names, COUNT_OF(names)), "okta");
    assert_string_equal(nearest_name("Otka", names, COUNT_OF(names)), "okta");
    assert_string_equal(nearest_name("gogle", names, COUNT_OF(names)), "google");
    assert_string_equal(nearest_name("deactivateuser", names, COUNT_OF(names)), "deactivate_user");
    assert_string_equal(nearest_name("reactivate_usr", names, COUNT_OF(names)), "reactivate_user");
}

static void test_far(void **state)
{
    (void)state;
    assert_null(nearest_name("kubernetes", names, COUNT_OF(names)));
    assert_null(nearest_name("", names, COUNT_OF(names)));
    assert_null(nearest_name("okta", names, 0));
    size_t len = 10 * 1000 * 1000; /* at once, not letter by letter */
    char *huge = mem_alloc(len + 1);
    memset(huge, 'a', len);
    assert_null(nearest_name(huge, names, COUNT_OF(names)));
    free(huge);
}

static void test_first_of_equals(void **state)
{
    (void)state;
    static const char *const twins[] = {"cat", "bat", "hat"};
    assert_string_equal(nearest_name("rat", twins, COUNT_OF(twins)), "cat");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near),
        cmocka_unit_test(test_far),
        cmocka_unit_test(test_first_of_equals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
