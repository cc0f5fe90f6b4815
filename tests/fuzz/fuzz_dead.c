/* lib/dead.c: records of the topic of dead letters, which anybody's broken message fills. The first line is a place as a person names it,
 * the rest a record, which is read twice: as a letter, and as the note of its replay. */
/* links: tests/fuzz/record.c */
#include "lib/kafka.h"
#include "tests/fuzz/record.h"

/* dead.c reads a topic by this; here it holds the record in hand. */
static const rd_kafka_message_t *in_hand;
static rd_kafka_t *follow(const struct conf *conf, const char *topic, int64_t timeout,
                          void (*each)(const rd_kafka_message_t *message, void *arg), void *arg, struct err *err)
{
    (void)conf, (void)topic, (void)timeout, (void)err;
    each(in_hand, arg);
    each(in_hand, arg);
    return (rd_kafka_t *)(uintptr_t)in_hand;
}

#define kafka_follow            follow
#define kafka_topic(conf, a, b) ((void)(conf), mem_strdup("offboard.dead"))
#define rd_kafka_consumer_close(rk)
#define rd_kafka_destroy(rk)
#include "lib/dead.c"

static void check_letter(const struct dead_letter *letter)
{
    FUZZ_CHECK(letter->partition == 2 && letter->offset == 17);
    FUZZ_CHECK(letter->topic && letter->summary);
    FUZZ_CHECK(letter->from_partition >= 0 && letter->from_offset >= -1);
    FUZZ_CHECK(strlen(letter->summary) <= TEXT_SHOWN);
    json_t *summary = json_string(letter->summary); /* it is cut between two characters */
    FUZZ_CHECK(summary);
    json_decref(summary);
    const char *name;
    const void *value;
    size_t len;
    for (size_t i = 0; letter->headers && rd_kafka_header_get_all(letter->headers, i, &name, &value, &len) == 0; i++) {
        FUZZ_CHECK(strcmp(name, "dead_topic") != 0 && strcmp(name, "dead_size") != 0 && strcmp(name, DEAD_FROM) != 0);
    }
}

static void check_place(const char *text)
{
    int32_t partition = -1;
    int64_t offset = -1;
    if (dead_place_parse(NULL, text, &partition, &offset, NULL) == 0) {
        char *again = mem_printf("%d/%lld", partition, (long long)offset);
        int32_t same_partition;
        int64_t same_offset;
        FUZZ_CHECK(partition >= 0 && offset >= 0);
        FUZZ_CHECK(dead_place_parse(NULL, again, &same_partition, &same_offset, NULL) == 0);
        FUZZ_CHECK(same_partition == partition && same_offset == offset);
        free(again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *place = fuzz_line(&input);
    rd_kafka_message_t *record = fuzz_record(&input);
    struct dead_letters letters = {0};
    check_place(place);
    in_hand = record;
    FUZZ_CHECK(dead_letters_read(NULL, &(struct dead_want){.values = true}, &letters, NULL) == 0);
    for (size_t i = 0; i < letters.count; i++) {
        check_letter(&letters.items[i]);
    }
    dead_letters_release(&letters);
    fuzz_record_free(record);
    free(place);
    return 0;
}
