#include "logger/origin.h"

#include <stdlib.h>
#include <string.h>

#include "lib/kafka.h"
#include "lib/mem.h"
#include "lib/text.h"

bool origin_of(struct origin *origin, const struct conf *conf, const char *topic)
{
    static const struct {
        const char *kind;
        enum writer writer;
    } kinds[] = {{"control", WRITER_CONTROL}, {"events", WRITER_CORE}, {"orders", WRITER_EDGE}};
    *origin = (struct origin){.conf = conf};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (kafka_topic_is(conf, kinds[i].kind, topic)) {
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

static const char *const of_edge[] = {"order.", "signal", "secret.revealed", "dead.replayed"};

static bool may_system_say(const char *name)
{
    static const char *const of_core[] = {"job.lost", "system.attended", "system.unattended"};
    static const char *const of_system[] = {"job.", "system."};
    return text_in_families(name, of_system, COUNT_OF(of_system)) &&
           !text_in_families(name, of_core, COUNT_OF(of_core));
}

char *origin_objection(const struct origin *origin, const char *topic, const char *name, const char *system)
{
    switch (origin->writer) {
    case WRITER_CONTROL:
        return NULL;
    case WRITER_CORE:
        return text_in_families(name, of_edge, COUNT_OF(of_edge))
                   ? mem_printf("not believed: %s came on %s, and only the API says that, on the topic of orders", name,
                                topic)
                   : NULL;
    case WRITER_EDGE:
        return text_in_families(name, of_edge, COUNT_OF(of_edge))
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
