/* How far a topic reaches, how far a consumer group has come in it, and whether the group has members: asked by somebody who is none. */
#include <string.h>

#include "lib/kafka.h"
#include "lib/mem.h"

enum { ASK_TIMEOUT_MS = 5000 };

int kafka_ends(rd_kafka_t *rk, const char *topic, struct kafka_range *ranges, int32_t count, struct err *err)
{
    for (int32_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code =
            rd_kafka_query_watermark_offsets(rk, topic, i, &ranges[i].low, &ranges[i].high, ASK_TIMEOUT_MS);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return err_set(err, ERR_RETRY, "could not read the offsets of %s: %s", topic, rd_kafka_err2str(code));
        }
    }
    return 0;
}

static int note_offsets(const rd_kafka_topic_partition_list_t *list, int64_t *offsets, int32_t count, struct err *err)
{
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *element = &list->elems[i];
        if (element->err) {
            return err_set(err, ERR_RETRY, "could not ask for the offsets of %s: %s", element->topic,
                           rd_kafka_err2str(element->err));
        }
        if (element->partition >= 0 && element->partition < count && element->offset >= 0) {
            offsets[element->partition] = element->offset;
        }
    }
    return 0;
}

/* By a consumer of the group that never joins: librdkafka 2.0.2 crashes when a client that has no group asks for offsets while the
 * coordinator is being loaded (its handler of the answer wants its own group to look for a coordinator). */
int kafka_group_offsets(const struct conf *conf, const char *group, const char *topic, int64_t *offsets, int32_t count,
                        struct err *err)
{
    rd_kafka_t *rk = kafka_consumer_new(kafka_consumer_conf(conf, group, err), err);
    if (!rk) {
        return -1;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int32_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(list, topic, i);
        offsets[i] = -1;
    }
    rd_kafka_resp_err_t code = rd_kafka_committed(rk, list, 2 * ASK_TIMEOUT_MS);
    int result = code == RD_KAFKA_RESP_ERR_NO_ERROR
                     ? note_offsets(list, offsets, count, err)
                     : err_set(err, ERR_RETRY, "could not ask for the offsets of the group %s: %s", group,
                               rd_kafka_err2str(code));
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return result;
}

static void note_members(const rd_kafka_ConsumerGroupDescription_t *group, const char *const *groups, int *members,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!rd_kafka_ConsumerGroupDescription_error(group) &&
            strcmp(groups[i], rd_kafka_ConsumerGroupDescription_group_id(group)) == 0) {
            members[i] = (int)rd_kafka_ConsumerGroupDescription_member_count(group);
        }
    }
}

int kafka_group_members(rd_kafka_t *rk, const char **groups, int *members, size_t count, struct err *err)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_AdminOptions_set_request_timeout(options, ASK_TIMEOUT_MS, NULL, 0);
    rd_kafka_DescribeConsumerGroups(rk, groups, count, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * ASK_TIMEOUT_MS);
    int result = 0;
    if (!event || rd_kafka_event_error(event)) {
        result = err_set(err, ERR_RETRY, "could not ask for the members of consumer groups: %s",
                         event ? rd_kafka_event_error_string(event) : "no answer");
    }
    size_t described = 0;
    const rd_kafka_ConsumerGroupDescription_t **list =
        result == 0 ? rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(event),
                                                                    &described)
                    : NULL;
    for (size_t i = 0; i < count; i++) {
        members[i] = -1;
    }
    for (size_t i = 0; i < described; i++) {
        note_members(list[i], groups, members, count);
    }
    if (event) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return result;
}
