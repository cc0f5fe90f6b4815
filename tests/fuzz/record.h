/* A Kafka record made of an input: a line that is the key, lines "name: value" that are headers, an empty line, the value. librdkafka's
 * functions about records are replaced for it, so that nothing needs a broker. */
#ifndef OFFBOARD_TESTS_FUZZ_RECORD_H
#define OFFBOARD_TESTS_FUZZ_RECORD_H

#include <librdkafka/rdkafka.h>

#include "tests/fuzz/fuzz.h"

/* Takes all that is left. A key "-" is none, a value "-" a tombstone; topic, partition and timestamp are always the same. One record at a
 * time. */
rd_kafka_message_t *fuzz_record(struct fuzz_input *input);
void fuzz_record_free(rd_kafka_message_t *record);

#define FUZZ_RECORD_AT INT64_C(1700000000000) /* milliseconds */

#endif
