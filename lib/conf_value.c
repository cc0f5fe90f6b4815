/* One value of the configuration, wherever it comes from: checked, and kept as text. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/conf_internal.h"
#include "lib/identity.h"
#include "lib/secret.h"
#include "lib/time.h"
#include "lib/yaml.h"

enum { CONF_INT_MAX = 2147483647 };

static bool is_roles(const char *key)
{
    return strncmp(key, "edge.tokens.", strlen("edge.tokens.")) == 0 && strcmp(strrchr(key, '.'), ".roles") == 0;
}

static bool takes_list(const char *key)
{
    const struct conf_option *option = conf_option_find(key);
    return option ? option->type == CONF_LIST : is_roles(key);
}

/* ---- checks ------------------------------------------------------------------------------------------------------------ */

static int check_int(const char *where, const struct conf_option *option, const char *text, struct err *err)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || isspace((unsigned char)*text)) {
        return err_set(err, ERR_FATAL, "%s: %s must be a whole number, not \"%s\"", where, option->key, text);
    }
    long long least = option->least ? strtoll(option->least, NULL, 10) : 0;
    if (value < least || value > CONF_INT_MAX) {
        return err_set(err, ERR_FATAL, "%s: %s must be from %lld to %d, not %s", where, option->key, least,
                       CONF_INT_MAX, text);
    }
    return 0;
}

static int check_duration(const char *where, const struct conf_option *option, const char *text, struct err *err)
{
    struct err why = ERR_INIT;
    int64_t duration, least = 0;
    if (time_parse_duration(text, &duration, &why) != 0) {
        err_set(err, ERR_FATAL, "%s: %s: %s", where, option->key, err_text(&why));
        err_release(&why);
        return -1;
    }
    if (option->least) {
        time_parse_duration(option->least, &least, NULL);
    }
    return duration >= least
               ? 0
               : err_set(err, ERR_FATAL, "%s: %s must be at least %s, not %s", where, option->key, option->least, text);
}

/* What would only show later, as a puzzling failure of whoever uses it. */
static int check_text(const char *where, const struct conf_option *option, const char *text, struct err *err)
{
    if (strcmp(option->key, "kafka.brokers") == 0 && !text[strspn(text, ", \t\r\n")]) {
        return err_set(err, ERR_FATAL,
                       "%s: %s is empty; it must name the brokers (kafka-1:9092,kafka-2:9092), or be left out for %s",
                       where, option->key, option->otherwise);
    }
    if (strcmp(option->key, "clock.zone") == 0 && !time_zone_known(text)) {
        return err_set(err, ERR_FATAL, "%s: %s: there is no time zone \"%s\"; zones are named as in Europe/Berlin",
                       where, option->key, text);
    }
    return 0;
}

static int check_scalar(const char *where, const struct conf_option *option, const char *text, struct err *err)
{
    switch (option->type) {
    case CONF_INT:
        return check_int(where, option, text, err);
    case CONF_DURATION:
        return check_duration(where, option, text, err);
    case CONF_BOOL:
        if (strcasecmp(text, "true") != 0 && strcasecmp(text, "false") != 0) {
            return err_set(err, ERR_FATAL, "%s: %s must be true or false, not \"%s\"", where, option->key, text);
        }
        return 0;
    default:
        return check_text(where, option, text, err);
    }
}

static bool is_role(const char *text)
{
    static const char *const roles[] = {"intake", "signals", "operator", "approve", "undo", "erase", "reveal"};
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(roles); i++) {
        known = known || strcmp(text, roles[i]) == 0;
    }
    return known;
}

/* A role nobody knows would only show as a puzzling 403. */
static int check_list(const char *where, const char *key, const json_t *list, struct err *err)
{
    for (size_t i = 0; is_roles(key) && i < json_array_size(list); i++) {
        const char *role = json_string_value(json_array_get(list, i));
        if (!is_role(role)) {
            return err_set(err, ERR_FATAL,
                           "%s: %s: there is no role \"%s\"; it must be intake, signals, operator, approve, undo, "
                           "erase or reveal",
                           where, key, role);
        }
    }
    return 0;
}

/* What every system knows: a mode mistyped would let changes through where a dry run was meant, a date mistyped would warn nobody. */
static int check_setting(const char *where, const char *key, const char *text, struct err *err)
{
    bool system = strncmp(key, "systems.", strlen("systems.")) == 0;
    const char *name = strrchr(key, '.');
    if (system && strcmp(name, ".mode") == 0 && strcmp(text, "live") != 0 && strcmp(text, "dry_run") != 0) {
        return err_set(err, ERR_FATAL, "%s: %s must be live or dry_run, not \"%s\"", where, key, text);
    }
    int64_t at;
    if (system && strcmp(name, ".expires") == 0 && time_parse_effective(text, NULL, &at, err) != 0) {
        return err_prefix(err, "%s: %s", where, key);
    }
    return 0;
}

/* ---- lists ------------------------------------------------------------------------------------------------------------- */

/* "a, b" or lines, to an array of texts; an item that begins with # is a comment. */
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

/* A name with a character that nobody sees would protect nobody. */
static int clean_protected(const char *where, const char *key, json_t *list, struct err *err)
{
    for (size_t i = 0; strcmp(key, "guards.protected") == 0 && i < json_array_size(list); i++) {
        struct err why = ERR_INIT;
        json_t *clean = identity_clean(key, json_array_get(list, i), &why);
        if (!clean) {
            err_set(err, ERR_FATAL, "%s: %s", where, err_text(&why));
            err_release(&why);
            return -1;
        }
        json_array_set_new(list, i, clean);
    }
    return 0;
}

/* Takes over `list`. */
static int set_list(struct conf *conf, const char *where, const char *key, json_t *list, struct err *err)
{
    if (check_list(where, key, list, err) != 0 || clean_protected(where, key, list, err) != 0) {
        json_decref(list);
        return -1;
    }
    json_object_set_new(conf->values, key, list);
    return 0;
}

static int set_sequence(struct conf *conf, const char *where, const char *key, const json_t *items, struct err *err)
{
    if (!takes_list(key) && strncmp(key, "sources.", strlen("sources.")) != 0) {
        return err_set(err, ERR_FATAL, "%s: %s takes one value, not a list", where, key);
    }
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (!json_is_string(json_array_get(items, i))) {
            return err_set(err, ERR_FATAL, "%s: item %zu of %s must be a text", where, i + 1, key);
        }
    }
    return set_list(conf, where, key, json_copy((json_t *)items), err);
}

/* ---- setting ----------------------------------------------------------------------------------------------------------- */

int conf_set(struct conf *conf, const char *where, const char *key, const json_t *value, struct err *err)
{
    if (json_is_null(value)) {
        return 0; /* as if it were not there */
    }
    if (conf->files) {
        json_object_del(conf->files, key); /* a variable wins over the file */
    }
    if (json_is_array(value)) {
        return set_sequence(conf, where, key, value, err);
    }
    const char *text = json_string_value(value);
    if (takes_list(key)) {
        return set_list(conf, where, key, list_from_text(text, ","), err);
    }
    const struct conf_option *option = conf_option_find(key);
    if (option ? check_scalar(where, option, text, err) : check_setting(where, key, text, err)) {
        return -1;
    }
    json_object_set_new(conf->values, key, json_string(text));
    return 0;
}

char *conf_file_text(const char *where, const char *path, struct err *err)
{
    struct err why = ERR_INIT;
    size_t len;
    char *text = yaml_read_file(path, &len, &why);
    if (!text) {
        err_set(err, ERR_FATAL, "%s: %s", where, err_text(&why));
        err_release(&why);
        return NULL;
    }
    json_t *value = strlen(text) == len ? json_string(text) : NULL; /* jansson knows what is UTF-8 */
    if (!value) {
        err_set(err, ERR_FATAL, "%s: %s is no UTF-8 text", where, path);
        secret_wipe(text);
        free(text);
        return NULL;
    }
    json_decref(value);
    if (len && text[len - 1] == '\n') {
        text[--len] = '\0';
    }
    if (len && text[len - 1] == '\r') {
        text[--len] = '\0';
    }
    return text;
}

int conf_set_from_file(struct conf *conf, const char *where, const char *key, const char *path, struct err *err)
{
    struct err why = ERR_INIT;
    if (conf_is_secret(key)) {
        conf_check_readers(conf, path);
    }
    char *text = conf_file_text(where, path, &why);
    if (!text) {
        int result = conf->unread ? 0 : err_set(err, ERR_FATAL, "%s", err_text(&why));
        if (conf->unread) {
            json_object_set_new(conf->unread, key, json_string(err_text(&why)));
        }
        err_release(&why);
        return result;
    }
    int result;
    if (takes_list(key)) {
        result = set_list(conf, where, key, list_from_text(text, "\n"), err);
    } else {
        json_t *value = json_string(text);
        result = conf_set(conf, where, key, value, err);
        json_decref(value);
    }
    secret_wipe(text);
    free(text);
    return result;
}
