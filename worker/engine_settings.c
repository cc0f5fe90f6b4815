/* What the configuration says of a system: its settings, the limits and durations that are made of them. Everything that
 * must be a number or a duration is read once, at start: a limit mistyped would be no limit at all. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/secret.h"
#include "lib/settings_check.h"
#include "lib/time.h"
#include "worker/credentials.h"
#include "worker/engine_internal.h"

enum { DERIVE_KEY_MIN = 32 };

#define NUMBER_MAX 1e9

/* ---- settings ---------------------------------------------------------------------------------------------------- */

/* Configuration checks these two where the file gives them; a variable is known to be one of them only here. */
static int check_common(struct system *system, const struct conf *conf, struct err *err)
{
    const char *name = system->connector->name;
    const char *mode = conf_system_setting(conf, name, "mode");
    const char *expires = conf_system_setting(conf, name, "expires");
    if (mode && strcmp(mode, "live") != 0 && strcmp(mode, "dry_run") != 0) {
        return err_set(err, ERR_FATAL, "systems.%s.mode must be live or dry_run, not \"%s\"", name, mode);
    }
    struct err why = ERR_INIT;
    if (expires && time_parse_effective(expires, NULL, &system->expires, &why) != 0) {
        err_set(err, ERR_FATAL, "systems.%s.expires: %s", name, err_text(&why));
        err_release(&why);
        return -1;
    }
    return 0;
}

static int load_settings(struct system *system, const struct conf *conf, struct err *err)
{
    const char *name = system->connector->name;
    const char *setting;
    json_t *declared;
    system->settings = json_object();
    json_object_foreach(json_object_get(system->connector->tree, "settings"), setting, declared)
    {
        const char *value = conf_system_setting(conf, name, setting);
        if (json_true_at(declared, "secret")) {
            conf_system_secret(conf, name, setting);
        }
        if (value) {
            json_object_set_new(system->settings, setting, json_string(value));
        } else if (json_object_get(declared, "default")) {
            json_object_set(system->settings, setting, json_object_get(declared, "default"));
        } else if (json_true_at(declared, "required")) {
            return err_set(err, ERR_FATAL, "systems.%s.%s is not set, and %s needs it", name, setting,
                           system->connector->file);
        } else {
            json_object_set_new(system->settings, setting, json_null());
        }
    }
    json_put_string(system->settings, "ca_file", conf_system_setting(conf, name, "ca_file"));
    return check_common(system, conf, err);
}

/* ---- what is made of them ---------------------------------------------------------------------------------------- */

struct origin {
    const struct system *system;
    struct buf text;
    bool other; /* it reads more than settings */
};

static void note_setting(const struct expr_path *path, void *arg)
{
    struct origin *origin = arg;
    const char *name = expr_path_within(path, "settings") ? expr_path_name(path, 1) : NULL;
    if (name) {
        buf_addf(&origin->text, "%ssystems.%s.%s", origin->text.len ? ", " : "", origin->system->connector->name, name);
    } else {
        origin->other = true;
    }
}

char *settings_named(const struct system *system, const char *tmpl)
{
    struct origin origin = {system, BUF_INIT, false};
    expr_paths(tmpl, note_setting, &origin);
    return origin.text.len ? buf_take(&origin.text) : NULL;
}

static bool reads_settings_only(const struct system *system, const char *tmpl)
{
    struct origin origin = {system, BUF_INIT, false};
    expr_paths(tmpl, note_setting, &origin);
    bool only = origin.text.len && !origin.other;
    buf_release(&origin.text);
    return only;
}

/* ERR_FATAL: "systems.scim.per_minute: limits.default.per_minute is "abc", and must be a whole number above 0". */
static int refuse(const struct system *system, const char *tmpl, const char *place, const char *value,
                  const char *wanted, struct err *err)
{
    char *setting = tmpl ? settings_named(system, tmpl) : NULL;
    err_set(err, ERR_FATAL, "%s: %s is %s, and must be %s", setting ? setting : system->connector->file, place, value,
            wanted);
    free(setting);
    return -1;
}

/* The value of a template over `.settings`; NULL with an err that names the setting. */
static json_t *render(const struct system *system, const json_t *tmpl, const char *place, struct err *err)
{
    struct err why = ERR_INIT;
    json_t *context = json_pack("{s:O}", "settings", system->settings);
    json_t *value = expr_render(system->engine->exprs, tmpl, context, &why);
    if (!value) {
        char *setting = settings_named(system, json_string_value(tmpl));
        err_set(err, ERR_FATAL, "%s: %s has no value: %s", setting ? setting : system->connector->file, place,
                err_text(&why));
        free(setting);
    }
    err_release(&why);
    json_decref(context);
    return value;
}

/* Digits, with a fraction where it need not be whole; nothing else. -1: it is none above 0. */
static double number_of(const json_t *value, bool whole)
{
    const char *text = json_string_value(value);
    double number = json_is_number(value) ? json_number_value(value) : -1;
    if (text) {
        size_t digits = strspn(text, "0123456789");
        size_t fraction = text[digits] == '.' ? strspn(text + digits + 1, "0123456789") : 0;
        size_t end = fraction ? digits + 1 + fraction : digits;
        number = digits && !text[end] ? strtod(text, NULL) : -1;
    }
    bool fits = number > 0 && number <= NUMBER_MAX && (!whole || number == (double)(int)number);
    return fits ? number : -1;
}

/* The number under `key` of `declared`, which stands at `owner`. `*number` is 0 when there is none, or its setting is not set. */
static int read_number(const struct system *system, const char *owner, const json_t *declared, const char *key,
                       bool whole, double *number, struct err *err)
{
    const json_t *tmpl = json_object_get(declared, key);
    char *place = mem_printf("%s.%s", owner, key);
    json_t *value = tmpl ? render(system, tmpl, place, err) : json_null();
    int result = value ? 0 : -1;
    *number = 0;
    if (value && !json_is_null(value)) {
        *number = number_of(value, whole);
        if (*number < 0) {
            char *text = json_text(value);
            result = refuse(system, json_string_value(tmpl), place, text,
                            whole ? "a whole number above 0" : "a number above 0", err);
            free(text);
        }
    }
    json_decref(value);
    free(place);
    return result;
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static int load_limit(const struct system *system, const char *owner, const json_t *declared, struct limit *limit,
                      struct err *err)
{
    double per_second, per_minute, per_day, in_flight;
    if (read_number(system, owner, declared, "per_second", false, &per_second, err) != 0 ||
        read_number(system, owner, declared, "per_minute", false, &per_minute, err) != 0 ||
        read_number(system, owner, declared, "per_day", true, &per_day, err) != 0 ||
        read_number(system, owner, declared, "in_flight", true, &in_flight, err) != 0) {
        return -1;
    }
    limit_init(limit, per_second + per_minute / 60, (int)in_flight);
    limit->per_day = per_day;
    return 0;
}

static int load_limits(struct system *system, struct err *err)
{
    const char *name;
    json_t *declared;
    int result = 0;
    json_object_foreach(json_object_get(system->connector->tree, "limits"), name, declared)
    {
        system->limits = mem_realloc(system->limits, (system->limit_count + 1) * sizeof *system->limits);
        struct named_limit *limit = &system->limits[system->limit_count++];
        *limit = (struct named_limit){.name = mem_strdup(name)};
        char *owner = mem_printf("limits.%s", name);
        result = result == 0 ? load_limit(system, owner, declared, &limit->limit, err) : -1;
        free(owner);
    }
    return result;
}

/* ---- durations --------------------------------------------------------------------------------------------------- */

/* A template that reads more than settings has its value only in a job, which then says what is wrong. */
static int read_duration(const struct system *system, const json_t *tmpl, const char *place, int64_t *duration,
                         struct err *err)
{
    const char *text = json_string_value(tmpl);
    if (!text || (expr_has(text) && !reads_settings_only(system, text))) {
        return 0;
    }
    json_t *value = render(system, tmpl, place, err);
    if (!value) {
        return -1;
    }
    int result = 0;
    if (!json_is_string(value) || time_parse_duration(json_string_value(value), duration, NULL) != 0) {
        char *said = json_text(value);
        result = refuse(system, text, place, said, "a duration such as 30s, 10m or 1d12h", err);
        free(said);
    }
    json_decref(value);
    return result;
}

static int check_settle(const struct system *system, const char *action, const json_t *declared, struct err *err)
{
    const json_t *tmpl = json_object_get(declared, "settle");
    int64_t settle = 0;
    char *place = mem_printf("actions.%s.settle", action);
    int result = read_duration(system, tmpl, place, &settle, err);
    if (result == 0 && settle > conf_duration(system->engine->conf, "worker.memory")) {
        char *wanted = mem_printf("at most %s (worker.memory): so long workers remember what ran",
                                  conf_string(system->engine->conf, "worker.memory"));
        char *said = mem_printf("%lld s", (long long)(settle / TIME_SECOND));
        result = refuse(system, json_string_value(tmpl), place, said, wanted, err);
        free(said);
        free(wanted);
    }
    free(place);
    return result;
}

static int check_number(const struct system *system, const char *owner, const json_t *declared, const char *key,
                        struct err *err)
{
    const char *tmpl = json_string_at(declared, key);
    double ignored;
    return tmpl && reads_settings_only(system, tmpl) ? read_number(system, owner, declared, key, true, &ignored, err)
                                                     : 0;
}

/* What is no number would mean one at a time, and one in a call, unnoticed. */
static int check_items(const struct system *system, const char *action, const json_t *declared, struct err *err)
{
    size_t i;
    json_t *request;
    int result = 0;
    json_array_foreach(json_object_get(declared, "requests"), i, request)
    {
        char *owner = mem_printf("actions.%s.requests.%zu", action, i);
        char *batch = mem_printf("%s.batch", owner);
        result = result == 0 ? check_number(system, owner, request, "parallel", err) : -1;
        result = result == 0 ? check_number(system, batch, json_object_get(request, "batch"), "size", err) : -1;
        free(batch);
        free(owner);
    }
    return result;
}

static int check_waits(const struct system *system, const char *action, const json_t *declared, struct err *err)
{
    static const char *const paths[] = {"wait.for", "wait.meanwhile.every"};
    size_t i;
    json_t *request;
    int result = 0;
    json_array_foreach(json_object_get(declared, "requests"), i, request)
    {
        for (size_t path = 0; path < COUNT_OF(paths) && result == 0; path++) {
            char *place = mem_printf("actions.%s.requests.%zu.%s", action, i, paths[path]);
            int64_t ignored;
            result = read_duration(system, json_at(request, paths[path]), place, &ignored, err);
            free(place);
        }
    }
    return result;
}

/* A key that is short is soon guessed, and with it every passcode. */
static int check_derive_key(const struct system *system, struct err *err)
{
    const char *key = conf_string(system->engine->conf, "worker.derive_key");
    if (!key) {
        return err_set(err, ERR_FATAL, "worker.derive_key is missing: actions of system \"%s\" derive values from it",
                       system->connector->name);
    }
    return strlen(key) >= DERIVE_KEY_MIN
               ? 0
               : err_set(err, ERR_FATAL, "worker.derive_key has %zu characters, and must have at least %d", strlen(key),
                         DERIVE_KEY_MIN);
}

static int check_actions(const struct system *system, struct err *err)
{
    const char *name;
    json_t *action;
    json_object_foreach(json_object_get(system->connector->tree, "actions"), name, action)
    {
        if ((json_object_get(action, "derive") && check_derive_key(system, err) != 0) ||
            check_settle(system, name, action, err) != 0 || check_waits(system, name, action, err) != 0 ||
            check_items(system, name, action, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

/* "…; is systems.okta.url right?" A certificate may be one that the system's own authority has signed. */
static char *asking(const struct system *system, const char *error, const char *settings)
{
    bool certificate = strstr(error, "certificate") != NULL;
    if (!settings) {
        return mem_printf("%s; is the address in %s right?", error, system->connector->file);
    }
    if (certificate) {
        return mem_printf("%s; are %s and systems.%s.ca_file right?", error, settings, system->connector->name);
    }
    return mem_printf("%s; %s %s right?", error, strchr(settings, ',') ? "are" : "is", settings);
}

/* `tmpl` is what the address is made of; NULL: nothing that is configured. */
static char *asking_of(const struct run *run, const char *tmpl, const char *error)
{
    char *settings = tmpl ? settings_named(run->system, tmpl) : NULL;
    char *masked = run_mask(run, error);
    char *asked = asking(run->system, masked, settings);
    free(masked);
    free(settings);
    return asked;
}

char *address_error(const struct run *run, const json_t *request, const char *error)
{
    const json_t *path;
    request_method(request, &path);
    const char *text = json_string_value(path) ? json_string_value(path) : "";
    const char *own = json_string_at(request, "base");
    const char *base = own ? own : json_string_at(run->system->connector->tree, "base");
    bool whole = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
    return asking_of(run, whole ? text : base ? base : "${ .settings.url }", error);
}

char *token_address_error(const struct run *run, const char *error)
{
    return asking_of(run, json_string_at(run->system->credentials->declared, "url"), error);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

int settings_load(struct system *system, struct err *err)
{
    const struct engine *engine = system->engine;
    if (settings_check(engine->definitions, engine->conf, DEFINITION_CONNECTOR, system->connector->name, err) != 0 ||
        load_settings(system, engine->conf, err) != 0 || load_limits(system, err) != 0 ||
        check_actions(system, err) != 0) {
        return -1;
    }
    return 0;
}

int64_t engine_settle(struct engine *engine, const char *name, const char *action)
{
    struct system *system = engine_system(engine, name);
    const json_t *declared = json_object_get(json_object_get(system->connector->tree, "actions"), action);
    int64_t settle = 2 * TIME_MINUTE;
    int64_t most = conf_duration(engine->conf, "worker.memory");
    read_duration(system, json_object_get(declared, "settle"), "settle", &settle, NULL); /* checked at start */
    return settle < most ? settle : most;
}
