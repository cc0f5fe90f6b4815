/* Between kafka.c, kafka_producer.c and kafka_health.c. */
#ifndef OFFBOARD_LIB_KAFKA_INTERNAL_H
#define OFFBOARD_LIB_KAFKA_INTERNAL_H

#include <librdkafka/rdkafka.h>

#include "lib/conf.h"
#include "lib/err.h"

rd_kafka_conf_t *kafka_producer_conf(const struct conf *conf, struct err *err);

struct kafka_producer;
rd_kafka_t *kafka_producer_handle(struct kafka_producer *producer);

#endif
