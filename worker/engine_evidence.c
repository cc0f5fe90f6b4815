/* What an answer proves. An empty page, an error object or a sign-in page shows nothing about an account, and a predicate that would
 * be true of such an answer must not be believed (docs/connectors.md, "What an answer proves"). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/text.h"
#include "worker/engine_compare.h"
#include "worker/engine_internal.h"
#include "worker/engine_partial.h"
#include "worker/engine_paths.h"
#include "worker/engine_told.h"

bool evidence_reads(const json_t *value, const char *name)
{
    return paths_read(value, name, NULL);
}

/* Does the request make something of this part of its answer, whatever it is? */
static bool uses(const json_t *request, const char *first, const char *second)
{
    static const char *const parts[] = {"success", "save", "expect", "that",  "found",
                                        "pages",   "poll", "until",  "batch", "find"};
    bool found =
        paths_read(json_is_string(json_object_get(request, "require")) ? json_object_get(request, "require") : NULL,
                   first, second);
    for (size_t i = 0; !found && i < COUNT_OF(parts); i++) {
        found = paths_read(json_object_get(request, parts[i]), first, second);
    }
    return found;
}

static bool reads_body(const json_t *request)
{
    return uses(request, "body", NULL) || paths_read(json_object_get(request, "already"), "body", NULL) ||
           paths_read(json_object_get(request, "missing"), "body", NULL);
}

/* ---- predicates that absence would satisfy ----------------------------------------------------------------------- */

bool evidence_would_hold(const struct run *run, const json_t *predicate, json_t *body)
{
    json_t *context = json_copy(run->context);
    json_object_set_new(context, "body", body);
    bool holds = expr_true(run->engine->exprs, predicate, context, false);
    json_decref(context);
    return holds;
}

struct completion {
    json_t *body;
    json_t *value;       /* what is put where a path ends */
    const json_t *omits; /* members that are left alone; NULL: none */
};

static bool is_omitted(const json_t *omits, const struct expr_path *path)
{
    size_t i;
    json_t *name;
    json_array_foreach(omits, i, name)
    {
        if (path_named(path, 1, json_string_value(name))) {
            return true;
        }
    }
    return false;
}

/* Adds what the path reads to a body that lacks it. */
static void complete_path(const struct expr_path *path, void *arg)
{
    struct completion *completion = arg;
    json_t *at = completion->body;
    if (!path_named(path, 0, "body") || is_omitted(completion->omits, path)) {
        return;
    }
    for (size_t i = 1; expr_path_name(path, i) && json_is_object(at); i++) {
        const char *name = expr_path_name(path, i);
        if (!json_object_get(at, name)) {
            json_object_set_new(at, name,
                                expr_path_name(path, i + 1) ? json_object() : json_deep_copy(completion->value));
        }
        at = json_object_get(at, name);
    }
}

/* `.body` as a whole (`.body | keys`), or all that there is (`..`). */
static bool is_whole_body(const struct expr_path *path)
{
    return path->count == 0 || (path->count == 1 && path_named(path, 0, "body"));
}

static void note_whole_body(const struct expr_path *path, void *arg)
{
    bool *whole = arg;
    *whole = *whole || is_whole_body(path);
}

/* Does the predicate hold whatever the body says, as one about a status does? Of one that searches the whole body nobody knows. */
static bool is_independent(const struct run *run, const json_t *predicate)
{
    bool searches = false;
    paths_each(predicate, note_whole_body, &searches);
    if (searches) {
        return false;
    }
    json_t *sentinel = json_pack("[s]", "offboard-sentinel"); /* something that no vendor would send */
    struct completion completion = {json_object(), sentinel, NULL};
    paths_each(predicate, complete_path, &completion);
    bool empty = json_object_size(completion.body) == 0;
    bool holds = evidence_would_hold(run, predicate, completion.body) &&
                 evidence_would_hold(run, predicate, json_incref(sentinel)) &&
                 (empty || !paths_read(predicate, "body", NULL) ||
                  evidence_would_hold(run, predicate, json_string("offboard-sentinel")));
    json_decref(sentinel);
    return holds;
}

struct presence {
    const struct run *run;
    const json_t *omits; /* members that the vendor leaves out when they are empty; NULL: none */
    bool lists;          /* only what is gone through as a list counts */
    bool all;
};

/* Is what the path reads in the answer: a list where it goes through one, else the member, be it null? */
static void look_for_path(const struct expr_path *path, void *arg)
{
    struct presence *presence = arg;
    const json_t *body = json_object_get(presence->run->context, "body");
    if (!path_named(path, 0, "body") && path->count) {
        return;
    }
    bool whole = is_whole_body(path) && !path->iterated; /* a list, or an object that says something */
    if (presence->lists && !path->iterated && !whole) {
        return;
    }
    const json_t *value;
    enum reach reach = path_follow(presence->run->context, path, &value);
    bool there = json_is_null(body)      ? false
                 : whole                 ? json_is_array(body) || json_object_size(body) > 0
                 : reach == REACH_BEYOND ? true
                 : path->iterated        ? json_is_array(value)
                                         : reach != REACH_ABSENT;
    bool omitted = reach == REACH_ABSENT && json_is_object(body) && is_omitted(presence->omits, path);
    presence->all = presence->all && (there || omitted);
}

static bool all_present(const struct run *run, const json_t *request, const json_t *value, bool lists)
{
    struct presence presence = {.run = run, .omits = json_object_get(request, "omits"), .lists = lists, .all = true};
    paths_each(value, look_for_path, &presence);
    return presence.all;
}

/* Would the value hold something if everything it reads were in the answer, with `filling` in place of what is not? */
static bool filled_with(const struct run *run, const json_t *request, const json_t *value, json_t *filling)
{
    const json_t *body = json_object_get(run->context, "body");
    struct completion completion = {json_is_object(body) ? json_deep_copy(body) : json_object(), filling,
                                    json_object_get(request, "omits")};
    paths_each(value, complete_path, &completion);
    json_t *context = json_copy(run->context);
    json_object_set_new(context, "body", completion.body);
    json_t *then = expr_render(run->engine->exprs, value, context, NULL);
    bool filled = json_array_size(then) > 0;
    json_decref(then);
    json_decref(context);
    json_decref(filling);
    return filled;
}

/* The value is an empty list. Is it because a list that it reads is not in the answer (`.body.users // []`)? */
static bool lacks_list(const struct run *run, const json_t *request, const json_t *value)
{
    return filled_with(run, request, value, json_pack("[s]", "offboard-sentinel")) ||
           filled_with(run, request, value, json_pack("[{}]"));
}

/* Is the list that the value comes from in the answer? */
static bool list_present(const struct run *run, const json_t *request, const json_t *value)
{
    return all_present(run, request, value, true) && !lacks_list(run, request, value);
}

/* The predicate is true of this answer. Is it because of what the answer says, or would it be true of an empty one, too? */
static bool is_proven(const struct run *run, const json_t *request, const json_t *predicate)
{
    if (json_is_boolean(predicate) || !paths_read(predicate, "body", NULL)) {
        return true;
    }
    bool absence =
        evidence_would_hold(run, predicate, json_null()) || evidence_would_hold(run, predicate, json_object());
    return !absence || is_independent(run, predicate) ||
           (all_present(run, request, predicate, false) && !compare_look(run, predicate).null);
}

static bool is_good_status(const struct response *response)
{
    return response->ldap ? response->status == 0 : response->status >= 200 && response->status < 300;
}

/* An error answer is about the request, not about the account: only a predicate that names the status may read it. A few errors
 * answer the question as well (404, 409, 410 …), as far as absence proves nothing there. An error that comes as a web page, or
 * as text that is no JSON, is no word of the vendor's interface: a gateway, or a wrong address, says 404 as well. */
static bool may_read(const struct run *run, const json_t *request, const json_t *predicate,
                     const struct response *response, bool expects)
{
    int status = response->status;
    bool text = json_true_at(request, "text") || request_is_mail(request);
    bool foreign = response->web_page || (response->plain && !text);
    if (foreign && !is_good_status(response)) {
        return false;
    }
    if (is_good_status(response) || json_is_boolean(predicate) || paths_read(predicate, "status", NULL)) {
        return true;
    }
    bool about_request = status < 400 || status == 401 || status == 403 || status == 429 || status >= 500;
    if (expects || response->ldap || about_request) {
        return false;
    }
    return !evidence_would_hold(run, predicate, json_null()) && !evidence_would_hold(run, predicate, json_object());
}

/* A directory leaves out what the account that binds may not read. Where its entries show none of the attributes asked for, a predicate
 * about attributes holds because of what nobody saw. */
static bool is_hidden(const struct run *run, const json_t *predicate)
{
    const json_t *body = json_object_get(run->context, "body");
    const char *text = json_string_value(predicate);
    bool shown = !json_is_array(body) || json_array_size(body) == 0 || !text || !strstr(text, "attributes");
    size_t i;
    json_t *entry;
    json_array_foreach(body, i, entry)
    {
        shown = shown || json_object_size(json_object_get(entry, "attributes")) > 0;
    }
    return !shown;
}

/* Once a page of a list has been read, an error on a later one is about that page: a link or a cursor that has expired. And that one page
 * lists nothing says nothing of the others. */
static bool is_about_page(const struct run *run, const json_t *request, const struct response *response,
                          const char *name)
{
    bool of_all = strcmp(name, "already") == 0 || strcmp(name, "missing") == 0; /* `expect` is asked of each page */
    return (pages_later(request) && !is_good_status(response)) ||
           (of_all && partial_holds_of_nothing(run, json_object_get(request, name)) &&
            !pages_decide(run, request, json_object_get(request, name)));
}

/* The connector says which answers are good ones (`success`), and this is none: it may be about somebody else. Then a read shows
 * nothing, unless what was asked for is the error that the answer tells of. */
static bool is_no_success(const struct run *run, const json_t *request, const struct response *response,
                          const json_t *predicate)
{
    return paths_read(json_object_get(request, "success"), "body", NULL) && !request_changes(request) &&
           is_good_status(response) && !classify_says(run, request, "success") &&
           !told_error_read(json_object_get(run->context, "body"), predicate);
}

bool evidence_shows(const struct run *run, const json_t *request, const struct response *response, const char *name)
{
    const json_t *predicate = json_object_get(request, name);
    bool success = strcmp(name, "success") == 0;
    if (!predicate || !may_read(run, request, predicate, response, strcmp(name, "expect") == 0) ||
        !expr_true(run->engine->exprs, predicate, run->context, false) || is_about_page(run, request, response, name) ||
        (!success && is_no_success(run, request, response, predicate))) {
        return false;
    }
    if (response->ldap) {
        return !is_hidden(run, predicate);
    }
    return success || !is_good_status(response) || is_proven(run, request, predicate);
}

bool evidence_shows_not(const struct run *run, const json_t *request, const char *name)
{
    const json_t *predicate = json_object_get(request, name);
    return all_present(run, request, predicate, true);
}

/* ---- answers that say nothing ------------------------------------------------------------------------------------ */

/* Is the error one that the request expects? It makes something of the member, or a predicate that reads the member holds. That
 * `missing` looks at the errors of a 404 says nothing about one that comes with 200. */
static bool knows_error(const struct run *run, const json_t *request, const char *member)
{
    static const char *const judging[] = {"denied", "blocked", "retry", "already", "missing"};
    size_t count =
        pages_later(request) ? 3 : COUNT_OF(judging); /* a later page says nothing of the account by an error */
    bool known = uses(request, "body", member);
    for (size_t i = 0; !known && i < count; i++) {
        const json_t *predicate = json_object_get(request, judging[i]);
        known = paths_read(predicate, "body", member) && expr_true(run->engine->exprs, predicate, run->context, false);
    }
    return known;
}

/* Does one of the request's predicates hold all the same? Then it is about the status, or the text is what was asked for. A
 * `success` that is about the status alone does not tell whether what else is read of the body is there. */
static bool any_shows(const struct run *run, const json_t *request, const struct response *response)
{
    static const char *const names[] = {"expect", "already", "missing"};
    const json_t *success = json_object_get(request, "success");
    bool any = paths_read(success, "body", NULL) && evidence_shows(run, request, response, "success") &&
               is_proven(run, request, success);
    for (size_t i = 0; !any && i < COUNT_OF(names); i++) {
        any = evidence_shows(run, request, response, names[i]);
    }
    return any;
}

/* 202: it will be answered later; 206: it is a part. Only who names the status knows what to make of it. */
static char *why_partial(const struct run *run, const json_t *request, const struct response *response)
{
    bool partial = response->status == 202 || response->status == 206;
    bool named = paths_read(request, "status", NULL);
    if (!partial || named || request_changes(request) || !reads_body(request)) {
        return NULL;
    }
    (void)run;
    return mem_strdup(response->status == 202 ? "the vendor only accepted the question, and has not answered it"
                                              : "the vendor's answer is only a part of the whole");
}

/* `text: true` is no word for web pages: a sign-in page lacks whatever a text is to lack. */
static char *why_unusable(const json_t *request, const struct response *response)
{
    if (response->web_page) {
        return mem_strdup(
            "the vendor answered with a web page instead of data: is the address right, and is the token good?");
    }
    if (response->unreadable && !json_true_at(request, "text")) {
        return mem_printf("the vendor's answer can't be read: %s", response->unreadable);
    }
    return NULL;
}

static char *why_no_data(const struct run *run, const json_t *request, const struct response *response)
{
    const json_t *body = json_object_get(run->context, "body");
    if (!reads_body(request) || request_changes(request) || any_shows(run, request, response)) {
        return NULL;
    }
    if (json_is_null(body)) {
        return mem_strdup("the vendor's answer is empty");
    }
    if (!response->plain) {
        return NULL;
    }
    return response->error ? mem_strdup(response->error)
                           : mem_strdup("the vendor's answer is text, where JSON was asked for");
}

/* Accounts are looked for: the answer has to hold the list (or the account), else it does not say that there is none. */
static char *why_nobody_named(const struct run *run, const json_t *request)
{
    const json_t *found = json_object_get(request, "found");
    const json_t *id = json_at(request, "save.id");
    const json_t *tmpl = found ? found : id;
    bool reads_answer =
        paths_read(tmpl, "body", NULL) || paths_read(tmpl, "status", NULL) || paths_read(tmpl, "headers", NULL);
    json_t *value = tmpl ? expr_render(run->engine->exprs, tmpl, run->context, NULL) : NULL;
    bool nobody = json_is_array(value) && json_array_size(value) == 0;
    bool readable = found ? json_is_array(value) || json_is_object(value) : value && !json_is_null(value);
    json_decref(value);
    if (!tmpl || (readable && !nobody)) {
        return NULL;
    }
    if (!reads_answer && !paths_read(tmpl, "saved", NULL)) {
        return mem_strdup("the expression that names the account reads nothing of the vendor's answer");
    }
    if ((readable || !found) && all_present(run, request, tmpl, false)) { /* the list is there, and it is empty */
        return NULL;
    }
    return mem_strdup("the vendor's answer names neither an account nor a list of accounts");
}

/* An empty list was saved from an answer that holds no such list. */
static char *why_not_listed(const struct run *run, const json_t *request)
{
    const char *name;
    json_t *tmpl;
    json_object_foreach(json_object_get(request, "save"), name, tmpl)
    {
        json_t *value = expr_render(run->engine->exprs, tmpl, run->context, NULL);
        bool empty = json_is_array(value) && json_array_size(value) == 0;
        json_decref(value);
        if (empty && !list_present(run, request, tmpl)) {
            return mem_printf("the vendor's answer lacks the list that is saved as \"%s\"", name);
        }
    }
    return NULL;
}

char *evidence_odd(const struct run *run, const json_t *request, const struct response *response)
{
    if (response->ldap || request_is_mail(request) || !is_good_status(response)) {
        return NULL;
    }
    char *why = why_unusable(request, response);
    if (why || json_true_at(request, "text")) {
        return why;
    }
    const json_t *body = json_object_get(run->context, "body");
    const char *member = told_error(body);
    why = why_no_data(run, request, response);
    why = why ? why : why_partial(run, request, response);
    why = why ? why : partial_why(run, request);
    if (!why && member && !knows_error(run, request, member)) {
        char *said = explain(run, request);
        why = mem_printf("the vendor answered %d, but with an error%s%s", response->status, *said ? ": " : "", said);
        free(said);
    }
    bool over = evidence_shows(run, request, response, "missing") || evidence_shows(run, request, response, "already");
    if (!why && run->searching && !over) {
        why = why_nobody_named(run, request);
    }
    if (!why && !request_changes(request) && !over) {
        why = why_not_listed(run, request);
    }
    return why;
}
