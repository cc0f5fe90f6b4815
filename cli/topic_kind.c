#include "cli/topic_kind.h"

#include <stdlib.h>
#include <string.h>

#include "lib/kafka.h"
#include "lib/mem.h"

#define DAYS_400 "34560000000"
#define DAYS_90  "7776000000"
#define FOREVER  "-1"
#define DAY      "86400000"

/* `events`, `orders` and `results` are the way back for a lost database; `dead` may hold HR events. */
static const struct topic_kind kinds[] = {
    {.name = "intake", .retention_ms = DAYS_400, .brokers_time = true},
    {.name = "received", .retention_ms = DAYS_400, .brokers_time = true},
    {.name = TOPIC_POLLED, .per_system = true, .retention_ms = DAYS_400, .brokers_time = true},
    {.name = "events", .retention_ms = FOREVER},
    {.name = "orders", .retention_ms = FOREVER},
    {.name = "control", .compacted = true, .brokers_time = true, .single = true},
    {.name = "roster", .compacted = true, .brokers_time = true, .single = true},
    {.name = "keys", .compacted = true, .brokers_time = true, .single = true, .forgets = true},
    {.name = "dead", .retention_ms = DAYS_400},
    {.name = "jobs", .per_system = true, .retention_ms = DAYS_90},
    {.name = "urgent", .per_system = true, .retention_ms = DAYS_90},
    {.name = "results", .per_system = true, .retention_ms = FOREVER},
};

const struct topic_kind *topic_kinds(size_t *count)
{
    *count = COUNT_OF(kinds);
    return kinds;
}

const struct topic_kind *topic_kind_of(const struct conf *conf, const char *topic)
{
    const struct topic_kind *found = NULL;
    for (size_t i = 0; !found && i < COUNT_OF(kinds); i++) {
        char *start = kafka_topic(conf, kinds[i].name, kinds[i].per_system ? "" : NULL);
        bool ours = kinds[i].per_system ? strncmp(topic, start, strlen(start)) == 0 : strcmp(topic, start) == 0;
        found = ours ? &kinds[i] : NULL;
        free(start);
    }
    return found;
}

int topic_partitions(const struct topic_kind *kind, const struct conf *conf)
{
    return kind->single ? 1 : (int)conf_int(conf, "topics.partitions");
}

size_t topic_settings(const struct topic_kind *kind, struct topic_setting settings[TOPIC_SETTINGS_MAX])
{
    static const char late[] = "what is erased stays in Kafka for longer than three days";
    size_t count = 0;
    settings[count++] = (struct topic_setting){"cleanup.policy", kind->compacted ? "compact" : "delete",
                                               kind->compacted ? "Kafka forgets what every process has to know"
                                                               : "Kafka drops records that are not read yet"};
    if (kind->retention_ms) {
        settings[count++] = (struct topic_setting){"retention.ms", kind->retention_ms, NULL};
    }
    if (kind->brokers_time) {
        settings[count++] = (struct topic_setting){"message.timestamp.type", "LogAppendTime",
                                                   "a sender's clock decides what came first"};
    }
    if (kind->compacted) { /* the newest segment is never compacted */
        settings[count++] = (struct topic_setting){"segment.bytes", "67108864", NULL};
    }
    /* A segment ends after a day, is compacted within another, and so are the tombstones: a key is in no file of Kafka's some three days
     * after it was erased. By default a small topic's newest segment stays as it is for a week and longer. */
    if (kind->forgets) {
        settings[count++] = (struct topic_setting){"segment.ms", DAY, late};
        settings[count++] = (struct topic_setting){"max.compaction.lag.ms", DAY, late};
        settings[count++] = (struct topic_setting){"delete.retention.ms", DAY, late};
        settings[count++] = (struct topic_setting){"min.cleanable.dirty.ratio", "0.01", late};
    }
    return count;
}
