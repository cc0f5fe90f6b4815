/* The keys of all offboardings in memory, as the compacted topic <prefix>.keys has them. A thread of its own reads the topic to its
 * end and follows it. Thread-safe.
 *
 * The planner puts the key of an offboarding there before any record that is sealed with it, and a tombstone when it is to be erased. The
 * first value of an id counts until its tombstone. */
#ifndef OFFBOARD_LIB_KEYRING_H
#define OFFBOARD_LIB_KEYRING_H

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/err.h"
#include "lib/id.h"
#include "lib/key_table.h"
#include "lib/metrics.h"
#include "lib/seal.h"

struct keyring;

/* Who wants to know of keys that are erased; all NULL: nobody. Called on the keyring's thread. */
struct keyring_listener {
    void (*erased)(const char id[ID_SIZE], void *arg); /* a tombstone came, whether there was a key or not */
    void *arg;
};

/* Returns at once. `listener` is copied; NULL: none. NULL with an ERR_FATAL. */
struct keyring *keyring_start(const struct conf *conf, const struct keyring_listener *listener, struct err *err);
void keyring_stop(struct keyring *keyring); /* wipes the keys and frees; NULL is accepted */

/* Has it read the topic to its end once? Else `why`, which the caller frees. */
bool keyring_ready(struct keyring *keyring, char **why);

enum key_answer {
    KEY_KNOWN,
    KEY_NOT_YET, /* not known, and the end of the topic was not read since this was asked: ask again */
    KEY_GONE,    /* erased, or never made */
    KEY_WRONG,   /* it does not open what was sealed (only keyring_open() says so) */
};

/* The key of an offboarding (its id in any case); `key` is written when it is known. `*doubt` is 0 when it is first asked for, and kept by
 * the caller until there is an answer. Never waits. */
enum key_answer keyring_find(struct keyring *keyring, const char *id, unsigned char key[SEAL_KEY_SIZE], int64_t *doubt);

/* The same, waiting for an answer up to `timeout` microseconds: KEY_NOT_YET when there is none in time. */
enum key_answer keyring_wait(struct keyring *keyring, const char *id, unsigned char key[SEAL_KEY_SIZE],
                             int64_t timeout);

/* Reads to where the topic ends now. -1 with an ERR_RETRY when that takes longer than `timeout` microseconds. */
int keyring_catch_up(struct keyring *keyring, int64_t timeout, struct err *err);

/* An offboarding that got a second value (two planners, one of which did not know that it was none any more), as long as that is the newest:
 * compaction would keep it and drop the first one, which counts. Its id and first key; each once. False: there is none. Whoever plans writes the
 * first one again. */
bool keyring_contested(struct keyring *keyring, char id[ID_SIZE], unsigned char key[SEAL_KEY_SIZE]);

/* All keys as they are now. The keyring is locked meanwhile: `each` may not call it. */
void keyring_each(struct keyring *keyring,
                  void (*each)(const char id[ID_SIZE], const unsigned char key[SEAL_KEY_SIZE], void *arg), void *arg);

/* ---- values of records ------------------------------------------------------------------------------------------- */

/* What a record says; its key names the offboarding. */
struct opened {
    const char *text; /* with a NUL behind it only when it was sealed; NULL: a tombstone */
    size_t len;
    char *owned; /* of opened_release(); NULL: it came in clear, and the text is the record's */
};

/* KEY_KNOWN: `out` has the text, of a record that came in clear, too. Else `out` is empty and `err` says why, as an ERR_RETRY of
 * KEY_NOT_YET. `*doubt` as above. */
enum key_answer keyring_open(struct keyring *keyring, const rd_kafka_message_t *message, int64_t *doubt,
                             struct opened *out, struct err *err);
void opened_release(struct opened *opened);

/* The process's counter of sealed records that nobody can open any more. */
struct series *records_without_key(void);

/* A record of the topic of keys: its value. A new reference. */
json_t *keyring_record(const unsigned char key[SEAL_KEY_SIZE]);

#endif
