#include "producer/order_keys.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

#define TAKEN_FOR (30 * TIME_SECOND)

struct order_keys {
    json_t *known; /* name to value, under the lock */
    json_t *taken; /* name to when a request took it in hand, monotonic; under the lock */
    pthread_mutex_t lock;
};

struct order_keys *order_keys_new(void)
{
    struct order_keys *keys = MEM_NEW(struct order_keys);
    keys->known = json_object();
    keys->taken = json_object();
    pthread_mutex_init(&keys->lock, NULL);
    return keys;
}

void order_keys_free(struct order_keys *keys)
{
    if (keys) {
        json_decref(keys->known);
        json_decref(keys->taken);
        pthread_mutex_destroy(&keys->lock);
        free(keys);
    }
}

char *order_key_name(const char *token, const char *key)
{
    char *both = mem_printf("%s\n%s", token, key);
    char digest[ID_SHA256_HEX_SIZE];
    id_sha256_hex(both, strlen(both), digest);
    free(both);
    return mem_printf(ORDER_KEY_PREFIX "%s", digest);
}

void order_key_id(const char *batch, size_t index, char out[ID_SIZE])
{
    char number[24];
    int len = snprintf(number, sizeof number, "%zu", index);
    id_v5(batch, number, (size_t)len, out);
}

bool order_keys_reserve(struct order_keys *keys, const char *name)
{
    int64_t now = time_monotonic();
    pthread_mutex_lock(&keys->lock);
    const char *other;
    json_t *since;
    void *next;
    json_object_foreach_safe(keys->taken, next, other, since)
    {
        if (now - json_integer_value(since) > TAKEN_FOR) {
            json_object_del(keys->taken, other); /* Kafka did not take its orders, or the request is gone */
        }
    }
    bool free_now = !json_object_get(keys->taken, name);
    if (free_now) {
        json_object_set_new(keys->taken, name, json_integer(now));
    }
    pthread_mutex_unlock(&keys->lock);
    return free_now;
}

void order_keys_put(struct order_keys *keys, const char *name, const json_t *value)
{
    pthread_mutex_lock(&keys->lock);
    json_object_del(keys->taken, name);
    if (value) {
        json_object_set_new(keys->known, name, json_deep_copy(value));
    } else {
        json_object_del(keys->known, name);
    }
    pthread_mutex_unlock(&keys->lock);
}

bool order_keys_apply(struct order_keys *keys, const rd_kafka_message_t *record)
{
    size_t len = strlen(ORDER_KEY_PREFIX);
    if (record->key_len <= len || memcmp(record->key, ORDER_KEY_PREFIX, len) != 0) {
        return false;
    }
    char *name = mem_strndup(record->key, record->key_len);
    json_t *value = record->payload ? json_parse(record->payload, record->len, NULL) : NULL;
    order_keys_put(keys, name, json_is_object(value) ? value : NULL);
    json_decref(value);
    free(name);
    return true;
}

static bool is_over(const json_t *value, int64_t now)
{
    const char *text = json_string_at(value, "at");
    int64_t at = 0;
    return !text || time_parse(text, &at, NULL) != 0 || now - at > TIME_DAY;
}

json_t *order_keys_find(struct order_keys *keys, const char *name, int64_t now)
{
    pthread_mutex_lock(&keys->lock);
    const json_t *value = json_object_get(keys->known, name);
    json_t *copy = value && !is_over(value, now) ? json_deep_copy(value) : NULL;
    pthread_mutex_unlock(&keys->lock);
    return copy;
}

char *order_keys_expired(struct order_keys *keys, int64_t now)
{
    char *found = NULL;
    const char *name;
    json_t *value;
    pthread_mutex_lock(&keys->lock);
    json_object_foreach(keys->known, name, value)
    {
        if (!found && is_over(value, now)) {
            found = mem_strdup(name);
        }
    }
    pthread_mutex_unlock(&keys->lock);
    return found;
}
