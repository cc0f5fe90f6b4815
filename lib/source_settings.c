/* Settings of sources. Several threads read the configuration: what it holds is copied. */
#include "lib/source_settings.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/nearest.h"
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

/* ---- what nobody declares ------------------------------------------------------------------------------------------------- */

struct checking {
    const struct definitions *definitions;
    struct err *err;
    int result;
};

static void check_setting(const char *name, const char *setting, void *arg)
{
    struct checking *checking = arg;
    const struct definition *source = definition_find(checking->definitions, DEFINITION_SOURCE, name);
    const json_t *declared = source ? json_object_get(source->tree, "settings") : NULL;
    if (checking->result != 0 || json_object_get(declared, setting)) {
        return;
    }
    const char **names = mem_alloc((json_object_size(declared) + 1) * sizeof *names);
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)declared, key, value)
    {
        names[count++] = key;
    }
    const char *near = source ? nearest_name(setting, names, count)
                              : definition_nearest(checking->definitions, DEFINITION_SOURCE, name);
    checking->result =
        err_set(checking->err, ERR_FATAL, "sources.%s.%s: there is no such %s%s%s%s", name, setting,
                source ? "setting" : "source", near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    free(names);
}

int source_settings_check(const struct definitions *definitions, const struct conf *conf, struct err *err)
{
    struct checking checking = {definitions, err, 0};
    conf_each_source_setting(conf, check_setting, &checking);
    return checking.result;
}
