/* Open addressing with linear probing: the upper half of a slot is the hash, the lower the number and 1. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/mem.h"
#include "producer/roster_internal.h"

#define DROPPED UINT64_MAX

enum { SIZE_FIRST = 64 };

static uint64_t seed;

static void make_seed(void)
{
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        seed = (uint64_t)(uintptr_t)&seed;
    }
}

/* FNV-1a from a random beginning, as keys come from outside; then mixed, as the lower bits choose the slot. */
uint32_t index_hash(const void *bytes, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_seed);
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
    }
    hash ^= hash >> 33;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    return (uint32_t)(hash >> 32);
}

static void put_slot(struct index *index, uint64_t slot)
{
    size_t at = (size_t)(slot >> 32) & (index->size - 1);
    while (index->slots[at]) {
        at = (at + 1) & (index->size - 1);
    }
    index->slots[at] = slot;
}

/* Makes room so that a quarter of the slots is empty; what was dropped goes. */
static void make_room(struct index *index)
{
    if (index->size && (index->used + 1) * 4 <= index->size * 3) {
        return;
    }
    struct index old = *index;
    index->size = SIZE_FIRST;
    while ((old.live + 1) * 2 > index->size) {
        index->size *= 2;
    }
    index->slots = mem_alloc(index->size * sizeof *index->slots);
    for (size_t i = 0; i < old.size; i++) {
        if (old.slots[i] && old.slots[i] != DROPPED) {
            put_slot(index, old.slots[i]);
        }
    }
    index->used = index->live;
    free(old.slots);
}

void index_put(struct index *index, uint32_t hash, uint32_t number)
{
    make_room(index);
    put_slot(index, (uint64_t)hash << 32 | (number + 1));
    index->used++;
    index->live++;
}

void index_drop(struct index *index, uint32_t hash, uint32_t number)
{
    uint64_t wanted = (uint64_t)hash << 32 | (number + 1);
    for (size_t at = hash; index->size; at++) {
        uint64_t *slot = &index->slots[at & (index->size - 1)];
        if (*slot == wanted) {
            *slot = DROPPED;
            index->live--;
            return;
        }
        if (!*slot) {
            return;
        }
    }
}

bool index_next(const struct index *index, uint32_t hash, size_t *at, uint32_t *number)
{
    while (index->size) {
        uint64_t slot = index->slots[(hash + (*at)++) & (index->size - 1)];
        if (!slot) {
            return false;
        }
        if (slot != DROPPED && (uint32_t)(slot >> 32) == hash) {
            *number = (uint32_t)slot - 1;
            return true;
        }
    }
    return false;
}
