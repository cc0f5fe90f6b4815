#include "lib/conf.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/conf_internal.h"
#include "lib/json.h"
#include "lib/nearest.h"
#include "lib/secret.h"
#include "lib/time.h"
#include "lib/yaml.h"

extern char **environ;

struct conf {
    json_t *values;      /* dotted key to text, or to an array of texts for a list */
    json_t *environment; /* OFFBOARD_… as they were at start */
};

const struct conf_option *conf_options(size_t *count)
{
    *count = conf_table_size;
    return conf_table;
}

static const struct conf_option *option_find(const char *key)
{
    for (size_t i = 0; i < conf_table_size; i++) {
        if (strcmp(conf_table[i].key, key) == 0) {
            return &conf_table[i];
        }
    }
    return NULL;
}

/* systems.<system>.<setting>, edge.tokens.<name>.<token|roles> */
static bool in_family(const char *key)
{
    const char *rest = NULL;
    if (strncmp(key, "systems.", 8) == 0) {
        rest = strchr(key + 8, '.');
        return rest && rest > key + 8 && rest[1];
    }
    if (strncmp(key, "edge.tokens.", 12) == 0) {
        rest = strchr(key + 12, '.');
        return rest && (strcmp(rest, ".token") == 0 || strcmp(rest, ".roles") == 0);
    }
    return false;
}

/* ---- values -------------------------------------------------------------------------------------------------------- */

static char *scalar_text(const json_t *value)
{
    return json_is_string(value) ? mem_strdup(json_string_value(value)) : json_text(value);
}

/* "a, b" or lines with # comments, to an array of texts. */
static json_t *list_from_text(const char *text, const char *separators)
{
    json_t *list = json_array();
    while (*text) {
        size_t len = strcspn(text, separators);
        const char *from = text;
        const char *to = text + len;
        while (from < to && isspace((unsigned char)*from)) {
            from++;
        }
        while (to > from && isspace((unsigned char)to[-1])) {
            to--;
        }
        if (to > from && *from != '#') {
            json_array_append_new(list, json_stringn(from, (size_t)(to - from)));
        }
        text += len + (text[len] != '\0');
    }
    return list;
}

static json_t *list_from_yaml(const json_t *value)
{
    json_t *list = json_array();
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        char *text = scalar_text(item);
        json_array_append_new(list, json_string(text));
        free(text);
    }
    return list;
}

static int check_value(const char *where, const struct conf_option *option, const char *text, struct err *err)
{
    int64_t duration;
    char *end;
    switch (option->type) {
    case CONF_INT:
        strtoll(text, &end, 10);
        if (end == text || *end) {
            return err_set(err, ERR_FATAL, "%s: %s must be a whole number, not \"%s\"", where, option->key, text);
        }
        return 0;
    case CONF_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
            return err_set(err, ERR_FATAL, "%s: %s must be true or false, not \"%s\"", where, option->key, text);
        }
        return 0;
    case CONF_DURATION:
        if (time_parse_duration(text, &duration, err) != 0) {
            err->class = ERR_FATAL;
            return err_prefix(err, "%s: %s", where, option->key);
        }
        return 0;
    default:
        return 0;
    }
}

/* One value from outside; `value` is a scalar or, for lists, an array. `where` is "file:line" or a variable's name. */
static int set_value(struct conf *conf, const char *where, const char *key, const json_t *value, struct err *err)
{
    const struct conf_option *option = option_find(key);
    bool list = (option && option->type == CONF_LIST) || (strncmp(key, "edge.tokens.", 12) == 0 && strstr(key, ".roles"));
    if (json_is_array(value)) {
        if (!list) {
            return err_set(err, ERR_FATAL, "%s: %s takes one value, not a list", where, key);
        }
        json_object_set_new(conf->values, key, list_from_yaml(value));
        return 0;
    }
    if (json_is_null(value)) {
        return 0; /* as if it were not there */
    }
    char *text = scalar_text(value);
    int result = option ? check_value(where, option, text, err) : 0;
    if (result == 0) {
        json_object_set_new(conf->values, key, list ? list_from_text(text, ",") : json_string(text));
    }
    free(text);
    return result;
}

static int set_from_file(struct conf *conf, const char *where, const char *key, const char *path, struct err *err)
{
    size_t len;
    char *text = yaml_read_file(path, &len, err);
    if (!text) {
        return err_prefix(err, "%s: %s_file", where, key);
    }
    text[strcspn(text, "\r\n") == len - 1 ? len - 1 : len] = '\0';
    const struct conf_option *option = option_find(key);
    if (option && option->type == CONF_LIST) {
        json_object_set_new(conf->values, key, list_from_text(text, "\n"));
        free(text);
        return 0;
    }
    while (len && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
        text[--len] = '\0';
    }
    json_t *value = json_string(text);
    free(text);
    if (!value) {
        return err_set(err, ERR_FATAL, "%s: the content of %s is not UTF-8", where, path);
    }
    int result = set_value(conf, where, key, value, err);
    json_decref(value);
    return result;
}

/* ---- the file ------------------------------------------------------------------------------------------------------ */

struct reading {
    struct conf *conf;
    const char *file;
    const json_t *lines;
    struct err *err;
};

static int unknown_key(const char *where, const char *key, struct err *err)
{
    const char **names = mem_alloc(conf_table_size * sizeof *names);
    for (size_t i = 0; i < conf_table_size; i++) {
        names[i] = conf_table[i].key;
    }
    const char *near = nearest_name(key, names, conf_table_size);
    free(names);
    if (near) {
        return err_set(err, ERR_FATAL, "%s: there is no option \"%s\"; did you mean \"%s\"?", where, key, near);
    }
    return err_set(err, ERR_FATAL, "%s: there is no option \"%s\" (CONFIGURATION.md lists them)", where, key);
}

/* `key` without a "_file" at its end, when that is an option; else NULL. The caller frees. */
static char *without_file(const char *key)
{
    size_t len = strlen(key);
    if (len <= 5 || strcmp(key + len - 5, "_file") != 0) {
        return NULL;
    }
    char *base = mem_strndup(key, len - 5);
    if (option_find(base) || in_family(base)) {
        return base;
    }
    free(base);
    return NULL;
}

static int read_entry(struct conf *conf, const char *where, const char *key, const json_t *value, struct err *err)
{
    char *base = option_find(key) ? NULL : without_file(key);
    int result;
    if (base && json_is_string(value)) {
        result = set_from_file(conf, where, base, json_string_value(value), err);
    } else if (option_find(key) || in_family(key)) {
        result = set_value(conf, where, key, value, err);
    } else {
        result = unknown_key(where, key, err);
    }
    free(base);
    return result;
}

static int read_tree(struct reading *reading, const json_t *tree, const char *prefix, const char *pointer)
{
    const char *name;
    json_t *value;
    int result = 0;
    json_object_foreach((json_t *)tree, name, value) {
        char *key = *prefix ? mem_printf("%s.%s", prefix, name) : mem_strdup(name);
        char *at = mem_printf("%s/%s", pointer, name);
        if (json_is_object(value)) {
            result = read_tree(reading, value, key, at);
        } else {
            char *where = mem_printf("%s:%lld", reading->file,
                                     (long long)json_integer_value(json_object_get(reading->lines, at)));
            result = read_entry(reading->conf, where, key, value, reading->err);
            free(where);
        }
        free(at);
        free(key);
        if (result != 0) {
            break;
        }
    }
    return result;
}

static int read_file(struct conf *conf, const char *path, struct err *err)
{
    size_t len;
    char *text = yaml_read_file(path, &len, err);
    if (!text) {
        return -1;
    }
    json_t *lines = NULL;
    json_t *tree = yaml_parse(text, len, path, &lines, err);
    free(text);
    int result = -1;
    if (tree && !json_is_object(tree)) {
        err_set(err, ERR_FATAL, "%s: a configuration is a map of options", path);
    } else if (tree) {
        struct reading reading = {conf, path, lines, err};
        result = read_tree(&reading, tree, "", "");
    }
    json_decref(tree);
    json_decref(lines);
    return result;
}

/* ---- the environment ------------------------------------------------------------------------------------------------ */

static char *variable_name(const char *key, const char *suffix)
{
    char *name = mem_printf("OFFBOARD_%s%s", key, suffix);
    for (char *c = name; *c; c++) {
        *c = *c == '.' || *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    }
    return name;
}

static void snapshot_environment(struct conf *conf)
{
    for (char **variable = environ; variable && *variable; variable++) {
        const char *equals = strchr(*variable, '=');
        if (equals && strncmp(*variable, "OFFBOARD_", 9) == 0) {
            char *name = mem_strndup(*variable, (size_t)(equals - *variable));
            json_object_set_new(conf->environment, name, json_string(equals + 1));
            free(name);
        }
    }
}

/* Looks `key` up in the environment; 1 when it was there. */
static int read_variable(struct conf *conf, const char *key, struct err *err)
{
    char *name = variable_name(key, "");
    char *file = variable_name(key, "_FILE");
    const json_t *value = json_object_get(conf->environment, name);
    const char *path = json_string_value(json_object_get(conf->environment, file));
    int result = 0;
    if (value) {
        result = set_value(conf, name, key, value, err) == 0 ? 1 : -1;
    } else if (path) {
        result = set_from_file(conf, file, key, path, err) == 0 ? 1 : -1;
    }
    free(name);
    free(file);
    return result;
}

/* Every variable must belong to an option or to a family. */
static int check_environment(struct conf *conf, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(conf->environment, name, value) {
        bool known = strncmp(name, "OFFBOARD_SYSTEMS_", 17) == 0 || strncmp(name, "OFFBOARD_EDGE_TOKENS_", 21) == 0;
        for (size_t i = 0; i < conf_table_size && !known; i++) {
            char *plain = variable_name(conf_table[i].key, "");
            char *file = variable_name(conf_table[i].key, "_FILE");
            known = strcmp(name, plain) == 0 || strcmp(name, file) == 0;
            free(plain);
            free(file);
        }
        if (!known) {
            return err_set(err, ERR_FATAL, "environment: %s is no option (CONFIGURATION.md lists them)", name);
        }
    }
    return 0;
}

static int read_environment(struct conf *conf, struct err *err)
{
    snapshot_environment(conf);
    for (size_t i = 0; i < conf_table_size; i++) {
        if (read_variable(conf, conf_table[i].key, err) < 0) {
            return -1;
        }
    }
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(conf->values, next, key, value) {
        if (in_family(key) && read_variable(conf, key, err) < 0) {
            return -1;
        }
    }
    return check_environment(conf, err);
}

/* Sanitizers and the C library need these; none is a secret of ours. HOME points nowhere, so that libjq finds no ~/.jq. */
void conf_clear_environment(void)
{
    static const char *const kept[] = {"PATH", "LANG", "TZ", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS"};
    char *values[COUNT_OF(kept)];
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        values[i] = mem_strdup(getenv(kept[i]));
    }
    clearenv();
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        if (values[i]) {
            setenv(kept[i], values[i], 1);
        }
        free(values[i]);
    }
    setenv("HOME", "/nonexistent", 1);
}

void conf_restore_environment(const struct conf *conf)
{
    const char *name;
    json_t *value;
    json_object_foreach(conf->environment, name, value) {
        setenv(name, json_string_value(value), 1);
    }
}

/* ---- secrets -------------------------------------------------------------------------------------------------------- */

static bool names_secret(const char *name)
{
    return strcasestr(name, "password") || strcasestr(name, "secret") || strcasestr(name, "token") ||
           strcasestr(name, "key") || strcasestr(name, "passphrase");
}

/* A connection string's or a URI's password. */
static void remember_password(const char *text)
{
    const char *at = strstr(text, "password=");
    if (at) {
        at += strlen("password=");
        char *value = *at == '\'' ? mem_strndup(at + 1, strcspn(at + 1, "'")) : mem_strndup(at, strcspn(at, " "));
        secret_remember(value);
        free(value);
    }
    const char *user = strstr(text, "://");
    const char *host = user ? strchr(user, '@') : NULL;
    const char *colon = host ? memchr(user + 3, ':', (size_t)(host - user - 3)) : NULL;
    if (colon) {
        char *value = mem_strndup(colon + 1, (size_t)(host - colon - 1));
        secret_remember(value);
        free(value);
    }
}

static void remember_item(const char *key, const char *text)
{
    const char *equals = strchr(text, '=');
    if (strcmp(key, "kafka.properties") == 0) {
        char *name = equals ? mem_strndup(text, (size_t)(equals - text)) : NULL;
        if (name && names_secret(name)) {
            secret_remember(equals + 1);
        }
        free(name);
    } else if (strncmp(key, "postgres.", 9) == 0) {
        remember_password(text);
    } else {
        secret_remember(text);
    }
}

static void remember_secrets(const struct conf *conf)
{
    const char *key;
    json_t *value;
    json_object_foreach(conf->values, key, value) {
        const struct conf_option *option = option_find(key);
        const char *member = strrchr(key, '.');
        bool secret = option ? option->secret : in_family(key) && names_secret(member) && !strstr(key, ".roles");
        if (secret && json_is_string(value)) {
            remember_item(key, json_string_value(value));
        }
        for (size_t i = 0; secret && i < json_array_size(value); i++) {
            remember_item(key, json_string_value(json_array_get(value, i)));
        }
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

struct conf *conf_load(const char *path, struct err *err)
{
    struct conf *conf = MEM_NEW(struct conf);
    conf->values = json_object();
    conf->environment = json_object();
    if ((path && read_file(conf, path, err) != 0) || read_environment(conf, err) != 0) {
        if (err) {
            err->class = ERR_FATAL;
        }
        conf_free(conf);
        return NULL;
    }
    remember_secrets(conf);
    return conf;
}

void conf_free(struct conf *conf)
{
    if (conf) {
        json_decref(conf->values);
        json_decref(conf->environment);
        free(conf);
    }
}

/* ---- look-ups --------------------------------------------------------------------------------------------------------- */

static const struct conf_option *must_find(const char *key)
{
    const struct conf_option *option = option_find(key);
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
    return text && strcmp(text, "true") == 0;
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

/* A family's value may stand in the file, or in the environment only. */
static const char *family_value(const struct conf *conf, const char *key)
{
    const json_t *value = json_object_get(conf->values, key);
    if (json_is_array(value)) {
        return NULL;
    }
    if (!value) {
        if (read_variable((struct conf *)conf, key, NULL) > 0) {
            value = json_object_get(conf->values, key);
        }
    }
    return json_string_value(value);
}

const char *conf_system_setting(const struct conf *conf, const char *system, const char *member)
{
    char *key = mem_printf("systems.%s.%s", system, member);
    const char *value = family_value(conf, key);
    free(key);
    return value;
}

const char *conf_token(const struct conf *conf, const char *name, const char *member)
{
    char *key = mem_printf("edge.tokens.%s.%s", name, member);
    const char *value = family_value(conf, key);
    free(key);
    return value;
}

bool conf_token_has_role(const struct conf *conf, const char *name, const char *role)
{
    char *key = mem_printf("edge.tokens.%s.roles", name);
    const json_t *roles = json_object_get(conf->values, key);
    free(key);
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
    json_object_foreach(conf->values, key, value) {
        if (strncmp(key, prefix, len) == 0 && key[len] == '.') {
            char *name = mem_strndup(key + len + 1, strcspn(key + len + 1, "."));
            json_object_set_new(seen, name, json_null());
            free(name);
        }
    }
    json_object_foreach(seen, key, value) {
        each(key, arg);
    }
    json_decref(seen);
}

void conf_system_secret(const struct conf *conf, const char *system, const char *member)
{
    secret_remember(conf_system_setting(conf, system, member));
}
