#include "logger/logger.h"

#include <stdlib.h>
#include <string.h>

#include "lib/daemon.h"
#include "lib/log.h"
#include "lib/mem.h"

#define WAIT_FIRST (200 * (TIME_SECOND / 1000))
#define WAIT_MAX   (5 * TIME_SECOND)
#define LAG_EVERY  TIME_SECOND
#define KEY_WITHIN (10 * TIME_SECOND)

enum { POLL_MS = 100, BATCH_BYTES = 16 * 1024 * 1024 };

struct logger *logger_new(const struct conf *conf, struct err *err)
{
    if (!conf_string(conf, "postgres.logger")) {
        err_set(err, ERR_FATAL, "postgres.logger is not set: the connection string of a member of offboard_logger");
        return NULL;
    }
    struct kafka_producer *producer = kafka_producer_new(conf, err);
    if (!producer) {
        return NULL;
    }
    struct logger *logger = MEM_NEW(struct logger);
    logger->conf = conf;
    logger->producer = producer;
    erasures_init(&logger->erasures);
    struct keyring_listener listener = {keys_erased, &logger->erasures};
    logger->pg = pg_new_primary(conf_string(conf, "postgres.logger"), "offboard-logger");
    pg_stop_with(logger->pg, &daemon_stopping);
    logger->metrics = logger_metrics_new();
    char *dead = kafka_topic(conf, "dead", NULL);
    int opened = kafka_producer_open(producer, dead, err);
    free(dead);
    logger->health = opened == 0 ? kafka_health_start(producer, err) : NULL;
    logger->keyring = logger->health ? keyring_start(conf, &listener, err) : NULL;
    if (!logger->keyring) {
        logger_free(logger);
        return NULL;
    }
    return logger;
}

void logger_free(struct logger *logger)
{
    if (!logger) {
        return;
    }
    batch_release(&logger->batch);
    if (logger->consumer) {
        rd_kafka_consumer_close(logger->consumer);
        rd_kafka_destroy(logger->consumer);
    }
    kafka_health_stop(logger->health);
    keyring_stop(logger->keyring);
    erasures_release(&logger->erasures);
    kafka_producer_free(logger->producer, TIME_SECOND);
    pg_free(logger->pg);
    for (size_t i = 0; i < logger->partition_count; i++) {
        free(logger->partitions[i].topic);
        free(logger->partitions[i].dead);
        origin_release(&logger->partitions[i].origin);
    }
    free(logger->partitions);
    free(logger->metrics);
    free(logger);
}

/* ---- filling a batch --------------------------------------------------------------------------------------------- */

static void report(const rd_kafka_message_t *message)
{
    log_warning("kafka", "detail", rd_kafka_message_errstr(message), "topic",
                message->rkt ? rd_kafka_topic_name(message->rkt) : NULL, NULL);
}

/* The key was in Kafka before what is sealed with it: it is read within moments, while Kafka answers. */
static enum key_answer open_value(struct logger *logger, const rd_kafka_message_t *message, struct opened *opened,
                                  struct err *err)
{
    int64_t doubt = 0, end = time_monotonic() + KEY_WITHIN;
    enum key_answer answer = keyring_open(logger->keyring, message, &doubt, opened, err);
    while (answer == KEY_NOT_YET && !daemon_stopping && time_monotonic() < end) {
        keyring_catch_up(logger->keyring, WAIT_FIRST, NULL);
        answer = keyring_open(logger->keyring, message, &doubt, opened, err);
    }
    return answer;
}

/* Takes the message over, but with an ERR_RETRY: its key is not known yet, and it has to be read again. */
static int add(struct logger *logger, rd_kafka_message_t *message, const struct origin *origin, struct err *err)
{
    struct opened opened;
    struct err why = ERR_INIT;
    enum key_answer answer = open_value(logger, message, &opened, &why);
    if (answer == KEY_NOT_YET) {
        err_set(err, ERR_RETRY, "%s", err_text(&why));
    } else if (answer == KEY_GONE) {
        row_read_erased(batch_add(&logger->batch), message);
    } else {
        struct row *row = batch_add(&logger->batch);
        row_read(row, message, origin, answer == KEY_KNOWN ? &opened : NULL);
        if (answer == KEY_WRONG) {
            free(row->refused);
            row->refused = mem_printf("it does not open: %s", err_text(&why));
        }
    }
    opened_release(&opened);
    err_release(&why);
    return answer == KEY_NOT_YET ? -1 : 0;
}

/* Takes the message over. */
static int take(struct logger *logger, rd_kafka_message_t *message, struct err *err)
{
    int result = 0;
    struct partition *partition =
        message->rkt ? position_find(logger, rd_kafka_topic_name(message->rkt), message->partition) : NULL;
    bool ours = logger->placed && partition && partition->owned && message->offset >= partition->expected;
    if (ours && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        partition->end = message->offset;
    } else if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        report(message);
    } else if (ours && !message->err) {
        int64_t offset = message->offset;
        size_t size = message->len + message->key_len;
        result = add(logger, message, &partition->origin, err);
        if (result == 0) {
            partition->expected = offset + 1;
            logger->batch.size += size;
            return 0;
        }
    } else if (logger->placed && partition && partition->owned && !message->err) {
        partition->went_back = true;
    }
    rd_kafka_message_destroy(message);
    return result;
}

/* Waits up to a poll for the first message, then up to logger.batch_wait for the batch to fill. */
static int collect(struct logger *logger, struct err *err)
{
    size_t most = (size_t)conf_int(logger->conf, "logger.batch_size");
    int64_t end = 0;
    while (logger->batch.count < most && logger->batch.size < BATCH_BYTES) {
        int64_t left = end ? end - time_monotonic() : POLL_MS * (TIME_SECOND / 1000);
        rd_kafka_message_t *message =
            left > 0 ? rd_kafka_consumer_poll(logger->consumer, (int)((left + 999) / 1000)) : NULL;
        if (!message) {
            return 0;
        }
        if (take(logger, message, err) != 0) {
            return -1;
        }
        if (logger->batch.count && !end) {
            end = time_monotonic() + conf_duration(logger->conf, "logger.batch_wait");
        }
    }
    return 0;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Polls on, so that the group is kept, until `wait` is over or the process is to stop. */
static void poll_for(struct logger *logger, int64_t wait)
{
    int64_t end = time_monotonic() + wait;
    while (!daemon_stopping && time_monotonic() < end) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(logger->consumer, POLL_MS);
        if (message) {
            take(logger, message, NULL); /* nothing is placed: it is let go */
        }
    }
}

static int store(struct logger *logger, struct err *err)
{
    int64_t begun = time_monotonic();
    if (logger->batch.count == 0) {
        return store_ends(logger, err);
    }
    int result = store_batch(logger, err);
    if (result == 0) {
        logger_metrics_stored(logger, &logger->batch, time_monotonic() - begun);
        batch_clear(&logger->batch);
    }
    return result;
}

/* One batch, or what has to be done before one can be had. */
static int step(struct logger *logger, struct err *err)
{
    if (kafka_consumer_sound(logger->consumer, err) != 0 || store_connect(logger, err) != 0 ||
        keys_look(logger, err) != 0 || keys_erase(logger, err) != 0 ||
        (!logger->placed && position_place(logger, err) != 0)) {
        return -1;
    }
    atomic_store(&logger->ready, true);
    if (collect(logger, err) != 0 || position_check(logger, err) != 0) {
        return -1;
    }
    return logger->placed ? store(logger, err) : 0; /* not placed: the group has just shared out anew */
}

/* Says what is wrong when it is news, and waits: longer every time, up to WAIT_MAX. */
static void wait_out(struct logger *logger, const struct err *err, char **said, int64_t *wait)
{
    if (!*said || strcmp(*said, err_text(err)) != 0) {
        log_warning("waiting", "error", err_text(err), NULL);
        free(*said);
        *said = mem_strdup(err_text(err));
    }
    atomic_store(&logger->ready, false);
    position_lift(logger);
    poll_for(logger, *wait);
    *wait = *wait * 2 < WAIT_MAX ? *wait * 2 : WAIT_MAX;
}

static int subscribe(struct logger *logger, struct err *err)
{
    bool said = false;
    while (position_subscribe(logger, err) != 0) {
        if (err->class == ERR_FATAL || daemon_stopping) {
            return err->class == ERR_FATAL ? -1 : 0;
        }
        if (!said) {
            log_warning("waiting", "error", err_text(err), NULL);
            said = true;
        }
    }
    err_release(err);
    return 0;
}

int logger_run(struct logger *logger, struct err *err)
{
    if (subscribe(logger, err) != 0) {
        return -1;
    }
    char *said = NULL;
    int64_t wait = WAIT_FIRST;
    int64_t lag_at = 0;
    int result = 0;
    while (!daemon_stopping && result == 0) {
        struct err why = ERR_INIT;
        if (step(logger, &why) == 0) {
            if (said) {
                log_info("going on", NULL);
                free(said);
                said = NULL;
            }
            wait = WAIT_FIRST;
        } else if (why.class == ERR_FATAL) {
            result = err_set(err, ERR_FATAL, "%s", err_text(&why));
        } else {
            wait_out(logger, &why, &said, &wait);
        }
        err_release(&why);
        if (time_monotonic() - lag_at > LAG_EVERY) {
            lag_at = time_monotonic();
            logger_metrics_lag(logger);
        }
    }
    free(said);
    return result;
}
