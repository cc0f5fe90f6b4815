#include <stdlib.h>

#include "lib/mem.h"
#include "lib/metrics.h"
#include "logger/logger.h"

struct logger_metrics {
    struct series *recorded;
    struct series *dead;
    struct series *seconds;
    struct metric *lag;
};

struct logger_metrics *logger_metrics_new(void)
{
    struct logger_metrics *metrics = MEM_NEW(struct logger_metrics);
    metrics->recorded = metric_series(
        metric_new(METRIC_COUNTER, "offboard_logger_messages_total", "", "Messages recorded in PostgreSQL."), NULL);
    metrics->dead = metric_series(metric_new(METRIC_COUNTER, "offboard_logger_dead_total", "",
                                             "Messages that could not be recorded and were set aside."),
                                  NULL);
    metrics->seconds = metric_series(
        metric_new(METRIC_HISTOGRAM, "offboard_logger_batch_seconds", "", "Time to record one batch."), NULL);
    metrics->lag = metric_new(METRIC_GAUGE, "offboard_logger_lag", "topic partition", "Messages not yet recorded.");
    return metrics;
}

void logger_metrics_stored(struct logger *logger, size_t rows, int64_t duration)
{
    series_add(logger->metrics->recorded, (double)rows);
    series_observe(logger->metrics->seconds, (double)duration / (double)TIME_SECOND);
}

void logger_metrics_dead(struct logger *logger)
{
    series_add(logger->metrics->dead, 1);
}

void logger_metrics_lag(struct logger *logger)
{
    for (size_t i = 0; i < logger->partition_count; i++) {
        const struct partition *partition = &logger->partitions[i];
        char *id = mem_printf("%d", partition->id);
        struct series *series = metric_series(logger->metrics->lag, partition->topic, id, NULL);
        free(id);
        int64_t low;
        int64_t high;
        bool known = partition->owned &&
                     rd_kafka_get_watermark_offsets(logger->consumer, partition->topic, partition->id, &low, &high) ==
                         RD_KAFKA_RESP_ERR_NO_ERROR;
        /* Another logger's partition is that one's to report. */
        series_set(series, known && high > partition->next ? (double)(high - partition->next) : 0);
    }
}
