/* Which values of the configuration are secrets, or hold one. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/conf_internal.h"
#include "lib/secret.h"

static bool names_secret(const char *name)
{
    static const char *const words[] = {"password", "passphrase", "secret", "token", "key", "jaas"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcasestr(name, words[i])) {
            return true;
        }
    }
    return false;
}

static void remember_and_free(char *value)
{
    secret_remember(value);
    secret_wipe(value);
    free(value);
}

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

static char *percent_decoded(const char *text)
{
    struct buf out = BUF_INIT;
    for (; *text; text++) {
        char c = *text;
        if (c == '%' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
            c = (char)(hex(text[1]) * 16 + hex(text[2]));
            text += 2;
        }
        buf_add(&out, &c, 1);
    }
    return buf_take(&out);
}

/* A part of a URI: as it stands there, and as it is meant. */
static void remember_encoded(const char *from, size_t len)
{
    char *encoded = mem_strndup(from, len);
    secret_remember(encoded);
    remember_and_free(percent_decoded(encoded));
    secret_wipe(encoded);
    free(encoded);
}

/* The value of `name=value` in a connection string: quoted by ' or up to a blank, with \ before what is meant literally
 * (PostgreSQL manual, 34.1.1.1). The caller frees. */
static char *keyword_value(const char *at)
{
    struct buf out = BUF_INIT;
    bool quoted = *at == '\'';
    for (at += quoted; *at && (quoted ? *at != '\'' : !isspace((unsigned char)*at)); at++) {
        if (*at == '\\' && at[1]) {
            at++;
        }
        buf_add(&out, at, 1);
    }
    return buf_take(&out);
}

/* libpq: "host=… password=…", or "postgresql://user:password@host/db?sslpassword=…". */
static void remember_conninfo(const char *text)
{
    const char *user = strstr(text, "://");
    const char *host = user ? strchr(user, '@') : NULL;
    const char *colon = host ? memchr(user + 3, ':', (size_t)(host - user - 3)) : NULL;
    if (colon) {
        remember_encoded(colon + 1, (size_t)(host - colon - 1));
    }
    for (const char *at = text; (at = strcasestr(at, "password")); at += strlen("password")) {
        const char *value = at + strlen("password");
        value += strspn(value, " \t");
        if (*value != '=') {
            continue;
        }
        value++;
        if (user) {
            remember_encoded(value, strcspn(value, "&"));
        } else {
            remember_and_free(keyword_value(value + strspn(value, " \t")));
        }
    }
}

static void remember_value(const char *key, const char *text)
{
    const char *equals = strchr(text, '=');
    if (strcmp(key, "kafka.properties") == 0) {
        char *name = equals ? mem_strndup(text, (size_t)(equals - text)) : NULL;
        if (name && names_secret(name)) {
            secret_remember(equals + 1 + strspn(equals + 1, " \t"));
        }
        free(name);
    } else if (strncmp(key, "postgres.", strlen("postgres.")) == 0) {
        secret_remember(text);
        remember_conninfo(text);
    } else {
        secret_remember(text);
    }
}

bool conf_is_secret(const char *key)
{
    const struct conf_option *option = conf_option_find(key);
    return option ? option->secret : names_secret(strrchr(key, '.'));
}

/* Of connection strings and of Kafka's properties only some are secret. */
static bool text_holds_secret(const char *key, const char *text)
{
    bool partly = strcmp(key, "kafka.properties") == 0 || strncmp(key, "postgres.", strlen("postgres.")) == 0;
    char *name = partly && *key == 'k' ? mem_strndup(text, strcspn(text, "=")) : mem_strdup(text);
    bool holds = !partly || names_secret(name) || strstr(name, "://");
    secret_wipe(name);
    free(name);
    return holds;
}

bool conf_holds_secret(const char *key, const json_t *value)
{
    bool holds = json_is_string(value) && text_holds_secret(key, json_string_value(value));
    for (size_t i = 0; i < json_array_size(value); i++) {
        holds = holds || text_holds_secret(key, json_string_value(json_array_get(value, i)));
    }
    return conf_is_secret(key) && holds;
}

void conf_remember_secrets(const struct conf *conf)
{
    const char *key;
    json_t *value;
    json_object_foreach(conf->values, key, value)
    {
        bool secret = conf_is_secret(key);
        if (secret && json_is_string(value)) {
            remember_value(key, json_string_value(value));
        }
        for (size_t i = 0; secret && i < json_array_size(value); i++) {
            remember_value(key, json_string_value(json_array_get(value, i)));
        }
    }
    json_object_foreach(conf->variables, key, value)
    {
        if (names_secret(strrchr(key, '_'))) {
            secret_remember(json_string_value(value));
        }
    }
}
