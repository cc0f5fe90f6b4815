/* What a job may know only while it runs, as a home address: never in its state, masked in what it says. */
#include "lib/json.h"
#include "lib/secret.h"
#include "worker/engine_internal.h"

void secrets_keep(struct run *run, const json_t *request)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(request, "secret"), i, name)
    {
        const char *text = json_string_value(name);
        if (!run->secrets) {
            run->secrets = json_object();
        }
        json_object_set(run->secrets, text, json_object_get(run->place->saved, text));
    }
}

static void each_text(const json_t *value, void (*each)(const char *))
{
    size_t i;
    const char *name;
    json_t *member;
    if (json_is_string(value)) {
        each(json_string_value(value));
    }
    json_array_foreach(value, i, member)
    {
        each_text(member, each);
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        each_text(member, each);
    }
}

void secrets_remember(const struct run *run)
{
    each_text(run->secrets, secret_remember);
}

void secrets_forget(const struct run *run)
{
    each_text(run->secrets, secret_forget);
}
