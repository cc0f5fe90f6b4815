/* Dead letters: what lies on <prefix>.dead, and what of a letter goes back to where it came from. kafka_produce_dead() writes
 * them (lib/kafka.h); schema/messages.md is the contract. */
#ifndef OFFBOARD_LIB_DEAD_H
#define OFFBOARD_LIB_DEAD_H

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/err.h"

struct dead_letter {
    int32_t partition; /* where the letter lies on <prefix>.dead */
    int64_t offset;
    int64_t at;  /* when it was set aside */
    char *topic; /* where the message was found, with prefix */
    int32_t from_partition;
    int64_t from_offset;
    char *process; /* that could not understand it */
    char *reason;
    char *key; /* NULL: none; `key_len` bytes and a NUL */
    size_t key_len;
    char *value; /* NULL: none, or not asked for; `value_len` bytes and a NUL */
    size_t value_len;
    size_t size;                 /* of the value as it came */
    int64_t since;               /* when it was first set aside: of a replay that died again, before that */
    bool whole;                  /* the letter holds all of it */
    char *summary;               /* the value in a few words, without what it says of a person; secrets masked */
    rd_kafka_headers_t *headers; /* as the message came, without what the letter added; NULL: none */
    json_t *replays;             /* the events dead.replayed about it, oldest first */
};

struct dead_letters {
    struct dead_letter *items; /* in the order of their time */
    size_t count;
};

/* Which letters are read: `accepts` NULL: all. It must not look at `value` and `replays`. */
struct dead_want {
    bool (*accepts)(const struct dead_letter *letter, void *arg);
    void *arg;
    bool values; /* with their values and headers */
};

/* Reads the whole topic, as far as it goes now. -1 with an err: ERR_RETRY when Kafka is away or the topic is not there. */
int dead_letters_read(const struct conf *conf, const struct dead_want *want, struct dead_letters *letters,
                      struct err *err);
void dead_letters_release(struct dead_letters *letters);

/* NULL when it is none of them. */
const struct dead_letter *dead_letter_find(const struct dead_letters *letters, int32_t partition, int64_t offset);

/* Reads "2/17", or "offboard.dead/2/17" as a header says it. -1 with an ERR_PERMANENT. */
int dead_place_parse(const struct conf *conf, const char *text, int32_t *partition, int64_t *offset, struct err *err);

/* What a message had before it was set aside: of a replay that died again only the newest way back counts. The caller destroys; NULL:
 * none. */
rd_kafka_headers_t *dead_headers(const rd_kafka_message_t *message);

/* When a message that was put back was first set aside; `otherwise` when it was not put back, or that is earlier. */
int64_t dead_since(const rd_kafka_message_t *message, int64_t otherwise);

/* What a value is, in a few words: see `summary`. The caller frees. */
char *dead_summary(const void *value, size_t len);

#define DEAD_REPLAYED "dead.replayed"        /* the event; it lies on the topic of the letters, too */
#define DEAD_BACK_TO  "offboard_replayed_to" /* header of a worker's answer that was put back: the topic it came from */
#define DEAD_SINCE    "offboard_received_at" /* header of one that was put back: when it was first set aside */
#define DEAD_FROM     "offboard_replayed_from" /* header of a record that was put back: the letter's place */

#endif
