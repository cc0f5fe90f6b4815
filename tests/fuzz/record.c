#include "tests/fuzz/record.h"

static rd_kafka_headers_t *headers; /* of the record in hand; NULL: none */

static void read_headers(struct fuzz_input *input)
{
    for (;;) {
        char *line = fuzz_line(input);
        char *colon = strstr(line, ": ");
        bool more = *line;
        if (colon) {
            headers = headers ? headers : rd_kafka_headers_new(8);
            rd_kafka_header_add(headers, line, colon - line, colon + 2, -1);
        }
        free(line);
        if (!more) {
            return;
        }
    }
}

rd_kafka_message_t *fuzz_record(struct fuzz_input *input)
{
    rd_kafka_message_t *record = MEM_NEW(rd_kafka_message_t);
    char *key = fuzz_line(input);
    read_headers(input);
    bool tombstone = input->left == 1 && *input->at == '-';
    struct fuzz_input key_bytes = {(const uint8_t *)key, strlen(key)};
    record->key = strcmp(key, "-") == 0 ? NULL : fuzz_bytes(&key_bytes);
    record->key_len = record->key ? strlen(key) : 0;
    record->payload = tombstone ? NULL : fuzz_bytes(input);
    record->len = tombstone ? 0 : input->left;
    record->partition = 2;
    record->offset = 17;
    free(key);
    return record;
}

void fuzz_record_free(rd_kafka_message_t *record)
{
    if (headers) {
        rd_kafka_headers_destroy(headers);
    }
    headers = NULL;
    free(record->key);
    free(record->payload);
    free(record);
}

/* ---- in place of librdkafka's ------------------------------------------------------------------------------------------------ */

rd_kafka_resp_err_t rd_kafka_message_headers(const rd_kafka_message_t *record, rd_kafka_headers_t **out)
{
    (void)record;
    *out = headers;
    return headers ? RD_KAFKA_RESP_ERR_NO_ERROR : RD_KAFKA_RESP_ERR__NOENT;
}

/* A stand may say which by putting the name in place of the topic. */
const char *rd_kafka_topic_name(const rd_kafka_topic_t *topic)
{
    return topic ? (const char *)topic : "offboard.events";
}

int64_t rd_kafka_message_timestamp(const rd_kafka_message_t *record, rd_kafka_timestamp_type_t *type)
{
    (void)record;
    if (type) {
        *type = RD_KAFKA_TIMESTAMP_CREATE_TIME;
    }
    return FUZZ_RECORD_AT;
}

void rd_kafka_message_destroy(rd_kafka_message_t *record)
{
    fuzz_record_free(record);
}
