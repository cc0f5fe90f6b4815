/* Snippets of a connector (`defs`) and the requests that `use` them: merged in when the file is loaded, so that everybody else
 * sees whole requests. */
#include <stdlib.h>
#include <string.h>

#include "lib/definition_request.h"
#include "lib/json.h"
#include "lib/mem.h"

/* What the request says itself wins; these maps are merged member by member. */
static void merge(json_t *request, json_t *snippet)
{
    static const char *const merged[] = {"query", "headers", "form", "as"};
    for (size_t i = 0; i < COUNT_OF(merged); i++) {
        json_t *own = json_object_get(request, merged[i]);
        json_t *shared = json_object_get(snippet, merged[i]);
        if (json_is_object(own) && json_is_object(shared)) {
            json_t *whole = json_copy(own); /* the file may name one map twice (an alias) */
            json_object_update_missing(whole, shared);
            json_object_set_new(request, merged[i], whole);
        }
    }
    json_object_update_missing(request, snippet);
}

static void use_one(struct check *check, const char *pointer, json_t *request, const json_t *name)
{
    json_t *defs = json_object_get(check->definition->tree, "defs");
    json_t *snippet = json_object_get(defs, json_is_string(name) ? json_string_value(name) : "");
    if (json_is_object(snippet)) {
        merge(request, snippet);
        return;
    }
    char *hint = check_hint_keys(json_is_string(name) ? json_string_value(name) : "", defs);
    check_problem(check, pointer, "\"use\": there is no snippet \"%s\" under \"defs\"%s",
                  json_is_string(name) ? json_string_value(name) : "", hint);
    free(hint);
}

static void expand(struct check *check, const char *pointer, json_t *request)
{
    json_t *use = json_incref(json_object_get(request, "use"));
    size_t i;
    json_t *name;
    if (!use) {
        return;
    }
    json_object_del(request, "use");
    json_array_foreach(use, i, name)
    {
        use_one(check, pointer, request, name);
    }
    if (!json_is_array(use)) {
        use_one(check, pointer, request, use);
    }
    json_decref(use);
}

static void expand_member(struct check *check, const char *pointer, json_t *owner, const char *name)
{
    char *at = mem_printf("%s/%s", pointer, name);
    expand(check, at, json_object_get(owner, name));
    free(at);
}

/* One, or a list of them. */
static void expand_required(struct check *check, const char *pointer, json_t *request)
{
    size_t i;
    json_t *one;
    expand_member(check, pointer, request, "require");
    json_array_foreach(json_object_get(request, "require"), i, one)
    {
        char *at = mem_printf("%s/require/%zu", pointer, i);
        expand(check, at, one);
        free(at);
    }
}

static void expand_list(struct check *check, const char *pointer, json_t *owner, const char *name)
{
    size_t i;
    json_t *request;
    json_array_foreach(json_object_get(owner, name), i, request)
    {
        char *at = mem_printf("%s/%s/%zu", pointer, name, i);
        expand(check, at, request);
        expand_member(check, at, request, "find");
        expand_required(check, at, request);
        char *waits = mem_printf("%s/wait", at);
        expand_member(check, waits, json_object_get(request, "wait"), "meanwhile");
        free(waits);
        free(at);
    }
}

/* What a snippet brings is for the other requests that use it; what stands in the read-back itself was meant for it. */
static void check_look_words(struct check *check, const char *pointer, const json_t *look)
{
    static const char *const words[] = {"already", "missing"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (json_object_get(look, words[i])) {
            char *at = mem_printf("%s/%s", pointer, words[i]);
            check_problem(check, at, "\"%s\" means nothing in a read-back: \"expect\" says what it has to show",
                          words[i]);
            free(at);
        }
    }
}

static void check_looks(struct check *check, const char *pointer, const json_t *verify)
{
    size_t i;
    json_t *look;
    char *at = mem_printf("%s/verify", pointer);
    check_look_words(check, at, verify);
    json_array_foreach(verify, i, look)
    {
        char *one = mem_printf("%s/%zu", at, i);
        check_look_words(check, one, look);
        free(one);
    }
    free(at);
}

void definition_use_defs(struct check *check)
{
    json_t *tree = check->definition->tree;
    const char *name;
    json_t *action;
    json_object_foreach(json_object_get(tree, "actions"), name, action)
    {
        char *at = mem_printf("/actions/%s", name);
        expand_list(check, at, action, "requests");
        check_looks(check, at, json_object_get(action, "verify"));
        expand_member(check, at, action, "verify");
        expand_list(check, at, action, "verify");
        free(at);
    }
    expand_member(check, "", tree, "check");
    expand_list(check, "/identify", json_object_get(tree, "identify"), "requests");
    expand_list(check, "/identify", json_object_get(tree, "identify"), "confirm");
}
