/* When to try again: backoff, deferral, and what vendors write into Retry-After. */
/* links: worker/retry.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "lib/time.h"
#include "worker/retry.h"

/* 1994-11-06T08:49:37Z, the date of RFC 9110's examples. */
#define RFC_DATE (INT64_C(784111777) * TIME_SECOND)

static const double almost_one = 0.999999;

static void test_backoff_is_full_jitter(void **state)
{
    (void)state;
    static const struct {
        int n;
        int64_t most;
    } rows[] = {
        {1, TIME_SECOND / 2},  {2, TIME_SECOND},      {3, 2 * TIME_SECOND},     {5, 8 * TIME_SECOND},
        {6, 15 * TIME_SECOND}, {7, 15 * TIME_SECOND}, {1000, 15 * TIME_SECOND},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(retry_backoff(rows[i].n, 0), 0);
        assert_int_equal(retry_backoff(rows[i].n, 0.5), rows[i].most / 2);
        assert_in_range(retry_backoff(rows[i].n, almost_one), rows[i].most - rows[i].most / 1000, rows[i].most - 1);
    }
}

static void test_deferral_doubles_up_to_six_hours(void **state)
{
    (void)state;
    static const struct {
        int n;
        int64_t most;
    } rows[] = {
        {0, 5 * TIME_MINUTE}, {1, 10 * TIME_MINUTE},   {6, 320 * TIME_MINUTE},
        {7, 6 * TIME_HOUR},   {100000, 6 * TIME_HOUR},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(retry_deferral(rows[i].n, 0), rows[i].most / 2);
        assert_in_range(retry_deferral(rows[i].n, almost_one), rows[i].most - rows[i].most / 1000, rows[i].most - 1);
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    int64_t now = RFC_DATE - 30 * TIME_SECOND;
    static const struct {
        const char *text;
        int64_t wait;
    } rows[] = {
        {"120", 120 * TIME_SECOND},
        {"0", 0},
        {"1.5", 3 * TIME_SECOND / 2},
        {"1795000000", INT64_C(1795000000) * TIME_SECOND}, /* an epoch: the connector says so */
        {"Sun, 06 Nov 1994 08:49:37 GMT", 30 * TIME_SECOND},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 30 * TIME_SECOND},
        {"Sun Nov  6 08:49:37 1994", 30 * TIME_SECOND},
        {"1994-11-06T08:49:37Z", 30 * TIME_SECOND},
        {"1994-11-06T09:49:37+01:00", 30 * TIME_SECOND},
        {"Sun, 06 Nov 1994 08:00:00 GMT", 0}, /* is over */
        {"-5", -1},
        {"soon", -1},
        {"12 parsecs", -1},
        {"inf", -1},
        {"nan", -1},
        {"1e300", -1},
        {"", -1},
        {NULL, -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t wait = retry_after_parse(rows[i].text, now);
        if (wait != rows[i].wait) {
            fail_msg("\"%s\" is %lld", rows[i].text ? rows[i].text : "(null)", (long long)wait);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff_is_full_jitter),
        cmocka_unit_test(test_deferral_doubles_up_to_six_hours),
        cmocka_unit_test(test_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
