/* mock-kafka: librdkafka's mock cluster in a process of its own, for the demo: other processes connect to it, consumer groups
 * included. Everything is in memory and gone at the end; it is no Kafka to rely on.
 *
 *   mock-kafka TOPIC=PARTITIONS…      prints "brokers HOST:PORT", runs until SIGTERM or until its standard input ends
 *
 * The mock has no CreateTopics, so the topics are named on the command line. It makes every other topic that somebody asks for:
 * TOPIC=0 is one that it denies. A partition keeps about 5 MB. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARTITIONS_MAX = 10000 };

static volatile sig_atomic_t stopping;

static void on_stop(int sig)
{
    (void)sig;
    stopping = 1;
}

/* Returns when SIGTERM came or the parent closed our standard input. */
static void wait_for_end(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    while (!stopping) {
        char ignored[64];
        if (poll(&in, 1, 1000) > 0 && read(STDIN_FILENO, ignored, sizeof ignored) <= 0) {
            return;
        }
    }
}

/* Of no partitions: the topic is not there. */
static rd_kafka_resp_err_t add_topic(rd_kafka_mock_cluster_t *cluster, const char *topic, int partitions)
{
    if (partitions > 0) {
        return rd_kafka_mock_topic_create(cluster, topic, partitions, 1);
    }
    rd_kafka_mock_topic_set_error(cluster, topic, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* "offboard.intake=3"; -1 after a message. */
static int make_topic(rd_kafka_mock_cluster_t *cluster, const char *argument)
{
    const char *equals = strchr(argument, '=');
    char *end = NULL;
    long partitions = equals ? strtol(equals + 1, &end, 10) : -1;
    if (!end || end == equals + 1 || partitions < 0 || partitions > PARTITIONS_MAX || *end) {
        fprintf(stderr, "mock-kafka: \"%s\" is no TOPIC=PARTITIONS\n", argument);
        return -1;
    }
    char *topic = strndup(argument, (size_t)(equals - argument));
    rd_kafka_resp_err_t code = add_topic(cluster, topic, (int)partitions);
    free(topic);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "mock-kafka: could not make %s: %s\n", argument, rd_kafka_err2str(code));
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    char error[256];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), error, sizeof error);
    rd_kafka_mock_cluster_t *cluster = rk ? rd_kafka_mock_cluster_new(rk, 1) : NULL;
    if (!cluster) {
        fprintf(stderr, "mock-kafka: could not start: %s\n", rk ? "no cluster" : error);
        return 1;
    }
    int result = 0;
    for (int i = 1; i < argc && result == 0; i++) {
        result = make_topic(cluster, argv[i]);
    }
    if (result == 0) {
        printf("brokers %s\n", rd_kafka_mock_cluster_bootstraps(cluster));
        fflush(stdout);
        wait_for_end();
    }
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(rk);
    return result == 0 ? 0 : 1;
}
