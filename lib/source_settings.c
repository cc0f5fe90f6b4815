/* Settings of sources. Several threads read the configuration: what it holds is copied. */
#include "lib/source_settings.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/secret.h"

/* A sequence as it is; of a text the parts between `separators`, without blanks around them and empty ones. */
static json_t *values_of(const json_t *given, const char *separators)
{
    if (json_is_array(given)) {
        return json_deep_copy(given);
    }
    json_t *values = json_array();
    const char *text = json_string_value(given);
    while (text && *text) {
        size_t len = strcspn(text, separators);
        const char *from = text + strspn(text, " \t\r");
        const char *to = text + len;
        while (to > from && strchr(" \t\r", to[-1])) {
            to--;
        }
        if (to > from) {
            json_array_append_new(values, json_stringn(from, (size_t)(to - from)));
        }
        text += len + (text[len] != '\0');
    }
    return values;
}

json_t *source_settings(const struct definition *source, const struct conf *conf)
{
    json_t *settings = json_object();
    const char *name;
    json_t *declared;
    json_object_foreach(json_object_get(source->tree, "settings"), name, declared)
    {
        const json_t *given = conf_source_setting(conf, source->name, name);
        const json_t *value = given ? given : json_object_get(declared, "default");
        if (json_true_at(declared, "secret")) {
            continue;
        }
        if (json_true_at(declared, "list")) {
            json_object_set_new(settings, name, values_of(value, ",\n"));
        } else {
            json_object_set_new(settings, name, value ? json_deep_copy(value) : json_null());
        }
    }
    return settings;
}

json_t *source_secrets(const struct definition *source, const struct conf *conf)
{
    json_t *secrets = json_object();
    const char *name;
    json_t *declared, *value;
    size_t i;
    json_object_foreach(json_object_get(source->tree, "settings"), name, declared)
    {
        if (!json_true_at(declared, "secret")) {
            continue;
        }
        json_t *values = values_of(conf_source_setting(conf, source->name, name), "\n"); /* a secret may hold commas */
        json_array_foreach(values, i, value)
        {
            secret_remember(json_string_value(value));
        }
        json_object_set_new(secrets, name, values);
    }
    return secrets;
}
