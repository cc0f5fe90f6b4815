/* Whose accounts: looked up once per offboarding and system, by employee id first, then by every known e-mail
 * (rules.md 3). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_internal.h"

/* A look-up under way. */
struct search {
    struct run *run;
    const json_t *identify;
    json_t *found;    /* account ids */
    json_t *searched; /* kinds of keys that were tried */
};

static void add_unique(json_t *list, json_t *value)
{
    size_t i;
    json_t *known;
    json_array_foreach(list, i, known)
    {
        if (json_equal(known, value)) {
            return;
        }
    }
    json_array_append(list, value);
}

/* `.saved.id` of the request just made: nothing, a text or a list of texts. */
static void collect_ids(struct run *run, json_t *hits)
{
    json_t *id = json_object_get(run->saved, "id");
    size_t i;
    json_t *one;
    if (json_is_string(id) && json_string_length(id)) {
        add_unique(hits, id);
    }
    json_array_foreach(id, i, one)
    {
        if (json_is_string(one)) {
            add_unique(hits, one);
        }
    }
    json_object_del(run->saved, "id");
}

/* All requests for one key (NULL: the connector names none). Several hits for one key are ambiguous. */
static enum verdict search_key(struct search *search, const char *kind, const char *key)
{
    struct run *run = search->run;
    context_set(run, "key", key ? json_string(key) : json_null());
    context_set(run, "key_kind", kind ? json_string(kind) : json_null());
    json_t *hits = json_array();
    enum verdict verdict = VERDICT_DONE;
    size_t i;
    json_t *request;
    json_array_foreach(json_object_get(search->identify, "requests"), i, request)
    {
        if (verdict != VERDICT_DONE ||
            !expr_true(run->engine->exprs, json_object_get(request, "if"), run->context, true)) {
            continue;
        }
        verdict = request_run(run, request, NULL);
        collect_ids(run, hits);
        verdict = verdict == VERDICT_MISSING || verdict == VERDICT_ALREADY ? VERDICT_DONE : verdict;
    }
    if (verdict == VERDICT_DONE && json_array_size(hits) > 1) {
        verdict = run_say(run, VERDICT_BLOCKED, "%zu accounts were found for one %s: which is it?",
                          json_array_size(hits), kind ? kind : "person");
    }
    json_array_foreach(hits, i, request)
    {
        add_unique(search->found, request);
    }
    if (kind) {
        json_object_set_new(search->searched, kind, json_true());
    }
    json_decref(hits);
    return verdict;
}

static bool kind_listed(const json_t *identify, const char *kind)
{
    size_t i;
    json_t *listed;
    json_array_foreach(json_object_get(identify, "keys"), i, listed)
    {
        if (strcmp(json_string_value(listed), kind) == 0) {
            return true;
        }
    }
    return false;
}

static enum verdict search_emails(struct search *search)
{
    const json_t *user = json_object_get(search->run->context, "user");
    const char *email = json_string_at(user, "email");
    enum verdict verdict = email ? search_key(search, "email", email) : VERDICT_DONE;
    size_t i;
    json_t *alias;
    json_array_foreach(json_object_get(user, "emails"), i, alias)
    {
        bool same = email && strcasecmp(email, json_string_value(alias)) == 0;
        if (verdict == VERDICT_DONE && !same) {
            verdict = search_key(search, "email", json_string_value(alias));
        }
    }
    return verdict;
}

static enum verdict search_all(struct search *search)
{
    const json_t *user = json_object_get(search->run->context, "user");
    const char *employee = json_string_at(user, "employee_id");
    if (!json_object_get(search->identify, "keys")) {
        return search_key(search, NULL, NULL);
    }
    enum verdict verdict = VERDICT_DONE;
    if (employee && kind_listed(search->identify, "employee_id")) {
        verdict = search_key(search, "employee_id", employee);
    }
    if (verdict == VERDICT_DONE && kind_listed(search->identify, "email")) {
        verdict = search_emails(search);
    }
    return verdict;
}

/* Nobody found after fewer kinds of keys than are known: a person confirms that there is no account. */
static enum verdict nobody(struct search *search)
{
    const json_t *user = json_object_get(search->run->context, "user");
    const char *unsearched = NULL;
    if (json_object_get(search->identify, "keys")) {
        if (json_string_at(user, "employee_id") && !json_object_get(search->searched, "employee_id")) {
            unsearched = "employee id";
        } else if (json_string_at(user, "email") && !json_object_get(search->searched, "email")) {
            unsearched = "e-mail";
        }
    }
    if (unsearched) {
        return run_say(search->run, VERDICT_BLOCKED,
                       "no account was found, but the %s was not searched: confirm that there is none (skip)",
                       unsearched);
    }
    return run_say(search->run, VERDICT_MISSING, "no account was found");
}

/* The event named the accounts: they only have to be there. */
static enum verdict confirm_given(struct search *search, json_t *given)
{
    struct run *run = search->run;
    const json_t *confirm = json_object_get(search->identify, "confirm");
    enum verdict verdict = VERDICT_DONE;
    size_t i, j;
    json_t *id, *request;
    json_array_foreach(given, i, id)
    {
        context_account(run, json_string_value(id));
        json_array_foreach(confirm, j, request)
        {
            verdict = verdict == VERDICT_DONE ? request_run(run, request, NULL) : verdict;
        }
        if (verdict == VERDICT_MISSING) {
            return run_say(run, VERDICT_BLOCKED, "the event names account %s, which is not there",
                           json_string_value(id));
        }
        add_unique(search->found, id);
    }
    return verdict;
}

static enum verdict look_up(struct run *run, const json_t *identify, json_t **accounts)
{
    struct search search = {.run = run, .identify = identify, .found = json_array(), .searched = json_object()};
    json_t *given = json_object_get(json_object_get(run->job->message, "given_ids"), run->job->system);
    bool confirms = json_array_size(given) > 0;
    enum verdict verdict = confirms ? confirm_given(&search, given) : search_all(&search);
    if (verdict == VERDICT_DONE && json_array_size(search.found) == 0) {
        verdict = nobody(&search);
    }
    if (verdict == VERDICT_DONE || verdict == VERDICT_MISSING) { /* not what a person has yet to confirm */
        run->pinned = json_incref(search.found);
        *accounts = json_incref(search.found);
        engine_cache_put(run->engine->cache, json_string_at(run->job->message, "id"), run->job->system, search.found);
    }
    json_decref(search.found);
    json_decref(search.searched);
    return verdict;
}

enum verdict identify_accounts(struct run *run, json_t **accounts)
{
    const json_t *identify = json_object_get(run->system->connector->tree, "identify");
    const char *wanted = json_string_at(run->action, "accounts");
    if (!identify || (wanted && strcmp(wanted, "none") == 0)) {
        *accounts = json_pack("[n]");
        return VERDICT_DONE;
    }
    json_t *pinned = json_object_get(json_object_get(run->job->message, "ids"), run->job->system);
    if (!pinned) {
        pinned = engine_cache_get(run->engine->cache, json_string_at(run->job->message, "id"), run->job->system);
    }
    if (!json_is_array(pinned)) {
        return look_up(run, identify, accounts);
    }
    *accounts = json_incref(pinned);
    return json_array_size(pinned) ? VERDICT_DONE : run_say(run, VERDICT_MISSING, "no account was found before");
}

/* A manager who is the leaver counts as none (rules.md 5). */
static bool is_leaver(const struct run *run, const char *manager)
{
    const json_t *user = json_object_get(run->context, "user");
    const char *email = json_string_at(user, "email");
    bool same = email && strcasecmp(email, manager) == 0;
    size_t i;
    json_t *alias;
    json_array_foreach(json_object_get(user, "emails"), i, alias)
    {
        same = same || strcasecmp(json_string_value(alias), manager) == 0;
    }
    return same;
}

enum verdict identify_manager(struct run *run, json_t **accounts)
{
    const json_t *identify = json_object_get(run->system->connector->tree, "identify");
    const char *manager = json_string_at(run->context, "user.manager.email");
    *accounts = NULL;
    if (!identify || !manager || is_leaver(run, manager) || !kind_listed(identify, "email")) {
        *accounts = json_array();
        return VERDICT_DONE;
    }
    char *name = mem_printf("%s/manager", run->job->system);
    const char *offboarding = json_string_at(run->job->message, "id");
    json_t *known = engine_cache_get(run->engine->cache, offboarding, name);
    enum verdict verdict = VERDICT_DONE;
    if (known) {
        *accounts = json_incref(known);
    } else {
        struct search search = {.run = run, .identify = identify, .found = json_array(), .searched = json_object()};
        verdict = search_key(&search, "email", manager);
        if (verdict == VERDICT_BLOCKED) { /* several of them: none may be touched */
            verdict = VERDICT_DONE;
        }
        if (verdict == VERDICT_DONE) {
            engine_cache_put(run->engine->cache, offboarding, name, search.found);
            *accounts = json_incref(search.found);
        }
        json_decref(search.found);
        json_decref(search.searched);
    }
    free(name);
    return verdict;
}
