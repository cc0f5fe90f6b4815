#include "cli/topic_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/topic_kind.h"
#include "lib/kafka.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "lib/wording.h"

enum { TIMEOUT_MS = 30000 };

/* ---- partitions ---------------------------------------------------------------------------------------------------- */

static enum cli_exit check_partitions(struct cli *cli, rd_kafka_t *rk, const char *topic)
{
    struct err err = ERR_INIT;
    int32_t partitions = kafka_partition_count(rk, topic, 10 * TIME_SECOND, &err);
    int wanted = topic_partitions(topic_kind_of(cli->conf, topic), cli->conf);
    if (partitions < 0) {
        return cli_fail_err(CLI_AWAY, &err);
    }
    if (partitions != wanted) {
        printf("%s: is there with %d partitions, topics.partitions says %d\n", topic, partitions, wanted);
        return CLI_REFUSED;
    }
    printf("%s: is there\n", topic);
    return CLI_OK;
}

/* ---- settings ------------------------------------------------------------------------------------------------------ */

static const char *value_of(const rd_kafka_ConfigResource_t *resource, const char *name)
{
    size_t count;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0) {
            return rd_kafka_ConfigEntry_value(entries[i]);
        }
    }
    return NULL;
}

/* Kafka writes a number as it was given to it. */
static bool is_equal(const char *value, const char *wanted)
{
    char *end, *wanted_end;
    double number = strtod(value, &end), other = strtod(wanted, &wanted_end);
    return strcmp(value, wanted) == 0 || (!*end && !*wanted_end && number == other);
}

/* A company may keep records for a shorter time; one that never chose to should know. */
static void tell_retention(const char *topic, const char *value, const char *usual)
{
    int64_t kept = strtoll(value, NULL, 10), usually = strtoll(usual, NULL, 10);
    if (kept < 0 || (usually >= 0 && kept >= usually)) {
        return;
    }
    char *span = wording_span(kept * (TIME_SECOND / 1000));
    char *long_span = usually < 0 ? mem_strdup("for ever") : wording_span(usually * (TIME_SECOND / 1000));
    printf("%s: Kafka keeps its records for %s; `offboard topics` would make it keep them %s%s\n", topic, span,
           usually < 0 ? "" : "for ", long_span);
    free(span);
    free(long_span);
}

static bool check_setting(const char *topic, const struct topic_setting *setting, const char *value)
{
    if (value && strcmp(setting->name, "retention.ms") == 0) {
        tell_retention(topic, value, setting->value);
    }
    if (!setting->why || !value || is_equal(value, setting->value)) {
        return true;
    }
    printf("%s: %s is %s, not %s: %s. Set it:\n"
           "  kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name %s --add-config %s=%s\n",
           topic, setting->name, value, setting->value, setting->why, topic, setting->name, setting->value);
    return false;
}

static enum cli_exit check_settings(struct cli *cli, const rd_kafka_ConfigResource_t *resource)
{
    struct topic_setting settings[TOPIC_SETTINGS_MAX];
    const char *topic = rd_kafka_ConfigResource_name(resource);
    size_t count = topic_settings(topic_kind_of(cli->conf, topic), settings);
    enum cli_exit code = CLI_OK;
    if (rd_kafka_ConfigResource_error(resource) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return cli_fail(CLI_AWAY, "could not read the settings of %s: %s", topic,
                        rd_kafka_ConfigResource_error_string(resource));
    }
    for (size_t i = 0; i < count; i++) {
        if (!check_setting(topic, &settings[i], value_of(resource, settings[i].name))) {
            code = CLI_REFUSED;
        }
    }
    return code;
}

/* ---- all of them --------------------------------------------------------------------------------------------------- */

static enum cli_exit worse(enum cli_exit a, enum cli_exit b)
{
    return a == CLI_AWAY || b == CLI_OK ? a : b;
}

static enum cli_exit check_answer(struct cli *cli, rd_kafka_event_t *event)
{
    size_t count;
    if (!event || rd_kafka_event_error(event)) {
        return cli_fail(CLI_AWAY, "could not read the settings of the topics: %s",
                        event ? rd_kafka_event_error_string(event) : "Kafka did not answer");
    }
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    enum cli_exit code = CLI_OK;
    for (size_t i = 0; i < count; i++) {
        code = worse(code, check_settings(cli, resources[i]));
    }
    return code;
}

static enum cli_exit check_all_settings(struct cli *cli, rd_kafka_t *rk, const char *const *topics, size_t count)
{
    rd_kafka_ConfigResource_t **resources = mem_alloc((count + 1) * sizeof(rd_kafka_ConfigResource_t *));
    for (size_t i = 0; i < count; i++) {
        resources[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics[i]);
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DescribeConfigs(rk, resources, count, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
    enum cli_exit code = check_answer(cli, event);
    if (event) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy_array(resources, count);
    free(resources);
    return code;
}

enum cli_exit topic_check(struct cli *cli, rd_kafka_t *rk, const char *const *topics, size_t count)
{
    enum cli_exit code = CLI_OK;
    for (size_t i = 0; i < count; i++) {
        code = worse(code, check_partitions(cli, rk, topics[i]));
    }
    return count ? worse(code, check_all_settings(cli, rk, topics, count)) : code;
}
