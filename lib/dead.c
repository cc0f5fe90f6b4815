#include "lib/dead.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/kafka.h"
#include "lib/mem.h"
#include "lib/seal.h"
#include "lib/secret.h"
#include "lib/time.h"

enum {
    NAMES_SHOWN = 8,  /* members of an object of no known kind */
    TEXT_SHOWN = 120, /* bytes of a summary */
    READ_WITHIN = 15, /* seconds: an order has to be answered within 30 */
};

/* ---- in a few words ---------------------------------------------------------------------------------------------- */

static const char *text_or(const json_t *object, const char *path, const char *otherwise)
{
    const char *text = json_string_at(object, path);
    return text ? text : otherwise;
}

static void name_members(struct buf *out, const json_t *object)
{
    const char *name;
    json_t *member;
    size_t shown = 0;
    json_object_foreach((json_t *)(uintptr_t)object, name, member)
    {
        if (shown == NAMES_SHOWN) {
            buf_adds(out, ", …");
            return;
        }
        buf_addf(out, "%s%s", shown++ ? ", " : " with ", name);
    }
}

static void describe_object(struct buf *out, const json_t *object)
{
    if (json_string_at(object, "specversion")) {
        buf_addf(out, "CloudEvent %s, id %s", text_or(object, "type", "without type"),
                 text_or(object, "id", "missing"));
    } else if (json_is_object(json_object_get(object, "job"))) {
        buf_addf(out, "job %s %s, step %s, attempt %lld", text_or(object, "job.system", "?"),
                 text_or(object, "job.action", "?"), text_or(object, "job.step", "?"),
                 (long long)json_int_at(object, "job.attempt", 0));
    } else if (json_string_at(object, "name") && json_is_object(json_object_get(object, "context"))) {
        buf_addf(out, "event %s, id %s", json_string_at(object, "name"), text_or(object, "id", "missing"));
    } else {
        buf_adds(out, "JSON object");
        name_members(out, object);
    }
}

/* Cut between two characters of UTF-8. */
static void shorten(char *text)
{
    size_t len = strlen(text);
    if (len <= TEXT_SHOWN) {
        return;
    }
    len = TEXT_SHOWN;
    while (len && ((unsigned char)text[len] & 0xc0) == 0x80) {
        len--;
    }
    text[len] = '\0';
}

char *dead_summary(const void *value, size_t len)
{
    if (!value || !len) {
        return mem_strdup("no value");
    }
    if (seal_is(value, len)) {
        return mem_strdup("sealed with the key of its offboarding");
    }
    struct buf out = BUF_INIT;
    json_t *parsed = json_parse(value, len, NULL);
    if (!parsed) {
        buf_adds(&out, "no JSON");
    } else if (json_is_object(parsed)) {
        describe_object(&out, parsed);
    } else {
        buf_adds(&out, json_is_array(parsed) ? "JSON list" : "JSON value");
    }
    json_decref(parsed);
    char *masked = secret_mask(buf_text(&out));
    buf_release(&out);
    shorten(masked);
    return masked;
}

/* ---- one record -------------------------------------------------------------------------------------------------- */

/* Bytes, and a NUL after them; NULL stays NULL. */
static char *copy_bytes(const void *bytes, size_t len)
{
    return bytes ? memcpy(mem_alloc(len + 1), bytes, len) : NULL;
}

static void letter_release(struct dead_letter *letter)
{
    free(letter->topic);
    free(letter->process);
    free(letter->reason);
    free(letter->key);
    free(letter->value);
    free(letter->summary);
    if (letter->headers) {
        rd_kafka_headers_destroy(letter->headers);
    }
    json_decref(letter->replays);
}

static int64_t header_number(const rd_kafka_message_t *message, const char *name, int64_t most, int64_t otherwise)
{
    char *text = kafka_message_header_text(message, name);
    char *end = NULL;
    int64_t number = text ? strtoll(text, &end, 10) : otherwise;
    bool good = text && *text && !*end && number >= 0 && number <= most;
    free(text);
    return good ? number : otherwise;
}

rd_kafka_headers_t *dead_headers(const rd_kafka_message_t *message)
{
    static const char *const ours[] = {"dead_topic",  "dead_partition", "dead_offset", "dead_size",
                                       "dead_reason", "dead_process",   DEAD_FROM,     DEAD_SINCE};
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return NULL;
    }
    headers = rd_kafka_headers_copy(headers);
    for (size_t i = 0; i < COUNT_OF(ours); i++) {
        rd_kafka_header_remove(headers, ours[i]);
    }
    return headers;
}

int64_t dead_since(const rd_kafka_message_t *message, int64_t otherwise)
{
    int64_t since = 0;
    char *text = kafka_message_header_text(message, DEAD_SINCE);
    bool earlier = text && time_parse(text, &since, NULL) == 0 && since < otherwise;
    free(text);
    return earlier ? since : otherwise;
}

static void take_head(struct dead_letter *letter, const rd_kafka_message_t *message, char *topic)
{
    int64_t at = rd_kafka_message_timestamp(message, NULL) * (TIME_SECOND / 1000);
    *letter =
        (struct dead_letter){.partition = message->partition,
                             .offset = message->offset,
                             .at = at,
                             .since = dead_since(message, at),
                             .topic = topic,
                             .from_partition = (int32_t)header_number(message, "dead_partition", INT32_MAX, 0),
                             .from_offset = header_number(message, "dead_offset", INT64_MAX, -1),
                             .process = kafka_message_header_text(message, "dead_process"),
                             .reason = kafka_message_header_text(message, "dead_reason"),
                             .key = copy_bytes(message->key, message->key_len),
                             .key_len = message->key_len,
                             .size = (size_t)header_number(message, "dead_size", INT64_MAX, (int64_t)message->len)};
    letter->whole = letter->size == message->len;
}

static void take_body(struct dead_letter *letter, const rd_kafka_message_t *message, bool values)
{
    letter->summary = letter->whole || message->len ? dead_summary(message->payload, message->len)
                                                    : mem_strdup("left out: too large");
    letter->replays = json_array();
    if (values) {
        letter->headers = dead_headers(message);
        letter->value = copy_bytes(message->payload, message->len);
        letter->value_len = message->len;
    }
}

/* ---- the topic --------------------------------------------------------------------------------------------------- */

struct reading {
    const struct dead_want *want;
    struct dead_letters *letters;
    json_t *places; /* "2/17": index of the letter */
};

/* A replay lies behind the letter it is about, in the same partition. */
static void note_replay(struct reading *reading, const rd_kafka_message_t *message)
{
    json_t *event = json_parse(message->payload, message->len, NULL);
    const json_t *letter = json_at(event, "context.letter");
    char *place = mem_printf("%lld/%lld", (long long)json_int_at(letter, "partition", -1),
                             (long long)json_int_at(letter, "offset", -1));
    const json_t *index = json_object_get(reading->places, place);
    if (index) {
        json_array_append(reading->letters->items[json_integer_value(index)].replays, event);
    }
    free(place);
    json_decref(event);
}

static void keep(struct reading *reading, const struct dead_letter *letter)
{
    struct dead_letters *letters = reading->letters;
    char *place = mem_printf("%d/%lld", letter->partition, (long long)letter->offset);
    json_object_set_new(reading->places, place, json_integer((json_int_t)letters->count));
    free(place);
    letters->items = mem_realloc(letters->items, (letters->count + 1) * sizeof *letters->items);
    letters->items[letters->count++] = *letter;
}

static void on_record(const rd_kafka_message_t *message, void *arg)
{
    struct reading *reading = arg;
    char *topic = kafka_message_header_text(message, "dead_topic");
    if (!topic) {
        char *type = kafka_message_header_text(message, "ce_type");
        if (type && message->payload && strcmp(type, DEAD_REPLAYED) == 0) {
            note_replay(reading, message);
        }
        free(type);
        return;
    }
    struct dead_letter letter;
    take_head(&letter, message, topic);
    if (reading->want->accepts && !reading->want->accepts(&letter, reading->want->arg)) {
        letter_release(&letter);
        return;
    }
    take_body(&letter, message, reading->want->values);
    keep(reading, &letter);
}

static int by_time(const void *a, const void *b)
{
    const struct dead_letter *left = a, *right = b;
    if (left->at != right->at) {
        return left->at < right->at ? -1 : 1;
    }
    if (left->partition != right->partition) {
        return left->partition < right->partition ? -1 : 1;
    }
    return (left->offset > right->offset) - (left->offset < right->offset);
}

int dead_letters_read(const struct conf *conf, const struct dead_want *want, struct dead_letters *letters,
                      struct err *err)
{
    struct dead_letters found = {0};
    struct reading reading = {.want = want, .letters = &found, .places = json_object()};
    char *topic = kafka_topic(conf, "dead", NULL);
    rd_kafka_t *rk = kafka_follow(conf, topic, READ_WITHIN * TIME_SECOND, on_record, &reading, err);
    free(topic);
    json_decref(reading.places);
    if (!rk) {
        dead_letters_release(&found);
        return -1;
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    if (found.count) {
        qsort(found.items, found.count, sizeof *found.items, by_time);
    }
    *letters = found;
    return 0;
}

void dead_letters_release(struct dead_letters *letters)
{
    for (size_t i = 0; i < letters->count; i++) {
        letter_release(&letters->items[i]);
    }
    free(letters->items);
    *letters = (struct dead_letters){0};
}

const struct dead_letter *dead_letter_find(const struct dead_letters *letters, int32_t partition, int64_t offset)
{
    for (size_t i = 0; i < letters->count; i++) {
        if (letters->items[i].partition == partition && letters->items[i].offset == offset) {
            return &letters->items[i];
        }
    }
    return NULL;
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

/* Digits up to `end`, which must follow; at most `most`. */
static bool number_before(const char **at, char end, int64_t most, int64_t *number)
{
    size_t len = strspn(*at, "0123456789");
    if (len == 0 || len > 18 || (*at)[len] != end) {
        return false;
    }
    *number = strtoll(*at, NULL, 10);
    *at += len + (end ? 1 : 0);
    return *number <= most;
}

int dead_place_parse(const struct conf *conf, const char *text, int32_t *partition, int64_t *offset, struct err *err)
{
    char *topic = kafka_topic(conf, "dead", NULL);
    size_t len = strlen(topic);
    const char *at = strncmp(text, topic, len) == 0 && text[len] == '/' ? text + len + 1 : text;
    int64_t number, place;
    int result = 0;
    if (number_before(&at, '/', INT32_MAX, &number) && number_before(&at, '\0', INT64_MAX, &place)) {
        *partition = (int32_t)number;
        *offset = place;
    } else {
        result = err_set(err, ERR_PERMANENT,
                         "\"%s\" names no dead letter: give PARTITION/OFFSET of the topic %s, as `offboard dead` lists "
                         "them",
                         text, topic);
    }
    free(topic);
    return result;
}
