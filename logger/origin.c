#include "logger/origin.h"

#include <stdlib.h>
#include <string.h>

#include "lib/kafka.h"
#include "lib/mem.h"

static bool is_topic(const struct conf *conf, const char *kind, const char *topic)
{
    char *name = kafka_topic(conf, kind, NULL);
    bool same = strcmp(topic, name) == 0;
    free(name);
    return same;
}

bool origin_of(struct origin *origin, const struct conf *conf, const char *topic)
{
    static const struct {
        const char *kind;
        enum writer writer;
    } kinds[] = {{"control", WRITER_CONTROL}, {"events", WRITER_CORE}, {"orders", WRITER_EDGE}};
    *origin = (struct origin){.conf = conf};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (is_topic(conf, kinds[i].kind, topic)) {
            origin->writer = kinds[i].writer;
            return true;
        }
    }
    const char *system = kafka_topic_system(conf, "results", topic);
    *origin = (struct origin){conf, WRITER_SYSTEM, system ? mem_strdup(system) : NULL};
    return system != NULL;
}

void origin_release(struct origin *origin)
{
    free(origin->system);
    *origin = (struct origin){0};
}

/* ---- what may be said -------------------------------------------------------------------------------------------- */

/* Names of events; one that ends in a point stands for all that begin so. */
static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(names[i]);
        bool family = names[i][len - 1] == '.';
        if (family ? strncmp(name, names[i], len) == 0 : strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const char *const of_edge[] = {"order.", "signal", "secret.revealed", "dead.replayed"};

static bool may_system_say(const char *name)
{
    static const char *const of_core[] = {"job.lost", "system.attended", "system.unattended"};
    static const char *const of_system[] = {"job.", "system."};
    return is_among(name, of_system, COUNT_OF(of_system)) && !is_among(name, of_core, COUNT_OF(of_core));
}

char *origin_objection(const struct origin *origin, const char *topic, const char *name, const char *system)
{
    switch (origin->writer) {
    case WRITER_CONTROL:
        return NULL;
    case WRITER_CORE:
        return is_among(name, of_edge, COUNT_OF(of_edge))
                   ? mem_printf("not believed: %s came on %s, and only the API says that, on the topic of orders", name,
                                topic)
                   : NULL;
    case WRITER_EDGE:
        return is_among(name, of_edge, COUNT_OF(of_edge))
                   ? NULL
                   : mem_printf("not believed: %s came on %s, which is for orders", name, topic);
    case WRITER_SYSTEM:
        break;
    }
    if (!may_system_say(name)) {
        return mem_printf("not believed: %s came on %s, which is for the answers of %s's worker", name, topic,
                          origin->system);
    }
    return system && strcmp(system, origin->system) == 0
               ? NULL
               : mem_printf("not believed: %s of %s came on %s, which is for %s's worker alone", name,
                            system ? system : "no system", topic, origin->system);
}
