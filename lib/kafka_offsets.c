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
