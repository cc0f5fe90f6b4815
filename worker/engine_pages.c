/* From one page of a listing to the next. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_compare.h"
#include "worker/engine_lists.h"
#include "worker/engine_partial.h"
#include "worker/link.h"

/* A next-page link may not lead to another host: our credentials would go with it. */
static bool same_origin(struct run *run, const json_t *request, const char *link)
{
    char *base = request_base(run, request, NULL);
    bool same = base && link_same_origin(base, link);
    free(base);
    return same;
}

/* `request` for another page; takes over `page`. The same page twice would go on for ever. */
static enum verdict next_page(struct run *run, const json_t *request, json_t *page, json_t **next)
{
    enum verdict verdict = VERDICT_DONE;
    json_t *asked = json_copy(json_object_get(request, "page"));
    json_object_del(asked, "read");
    if (json_equal(page, asked)) {
        verdict = run_say(run, VERDICT_FAILED, "the next page is the same page again");
    } else {
        *next = json_copy((json_t *)(uintptr_t)request);
        json_object_set(*next, "page", page);
    }
    json_decref(asked);
    json_decref(page);
    return verdict;
}

/* What the vendor writes on a page is relative to that page. */
static enum verdict follow_link(struct run *run, const json_t *request, const char *link, json_t **next)
{
    char *url = run->url ? link_resolve(run->url, link) : NULL;
    enum verdict verdict;
    if (!url) {
        verdict = run_say(run, VERDICT_FAILED, "the link to the next page is no link: %s", link);
    } else if (!same_origin(run, request, url)) {
        verdict = run_say(run, VERDICT_FAILED, "the link to the next page leads to another host: %s", url);
    } else if (strcmp(url, run->url) == 0) {
        verdict = run_say(run, VERDICT_FAILED, "the next page is the same page again");
    } else {
        verdict = next_page(run, request, json_pack("{s:s}", "link", url), next);
    }
    free(url);
    return verdict;
}

static enum verdict by_link(struct run *run, const json_t *request, const json_t *tmpl, json_t **next)
{
    struct err err = ERR_INIT;
    json_t *link = expr_render(run->engine->exprs, tmpl, run->context, &err);
    enum verdict verdict = VERDICT_DONE;
    if (!link) {
        verdict = run_say(run, VERDICT_FAILED, "could not read the link to the next page: %s", err_text(&err));
    } else if (json_is_string(link) && json_string_length(link)) {
        verdict = follow_link(run, request, json_string_value(link), next);
    } else if (!json_is_string(link) && !json_is_null(link) && !json_is_false(link)) {
        char *text = json_text(link); /* taken for the end, it would hide the pages behind it */
        verdict =
            run_say(run, VERDICT_FAILED,
                    "the link to the next page has to be a text, or null after the last page, and it is %s", text);
        free(text);
    }
    json_decref(link);
    err_release(&err);
    return verdict;
}

/* A list that ends because nobody could tell whether it goes on would be taken for a whole one. */
static enum verdict is_there_more(struct run *run, const json_t *predicate, bool *more)
{
    struct err err = ERR_INIT;
    json_t *value = expr_render(run->engine->exprs, predicate, run->context, &err);
    enum verdict verdict = VERDICT_DONE;
    *more = value && !json_is_null(value) && !json_is_false(value);
    const char *doubt = !value ? err_text(&err) : *more ? NULL : compare_doubt(run, predicate, json_is_null(value));
    if (doubt) {
        verdict = run_say(run, VERDICT_FAILED, "could not tell whether there is another page: %s", doubt);
    }
    json_decref(value);
    err_release(&err);
    return verdict;
}

/* Members of `query` or of the body, as `pages` says for the next page; they replace those of the request. */
static enum verdict by_parameters(struct run *run, const json_t *request, const json_t *pages, json_t **next)
{
    bool more = false;
    if (is_there_more(run, json_object_get(pages, "more"), &more) != VERDICT_DONE) {
        return VERDICT_FAILED;
    }
    if (!more) {
        return VERDICT_DONE;
    }
    static const char *const parts[] = {"query", "json"};
    json_t *page = json_object();
    struct err err = ERR_INIT;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        const json_t *changed = json_object_get(pages, parts[i]);
        json_t *values = changed ? expr_render(run->engine->exprs, changed, run->context, &err) : NULL;
        if (changed && !values) {
            json_decref(page);
            enum verdict verdict = run_say(run, VERDICT_FAILED, "could not ask for the next page: %s", err_text(&err));
            err_release(&err);
            return verdict;
        }
        json_put(page, parts[i], values);
    }
    return next_page(run, request, page, next);
}

/* Keeps in `next` what the pages up to this one have shown, so that the next one can be judged by it, whichever attempt asks for it:
 * what stood on this one, and how many there were, and whether all of them agree that there is nothing. */
static void keep_read(const struct run *run, const json_t *request, json_t *next, const char *seen)
{
    bool nothing = !pages_later(request) || json_is_true(json_at(request, "page.read.nothing"));
    nothing = nothing && (partial_holds_of_nothing(run, json_object_get(request, "already")) ||
                          partial_holds_of_nothing(run, json_object_get(request, "missing")));
    json_t *lists = lists_read(run, request);
    json_int_t listed = json_int_at(request, "page.read.listed", 0) + (json_int_t)lists_size(lists);
    json_t *read = json_pack("{s:b, s:I, s:I}", "nothing", (int)nothing, "listed", listed, "pages",
                             json_int_at(request, "page.read.pages", 0) + 1);
    json_decref(lists);
    json_t *page = json_copy(json_object_get(next, "page"));
    json_put_string(read, "seen", seen);
    json_object_set_new(page, "read", read);
    json_object_set_new(next, "page", page);
}

/* A vendor that does not know the parameters of `pages` gives its first page for each of them: what stands on the others, nobody has
 * seen. */
static enum verdict turn(struct run *run, const json_t *request, const json_t *pages, json_t **next)
{
    const json_t *link = json_object_get(pages, "next");
    char *seen = lists_fingerprint(run, request);
    const char *before = json_string_at(request, "page.read.seen");
    enum verdict verdict;
    if (seen && before && strcmp(seen, before) == 0) {
        verdict = run_say(run, VERDICT_FAILED,
                          "the vendor gave the same page again where the next one was asked for, so nobody knows what "
                          "stands on the others: are the parameters in `pages` those that it knows?");
    } else {
        verdict = link ? by_link(run, request, link, next) : by_parameters(run, request, pages, next);
    }
    if (verdict == VERDICT_DONE && *next) {
        keep_read(run, request, *next, seen);
    }
    free(seen);
    return verdict;
}

enum verdict pages_next(struct run *run, const json_t *request, json_t **next)
{
    *next = NULL;
    const json_t *pages = json_object_get(request, "pages");
    return pages && !run->unsent ? turn(run, request, pages, next) : VERDICT_DONE;
}
