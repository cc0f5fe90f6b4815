/* What is checked of a connector: settings, limits, how accounts are found, and its actions. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/definition_auth.h"
#include "lib/definition_request.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

static const struct check_key connector_keys[] = {
    {"system", CHECK_NAME, true},       {"description", CHECK_TEXT, false}, {"settings", CHECK_MAP, false},
    {"base", CHECK_TEMPLATE, false},    {"headers", CHECK_MAP, false},      {"auth", CHECK_MAP, false},
    {"limits", CHECK_MAP, false},       {"retry_after", CHECK_MAP, false},  {"check", CHECK_MAP, false},
    {"identify", CHECK_MAP, false},     {"actions", CHECK_MAP, true},       {"defs", CHECK_MAP, false},
    {"message", CHECK_TEMPLATE, false}, {"title", CHECK_TEXT, false},
};

static const struct check_key setting_keys[] = {
    {"required", CHECK_BOOL, false}, {"secret", CHECK_BOOL, false}, {"default", CHECK_ANY, false},
    {"help", CHECK_TEXT, false},     {"whole", CHECK_BOOL, false}, /* an address that nothing is put behind: it may have a query */
};

static const struct check_key limit_keys[] = {
    {"per_minute", CHECK_COUNT, false},
    {"per_second", CHECK_COUNT, false},
    {"per_day", CHECK_COUNT, false},
    {"in_flight", CHECK_COUNT, false},
};

static const struct check_key retry_after_keys[] = {
    {"seconds", CHECK_TEMPLATE, false},
    {"epoch", CHECK_TEMPLATE, false},
    {"date", CHECK_TEMPLATE, false},
};

static const struct check_key identify_keys[] = {
    {"keys", CHECK_TEXTS, false},   {"requests", CHECK_LIST, true}, {"confirm", CHECK_LIST, false},
    {"account", CHECK_MAP, false},  /* what an account of an answer (`.account`) says of itself */
    {"trusts", CHECK_TEXT, false},  /* why the vendor's word is enough where an account shows nothing to compare */
    {"mutable", CHECK_TEXT, false}, /* why an account's id may change: it is a name that its owner chooses */
};

static const struct check_key account_keys[] = {
    {"id", CHECK_TEMPLATE, true},
    {"email", CHECK_TEMPLATE, false},
    {"employee_id", CHECK_TEMPLATE, false},
};

static const struct check_key action_keys[] = {
    {"effect", CHECK_TEXT, true},      {"description", CHECK_TEXT, false}, {"with", CHECK_MAP, false},
    {"requests", CHECK_LIST, true},    {"verify", CHECK_ANY, false},       {"undo", CHECK_TEXT, false},
    {"outputs", CHECK_MAP, false},     {"once", CHECK_BOOL, false},        {"settle", CHECK_TEMPLATE, false},
    {"target", CHECK_TEMPLATE, false}, {"limit", CHECK_TEXT, false},       {"accounts", CHECK_TEXT, false},
    {"unverified", CHECK_TEXT, false}, {"before", CHECK_MAP, false},       {"derive", CHECK_MAP, false},
    {"provides", CHECK_TEXTS, false},  {"escrow", CHECK_MAP, false},       {"covers", CHECK_TEXT, false},
    {"leaves", CHECK_MAP, false},      {"title", CHECK_TEXT, false},       {"says", CHECK_ANY, false},
};

static const struct check_key parameter_keys[] = {
    {"required", CHECK_BOOL, false},
    {"default", CHECK_ANY, false},
    {"help", CHECK_TEXT, false},
};

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

/* Calls `each` for every member of the map that stands under `key` in `owner`, with its pointer. */
static void each_member(struct check *check, const char *pointer, const json_t *owner, const char *key,
                        void (*each)(struct check *, const char *, const char *, const json_t *))
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(owner, key), name, value)
    {
        char *at = mem_printf("%s/%s/%s", pointer, key, name);
        each(check, at, name, value);
        free(at);
    }
}

/* ---- settings, limits --------------------------------------------------------------------------------------------------- */

static void check_setting(struct check *check, const char *pointer, const char *name, const json_t *setting)
{
    /* Of the family systems.<system>.…, these mean something for every system. */
    static const char *const taken[] = {"ca_file", "expires", "mode"};
    if (listed(taken, COUNT_OF(taken), name)) {
        check_problem(check, pointer, "setting \"%s\" is there for every system already; choose another name", name);
    }
    if (!check_map(check, pointer, setting, setting_keys, COUNT_OF(setting_keys))) {
        return;
    }
    if (json_true_at(setting, "required") && json_object_get(setting, "default")) {
        check_problem(check, pointer, "setting \"%s\" is required and has a default: which is it?", name);
    }
}

static void check_one_limit(struct check *check, const char *pointer, const char *name, const json_t *limit)
{
    (void)name;
    if (check_map(check, pointer, limit, limit_keys, COUNT_OF(limit_keys)) && json_object_get(limit, "per_minute") &&
        json_object_get(limit, "per_second")) {
        check_problem(check, pointer, "a limit has \"per_minute\" or \"per_second\", not both");
    }
}

static void check_retry_after(struct check *check, const json_t *rule)
{
    if (json_is_object(rule) && check_map(check, "/retry_after", rule, retry_after_keys, COUNT_OF(retry_after_keys)) &&
        json_object_size(rule) == 0) {
        check_problem(check, "/retry_after", "it needs \"seconds\", \"epoch\" or \"date\"");
    }
}

/* ---- accounts ------------------------------------------------------------------------------------------------------------- */

/* What is found is compared with what was searched by: a server that does not know a filter answers with everybody. */
static void check_account(struct check *check, const json_t *identify, bool finds)
{
    const json_t *account = json_object_get(identify, "account");
    size_t i;
    json_t *key;
    if (finds != (account != NULL)) {
        check_problem(check, "/identify",
                      finds ? "a request has \"found\", and \"account\" does not say which id such an account has"
                            : "\"account\" describes what a request's \"found\" names, and no request has it");
    }
    if (json_is_object(account)) {
        check_map(check, "/identify/account", account, account_keys, COUNT_OF(account_keys));
    }
    struct buf kinds = BUF_INIT;
    json_array_foreach(json_object_get(identify, "keys"), i, key)
    {
        const char *kind = json_string_value(key);
        if (listed(key_kinds, COUNT_OF(key_kinds), kind) && !json_object_get(account, kind)) {
            buf_addf(&kinds, "%s%s", kinds.len ? " and " : "", kind);
        }
    }
    if (kinds.len && !json_object_get(identify, "trusts")) {
        check_warning(
            check, "/identify",
            "accounts found by %s are taken without comparing: a server that does not understand the search would name "
            "somebody else. Say under \"account\" where an account shows it, or why the vendor can be trusted "
            "(\"trusts\": why)",
            buf_text(&kinds));
    }
    buf_release(&kinds);
}

static void check_identify(struct check *check, const json_t *identify)
{
    if (!json_is_object(identify) || !check_map(check, "/identify", identify, identify_keys, COUNT_OF(identify_keys))) {
        return;
    }
    const json_t *keys = json_object_get(identify, "keys");
    size_t i;
    json_t *key, *request;
    if (json_is_array(keys) && json_array_size(keys) == 0) {
        check_problem(check, "/identify/keys",
                      "with no keys nobody is found: name employee_id, email, or leave \"keys\" out");
    }
    json_array_foreach(keys, i, key)
    {
        const char *kind = json_string_value(key);
        if (kind && !listed(key_kinds, COUNT_OF(key_kinds), kind)) {
            char *hint = check_hint(kind, key_kinds, COUNT_OF(key_kinds));
            check_problem(check, "/identify/keys", "there is no kind of key \"%s\", only employee_id and email%s", kind,
                          hint);
            free(hint);
        }
    }
    check_requests(check, "/identify/requests", json_object_get(identify, "requests"), true);
    check_requests(check, "/identify/confirm", json_object_get(identify, "confirm"), true);
    bool saves = false, finds = false;
    json_array_foreach(json_object_get(identify, "requests"), i, request)
    {
        saves = saves || json_at(request, "save.id");
        finds = finds || json_object_get(request, "found");
    }
    if (!saves && !finds) {
        check_problem(check, "/identify", "no request says which accounts were \"found\"");
    }
    check_account(check, identify, finds);
}

/* ---- what expressions read ------------------------------------------------------------------------------------------------ */

/* What an expression can see where it stands. NULL: nothing of it is there. */
struct scope {
    const json_t *settings;
    const json_t *with;
    const json_t *saved; /* a member for every name that some request saves */
    const json_t *derived;
};

static void read_declared(struct check *check, const char *pointer, const struct expr_path *path, const char *owner,
                          const json_t *declared, const char *what)
{
    const char *name = check_path_member(path, owner);
    if (name && !json_object_get(declared, name)) {
        char *hint = check_hint_keys(name, declared);
        check_problem(check, pointer, "%s \"%s\"%s", what, name, hint);
        free(hint);
    }
}

static void read_path(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    if (strncmp(pointer, "/auth/signature/", strlen("/auth/signature/")) == 0 && expr_path_within(path, "signing")) {
        return; /* said of `auth` */
    }
    if (expr_path_within(path, "outputs") && check_is_says(pointer)) {
        return; /* looked at by check_says() */
    }
    static const char *const members[] = {
        "account", "actor", "agenda",   "before",   "body",   "derived",     "headers", "ids",      "item",
        "items",   "job",   "key",      "key_kind", "now",    "offboarding", "phases",  "reminder", "report",
        "results", "saved", "settings", "signal",   "status", "steps",       "user",    "with"};
    const struct scope *scope = arg;
    check_member(check, pointer, path, 0, members, COUNT_OF(members));
    read_declared(check, pointer, path, "settings", scope->settings, "there is no setting");
    read_declared(check, pointer, path, "with", scope->with, "there is no parameter");
    read_declared(check, pointer, path, "saved", scope->saved, "no request here saves");
    read_declared(check, pointer, path, "derived", scope->derived, "nothing here derives");
}

static void note_saved(json_t *saved, const json_t *requests)
{
    size_t i;
    json_t *request;
    json_array_foreach(requests, i, request)
    {
        json_t *save = json_object_get(request, "save");
        json_t *found = json_at(request, "find.save");
        json_t *meanwhile = json_at(request, "wait.meanwhile.save");
        json_object_update(saved, json_is_object(save) ? save : NULL);
        json_object_update(saved, json_is_object(found) ? found : NULL);
        json_object_update(saved, json_is_object(meanwhile) ? meanwhile : NULL);
    }
}

/* Looks of a read-back may save, too. */
static void note_saved_by_looks(json_t *saved, const json_t *verify)
{
    json_t *list = json_is_array(verify) ? json_incref((json_t *)(uintptr_t)verify) : json_pack("[O]", verify);
    note_saved(saved, list);
    json_decref(list);
}

static const json_t *settings_of(const struct check *check)
{
    return json_object_get(check->definition->tree, "settings");
}

static void check_identify_reads(struct check *check, const json_t *identify)
{
    json_t *saved = json_object();
    note_saved(saved, json_object_get(identify, "requests"));
    note_saved(saved, json_object_get(identify, "confirm"));
    struct scope scope = {.settings = settings_of(check), .saved = saved};
    check_paths(check, "/identify", identify, read_path, &scope);
    json_decref(saved);
}

static void check_common_reads(struct check *check, const json_t *tree)
{
    static const char *const parts[] = {"auth", "base", "check", "headers", "limits", "retry_after"};
    struct scope scope = {.settings = settings_of(check)};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        char *at = mem_printf("/%s", parts[i]);
        check_paths(check, at, json_object_get(tree, parts[i]), read_path, &scope);
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

/* It is asked for before a job is read. */
static void read_settle(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    (void)arg;
    if (!expr_path_within(path, "settings")) {
        char *text = expr_path_text(path);
        check_problem(check, pointer, "\"settle\" is made of .settings only, not of .%s", text);
        free(text);
    }
}

static void check_once(struct check *check, const char *pointer, const json_t *action)
{
    size_t i;
    json_t *request;
    bool finds = false;
    json_array_foreach(json_object_get(action, "requests"), i, request)
    {
        finds = finds || json_object_get(request, "find");
    }
    if (json_true_at(action, "once") && !finds) {
        check_problem(check, pointer,
                      "a `once` action needs a request with `find`: how is an earlier call recognised?");
    }
    if (!json_true_at(action, "once") && finds) {
        check_problem(check, pointer, "`find` belongs to an action marked `once: true`");
    }
    const char *settle = json_string_at(action, "settle");
    int64_t duration = 0;
    struct err err = ERR_INIT;
    check_paths(check, pointer, json_object_get(action, "settle"), read_settle, NULL);
    if (settle && !expr_has(settle) && time_parse_duration(settle, &duration, &err) != 0) {
        check_problem(check, pointer, "\"settle\": %s", err_text(&err));
    } else if (duration > 10 * TIME_MINUTE) {
        check_problem(check, pointer, "\"settle\" is at most 10m: that is how long workers remember what ran");
    }
    err_release(&err);
}

static void check_effect(struct check *check, const char *pointer, const json_t *action)
{
    const char *effect = json_string_at(action, "effect");
    if (!effect) {
        return; /* said already */
    }
    if (!listed(effects, COUNT_OF(effects), effect)) {
        char *hint = check_hint(effect, effects, COUNT_OF(effects));
        check_problem(check, pointer, "\"effect\" must be identify, revoke, handover, destroy or notify%s", hint);
        free(hint);
    }
    bool proven = json_object_get(action, "verify") || json_object_get(action, "unverified") ||
                  strcmp(effect, "notify") == 0 || strcmp(effect, "identify") == 0;
    if (!proven) {
        check_warning(check, pointer,
                      "without \"verify\" nothing reads back that the state is there: a call that returned 200 proves "
                      "little; where "
                      "the vendor shows nothing, say so (\"unverified\": why)");
    }
    if (json_object_get(action, "verify") && json_object_get(action, "unverified")) {
        check_problem(check, pointer, "\"unverified\" says why there is no \"verify\", and there is one");
    }
}

static void check_accounts(struct check *check, const char *pointer, const json_t *action)
{
    const char *accounts = json_string_at(action, "accounts");
    if (!accounts) {
        return;
    }
    if (strcmp(accounts, "all") != 0 && strcmp(accounts, "none") != 0) {
        check_problem(check, pointer, "\"accounts\" must be all or none");
    } else if (strcmp(accounts, "all") == 0 && !json_object_get(check->definition->tree, "identify")) {
        check_problem(check, pointer, "`accounts: all` needs \"identify\": how are they found?");
    }
}

static void check_undo(struct check *check, const char *pointer, const json_t *action)
{
    const char *undo = json_string_at(action, "undo");
    const json_t *actions = json_object_get(check->definition->tree, "actions");
    if (undo && !json_object_get(actions, undo)) {
        char *hint = check_hint_keys(undo, actions);
        check_problem(check, pointer, "\"undo\": there is no action \"%s\"%s", undo, hint);
        free(hint);
    }
}

static void check_action_requests(struct check *check, const char *pointer, const json_t *action)
{
    char *at = mem_printf("%s/requests", pointer);
    check_requests(check, at, json_object_get(action, "requests"), false);
    free(at);
    const json_t *verify = json_object_get(action, "verify");
    if (verify) {
        at = mem_printf("%s/verify", pointer);
        check_verify(check, at, verify);
        free(at);
    }
    at = mem_printf("%s/outputs", pointer);
    check_expressions(check, at, json_object_get(action, "outputs"));
    free(at);
    json_t *saved = json_object();
    note_saved(saved, json_object_get(action, "requests"));
    note_saved_by_looks(saved, verify);
    struct scope scope = {settings_of(check), json_object_get(action, "with"), saved,
                          json_object_get(action, "derive")};
    check_paths(check, pointer, action, read_path, &scope);
    json_decref(saved);
}

static void check_action(struct check *check, const char *pointer, const char *name, const json_t *action)
{
    (void)name;
    if (!check_map(check, pointer, action, action_keys, COUNT_OF(action_keys))) {
        return;
    }
    check_effect(check, pointer, action);
    check_accounts(check, pointer, action);
    check_undo(check, pointer, action);
    each_member(check, pointer, action, "with", check_parameter);
    check_action_requests(check, pointer, action);
    check_once(check, pointer, action);
    check_before(check, pointer, action);
    check_escrow(check, pointer, action);
    check_says(check, pointer, action);
    check_derive(check, pointer, action);
    check_provides(check, pointer, action);
    check_secrets_stay(check, pointer, action);
    check_covers(check, pointer, action);
    check_leaves(check, pointer, action);
    check_limit(check, pointer, action);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------- */

void check_connector(struct check *check)
{
    const json_t *tree = check->definition->tree;
    if (!check_map(check, "", tree, connector_keys, COUNT_OF(connector_keys))) {
        return;
    }
    each_member(check, "", tree, "settings", check_setting);
    each_member(check, "", tree, "limits", check_one_limit);
    check_expressions(check, "/headers", json_object_get(tree, "headers"));
    check_auth(check, json_object_get(tree, "auth"));
    check_retry_after(check, json_object_get(tree, "retry_after"));
    const json_t *probe = json_object_get(tree, "check");
    if (json_is_object(probe)) {
        check_probe(check, "/check", probe);
    }
    check_identify(check, json_object_get(tree, "identify"));
    each_member(check, "", tree, "actions", check_action);
    check_common_reads(check, tree);
    check_identify_reads(check, json_object_get(tree, "identify"));
}
