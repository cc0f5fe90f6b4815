/* librdkafka's mock cluster within the test process: real protocol over loopback, no broker to install. */
#ifndef OFFBOARD_TESTS_MOCK_CLUSTER_H
#define OFFBOARD_TESTS_MOCK_CLUSTER_H

#include <librdkafka/rdkafka.h>

#include "lib/conf.h"

struct mock_cluster;

/* A cluster with these topics (NULL-ended list of names, three partitions each) and a configuration that leads to
 * it. */
struct mock_cluster *mock_cluster_new(const char *const *topics);
const struct conf *mock_cluster_conf(const struct mock_cluster *cluster);
void mock_cluster_free(struct mock_cluster *cluster);

/* A configuration without a file: defaults, and `NAME=value` environment variables (NULL-ended list). */
struct conf *conf_of(const char *const *variables);

/* The first message of a topic, and the next after it, waited for up to ten seconds; NULL when none came. The caller
 * destroys them before the cluster. */
rd_kafka_message_t *mock_first_message(struct mock_cluster *cluster, const char *topic);
rd_kafka_message_t *mock_next_message(struct mock_cluster *cluster);

#endif
