#include "worker/engine_signs.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/mem.h"
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
    WORD_COUNT,  /* how many there are: on this page, on all, or left; of what, is not sure */
    WORD_DONE,   /* false beside a bound: there are more */
    WORD_BOUND,  /* what only pages have */
    WORD_PAGES,  /* how many pages there are */
    WORD_PAGE,   /* which one this is */
    WORD_PLACE,  /* an object that holds such words */
};

/* In lower case, and without what stands between the parts of a name. */
static const struct {
    enum word word;
    const char *names;
} words[] = {
    {WORD_MORE,
     " more hasmore hasnext hasnextpage hasmoreitems hasmorepages hasmoreresults moreavailable morepages "
     "moreresults istruncated morerecords hasmorerecords hasmorerows moreitemsincollection moredataavailable "
     "hasmoredata morerows "},
    {WORD_PART, " truncated incompleteresults "},
    {WORD_LAST, " last islast islastpage lastpage "},
    {WORD_NEXT, " next nextlink nextpage nextpagetoken nexttoken nextcursor nexturl nexturi nexthref nextpageurl "
                "nextpagelink nextpagecursor nextpagestart nextrecordsurl nextmarker nextoffset nextstart nextkey "
                "nextbatch nextcontinuationtoken lastevaluatedkey "},
    {WORD_CURSOR,
     " cursor aftercursor after offset continuation continue continuationtoken mscontinuationtoken marker pagetoken "
     "scrollid "},
    {WORD_TOTAL,
     " total totalresults totalcount totalitems totalrecords totalelements totalsize odatacount totalavailable "
     "totalsetsize totalobjects totalrows totalhits totalusers remainingitemcount "},
    {WORD_COUNT, " count remaining "},
    {WORD_DONE, " done "},
    {WORD_BOUND, " limit offset start cursor pagesize perpage totalsize "},
    {WORD_PAGES, " pages totalpages pagecount pagestotal numpages lastpage "},
    {WORD_PAGE, " page currentpage current pagenumber number pageindex "},
    {WORD_PLACE,
     " links link paging pagination pageinfo pages page meta metadata responsemetadata listmetadata listinfo "},
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

/* ---- where they stand -------------------------------------------------------------------------------------------- */

/* How much is made of the words in an object. */
enum standing {
    STANDS_ALONE,     /* a thing of its own */
    STANDS_BESIDE,    /* it stands beside a list: words that are made for pages count */
    STANDS_FOR_PAGES, /* at the top, around a list, or by its name made for such words */
};

struct reader {
    struct signs *signs;
    const json_t *own; /* {path: true}: what `pages` reads */
    const char *path;  /* of the member in hand */
};

static void put(char **member, const struct reader *reader, bool says)
{
    if (says && !*member) {
        *member = mem_strdup(reader->path);
    }
}

static void put_number(const struct reader *reader, double *largest, double number)
{
    if (number > *largest) {
        *largest = number;
        free(reader->signs->counts);
        reader->signs->counts = mem_strdup(reader->path);
    }
}

/* Words that could be about anything: a date, a name, a count of other things. */
static bool is_common(const char *plain)
{
    return strstr(
        " more next last total pages page number current offset after cursor count remaining continue done marker ",
        plain);
}

/* `bound`: the object has what only pages have. */
static void note_word(const struct reader *reader, const char *plain, const json_t *value, bool bound)
{
    struct signs *signs = reader->signs;
    bool more = is_word(WORD_MORE, plain), last = is_word(WORD_LAST, plain);
    bool done = is_word(WORD_DONE, plain) && bound;
    put(&signs->more, reader,
        ((more || is_word(WORD_PART, plain)) && is_true(value)) || ((last || done) && is_false(value)));
    signs->over = signs->over || (more && is_false(value)) || (last && is_true(value));
    put(&signs->named, reader,
        (is_word(WORD_NEXT, plain) && (names_page(value) || is_true(value))) ||
            (is_word(WORD_PLACE, plain) && links_next(value)));
    put(&signs->cursor, reader, is_word(WORD_CURSOR, plain) && json_string_length(value) && !number_of(value));
    if (is_word(WORD_TOTAL, plain) || (is_word(WORD_COUNT, plain) && (bound || strcmp(plain, " count ") == 0))) {
        put_number(reader, &signs->total, number_of(value));
    }
    if (is_word(WORD_PAGES, plain)) {
        put_number(reader, &signs->pages, number_of(value));
    }
    if (is_word(WORD_PAGE, plain) && number_of(value) > signs->page) {
        signs->page = number_of(value);
    }
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

static bool has_bound(const json_t *object)
{
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, name, member)
    {
        char plain[WORD_MAX];
        plain_name(name, plain);
        if (is_word(WORD_BOUND, plain)) {
            return true;
        }
    }
    return false;
}

static enum standing standing_of(const char *plain, const json_t *object, bool beside)
{
    return is_word(WORD_PLACE, plain) || holds_list(object) ? STANDS_FOR_PAGES : beside ? STANDS_BESIDE : STANDS_ALONE;
}

static void read_object(struct reader *reader, const json_t *object, enum standing standing, int depth)
{
    bool bound = has_bound(object), beside = holds_list(object);
    const char *name, *outer = reader->path;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, name, member)
    {
        char plain[WORD_MAX];
        char *path = mem_printf("%s%s%s", outer, *outer ? "." : "", name);
        plain_name(name, plain);
        reader->path = path;
        bool counts = standing == STANDS_FOR_PAGES || (standing == STANDS_BESIDE && (bound || !is_common(plain)));
        if (counts && !json_object_get(reader->own, path)) {
            note_word(reader, plain, member, bound);
        }
        if (json_array_size(member) > reader->signs->longest) {
            reader->signs->longest = json_array_size(member);
        }
        if (json_is_object(member) && depth < DEPTH_MAX && !json_object_get(reader->own, path)) {
            read_object(reader, member, standing_of(plain, member, beside), depth + 1);
        }
        free(path);
    }
    reader->path = outer;
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

/* RFC 9110, 14.4, with whatever unit: "items 0-24/319"; 0: it does not say. */
static double range_total(const char *range)
{
    const char *slash = range ? strchr(range, '/') : NULL;
    return slash ? strtod(slash + 1, NULL) : 0;
}

static void read_headers(struct reader *reader, const json_t *headers)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
    {
        char plain[WORD_MAX];
        char *path = mem_printf("the header %s", name);
        bool own = json_object_get(reader->own, path) != NULL;
        reader->path = path;
        plain_name(name + (strncasecmp(name, "x-", 2) == 0 ? 2 : 0), plain);
        if (!own && strncasecmp(name, "x-", 2) == 0) {
            note_word(reader, plain, value, true);
        }
        if (!own && strcasecmp(name, "content-range") == 0) {
            put_number(reader, &reader->signs->total, range_total(json_string_value(value)));
        }
        if (!own && strcasecmp(name, "link") == 0) {
            put(&reader->signs->named, reader, header_links_next(json_string_value(value)));
        }
        free(path);
    }
    reader->path = "";
}

/* ---- what the connector reads itself ----------------------------------------------------------------------------- */

static void note_own(const struct expr_path *path, void *arg)
{
    json_t *own = arg;
    char *text = NULL;
    if (path_named(path, 0, "headers") && expr_path_name(path, 1)) {
        text = mem_printf("the header %s", expr_path_name(path, 1));
    }
    for (size_t i = 1; path_named(path, 0, "body") && expr_path_name(path, i); i++) {
        char *longer = mem_printf("%s%s%s", text ? text : "", text ? "." : "", expr_path_name(path, i));
        free(text);
        text = longer;
    }
    if (text) {
        json_object_set_new(own, text, json_true());
    }
    free(text);
}

void signs_read(struct signs *signs, const struct run *run, const json_t *request)
{
    json_t *own = json_object();
    const json_t *body = json_object_get(run->context, "body");
    *signs = (struct signs){.longest = json_array_size(body)};
    struct reader reader = {signs, own, ""};
    paths_each(json_object_get(request, "pages"), note_own, own);
    read_object(&reader, body, STANDS_FOR_PAGES, 0);
    read_headers(&reader, json_object_get(run->context, "headers"));
    json_decref(own);
}

void signs_release(struct signs *signs)
{
    free(signs->more);
    free(signs->named);
    free(signs->cursor);
    free(signs->counts);
    *signs = (struct signs){0};
}
