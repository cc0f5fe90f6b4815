/* Prometheus metrics: counters, gauges and histograms with a few labels, kept for the life of the process.
 *
 * A metric is registered once, with its label names; a series is looked up by label values and may be kept: the pointer
 * stays valid until metrics_release(). Updates are lock-free; look-ups take a lock. Names follow the Prometheus
 * conventions (offboard_…_total, _seconds, _bytes). */
#ifndef OFFBOARD_LIB_METRICS_H
#define OFFBOARD_LIB_METRICS_H

#include <stdint.h>

#include "lib/buf.h"

enum metric_type {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM,      /* of seconds: from a fast vendor's answer to a job that was put off (5 ms to an hour) */
    METRIC_LONG_HISTOGRAM, /* of seconds that a person counts (a second to a day) */
};

struct metric;
struct series;

/* `labels` is a space-separated list of names, "" for none. Registering a name twice gives the same metric. */
struct metric *metric_new(enum metric_type type, const char *name, const char *labels, const char *help);

/* One value for each label, in order, as a NULL-ended list: metric_series(m, "okta", "succeeded", NULL). */
struct series *metric_series(struct metric *metric, ...) __attribute__((sentinel));

void series_add(struct series *series, double by);        /* counter (by >= 0) or gauge */
void series_set(struct series *series, double value);     /* gauge */
void series_observe(struct series *series, double value); /* histogram, in the metric's unit */
double series_value(const struct series *series);         /* counter or gauge; a histogram's count */

void metrics_render(struct buf *out); /* text exposition format 0.0.4 */
void metrics_release(void);

#endif
