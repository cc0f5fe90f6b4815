/* The configuration file: YAML, nested or dotted keys, each reported by file and line when it is wrong. */
#include <stdlib.h>
#include <string.h>

#include "lib/conf_internal.h"
#include "lib/nearest.h"
#include "lib/yaml.h"

struct reading {
    struct conf *conf;
    const char *file;
    const json_t *lines;
    json_t *seen; /* keys so far, `_file` taken off */
    struct err *err;
};

/* What `key` was meant to be, NULL when nothing is near. The caller frees. */
static char *nearest_key(const char *key)
{
    if (strncmp(key, "edge.tokens.", strlen("edge.tokens.")) == 0) {
        return NULL; /* the family's form says more than one of its members */
    }
    const char **names = mem_alloc(conf_table_size * sizeof *names);
    for (size_t i = 0; i < conf_table_size; i++) {
        names[i] = conf_table[i].key;
    }
    char *near = mem_strdup(nearest_name(key, names, conf_table_size));
    free(names);
    return near;
}

static int unknown_key(const char *where, const char *key, struct err *err)
{
    char *near = nearest_key(key);
    int result;
    if (near) {
        result = err_set(err, ERR_FATAL, "%s: there is no option \"%s\"; did you mean \"%s\"?", where, key, near);
    } else if (strncmp(key, "edge.tokens", strlen("edge.tokens")) == 0) {
        result = err_set(err, ERR_FATAL, "%s: there is no option \"%s\"; it must be edge.tokens.<name>.token or .roles",
                         where, key);
    } else if (strncmp(key, "sources", strlen("sources")) == 0) {
        result =
            err_set(err, ERR_FATAL, "%s: there is no option \"%s\"; it must be sources.<source>.<setting>", where, key);
    } else if (strncmp(key, "systems", strlen("systems")) == 0) {
        result =
            err_set(err, ERR_FATAL, "%s: there is no option \"%s\"; it must be systems.<system>.<setting>", where, key);
    } else {
        result = err_set(err, ERR_FATAL, "%s: there is no option \"%s\" (CONFIGURATION.md lists them)", where, key);
    }
    free(near);
    return result;
}

/* `key` without a "_file" at its end, when that is an option; else NULL. The caller frees. A system's `ca_file` is a
 * setting by itself: libcurl wants the path. */
static char *without_file(const char *key)
{
    size_t len = strlen(key);
    if (len <= 5 || strcmp(key + len - 5, "_file") != 0 || (len > 8 && strcmp(key + len - 8, ".ca_file") == 0)) {
        return NULL;
    }
    char *base = mem_strndup(key, len - 5);
    if (conf_option_find(base) || conf_in_family(base)) {
        return base;
    }
    free(base);
    return NULL;
}

/* Whether options lie below `key`: "logger:" with everything under it commented out is no mistake. */
static bool is_section(const char *key)
{
    size_t len = strlen(key);
    bool family =
        strncmp(key, "systems.", strlen("systems.")) == 0 || strncmp(key, "sources.", strlen("sources.")) == 0;
    bool section = strcmp(key, "systems") == 0 || strcmp(key, "sources") == 0 || strcmp(key, "edge.tokens") == 0 ||
                   (family && !strchr(key + strlen("systems."), '.'));
    for (size_t i = 0; i < conf_table_size && !section; i++) {
        section = strncmp(conf_table[i].key, key, len) == 0 && conf_table[i].key[len] == '.';
    }
    return section;
}

static int first_time(struct reading *reading, const char *where, const char *key)
{
    const char *before = json_string_value(json_object_get(reading->seen, key));
    if (before) {
        return err_set(reading->err, ERR_FATAL, "%s: %s was given already at %s", where, key, before);
    }
    json_object_set_new(reading->seen, key, json_string(where));
    return 0;
}

static int read_entry(struct reading *reading, const char *where, const char *key, const json_t *value)
{
    char *base = conf_option_find(key) ? NULL : without_file(key);
    int result = -1;
    if (!base && !conf_option_find(key) && !conf_in_family(key)) {
        result = json_is_null(value) && is_section(key) ? 0 : unknown_key(where, key, reading->err);
    } else if (first_time(reading, where, base ? base : key) != 0) {
        result = -1;
    } else if (!base) {
        result = conf_set(reading->conf, where, key, value, reading->err);
        reading->conf->plain_secret = reading->conf->plain_secret || conf_holds_secret(key, value);
    } else if (json_is_string(value) && reading->conf->process) { /* whose it is, is known when all is read */
        json_object_set_new(reading->conf->files, base, json_pack("[s, O]", where, value));
        result = 0;
    } else if (json_is_string(value)) {
        result = conf_set_from_file(reading->conf, where, base, json_string_value(value), reading->err);
    } else {
        result = err_set(reading->err, ERR_FATAL, "%s: %s must be the path of a file", where, key);
    }
    free(base);
    return result;
}

static int read_tree(struct reading *reading, const json_t *tree, const char *prefix, const char *pointer);

static int read_member(struct reading *reading, const char *prefix, const char *pointer, const char *name,
                       const json_t *value)
{
    char *key = *prefix ? mem_printf("%s.%s", prefix, name) : mem_strdup(name);
    char *at = yaml_pointer(pointer, name);
    int result;
    if (json_is_object(value) && json_object_size(value)) {
        result = read_tree(reading, value, key, at);
    } else if (json_is_object(value)) {
        result = 0; /* a section without anything in it */
    } else {
        long long line = (long long)json_integer_value(json_object_get(reading->lines, at));
        char *where = mem_printf("%s:%lld", reading->file, line);
        result = read_entry(reading, where, key, value);
        free(where);
    }
    free(at);
    free(key);
    return result;
}

static int read_tree(struct reading *reading, const json_t *tree, const char *prefix, const char *pointer)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)tree, name, value)
    {
        if (read_member(reading, prefix, pointer, name, value) != 0) {
            return -1;
        }
    }
    return 0;
}

int conf_read_file(struct conf *conf, const char *path, struct err *err)
{
    struct err why = ERR_INIT;
    size_t len;
    json_t *lines = NULL;
    char *text = yaml_read_file(path, &len, &why);
    json_t *tree = text ? yaml_parse_texts(text, len, path, &lines, &why) : NULL;
    free(text);
    int result = -1;
    if (!tree) {
        err_set(err, ERR_FATAL, "%s", err_text(&why));
    } else if (json_is_null(tree)) {
        result = 0;
    } else if (!json_is_object(tree)) {
        err_set(err, ERR_FATAL, "%s: a configuration is a map of options", path);
    } else {
        struct reading reading = {conf, path, lines, json_object(), err};
        result = read_tree(&reading, tree, "", "");
        json_decref(reading.seen);
    }
    err_release(&why);
    json_decref(tree);
    json_decref(lines);
    return result;
}
