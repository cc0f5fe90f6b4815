/* producer/edge.c and its files: any HTTP request. Each is answered once; what goes to Kafka can be read by those who read it, and an event
 * that was taken maps as the edge said. The input is the request, see edge_stand.h. */
/* links: tests/fuzz/edge_stand.c logger/origin.c */
#include "lib/mapping.h"
#include "lib/message.h"
#include "lib/time.h"
#include "logger/origin.h"
#include "tests/fuzz/edge_stand.h"
#include "tests/fuzz/shipped.h"

static bool checked; /* does the edge check events of this request, before it takes them? */

static void check_received(const struct kafka_record *record, const char *key)
{
    struct err err = ERR_INIT;
    json_t *event = json_parse(record->value, record->value_len, &err);
    FUZZ_CHECK(event && message_cloudevent_check(event, &err) == 0);
    struct mapped mapped = {0};
    int result = mapping_apply(fuzz_definitions(), fuzz_conf(), event, NULL, time_now(), &mapped, &err);
    if (checked) {
        FUZZ_CHECK(result == 0 && mapped.person && strcmp(mapped.person, key) == 0);
    }
    if (result == 0) {
        mapped_release(&mapped);
    }
    err_release(&err);
    json_decref(event);
}

static void check_record(const struct kafka_record *record)
{
    struct err err = ERR_INIT;
    json_t *value = NULL;
    char *key = mem_strndup(record->key, record->key_len);
    FUZZ_CHECK(*key && strlen(key) == record->key_len);
    if (strcmp(record->topic, "offboard.received") == 0) {
        check_received(record, key);
    } else if (strcmp(record->topic, "offboard.orders") == 0) {
        FUZZ_CHECK((value = message_event(record->value, record->value_len, &err)));
        FUZZ_CHECK(!origin_objection(&(struct origin){.writer = WRITER_EDGE}, record->topic,
                                     json_string_at(value, "name"), NULL)); /* the logger believes it */
    } else {
        FUZZ_CHECK(strcmp(record->topic, "offboard.control") == 0);
        FUZZ_CHECK((value = message_control(record->key, record->key_len, record->value, record->value_len, &err)));
    }
    json_decref(value);
    free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    static const char path[] = "POST /v1/offboardings\n";
    checked = size > strlen(path) && memcmp(data, path, strlen(path)) == 0;
    int status = edge_stand_request(&input, check_record);
    FUZZ_CHECK((status >= 200 && status < 300) || (status >= 400 && status < 504));
    return 0;
}
