/* Who writes a topic, and so what is believed of what stands there. Kafka's rights say who may write which topic (`offboard topics
 * --acl`); the logger refuses to believe anybody who says what is another's to say. */
#ifndef OFFBOARD_LOGGER_ORIGIN_H
#define OFFBOARD_LOGGER_ORIGIN_H

#include <stdbool.h>

#include "lib/conf.h"

enum writer {
    WRITER_CONTROL, /* offboard.control: producer and scheduler */
    WRITER_CORE,    /* offboard.events: planner and scheduler */
    WRITER_EDGE,    /* offboard.orders: the API and the vault */
    WRITER_SYSTEM,  /* offboard.results.<system>: the system's worker */
};

struct origin {
    const struct conf *conf;
    enum writer writer;
    char *system; /* of WRITER_SYSTEM; owned */
};

/* False when the topic is none that the logger reads. */
bool origin_of(struct origin *origin, const struct conf *conf, const char *topic);
void origin_release(struct origin *origin);

/* Why an event of this name about this system (NULL: none) is not believed, in one sentence that the caller frees. NULL: it is believed. */
char *origin_objection(const struct origin *origin, const char *topic, const char *name, const char *system);

#endif
