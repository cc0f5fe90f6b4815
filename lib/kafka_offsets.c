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

/* The answer to a request for offsets; NULL with an err. The caller destroys it. */
static rd_kafka_event_t *ask_group(rd_kafka_t *rk, const char *group, const rd_kafka_topic_partition_list_t *list,
                                   struct err *err)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_AdminOptions_set_request_timeout(options, ASK_TIMEOUT_MS, NULL, 0);
    rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new(group, list);
    rd_kafka_ListConsumerGroupOffsets(rk, &request, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * ASK_TIMEOUT_MS);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    const char *why = !event ? "no answer" : rd_kafka_event_error(event) ? rd_kafka_event_error_string(event) : NULL;
    if (why) {
        err_set(err, ERR_RETRY, "could not ask for the offsets of the group %s: %s", group, why);
        if (event) {
            rd_kafka_event_destroy(event);
        }
        return NULL;
    }
    return event;
}

/* The group's part of the answer; NULL with an err. */
static const rd_kafka_topic_partition_list_t *offsets_in(rd_kafka_event_t *event, const char *group, struct err *err)
{
    size_t count = 0;
    const rd_kafka_group_result_t **groups =
        rd_kafka_ListConsumerGroupOffsets_result_groups(rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    const rd_kafka_error_t *error = count ? rd_kafka_group_result_error(groups[0]) : NULL;
    if (count != 1 || error) {
        err_set(err, ERR_RETRY, "could not ask for the offsets of the group %s: %s", group,
                error ? rd_kafka_error_string(error) : "there is no answer about it");
        return NULL;
    }
    return rd_kafka_group_result_partitions(groups[0]);
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

int kafka_group_offsets(rd_kafka_t *rk, const char *group, const char *topic, int64_t *offsets, int32_t count,
                        struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int32_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(list, topic, i);
        offsets[i] = -1;
    }
    rd_kafka_event_t *event = ask_group(rk, group, list, err);
    const rd_kafka_topic_partition_list_t *answer = event ? offsets_in(event, group, err) : NULL;
    int result = answer ? note_offsets(answer, offsets, count, err) : -1;
    if (event) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_topic_partition_list_destroy(list);
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
