/* Between kafka.c and kafka_producer.c. */
#ifndef OFFBOARD_LIB_KAFKA_INTERNAL_H
#define OFFBOARD_LIB_KAFKA_INTERNAL_H

#include <librdkafka/rdkafka.h>

#include "lib/conf.h"
#include "lib/err.h"

rd_kafka_conf_t *kafka_producer_conf(const struct conf *conf, struct err *err);

#endif
