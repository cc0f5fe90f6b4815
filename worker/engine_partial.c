#include "worker/engine_partial.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_lists.h"
#include "worker/engine_paths.h"

enum { WORD_MAX = 40, DEPTH_MAX = 6 };

/* ---- the words --------------------------------------------------------------------------------------------------- */

enum word {
    WORD_MORE,   /* true: there are more; false: there are none */
    WORD_PART,   /* true: there are more; false says nothing of pages */
    WORD_LAST,   /* false: there are more */
    WORD_NEXT,   /* the next page: a link, a token, a number */
    WORD_CURSOR, /* where to go on, or where this page begins */
    WORD_TOTAL,  /* how many there are on all pages */
    WORD_PAGES,  /* how many pages there are */
    WORD_PAGE,   /* which one this is */
    WORD_PLACE,  /* an object that holds such words */
};

/* In lower case, and without what stands between the parts of a name. */
static const struct {
    enum word word;
    const char *names;
} words[] = {
    {WORD_MORE, " more hasmore hasnext hasnextpage hasmoreitems hasmorepages hasmoreresults moreavailable morepages "
                "moreresults istruncated "},
    {WORD_PART, " truncated incompleteresults "},
    {WORD_LAST, " last islast islastpage lastpage "},
    {WORD_NEXT, " next nextlink nextpage nextpagetoken nexttoken nextcursor nexturl nexturi nexthref nextpageurl "
                "nextpagelink nextpagecursor nextpagestart nextrecordsurl nextmarker nextoffset nextstart nextkey "
                "nextbatch nextcontinuationtoken "},
    {WORD_CURSOR, " cursor offset continuation continuationtoken marker pagetoken "},
    {WORD_TOTAL, " total totalresults totalcount totalitems totalrecords totalelements totalsize odatacount "},
    {WORD_PAGES, " pages totalpages pagecount pagestotal numpages lastpage "},
    {WORD_PAGE, " page currentpage current pagenumber number pageindex "},
    {WORD_PLACE, " links link paging pagination pageinfo pages page meta metadata responsemetadata "},
};

/* " hasmore " of "has_more", " nextlink " of "@odata.nextLink". */
static void plain_name(const char *name, char plain[WORD_MAX])
{
    size_t len = 1;
    name += strncasecmp(name, "@odata.next", strlen("@odata.next")) == 0 ? strlen("@odata.") : 0;
    name += strncasecmp(name, "odata.next", strlen("odata.next")) == 0 ? strlen("odata.") : 0;
    plain[0] = ' ';
    for (; *name && len < WORD_MAX - 2; name++) {
        if (isalnum((unsigned char)*name)) {
            plain[len++] = (char)tolower((unsigned char)*name);
        }
    }
    plain[len] = ' ';
    plain[len + 1] = '\0';
}

static bool is_word(enum word word, const char *plain)
{
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (words[i].word == word) {
            return strstr(words[i].names, plain) != NULL;
        }
    }
    return false;
}

/* ---- what they say ----------------------------------------------------------------------------------------------- */

struct signs {
    bool more, over, named, cursor;
    double total, pages, page;
};

static double number_of(const json_t *value)
{
    const char *text = json_string_value(value);
    bool digits = text && *text && text[strspn(text, "0123456789")] == '\0';
    return json_is_number(value) ? json_number_value(value) : digits ? strtod(text, NULL) : 0;
}

static bool is_true(const json_t *value)
{
    const char *text = json_string_value(value);
    return json_is_true(value) || (text && strcasecmp(text, "true") == 0);
}

static bool is_false(const json_t *value)
{
    const char *text = json_string_value(value);
    return json_is_false(value) || (text && strcasecmp(text, "false") == 0);
}

/* A link, a token, a number, or an object with one of these. */
static bool names_page(const json_t *value)
{
    const char *name;
    json_t *member;
    bool names = (json_string_length(value) && !is_false(value)) || number_of(value) > 0;
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        names = names || json_string_length(member) || number_of(member) > 0;
    }
    return names;
}

/* [{rel: next, href: …}] */
static bool links_next(const json_t *list)
{
    size_t i;
    json_t *link;
    json_array_foreach(list, i, link)
    {
        const char *rel = json_string_at(link, "rel");
        rel = rel ? rel : json_string_at(link, "relation");
        if (rel && strcasecmp(rel, "next") == 0) {
            return true;
        }
    }
    return false;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void note_word(struct signs *signs, const char *plain, const json_t *value)
{
    bool more = is_word(WORD_MORE, plain), last = is_word(WORD_LAST, plain);
    signs->more = signs->more || ((more || is_word(WORD_PART, plain)) && is_true(value)) || (last && is_false(value));
    signs->over = signs->over || (more && is_false(value)) || (last && is_true(value));
    signs->named = signs->named || (is_word(WORD_NEXT, plain) && (names_page(value) || is_true(value))) ||
                   (is_word(WORD_PLACE, plain) && links_next(value));
    signs->cursor = signs->cursor || (is_word(WORD_CURSOR, plain) && json_string_length(value) && !number_of(value));
    signs->total = is_word(WORD_TOTAL, plain) ? larger(signs->total, number_of(value)) : signs->total;
    signs->pages = is_word(WORD_PAGES, plain) ? larger(signs->pages, number_of(value)) : signs->pages;
    signs->page = is_word(WORD_PAGE, plain) ? larger(signs->page, number_of(value)) : signs->page;
}

static bool holds_list(const json_t *object)
{
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, name, member)
    {
        if (json_is_array(member)) {
            return true;
        }
    }
    return false;
}

/* `place`: the words count here. They stand at the top, beside a list, and in objects that are made for them. */
static void read_object(struct signs *signs, const json_t *object, bool place, int depth)
{
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, name, member)
    {
        char plain[WORD_MAX];
        plain_name(name, plain);
        if (place) {
            note_word(signs, plain, member);
        }
        if (json_is_object(member) && depth < DEPTH_MAX) {
            read_object(signs, member, is_word(WORD_PLACE, plain) || holds_list(member), depth + 1);
        }
    }
}

/* RFC 8288: `<…>; rel="next"`; there may be several relations between the quotes. */
static bool header_links_next(const char *link)
{
    for (const char *rel = link ? strcasestr(link, "rel=") : NULL; rel; rel = strcasestr(rel, "rel=")) {
        rel += strlen("rel=");
        bool quoted = *rel == '"' || *rel == '\'';
        size_t len = strcspn(rel + quoted, quoted ? "\"'" : ";, ");
        const char *next = strcasestr(rel, "next");
        if (next && next < rel + quoted + len) {
            return true;
        }
    }
    return false;
}

static void read_headers(struct signs *signs, const json_t *headers)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
    {
        char plain[WORD_MAX];
        if (strncasecmp(name, "x-", 2) == 0) {
            plain_name(name + 2, plain);
            note_word(signs, plain, value);
        }
    }
    signs->named = signs->named || header_links_next(json_string_at(headers, "link"));
}

static size_t listed(const json_t *lists)
{
    size_t i;
    json_t *list;
    size_t sum = 0;
    json_array_foreach(lists, i, list)
    {
        sum += json_array_size(list);
    }
    return sum;
}

enum partial partial_said(const struct run *run, const json_t *request)
{
    struct signs signs = {0};
    read_object(&signs, json_object_get(run->context, "body"), true, 0);
    read_headers(&signs, json_object_get(run->context, "headers"));
    json_t *lists = lists_read(run, request);
    bool list = json_array_size(lists) > 0;
    bool beyond = signs.total > (double)listed(lists) || (signs.pages > 1 && signs.pages > signs.page);
    json_decref(lists);
    return signs.more                         ? PARTIAL_TOLD
           : signs.over                       ? PARTIAL_NO
           : signs.named                      ? PARTIAL_NAMED
           : list && (signs.cursor || beyond) ? PARTIAL_LIKELY
                                              : PARTIAL_NO;
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

char *partial_why(const struct run *run, const json_t *request)
{
    if (json_object_get(request, "pages") || request_changes(request)) {
        return NULL;
    }
    enum partial said = partial_said(run, request);
    bool decides = run->searching || (run->looking && said != PARTIAL_LIKELY);
    if (said == PARTIAL_NO || !(decides || depends(run, request))) {
        return NULL;
    }
    return mem_strdup(
        "the vendor's answer is one page of several, and the connector does not read the others (`pages`)");
}
