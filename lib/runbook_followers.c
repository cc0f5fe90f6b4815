/* `mirror` and `notify` of a runbook, as they are planned. */
#include <stdlib.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/runbook.h"

static const struct {
    const char *kind, *name, *path, *pointer;
} kinds[] = {
    {"mirror", "mirror", "mirror", "/mirror"},
    {"on_failure", "on-failure", "notify.on_failure", "/notify/on_failure"},
    {"on_phase_end", "on-phase-end", "notify.on_phase_end", "/notify/on_phase_end"},
};

static void put_text(json_t *made, const char *key, char *text)
{
    json_put_string(made, key, text);
    free(text);
}

json_t *runbook_followers(const struct definitions *definitions, const struct definition *runbook)
{
    json_t *followers = json_array();
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        size_t i;
        json_t *target;
        json_array_foreach(json_at(runbook->tree, kinds[k].path), i, target)
        {
            json_t *made = json_is_object(target) ? json_copy(target) : json_object();
            put_text(made, "id", mem_printf("%s-%zu", kinds[k].name, i + 1));
            put_text(made, "at", mem_printf("%s/%zu", kinds[k].pointer, i));
            json_put_string(made, "kind", kinds[k].kind);
            json_object_set_new(made, "needs", runbook_needs(definitions, runbook, target));
            json_array_append_new(followers, made);
        }
    }
    return followers;
}
