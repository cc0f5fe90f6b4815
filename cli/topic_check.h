/* Topics that are there: are they set up as `offboard topics` would do it? */
#ifndef OFFBOARD_CLI_TOPIC_CHECK_H
#define OFFBOARD_CLI_TOPIC_CHECK_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

#include "cli/cli.h"

/* Prints a line for each of the topics, and one more for each setting that differs, with the command that changes it. CLI_OK when nothing
 * differs, CLI_REFUSED when something does, CLI_AWAY when Kafka does not answer. */
enum cli_exit topic_check(struct cli *cli, rd_kafka_t *rk, const char *const *topics, size_t count);

#endif
