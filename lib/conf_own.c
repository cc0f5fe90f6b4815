/* Whose values are whose: a process opens the files of its own secrets and of no others. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/conf_internal.h"
#include "lib/secret.h"

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Is `word` in a list whose items end at blanks or commas? */
static bool listed(const char *list, const char *word, size_t len)
{
    for (list += strspn(list, " ,"); *list; list += strspn(list, " ,")) {
        size_t item = strcspn(list, " ,");
        if (item == len && strncmp(list, word, len) == 0) {
            return true;
        }
        list += item;
    }
    return false;
}

static bool in_option(const struct conf *conf, const char *option, const char *name, size_t len)
{
    for (size_t i = 0; i < conf_list_size(conf, option); i++) {
        const char *item = conf_list_item(conf, option, i);
        if (strlen(item) == len && strncmp(item, name, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool owns_system(const struct conf *conf, const char *name, size_t len)
{
    return strcmp(conf->process, "worker") == 0 &&
           (conf->systems ? listed(conf->systems, name, len) : in_option(conf, "worker.systems", name, len));
}

static bool owns_source(const struct conf *conf, const char *name, size_t len)
{
    return strcmp(conf->process, "producer") == 0 ||
           (strcmp(conf->process, "worker") == 0 && in_option(conf, "worker.polls", name, len));
}

/* The vault knows those who may see what is in escrow, the producer all who may do something else. */
static bool owns_token(const struct conf *conf, const char *name, size_t len)
{
    static const char *const others[] = {"intake", "signals", "operator", "approve", "undo", "erase"};
    char *token = mem_strndup(name, len);
    bool vault = strcmp(conf->process, "vault") == 0;
    bool own = vault && conf_token_has_role(conf, token, "reveal");
    for (size_t i = 0; i < COUNT_OF(others) && strcmp(conf->process, "producer") == 0; i++) {
        own = own || conf_token_has_role(conf, token, others[i]);
    }
    free(token);
    return own;
}

static bool owns(const struct conf *conf, const char *key)
{
    const struct conf_option *option = conf_option_find(key);
    if (option) {
        return strcmp(option->processes, "all") == 0 || listed(option->processes, conf->process, strlen(conf->process));
    }
    const char *name = begins(key, "edge.tokens.") ? key + strlen("edge.tokens.") : strchr(key, '.') + 1;
    size_t len = strcspn(name, ".");
    if (begins(key, "systems.")) {
        return owns_system(conf, name, len);
    }
    return begins(key, "sources.") ? owns_source(conf, name, len) : owns_token(conf, name, len);
}

int conf_read_own_files(struct conf *conf, struct err *err)
{
    json_t *files = conf->files, *file;
    const char *key;
    int result = 0;
    conf->files = NULL; /* conf_set() takes out of it what it sets */
    json_object_foreach(files, key, file)
    {
        if (result == 0 && owns(conf, key)) {
            result = conf_set_from_file(conf, json_string_value(json_array_get(file, 0)), key,
                                        json_string_value(json_array_get(file, 1)), err);
        }
    }
    json_decref(files);
    return result;
}

/* "OFFBOARD_SYSTEMS_JIRA_TOKEN" of jira, among these names (a list as listed() knows it). */
static bool names_system(const char *variable, const char *name, size_t len)
{
    char *plain = mem_strndup(name, len);
    char *key = mem_printf("systems.%s.", plain);
    char *prefix = conf_variable(key);
    bool fits = begins(variable, prefix);
    free(prefix);
    free(key);
    free(plain);
    return fits;
}

bool conf_owns_variable(const struct conf *conf, const char *variable)
{
    bool system = begins(variable, "OFFBOARD_SYSTEMS_");
    if (!conf->process || (!system && strcmp(conf->process, "producer") == 0)) {
        return true;
    }
    if (strcmp(conf->process, "worker") != 0) {
        return false;
    }
    const char *at = conf->systems ? conf->systems : "";
    bool own = !system && conf_list_size(conf, "worker.polls") > 0;
    for (at += strspn(at, " ,"); system && *at && !own; at += strspn(at, " ,")) {
        size_t len = strcspn(at, " ,");
        own = names_system(variable, at, len);
        at += len;
    }
    for (size_t i = 0; system && !conf->systems && i < conf_list_size(conf, "worker.systems") && !own; i++) {
        const char *name = conf_list_item(conf, "worker.systems", i);
        own = names_system(variable, name, strlen(name));
    }
    return own;
}

/* ---- files that others can read ---------------------------------------------------------------------------------- */

void conf_check_readers(struct conf *conf, const char *path)
{
    struct stat about;
    if (stat(path, &about) == 0 && S_ISREG(about.st_mode) && (about.st_mode & (S_IROTH | S_IWOTH))) {
        json_array_append_new(conf->open_files, json_string(path));
    }
}

void conf_each_open_file(const struct conf *conf, void (*each)(const char *path, void *arg), void *arg)
{
    size_t i;
    json_t *path;
    json_array_foreach(conf->open_files, i, path)
    {
        each(json_string_value(path), arg);
    }
}
