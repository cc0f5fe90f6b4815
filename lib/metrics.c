#include "lib/metrics.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

/* Seconds; the last bucket is +Inf. */
enum { BUCKETS = 13 };
static const double bounds[][BUCKETS] = {
    [METRIC_HISTOGRAM] = {0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600},
    [METRIC_LONG_HISTOGRAM] = {1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 14400, 86400},
};

struct series {
    struct series *next;
    const double *bounds; /* of a histogram's buckets */
    char *labels;         /* as rendered: `system="okta",outcome="failed"` */
    _Atomic double value;
    _Atomic uint64_t buckets[BUCKETS + 1];
};

struct metric {
    struct metric *next;
    enum metric_type type;
    char *name;
    char *labels;
    char *help;
    struct series *series;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *metrics;

struct metric *metric_new(enum metric_type type, const char *name, const char *labels, const char *help)
{
    pthread_mutex_lock(&lock);
    struct metric **at = &metrics;
    while (*at && strcmp((*at)->name, name) < 0) {
        at = &(*at)->next;
    }
    if (!*at || strcmp((*at)->name, name) != 0) {
        struct metric *metric = MEM_NEW(struct metric);
        metric->type = type;
        metric->name = mem_strdup(name);
        metric->labels = mem_strdup(labels);
        metric->help = mem_strdup(help);
        metric->next = *at;
        *at = metric;
    }
    struct metric *found = *at;
    pthread_mutex_unlock(&lock);
    return found;
}

static void add_label(struct buf *out, const char *name, size_t len, const char *value)
{
    if (out->len) {
        buf_adds(out, ",");
    }
    buf_add(out, name, len);
    buf_adds(out, "=\"");
    for (; value && *value; value++) {
        if (*value == '\n') {
            buf_adds(out, "\\n");
            continue;
        }
        if (*value == '"' || *value == '\\') {
            buf_adds(out, "\\");
        }
        buf_add(out, value, 1);
    }
    buf_adds(out, "\"");
}

static struct series *series_of(struct metric *metric, const char *labels)
{
    pthread_mutex_lock(&lock);
    struct series **at = &metric->series;
    while (*at && strcmp((*at)->labels, labels) != 0) {
        at = &(*at)->next;
    }
    if (!*at) {
        *at = MEM_NEW(struct series);
        (*at)->labels = mem_strdup(labels);
        (*at)->bounds = bounds[metric->type];
    }
    struct series *found = *at;
    pthread_mutex_unlock(&lock);
    return found;
}

struct series *metric_series(struct metric *metric, ...)
{
    struct buf labels = BUF_INIT;
    va_list args;
    va_start(args, metric);
    const char *name = metric->labels;
    const char *value;
    while ((value = va_arg(args, const char *)) && *name) {
        size_t len = strcspn(name, " ");
        add_label(&labels, name, len, value);
        name += len + (name[len] == ' ');
    }
    va_end(args);
    struct series *found = series_of(metric, buf_text(&labels));
    buf_release(&labels);
    return found;
}

static void atomic_add(_Atomic double *value, double by)
{
    double old = atomic_load(value);
    while (!atomic_compare_exchange_weak(value, &old, old + by)) {
    }
}

void series_add(struct series *series, double by)
{
    atomic_add(&series->value, by);
}

void series_set(struct series *series, double value)
{
    atomic_store(&series->value, value);
}

void series_observe(struct series *series, double value)
{
    size_t i = 0;
    while (i < BUCKETS && value > series->bounds[i]) {
        i++;
    }
    atomic_fetch_add(&series->buckets[i], 1);
    atomic_add(&series->value, value);
}

static uint64_t observed(const struct series *series)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= BUCKETS; i++) {
        count += atomic_load(&series->buckets[i]);
    }
    return count;
}

double series_value(const struct series *series)
{
    uint64_t count = observed(series);
    return count ? (double)count : atomic_load(&series->value);
}

static void render_histogram(const struct metric *metric, const struct series *series, struct buf *out)
{
    const char *labels = series->labels;
    const char *separator = *labels ? "," : "";
    uint64_t count = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        count += atomic_load(&series->buckets[i]);
        buf_addf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", metric->name, labels, separator, series->bounds[i],
                 (unsigned long long)count);
    }
    count += atomic_load(&series->buckets[BUCKETS]);
    buf_addf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", metric->name, labels, separator, (unsigned long long)count);
    const char *open = *labels ? "{" : "";
    const char *close = *labels ? "}" : "";
    buf_addf(out, "%s_sum%s%s%s %.17g\n", metric->name, open, labels, close, atomic_load(&series->value));
    buf_addf(out, "%s_count%s%s%s %llu\n", metric->name, open, labels, close, (unsigned long long)count);
}

static void render_metric(const struct metric *metric, struct buf *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram", "histogram"};
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name, types[metric->type]);
    for (const struct series *series = metric->series; series; series = series->next) {
        if (metric->type >= METRIC_HISTOGRAM) {
            render_histogram(metric, series, out);
            continue;
        }
        bool labelled = *series->labels;
        buf_addf(out, "%s%s%s%s %.17g\n", metric->name, labelled ? "{" : "", series->labels, labelled ? "}" : "",
                 atomic_load(&series->value));
    }
}

void metrics_render(struct buf *out)
{
    pthread_mutex_lock(&lock);
    for (const struct metric *metric = metrics; metric; metric = metric->next) {
        render_metric(metric, out);
    }
    pthread_mutex_unlock(&lock);
}

static void metric_free(struct metric *metric)
{
    while (metric->series) {
        struct series *series = metric->series;
        metric->series = series->next;
        free(series->labels);
        free(series);
    }
    free(metric->name);
    free(metric->labels);
    free(metric->help);
    free(metric);
}

void metrics_release(void)
{
    pthread_mutex_lock(&lock);
    while (metrics) {
        struct metric *metric = metrics;
        metrics = metric->next;
        metric_free(metric);
    }
    pthread_mutex_unlock(&lock);
}
