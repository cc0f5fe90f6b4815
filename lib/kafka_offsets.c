/* How far a topic reaches, how far a consumer group has come in it, and whether the group has members: asked by somebody who is none. */
#include <string.h>

#include "lib/kafka.h"
#include "lib/mem.h"

enum { ASK_TIMEOUT_MS = 5000 };

/* One end of all of them, in one request to each broker: to librdkafka a time like any other. */
static rd_kafka_topic_partition_list_t *ask_ends(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *partitions,
                                                 int64_t end, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(partitions);
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = end;
    }
    rd_kafka_resp_err_t code = list->cnt ? rd_kafka_offsets_for_times(rk, list, ASK_TIMEOUT_MS) : 0;
    const char *topic = list->cnt ? list->elems[0].topic : "";
    for (int i = 0; i < list->cnt && !code; i++) {
        code = list->elems[i].err;
        topic = list->elems[i].topic;
    }
    if (code) {
        err_set(err, ERR_RETRY, "could not read the offsets of %s: %s", topic, rd_kafka_err2str(code));
        rd_kafka_topic_partition_list_destroy(list);
        return NULL;
    }
    return list;
}

int kafka_ends_of(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *partitions, struct kafka_range *ranges,
                  struct err *err)
{
    rd_kafka_topic_partition_list_t *lows = ask_ends(rk, partitions, RD_KAFKA_OFFSET_BEGINNING, err);
    rd_kafka_topic_partition_list_t *highs = lows ? ask_ends(rk, partitions, RD_KAFKA_OFFSET_END, err) : NULL;
    for (int i = 0; highs && i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &partitions->elems[i];
        ranges[i].low = rd_kafka_topic_partition_list_find(lows, one->topic, one->partition)->offset;
        ranges[i].high = rd_kafka_topic_partition_list_find(highs, one->topic, one->partition)->offset;
    }
    int result = highs ? 0 : -1;
    if (lows) {
        rd_kafka_topic_partition_list_destroy(lows);
    }
    if (highs) {
        rd_kafka_topic_partition_list_destroy(highs);
    }
    return result;
}

int kafka_ends(rd_kafka_t *rk, const char *topic, struct kafka_range *ranges, int32_t count, struct err *err)
{
    rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(count);
    for (int32_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(partitions, topic, i);
    }
    int result = kafka_ends_of(rk, partitions, ranges, err);
    rd_kafka_topic_partition_list_destroy(partitions);
    return result;
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

static int32_t members_of(const char *name, const struct rd_kafka_group_list *list)
{
    for (int i = 0; i < list->group_cnt; i++) {
        const struct rd_kafka_group_info *group = &list->groups[i];
        if (strcmp(group->group, name) == 0) {
            return group->err ? -1 : group->member_cnt;
        }
    }
    return 0;
}

/* Not with DescribeConsumerGroups: librdkafka 2.0.2 aborts when the group's coordinator goes away while it asks. */
int kafka_group_members(rd_kafka_t *rk, char *const *groups, int *members, size_t count, struct err *err)
{
    const struct rd_kafka_group_list *list = NULL;
    rd_kafka_resp_err_t code = rd_kafka_list_groups(rk, NULL, &list, ASK_TIMEOUT_MS);
    for (size_t i = 0; i < count && !code; i++) {
        members[i] = members_of(groups[i], list);
    }
    if (list) {
        rd_kafka_group_list_destroy(list);
    }
    return code ? err_set(err, ERR_RETRY, "could not ask Kafka for its consumer groups: %s", rd_kafka_err2str(code))
                : 0;
}
