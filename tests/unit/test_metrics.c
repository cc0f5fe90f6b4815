/* Metrics: what Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "lib/metrics.h"
#include "tests/unit/helpers.h"

static int release(void **state)
{
    (void)state;
    metrics_release();
    return 0;
}

static void assert_rendered(const char *expected)
{
    struct buf text = BUF_INIT;
    metrics_render(&text);
    assert_string_equal(buf_text(&text), expected);
    buf_release(&text);
}

static void test_counters_and_gauges(void **state)
{
    (void)state;
    assert_rendered("");
    struct metric *jobs = metric_new(METRIC_COUNTER, "offboard_jobs_total", "system outcome", "Jobs ended.");
    struct metric *lag = metric_new(METRIC_GAUGE, "offboard_lag", "", "Messages behind.");
    assert_ptr_equal(metric_new(METRIC_COUNTER, "offboard_jobs_total", "system outcome", "Jobs ended."), jobs);
    struct series *okta = metric_series(jobs, "okta", "succeeded", NULL);
    assert_ptr_equal(metric_series(jobs, "okta", "succeeded", NULL), okta);
    series_add(okta, 1);
    series_add(okta, 2);
    series_add(metric_series(jobs, "a\"b\\c\nd", "failed", NULL), 1);
    series_set(metric_series(lag, NULL), 12.5);
    series_add(metric_series(lag, NULL), -2);
    assert_true(series_value(okta) == 3);
    assert_rendered("# HELP offboard_jobs_total Jobs ended.\n# TYPE offboard_jobs_total counter\n"
                    "offboard_jobs_total{system=\"okta\",outcome=\"succeeded\"} 3\n"
                    "offboard_jobs_total{system=\"a\\\"b\\\\c\\nd\",outcome=\"failed\"} 1\n"
                    "# HELP offboard_lag Messages behind.\n# TYPE offboard_lag gauge\n"
                    "offboard_lag 10.5\n");
}

static void test_histograms(void **state)
{
    (void)state;
    struct metric *seconds = metric_new(METRIC_HISTOGRAM, "offboard_call_seconds", "system", "Duration of calls.");
    struct series *series = metric_series(seconds, "okta", NULL);
    assert_true(series_value(series) == 0);
    series_observe(series, 0.1); /* a bound belongs to its bucket */
    series_observe(series, 0.2);
    series_observe(series, 1234567.5);
    assert_true(series_value(series) == 3);
    struct buf text = BUF_INIT;
    metrics_render(&text);
    assert_contains(text.data, "# TYPE offboard_call_seconds histogram\n");
    assert_contains(text.data, "offboard_call_seconds_bucket{system=\"okta\",le=\"0.025\"} 0\n");
    assert_contains(text.data, "offboard_call_seconds_bucket{system=\"okta\",le=\"0.1\"} 1\n");
    assert_contains(text.data, "offboard_call_seconds_bucket{system=\"okta\",le=\"0.25\"} 2\n");
    assert_contains(text.data, "offboard_call_seconds_bucket{system=\"okta\",le=\"3600\"} 2\n");
    assert_contains(text.data, "offboard_call_seconds_bucket{system=\"okta\",le=\"+Inf\"} 3\n");
    assert_contains(text.data, "offboard_call_seconds_sum{system=\"okta\"} 1234567.8"); /* nothing rounded off */
    assert_contains(text.data, "offboard_call_seconds_count{system=\"okta\"} 3\n");
    buf_release(&text);
}

static void *count_many(void *arg)
{
    struct metric *metric = arg;
    for (int i = 0; i < 20000; i++) {
        series_add(metric_series(metric, i % 2 ? "odd" : "even", NULL), 1);
    }
    return NULL;
}

static void test_threads_lose_nothing(void **state)
{
    (void)state;
    struct metric *metric = metric_new(METRIC_COUNTER, "offboard_numbers_total", "kind", "Numbers.");
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, metric), 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(series_value(metric_series(metric, "odd", NULL)) == 40000);
    assert_true(series_value(metric_series(metric, "even", NULL)) == 40000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_counters_and_gauges, release),
        cmocka_unit_test_teardown(test_histograms, release),
        cmocka_unit_test_teardown(test_threads_lose_nothing, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
