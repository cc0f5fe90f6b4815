#include "cli/systems.h"

#include "lib/plan.h"
#include "lib/runbook.h"

static void add_name(const char *name, void *arg)
{
    json_object_set_new(arg, name, json_true());
}

json_t *systems_of_runbook(const struct definitions *definitions, const struct definition *runbook)
{
    json_t *whole = json_pack("{s:o, s:o}", "phases", runbook_expand(definitions, runbook), "followers",
                              runbook_followers(definitions, runbook));
    json_t *systems = plan_systems(whole);
    json_decref(whole);
    return systems;
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
