/* Keys of offboardings by id, a million in less than 100 MB: an open-addressing table. Not thread-safe. */
#ifndef OFFBOARD_LIB_KEY_TABLE_H
#define OFFBOARD_LIB_KEY_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/id.h"
#include "lib/seal.h"

/* The id of the key with which the database makes digests of people's keys. */
#define KEY_OF_DIGESTS "00000000-0000-0000-0000-000000000000"

struct key_table;

struct key_table *key_table_new(void);
void key_table_free(struct key_table *table); /* wipes the keys; NULL is accepted */

/* What ids are here: the 16 bytes of a UUID. */
enum { KEY_ID_SIZE = 16 };

/* From text, in any case. -1 when it is no UUID. */
int key_id_parse(const char *text, unsigned char id[KEY_ID_SIZE]);

/* Borrowed until the table changes; NULL: not known. */
const unsigned char *key_table_find(const struct key_table *table, const unsigned char id[KEY_ID_SIZE]);

/* False when the id has another key, which stays. */
bool key_table_add(struct key_table *table, const unsigned char id[KEY_ID_SIZE],
                   const unsigned char key[SEAL_KEY_SIZE]);

/* False when there is none. */
bool key_table_drop(struct key_table *table, const unsigned char id[KEY_ID_SIZE]);

size_t key_table_size(const struct key_table *table);

/* All of them, in no order. */
void key_table_each(const struct key_table *table,
                    void (*each)(const char id[ID_SIZE], const unsigned char key[SEAL_KEY_SIZE], void *arg), void *arg);

#endif
