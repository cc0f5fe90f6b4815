/* What is checked of a request to a directory. */
#include <stdlib.h>
#include <string.h>

#include "lib/definition_request.h"
#include "lib/json.h"
#include "lib/mem.h"

static const struct check_key kind_keys[] = {
    {"search", CHECK_MAP, false},
    {"modify", CHECK_MAP, false},
    {"rename", CHECK_MAP, false},
    {"delete", CHECK_MAP, false},
};

static const struct check_key search_keys[] = {
    {"base", CHECK_TEMPLATE, true},     {"scope", CHECK_TEXT, false}, {"filter", CHECK_TEMPLATE, false},
    {"attributes", CHECK_TEXTS, false}, {"hex", CHECK_TEXTS, false},  {"without", CHECK_ANY, false},
};

static const struct check_key modify_keys[] = {
    {"dn", CHECK_TEMPLATE, true},
    {"replace", CHECK_MAP, false},
    {"add", CHECK_MAP, false},
    {"delete", CHECK_MAP, false},
};

static const struct check_key rename_keys[] = {
    {"dn", CHECK_TEMPLATE, true},
    {"newrdn", CHECK_TEMPLATE, false},
    {"newsuperior", CHECK_TEMPLATE, false},
};

static const struct check_key delete_keys[] = {
    {"dn", CHECK_TEMPLATE, true},
};

static void check_search(struct check *check, const char *pointer, const json_t *search)
{
    static const char *const scopes[] = {"sub", "one", "base"};
    const char *scope = json_string_at(search, "scope");
    bool known = !scope;
    for (size_t i = 0; scope && i < COUNT_OF(scopes); i++) {
        known = known || strcmp(scope, scopes[i]) == 0;
    }
    if (check_map(check, pointer, search, search_keys, COUNT_OF(search_keys)) && !known) {
        check_problem(check, pointer, "\"scope\" must be sub, one or base");
    }
    check_expressions(check, pointer, json_object_get(search, "attributes"));
    check_expressions(check, pointer, json_object_get(search, "without"));
}

static void check_modify(struct check *check, const char *pointer, const json_t *modify)
{
    static const char *const changes[] = {"replace", "add", "delete"};
    size_t given = 0;
    if (!check_map(check, pointer, modify, modify_keys, COUNT_OF(modify_keys))) {
        return;
    }
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        char *at = mem_printf("%s/%s", pointer, changes[i]);
        check_expressions(check, at, json_object_get(modify, changes[i]));
        given += json_object_size(json_object_get(modify, changes[i]));
        free(at);
    }
    if (given == 0) {
        check_problem(check, pointer,
                      "\"modify\" changes nothing: it needs \"replace\", \"add\" or \"delete\" with an attribute");
    }
}

static void check_rename(struct check *check, const char *pointer, const json_t *rename)
{
    if (check_map(check, pointer, rename, rename_keys, COUNT_OF(rename_keys)) && !json_object_get(rename, "newrdn") &&
        !json_object_get(rename, "newsuperior")) {
        check_problem(check, pointer, "\"rename\" changes nothing: it needs \"newrdn\" or \"newsuperior\"");
    }
}

static void check_delete(struct check *check, const char *pointer, const json_t *remove)
{
    check_map(check, pointer, remove, delete_keys, COUNT_OF(delete_keys));
}

static void check_operation(struct check *check, const char *pointer, const json_t *ldap)
{
    static const struct {
        const char *name;
        void (*look)(struct check *check, const char *pointer, const json_t *operation);
    } kinds[] = {
        {"search", check_search}, {"modify", check_modify}, {"rename", check_rename}, {"delete", check_delete}};
    if (!check_map(check, pointer, ldap, kind_keys, COUNT_OF(kind_keys))) {
        return;
    }
    if (json_object_size(ldap) != 1) {
        check_problem(check, pointer, "\"ldap\" has exactly one of search, modify, rename and delete");
    }
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const json_t *operation = json_object_get(ldap, kinds[i].name);
        char *at = mem_printf("%s/%s", pointer, kinds[i].name);
        if (json_is_object(operation)) {
            kinds[i].look(check, at, operation);
        }
        free(at);
    }
}

void check_ldap(struct check *check, const char *pointer, const json_t *request, bool reads)
{
    static const char *const useless[] = {"query", "headers", "json", "form", "pages", "changes", "as"};
    const json_t *ldap = json_object_get(request, "ldap");
    const json_t *auth = json_object_get(check->definition->tree, "auth");
    char *at = mem_printf("%s/ldap", pointer);
    check_operation(check, at, ldap);
    if (reads && !json_object_get(ldap, "search")) {
        check_problem(check, pointer, "this request may only read: ldap with \"search\"");
    }
    for (size_t i = 0; i < COUNT_OF(useless); i++) {
        if (json_object_get(request, useless[i])) {
            check_problem(check, pointer, "a request with \"ldap\" has no \"%s\"", useless[i]);
        }
    }
    if (json_object_size(auth) && !json_object_get(auth, "basic")) {
        check_problem(check, at, "a directory is logged in to with `auth: {basic: …}` only");
    }
    if (!json_at(check->definition->tree, "check.ldap")) {
        check_problem(check, at, "a system with a directory needs a `check` with \"ldap\": is the server there?");
    }
    free(at);
}
