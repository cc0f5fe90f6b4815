/* The keys of so many offboardings in memory: what they take, how long a look-up lasts, and how long sealing and opening a record of
 * usual size.
 *   tests/bench/keys [OFFBOARDINGS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/key_table.h"
#include "lib/mem.h"
#include "lib/seal.h"
#include "lib/time.h"
#include "tests/bench/memory.h"

enum { RECORD = 2000, RECORDS = 100000 };

static void number_id(long number, unsigned char id[KEY_ID_SIZE])
{
    char text[ID_SIZE], name[32];
    snprintf(name, sizeof name, "%ld", number);
    id_offboarding("/hr/example", name, text);
    key_id_parse(text, id);
}

static void measure_table(long count)
{
    unsigned char id[KEY_ID_SIZE], key[SEAL_KEY_SIZE];
    long before = megabytes("VmRSS:");
    struct key_table *table = key_table_new();
    for (long i = 0; i < count; i++) {
        number_id(i, id);
        seal_key_new(key, NULL);
        key_table_add(table, id, key);
    }
    long found = 0;
    int64_t since = time_monotonic();
    for (long i = 0; i < count; i++) {
        id[0] = (unsigned char)i; /* mostly one that is not there, which takes longest */
        found += key_table_find(table, id) != NULL;
    }
    int64_t took = time_monotonic() - since;
    printf("%zu keys: %ld MB of memory (while it grew at most %ld MB), %.0f ns a look-up (%ld found)\n",
           key_table_size(table), megabytes("VmRSS:") - before, megabytes("VmHWM:") - before,
           1000.0 * (double)took / (double)count, found);
    key_table_free(table);
}

static void measure_sealing(void)
{
    static const char subject[] = "5f0d2a4c-0000-4000-8000-000000000001";
    unsigned char key[SEAL_KEY_SIZE];
    char text[RECORD];
    size_t len = 0, opened_len = 0;
    int64_t sealing = 0, opening = 0;
    memset(text, 'x', sizeof text);
    seal_key_new(key, NULL);
    for (int i = 0; i < RECORDS; i++) {
        int64_t since = time_monotonic();
        unsigned char *sealed = seal_make(key, subject, text, sizeof text, &len, NULL);
        int64_t between = time_monotonic();
        char *opened = seal_open(key, subject, sealed, len, &opened_len, NULL);
        sealing += between - since;
        opening += time_monotonic() - between;
        free(opened);
        free(sealed);
    }
    printf("%d bytes: %.1f us to seal, %.1f us to open\n", RECORD, (double)sealing / RECORDS,
           (double)opening / RECORDS);
}

int main(int argc, char **argv)
{
    measure_table(argc > 1 ? strtol(argv[1], NULL, 10) : 1000000);
    measure_sealing();
    return 0;
}
