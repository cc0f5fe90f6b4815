/* Lanes: one at a time, in order, urgent ones before those that only wait. */
/* links: worker/lane.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "worker/lane.h"

static void test_one_after_another(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new();
    int items[3];
    assert_true(lane_enter(lanes, "a", &items[0], false));
    assert_false(lane_enter(lanes, "a", &items[1], false));
    assert_true(lane_enter(lanes, "b", &items[2], false));
    assert_int_equal(lanes_count(lanes), 2);
    assert_ptr_equal(lane_leave(lanes, "a"), &items[1]);
    assert_null(lane_leave(lanes, "a"));
    assert_null(lane_leave(lanes, "a")); /* nothing there */
    assert_int_equal(lanes_count(lanes), 1);
    assert_true(lane_enter(lanes, "a", &items[0], false)); /* a new lane */
    lanes_free(lanes);
}

static void test_urgent_goes_ahead(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new();
    char items[] = "abcde";
    assert_true(lane_enter(lanes, "x", &items[0], false)); /* has the turn: keeps it */
    assert_false(lane_enter(lanes, "x", &items[1], false));
    assert_false(lane_enter(lanes, "x", &items[2], true));
    assert_false(lane_enter(lanes, "x", &items[3], true));
    assert_false(lane_enter(lanes, "x", &items[4], false));
    struct buf order = BUF_INIT;
    for (const char *item = lane_leave(lanes, "x"); item; item = lane_leave(lanes, "x")) {
        buf_add(&order, item, 1);
    }
    assert_string_equal(buf_text(&order), "cdbe");
    buf_release(&order);
    lanes_free(lanes);
}

static void count_dropped(void *item, void *arg)
{
    *(int *)arg += *(const int *)item;
}

static void test_drop_waiting(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new();
    int items[] = {1, 2, 4, 8, 16};
    lane_enter(lanes, "a", &items[0], false);
    lane_enter(lanes, "a", &items[1], false);
    lane_enter(lanes, "a", &items[2], true);
    lane_enter(lanes, "b", &items[3], false);
    lane_enter(lanes, "b", &items[4], false);
    int dropped = 0;
    lanes_drop_waiting(lanes, count_dropped, &dropped);
    assert_int_equal(dropped, 2 + 4 + 16);
    assert_int_equal(lanes_count(lanes), 2); /* those that have the turn stay */
    assert_null(lane_leave(lanes, "a"));
    assert_null(lane_leave(lanes, "b"));
    assert_int_equal(lanes_count(lanes), 0);
    lanes_free(lanes);
}

static void test_many(void **state)
{
    (void)state;
    enum { LANES = 1000 };
    struct lanes *lanes = lanes_new();
    int items[LANES];
    for (int i = 0; i < LANES; i++) {
        char *key = mem_printf("offboarding-%d", i);
        assert_true(lane_enter(lanes, key, &items[i], false));
        assert_false(lane_enter(lanes, key, &items[LANES - 1 - i], false));
        free(key);
    }
    for (int i = LANES - 1; i >= 0; i -= 2) {
        char *key = mem_printf("offboarding-%d", i);
        assert_ptr_equal(lane_leave(lanes, key), &items[LANES - 1 - i]);
        assert_null(lane_leave(lanes, key));
        free(key);
    }
    assert_int_equal(lanes_count(lanes), LANES / 2);
    lanes_free(lanes); /* with items in them */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_after_another),
        cmocka_unit_test(test_urgent_goes_ahead),
        cmocka_unit_test(test_drop_waiting),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
