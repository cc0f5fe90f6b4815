/* Whose accounts: looked up once per offboarding and system, by employee id first, then by every known e-mail address
 * (rules.md, 3). */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/fold.h"
#include "lib/identity.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_search.h"

/* ---- keys -------------------------------------------------------------------------------------------------------- */

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

/* Adds {kind, key} unless it is there or `key` is no text. */
static void add_key(json_t *keys, const char *kind, const char *key)
{
    json_t *pair = key && *key ? json_pack("{s:s, s:s}", "kind", kind, "key", key) : NULL;
    size_t i;
    json_t *known;
    bool there = pair == NULL;
    json_array_foreach(keys, i, known)
    {
        there = there || json_equal(known, pair);
    }
    if (!there) {
        json_array_append(keys, pair);
    }
    json_decref(pair);
}

/* HR's spelling of an address, and lower case: some systems compare letter by letter. A domain with other letters than ASCII's has two
 * spellings. */
static void add_email(json_t *keys, const char *email)
{
    char *folded = fold_address(email), *shown = fold_shown(email), *lower = fold_text(shown);
    add_key(keys, "email", email);
    add_key(keys, "email", folded);
    add_key(keys, "email", lower);
    free(lower);
    free(shown);
    free(folded);
}

/* What this system is searched by, in order. New reference. */
static json_t *keys_of(const struct run *run, const json_t *identify)
{
    const json_t *user = json_object_get(run->context, "user");
    json_t *keys = json_array();
    size_t i;
    json_t *alias;
    if (kind_listed(identify, "employee_id")) {
        add_key(keys, "employee_id", json_string_at(user, "employee_id"));
    }
    if (kind_listed(identify, "email")) {
        add_email(keys, json_string_at(user, "email"));
        json_array_foreach(json_object_get(user, "emails"), i, alias)
        {
            add_email(keys, json_string_value(alias));
        }
    }
    return keys;
}

/* ---- whether it fits together ------------------------------------------------------------------------------------ */

static const json_t *found_by(const struct search *search, const char *kind)
{
    size_t i;
    json_t *account;
    json_array_foreach(search->found, i, account)
    {
        const char *by = json_string_at(account, "by");
        if (by && strcmp(by, kind) == 0) {
            return account;
        }
    }
    return NULL;
}

static const json_t *of_number(const struct search *search)
{
    size_t i;
    json_t *account;
    json_array_foreach(search->found, i, account)
    {
        if (json_string_at(account, "employee_id")) {
            return account;
        }
    }
    return NULL;
}

/* Two accounts of one person show one number, where they show any. */
static enum verdict numbers_differ(struct search *search)
{
    const json_t *one = of_number(search);
    size_t i;
    json_t *other;
    json_array_foreach(search->found, i, other)
    {
        const char *number = json_string_at(other, "employee_id");
        if (number && !identity_same_number(number, json_string_at(one, "employee_id"))) {
            return run_say(search->run, VERDICT_BLOCKED,
                           "accounts %s and %s were found, with the employee numbers %s and %s: find out which is the "
                           "person's, then name it in the event",
                           json_string_at(one, "id"), json_string_at(other, "id"), json_string_at(one, "employee_id"),
                           number);
        }
    }
    return VERDICT_DONE;
}

static bool shows_address(const json_t *account, const char *address)
{
    size_t i;
    json_t *email;
    bool shows = json_array_size(json_object_get(account, "emails")) == 0; /* none at all: nobody knows */
    json_array_foreach(json_object_get(account, "emails"), i, email)
    {
        shows = shows || fold_same(json_string_value(email), address);
    }
    return shows;
}

/* The number proves one account, and the person's address has another one: it was given to somebody else, or the person has two. */
static enum verdict address_elsewhere(struct search *search)
{
    struct run *run = search->run;
    const char *address = json_string_at(run->context, "user.email");
    const json_t *sure = found_by(search, "employee_id");
    size_t i;
    json_t *account;
    json_array_foreach(search->found, i, account)
    {
        const char *by = json_string_at(account, "by");
        bool proves = by && (strcmp(by, "email") != 0 || json_string_at(account, "employee_id"));
        if (sure && address && by && !proves && !shows_address(sure, address) && shows_address(account, address)) {
            return run_say(run, VERDICT_BLOCKED,
                           "account %s has the person's employee number and another address, and account %s has the "
                           "person's address %s and no number: find out whose it is, then name the right accounts in "
                           "the event",
                           json_string_at(sure, "id"), json_string_at(account, "id"), address);
        }
    }
    return VERDICT_DONE;
}

/* An address is given to new people: an account that carries another employee number is somebody else's. */
static enum verdict contradiction(struct search *search)
{
    struct run *run = search->run;
    const char *known = json_string_at(run->context, "user.employee_id");
    const json_t *sure = found_by(search, "employee_id");
    size_t i;
    json_t *account;
    json_array_foreach(search->found, i, account)
    {
        const char *shown = json_string_at(account, "employee_id");
        const char *by = json_string_at(account, "by"); /* NULL: the event names the account */
        if (known && shown && !identity_same_number(known, shown)) {
            return run_say(
                run, VERDICT_BLOCKED,
                "account %s has %semployee number %s, and the person's is %s%s%s%s: find out whose it is, then name "
                "the right account in the event or skip the step",
                json_string_at(account, "id"), by ? "the person's e-mail address but " : "", shown, known,
                sure ? " (account " : "", sure ? json_string_at(sure, "id") : "", sure ? ")" : "");
        }
    }
    enum verdict verdict = numbers_differ(search);
    return verdict == VERDICT_DONE ? address_elsewhere(search) : verdict;
}

/* What the look-up brought to light of the accounts: addresses and numbers that nobody knew before. */
static enum verdict guard_found(struct search *search)
{
    struct run *run = search->run;
    const char *manager = json_string_at(run->context, "user.manager.email");
    size_t i, j;
    json_t *account, *email;
    json_array_foreach(search->found, i, account)
    {
        const char *id = json_string_at(account, "id");
        const char *name = guard_protected(run, json_object_get(account, "emails"));
        name = name ? name : guard_protected(run, json_object_get(account, "employee_id"));
        if (name && guard_takes_away(run)) {
            return run_say(run, VERDICT_BLOCKED, "account %s belongs to %s, who is protected (guards.protected)", id,
                           name);
        }
        json_array_foreach(json_object_get(account, "emails"), j, email)
        {
            if (manager && fold_same(json_string_value(email), manager) && !identify_is_leaver(run, manager)) {
                return run_say(run, VERDICT_BLOCKED, "account %s is the manager's, not the leaver's", id);
            }
        }
    }
    return VERDICT_DONE;
}

/* "employee id 0042 and e-mail ann@example.com", each key once. The caller frees. */
static char *keys_text(const struct run *run, const json_t *identify)
{
    json_t *keys = keys_of(run, identify);
    struct buf text = BUF_INIT;
    const char *last = "";
    size_t i;
    json_t *pair;
    json_array_foreach(keys, i, pair)
    {
        const char *key = json_string_at(pair, "key");
        bool email = strcmp(json_string_at(pair, "kind"), "email") == 0;
        if (!fold_same(key, last)) { /* the other forms follow HR's spelling */
            buf_addf(&text, "%s%s %s", text.len ? " and " : "", email ? "e-mail" : "employee id", key);
        }
        last = key;
    }
    json_decref(keys);
    return buf_take(&text);
}

/* The kind of key that is known of the person and that this system can't search by; NULL when there is none. */
static const char *unsearchable(const struct run *run, const json_t *identify)
{
    const json_t *user = json_object_get(run->context, "user");
    if (json_string_at(user, "employee_id") && !kind_listed(identify, "employee_id")) {
        return "employee id";
    }
    return json_string_at(user, "email") && !kind_listed(identify, "email") ? "e-mail" : NULL;
}

/* The result says by which keys the system was searched, and by which known one it can't be. */
static enum verdict nobody(struct run *run, const json_t *identify, bool confirms)
{
    if (!json_object_get(identify, "keys") || confirms) {
        return run_say(run, VERDICT_MISSING, "no account was found in %s", run->job->system);
    }
    const char *other = unsearchable(run, identify);
    char *keys = keys_text(run, identify);
    char *beside = other ? mem_printf(", and %s can't be searched by %s", run->job->system, other) : mem_strdup("");
    run_say(run, VERDICT_MISSING, "no account was found in %s by %s%s", run->job->system, keys, beside);
    free(beside);
    free(keys);
    return VERDICT_MISSING;
}

/* ---- the search -------------------------------------------------------------------------------------------------- */

/* What the search asks, and by which keys: where it stands is counted in both. The caller frees. */
static char *mark_of(const struct search *search)
{
    const struct run *run = search->run;
    json_t *given = json_object_get(json_object_get(run->job->message, "given_ids"), run->job->system);
    json_t *asked = json_pack("{s:O, s:o, s:O*}", "identify", search->identify, "keys", keys_of(run, search->identify),
                              "given", given);
    char *mark = state_mark(asked);
    json_decref(asked);
    return mark;
}

/* Is it about the same requests and keys? Otherwise it begins again; it changes nothing. */
static bool fits(const struct search *search, const json_t *state)
{
    char *mark = mark_of(search);
    const char *wrote = json_string_at(state, "asked");
    bool same = wrote && strcmp(wrote, mark) == 0;
    free(mark);
    return same;
}

/* Goes on where an earlier attempt was put off. */
static void resume(struct search *search)
{
    struct run *run = search->run;
    const json_t *found = json_object_get(run->search, "found");
    const json_t *searched = json_object_get(run->search, "searched");
    if (json_is_array(found) && json_is_array(searched) && fits(search, run->search)) {
        search->done = (size_t)json_int_at(run->search, "done", 0);
        json_array_extend(search->found, (json_t *)(uintptr_t)found);
        json_array_extend(search->searched, (json_t *)(uintptr_t)searched);
        place_from_json(&search->place, json_object_get(run->search, "place"));
        context_set(run, "saved", json_incref(search->place.saved));
    }
}

static void keep(const struct search *search)
{
    struct run *run = search->run;
    char *mark = mark_of(search);
    json_decref(run->search);
    run->search =
        json_pack("{s:I, s:O, s:O, s:o, s:s}", "done", (json_int_t)search->done, "found", search->found, "searched",
                  search->searched, "place", place_to_json(&search->place, NULL, true), "asked", mark);
    free(mark);
}

static enum verdict search_keys(struct search *search)
{
    struct run *run = search->run;
    if (!json_object_get(search->identify, "keys")) {
        return search->done ? VERDICT_DONE : search_key(search, NULL, NULL);
    }
    json_t *keys = keys_of(run, search->identify);
    enum verdict verdict = VERDICT_DONE;
    if (json_array_size(keys) == 0) {
        verdict =
            run_say(run, VERDICT_BLOCKED,
                    "nobody could be searched for: this system finds people by %s, and the event brought none of it",
                    kind_listed(search->identify, "email") ? "e-mail address" : "employee id");
    }
    while (verdict == VERDICT_DONE && search->done < json_array_size(keys)) {
        const json_t *key = json_array_get(keys, search->done);
        verdict = search_key(search, json_string_at(key, "kind"), json_string_at(key, "key"));
    }
    json_decref(keys);
    return verdict;
}

/* The event named the accounts: they only have to be there. */
static enum verdict confirm_given(struct search *search, const json_t *given)
{
    enum verdict verdict = VERDICT_DONE;
    while (verdict == VERDICT_DONE && search->done < json_array_size(given)) {
        const char *id = json_string_value(json_array_get(given, search->done));
        context_name_account(search->run, id);
        verdict = search_confirm(search, id ? id : "");
    }
    context_name_account(search->run, NULL);
    return verdict;
}

static enum verdict look_up(struct run *run, const json_t *identify, json_t **accounts)
{
    struct search search;
    json_t *given = json_object_get(json_object_get(run->job->message, "given_ids"), run->job->system);
    bool confirms = json_array_size(given) > 0;
    search_begin(&search, run, identify);
    resume(&search);
    enum verdict verdict = confirms ? confirm_given(&search, given) : search_keys(&search);
    if (verdict == VERDICT_DEFERRED) {
        keep(&search);
    }
    if (verdict == VERDICT_DONE) {
        verdict = contradiction(&search);
    }
    if (verdict == VERDICT_DONE) {
        verdict = guard_found(&search);
    }
    if (verdict == VERDICT_DONE && json_array_size(search.found) == 0) {
        verdict = nobody(run, identify, confirms);
    }
    run->searched = json_incref(search.searched);
    if (verdict == VERDICT_DONE || verdict == VERDICT_MISSING) { /* not what a person has yet to confirm */
        run->pinned = search_ids(&search);
        *accounts = json_incref(run->pinned);
        engine_cache_put(run->engine->cache, json_string_at(run->job->message, "id"), run->job->system, run->pinned);
    }
    search_end(&search);
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
    return json_array_size(pinned)
               ? VERDICT_DONE
               : run_say(run, VERDICT_MISSING,
                         "no account was found in %s, as an earlier step of this offboarding found out",
                         run->job->system);
}

/* ---- the manager ------------------------------------------------------------------------------------------------- */

/* A manager who is the leaver counts as none (rules.md, 5). */
bool identify_is_leaver(const struct run *run, const char *address)
{
    const json_t *user = json_object_get(run->context, "user");
    const char *email = json_string_at(user, "email");
    bool same = fold_same(email, address);
    size_t i;
    json_t *alias;
    json_array_foreach(json_object_get(user, "emails"), i, alias)
    {
        const char *text = json_string_value(alias);
        same = same || fold_same(text, address);
    }
    return same;
}

static enum verdict search_manager(struct run *run, const json_t *identify, const char *manager, json_t **accounts)
{
    struct search search;
    struct place *place = run->place;
    search_begin(&search, run, identify);
    json_t *keys = json_array();
    enum verdict verdict = VERDICT_DONE;
    size_t i;
    json_t *key;
    add_email(keys, manager);
    json_array_foreach(keys, i, key)
    {
        verdict = verdict == VERDICT_DONE ? search_key(&search, "email", json_string_at(key, "key")) : verdict;
        if (verdict == VERDICT_BLOCKED) { /* several, or nobody knows whose: none of them may be touched */
            place_restart(&search.place);
            verdict = VERDICT_DONE;
        }
    }
    json_decref(keys);
    *accounts = verdict == VERDICT_DONE ? search_ids(&search) : NULL;
    search_end(&search);
    run->place = place;
    if (place) {
        context_set(run, "saved", json_incref(place->saved));
    }
    return verdict;
}

enum verdict identify_manager(struct run *run, json_t **accounts)
{
    const json_t *identify = json_object_get(run->system->connector->tree, "identify");
    const char *manager = json_string_at(run->context, "user.manager.email");
    if (!identify || !manager || identify_is_leaver(run, manager) || !kind_listed(identify, "email")) {
        *accounts = json_array();
        return VERDICT_DONE;
    }
    char *name =
        mem_printf("%s/manager/%s", run->job->system, manager); /* a step may have found out another one since */
    const char *offboarding = json_string_at(run->job->message, "id");
    json_t *known = engine_cache_get(run->engine->cache, offboarding, name);
    enum verdict verdict = VERDICT_DONE;
    *accounts = NULL;
    if (known) {
        *accounts = json_incref(known);
    } else {
        verdict = search_manager(run, identify, manager, accounts);
    }
    if (verdict == VERDICT_DONE && !known) {
        engine_cache_put(run->engine->cache, offboarding, name, *accounts);
    }
    free(name);
    return verdict;
}
