/* The environment: OFFBOARD_… variables win over the file. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf_internal.h"
#include "lib/secret.h"

extern char **environ;

static const char prefix[] = "OFFBOARD_";
static const char config_name[] = "OFFBOARD_CONFIG"; /* names the file, and is no option in it */
static const char systems_prefix[] = "OFFBOARD_SYSTEMS_";
static const char sources_prefix[] = "OFFBOARD_SOURCES_";
static const char tokens_prefix[] = "OFFBOARD_EDGE_TOKENS_";

const char *conf_path(const char *given)
{
    const char *variable = getenv(config_name);
    return given ? given : variable && *variable ? variable : NULL;
}

char *conf_variable(const char *key)
{
    char *name = mem_printf("%s%s", prefix, key);
    for (char *c = name; *c; c++) {
        *c = *c == '.' || *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    }
    return name;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, const char *with)
{
    size_t len = strlen(text), tail = strlen(with);
    return len > tail && strcmp(text + len - tail, with) == 0;
}

static int take_snapshot(struct conf *conf, struct err *err)
{
    for (char **variable = environ; variable && *variable; variable++) {
        const char *equals = strchr(*variable, '=');
        if (!equals || !begins(*variable, prefix)) {
            continue;
        }
        char *name = mem_strndup(*variable, (size_t)(equals - *variable));
        if (strcmp(name, config_name) == 0) {
            free(name);
            continue;
        }
        int failed = json_object_set_new(conf->environment, name, json_string(equals + 1));
        if (failed) {
            err_set(err, ERR_FATAL, "environment: %s is no UTF-8 text", name);
        }
        free(name);
        if (failed) {
            return -1;
        }
    }
    return 0;
}

/* Sets `key` from the variable `name`, or from the file that `name`_FILE names. */
static int read_variable(struct conf *conf, const char *name, const char *key, struct err *err)
{
    char *file = mem_printf("%s_FILE", name);
    const json_t *value = json_object_get(conf->environment, name);
    const char *path = json_string_value(json_object_get(conf->environment, file));
    int result = 0;
    if (value) {
        result = conf_set(conf, name, key, value, err);
    } else if (path && conf->process) {
        json_object_set_new(conf->files, key, json_pack("[s, s]", file, path));
    } else if (path) {
        result = conf_set_from_file(conf, file, key, path, err);
    }
    free(file);
    return result;
}

static int read_options(struct conf *conf, struct err *err)
{
    int result = 0;
    for (size_t i = 0; i < conf_table_size && result == 0; i++) {
        char *name = conf_variable(conf_table[i].key);
        result = read_variable(conf, name, conf_table[i].key, err);
        free(name);
    }
    return result;
}

/* ---- systems and sources ----------------------------------------------------------------------------------------------------- */

/* Which setting of which system or source a variable means can't be told from its name ("-" and "." become "_"): it is kept by name. */
static int read_settings(struct conf *conf, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(conf->environment, name, value)
    {
        if (!begins(name, systems_prefix) && !begins(name, sources_prefix)) {
            continue;
        }
        if (!ends(name, "_FILE") || ends(name, "_CA_FILE")) {
            json_object_set(conf->variables, name, value);
            continue;
        }
        if (!conf_owns_variable(conf, name)) {
            continue;
        }
        char *base = mem_strndup(name, strlen(name) - strlen("_FILE"));
        conf_check_readers(conf, json_string_value(value));
        char *text =
            json_object_get(conf->environment, base) ? NULL : conf_file_text(name, json_string_value(value), err);
        bool failed = !text && !json_object_get(conf->environment, base);
        if (text) {
            json_object_set_new(conf->variables, base, json_string(text));
            secret_wipe(text);
        }
        free(text);
        free(base);
        if (failed) {
            return -1;
        }
    }
    return 0;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------------ */

struct token_search {
    const char *variable;
    const char *member;
    char *key;
};

static void match_token_name(const char *name, void *arg)
{
    struct token_search *search = arg;
    char *key = mem_printf("edge.tokens.%s.%s", name, search->member);
    char *variable = conf_variable(key);
    if (!search->key && strcmp(variable, search->variable) == 0) {
        search->key = mem_strdup(key);
    }
    free(variable);
    free(key);
}

/* The key that OFFBOARD_EDGE_TOKENS_HR_BOT_TOKEN means: a name the file has (hr-bot), else the variable's in lower case
 * (hr_bot). The caller frees. */
static char *token_key(const struct conf *conf, const char *variable, const char *member)
{
    struct token_search search = {variable, member, NULL};
    conf_each_name(conf, "edge.tokens", match_token_name, &search);
    if (search.key) {
        return search.key;
    }
    const char *from = variable + strlen(tokens_prefix);
    char *name = mem_strndup(from, strlen(from) - strlen(member) - 1);
    for (char *c = name; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    char *key = mem_printf("edge.tokens.%s.%s", name, member);
    free(name);
    return key;
}

static int read_token(struct conf *conf, const char *name, struct err *err)
{
    bool file = ends(name, "_FILE");
    char *base = mem_strndup(name, strlen(name) - (file ? strlen("_FILE") : 0));
    const char *member = ends(base, "_TOKEN") ? "token" : ends(base, "_ROLES") ? "roles" : NULL;
    int result = -1;
    if (!member || strlen(base) <= strlen(tokens_prefix) + strlen(member) + 1) {
        err_set(err, ERR_FATAL, "environment: %s is no option; it must be %s<NAME>_TOKEN or _ROLES", name,
                tokens_prefix);
    } else {
        char *key = token_key(conf, base, member);
        result = read_variable(conf, base, key, err);
        free(key);
    }
    free(base);
    return result;
}

static int read_tokens(struct conf *conf, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(conf->environment, name, value)
    {
        if (begins(name, tokens_prefix) && read_token(conf, name, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- unknown ones ------------------------------------------------------------------------------------------------------ */

/* What Kubernetes adds for a Service named "offboard-…" (OFFBOARD_EDGE_SERVICE_HOST, OFFBOARD_EDGE_PORT_8080_TCP_ADDR, …). */
static bool is_service_link(const char *name, const char *value)
{
    const char *port = strstr(name, "_PORT");
    return strstr(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT") ||
           (port && (begins(value, "tcp://") || begins(value, "udp://") ||
                     (port[5] == '_' && isdigit((unsigned char)port[6]))));
}

static bool is_option(const char *name)
{
    bool known = begins(name, systems_prefix) || begins(name, sources_prefix) || begins(name, tokens_prefix);
    for (size_t i = 0; i < conf_table_size && !known; i++) {
        char *plain = conf_variable(conf_table[i].key);
        char *file = mem_printf("%s_FILE", plain);
        known = strcmp(name, plain) == 0 || strcmp(name, file) == 0;
        free(plain);
        free(file);
    }
    return known;
}

static int refuse_unknown(struct conf *conf, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(conf->environment, name, value)
    {
        if (!is_option(name) && !is_service_link(name, json_string_value(value))) {
            return err_set(err, ERR_FATAL, "environment: %s is no option (CONFIGURATION.md lists them)", name);
        }
    }
    return 0;
}

int conf_read_environment(struct conf *conf, struct err *err)
{
    bool failed = take_snapshot(conf, err) != 0 || read_options(conf, err) != 0 || read_tokens(conf, err) != 0 ||
                  conf_read_own_files(conf, err) != 0 || read_settings(conf, err) != 0 ||
                  refuse_unknown(conf, err) != 0;
    return failed ? -1 : 0;
}

/* ---- clearing ---------------------------------------------------------------------------------------------------------- */

/* What libraries need to find their way (proxies, certificates, Kerberos) and what sanitizers need; none of it is a secret of ours. */
static bool is_kept(const char *variable)
{
    static const char *const names[] = {
        "PATH",          "LANG",        "TZ",          "ASAN_OPTIONS", "LSAN_OPTIONS",
        "UBSAN_OPTIONS", "http_proxy",  "https_proxy", "HTTPS_PROXY",  "all_proxy",
        "ALL_PROXY",     "no_proxy",    "NO_PROXY",    "SSL_CERT_DIR", "SSL_CERT_FILE",
        "OPENSSL_CONF",  "KRB5_CONFIG", "KRB5CCNAME",  "KRB5_KTNAME",  "KRB5_CLIENT_KTNAME"};
    size_t len = strcspn(variable, "=");
    bool kept = begins(variable, "LDAPTLS_");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        kept = kept || (strlen(names[i]) == len && strncmp(variable, names[i], len) == 0);
    }
    return kept;
}

/* HOME points nowhere, so that libjq finds no ~/.jq. */
void conf_clear_environment(void)
{
    char **kept = NULL;
    size_t count = 0;
    for (char **variable = environ; variable && *variable; variable++) {
        if (is_kept(*variable)) {
            kept = mem_realloc(kept, (count + 1) * sizeof *kept);
            kept[count++] = mem_strdup(*variable);
        }
    }
    clearenv();
    for (size_t i = 0; i < count; i++) {
        char *equals = strchr(kept[i], '=');
        if (equals) {
            *equals = '\0';
            setenv(kept[i], equals + 1, 1);
        }
        free(kept[i]);
    }
    free(kept);
    setenv("HOME", "/nonexistent", 1);
}

void conf_restore_environment(const struct conf *conf)
{
    const char *name;
    json_t *value;
    json_object_foreach(conf->environment, name, value)
    {
        setenv(name, json_string_value(value), 1);
    }
}

char **conf_environment(const struct conf *conf, const char *path)
{
    size_t count = 0, more = json_object_size(conf->environment) + 3;
    while (environ && environ[count]) {
        count++;
    }
    char **list = mem_alloc((count + more) * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i] = mem_strdup(environ[i]);
    }
    const char *name;
    json_t *value;
    json_object_foreach(conf->environment, name, value)
    {
        list[count++] = mem_printf("%s=%s", name, json_string_value(value));
    }
    if (path) {
        list[count] = mem_printf("%s=%s", config_name, path);
    }
    return list;
}
