/* What is checked of a connector: the vocabulary in which a vendor's calls are described. Words whose execution is not there
 * yet are known, and refused. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/definition_check.h"
#include "lib/json.h"
#include "lib/mem.h"

static const struct check_key connector_keys[] = {
    {"system", CHECK_TEXT, true, false},       {"description", CHECK_TEXT, false, false},
    {"settings", CHECK_MAP, false, false},     {"base", CHECK_TEMPLATE, false, false},
    {"headers", CHECK_MAP, false, false},      {"auth", CHECK_MAP, false, false},
    {"limits", CHECK_MAP, false, false},       {"retry_after", CHECK_MAP, false, false},
    {"check", CHECK_MAP, false, false},        {"identify", CHECK_MAP, false, false},
    {"actions", CHECK_MAP, true, false},       {"defs", CHECK_MAP, false, true},
};

static const struct check_key setting_keys[] = {
    {"required", CHECK_BOOL, false, false}, {"secret", CHECK_BOOL, false, false},
    {"default", CHECK_ANY, false, false},   {"help", CHECK_TEXT, false, false},
};

static const struct check_key limit_keys[] = {
    {"per_minute", CHECK_COUNT, false, false},
    {"per_second", CHECK_COUNT, false, false},
    {"in_flight", CHECK_COUNT, false, false},
};

static const struct check_key retry_after_keys[] = {
    {"seconds", CHECK_PREDICATE, false, false},
    {"epoch", CHECK_PREDICATE, false, false},
    {"date", CHECK_PREDICATE, false, false},
};

static const struct check_key auth_keys[] = {
    {"header", CHECK_MAP, false, false},  {"basic", CHECK_MAP, false, false},
    {"oauth", CHECK_MAP, false, true},    {"google", CHECK_MAP, false, true},
    {"zoom", CHECK_MAP, false, true},     {"client_credentials", CHECK_MAP, false, true},
};

static const struct check_key basic_keys[] = {
    {"user", CHECK_TEMPLATE, true, false},
    {"password", CHECK_TEMPLATE, true, false},
};

static const struct check_key identify_keys[] = {
    {"keys", CHECK_LIST, false, false},
    {"requests", CHECK_LIST, true, false},
    {"confirm", CHECK_LIST, false, false},
};

static const struct check_key action_keys[] = {
    {"effect", CHECK_TEXT, true, false},     {"description", CHECK_TEXT, false, false},
    {"with", CHECK_MAP, false, false},       {"requests", CHECK_LIST, true, false},
    {"verify", CHECK_MAP, false, false},     {"undo", CHECK_TEXT, false, false},
    {"outputs", CHECK_MAP, false, false},    {"once", CHECK_BOOL, false, false},
    {"settle", CHECK_DURATION, false, false}, {"target", CHECK_TEMPLATE, false, false},
    {"limit", CHECK_TEXT, false, false},     {"accounts", CHECK_TEXT, false, false},
    {"before", CHECK_ANY, false, true},      {"derive", CHECK_MAP, false, true},
    {"provides", CHECK_LIST, false, true},
};

static const struct check_key parameter_keys[] = {
    {"required", CHECK_BOOL, false, false},
    {"default", CHECK_ANY, false, false},
    {"help", CHECK_TEXT, false, false},
};

#define METHOD_KEYS                                                                                                       \
    {"get", CHECK_TEMPLATE, false, false}, {"post", CHECK_TEMPLATE, false, false}, {"put", CHECK_TEMPLATE, false, false}, \
        {"patch", CHECK_TEMPLATE, false, false}, {"delete", CHECK_TEMPLATE, false, false},                                \
        {"head", CHECK_TEMPLATE, false, false}

#define REQUEST_KEYS                                                                                                \
    METHOD_KEYS, {"query", CHECK_MAP, false, false}, {"headers", CHECK_MAP, false, false},                          \
        {"json", CHECK_ANY, false, false}, {"form", CHECK_MAP, false, false}, {"if", CHECK_PREDICATE, false, false}, \
        {"success", CHECK_PREDICATE, false, false}, {"already", CHECK_PREDICATE, false, false},                     \
        {"missing", CHECK_PREDICATE, false, false}, {"blocked", CHECK_PREDICATE, false, false},                     \
        {"denied", CHECK_PREDICATE, false, false}, {"retry", CHECK_PREDICATE, false, false},                        \
        {"save", CHECK_MAP, false, false}, {"for_each", CHECK_TEMPLATE, false, false},                              \
        {"parallel", CHECK_COUNT, false, false}, {"pages", CHECK_MAP, false, false},                                  \
        {"changes", CHECK_BOOL, false, false}, {"limit", CHECK_TEXT, false, false},                                 \
        {"timeout", CHECK_DURATION, false, false}, {"require", CHECK_ANY, false, true},                             \
        {"poll", CHECK_MAP, false, true}, {"as", CHECK_MAP, false, true}, {"ldap", CHECK_MAP, false, true}

static const struct check_key request_keys[] = {REQUEST_KEYS, {"find", CHECK_MAP, false, false}};
static const struct check_key find_keys[] = {REQUEST_KEYS, {"expect", CHECK_PREDICATE, true, false}};
static const struct check_key verify_keys[] = {REQUEST_KEYS,
                                               {"expect", CHECK_PREDICATE, true, false},
                                               {"within", CHECK_DURATION, false, false},
                                               {"every", CHECK_DURATION, false, false}};
static const struct check_key pages_keys[] = {
    {"next", CHECK_TEMPLATE, false, false}, /* URL or path of the next page, null: the last */
    {"query", CHECK_MAP, false, false},     /* parameters of the next page */
    {"json", CHECK_MAP, false, false},      /* members of the next page's body */
    {"more", CHECK_PREDICATE, false, false},
};

static const char *const methods[] = {"get", "post", "put", "patch", "delete", "head"};
static const char *const effects[] = {"identify", "revoke", "handover", "destroy", "notify"};
static const char *const key_kinds[] = {"employee_id", "email"};

static bool listed(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (name && strcmp(list[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Calls `each` for every member of a map, with its pointer. */
static void each_member(struct check *check, const char *pointer, const json_t *map,
                        void (*each)(struct check *, const char *, const char *, const json_t *))
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, name, value) {
        char *at = mem_printf("%s/%s", pointer, name);
        each(check, at, name, value);
        free(at);
    }
}

/* ---- requests ------------------------------------------------------------------------------------------------------------ */

static void check_limit(struct check *check, const char *pointer, const json_t *owner)
{
    const char *limit = json_string_at(owner, "limit");
    const json_t *limits = json_object_get(check->definition->tree, "limits");
    if (limit && !json_object_get(limits, limit)) {
        char *hint = check_hint_keys(limit, limits);
        check_problem(check, pointer, "there is no limit \"%s\"%s", limit, hint);
        free(hint);
    }
}

static void check_pages(struct check *check, const char *pointer, const json_t *pages)
{
    char *at = mem_printf("%s/pages", pointer);
    if (json_is_object(pages) && check_map(check, at, pages, pages_keys, COUNT_OF(pages_keys))) {
        check_expressions(check, at, pages);
        bool next = json_object_get(pages, "next") != NULL;
        bool parts = json_object_get(pages, "query") || json_object_get(pages, "json");
        if (next == parts) {
            check_problem(check, at, "`pages` needs either `next`, or `query` or `json` with `more`");
        } else if (parts && !json_object_get(pages, "more")) {
            check_problem(check, at, "`pages` with `query` or `json` needs `more`: when is there another page?");
        }
    }
    free(at);
}

/* What verify, find, check and a plain request have in common. */
static void check_request_as(struct check *check, const char *pointer, const json_t *request, const struct check_key *keys,
                             size_t count)
{
    if (!check_map(check, pointer, request, keys, count)) {
        return;
    }
    size_t given = 0;
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        given += json_object_get(request, methods[i]) != NULL;
    }
    if (given != 1) {
        check_problem(check, pointer, "a request has exactly one of get, post, put, patch, delete and head");
    }
    if (json_object_get(request, "json") && json_object_get(request, "form")) {
        check_problem(check, pointer, "a request has `json` or `form`, not both");
    }
    static const char *const rendered[] = {"query", "headers", "json", "form", "save"};
    for (size_t i = 0; i < COUNT_OF(rendered); i++) {
        char *at = mem_printf("%s/%s", pointer, rendered[i]);
        check_expressions(check, at, json_object_get(request, rendered[i]));
        free(at);
    }
    check_pages(check, pointer, json_object_get(request, "pages"));
    check_limit(check, pointer, request);
}

static void check_request(struct check *check, const char *pointer, const json_t *request)
{
    check_request_as(check, pointer, request, request_keys, COUNT_OF(request_keys));
    const json_t *find = json_object_get(request, "find");
    if (find) {
        char *at = mem_printf("%s/find", pointer);
        check_request_as(check, at, find, find_keys, COUNT_OF(find_keys));
        free(at);
    }
}

static void check_requests(struct check *check, const char *pointer, const json_t *requests)
{
    size_t i;
    json_t *request;
    json_array_foreach(requests, i, request) {
        char *at = mem_printf("%s/%zu", pointer, i);
        check_request(check, at, request);
        free(at);
    }
}

/* ---- actions --------------------------------------------------------------------------------------------------------------- */

static void check_parameter(struct check *check, const char *pointer, const char *name, const json_t *parameter)
{
    (void)name;
    if (check_map(check, pointer, parameter, parameter_keys, COUNT_OF(parameter_keys))) {
        check_expressions(check, pointer, json_object_get(parameter, "default"));
    }
}

static void check_once(struct check *check, const char *pointer, const json_t *action)
{
    size_t i;
    json_t *request;
    bool finds = false;
    json_array_foreach(json_object_get(action, "requests"), i, request) {
        finds = finds || json_object_get(request, "find");
    }
    if (json_true_at(action, "once") && !finds) {
        check_problem(check, pointer, "a `once` action needs a request with `find`: how is an earlier call recognised?");
    }
    if (!json_true_at(action, "once") && finds) {
        check_problem(check, pointer, "`find` belongs to an action marked `once: true`");
    }
}

static void check_one_action(struct check *check, const char *pointer, const char *name, const json_t *action)
{
    (void)name;
    if (!check_map(check, pointer, action, action_keys, COUNT_OF(action_keys))) {
        return;
    }
    const char *effect = json_string_at(action, "effect");
    if (effect && !listed(effects, COUNT_OF(effects), effect)) {
        char *hint = check_hint(effect, effects, COUNT_OF(effects));
        check_problem(check, pointer, "`effect` must be identify, revoke, handover, destroy or notify%s", hint);
        free(hint);
    }
    const char *accounts = json_string_at(action, "accounts");
    if (accounts && strcmp(accounts, "all") != 0 && strcmp(accounts, "none") != 0) {
        check_problem(check, pointer, "`accounts` must be all or none");
    }
    const char *undo = json_string_at(action, "undo");
    const json_t *actions = json_object_get(check->definition->tree, "actions");
    if (undo && !json_object_get(actions, undo)) {
        char *hint = check_hint_keys(undo, actions);
        check_problem(check, pointer, "`undo`: there is no action \"%s\"%s", undo, hint);
        free(hint);
    }
    char *at = mem_printf("%s/with", pointer);
    each_member(check, at, json_object_get(action, "with"), check_parameter);
    free(at);
    at = mem_printf("%s/requests", pointer);
    check_requests(check, at, json_object_get(action, "requests"));
    free(at);
    const json_t *verify = json_object_get(action, "verify");
    if (json_is_object(verify)) {
        at = mem_printf("%s/verify", pointer);
        check_request_as(check, at, verify, verify_keys, COUNT_OF(verify_keys));
        free(at);
    }
    at = mem_printf("%s/outputs", pointer);
    check_expressions(check, at, json_object_get(action, "outputs"));
    free(at);
    check_once(check, pointer, action);
    check_limit(check, pointer, action);
}

/* ---- the rest --------------------------------------------------------------------------------------------------------------- */

static void check_setting(struct check *check, const char *pointer, const char *name, const json_t *setting)
{
    (void)name;
    check_map(check, pointer, setting, setting_keys, COUNT_OF(setting_keys));
}

static void check_one_limit(struct check *check, const char *pointer, const char *name, const json_t *limit)
{
    (void)name;
    check_map(check, pointer, limit, limit_keys, COUNT_OF(limit_keys));
}

static void check_auth(struct check *check, const json_t *auth)
{
    if (!json_is_object(auth) || !check_map(check, "/auth", auth, auth_keys, COUNT_OF(auth_keys))) {
        return;
    }
    check_expressions(check, "/auth/header", json_object_get(auth, "header"));
    const json_t *basic = json_object_get(auth, "basic");
    if (basic) {
        check_map(check, "/auth/basic", basic, basic_keys, COUNT_OF(basic_keys));
    }
}

static void check_identify(struct check *check, const json_t *identify)
{
    if (!json_is_object(identify) || !check_map(check, "/identify", identify, identify_keys, COUNT_OF(identify_keys))) {
        return;
    }
    size_t i;
    json_t *key;
    json_array_foreach(json_object_get(identify, "keys"), i, key) {
        if (!listed(key_kinds, COUNT_OF(key_kinds), json_string_value(key))) {
            check_problem(check, "/identify/keys", "`keys` may hold employee_id and email");
        }
    }
    check_requests(check, "/identify/requests", json_object_get(identify, "requests"));
    check_requests(check, "/identify/confirm", json_object_get(identify, "confirm"));
    bool saves = false;
    json_t *request;
    json_array_foreach(json_object_get(identify, "requests"), i, request) {
        saves = saves || json_at(request, "save.id");
    }
    if (!saves) {
        check_problem(check, "/identify", "no request saves `id`: which accounts were found?");
    }
}

/* `.settings.x` of a setting that is not declared is a typing error. */
struct settings_reading {
    struct check *check;
    const json_t *settings;
};

static void read_setting(const char *path, void *arg)
{
    struct settings_reading *reading = arg;
    if (strncmp(path, "settings.", 9) != 0) {
        return;
    }
    char *name = mem_strndup(path + 9, strcspn(path + 9, "."));
    if (!json_object_get(reading->settings, name)) {
        char *hint = check_hint_keys(name, reading->settings);
        check_problem(reading->check, "/settings", "there is no setting \"%s\"%s", name, hint);
        free(hint);
    }
    free(name);
}

static void read_settings(struct settings_reading *reading, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_string(value)) {
        expr_paths(json_string_value(value), read_setting, reading);
    } else if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, key, member) {
            read_settings(reading, member);
        }
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member) {
            read_settings(reading, member);
        }
    }
}

void check_connector(struct check *check)
{
    const json_t *tree = check->definition->tree;
    if (!check_map(check, "", tree, connector_keys, COUNT_OF(connector_keys))) {
        return;
    }
    each_member(check, "/settings", json_object_get(tree, "settings"), check_setting);
    each_member(check, "/limits", json_object_get(tree, "limits"), check_one_limit);
    check_expressions(check, "/headers", json_object_get(tree, "headers"));
    check_auth(check, json_object_get(tree, "auth"));
    const json_t *retry_after = json_object_get(tree, "retry_after");
    if (retry_after) {
        check_map(check, "/retry_after", retry_after, retry_after_keys, COUNT_OF(retry_after_keys));
    }
    if (json_object_get(tree, "check")) {
        check_request(check, "/check", json_object_get(tree, "check"));
    }
    check_identify(check, json_object_get(tree, "identify"));
    each_member(check, "/actions", json_object_get(tree, "actions"), check_one_action);
    struct settings_reading reading = {check, json_object_get(tree, "settings")};
    read_settings(&reading, tree);
}
