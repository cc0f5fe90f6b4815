#include "worker/systems.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

/* Adds a name to a NULL-ended list that has room, unless it is empty or there already. */
static void add(char **systems, const char *name, size_t len)
{
    for (; *systems; systems++) {
        if (strlen(*systems) == len && strncmp(*systems, name, len) == 0) {
            return;
        }
    }
    *systems = len ? mem_strndup(name, len) : NULL;
}

char **systems_read(const struct conf *conf, const char *option)
{
    size_t listed = conf_list_size(conf, "worker.systems");
    char **systems = mem_alloc((listed + (option ? strlen(option) : 0) + 2) * sizeof *systems);
    for (const char *at = option; at && *at; at += *at == ',') {
        size_t len = strcspn(at, ",");
        add(systems, at, len);
        at += len;
    }
    for (size_t i = 0; !option && i < listed; i++) {
        const char *name = conf_list_item(conf, "worker.systems", i);
        add(systems, name, strlen(name));
    }
    return systems;
}

void systems_free(char **systems)
{
    for (char **name = systems; *name; name++) {
        free(*name);
    }
    free(systems);
}
