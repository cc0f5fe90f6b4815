#include "lib/keyring.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uuid/uuid.h>

#include "lib/decode.h"
#include "lib/json.h"
#include "lib/kafka.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/time.h"

enum { POLL_MS = 100, ASK_MS = 2000 };

struct keyring {
    const struct conf *conf;
    struct keyring_listener listener;
    char *topic;
    rd_kafka_t *rk; /* set before the thread starts */
    rd_kafka_queue_t *queue;
    pthread_t thread;
    atomic_bool stopping;
    pthread_mutex_t lock;
    pthread_cond_t answered;

    /* Under the lock. Times are monotonic. */
    struct key_table *table;
    int64_t asked_at;                        /* the newest question whose answer needs the end of the topic */
    int64_t confirmed_at;                    /* what was asked until then can be answered; 0: nothing yet */
    unsigned char (*contested)[KEY_ID_SIZE]; /* whose newest value is not the one that counts */
    size_t contested_count;

    /* The thread's. */
    int64_t read_to;  /* the next offset */
    int64_t end;      /* where the topic ended at `ended_at`; -1: not asked for */
    int64_t ended_at; /* monotonic */
    bool said;        /* that Kafka does not answer */
    struct series *size;
};

/* ---- records ----------------------------------------------------------------------------------------------------- */

json_t *keyring_record(const unsigned char key[SEAL_KEY_SIZE])
{
    char text[SEAL_KEY_SIZE * 2];
    EVP_EncodeBlock((unsigned char *)text, key, SEAL_KEY_SIZE);
    json_t *value = json_pack("{s:i, s:s}", "version", MESSAGE_VERSION, "key", text);
    OPENSSL_cleanse(text, sizeof text);
    return value;
}

/* Reads the key from the record. -1 when the record has none. */
static int read_key(const rd_kafka_message_t *message, unsigned char key[SEAL_KEY_SIZE])
{
    json_t *value = json_parse(message->payload, message->len, NULL);
    const char *text = json_string_at(value, "key");
    size_t len = 0;
    unsigned char *bytes =
        json_int_at(value, "version", 0) == MESSAGE_VERSION && text ? decode_base64(text, strlen(text), &len) : NULL;
    bool right = bytes && len == SEAL_KEY_SIZE;
    if (right) {
        memcpy(key, bytes, SEAL_KEY_SIZE);
    }
    if (bytes) {
        OPENSSL_cleanse(bytes, len);
    }
    free(bytes);
    json_decref(value);
    return right ? 0 : -1;
}

static void complain(const rd_kafka_message_t *message, const char *what)
{
    char *offset = mem_printf("%lld", (long long)message->offset);
    log_error(what, "topic", rd_kafka_topic_name(message->rkt), "offset", offset, NULL);
    free(offset);
}

/* With the lock: is the newest value of the id the one that counts? */
static void note_newest(struct keyring *keyring, const unsigned char id[KEY_ID_SIZE], bool counts)
{
    size_t at = 0;
    while (at < keyring->contested_count && memcmp(keyring->contested[at], id, KEY_ID_SIZE) != 0) {
        at++;
    }
    bool listed = at < keyring->contested_count;
    if (listed && counts) {
        memcpy(keyring->contested[at], keyring->contested[--keyring->contested_count], KEY_ID_SIZE);
    } else if (!listed && !counts) {
        keyring->contested =
            mem_realloc(keyring->contested, (keyring->contested_count + 1) * sizeof *keyring->contested);
        memcpy(keyring->contested[keyring->contested_count++], id, KEY_ID_SIZE);
    }
}

static void add(struct keyring *keyring, const rd_kafka_message_t *message, const unsigned char id[KEY_ID_SIZE])
{
    unsigned char key[SEAL_KEY_SIZE];
    if (read_key(message, key) != 0) {
        complain(message, "the record of a key can't be understood");
        return;
    }
    pthread_mutex_lock(&keyring->lock);
    bool added = key_table_add(keyring->table, id, key);
    note_newest(keyring, id, added);
    series_set(keyring->size, (double)key_table_size(keyring->table));
    pthread_mutex_unlock(&keyring->lock);
    seal_key_wipe(key);
    if (!added) {
        complain(message, "an offboarding has a second key: the first one counts");
    }
}

static void erase(struct keyring *keyring, const unsigned char id[KEY_ID_SIZE], const char text[ID_SIZE])
{
    pthread_mutex_lock(&keyring->lock);
    key_table_drop(keyring->table, id);
    note_newest(keyring, id, true);
    series_set(keyring->size, (double)key_table_size(keyring->table));
    pthread_mutex_unlock(&keyring->lock);
    if (keyring->listener.erased) {
        keyring->listener.erased(text, keyring->listener.arg);
    }
}

static void apply(struct keyring *keyring, const rd_kafka_message_t *message)
{
    unsigned char id[KEY_ID_SIZE];
    char text[ID_SIZE];
    if (kafka_message_id(message, text) != 0 || key_id_parse(text, id) != 0) {
        complain(message, "the record of a key names no offboarding");
    } else if (message->payload) {
        add(keyring, message, id);
    } else {
        erase(keyring, id, text);
    }
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void waits_for_kafka(struct keyring *keyring, const char *why)
{
    if (!keyring->said) {
        log_warning("waiting for the keys of offboardings", "topic", keyring->topic, "error", why, NULL);
        keyring->said = true;
    }
}

/* Until the topic is there. */
static void begin(struct keyring *keyring)
{
    struct err err = ERR_INIT;
    while (!keyring->stopping && kafka_partition_count(keyring->rk, keyring->topic, TIME_SECOND, &err) < 0) {
        waits_for_kafka(keyring, err_text(&err));
    }
    err_release(&err);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, keyring->topic, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(keyring->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

static void read_next(struct keyring *keyring)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(keyring->rk, POLL_MS);
    if (!message) {
        return;
    }
    if (!message->err) {
        apply(keyring, message);
        keyring->read_to = message->offset + 1;
    } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        keyring->read_to = message->offset; /* the last offsets of a compacted topic may hold no record */
    } else if (message->rkt) {              /* of the topic; nothing needs the group's coordinator */
        waits_for_kafka(keyring, rd_kafka_message_errstr(message));
    }
    rd_kafka_message_destroy(message);
}

/* Asks where the topic ends, when a question needs that. */
static void ask_end(struct keyring *keyring)
{
    pthread_mutex_lock(&keyring->lock);
    bool asked = keyring->asked_at > keyring->confirmed_at;
    pthread_mutex_unlock(&keyring->lock);
    if (!asked || keyring->end >= 0) {
        return;
    }
    int64_t low, at = time_monotonic();
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(keyring->rk, keyring->topic, 0, &low, &keyring->end, ASK_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        keyring->end = -1;
        waits_for_kafka(keyring, rd_kafka_err2str(code));
        return;
    }
    keyring->said = false;
    keyring->ended_at = at;
}

static void answer(struct keyring *keyring)
{
    if (keyring->end < 0 || keyring->read_to < keyring->end) {
        return;
    }
    pthread_mutex_lock(&keyring->lock);
    keyring->confirmed_at = keyring->ended_at;
    pthread_cond_broadcast(&keyring->answered);
    pthread_mutex_unlock(&keyring->lock);
    keyring->end = -1;
}

static void *run(void *arg)
{
    struct keyring *keyring = arg;
    begin(keyring);
    while (!keyring->stopping) {
        read_next(keyring);
        ask_end(keyring);
        answer(keyring);
    }
    return NULL;
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

static int consumer_open(struct keyring *keyring, struct err *err)
{
    /* a group's name is demanded, never used */
    rd_kafka_conf_t *settings = kafka_consumer_conf(keyring->conf, "offboard-reader", err);
    if (settings) {
        rd_kafka_conf_set(settings, "enable.partition.eof", "true", NULL, 0);
    }
    keyring->rk = kafka_consumer_new(settings, err);
    if (!keyring->rk) {
        return -1;
    }
    rd_kafka_poll_set_consumer(keyring->rk);
    keyring->queue = rd_kafka_queue_get_consumer(keyring->rk);
    return 0;
}

static void release(struct keyring *keyring)
{
    if (keyring->rk) {
        rd_kafka_queue_destroy(keyring->queue);
        rd_kafka_consumer_close(keyring->rk);
        rd_kafka_destroy(keyring->rk);
    }
    key_table_free(keyring->table);
    free(keyring->contested);
    pthread_cond_destroy(&keyring->answered);
    pthread_mutex_destroy(&keyring->lock);
    free(keyring->topic);
    free(keyring);
}

struct keyring *keyring_start(const struct conf *conf, const struct keyring_listener *listener, struct err *err)
{
    struct keyring *keyring = MEM_NEW(struct keyring);
    pthread_condattr_t monotonic;
    keyring->conf = conf;
    keyring->listener = listener ? *listener : (struct keyring_listener){0};
    keyring->topic = kafka_topic(conf, "keys", NULL);
    keyring->table = key_table_new();
    keyring->end = -1;
    keyring->asked_at = time_monotonic(); /* all of it, once */
    keyring->size =
        metric_series(metric_new(METRIC_GAUGE, "offboard_keys", "", "Keys of offboardings in memory"), NULL);
    pthread_mutex_init(&keyring->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&keyring->answered, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (consumer_open(keyring, err) != 0) {
        release(keyring);
        return NULL;
    }
    if (pthread_create(&keyring->thread, NULL, run, keyring) != 0) {
        release(keyring);
        err_set(err, ERR_FATAL, "could not start the thread that reads the keys of offboardings");
        return NULL;
    }
    return keyring;
}

void keyring_stop(struct keyring *keyring)
{
    if (keyring) {
        keyring->stopping = true;
        rd_kafka_queue_yield(keyring->queue);
        pthread_join(keyring->thread, NULL);
        release(keyring);
    }
}

bool keyring_ready(struct keyring *keyring, char **why)
{
    pthread_mutex_lock(&keyring->lock);
    bool ready = keyring->confirmed_at > 0;
    pthread_mutex_unlock(&keyring->lock);
    if (!ready) {
        *why = mem_printf("the keys of offboardings (%s) are not read yet", keyring->topic);
    }
    return ready;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* With the lock. */
static void ask(struct keyring *keyring, int64_t at)
{
    if (at > keyring->asked_at) {
        keyring->asked_at = at;
    }
    rd_kafka_queue_yield(keyring->queue);
}

/* With the lock. */
static enum key_answer look_up(struct keyring *keyring, const unsigned char id[KEY_ID_SIZE],
                               unsigned char key[SEAL_KEY_SIZE], int64_t *doubt)
{
    const unsigned char *known = key_table_find(keyring->table, id);
    if (known) {
        memcpy(key, known, SEAL_KEY_SIZE);
        return KEY_KNOWN;
    }
    if (*doubt && keyring->confirmed_at >= *doubt) {
        return KEY_GONE;
    }
    if (!*doubt) {
        *doubt = time_monotonic();
        ask(keyring, *doubt);
    }
    return KEY_NOT_YET;
}

enum key_answer keyring_find(struct keyring *keyring, const char *id, unsigned char key[SEAL_KEY_SIZE], int64_t *doubt)
{
    unsigned char parsed[KEY_ID_SIZE];
    if (key_id_parse(id, parsed) != 0) {
        return KEY_GONE;
    }
    pthread_mutex_lock(&keyring->lock);
    enum key_answer answer = look_up(keyring, parsed, key, doubt);
    pthread_mutex_unlock(&keyring->lock);
    return answer;
}

static struct timespec instant(int64_t at)
{
    return (struct timespec){.tv_sec = at / TIME_SECOND, .tv_nsec = at % TIME_SECOND * 1000};
}

enum key_answer keyring_wait(struct keyring *keyring, const char *id, unsigned char key[SEAL_KEY_SIZE], int64_t timeout)
{
    unsigned char parsed[KEY_ID_SIZE];
    int64_t doubt = 0;
    struct timespec until = instant(time_monotonic() + timeout);
    if (key_id_parse(id, parsed) != 0) {
        return KEY_GONE;
    }
    pthread_mutex_lock(&keyring->lock);
    enum key_answer answer = look_up(keyring, parsed, key, &doubt);
    while (answer == KEY_NOT_YET && pthread_cond_timedwait(&keyring->answered, &keyring->lock, &until) == 0) {
        answer = look_up(keyring, parsed, key, &doubt);
    }
    pthread_mutex_unlock(&keyring->lock);
    return answer;
}

int keyring_catch_up(struct keyring *keyring, int64_t timeout, struct err *err)
{
    int64_t now = time_monotonic();
    struct timespec until = instant(now + timeout);
    int waited = 0;
    pthread_mutex_lock(&keyring->lock);
    ask(keyring, now);
    while (keyring->confirmed_at < now && waited == 0) {
        waited = pthread_cond_timedwait(&keyring->answered, &keyring->lock, &until);
    }
    bool caught_up = keyring->confirmed_at >= now;
    pthread_mutex_unlock(&keyring->lock);
    return caught_up ? 0 : err_set(err, ERR_RETRY, "could not read %s to its end in time", keyring->topic);
}

bool keyring_contested(struct keyring *keyring, char id[ID_SIZE], unsigned char key[SEAL_KEY_SIZE])
{
    pthread_mutex_lock(&keyring->lock);
    bool found = keyring->contested_count > 0;
    if (found) {
        const unsigned char *last = keyring->contested[--keyring->contested_count];
        uuid_unparse_lower(last, id);
        memcpy(key, key_table_find(keyring->table, last), SEAL_KEY_SIZE);
    }
    pthread_mutex_unlock(&keyring->lock);
    return found;
}

void keyring_each(struct keyring *keyring,
                  void (*each)(const char id[ID_SIZE], const unsigned char key[SEAL_KEY_SIZE], void *arg), void *arg)
{
    pthread_mutex_lock(&keyring->lock);
    key_table_each(keyring->table, each, arg);
    pthread_mutex_unlock(&keyring->lock);
}

/* ---- values of records ------------------------------------------------------------------------------------------- */

static enum key_answer open_sealed(struct keyring *keyring, const char *id, const rd_kafka_message_t *message,
                                   int64_t *doubt, struct opened *out, struct err *err)
{
    unsigned char key[SEAL_KEY_SIZE];
    enum key_answer answer = keyring_find(keyring, id, key, doubt);
    if (answer != KEY_KNOWN) {
        err_set(err, answer == KEY_GONE ? ERR_PERMANENT : ERR_RETRY,
                answer == KEY_GONE ? "the key of its offboarding was erased"
                                   : "the key of its offboarding is not there yet");
        return answer;
    }
    out->owned = seal_open(key, id, message->payload, message->len, &out->len, err);
    out->text = out->owned;
    seal_key_wipe(key);
    return out->owned ? KEY_KNOWN : KEY_WRONG;
}

enum key_answer keyring_open(struct keyring *keyring, const rd_kafka_message_t *message, int64_t *doubt,
                             struct opened *out, struct err *err)
{
    *out = (struct opened){0};
    if (!seal_is(message->payload, message->len)) {
        *out = (struct opened){message->payload, message->len, NULL};
        return KEY_KNOWN;
    }
    char id[ID_SIZE];
    if (kafka_message_id(message, id) != 0) {
        err_set(err, ERR_PERMANENT, "it is sealed, and its key names no offboarding");
        return KEY_WRONG;
    }
    return open_sealed(keyring, id, message, doubt, out, err);
}

struct series *records_without_key(void)
{
    return metric_series(metric_new(METRIC_COUNTER, "offboard_records_without_key_total", "",
                                    "Sealed records that were passed over: the key of their offboarding is gone."),
                         NULL);
}

void opened_release(struct opened *opened)
{
    free(opened->owned);
    *opened = (struct opened){0};
}
