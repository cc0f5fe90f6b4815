/* Token buckets and in-flight caps, with a clock of their own. */
/* links: worker/limits.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "lib/time.h"
#include "worker/limits.h"

/* Takes at every moment the limit names, and gives back at once, until `end`; how many there were. */
static int take_until(struct limit *limit, double share, int64_t begin, int64_t end)
{
    int taken = 0;
    for (int64_t now = begin; now < end;) {
        int64_t wait = limit_take(limit, share, now);
        if (wait == 0) {
            limit_give_back(limit);
            taken++;
        } else {
            assert_true(wait > 0);
            now += wait;
        }
    }
    return taken;
}

static void test_rate_holds(void **state)
{
    (void)state;
    static const struct {
        double per_second, share;
        int least, most; /* in ten seconds, a burst of one second's worth included */
    } rows[] = {
        {10, 1, 109, 110}, {10, 0.5, 54, 55}, {10, 0.05, 5, 6}, {0.5, 1, 5, 6}, {1000, 1, 10999, 11000},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct limit limit;
        limit_init(&limit, rows[i].per_second, 0);
        assert_in_range(take_until(&limit, rows[i].share, TIME_SECOND, 11 * TIME_SECOND), rows[i].least, rows[i].most);
    }
}

/* Shares of one system add up to its rate, however the partitions lie. */
static void test_shares_add_up(void **state)
{
    (void)state;
    static const double shares[] = {0.5, 0.25, 0.25};
    int sum = 0;
    for (size_t i = 0; i < COUNT_OF(shares); i++) {
        struct limit limit;
        limit_init(&limit, 40, 0);
        sum += take_until(&limit, shares[i], TIME_SECOND, 11 * TIME_SECOND);
    }
    assert_in_range(sum, 437, 440);
}

static void test_no_share_is_a_trickle(void **state)
{
    (void)state;
    struct limit limit;
    limit_init(&limit, 10, 5);
    assert_int_equal(limit_take(&limit, 0, TIME_SECOND), 0);
    limit_give_back(&limit);
    assert_in_range(limit_take(&limit, 0, TIME_SECOND), 90 * TIME_SECOND, 110 * TIME_SECOND);
}

/* A long rest saves up no more than the burst. */
static void test_burst_is_bounded(void **state)
{
    (void)state;
    struct limit limit;
    limit_init(&limit, 10, 0);
    assert_in_range(take_until(&limit, 1, TIME_SECOND, TIME_SECOND + 1), 10, 10);
    assert_in_range(take_until(&limit, 1, TIME_HOUR, TIME_HOUR + 1), 10, 10);
}

static void test_in_flight(void **state)
{
    (void)state;
    struct limit limit;
    limit_init(&limit, 0, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(limit_take(&limit, 1, TIME_SECOND), 0);
    }
    assert_int_equal(limit_take(&limit, 1, TIME_SECOND), -1);
    limit_give_back(&limit);
    assert_int_equal(limit_take(&limit, 0.5, TIME_SECOND), -1); /* half of four is two */
    assert_int_equal(limit_take(&limit, 1, TIME_SECOND), 0);
}

/* Being refused a place costs no token. */
static void test_no_token_without_a_place(void **state)
{
    (void)state;
    struct limit limit;
    limit_init(&limit, 2, 1);
    assert_int_equal(limit_take(&limit, 1, TIME_SECOND), 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(limit_take(&limit, 1, TIME_SECOND), -1);
    }
    limit_give_back(&limit);
    assert_int_equal(limit_take(&limit, 1, TIME_SECOND), 0);
}

static void test_nothing_limited(void **state)
{
    (void)state;
    struct limit limit;
    limit_init(&limit, 0, 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(limit_take(&limit, 1, TIME_SECOND), 0);
    }
}

/* Days are counted from 1970 and begin at midnight UTC; what is not taken of one is not saved up. */
static void test_per_day(void **state)
{
    (void)state;
    struct limit limit;
    int64_t noon = 100 * TIME_DAY + TIME_DAY / 2;
    limit_init(&limit, 0, 0);
    assert_int_equal(limit_take_of_day(&limit, 1, noon, TIME_DAY), 0); /* none is set */
    limit.per_day = 4;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(limit_take_of_day(&limit, 1, noon + i, TIME_DAY), 0);
    }
    assert_int_equal(limit_take_of_day(&limit, 1, noon, TIME_DAY), TIME_DAY / 2);
    assert_int_equal(limit_take_of_day(&limit, 0.5, noon + 10 * TIME_DAY, TIME_DAY), 0);
    assert_int_equal(limit_take_of_day(&limit, 0.5, noon + 10 * TIME_DAY, TIME_DAY), 0);
    assert_int_equal(limit_take_of_day(&limit, 0.5, noon + 10 * TIME_DAY, TIME_DAY), TIME_DAY / 2);
    assert_int_equal(limit_take_of_day(&limit, 0, noon + 11 * TIME_DAY, TIME_DAY), 0); /* a share of nothing */
    assert_int_equal(limit_take_of_day(&limit, 0, noon + 11 * TIME_DAY, TIME_DAY), TIME_DAY / 2);
}

/* A turn that nobody used costs nobody a token. */
static void test_untake(void **state)
{
    (void)state;
    struct limit limit;
    limit_init(&limit, 0.1, 1);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(limit_take(&limit, 1, TIME_SECOND), 0);
        limit_untake(&limit);
    }
    assert_int_equal(limit_take(&limit, 1, TIME_SECOND), 0);
    limit_give_back(&limit);
    assert_true(limit_take(&limit, 1, TIME_SECOND) > 9 * TIME_SECOND);
    limit_init(&limit, 0, 1); /* without a rate there are no tokens */
    assert_int_equal(limit_take(&limit, 1, TIME_SECOND), 0);
    limit_untake(&limit);
    assert_int_equal(limit.in_flight, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_holds),
        cmocka_unit_test(test_shares_add_up),
        cmocka_unit_test(test_no_share_is_a_trickle),
        cmocka_unit_test(test_burst_is_bounded),
        cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_no_token_without_a_place),
        cmocka_unit_test(test_nothing_limited),
        cmocka_unit_test(test_per_day),
        cmocka_unit_test(test_untake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
