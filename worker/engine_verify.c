/* Done means read back: the wanted state must be seen, not only a 200. An action's `verify` is one look or a list of looks, and all
 * of them have to show what they expect. A look may save what later looks ask about, and be left out (`if`) by what was saved. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/engine_internal.h"

#define LAST_PAUSE (2 * TIME_SECOND) /* before the last look, when the time is over */

/* ---- the record -------------------------------------------------------------------------------------------------- */

static void note(struct run *run, const json_t *verify, bool ok)
{
    const char *expect = json_string_at(verify, "expect");
    char now[TIME_TEXT_SIZE];
    time_format(time_now(), now);
    json_decref(run->place->verified);
    run->place->verified = json_pack("{s:s, s:o, s:s, s:b}", "expected", expect ? expect : "", "seen",
                                     evidence_seen(run, expect), "at", now, "ok", (int)ok);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* How a look ended. */
struct sight {
    bool ok;
    bool answered; /* the vendor said something about the state */
    bool unclear;  /* nobody knows what it is about, or what stands on the other pages: the run's message says why */
    int64_t retry_after; /* microseconds, -1: the vendor says nothing */
    enum verdict stop;   /* why the run must rest (DONE: it need not) */
};

/* What later looks ask about. The message of the trouble that made us look stays as it is. */
static bool save_sight(struct run *run, const json_t *verify)
{
    char *message = run->message;
    run->message = NULL;
    bool saved = request_save(run, verify, VERDICT_DONE) == VERDICT_DONE;
    free(run->message);
    run->message = message;
    return saved;
}

/* What the connector calls denied or blocked, a person has to put right; what is hopeless goes the same way next time. */
static enum verdict why_stop(const struct run *run, const json_t *verify, const struct response *response,
                             enum verdict said)
{
    bool own = response_came(response) && !response->odd &&
               (classify_says(run, verify, "denied") || classify_says(run, verify, "blocked"));
    return response->hopeless ? VERDICT_FAILED : own ? said : VERDICT_DONE;
}

/* An answer that the connector does not call a success, and that does not show what is expected: it may be about somebody else. */
static bool is_strange(const struct run *run, const json_t *verify, const struct response *response)
{
    bool fine = response->ldap ? response->status == 0 : response->status >= 200 && response->status < 300;
    return fine && json_object_get(verify, "success") && !classify_says(run, verify, "success") &&
           !evidence_shows(run, verify, response, "expect");
}

/* One page of a look. */
static void look_at_page(struct run *run, const json_t *verify, struct sight *sight)
{
    struct response response;
    *sight = (struct sight){.retry_after = -1, .stop = request_send(run, verify, &response)};
    if (sight->stop != VERDICT_DONE) {
        return;
    }
    bool again = false;
    char *message = run->message;
    run->message = NULL;
    enum verdict said = classify(run, verify, &response, &again);
    sight->stop = why_stop(run, verify, &response, said);
    if (sight->stop != VERDICT_DONE) {
        free(message);
        return;
    }
    bool silent = again || !response_came(&response) || response.tokenless || response.odd;
    sight->unclear = !silent && is_strange(run, verify, &response);
    sight->ok = !silent && evidence_shows(run, verify, &response, "expect") && save_sight(run, verify);
    sight->answered = !silent;
    sight->retry_after = response.retry_after;
    if (sight->answered) {
        note(run, verify, sight->ok);
        trouble_over(run);
    }
    if (sight->answered && !sight->unclear) {
        free(run->message);
        run->message = message;
    } else {
        free(message);
    }
}

/* The same of all pages: what is expected has to hold on each of them. */
static void look_once(struct run *run, const json_t *verify, struct sight *sight)
{
    json_t *page = json_incref((json_t *)(uintptr_t)verify);
    *sight = (struct sight){.ok = true, .answered = true};
    for (int count = 0; page && sight->ok; count++) {
        json_t *next = NULL;
        look_at_page(run, page, sight);
        if (sight->ok && (pages_next(run, page, &next) != VERDICT_DONE || count == PAGES_MAX)) {
            sight->ok = false;
            sight->unclear = true;
            note(run, verify, false);
        }
        json_decref(page);
        page = next;
    }
    json_decref(page);
}

/* One look at every item, up to the first that is not as wanted. No items: there is nothing to be seen otherwise. */
static void look_at_items(struct run *run, const json_t *verify, struct sight *sight)
{
    json_t *items = expr_render(run->engine->exprs, json_object_get(verify, "for_each"), run->context, NULL);
    *sight = (struct sight){.ok = json_is_array(items), .answered = true, .retry_after = -1, .stop = VERDICT_DONE};
    if (!sight->ok ||
        (json_array_size(items) == 0 && !run->place->verified)) { /* else the look before it is the record */
        context_forget_answer(run);
        note(run, verify, sight->ok);
    }
    for (size_t i = 0; sight->ok && i < json_array_size(items); i++) {
        context_set(run, "item", json_incref(json_array_get(items, i)));
        look_once(run, verify, sight);
    }
    context_set(run, "item", json_null());
    json_decref(items);
}

static void look_at(struct run *run, const json_t *verify, struct sight *sight)
{
    bool items = json_object_get(verify, "for_each") != NULL;
    bool collecting = run->collecting;
    run->collecting = items || json_object_get(verify, "pages");
    if (run->collecting) {
        sequence_clear_saved(run, verify);
    }
    if (items) {
        look_at_items(run, verify, sight);
    } else {
        look_once(run, verify, sight);
    }
    run->collecting = collecting;
}

static const json_t *look_number(const json_t *verify, size_t index)
{
    return json_is_array(verify) ? json_array_get(verify, index) : index == 0 ? verify : NULL;
}

/* All looks, up to the first that does not show what it expects. When `if` leaves all of them out, nothing was seen. */
static void look_all(struct run *run, const json_t *verify, struct sight *sight)
{
    const json_t *look;
    bool any = false;
    *sight = (struct sight){.ok = true, .answered = true, .retry_after = -1};
    json_decref(run->place->verified);
    run->place->verified = NULL;
    for (size_t i = 0; sight->ok && (look = look_number(verify, i)); i++) {
        if (expr_true(run->engine->exprs, json_object_get(look, "if"), run->context, true)) {
            any = true;
            trouble_at(run, "verify/%zu", i);
            look_at(run, look, sight);
        }
    }
    if (!any) {
        context_forget_answer(run);
        note(run, verify, false);
        sight->ok = false;
    }
}

bool verify_look(struct run *run)
{
    const json_t *verify = json_object_get(run->action, "verify");
    struct sight sight;
    if (!verify || run->dry) {
        return false;
    }
    char *message = mem_strdup(run->message); /* of the trouble that made us look */
    char *where = mem_strdup(run->where);
    int status = run->last_status;
    run->looking = true;
    look_all(run, verify, &sight);
    run->looking = false;
    free(run->message);
    free(run->where);
    run->message = message;
    run->where = where;
    run->last_status = status;
    return sight.ok;
}

/* ---- what a read-back covers ------------------------------------------------------------------------------------- */

static size_t changing_requests(const struct run *run)
{
    size_t count = 0;
    size_t i;
    json_t *request;
    json_array_foreach(json_object_get(run->action, "requests"), i, request)
    {
        count += !json_object_get(request, "wait") && request_changes(request);
    }
    return count;
}

bool verify_covers(const struct run *run, const json_t *request)
{
    const char *covers = json_string_at(run->action, "covers");
    if (!json_object_get(run->action, "verify") || !request_changes(request) ||
        json_object_get(request, "unverified")) {
        return false;
    }
    return (covers && strcmp(covers, "all") == 0) || changing_requests(run) == 1;
}

/* ---- until it is there ------------------------------------------------------------------------------------------- */

/* The longest that a look says; `otherwise` when none says it. */
static int64_t duration_at(const json_t *verify, const char *name, int64_t otherwise)
{
    int64_t longest = -1;
    for (size_t i = 0; look_number(verify, i); i++) {
        const char *text = json_string_at(look_number(verify, i), name);
        int64_t duration = -1;
        if (text) {
            time_parse_duration(text, &duration, NULL);
        }
        longest = duration > longest ? duration : longest;
    }
    return longest >= 0 ? longest : otherwise;
}

static enum verdict not_confirmed(struct run *run, const struct sight *sight)
{
    char *unclear = sight->unclear && run->message ? mem_strdup(run->message) : NULL;
    char *seen = json_text(json_object_get(run->place->verified, "seen"));
    const char *expected = json_string_at(run->place->verified, "expected");
    run->place->verify_since = 0;
    place_restart(run->place); /* a retry makes the change again, and does not only look again */
    if (unclear) {
        run_say(run, VERDICT_FAILED, "not confirmed by reading back: %s", unclear);
    } else if (expected && *expected) {
        run_say(run, VERDICT_FAILED, "not confirmed by reading back: the vendor shows %s", seen);
    } else {
        run_say(run, VERDICT_FAILED,
                "not confirmed: the connector left out every read-back (\"if\"), so nothing was asked");
    }
    free(seen);
    free(unclear);
    return VERDICT_FAILED;
}

static enum verdict pause_between_looks(struct run *run, int64_t every)
{
    struct sleeper *sleeper = NULL;
    run_sleep(run, every, &sleeper);
    return run_interrupted(run);
}

/* The looks of one attempt. `within` counts from the first look that the vendor answered, over all attempts. When that was before an
 * interruption or an outage, nobody saw what became of the state meanwhile: one answer is not enough then to say that it is not there. */
struct looks {
    int64_t within, every;
    int answered;
    int needed; /* answered looks, at least, before the time is over */
};

static void looks_begin(struct looks *looks, const struct run *run, const json_t *verify)
{
    *looks = (struct looks){.within = duration_at(verify, "within", 30 * TIME_SECOND),
                            .every = duration_at(verify, "every", 2 * TIME_SECOND),
                            .needed = run->place->verify_since ? 2 : 1};
}

/* The vendor answered, and the state is not there: what now? DONE: look again. */
static enum verdict after_answer(struct looks *looks, struct run *run, const struct sight *sight)
{
    struct place *place = run->place;
    place->verify_since = place->verify_since ? place->verify_since : time_now();
    bool over = time_now() + looks->every > place->verify_since + looks->within;
    if (over && ++looks->answered >= looks->needed) {
        return not_confirmed(run, sight);
    }
    int64_t pause = over && looks->every > LAST_PAUSE ? LAST_PAUSE : looks->every;
    return pause_between_looks(run, pause);
}

/* Looks until the state is there, or the time for it is over. */
static enum verdict look_until(struct run *run, const json_t *verify)
{
    struct looks looks;
    looks_begin(&looks, run, verify);
    run->tries = 0;
    for (;;) {
        struct sight sight;
        look_all(run, verify, &sight);
        if (sight.ok) {
            run->place->verify_since = 0;
            return VERDICT_DONE;
        }
        enum verdict stop = sight.stop;
        if (stop == VERDICT_DONE && sight.answered) {
            stop = after_answer(&looks, run, &sight);
        } else if (stop == VERDICT_DONE) {
            looks.needed = 2;
            stop = run_wait_or_defer(run, sight.retry_after);
        }
        if (stop != VERDICT_DONE) {
            return stop;
        }
    }
}

enum verdict verify_run(struct run *run)
{
    const json_t *verify = json_object_get(run->action, "verify");
    if (!verify || run->dry) {
        return VERDICT_DONE;
    }
    run->place->verifying = true;
    run->looking = true;
    enum verdict verdict = look_until(run, verify);
    run->looking = false;
    if (verdict == VERDICT_DONE) {
        run->place->verifying = false;
    }
    return verdict;
}
