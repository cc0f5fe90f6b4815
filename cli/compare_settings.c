/* Options, systems and credentials of two configurations. */
#include <stdlib.h>
#include <string.h>

#include "cli/compare.h"
#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"

/* ---- options --------------------------------------------------------------------------------------------------------- */

/* An option's value as it would stand in the file; NULL when it has none. The caller frees. */
static char *value_of(const struct conf *conf, const struct conf_option *option)
{
    if (option->type != CONF_LIST) {
        return mem_strdup(conf_string(conf, option->key));
    }
    struct buf list = BUF_INIT;
    for (size_t i = 0; i < conf_list_size(conf, option->key); i++) {
        buf_addf(&list, "%s%s", i ? ", " : "", conf_list_item(conf, option->key, i));
    }
    return list.len ? buf_take(&list) : NULL;
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Is it unread there, because its file lies elsewhere? Then nothing can be said of it. */
static bool unread(struct comparison *comparison, const char *kind, const char *key)
{
    const char *why = conf_unread(comparison->there, key);
    if (why) {
        compare_add(comparison, COMPARE_NOTE, kind, key, NULL, NULL, why);
    }
    return why != NULL;
}

static void compare_secret(struct comparison *comparison, const char *kind, const char *key, const char *here,
                           const char *there)
{
    if (here && there && strcmp(here, there) == 0) {
        compare_add(comparison, COMPARE_WARNING, kind, key, NULL, NULL,
                    "the same secret here and there: who has one installation has the other");
    } else if (there && !*there) {
        compare_add(comparison, COMPARE_ERROR, kind, key, NULL, NULL, "it is empty there");
    } else if (here && !there) {
        compare_add(comparison, COMPARE_WARNING, kind, key, "set", NULL, NULL);
    } else if (there && !here) {
        compare_add(comparison, COMPARE_NOTE, kind, key, NULL, "set", NULL);
    }
}

/* Is it among the findings already, with more to say than that it differs? */
static bool told(const struct comparison *comparison, const char *key)
{
    size_t i;
    json_t *finding;
    json_array_foreach(comparison->findings, i, finding)
    {
        if (strcmp(json_string_at(finding, "what"), key) == 0) {
            return true;
        }
    }
    return false;
}

static void compare_option(struct comparison *comparison, const struct conf_option *option)
{
    if (unread(comparison, option->secret ? "credential" : "setting", option->key)) {
        return;
    }
    char *here = value_of(comparison->here, option);
    char *there = value_of(comparison->there, option);
    if (option->secret) {
        compare_secret(comparison, "credential", option->key, here, there);
    } else if (!same(here, there) && !told(comparison, option->key)) {
        compare_add(comparison, COMPARE_NOTE, "setting", option->key, here, there, NULL);
    }
    free(here);
    free(there);
}

/* ---- what production must not have ---------------------------------------------------------------------------------- */

static bool loopback(const char *address)
{
    return address && (strncmp(address, "127.", 4) == 0 || strncmp(address, "localhost", 9) == 0 ||
                       strncmp(address, "[::1]", 5) == 0);
}

static void judge(struct comparison *comparison, bool wrong, enum severity severity, const char *key, const char *why)
{
    if (wrong) {
        compare_add(comparison, severity, "setting", key, conf_string(comparison->here, key),
                    conf_string(comparison->there, key), why);
    }
}

static bool kafka_in_clear(const struct conf *conf)
{
    for (size_t i = 0; i < conf_list_size(conf, "kafka.properties"); i++) {
        const char *property = conf_list_item(conf, "kafka.properties", i);
        if (strncmp(property, "security.protocol", strlen("security.protocol")) == 0) {
            return strstr(property, "plaintext") || strstr(property, "PLAINTEXT");
        }
    }
    return !conf_unread(conf, "kafka.properties");
}

static void judge_options(struct comparison *comparison)
{
    const struct conf *there = comparison->there;
    judge(comparison, strcmp(conf_string(there, "clock.day"), "24h") != 0, COMPARE_ERROR, "clock.day",
          "days of another length are for demos and tests: 90 of them would be over too soon");
    judge(comparison, conf_int(there, "guards.cap_per_hour") == 0, COMPARE_WARNING, "guards.cap_per_hour",
          "without a cap a feed error ends everybody");
    judge(comparison, conf_int(there, "topics.replication") < 2, COMPARE_WARNING, "topics.replication",
          "a broker that is lost takes its partitions with it");
    judge(comparison, strcmp(conf_string(there, "log.level"), "debug") == 0, COMPARE_WARNING, "log.level",
          "meant for development");
    judge(comparison, loopback(conf_string(there, "edge.listen")), COMPARE_NOTE, "edge.listen",
          "nobody outside of the machine reaches it (the chart sets it)");
    if (conf_list_size(there, "guards.protected") == 0) {
        compare_add(comparison, COMPARE_WARNING, "setting", "guards.protected", NULL, NULL,
                    "nobody is protected there: name the accounts whose loss would lock you out");
    }
    if (kafka_in_clear(there)) {
        compare_add(comparison, COMPARE_WARNING, "setting", "kafka.properties", NULL, NULL,
                    "Kafka is spoken in clear there (no security.protocol)");
    }
}

void compare_options(struct comparison *comparison)
{
    size_t count;
    const struct conf_option *options = conf_options(&count);
    judge_options(comparison);
    for (size_t i = 0; i < count; i++) {
        compare_option(comparison, &options[i]);
    }
}

/* ---- systems --------------------------------------------------------------------------------------------------------- */

static void add_name(const char *name, void *arg)
{
    json_object_set_new(arg, name, json_true());
}

static json_t *names_in(const struct conf *conf)
{
    json_t *names = json_object();
    conf_each_name(conf, "systems", add_name, names);
    return names;
}

/* The first of our runbooks with a step in the system; NULL: none. */
static const char *runbook_with(const struct comparison *comparison, const char *system)
{
    for (size_t i = 0; i < definition_count(comparison->definitions, DEFINITION_RUNBOOK); i++) {
        const struct definition *runbook = definition_item(comparison->definitions, DEFINITION_RUNBOOK, i);
        size_t p, s;
        json_t *phase, *step;
        json_array_foreach(json_object_get(runbook->tree, "phases"), p, phase)
        {
            json_array_foreach(json_object_get(phase, "steps"), s, step)
            {
                const char *name = json_string_at(step, "system");
                if (name && strcmp(name, system) == 0) {
                    return runbook->name;
                }
            }
        }
    }
    return NULL;
}

static bool clear_text(const char *value)
{
    return value && (strncmp(value, "http://", 7) == 0 || strncmp(value, "ldap://", 7) == 0 ||
                     strncmp(value, "smtp://", 7) == 0);
}

static void compare_setting(struct comparison *comparison, const char *system, bool both, const char *name,
                            const json_t *declared)
{
    char *key = mem_printf("systems.%s.%s", system, name);
    const char *here = conf_system_setting(comparison->here, system, name);
    const char *there = conf_system_setting(comparison->there, system, name);
    bool secret = json_true_at(declared, "secret");
    const char *kind = secret ? "credential" : "setting";
    if (unread(comparison, kind, key)) {
        free(key);
        return;
    }
    if (json_true_at(declared, "required") && !there) {
        compare_add(comparison, COMPARE_ERROR, kind, key, here ? "set" : NULL, NULL, "the connector needs it");
    } else if (!both) {
        /* Only there: its values are its own. */
    } else if (secret) {
        compare_secret(comparison, kind, key, here, there);
    } else if (!same(here, there)) {
        compare_add(comparison, COMPARE_NOTE, kind, key, here, there, NULL);
    }
    if (!secret && clear_text(there)) {
        compare_add(comparison, COMPARE_WARNING, kind, key, NULL, there, "in clear text");
    }
    free(key);
}

static void compare_mode(struct comparison *comparison, const char *system)
{
    const char *mode = conf_system_setting(comparison->there, system, "mode");
    if (mode && strcmp(mode, "dry_run") == 0) {
        char *key = mem_printf("systems.%s.mode", system);
        const char *here = conf_system_setting(comparison->here, system, "mode");
        compare_add(comparison, COMPARE_ERROR, "setting", key, here ? here : "live", mode,
                    "nothing is taken away there");
        free(key);
    }
}

/* One that the target has; `both`: we have it, too. */
static void compare_system(struct comparison *comparison, const char *system, bool both)
{
    const struct definition *connector = definition_find(comparison->definitions, DEFINITION_CONNECTOR, system);
    const char *name;
    json_t *declared;
    json_object_foreach(connector ? json_object_get(connector->tree, "settings") : NULL, name, declared)
    {
        compare_setting(comparison, system, both, name, declared);
    }
    compare_mode(comparison, system);
}

static bool declares(const struct definition *connector, const char *word)
{
    const char *name;
    json_t *action;
    json_object_foreach(connector ? json_object_get(connector->tree, "actions") : NULL, name, action)
    {
        if (json_object_get(action, word)) {
            return true;
        }
    }
    return false;
}

/* Keys of the whole installation that some system can't do without. */
static void compare_keys(struct comparison *comparison, const char *system)
{
    static const struct {
        const char *word;
        const char *option;
        const char *why;
    } keys[] = {{"derive", "worker.derive_key", "it derives values from it, and its worker doesn't start without"},
                {"escrow", "worker.escrow_key", "its actions that keep a secret are blocked without"}};
    const struct definition *connector = definition_find(comparison->definitions, DEFINITION_CONNECTOR, system);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (declares(connector, keys[i].word) && !conf_string(comparison->there, keys[i].option) &&
            !conf_unread(comparison->there, keys[i].option)) {
            char *what = mem_printf("%s, for %s", keys[i].option, system);
            compare_add(comparison, COMPARE_ERROR, "credential", what, NULL, NULL, keys[i].why);
            free(what);
        }
    }
}

void compare_systems(struct comparison *comparison)
{
    json_t *here = names_in(comparison->here);
    json_t *there = names_in(comparison->there);
    const char *name;
    json_t *ignored;
    json_object_foreach(here, name, ignored)
    {
        if (json_object_get(there, name)) {
            continue;
        }
        const char *runbook = runbook_with(comparison, name);
        char *why = runbook ? mem_printf("the runbook %s has steps in it", runbook) : NULL;
        compare_add(comparison, runbook ? COMPARE_ERROR : COMPARE_WARNING, "system", name, "configured", NULL, why);
        free(why);
    }
    json_object_foreach(there, name, ignored)
    {
        bool both = json_object_get(here, name) != NULL;
        if (!both) {
            compare_add(comparison, COMPARE_NOTE, "system", name, NULL, "configured", NULL);
        }
        compare_system(comparison, name, both);
        compare_keys(comparison, name);
    }
    json_decref(here);
    json_decref(there);
}
