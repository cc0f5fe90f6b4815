#include "lib/key_table.h"

#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "lib/mem.h"

enum { FIRST_ROOM = 64 };

/* The id of a free slot is all zero: the key of digests, which has this id, stands beside the slots. */
struct slot {
    unsigned char id[KEY_ID_SIZE];
    unsigned char key[SEAL_KEY_SIZE];
};

struct key_table {
    struct slot *slots;
    size_t room, used;
    unsigned char of_digests[SEAL_KEY_SIZE];
    bool has_digests;
};

static const unsigned char nil[KEY_ID_SIZE];

static bool is_nil(const unsigned char id[KEY_ID_SIZE])
{
    return memcmp(id, nil, KEY_ID_SIZE) == 0;
}

int key_id_parse(const char *text, unsigned char id[KEY_ID_SIZE])
{
    return id_valid(text) ? uuid_parse(text, id) : -1;
}

struct key_table *key_table_new(void)
{
    struct key_table *table = MEM_NEW(struct key_table);
    table->room = FIRST_ROOM;
    table->slots = mem_alloc(table->room * sizeof *table->slots);
    return table;
}

static void slots_free(struct slot *slots, size_t room)
{
    OPENSSL_cleanse(slots, room * sizeof *slots);
    free(slots);
}

void key_table_free(struct key_table *table)
{
    if (table) {
        slots_free(table->slots, table->room);
        seal_key_wipe(table->of_digests);
        free(table);
    }
}

/* Where the search for an id begins: most ids are digests already, but who writes them may choose, so the bits are mixed. */
static size_t home(const struct key_table *table, const unsigned char id[KEY_ID_SIZE])
{
    uint64_t high, low;
    memcpy(&high, id, sizeof high);
    memcpy(&low, id + sizeof high, sizeof low);
    uint64_t mixed = (high ^ (low << 32 | low >> 32)) * 0x9e3779b97f4a7c15u;
    return (size_t)((mixed ^ mixed >> 29) % table->room);
}

/* The id's slot, or the free one where it would go. */
static struct slot *slot_of(const struct key_table *table, const unsigned char id[KEY_ID_SIZE])
{
    size_t at = home(table, id);
    while (!is_nil(table->slots[at].id) && memcmp(table->slots[at].id, id, KEY_ID_SIZE) != 0) {
        at = at + 1 < table->room ? at + 1 : 0;
    }
    return &table->slots[at];
}

const unsigned char *key_table_find(const struct key_table *table, const unsigned char id[KEY_ID_SIZE])
{
    if (is_nil(id)) {
        return table->has_digests ? table->of_digests : NULL;
    }
    const struct slot *slot = slot_of(table, id);
    return is_nil(slot->id) ? NULL : slot->key;
}

/* At most four of five slots are used, so that a search stays short. */
static void make_room(struct key_table *table)
{
    if ((table->used + 1) * 5 <= table->room * 4) {
        return;
    }
    struct slot *old = table->slots;
    size_t old_room = table->room;
    table->room = old_room + old_room / 2;
    table->slots = mem_alloc(table->room * sizeof *table->slots);
    for (size_t i = 0; i < old_room; i++) {
        if (!is_nil(old[i].id)) {
            *slot_of(table, old[i].id) = old[i];
        }
    }
    slots_free(old, old_room);
}

static bool add_digests(struct key_table *table, const unsigned char key[SEAL_KEY_SIZE])
{
    if (!table->has_digests) {
        memcpy(table->of_digests, key, SEAL_KEY_SIZE);
        table->has_digests = true;
    }
    return CRYPTO_memcmp(table->of_digests, key, SEAL_KEY_SIZE) == 0;
}

bool key_table_add(struct key_table *table, const unsigned char id[KEY_ID_SIZE], const unsigned char key[SEAL_KEY_SIZE])
{
    if (is_nil(id)) {
        return add_digests(table, key);
    }
    make_room(table);
    struct slot *slot = slot_of(table, id);
    if (is_nil(slot->id)) {
        memcpy(slot->id, id, KEY_ID_SIZE);
        memcpy(slot->key, key, SEAL_KEY_SIZE);
        table->used++;
    }
    return CRYPTO_memcmp(slot->key, key, SEAL_KEY_SIZE) == 0;
}

/* What stands behind a freed slot moves up, as a search ends at a free one. */
static void close_gap(struct key_table *table, size_t gap)
{
    for (size_t at = (gap + 1) % table->room; !is_nil(table->slots[at].id); at = (at + 1) % table->room) {
        size_t wanted = home(table, table->slots[at].id);
        bool behind = (at + table->room - wanted) % table->room >= (at + table->room - gap) % table->room;
        if (behind) {
            table->slots[gap] = table->slots[at];
            gap = at;
        }
    }
    OPENSSL_cleanse(&table->slots[gap], sizeof table->slots[gap]);
}

bool key_table_drop(struct key_table *table, const unsigned char id[KEY_ID_SIZE])
{
    if (is_nil(id)) {
        bool had = table->has_digests;
        seal_key_wipe(table->of_digests);
        table->has_digests = false;
        return had;
    }
    struct slot *slot = slot_of(table, id);
    if (is_nil(slot->id)) {
        return false;
    }
    table->used--;
    close_gap(table, (size_t)(slot - table->slots));
    return true;
}

size_t key_table_size(const struct key_table *table)
{
    return table->used + (table->has_digests ? 1 : 0);
}

void key_table_each(const struct key_table *table,
                    void (*each)(const char id[ID_SIZE], const unsigned char key[SEAL_KEY_SIZE], void *arg), void *arg)
{
    if (table->has_digests) {
        each(KEY_OF_DIGESTS, table->of_digests, arg);
    }
    for (size_t i = 0; i < table->room; i++) {
        if (!is_nil(table->slots[i].id)) {
            char id[ID_SIZE];
            uuid_unparse_lower(table->slots[i].id, id);
            each(id, table->slots[i].key, arg);
        }
    }
}
