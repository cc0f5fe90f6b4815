/* The configuration in memory: look-ups. Reading is in conf_file.c and conf_environment.c. */
#include "lib/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/conf_internal.h"
#include "lib/secret.h"
#include "lib/time.h"

struct conf *conf_load_for(const char *path, const char *process, const char *systems, struct err *err)
{
    struct conf *conf = MEM_NEW(struct conf);
    conf->process = process;
    conf->systems = systems;
    conf->values = json_object();
    conf->files = json_object();
    conf->open_files = json_array();
    conf->environment = json_object();
    conf->variables = json_object();
    if ((path && conf_read_file(conf, path, err) != 0) || conf_read_environment(conf, err) != 0) {
        conf_free(conf);
        return NULL;
    }
    if (path && conf->plain_secret) {
        conf_check_readers(conf, path);
    }
    conf_remember_secrets(conf);
    return conf;
}

struct conf *conf_load(const char *path, struct err *err)
{
    return conf_load_for(path, NULL, NULL, err);
}

struct conf *conf_load_other(const char *path, struct err *err)
{
    struct conf *conf = MEM_NEW(struct conf);
    conf->values = json_object();
    conf->unread = json_object();
    conf->environment = json_object();
    conf->variables = json_object();
    if (conf_read_file(conf, path, err) != 0) {
        conf_free(conf);
        return NULL;
    }
    conf_remember_secrets(conf);
    return conf;
}

const char *conf_unread(const struct conf *conf, const char *key)
{
    return json_string_value(json_object_get(conf->unread, key));
}

void conf_free(struct conf *conf)
{
    if (conf) {
        json_decref(conf->values);
        json_decref(conf->unread);
        json_decref(conf->files);
        json_decref(conf->open_files);
        json_decref(conf->environment);
        json_decref(conf->variables);
        free(conf);
    }
}

/* ---- options of the table ---------------------------------------------------------------------------------------------- */

static const struct conf_option *must_find(const char *key)
{
    const struct conf_option *option = conf_option_find(key);
    if (!option) {
        fprintf(stderr, "no option \"%s\" in the table\n", key);
        abort();
    }
    return option;
}

const char *conf_string(const struct conf *conf, const char *key)
{
    const struct conf_option *option = must_find(key);
    const char *value = json_string_value(json_object_get(conf->values, key));
    return value ? value : option->otherwise;
}

int64_t conf_int(const struct conf *conf, const char *key)
{
    const char *text = conf_string(conf, key);
    return text ? strtoll(text, NULL, 10) : 0;
}

bool conf_bool(const struct conf *conf, const char *key)
{
    const char *text = conf_string(conf, key);
    return text && strcasecmp(text, "true") == 0;
}

int64_t conf_duration(const struct conf *conf, const char *key)
{
    int64_t duration = 0;
    const char *text = conf_string(conf, key);
    if (text) {
        time_parse_duration(text, &duration, NULL);
    }
    return duration;
}

size_t conf_list_size(const struct conf *conf, const char *key)
{
    must_find(key);
    return json_array_size(json_object_get(conf->values, key));
}

const char *conf_list_item(const struct conf *conf, const char *key, size_t i)
{
    must_find(key);
    return json_string_value(json_array_get(json_object_get(conf->values, key), i));
}

/* ---- families ---------------------------------------------------------------------------------------------------------- */

static const json_t *setting_value(const struct conf *conf, const char *family, const char *name, const char *member)
{
    char *key = mem_printf("%s.%s.%s", family, name, member);
    char *variable = conf_variable(key);
    const json_t *value = json_object_get(conf->variables, variable);
    if (!value) {
        value = json_object_get(conf->values, key);
    }
    free(variable);
    free(key);
    return value;
}

const char *conf_system_setting(const struct conf *conf, const char *system, const char *member)
{
    return json_string_value(setting_value(conf, "systems", system, member));
}

const json_t *conf_source_setting(const struct conf *conf, const char *source, const char *member)
{
    return setting_value(conf, "sources", source, member);
}

static const json_t *token_value(const struct conf *conf, const char *name, const char *member)
{
    char *key = mem_printf("edge.tokens.%s.%s", name, member);
    const json_t *value = json_object_get(conf->values, key);
    free(key);
    return value;
}

const char *conf_token(const struct conf *conf, const char *name, const char *member)
{
    return json_string_value(token_value(conf, name, member));
}

bool conf_token_has_role(const struct conf *conf, const char *name, const char *role)
{
    const json_t *roles = token_value(conf, name, "roles");
    for (size_t i = 0; i < json_array_size(roles); i++) {
        if (strcmp(json_string_value(json_array_get(roles, i)), role) == 0) {
            return true;
        }
    }
    return false;
}

void conf_each_name(const struct conf *conf, const char *prefix, void (*each)(const char *name, void *arg), void *arg)
{
    json_t *seen = json_object();
    size_t len = strlen(prefix);
    const char *key;
    json_t *value;
    json_object_foreach(conf->values, key, value)
    {
        if (strncmp(key, prefix, len) == 0 && key[len] == '.') {
            char *name = mem_strndup(key + len + 1, strcspn(key + len + 1, "."));
            json_object_set_new(seen, name, json_null());
            free(name);
        }
    }
    json_object_foreach(seen, key, value)
    {
        each(key, arg);
    }
    json_decref(seen);
}

void conf_each_setting(const struct conf *conf, const char *family,
                       void (*each)(const char *name, const char *setting, void *arg), void *arg)
{
    size_t len = strlen(family);
    const char *key;
    json_t *value;
    json_object_foreach(conf->values, key, value)
    {
        const char *setting = strrchr(key, '.');
        if (strncmp(key, family, len) == 0 && key[len] == '.') {
            char *name = mem_strndup(key + len + 1, (size_t)(setting - key) - len - 1);
            each(name, setting + 1, arg);
            free(name);
        }
    }
}

void conf_system_secret(const struct conf *conf, const char *system, const char *member)
{
    secret_remember(conf_system_setting(conf, system, member));
}
