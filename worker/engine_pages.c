/* From one page of a listing to the next. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_internal.h"

/* Length of "scheme://host:port". */
static size_t origin_length(const char *url)
{
    const char *host = strstr(url, "://");
    return host ? (size_t)(host - url) + 3 + strcspn(host + 3, "/?#") : 0;
}

/* A next-page link may not lead to another host: our credentials would go with it. */
static bool same_origin(struct run *run, const char *link)
{
    if (*link == '/' && link[1] != '/') {
        return true;
    }
    const char *base = json_string_at(run->system->connector->tree, "base");
    char *url = expr_text(run->engine->exprs, base ? base : "${ .settings.url }", run->context, NULL);
    size_t len = url ? origin_length(url) : 0;
    bool same = len && origin_length(link) == len && strncasecmp(url, link, len) == 0;
    free(url);
    return same;
}

static const char *method_key(const json_t *request)
{
    static const char *const keys[] = {"get", "post", "put", "patch", "delete", "head"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (json_object_get(request, keys[i])) {
            return keys[i];
        }
    }
    return "get";
}

static enum verdict by_link(struct run *run, const json_t *request, const json_t *tmpl, json_t **next)
{
    struct err err = ERR_INIT;
    json_t *link = expr_render(run->engine->exprs, tmpl, run->context, &err);
    enum verdict verdict = VERDICT_DONE;
    if (!link) {
        verdict = run_say(run, VERDICT_FAILED, "could not read the link to the next page: %s", err_text(&err));
    } else if (json_is_string(link) && json_string_length(link)) {
        if (same_origin(run, json_string_value(link))) {
            *next = json_copy((json_t *)(uintptr_t)request);
            json_object_set(*next, method_key(request), link);
            json_object_del(*next, "query");
        } else {
            verdict = run_say(run, VERDICT_FAILED, "the link to the next page leads to another host");
        }
    }
    json_decref(link);
    err_release(&err);
    return verdict;
}

/* Replaces members of `query` or of the body by what `pages` says for the next page. */
static enum verdict by_parameters(struct run *run, const json_t *request, const json_t *pages, json_t **next)
{
    if (!expr_true(run->engine->exprs, json_object_get(pages, "more"), run->context, false)) {
        return VERDICT_DONE;
    }
    static const char *const parts[] = {"query", "json"};
    json_t *copy = json_deep_copy(request);
    struct err err = ERR_INIT;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        const json_t *changed = json_object_get(pages, parts[i]);
        json_t *values = changed ? expr_render(run->engine->exprs, changed, run->context, &err) : NULL;
        if (changed && !values) {
            json_decref(copy);
            enum verdict verdict = run_say(run, VERDICT_FAILED, "could not ask for the next page: %s", err_text(&err));
            err_release(&err);
            return verdict;
        }
        if (values) {
            json_t *part = json_object_get(copy, parts[i]);
            if (!part) {
                part = json_object();
                json_object_set_new(copy, parts[i], part);
            }
            json_object_update(part, values);
        }
        json_decref(values);
    }
    if (json_equal(copy, (json_t *)(uintptr_t)request)) {
        json_decref(copy);
        return run_say(run, VERDICT_FAILED, "the next page is the same page again");
    }
    *next = copy;
    return VERDICT_DONE;
}

enum verdict pages_next(struct run *run, const json_t *request, json_t **next)
{
    *next = NULL;
    const json_t *pages = json_object_get(request, "pages");
    const json_t *link = json_object_get(pages, "next");
    if (!pages) {
        return VERDICT_DONE;
    }
    return link ? by_link(run, request, link, next) : by_parameters(run, request, pages, next);
}
