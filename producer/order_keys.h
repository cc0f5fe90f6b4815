/* Idempotency keys of orders: an order that is sent again under the same key within a day changes nothing, and gets the first answer.
 * They are records `order/<digest of token and key>` of offboard.control, so that every producer knows them: the planner's thread
 * reads them there, the edge's asks. */
#ifndef OFFBOARD_PRODUCER_ORDER_KEYS_H
#define OFFBOARD_PRODUCER_ORDER_KEYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/id.h"
#include "lib/kafka.h"

#define ORDER_KEY_PREFIX "order/"

struct order_keys;

struct order_keys *order_keys_new(void);
void order_keys_free(struct order_keys *keys);

/* The key of the record. The caller frees. */
char *order_key_name(const char *token, const char *key);

/* True when no request has the key in hand: it is this one's then, until the value is put, or for as long as Kafka may take (30 s). */
bool order_keys_reserve(struct order_keys *keys, const char *name);

/* `value`: {order, count, batch, body, at}; NULL: a tombstone. Copied. */
void order_keys_put(struct order_keys *keys, const char *name, const json_t *value);

/* Takes a record of offboard.control when it is one of these; false when it is another. */
bool order_keys_apply(struct order_keys *keys, const rd_kafka_message_t *record);

/* The value that was put within the last day; a copy, NULL: none. */
json_t *order_keys_find(struct order_keys *keys, const char *name, int64_t now);

/* One name whose day is over; a copy, NULL: none. The caller puts its tombstone. */
char *order_keys_expired(struct order_keys *keys, int64_t now);

/* The id of the order at `index` of those that were given at once. */
void order_key_id(const char *batch, size_t index, char out[ID_SIZE]);

#endif
