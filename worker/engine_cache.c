#include <stdlib.h>

#include "lib/mem.h"
#include "lib/time.h"
#include "worker/engine_internal.h"

#define CACHE_LIFE (10 * TIME_MINUTE)
enum { CACHE_MAX = 10000 };

struct engine_cache {
    json_t *entries; /* "offboarding/system" to {accounts, at}; jansson keeps insertion order: the oldest is first */
};

struct engine_cache *engine_cache_new(void)
{
    struct engine_cache *cache = MEM_NEW(struct engine_cache);
    cache->entries = json_object();
    return cache;
}

void engine_cache_free(struct engine_cache *cache)
{
    if (cache) {
        json_decref(cache->entries);
        free(cache);
    }
}

json_t *engine_cache_get(struct engine_cache *cache, const char *offboarding, const char *system)
{
    char *key = mem_printf("%s/%s", offboarding, system);
    const json_t *entry = json_object_get(cache->entries, key);
    free(key);
    if (!entry || json_integer_value(json_object_get(entry, "at")) < time_monotonic() - CACHE_LIFE) {
        return NULL;
    }
    return json_object_get(entry, "accounts");
}

static void drop_oldest(struct engine_cache *cache)
{
    const char *key = json_object_iter_key(json_object_iter(cache->entries));
    char *copy = mem_strdup(key);
    json_object_del(cache->entries, copy);
    free(copy);
}

void engine_cache_put(struct engine_cache *cache, const char *offboarding, const char *system, json_t *accounts)
{
    char *key = mem_printf("%s/%s", offboarding, system);
    json_object_set_new(cache->entries, key,
                        json_pack("{s:O, s:I}", "accounts", accounts, "at", (json_int_t)time_monotonic()));
    free(key);
    while (json_object_size(cache->entries) > CACHE_MAX) {
        drop_oldest(cache);
    }
}
