#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics.h"
#include "logger/logger.h"

struct logger_metrics {
    struct series *recorded;
    struct series *seconds;
    struct series *erased;
    struct metric *violations;
    struct metric *lag;
    struct series *partitions_end;
};

struct logger_metrics *logger_metrics_new(void)
{
    struct logger_metrics *metrics = MEM_NEW(struct logger_metrics);
    metrics->recorded = metric_series(
        metric_new(METRIC_COUNTER, "offboard_logger_messages_total", "", "Messages recorded in PostgreSQL."), NULL);
    metrics->seconds = metric_series(
        metric_new(METRIC_HISTOGRAM, "offboard_logger_batch_duration_seconds", "", "Time to record one batch."), NULL);
    metrics->erased = records_without_key();
    metrics->violations =
        metric_new(METRIC_COUNTER, "offboard_violations_total", "topic",
                   "Messages that say what the writers of their topic may not say: they are not believed.");
    metrics->lag =
        metric_new(METRIC_GAUGE, "offboard_logger_lag_messages", "topic partition", "Messages not yet recorded.");
    metrics->partitions_end = metric_series(metric_new(METRIC_GAUGE, "offboard_event_partitions_end_timestamp_seconds",
                                                       "", "Up to when the table event has partitions made ahead."),
                                            NULL);
    return metrics;
}

static void tell_violation(const struct logger *logger, const struct row *row)
{
    const char *topic = rd_kafka_topic_name(row->message->rkt);
    const char *kind = topic + strlen(conf_string(logger->conf, "kafka.prefix")) + 1;
    char *partition = mem_printf("%d", row->message->partition);
    char *offset = mem_printf("%lld", (long long)row->message->offset);
    log_error("a message is not believed: it was recorded, and changes nothing", "topic", topic, "partition", partition,
              "offset", offset, "offboarding_id", *row->offboarding_id ? row->offboarding_id : NULL, "why", row->note,
              NULL);
    series_add(metric_series(logger->metrics->violations, kind, NULL), 1);
    free(offset);
    free(partition);
}

void logger_metrics_stored(struct logger *logger, const struct batch *batch, int64_t duration)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->rows[i].erased) {
            series_add(logger->metrics->erased, 1);
        } else if (batch->rows[i].note) {
            tell_violation(logger, &batch->rows[i]);
        }
    }
    series_add(logger->metrics->recorded, (double)batch->count);
    series_observe(logger->metrics->seconds, (double)duration / (double)TIME_SECOND);
}

void logger_metrics_partitions(struct logger *logger, double end)
{
    series_set(logger->metrics->partitions_end, end);
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
