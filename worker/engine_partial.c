#include "worker/engine_partial.h"

#include <stdint.h>
#include <stdlib.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_lists.h"
#include "worker/engine_paths.h"
#include "worker/engine_signs.h"

/* What an answer says of other pages. */
enum partial {
    PARTIAL_NO,     /* nothing, or that there is none */
    PARTIAL_LIKELY, /* it names a cursor, or a total that is greater than what it lists */
    PARTIAL_NAMED,  /* it names the next page */
    PARTIAL_TOLD,   /* it says in a word that there are more (has_more: true) */
};

/* ---- what is said ------------------------------------------------------------------------------------------------ */

/* Does a total tell of more than all pages up to this one have listed, and of more than any list in the answer? A count of something else
 * that stands beside has a list of its own. */
static bool is_beyond(const struct signs *signs, const json_t *request, const json_t *lists)
{
    double before = (double)json_int_at(request, "page.read.listed", 0);
    double turned = (double)json_int_at(request, "page.read.pages", 0) + 1;
    double page = pages_later(request) || json_object_get(request, "pages") ? turned : signs->page;
    double listed = before + (double)lists_size(lists);
    return (signs->total > listed && signs->total > before + (double)signs->longest) ||
           (signs->pages > 1 && signs->pages > page);
}

/* `*member` names what says so; the caller frees. */
static enum partial partial_said(const struct run *run, const json_t *request, char **member)
{
    struct signs signs;
    signs_read(&signs, run, request);
    json_t *lists = lists_read(run, request);
    bool list = json_array_size(lists) > 0;
    bool beyond = is_beyond(&signs, request, lists);
    enum partial said = signs.more                         ? PARTIAL_TOLD
                        : signs.over                       ? PARTIAL_NO
                        : signs.named                      ? PARTIAL_NAMED
                        : list && (signs.cursor || beyond) ? PARTIAL_LIKELY
                                                           : PARTIAL_NO;
    const char *name = said == PARTIAL_TOLD    ? signs.more
                       : said == PARTIAL_NAMED ? signs.named
                       : signs.cursor          ? signs.cursor
                                               : signs.counts;
    *member = mem_strdup(name ? name : "");
    json_decref(lists);
    signs_release(&signs);
    return said;
}

/* ---- what depends on it ------------------------------------------------------------------------------------------ */

/* A copy of the value with nothing in its lists. New reference. */
static json_t *emptied(const json_t *value, const json_t *lists)
{
    size_t i;
    json_t *list, *member;
    const char *name;
    json_array_foreach(lists, i, list)
    {
        if (list == value) {
            return json_array();
        }
    }
    if (!json_is_object(value)) {
        return json_incref((json_t *)(uintptr_t)value);
    }
    json_t *copy = json_object();
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        json_object_set_new(copy, name, emptied(member, lists));
    }
    return copy;
}

bool partial_holds_of_nothing(const struct run *run, const json_t *predicate)
{
    if (!predicate || !expr_true(run->engine->exprs, predicate, run->context, false)) {
        return false;
    }
    json_t *lists = lists_in(run, predicate);
    bool holds = json_array_size(lists) > 0 &&
                 evidence_would_hold(run, predicate, emptied(json_object_get(run->context, "body"), lists));
    json_decref(lists);
    return holds;
}

/* A list, a number, or nothing found: another page may add to it. A text or an object is what was looked for. */
static bool is_open(const json_t *value)
{
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        if (json_is_array(member)) {
            return true;
        }
    }
    return !json_is_string(value) && !json_is_object(value) && !json_is_true(value);
}

static bool saves_list(const struct run *run, const json_t *save)
{
    const char *name;
    json_t *tmpl;
    bool open = false;
    json_object_foreach((json_t *)(uintptr_t)save, name, tmpl)
    {
        json_t *lists = lists_in(run, tmpl);
        json_t *value = json_array_size(lists) ? expr_render(run->engine->exprs, tmpl, run->context, NULL) : NULL;
        open = open || (value && is_open(value));
        json_decref(value);
        json_decref(lists);
    }
    return open;
}

/* Does what the request says of the answer depend on what stands on other pages? */
static bool depends(const struct run *run, const json_t *request)
{
    static const char *const predicates[] = {"already", "missing", "that", "expect"};
    const json_t *require = json_object_get(request, "require");
    const json_t *that = json_is_object(require) ? json_object_get(require, "that") : require;
    const json_t *expect = json_object_get(request, "expect");
    bool open = saves_list(run, json_object_get(request, "save")) ||
                partial_holds_of_nothing(run, json_is_string(that) ? that : NULL) ||
                partial_holds_of_nothing(run, json_at(request, "poll.until"));
    for (size_t i = 0; i < COUNT_OF(predicates); i++) {
        open = open || partial_holds_of_nothing(run, json_object_get(request, predicates[i]));
    }
    bool finds = expect && !run->looking; /* an earlier call, which another page may show */
    return open || (finds && !expr_true(run->engine->exprs, expect, run->context, false));
}

static void note_path(const struct expr_path *path, void *arg)
{
    bool *reads = arg;
    (void)path;
    *reads = true;
}

/* `more: false` and the like: a connector says of a list that it comes in one answer. */
static bool is_whole(const json_t *request)
{
    const json_t *pages = json_object_get(request, "pages");
    const json_t *tells = json_object_get(pages, json_object_get(pages, "next") ? "next" : "more");
    bool reads = false;
    paths_each(tells, note_path, &reads);
    return pages && !reads;
}

/* Of a list with `pages` only the last page is judged: what says that there are others then says it against the connector. */
char *partial_why(const struct run *run, const json_t *request)
{
    bool pages = json_object_get(request, "pages") != NULL;
    if (request_changes(request) || is_whole(request)) {
        return NULL;
    }
    char *member = NULL;
    enum partial said = partial_said(run, request, &member);
    bool decides = run->searching || (run->looking && said != PARTIAL_LIKELY);
    char *why = NULL;
    if (said == PARTIAL_NO || !(decides || depends(run, request)) || (pages && pages_go_on(run, request))) {
        why = NULL;
    } else if (pages) {
        why = mem_printf(
            "the connector finds no further page (`pages`), and the vendor's answer says in %s that there is "
            "more: let `pages` read it",
            member);
    } else {
        why =
            mem_printf("the vendor's answer is one page of several, as it says in %s, and the connector does not read "
                       "the others (`pages`)",
                       member);
    }
    free(member);
    return why;
}
