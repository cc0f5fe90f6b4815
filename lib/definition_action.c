/* What is checked of the rarer members of an action: before, escrow, derive, provides, says. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/definition_request.h"
#include "lib/json.h"
#include "lib/mem.h"

enum { DERIVED_MAX = 64 };

static const struct check_key derive_keys[] = {
    {"digits", CHECK_COUNT, false},
    {"letters", CHECK_COUNT, false},
};

void check_before(struct check *check, const char *pointer, const json_t *action)
{
    const json_t *before = json_object_get(action, "before");
    const char *effect = json_string_at(action, "effect");
    bool changes = effect && strcmp(effect, "identify") != 0 && strcmp(effect, "notify") != 0;
    char *at = mem_printf("%s/before", pointer);
    check_expressions(check, at, before);
    if (before && !changes) {
        check_problem(check, at, "an action whose effect is %s changes no account: there is nothing to put back",
                      effect ? effect : "missing");
    }
    free(at);
}

void check_escrow(struct check *check, const char *pointer, const json_t *action)
{
    const json_t *escrow = json_object_get(action, "escrow");
    const char *effect = json_string_at(action, "effect");
    char *at = mem_printf("%s/escrow", pointer);
    check_expressions(check, at, escrow);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)escrow, name, value)
    {
        if (!json_is_string(value)) {
            check_problem(check, at, "\"%s\" must be an expression: the value that is sealed", name);
        }
    }
    if (escrow && effect && (strcmp(effect, "identify") == 0 || strcmp(effect, "notify") == 0)) {
        check_problem(check, at, "an action whose effect is %s sets no secret that somebody would have to find again",
                      effect);
    }
    free(at);
}

void check_derive(struct check *check, const char *pointer, const json_t *action)
{
    const char *name;
    json_t *rule;
    json_object_foreach(json_object_get(action, "derive"), name, rule)
    {
        char *at = mem_printf("%s/derive/%s", pointer, name);
        if (check_map(check, at, rule, derive_keys, COUNT_OF(derive_keys))) {
            json_int_t length = json_int_at(rule, "digits", 0) + json_int_at(rule, "letters", 0);
            if (json_object_size(rule) != 1 || length < 4 || length > DERIVED_MAX) {
                check_problem(check, at, "it needs either \"digits\" or \"letters\": how many, from 4 to %d",
                              DERIVED_MAX);
            }
        }
        free(at);
    }
}

void check_leaves(struct check *check, const char *pointer, const json_t *action)
{
    static const struct check_key leaves_keys[] = {{"items", CHECK_TEMPLATE, true}, {"why", CHECK_TEMPLATE, true}};
    const char *kind;
    json_t *rule;
    json_object_foreach(json_object_get(action, "leaves"), kind, rule)
    {
        char *at = mem_printf("%s/leaves/%s", pointer, kind);
        check_map(check, at, rule, leaves_keys, COUNT_OF(leaves_keys));
        free(at);
    }
}

bool check_is_says(const char *pointer)
{
    return strstr(pointer, "/says") != NULL;
}

/* When the sentence is made, the calls are over: what an action hands on stands in its outputs. */
static void read_says(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    static const char *const gone[] = {"body", "status", "headers", "item", "items", "account", "report", "results"};
    const json_t *outputs = arg;
    const char *name = check_path_member(path, "outputs");
    if (name && !json_object_get(outputs, name)) {
        char *hint = check_hint_keys(name, outputs);
        check_problem(check, pointer, "the action has no output \"%s\"%s", name, hint);
        free(hint);
    }
    for (size_t i = 0; i < COUNT_OF(gone); i++) {
        if (expr_path_within(path, gone[i])) {
            check_problem(check, pointer, "\"says\" reads .outputs, .with, .user and .settings; .%s is over by then",
                          gone[i]);
        }
    }
}

void check_says(struct check *check, const char *pointer, const json_t *action)
{
    static const struct check_key says_keys[] = {{"done", CHECK_TEMPLATE, true}, {"already", CHECK_TEMPLATE, false}};
    const json_t *says = json_object_get(action, "says");
    if (!says) {
        return;
    }
    char *at = mem_printf("%s/says", pointer);
    if (json_is_object(says)) {
        check_map(check, at, says, says_keys, COUNT_OF(says_keys));
    } else if (!json_is_string(says)) {
        check_problem(check, at, "\"says\" is a text, or a map with \"done\" and \"already\"");
    }
    check_expressions(check, at, says);
    check_paths(check, at, says, read_says, (void *)(uintptr_t)json_object_get(action, "outputs"));
    free(at);
}

void check_provides(struct check *check, const char *pointer, const json_t *action)
{
    const json_t *outputs = json_object_get(action, "outputs");
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(action, "provides"), i, item)
    {
        const char *path = json_string_value(item);
        char *at = mem_printf("%s/provides", pointer);
        if (path && strncmp(path, "user.", 5) != 0) {
            check_problem(check, at, "\"%s\": what is provided is a member of the user, as user.manager", path);
        } else if (path && !json_at(outputs, path)) {
            check_problem(check, at, "\"%s\" is not among the action's \"outputs\": what is its value?", path);
        }
        free(at);
    }
}

/* All of `.saved`, or of the context, holds what is secret, too. */
static void read_secret(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    const json_t *secrets = arg;
    const char *name = check_path_member(path, "saved");
    bool all = !path->count || (expr_path_within(path, "saved") && !name);
    if (name ? json_object_get(secrets, name) != NULL : all && json_object_size(secrets)) {
        check_problem(check, pointer, "\"%s\" is secret: it is for the requests of this job, and put on record nowhere",
                      name ? name : json_object_iter_key(json_object_iter((json_t *)(uintptr_t)secrets)));
    }
}

static json_t *secrets_of(const json_t *action)
{
    json_t *secrets = json_object();
    size_t i, j;
    json_t *request, *name;
    json_array_foreach(json_object_get(action, "requests"), i, request)
    {
        json_array_foreach(json_object_get(request, "secret"), j, name)
        {
            json_object_set_new(secrets, json_string_value(name) ? json_string_value(name) : "", json_true());
        }
    }
    return secrets;
}

void check_secrets_stay(struct check *check, const char *pointer, const json_t *action)
{
    json_t *secrets = secrets_of(action);
    static const char *const kept[] = {"outputs", "before", "says"};
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        char *at = mem_printf("%s/%s", pointer, kept[i]);
        check_paths(check, at, json_object_get(action, kept[i]), read_secret, secrets);
        free(at);
    }
    size_t i;
    json_t *request, *tmpl;
    const char *name;
    json_array_foreach(json_object_get(action, "requests"), i, request)
    {
        char *at = mem_printf("%s/requests/%zu", pointer, i);
        check_paths(check, at, json_object_get(request, "for_each"), read_secret, secrets);
        json_object_foreach(json_object_get(request, "save"), name, tmpl)
        {
            if (!json_object_get(secrets, name)) {
                check_paths(check, at, tmpl, read_secret, secrets);
            }
        }
        free(at);
    }
    json_decref(secrets);
}
