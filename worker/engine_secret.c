/* What a job may know only while it runs, as a home address or a passcode: never in its state, masked in all that it says. Other jobs'
 * texts are none of its business: there a town is somebody's name, and six digits are a part of an id. */
#include <stdlib.h>

#include "lib/json.h"
#include "lib/secret.h"
#include "worker/engine_internal.h"

void secrets_add(struct run *run, const char *text)
{
    secret_set_add(run->masks, text);
}

/* Every text and number within `value`. */
static void add_all(struct run *run, const json_t *value)
{
    size_t i;
    const char *name;
    json_t *member;
    if (json_is_string(value)) {
        secrets_add(run, json_string_value(value));
    } else if (json_is_number(value)) {
        char *text = json_text(value);
        secrets_add(run, text);
        free(text);
    }
    json_array_foreach(value, i, member)
    {
        add_all(run, member);
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        add_all(run, member);
    }
}

void secrets_keep(struct run *run, const json_t *request)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(request, "secret"), i, name)
    {
        const char *text = json_string_value(name);
        json_t *value = json_object_get(run->place->saved, text);
        json_object_set(run->secrets, text, value);
        add_all(run, value);
    }
}

void secrets_release(struct run *run)
{
    json_decref(run->secrets);
    secret_set_free(run->masks);
    run->secrets = NULL;
    run->masks = NULL;
}

/* ---- masking ----------------------------------------------------------------------------------------------------- */

char *run_mask(const struct run *run, const char *text)
{
    return secret_set_mask(run->masks, text);
}

/* A copy of `value` with every text in it masked by `mask`. */
static json_t *masked(const struct run *run, const json_t *value,
                      char *(*mask)(const struct secret_set *set, const char *text))
{
    if (json_is_string(value)) {
        char *text = mask(run->masks, json_string_value(value));
        json_t *result = json_string(text);
        free(text);
        return result ? result : json_null();
    }
    json_t *copy = json_copy((json_t *)(uintptr_t)value);
    size_t i;
    const char *name;
    json_t *member;
    json_array_foreach(copy, i, member)
    {
        json_array_set_new(copy, i, masked(run, member, mask));
    }
    json_object_foreach(copy, name, member)
    {
        json_object_set_new(copy, name, masked(run, member, mask));
    }
    return copy;
}

json_t *run_masked(const struct run *run, const json_t *value)
{
    return masked(run, value, secret_set_mask);
}

json_t *run_masked_facts(const struct run *run, const json_t *value)
{
    return masked(run, value, secret_set_mask_fact);
}
