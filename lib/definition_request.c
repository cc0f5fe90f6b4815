/* What is checked of a connector's requests. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/definition_auth.h"
#include "lib/definition_request.h"
#include "lib/json.h"
#include "lib/mem.h"

/* What every kind of request has. */
static const struct check_key request_keys[] = {
    {"get", CHECK_TEMPLATE, false},      {"post", CHECK_TEMPLATE, false},
    {"put", CHECK_TEMPLATE, false},      {"patch", CHECK_TEMPLATE, false},
    {"delete", CHECK_TEMPLATE, false},   {"head", CHECK_TEMPLATE, false},
    {"mail", CHECK_MAP, false},          {"wait", CHECK_MAP, false},
    {"query", CHECK_MAP, false},         {"headers", CHECK_MAP, false},
    {"json", CHECK_ANY, false},          {"form", CHECK_ANY, false},
    {"success", CHECK_PREDICATE, false}, {"already", CHECK_PREDICATE, false},
    {"missing", CHECK_PREDICATE, false}, {"blocked", CHECK_PREDICATE, false},
    {"denied", CHECK_PREDICATE, false},  {"retry", CHECK_PREDICATE, false},
    {"changes", CHECK_BOOL, false},      {"limit", CHECK_TEXT, false},
    {"timeout", CHECK_DURATION, false},  {"as", CHECK_MAP, false},
    {"base", CHECK_TEMPLATE, false},     {"ldap", CHECK_MAP, false},
    {"message", CHECK_TEMPLATE, false},  {"text", CHECK_BOOL, false},
    {"omits", CHECK_TEXTS, false},
};

static const struct check_key sequence_keys[] = {
    {"if", CHECK_PREDICATE, false},   {"save", CHECK_MAP, false},       {"for_each", CHECK_TEMPLATE, false},
    {"parallel", CHECK_COUNT, false}, {"pages", CHECK_MAP, false},      {"find", CHECK_MAP, false},
    {"require", CHECK_ANY, false},    {"poll", CHECK_MAP, false},       {"secret", CHECK_TEXTS, false},
    {"batch", CHECK_MAP, false},      {"found", CHECK_TEMPLATE, false}, {"unverified", CHECK_TEXT, false},
};

static const struct check_key batch_keys[] = {
    {"size", CHECK_COUNT, true},       /* items in one call, at most */
    {"results", CHECK_TEMPLATE, true}, /* a list with what the answer says of each */
};

static const struct check_key require_keys[] = {
    {"that", CHECK_PREDICATE, true},
    {"why", CHECK_TEMPLATE, false},
};

static const struct check_key poll_keys[] = {
    {"every", CHECK_DURATION, true},  {"up_to", CHECK_DURATION, false},   {"timeout", CHECK_DURATION, true},
    {"until", CHECK_PREDICATE, true}, {"failed", CHECK_PREDICATE, false},
};

static const struct check_key find_keys[] = {
    {"expect", CHECK_PREDICATE, true},
    {"save", CHECK_MAP, false},
    {"pages", CHECK_MAP, false},
};

static const struct check_key verify_keys[] = {
    {"expect", CHECK_PREDICATE, true},   {"within", CHECK_DURATION, false}, {"every", CHECK_DURATION, false},
    {"for_each", CHECK_TEMPLATE, false}, {"pages", CHECK_MAP, false},       {"if", CHECK_PREDICATE, false},
    {"save", CHECK_MAP, false},
};

static const struct check_key pages_keys[] = {
    {"next", CHECK_TEMPLATE, false},  /* path or URL of the next page; null: this was the last */
    {"query", CHECK_MAP, false},      /* parameters of the next page */
    {"json", CHECK_MAP, false},       /* members of the next page's body */
    {"more", CHECK_PREDICATE, false}, /* is there another page? */
};

static const struct check_key mail_keys[] = {
    {"to", CHECK_ANY, true},         {"cc", CHECK_ANY, false},        {"bcc", CHECK_ANY, false},
    {"from", CHECK_TEMPLATE, false}, {"reply_to", CHECK_ANY, false},  {"subject", CHECK_TEMPLATE, true},
    {"text", CHECK_TEMPLATE, true},  {"html", CHECK_TEMPLATE, false}, {"message_id", CHECK_TEMPLATE, false},
    {"headers", CHECK_MAP, false},
};

static const char *const methods[] = {"get", "post", "put", "patch", "delete", "head", "mail", "wait", "ldap"};

void check_limit(struct check *check, const char *pointer, const json_t *owner)
{
    const char *limit = json_string_at(owner, "limit");
    const json_t *limits = json_object_get(check->definition->tree, "limits");
    if (limit && !json_object_get(limits, limit)) {
        char *at = mem_printf("%s/limit", pointer);
        char *hint = check_hint_keys(limit, limits);
        check_problem(check, at, "there is no limit \"%s\"%s", limit, hint);
        free(hint);
        free(at);
    }
}

static void check_pages(struct check *check, const char *pointer, const json_t *pages)
{
    char *at = mem_printf("%s/pages", pointer);
    if (json_is_object(pages) && check_map(check, at, pages, pages_keys, COUNT_OF(pages_keys))) {
        bool next = json_object_get(pages, "next") != NULL;
        bool parts = json_object_get(pages, "query") || json_object_get(pages, "json");
        if (next == parts) {
            check_problem(check, at, "\"pages\" needs either \"next\", or \"query\" or \"json\" with \"more\"");
        } else if (parts && !json_object_get(pages, "more")) {
            check_problem(check, at,
                          "\"pages\" with \"query\" or \"json\" needs \"more\": when is there another page?");
        }
        static const char *const rendered[] = {"query", "json"};
        for (size_t i = 0; i < COUNT_OF(rendered); i++) {
            char *part = mem_printf("%s/%s", at, rendered[i]);
            check_expressions(check, part, json_object_get(pages, rendered[i]));
            free(part);
        }
    }
    free(at);
}

/* The one method of a request; NULL after a problem. */
static const char *check_method(struct check *check, const char *pointer, const json_t *request)
{
    const char *method = NULL;
    size_t given = 0;
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (json_object_get(request, methods[i])) {
            method = methods[i];
            given++;
        }
    }
    if (given != 1) {
        check_problem(check, pointer,
                      "a request has exactly one of get, post, put, patch, delete, head, mail, wait and ldap");
        return NULL;
    }
    const char *path = json_string_at(request, method);
    if (path && *path && *path != '/' && strncmp(path, "${", 2) != 0 && strncmp(path, "https://", 8) != 0 &&
        strncmp(path, "http://", 7) != 0) {
        char *at = mem_printf("%s/%s", pointer, method);
        check_problem(check, at, "a path begins with \"/\" (the connector's `base` comes before it)");
        free(at);
    }
    return method;
}

/* A mail; in a `check` an empty one: log in, send nothing. */
static void check_mail(struct check *check, const char *pointer, const json_t *request, bool reads)
{
    static const char *const useless[] = {"query", "headers", "json", "form", "pages", "changes", "find", "as"};
    const json_t *mail = json_object_get(request, "mail");
    const json_t *auth = json_object_get(check->definition->tree, "auth");
    char *at = mem_printf("%s/mail", pointer);
    if (reads && json_object_size(mail)) {
        check_problem(check, at, "no mail is sent by what only reads; `mail: {}` in `check` logs in");
    } else if (!reads && check_map(check, at, mail, mail_keys, COUNT_OF(mail_keys))) {
        check_expressions(check, at, mail);
    }
    for (size_t i = 0; i < COUNT_OF(useless); i++) {
        if (json_object_get(request, useless[i])) {
            check_problem(check, pointer, "a request with \"mail\" has no \"%s\"", useless[i]);
        }
    }
    if (json_object_get(request, "for_each") && !json_object_get(mail, "message_id")) {
        check_problem(check, at, "under `for_each` each mail needs its own `message_id`");
    }
    if (json_object_size(auth) && !json_object_get(auth, "basic")) {
        check_problem(check, at, "mail logs in with `auth: {basic: …}` only");
    }
    if (!json_at(check->definition->tree, "check.mail")) {
        check_problem(check, at, "a system that mails needs `check: {mail: {}}`: is the server there?");
    }
    free(at);
}

/* A dry run sends what only reads, and takes our word for what that is. */
static void check_reads_only(struct check *check, const char *pointer, const json_t *request, const char *method)
{
    bool reads = strcmp(method, "get") == 0 || strcmp(method, "head") == 0 ||
                 (strcmp(method, "post") == 0 && json_is_false(json_object_get(request, "changes")));
    if (!reads) {
        check_problem(check, pointer, "this request may only read: get, head, or post with `changes: false`");
    }
}

/* `more` are the keys that this kind of request has besides the common ones. */
static bool check_request(struct check *check, const char *pointer, const json_t *request, const struct check_key *more,
                          size_t count, bool reads)
{
    struct check_key keys[COUNT_OF(request_keys) + COUNT_OF(sequence_keys)];
    memcpy(keys, request_keys, sizeof request_keys);
    if (count) {
        memcpy(keys + COUNT_OF(request_keys), more, count * sizeof *more);
    }
    if (!check_map(check, pointer, request, keys, COUNT_OF(request_keys) + count)) {
        return false;
    }
    const char *method = check_method(check, pointer, request);
    if (method && strcmp(method, "mail") == 0) {
        check_mail(check, pointer, request, reads);
    } else if (method && strcmp(method, "wait") == 0 && !reads) {
        check_wait(check, pointer, request);
    } else if (method && strcmp(method, "ldap") == 0) {
        check_ldap(check, pointer, request, reads);
    } else if (method && reads) {
        check_reads_only(check, pointer, request, method);
    }
    const json_t *form = json_object_get(request, "form");
    if (form && !json_is_object(form) && !(json_is_string(form) && expr_has(json_string_value(form)))) {
        check_problem(check, pointer, "\"form\" must be a map, or an expression that yields one");
    }
    if (json_object_get(request, "json") && json_object_get(request, "form")) {
        check_problem(check, pointer, "a request has \"json\" or \"form\", not both");
    }
    static const char *const rendered[] = {"query", "headers", "json", "form", "save", "found"};
    for (size_t i = 0; i < COUNT_OF(rendered); i++) {
        char *at = mem_printf("%s/%s", pointer, rendered[i]);
        check_expressions(check, at, json_object_get(request, rendered[i]));
        free(at);
    }
    check_pages(check, pointer, json_object_get(request, "pages"));
    check_as(check, pointer, request);
    check_limit(check, pointer, request);
    return true;
}

static bool has_method(const json_t *request)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (json_object_get(request, methods[i])) {
            return true;
        }
    }
    return false;
}

static void check_required_reads(struct check *check, const char *pointer, const json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        char *at = mem_printf("%s/%zu", pointer, i);
        if (has_method(one)) {
            check_request(check, at, one, require_keys, COUNT_OF(require_keys), true);
        } else {
            check_problem(check, at, "of several things required each is a read of its own, with \"that\"");
        }
        free(at);
    }
}

/* A predicate, {that, why}, that with a read of its own, or a list of such reads. */
static void check_require(struct check *check, const char *pointer, const json_t *request)
{
    const json_t *require = json_object_get(request, "require");
    char *at = mem_printf("%s/require", pointer);
    if (json_is_array(require)) {
        check_required_reads(check, at, require);
    } else if (has_method(require)) {
        check_request(check, at, require, require_keys, COUNT_OF(require_keys), true);
    } else if (json_is_object(require)) {
        check_map(check, at, require, require_keys, COUNT_OF(require_keys));
    } else if (require) {
        static const struct check_key bare[] = {{"require", CHECK_PREDICATE, true}};
        json_t *alone = json_pack("{s:O}", "require", require);
        check_map(check, pointer, alone, bare, COUNT_OF(bare));
        json_decref(alone);
    }
    free(at);
}

static void check_poll(struct check *check, const char *pointer, const json_t *request)
{
    const json_t *poll = json_object_get(request, "poll");
    char *at = mem_printf("%s/poll", pointer);
    if (json_is_object(poll) && check_map(check, at, poll, poll_keys, COUNT_OF(poll_keys)) &&
        (json_object_get(request, "for_each") || json_object_get(request, "pages"))) {
        check_problem(check, at, "a request with \"poll\" is one call: no \"for_each\", no \"pages\"");
    }
    free(at);
}

/* One call for many items, each of which the answer tells about. */
static void check_batch(struct check *check, const char *pointer, const json_t *request)
{
    const json_t *batch = json_object_get(request, "batch");
    char *at = mem_printf("%s/batch", pointer);
    if (batch && !json_object_get(request, "for_each")) {
        check_problem(check, at, "\"batch\" needs \"for_each\": which items does the call take, several at a time?");
    }
    if (batch && (json_object_get(request, "pages") || json_object_get(request, "parallel") ||
                  json_object_get(request, "poll"))) {
        check_problem(check, at, "a request with \"batch\" has no \"pages\", \"parallel\" or \"poll\"");
    }
    if (json_is_object(batch) && check_map(check, at, batch, batch_keys, COUNT_OF(batch_keys))) {
        check_expressions(check, at, batch);
    }
    free(at);
}

/* Accounts are looked for in `identify` only, and nothing is made or waited for there. */
static void check_search(struct check *check, const char *pointer, const json_t *request, bool searches)
{
    static const char *const useless[] = {"find", "wait", "batch", "unverified"};
    for (size_t i = 0; searches && i < COUNT_OF(useless); i++) {
        if (json_object_get(request, useless[i])) {
            check_problem(check, pointer, "a request of \"identify\" has no \"%s\": it only looks for accounts",
                          useless[i]);
        }
    }
    if (!searches && json_object_get(request, "found")) {
        check_problem(check, pointer,
                      "\"found\" names the accounts of an answer: it belongs to requests of \"identify\"");
    }
}

/* What is kept to the job has to be saved here, or it is kept nowhere. */
static void check_secret(struct check *check, const char *pointer, const json_t *request)
{
    const json_t *save = json_object_get(request, "save");
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(request, "secret"), i, name)
    {
        const char *text = json_string_value(name);
        if (text && !json_object_get(save, text)) {
            char *hint = check_hint_keys(text, save);
            check_problem(check, pointer, "\"secret\": this request does not save \"%s\"%s", text, hint);
            free(hint);
        }
    }
}

/* The request that is made again and again while the job waits. */
static void check_meanwhile(struct check *check, const char *pointer, const json_t *request)
{
    static const struct check_key more[] = {{"every", CHECK_TEMPLATE, true},
                                            {"if", CHECK_PREDICATE, false},
                                            {"save", CHECK_MAP, false},
                                            {"until", CHECK_PREDICATE, false}};
    const json_t *meanwhile = json_at(request, "wait.meanwhile");
    char *at = mem_printf("%s/wait/meanwhile", pointer);
    if (json_is_object(meanwhile) && json_object_get(meanwhile, "wait")) {
        check_problem(check, at, "a wait within a wait: \"meanwhile\" is a request that is sent");
    } else if (json_is_object(meanwhile)) {
        check_request(check, at, meanwhile, more, COUNT_OF(more), false);
        check_duration_template(check, at, "every", json_string_at(meanwhile, "every"));
    }
    free(at);
}

static void read_answer(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    static const char *const parts[] = {"status", "body", "headers"};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (expr_path_within(path, parts[i])) {
            check_problem(
                check, pointer,
                "\"%s\" reads .%s of the request before it, which an attempt that goes on here later has not got: "
                "let that request save it, and read .saved",
                (const char *)arg, parts[i]);
        }
    }
}

/* An attempt may go on with this request, hours after the one before it was answered. */
static void check_beginning(struct check *check, const char *pointer, const json_t *request)
{
    static const char *const first[] = {"if", "for_each"};
    for (size_t i = 0; i < COUNT_OF(first); i++) {
        check_paths(check, pointer, json_object_get(request, first[i]), read_answer, (void *)(uintptr_t)first[i]);
    }
}

void check_requests(struct check *check, const char *pointer, const json_t *requests, bool searches)
{
    bool reads = searches;
    size_t i;
    json_t *request;
    if (json_is_array(requests) && json_array_size(requests) == 0) {
        check_problem(check, pointer, "there must be at least one request");
    }
    json_array_foreach(requests, i, request)
    {
        char *at = mem_printf("%s/%zu", pointer, i);
        bool map = check_request(check, at, request, sequence_keys, COUNT_OF(sequence_keys), reads);
        const json_t *find = map ? json_object_get(request, "find") : NULL;
        if (json_is_object(find)) {
            char *inner = mem_printf("%s/find", at);
            check_request(check, inner, find, find_keys, COUNT_OF(find_keys), true);
            free(inner);
        }
        if (find && (json_object_get(request, "for_each") || json_object_get(request, "pages"))) {
            check_problem(check, at, "a request with \"find\" is one call: no \"for_each\", no \"pages\"");
        }
        if (map) {
            check_require(check, at, request);
            check_poll(check, at, request);
            check_secret(check, at, request);
            check_meanwhile(check, at, request);
            check_batch(check, at, request);
            check_search(check, at, request, searches);
            check_beginning(check, at, request);
        }
        free(at);
    }
}

void check_probe(struct check *check, const char *pointer, const json_t *request)
{
    check_request(check, pointer, request, NULL, 0, true);
}

void check_verify(struct check *check, const char *pointer, const json_t *verify)
{
    size_t i;
    json_t *look;
    if (json_is_object(verify)) {
        check_request(check, pointer, verify, verify_keys, COUNT_OF(verify_keys), true);
    } else if (!json_is_array(verify) || json_array_size(verify) == 0) {
        check_problem(check, pointer, "\"verify\" must be a request that reads, with \"expect\", or a list of them");
    }
    json_array_foreach(verify, i, look)
    {
        char *at = mem_printf("%s/%zu", pointer, i);
        check_request(check, at, look, verify_keys, COUNT_OF(verify_keys), true);
        free(at);
    }
}

static bool changes(const json_t *request)
{
    const json_t *said = json_object_get(request, "changes");
    static const char *const writes[] = {"post", "put", "patch", "delete", "mail"};
    bool found = json_at(request, "ldap.modify") || json_at(request, "ldap.rename") || json_at(request, "ldap.delete");
    for (size_t i = 0; i < COUNT_OF(writes); i++) {
        found = found || json_object_get(request, writes[i]);
    }
    return said ? json_is_true(said) : found;
}

void check_covers(struct check *check, const char *pointer, const json_t *action)
{
    const char *covers = json_string_at(action, "covers");
    size_t changing = 0;
    size_t i;
    json_t *request;
    json_array_foreach(json_object_get(action, "requests"), i, request)
    {
        changing += changes(request) && !json_object_get(request, "unverified");
    }
    if (covers && strcmp(covers, "all") != 0) {
        check_problem(check, pointer, "\"covers\" can only be all: the read-back shows what every request changes");
    } else if (covers && !json_object_get(action, "verify")) {
        check_problem(check, pointer, "\"covers\" is about \"verify\", and there is none");
    } else if (!covers && changing > 1 && json_object_get(action, "verify")) {
        check_warning(check, pointer,
                      "%zu requests change something: does \"verify\" show the effect of each? Then say \"covers: "
                      "all\"; else give "
                      "those that it does not show \"unverified: why\"",
                      changing);
    }
}
