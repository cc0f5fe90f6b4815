/* What a worker measures of its jobs: outcomes, durations, lag, and how long it took until access was gone. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

void measure_worker(struct worker *worker)
{
    worker->jobs_total =
        metric_new(METRIC_COUNTER, "offboard_jobs_total", "system outcome", "Jobs that ended, by outcome.");
    worker->commit_failures = metric_series(
        metric_new(METRIC_COUNTER, "offboard_commit_failures_total", "", "Offset commits that had to be tried again."),
        NULL);
}

void measure_feed(struct feed *feed)
{
    struct {
        struct series **series;
        enum metric_type type;
        const char *name;
        const char *help;
    } metrics[] = {
        {&feed->jobs_running, METRIC_GAUGE, "offboard_jobs_running", "Jobs that run now."},
        {&feed->job_duration, METRIC_HISTOGRAM, "offboard_job_duration_seconds", "From a job's start to its outcome."},
        {&feed->time_to_revoke, METRIC_LONG_HISTOGRAM, "offboard_time_to_revoke_seconds",
         "From the HR event's arrival, or effective_at when that is later, until a step that revokes was read back."},
        {&feed->circuit_open, METRIC_GAUGE, "offboard_circuit_open", "1 while the system is taken to be down."},
        {&feed->paused, METRIC_GAUGE, "offboard_system_paused", "1 while an order keeps jobs from starting."},
        {&feed->repeats, METRIC_COUNTER, "offboard_job_repeats_total", "Jobs published twice and run once."},
        {&feed->partitions_held, METRIC_GAUGE, "offboard_partitions_held", "Partition numbers this process holds."},
    };
    for (size_t i = 0; i < COUNT_OF(metrics); i++) {
        struct metric *metric = metric_new(metrics[i].type, metrics[i].name, "system", metrics[i].help);
        *metrics[i].series = metric_series(metric, feed->name, NULL);
    }
    struct metric *lag = metric_new(METRIC_GAUGE, "offboard_consumer_lag_messages", "system priority",
                                    "Jobs that are published and not yet done, of the partitions this process holds.");
    feed->lag[NORMAL] = metric_series(lag, feed->name, "normal", NULL);
    feed->lag[URGENT] = metric_series(lag, feed->name, "urgent", NULL);
}

/* ---- lag --------------------------------------------------------------------------------------------------------- */

/* As far as the consumer has heard of the partition's end: while it doesn't fetch (its queue is full, as the circuit is open) what
 * is published meanwhile shows later. */
static int64_t lag_of(const struct stream *stream)
{
    const struct feed *feed = stream->partition->feed;
    int64_t low = 0;
    int64_t high = 0;
    if (!stream->queue ||
        rd_kafka_get_watermark_offsets(feed->consumer, feed->topics[stream->urgent ? URGENT : NORMAL],
                                       stream->partition->number, &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    int64_t next = progress_committable(stream->progress);
    return high > next ? high - next : 0;
}

void measure_lag(struct feed *feed)
{
    int64_t lag[STREAMS] = {0};
    for (size_t i = 0; i < feed->held; i++) {
        for (int kind = 0; kind < STREAMS; kind++) {
            lag[kind] += lag_of(&feed->partitions[i]->streams[kind]);
        }
    }
    series_set(feed->lag[NORMAL], (double)lag[NORMAL]);
    series_set(feed->lag[URGENT], (double)lag[URGENT]);
}

/* ---- a job that has ended ---------------------------------------------------------------------------------------- */

static int64_t instant_at(const json_t *message, const char *path)
{
    const char *text = json_string_at(message, path);
    int64_t at = 0;
    return text && time_parse(text, &at, NULL) == 0 ? at : 0;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When access should have been gone: what the plan gives a time (`after`) is not late before it. */
static int64_t wanted_at(const json_t *message)
{
    int64_t effective = instant_at(message, "effective_at");
    int64_t after = (int64_t)json_int_at(message, "job.after_us", 0);
    return after ? later(effective, instant_at(message, "started_at")) + after
                 : later(effective, instant_at(message, "received_at"));
}

static bool revoked(const json_t *message, const char *outcome)
{
    const char *effect = json_string_at(message, "job.effect");
    const char *mode = json_string_at(message, "mode");
    return effect && strcmp(effect, "revoke") == 0 && mode && strcmp(mode, "live") == 0 &&
           (strcmp(outcome, "succeeded") == 0 || strcmp(outcome, "already_done") == 0) &&
           !json_true_at(message, "job.only_verify") && !json_at(message, "job.undo_of");
}

void measure_job(const struct task *task, const char *outcome)
{
    struct feed *feed = task->stream->partition->feed;
    const json_t *message = task->job.message;
    series_add(metric_series(feed->worker->jobs_total, feed->name, outcome, NULL), 1);
    series_observe(feed->job_duration, (double)(time_monotonic() - task->started) / (double)TIME_SECOND);
    if (revoked(message, outcome) && wanted_at(message) > 0) {
        series_observe(feed->time_to_revoke, (double)later(time_now() - wanted_at(message), 0) / (double)TIME_SECOND);
    }
}
