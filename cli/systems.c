#include "cli/systems.h"

#include "lib/json.h"
#include "lib/runbook.h"

static void add_name(const char *name, void *arg)
{
    json_object_set_new(arg, name, json_true());
}

static void add_systems(json_t *names, const json_t *steps)
{
    size_t i;
    json_t *step;
    json_array_foreach(steps, i, step)
    {
        add_name(json_string_at(step, "system"), names);
    }
}

json_t *systems_of_runbook(const struct definitions *definitions, const struct definition *runbook)
{
    json_t *names = json_object(); /* keeps the order of insertion */
    json_t *phases = runbook_expand(definitions, runbook);
    json_t *followers = runbook_followers(definitions, runbook);
    json_t *list = json_array();
    const char *name;
    size_t i;
    json_t *phase, *value;
    json_array_foreach(phases, i, phase)
    {
        add_systems(names, json_object_get(phase, "steps"));
    }
    add_systems(names, followers);
    json_object_foreach(names, name, value)
    {
        json_array_append_new(list, json_string(name));
    }
    json_decref(names);
    json_decref(followers);
    json_decref(phases);
    return list;
}

json_t *systems_missing(const struct conf *conf, const json_t *systems)
{
    json_t *known = json_object(), *list = json_array();
    conf_each_name(conf, "systems", add_name, known);
    for (size_t i = 0; i < conf_list_size(conf, "worker.systems"); i++) {
        add_name(conf_list_item(conf, "worker.systems", i), known);
    }
    size_t i;
    json_t *system;
    json_array_foreach(systems, i, system)
    {
        if (json_object_size(known) && !json_object_get(known, json_string_value(system))) {
            json_array_append(list, system);
        }
    }
    json_decref(known);
    return list;
}
