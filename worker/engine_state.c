/* The state of a job: what an attempt hands on to the next one. */
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/engine_internal.h"

enum { MARK_LENGTH = 32 };

/* ---- whose position it is ---------------------------------------------------------------------------------------- */

char *state_mark(const json_t *definition)
{
    char *text = json_canonical(definition);
    char hash[ID_SHA256_HEX_SIZE];
    id_sha256_hex(text, strlen(text), hash);
    free(text);
    return mem_strndup(hash, MARK_LENGTH);
}

/* "2" is the third request of the connector that wrote it: in another one it may be any request. Made once for each action: a connector
 * does not change while the worker runs. */
static const char *mark_of_requests(const struct run *run)
{
    struct system *system = run->system;
    system->marks = system->marks ? system->marks : json_object();
    if (!json_object_get(system->marks, run->action_name)) {
        char *mark = state_mark(json_object_get(run->action, "requests"));
        json_put_string(system->marks, run->action_name, mark);
        free(mark);
    }
    return json_string_value(json_object_get(system->marks, run->action_name));
}

/* ---- what may be written down ------------------------------------------------------------------------------------ */

/* Names of saved values that no event may carry: objects are the vendor's and may hold home addresses and phone numbers, and a
 * request says of others that they are secret. New reference to an object with a member for each. */
static json_t *unwritable(const struct run *run, const struct place *place)
{
    json_t *names = json_object();
    const char *name;
    json_t *value;
    json_object_foreach(place->saved, name, value)
    {
        if (json_is_object(value) || json_object_get(run->secrets, name)) {
            json_object_set_new(names, name, json_true());
        }
    }
    return names;
}

struct need {
    const json_t *names;
    bool found;
};

static void note_need(const struct expr_path *path, void *arg)
{
    struct need *need = arg;
    const char *name = expr_path_name(path, 1); /* NULL: `.saved` as a whole */
    if (expr_path_within(path, "saved")) {
        need->found = need->found || !name || json_object_get(need->names, name);
    }
}

static void look_for_needs(const json_t *value, struct need *need)
{
    size_t i;
    const char *name;
    json_t *member;
    if (json_is_string(value)) {
        expr_paths(json_string_value(value), note_need, need);
    }
    json_array_foreach(value, i, member)
    {
        look_for_needs(member, need);
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        look_for_needs(member, need);
    }
}

/* Can the work on the account go on without these saved values? */
static bool goes_on_without(const struct run *run, const struct place *place, const json_t *names)
{
    struct need need = {.names = names};
    bool over = place->ended && verdict_of_name(place->ended) <= VERDICT_MISSING;
    if (json_object_size(names) == 0 || over) {
        return true;
    }
    const json_t *requests = json_object_get(run->action, "requests");
    for (size_t i = place->verifying ? json_array_size(requests) : (size_t)place->at; i < json_array_size(requests);
         i++) {
        look_for_needs(json_array_get(requests, i), &need);
    }
    static const char *const rest[] = {"verify", "outputs", "leaves", "before", "escrow", "target"};
    for (size_t i = 0; i < COUNT_OF(rest); i++) {
        look_for_needs(json_object_get(run->action, rest[i]), &need);
    }
    return !need.found;
}

static json_t *written(const struct run *run, const struct place *place)
{
    json_t *names = unwritable(run, place);
    json_t *json = place_to_json(place, names, goes_on_without(run, place, names));
    json_decref(names);
    return json;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* What a person was asked to put right is looked at anew, unless something was changed because of what was seen. */
static void look_anew(const struct run *run, json_t *place, bool gone)
{
    bool changed = !gone && (json_true_at(run->action, "once") || json_object_get(place, "items_left"));
    const json_t *requests = json_object_get(run->action, "requests");
    for (size_t i = 0; i < (size_t)json_int_at(place, "at", 0); i++) {
        changed = changed || (!gone && request_changes(json_array_get(requests, i)));
    }
    if (!changed) {
        static const char *const over[] = {"verifying", "page", "items_left", "items_at", "items_saved", "gone"};
        json_object_set_new(place, "saved", json_object());
        json_object_set_new(place, "at", json_integer(0));
        for (size_t i = 0; i < COUNT_OF(over); i++) {
            json_object_del(place, over[i]);
        }
    }
}

/* A deferral goes on with the accounts that have not ended. After a failure a person's retry takes those that failed, too. */
static void put_up_for_retry(const struct run *run, json_t *place)
{
    const char *ended = json_string_at(place, "ended");
    bool blocked = ended && strcmp(ended, "blocked") == 0;
    bool gone = json_true_at(place, "gone"); /* whoever looks again looks whether the account is there by now */
    json_object_del(place, "page");          /* a link of days ago may have expired: the listing begins again */
    if (ended && (blocked || strcmp(ended, "failed") == 0 || strcmp(ended, "denied") == 0)) {
        static const char *const over[] = {"ended", "why", "verified"};
        for (size_t i = 0; i < COUNT_OF(over); i++) {
            json_object_del(place, over[i]);
        }
    }
    if (blocked) {
        look_anew(run, place, gone);
    }
}

static json_t *places_written(const struct run *run, enum verdict verdict)
{
    const json_t *came = json_at(run->job->message, "job.state.accounts");
    if (!run->places) { /* the accounts are not known yet: what earlier attempts did stays on record */
        return json_is_object(came) ? json_deep_copy(came) : json_object();
    }
    json_t *places = json_object();
    for (size_t i = 0; i < run->place_count; i++) {
        const char *account = run_account_name(run, i);
        json_t *place = written(run, &run->places[i]);
        if (verdict != VERDICT_DEFERRED) {
            put_up_for_retry(run, place);
        }
        json_object_set_new(places, account, place);
    }
    return places;
}

json_t *run_state(const struct run *run, enum verdict verdict)
{
    json_t *state = json_pack("{s:o, s:b, s:b}", "accounts", places_written(run, verdict), "begun", (int)run->begun,
                              "changed", (int)run->record->changed);
    if (run->places) {
        json_put_string(state, "requests", mark_of_requests(run));
    } else {
        json_put(state, "requests", json_incref(json_at(run->job->message, "job.state.requests")));
        json_put(state, "outputs", json_incref(json_at(run->job->message, "job.state.outputs")));
    }
    if (verdict == VERDICT_DEFERRED) {
        json_put(state, "search", json_incref(run->search));
        if (json_object_size(run->troubles)) {
            json_put(state, "troubles", json_incref(run->troubles));
        }
    }
    return state;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

void run_resume_clocks(struct run *run, const json_t *state)
{
    const json_t *troubles = json_object_get(state, "troubles");
    const json_t *search = json_object_get(state, "search");
    run->begun = run->begun || json_true_at(state, "begun");
    run->record->changed = run->record->changed || json_true_at(state, "changed");
    if (json_is_object(troubles)) {
        json_object_update(run->troubles, (json_t *)(uintptr_t)troubles);
    }
    run->search = json_is_object(search) ? json_deep_copy(search) : NULL;
}

const char *run_account_name(const struct run *run, size_t index)
{
    const char *account = json_string_value(json_array_get(run->accounts, index));
    return account ? account : "";
}

/* Was the state written by an action with other requests? Then its positions mean nothing. */
static bool was_changed(const struct run *run, const json_t *state)
{
    const char *wrote = json_string_at(state, "requests");
    return json_object_size(json_object_get(state, "accounts")) &&
           (!wrote || strcmp(wrote, mark_of_requests(run)) != 0);
}

/* Accounts whose work has ended stay as they are: what was said of them was true of the requests that were made. */
static void begin_anew(struct run *run, struct place *place)
{
    if (!place->ended && place_has_begun(place)) {
        place_forget(place);
        run->anew = true;
    }
}

void run_resume(struct run *run, const json_t *state)
{
    const json_t *places = json_object_get(state, "accounts");
    bool changed = was_changed(run, state);
    run->place_count = json_array_size(run->accounts);
    run->places = mem_alloc((run->place_count + 1) * sizeof *run->places);
    for (size_t i = 0; i < run->place_count; i++) {
        place_init(&run->places[i]);
        place_from_json(&run->places[i], json_object_get(places, run_account_name(run, i)));
        if (changed) {
            begin_anew(run, &run->places[i]);
        }
    }
}
