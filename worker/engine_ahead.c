/* Of a page that was just answered: what it may say of the whole list. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/json.h"
#include "worker/engine_internal.h"
#include "worker/engine_paths.h"

bool pages_later(const json_t *request)
{
    return json_object_get(request, "page") != NULL;
}

/* The context as it is once what the request saves of this page is saved. New reference. */
static json_t *context_after(const struct run *run, const json_t *request)
{
    json_t *context = json_copy(run->context);
    json_t *saved = json_deep_copy(run->place->saved);
    const char *name;
    json_t *tmpl;
    json_object_set_new(context, "saved", saved);
    json_object_foreach(json_object_get(request, "save"), name, tmpl)
    {
        json_t *value = expr_render(run->engine->exprs, tmpl, context, NULL);
        collect_value(saved, name, value ? value : json_null());
    }
    return context;
}

bool pages_go_on(const struct run *run, const json_t *request)
{
    const json_t *pages = json_object_get(request, "pages");
    const json_t *link = json_object_get(pages, "next");
    const json_t *tells = link ? link : json_object_get(pages, "more");
    bool after = paths_read(tells, "saved", NULL);
    json_t *context = after ? context_after(run, request) : json_incref(run->context);
    json_t *value = tells ? expr_render(run->engine->exprs, tells, context, NULL) : json_null();
    bool ended = value && (json_is_null(value) || json_is_false(value) ||
                           (link && json_is_string(value) && !json_string_length(value)));
    json_decref(value);
    json_decref(context);
    return !ended; /* what can't be told is no end */
}

struct sharing {
    const json_t *context;
    json_t *paths; /* {path: true}: what `pages` reads of the answer, but for its lists */
    bool shared;
};

static char *path_told(const struct expr_path *path, const struct sharing *sharing)
{
    const json_t *value = NULL;
    bool of_answer = path->count > 1 && (path_named(path, 0, "body") || path_named(path, 0, "headers"));
    path_follow(sharing->context, path, &value);
    return of_answer && !path->iterated && !json_is_array(value) ? expr_path_text(path) : NULL;
}

static void note_path(const struct expr_path *path, void *arg)
{
    struct sharing *sharing = arg;
    char *text = path_told(path, sharing);
    if (text) {
        json_object_set_new(sharing->paths, text, json_true());
    }
    free(text);
}

static void look_for_path(const struct expr_path *path, void *arg)
{
    struct sharing *sharing = arg;
    char *text = path_told(path, sharing);
    sharing->shared = sharing->shared || (text && json_object_get(sharing->paths, text));
    free(text);
}

/* Does the predicate itself look whether there is another page? */
static bool knows_pages(const struct run *run, const json_t *request, const json_t *predicate)
{
    struct sharing sharing = {run->context, json_object(), false};
    paths_each(json_object_get(request, "pages"), note_path, &sharing);
    paths_each(predicate, look_for_path, &sharing);
    json_decref(sharing.paths);
    return sharing.shared;
}

bool pages_decide(const struct run *run, const json_t *request, const json_t *predicate)
{
    bool first = !pages_later(request);
    return !json_object_get(request, "pages") || knows_pages(run, request, predicate) ||
           ((first || json_is_true(json_at(request, "page.read.nothing"))) && !pages_go_on(run, request));
}
