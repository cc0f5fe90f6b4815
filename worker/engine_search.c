#include "worker/engine_search.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fold.h"
#include "lib/identity.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/text.h"
#include "worker/engine_spelling.h"

#define WHOLE_MAX 9007199254740992.0 /* 2^53: below it a double is exact */

/* ---- life -------------------------------------------------------------------------------------------------------- */

void search_begin(struct search *search, struct run *run, const json_t *identify)
{
    *search = (struct search){.run = run, .identify = identify, .found = json_array(), .searched = json_array()};
    place_init(&search->place);
    run->place = &search->place;
    run->searching = true;
    context_set(run, "saved", json_incref(search->place.saved));
}

void search_end(struct search *search)
{
    search->run->place = NULL;
    search->run->searching = false;
    context_set(search->run, "saved", json_object());
    place_release(&search->place);
    json_decref(search->found);
    json_decref(search->searched);
}

/* ---- accounts ---------------------------------------------------------------------------------------------------- */

json_t *search_id(const json_t *value, struct err *err)
{
    if (json_is_string(value) && json_string_length(value)) {
        return json_incref((json_t *)(uintptr_t)value);
    }
    double number = json_is_number(value) ? json_number_value(value) : 0.5;
    bool whole_number = number > -WHOLE_MAX && number < WHOLE_MAX && number == (double)(long long)number;
    if (json_is_integer(value) || whole_number) { /* some vendors write 7.0 */
        char *text =
            mem_printf("%lld", json_is_integer(value) ? (long long)json_integer_value(value) : (long long)number);
        json_t *id = json_string(text);
        free(text);
        return id;
    }
    char *whole = value ? json_text(value) : mem_strdup("none");
    char *text = text_shortened(whole, 100);
    err_set(
        err, ERR_PERMANENT,
        "an account's id has to be a text or a whole number, and the vendor's answer gives %s: the connector looks for "
        "it in the wrong place (account.id)",
        text);
    free(text);
    free(whole);
    return NULL;
}

/* Adds the text as people see it, unless it is none. */
static void add_seen(json_t *texts, const json_t *value)
{
    char *seen = json_is_string(value) ? identity_seen(json_string_value(value)) : NULL;
    if (seen && *seen) {
        json_array_append_new(texts, json_string(seen));
    }
    free(seen);
}

/* A text, or the texts of a list; without what is no text or empty. New reference to a list. */
static json_t *texts_of(const json_t *value)
{
    json_t *texts = json_array();
    size_t i;
    json_t *one;
    add_seen(texts, value);
    json_array_foreach(value, i, one)
    {
        add_seen(texts, one);
    }
    return texts;
}

/* The addresses of texts that hold them in one of the usual spellings. New reference. */
static json_t *addresses_of(const json_t *texts)
{
    json_t *addresses = json_array();
    size_t i;
    json_t *text;
    json_array_foreach(texts, i, text)
    {
        spelling_add(addresses, json_string_value(text));
    }
    return addresses;
}

/* The employee number that an account shows, as a text; NULL: it shows none. New reference. */
static json_t *number_of(const json_t *value)
{
    json_t *number = value && !json_is_null(value) ? search_id(value, NULL) : NULL;
    json_t *texts = texts_of(number);
    json_t *seen = json_incref(json_array_get(texts, 0));
    json_decref(texts);
    json_decref(number);
    return seen;
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

/* Does the account show one of the person's addresses? Where one of both has none, nothing speaks against it. */
static bool fits_addresses(const struct run *run, const json_t *emails)
{
    const json_t *user = json_object_get(run->context, "user");
    bool known = json_string_at(user, "email") || json_array_size(json_object_get(user, "emails"));
    size_t i;
    json_t *email;
    bool fits = !known || json_array_size(emails) == 0;
    json_array_foreach(emails, i, email)
    {
        fits = fits || identify_is_leaver(run, json_string_value(email));
    }
    return fits;
}

enum likeness {
    LIKE_SAME,
    LIKE_OTHER,
    LIKE_UNKNOWN, /* it shows nothing to compare */
    LIKE_ODD,     /* it shows the key in a spelling that nobody here can read */
};

/* The first text of what the account shows that holds the key as a whole; NULL: none does. */
static const char *holding(const json_t *account, const char *key)
{
    size_t i;
    json_t *text;
    json_array_foreach(json_object_get(account, "shown"), i, text)
    {
        if (spelling_holds(json_string_value(text), key)) {
            return json_string_value(text);
        }
    }
    return NULL;
}

static enum likeness compare_emails(const json_t *account, const char *key)
{
    const json_t *emails = json_object_get(account, "emails");
    size_t i;
    json_t *email;
    json_array_foreach(emails, i, email)
    {
        if (fold_same(json_string_value(email), key)) {
            return LIKE_SAME;
        }
    }
    return holding(account, key) ? LIKE_ODD : json_array_size(emails) ? LIKE_OTHER : LIKE_UNKNOWN;
}

/* 0042 and 42 may be two people: zeros in front are overlooked only where no address speaks against it. */
static enum likeness compare_numbers(const struct run *run, const json_t *account, const char *number, const char *key)
{
    bool same = fold_same(number, key) ||
                (identity_same_number(number, key) && fits_addresses(run, json_object_get(account, "emails")));
    return same ? LIKE_SAME : spelling_holds(number, key) ? LIKE_ODD : LIKE_OTHER;
}

/* Is this the account that was searched for? UNKNOWN: it does not show what was searched by. Without a key, or when the connector
 * does not say how accounts show it, the vendor's word counts (`offboard validate` warns of that). */
static enum likeness compare(const struct run *run, const json_t *rules, const json_t *account)
{
    const char *kind = json_string_at(run->context, "key_kind");
    const char *key = json_string_at(run->context, "key");
    if (!kind || !key) {
        return LIKE_SAME;
    }
    if (strcmp(kind, "employee_id") == 0) {
        const char *number = json_string_at(account, "employee_id");
        return !json_object_get(rules, "employee_id") ? LIKE_SAME
               : !number                              ? LIKE_UNKNOWN
                                                      : compare_numbers(run, account, number, key);
    }
    return json_object_get(rules, "email") ? compare_emails(account, key) : LIKE_SAME;
}

static json_t *account_by_id(const json_t *accounts, const char *id)
{
    size_t i;
    json_t *account;
    json_array_foreach(accounts, i, account)
    {
        if (strcmp(json_string_at(account, "id"), id) == 0) {
            return account;
        }
    }
    return NULL;
}

/* ---- what answers name ------------------------------------------------------------------------------------------- */

/* In `.saved`, so that a search that is put off keeps it: the accounts found for the current key, how many accounts of other people
 * the vendor named, the ids of those that a request without pages named, and the ids of those that show nothing to compare.
 * No connector's own names begin like these. */
#define SAVED_ACCOUNTS      "@accounts"
#define SAVED_OTHERS        "@others"
#define SAVED_OTHERS_BEFORE "@others_before" /* how many there were when the current list began */
#define SAVED_STRANGE       "@strange"
#define SAVED_UNKNOWN       "@unknown"
#define SAVED_ODD           "@odd" /* {id, text}: an account that shows the key in a spelling that nobody here can read */
#define SAVED_SURE          "@sure"  /* ids found by an earlier key: what answers with them is about the person */
#define SAVED_WHOLE         "@whole" /* the vendor has listed people over several pages, as it does with everybody */

enum { STRANGERS_MAX = 100 /* of whom the ids are kept */, SHOWN_MAX = 100 /* bytes of what people are shown */ };

/* Takes over `account`. */
static void add_account(struct run *run, json_t *account)
{
    json_t *accounts = json_object_get(run->place->saved, SAVED_ACCOUNTS);
    if (!accounts) {
        accounts = json_array();
        json_object_set_new(run->place->saved, SAVED_ACCOUNTS, accounts);
    }
    if (!account_by_id(accounts, json_string_at(account, "id"))) {
        json_array_append(accounts, account);
    }
    json_decref(account);
}

/* One account of an answer, as it says who it is; NULL with an err. */
static json_t *describe(struct run *run, const json_t *rules, json_t *account, struct err *err)
{
    context_set(run, "account", json_incref(account));
    json_t *shown = expr_render(run->engine->exprs, rules, run->context, err);
    json_t *id = shown ? search_id(json_object_get(shown, "id"), err) : NULL;
    json_t *result = NULL;
    if (id) {
        json_t *texts = texts_of(json_object_get(shown, "email"));
        result = json_pack("{s:o, s:o, s:o}", "id", id, "emails", addresses_of(texts), "shown", texts);
        json_put(result, "employee_id", number_of(json_object_get(shown, "employee_id")));
    }
    context_set(run, "account", json_null());
    json_decref(shown);
    return result;
}

/* Adds the account's id to the list of that name: each account counts once, however many requests name it. Was it new? */
static bool add_id(json_t *saved, const char *name, const json_t *account)
{
    const json_t *id = json_object_get(account, "id");
    json_t *list = json_object_get(saved, name);
    size_t i;
    json_t *known;
    bool there = false;
    if (!list) {
        list = json_array();
        json_object_set_new(saved, name, list);
    }
    json_array_foreach(list, i, known)
    {
        there = there || json_equal(known, id);
    }
    if (!there && json_array_size(list) < STRANGERS_MAX) {
        json_array_append(list, (json_t *)(uintptr_t)id);
    }
    return !there;
}

static bool is_sure(const json_t *saved, const json_t *account)
{
    const json_t *id = json_object_get(account, "id");
    size_t i;
    json_t *known;
    json_array_foreach(json_object_get(saved, SAVED_SURE), i, known)
    {
        if (json_equal(known, id)) {
            return true;
        }
    }
    return false;
}

static bool is_within(const char *key, const char *text)
{
    char *part = fold_address(key), *whole = fold_address(text);
    bool within = strstr(whole, part) != NULL;
    free(part);
    free(whole);
    return within;
}

/* Does what the account shows hold the key as a part? A search by words finds joann@ for ann@. */
static bool holds_key(const struct run *run, const json_t *account)
{
    const char *key = json_string_at(run->context, "key");
    const char *number = json_string_at(account, "employee_id");
    bool holds = key && number && is_within(key, number);
    size_t i;
    json_t *email;
    json_array_foreach(json_object_get(account, "emails"), i, email)
    {
        holds = holds || (key && is_within(key, json_string_value(email)));
    }
    return holds;
}

static void keep_odd(struct run *run, const json_t *account)
{
    const char *key = json_string_at(run->context, "key");
    const char *text = holding(account, key ? key : "");
    char *shown = text_shortened(text ? text : json_string_at(account, "employee_id"), SHOWN_MAX);
    json_object_set_new(run->place->saved, SAVED_ODD,
                        json_pack("{s:O, s:s}", "id", json_object_get(account, "id"), "text", shown));
    free(shown);
}

/* `lists`: the request names other people as a matter of course. */
static int take_account(struct run *run, const json_t *identify, json_t *shown, bool lists, struct err *err)
{
    const json_t *rules = json_object_get(identify, "account");
    json_t *saved = run->place->saved;
    json_t *account = describe(run, rules, shown, err);
    if (!account) {
        return -1;
    }
    enum likeness likeness = is_sure(saved, account) ? LIKE_SAME : compare(run, rules, account);
    if (likeness == LIKE_SAME || (likeness == LIKE_UNKNOWN && json_object_get(identify, "trusts"))) {
        add_account(run, json_incref(account));
    } else if (likeness == LIKE_UNKNOWN) {
        add_id(saved, SAVED_UNKNOWN, account);
    } else if (likeness == LIKE_ODD) {
        keep_odd(run, account);
    } else {
        json_object_set_new(saved, SAVED_OTHERS, json_integer(json_int_at(saved, SAVED_OTHERS, 0) + 1));
        if (!lists && !holds_key(run, account) && add_id(saved, SAVED_STRANGE, account) && run->place->page) {
            json_object_set_new(saved, SAVED_WHOLE, json_true()); /* a second page with other people on it */
        }
    }
    json_decref(account);
    return 0;
}

int search_take(struct run *run, const json_t *request, struct err *err)
{
    const json_t *identify = json_object_get(run->system->connector->tree, "identify");
    bool lists = json_object_get(request, "pages") && !evidence_reads(request, "key");
    json_t *answer = expr_render(run->engine->exprs, json_object_get(request, "found"), run->context, err);
    json_t *list = json_is_object(answer) ? json_pack("[O]", answer) : json_incref(answer);
    int result = answer ? 0 : -1;
    size_t i;
    json_t *account;
    json_array_foreach(list, i, account)
    {
        result = result == 0 ? take_account(run, identify, account, lists, err) : result;
    }
    json_decref(list);
    json_decref(answer);
    return result;
}

static void copy_count(json_t *saved, const char *from, const char *to)
{
    json_object_set_new(saved, to, json_integer(json_int_at(saved, from, 0)));
}

void search_list_begins(struct run *run)
{
    copy_count(run->place->saved, SAVED_OTHERS, SAVED_OTHERS_BEFORE);
}

void search_list_again(struct run *run)
{
    copy_count(run->place->saved, SAVED_OTHERS_BEFORE, SAVED_OTHERS);
}

/* `.saved.id` of the request just made: nothing, an id or a list of ids. */
static enum verdict take_ids(struct search *search)
{
    struct run *run = search->run;
    json_t *saved = json_object_get(run->place->saved, "id");
    json_t *list = !saved || json_is_null(saved) ? json_array()
                   : json_is_array(saved)        ? json_incref(saved)
                                                 : json_pack("[O]", saved);
    struct err err = ERR_INIT;
    enum verdict verdict = VERDICT_DONE;
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        json_t *id = verdict == VERDICT_DONE ? search_id(one, &err) : NULL;
        if (id) {
            add_account(run, json_pack("{s:o, s:[]}", "id", id, "emails"));
        } else if (verdict == VERDICT_DONE) {
            verdict = run_say(run, VERDICT_FAILED, "%s", err_text(&err));
        }
    }
    json_object_del(run->place->saved, "id");
    json_decref(list);
    err_release(&err);
    return verdict;
}

/* ---- one key ----------------------------------------------------------------------------------------------------- */

/* All requests, from where the search stands. One that says that the account is missing ends a confirmation, while a search goes on
 * with the next request. */
static enum verdict ask_all(struct search *search, const json_t *requests, bool confirms)
{
    struct run *run = search->run;
    struct place *place = &search->place;
    enum verdict verdict = VERDICT_DONE;
    while (verdict == VERDICT_DONE && (size_t)place->at < json_array_size(requests)) {
        trouble_at(run, "%s/%lld", confirms ? "confirm" : "identify", (long long)place->at);
        verdict = sequence_one(run, json_array_get(requests, (size_t)place->at), NULL);
        if (verdict == VERDICT_DONE || verdict == VERDICT_ALREADY) {
            verdict = take_ids(search);
        }
        verdict = verdict == VERDICT_MISSING && !confirms ? VERDICT_DONE : verdict;
        if (verdict == VERDICT_DONE) {
            sequence_pass(run);
        }
    }
    return verdict;
}

static const char *kind_text(const char *kind)
{
    return !kind ? "the person" : strcmp(kind, "email") == 0 ? "this e-mail address" : "this employee id";
}

/* What the answers leave open, a person has to find out. */
static enum verdict doubt(struct search *search, const char *kind)
{
    struct run *run = search->run;
    const json_t *saved = search->place.saved;
    const json_t *accounts = json_object_get(saved, SAVED_ACCOUNTS);
    const char *unknown = json_string_value(json_array_get(json_object_get(saved, SAVED_UNKNOWN), 0));
    const json_t *strange = json_object_get(saved, SAVED_STRANGE), *odd = json_object_get(saved, SAVED_ODD);
    size_t others = json_true_at(saved, SAVED_WHOLE) ? 0 : json_array_size(strange);
    size_t same = json_array_size(accounts);
    if (same > 1) {
        return run_say(run, VERDICT_BLOCKED,
                       "%zu accounts were found for %s (%s and %s): name the right one in the event, then retry", same,
                       kind_text(kind), json_string_at(json_array_get(accounts, 0), "id"),
                       json_string_at(json_array_get(accounts, 1), "id"));
    }
    if (same == 0 && unknown) {
        return run_say(
            run, VERDICT_BLOCKED,
            "the vendor names account %s for %s, but shows nothing to compare: confirm whose it is and name it in "
            "the event, or skip the step",
            unknown, kind_text(kind));
    }
    if (same == 0 && odd) {
        return run_say(
            run, VERDICT_BLOCKED,
            "asked for %s, the vendor names account %s, which shows it in a spelling that can't be compared: "
            "\"%s\": if it is the person's, name it in the event; else skip the step",
            kind_text(kind), json_string_at(odd, "id"), json_string_at(odd, "text"));
    }
    if (same == 0 && others == 1) {
        return run_say(
            run, VERDICT_BLOCKED,
            "%s: asked for %s, the vendor names account %s, which shows another one: if it is the person's, name it "
            "in the event; else skip the step",
            run->job->system, kind_text(kind), json_string_value(json_array_get(strange, 0)));
    }
    if (same == 0 && others) {
        return run_say(
            run, VERDICT_BLOCKED,
            "the vendor answered the search for %s with %zu accounts of other people, as if it had not understood "
            "it: confirm that the person has no account, then skip the step",
            kind_text(kind), others);
    }
    return VERDICT_DONE;
}

static void add_found(struct search *search, const char *kind)
{
    const json_t *accounts = json_object_get(search->place.saved, SAVED_ACCOUNTS);
    size_t i;
    json_t *account;
    json_array_foreach(accounts, i, account)
    {
        if (!account_by_id(search->found, json_string_at(account, "id"))) {
            json_put_string(account, "by", kind);
            json_array_append(search->found, account);
        }
    }
}

static void note_searched(struct search *search, const char *kind)
{
    const json_t *saved = search->place.saved;
    json_array_append_new(search->searched,
                          json_pack("{s:s, s:i, s:I, s:I}", "by", kind ? kind : "person", "status",
                                    search->run->last_status, "found",
                                    (json_int_t)json_array_size(json_object_get(saved, SAVED_ACCOUNTS)), "others",
                                    json_int_at(saved, SAVED_OTHERS, 0)));
}

enum verdict search_key(struct search *search, const char *kind, const char *key)
{
    struct run *run = search->run;
    json_object_set_new(run->place->saved, SAVED_SURE, search_ids(search));
    context_set(run, "key", key ? json_string(key) : json_null());
    context_set(run, "key_kind", kind ? json_string(kind) : json_null());
    enum verdict verdict = ask_all(search, json_object_get(search->identify, "requests"), false);
    if (verdict == VERDICT_DONE) {
        note_searched(search, kind);
        verdict = doubt(search, kind);
        add_found(search, kind);
        place_restart(&search->place);
        search->done++;
    }
    return verdict;
}

/* Do the answers that confirm an account say which one it is? */
static bool shows_accounts(const json_t *identify)
{
    size_t i;
    json_t *request;
    json_array_foreach(json_object_get(identify, "confirm"), i, request)
    {
        if (json_object_get(request, "found")) {
            return true;
        }
    }
    return false;
}

enum verdict search_confirm(struct search *search, const char *account)
{
    struct run *run = search->run;
    context_set(run, "key", json_null());
    context_set(run, "key_kind", json_null());
    enum verdict verdict = ask_all(search, json_object_get(search->identify, "confirm"), true);
    if (verdict == VERDICT_MISSING) {
        return run_say(run, VERDICT_BLOCKED, "the event names account %s, which is not there", account);
    }
    const json_t *shown = json_object_get(search->place.saved, SAVED_ACCOUNTS);
    if (verdict == VERDICT_DONE && shows_accounts(search->identify) && json_array_size(shown) != 1) {
        return run_say(run, VERDICT_BLOCKED,
                       "the event names account %s, and the vendor's answer shows %s: find out which account it is",
                       account, json_array_size(shown) ? "several" : "none");
    }
    if (verdict == VERDICT_DONE) {
        json_t *only = json_incref(json_array_get(shown, 0));
        json_array_append_new(search->found, only ? only : json_pack("{s:s, s:[]}", "id", account, "emails"));
        place_restart(&search->place);
        search->done++;
    }
    return verdict;
}

json_t *search_ids(const struct search *search)
{
    json_t *ids = json_array();
    size_t i;
    json_t *account;
    json_array_foreach(search->found, i, account)
    {
        json_array_append(ids, json_object_get(account, "id"));
    }
    return ids;
}
