#include "tests/unit/mock_cluster.h"

#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kafka.h"
#include "lib/mem.h"
#include "lib/time.h"

struct mock_cluster {
    rd_kafka_t *rk; /* the cluster lives in a handle of its own */
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *reader; /* of mock_first_message() */
    struct conf *conf;
};

struct conf *conf_of(const char *const *variables)
{
    for (const char *const *variable = variables; variable && *variable; variable++) {
        const char *equals = strchr(*variable, '=');
        char *name = mem_strndup(*variable, (size_t)(equals - *variable));
        setenv(name, equals + 1, 1);
        free(name);
    }
    struct err err = ERR_INIT;
    struct conf *conf = conf_load(NULL, &err);
    err_release(&err);
    for (const char *const *variable = variables; variable && *variable; variable++) {
        char *name = mem_strndup(*variable, strcspn(*variable, "="));
        unsetenv(name);
        free(name);
    }
    return conf;
}

struct mock_cluster *mock_cluster_new(const char *const *topics)
{
    struct mock_cluster *cluster = MEM_NEW(struct mock_cluster);
    cluster->rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0);
    cluster->cluster = rd_kafka_mock_cluster_new(cluster->rk, 1);
    for (; *topics; topics++) {
        rd_kafka_mock_topic_create(cluster->cluster, *topics, 3, 1);
    }
    char *brokers = mem_printf("OFFBOARD_KAFKA_BROKERS=%s", rd_kafka_mock_cluster_bootstraps(cluster->cluster));
    cluster->conf = conf_of((const char *const[]){brokers, NULL});
    free(brokers);
    return cluster;
}

const struct conf *mock_cluster_conf(const struct mock_cluster *cluster)
{
    return cluster->conf;
}

void mock_cluster_free(struct mock_cluster *cluster)
{
    if (cluster->reader) {
        rd_kafka_consumer_close(cluster->reader);
        rd_kafka_destroy(cluster->reader);
    }
    rd_kafka_mock_cluster_destroy(cluster->cluster);
    rd_kafka_destroy(cluster->rk);
    conf_free(cluster->conf);
    free(cluster);
}

rd_kafka_message_t *mock_first_message(struct mock_cluster *cluster, const char *topic)
{
    if (!cluster->reader) {
        cluster->reader = rd_kafka_new(RD_KAFKA_CONSUMER, kafka_consumer_conf(cluster->conf, "tests", NULL), NULL, 0);
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(3);
    for (int32_t partition = 0; partition < 3; partition++) {
        rd_kafka_topic_partition_list_add(list, topic, partition)->offset = 0;
    }
    rd_kafka_assign(cluster->reader, list);
    rd_kafka_topic_partition_list_destroy(list);
    return mock_next_message(cluster);
}

rd_kafka_message_t *mock_next_message(struct mock_cluster *cluster)
{
    int64_t end = time_monotonic() + 10 * TIME_SECOND;
    while (time_monotonic() < end) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(cluster->reader, 100);
        if (message && !message->err) {
            return message;
        }
        if (message) {
            rd_kafka_message_destroy(message);
        }
    }
    return NULL;
}
