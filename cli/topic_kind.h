/* The kinds of topics, and how each has to be set up (schema/messages.md). */
#ifndef OFFBOARD_CLI_TOPIC_KIND_H
#define OFFBOARD_CLI_TOPIC_KIND_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/conf.h"

#define TOPIC_POLLED "polled" /* of those systems only that a source polls */

struct topic_kind {
    const char *name;
    bool per_system;
    bool compacted;           /* read whole at each start */
    const char *retention_ms; /* of one that is not compacted */
    bool brokers_time;        /* decisions are made by its records' times: a sender's clock must not count */
    bool single;              /* one partition */
    bool forgets;             /* what a tombstone erases has to be gone within days */
};

/* A setting of a topic in Kafka. */
struct topic_setting {
    const char *name, *value;
    const char *why; /* what goes wrong while it is set otherwise; NULL: nothing, a company may choose */
};

enum { TOPIC_SETTINGS_MAX = 8 };

const struct topic_kind *topic_kinds(size_t *count);

/* The kind of a topic by its full name; NULL when it is none of ours. */
const struct topic_kind *topic_kind_of(const struct conf *conf, const char *topic);

int topic_partitions(const struct topic_kind *kind, const struct conf *conf);

/* Fills `settings`; gives their number. */
size_t topic_settings(const struct topic_kind *kind, struct topic_setting settings[TOPIC_SETTINGS_MAX]);

#endif
