/* The producer's edge without a network: requests come from an input, records go to the target. libmicrohttpd, librdkafka and the check of
 * signatures are replaced; all else is the real edge. */
#ifndef OFFBOARD_TESTS_FUZZ_EDGE_STAND_H
#define OFFBOARD_TESTS_FUZZ_EDGE_STAND_H

#include "lib/http_server.h"
#include "lib/kafka.h"
#include "tests/fuzz/fuzz.h"

/* Makes a request of what is left: a line "METHOD PATH", lines "name: value", an empty line, the body. Returns its status when it was
 * answered once; a token is taken from `authorization: Bearer …` as ever, a source's sender is known unless it sends `x-forged`.
 * `each` gets every record that the edge hands to Kafka. */
int edge_stand_request(struct fuzz_input *input, void (*each)(const struct kafka_record *record));

#endif
