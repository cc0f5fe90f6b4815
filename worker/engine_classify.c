/* What an answer means: the request's own predicates first, then the defaults of the field (vendor API sheet, 0.2). */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/text.h"
#include "worker/engine_internal.h"

enum { WHY_MAX = 600 }; /* bytes of a vendor's explanation */

bool classify_says(const struct run *run, const json_t *request, const char *name)
{
    return expr_true(run->engine->exprs, json_object_get(request, name), run->context, false);
}

/* What the vendor said, masked and cut. Takes over `said`; the caller frees. */
static char *shown(const struct run *run, char *said)
{
    char *masked = run_mask(run, said); /* before it is cut: half a secret would not be known as one */
    char *plain = text_plain(masked);
    char *why = text_shortened(plain, WHY_MAX);
    free(plain);
    free(masked);
    free(said);
    return why;
}

static enum verdict say_status(struct run *run, const json_t *request, enum verdict verdict, const char *what)
{
    char *why = shown(run, explain(run, request));
    run_say(run, verdict, "%s: the vendor answered %d%s%s", what, run->last_status, *why ? ": " : "", why);
    free(why);
    return verdict;
}

/* What SMTP means by its codes (RFC 5321, 4.2.1; RFC 4954, 6). */
static enum verdict by_mail(struct run *run, const json_t *request, int status, bool *again)
{
    if (status < 400) {
        return VERDICT_DONE;
    }
    if (status < 500) {
        *again = true;
        return say_status(run, request, VERDICT_FAILED, "temporary trouble");
    }
    if (status == 530 || status == 534 || status == 535 || status == 538) {
        return say_status(run, request, VERDICT_DENIED, "credentials or rights refused");
    }
    return say_status(run, request, VERDICT_FAILED, "refused");
}

static enum verdict by_ldap(struct run *run, const json_t *request, int status, bool *again)
{
    switch (ldap_meaning(status)) {
    case LDAP_MEANS_DONE:
        return VERDICT_DONE;
    case LDAP_MEANS_LATER:
        *again = true;
        return say_status(run, request, VERDICT_FAILED, "temporary trouble");
    case LDAP_MEANS_DENIED:
        return say_status(run, request, VERDICT_DENIED, "credentials or rights refused");
    case LDAP_MEANS_REFUSED:
        break;
    }
    return say_status(run, request, VERDICT_FAILED, "refused");
}

/* Errors that pass. 501, 505 and 510 say that the vendor will never do this (RFC 9110, 15.6; RFC 2774, 7). */
bool status_is_temporary(int status)
{
    bool never = status == 501 || status == 505 || status == 510;
    return status == 408 || status == 425 || status == 429 || (status >= 500 && !never);
}

/* Is one of the values in a header sent once or several times ("0", "17, 0") zero? */
static bool lists_zero(const char *values)
{
    for (const char *at = values; at; at = strchr(at, ',')) {
        at += strspn(at, ", \t");
        size_t digits = strspn(at, "0123456789");
        bool zero = digits && strspn(at, "0") == digits;
        if (zero && strchr(",; \t.", at[digits]) && strtod(at, NULL) < 1) {
            return true;
        }
    }
    return false;
}

/* "limit=100, remaining=0, reset=5", or "\"hour\";r=0;t=50": IETF's RateLimit header in its drafts. */
static bool says_none_left(const char *value)
{
    static const char *const names[] = {"remaining=", "r="};
    for (size_t i = 0; value && i < COUNT_OF(names); i++) {
        for (const char *at = strstr(value, names[i]); at; at = strstr(at + 1, names[i])) {
            bool begins = at == value || strchr("; ,\t", at[-1]);
            if (begins && lists_zero(at + strlen(names[i]))) {
                return true;
            }
        }
    }
    return false;
}

static bool is_exhausted(const json_t *headers)
{
    static const char *const names[] = {"x-ratelimit-remaining", "x-rate-limit-remaining", "ratelimit-remaining",
                                        "x-ratelimit-requests-remaining"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *left = json_string_at(headers, names[i]);
        if (left && lists_zero(left)) {
            return true;
        }
    }
    return says_none_left(json_string_at(headers, "ratelimit"));
}

static bool says_any(const char *text, const char *const *phrases)
{
    for (; *phrases; phrases++) {
        if (strcasestr(text, *phrases)) {
            return true;
        }
    }
    return false;
}

/* Vendors have no common word for "later"; a connector whose vendor has another one says so by `retry`. */
bool words_ask_again(int status, const char *said)
{
    static const char *const limits[] = {"rate limit exceeded", "rate limit reached",     "secondary rate limit",
                                         "ratelimitexceeded",   "too many requests",      "throttled",
                                         "throttling",          "request limit exceeded", NULL};
    static const char *const later[] = {"try again",
                                        "retry",
                                        "try later",
                                        "concurrent modification",
                                        "concurrent update",
                                        "concurrent request",
                                        "erneut versuchen",
                                        "noch einmal",
                                        "réessay",
                                        "reintent",
                                        "riprova",
                                        "tente novamente",
                                        "operation is in progress",
                                        "request is in progress",
                                        "update is in progress",
                                        "already being processed",
                                        NULL};
    static const char *const never[] = {"try again with", "retry with", "with another", "with a different", NULL};
    return (status == 403 && says_any(said, limits)) ||
           (status == 409 && says_any(said, later) && !says_any(said, never));
}

/* A refusal that says "later": a conflict with another change under way, or a limit that some vendors tell by 403. */
static bool asks_to_try_again(const struct run *run, const json_t *request, int status)
{
    const json_t *headers = json_object_get(run->context, "headers");
    bool waits = json_object_get(headers, "retry-after") != NULL;
    if (status != 403 && status != 409) {
        return false;
    }
    char *said = explain(run, request);
    bool again = waits || (status == 403 && is_exhausted(headers)) || words_ask_again(status, said);
    free(said);
    return again;
}

static enum verdict by_default(struct run *run, const json_t *request, int status, bool *again)
{
    if (request_is_mail(request)) {
        return by_mail(run, request, status, again);
    }
    if (request_ldap(request)) {
        return by_ldap(run, request, status, again);
    }
    if (status >= 200 && status < 300) {
        return VERDICT_DONE;
    }
    if (status_is_temporary(status) || asks_to_try_again(run, request, status)) {
        *again = true;
        return say_status(run, request, VERDICT_FAILED, "temporary trouble");
    }
    if (status == 401 || status == 403) {
        return say_status(run, request, VERDICT_DENIED, "credentials or rights refused");
    }
    return say_status(run, request, VERDICT_FAILED, "refused");
}

/* A good status beside it would sound like a contradiction. */
static enum verdict say_own(struct run *run, const json_t *request, enum verdict verdict, const char *what)
{
    if (verdict != VERDICT_MISSING || run->last_status < 200 || run->last_status >= 300) {
        return say_status(run, request, verdict, what);
    }
    char *why = shown(run, explain_in_words(run, request));
    run_say(run, verdict, "%s, as the vendor's answer shows (status %d)%s%s", what, run->last_status, *why ? ": " : "",
            why);
    free(why);
    return verdict;
}

/* The request's own predicates; where several hold, the gravest counts. What an answer must prove is not believed of every answer
 * (engine_evidence.c). */
static enum verdict by_predicates(struct run *run, const json_t *request, const struct response *response, bool *again)
{
    static const struct {
        const char *name;
        enum verdict verdict;
        const char *what;
        bool proves;
    } own[] = {
        {"denied", VERDICT_DENIED, "credentials or rights refused", false},
        {"blocked", VERDICT_BLOCKED, "a person must act", false},
        {"missing", VERDICT_MISSING, "not there", true},
        {"already", VERDICT_ALREADY, NULL, true},
    };
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        if (own[i].proves ? evidence_shows(run, request, response, own[i].name)
                          : classify_says(run, request, own[i].name)) {
            return own[i].what ? say_own(run, request, own[i].verdict, own[i].what) : own[i].verdict;
        }
    }
    if (classify_says(run, request, "retry")) {
        *again = true;
        return say_status(run, request, VERDICT_FAILED, "temporary trouble");
    }
    if (!json_object_get(request, "success")) {
        return by_default(run, request, response->status, again);
    }
    if (evidence_shows(run, request, response, "success")) {
        return VERDICT_DONE;
    }
    bool fine = response->ldap ? response->status == 0 : response->status >= 200 && response->status < 300;
    return fine ? say_status(run, request, VERDICT_FAILED, "the answer is not what success looks like")
                : by_default(run, request, response->status, again);
}

/* Only who throttles says how long; a rate-limit header beside any other answer means nothing for it. */
static void note_throttling(struct response *response, bool again, bool by_request)
{
    int status = response->status;
    response->throttled =
        again && (status == 429 || (response->retry_after >= 0 && (status == 503 || status == 403 || by_request)));
    if (!response->throttled) {
        response->retry_after = -1;
    }
}

/* No answer that could be judged. */
static enum verdict unanswered(struct run *run, const struct response *response, bool *again)
{
    *again = !response->hopeless;
    if (response->tokenless) { /* nobody answered the request: its own predicates have nothing to say */
        return run_say(run, VERDICT_FAILED, "temporary trouble: %s", response->error);
    }
    if (response->hopeless) {
        return run_say(run, VERDICT_FAILED, "the request can't succeed: %s", response->error);
    }
    return run_say(run, VERDICT_FAILED, "no answer: %s", response->error);
}

/* The answer came, and says nothing about what was asked. */
static bool is_odd(struct run *run, const json_t *request, struct response *response)
{
    char *why = evidence_odd(run, request, response);
    if (why) {
        char *told = shown(run, mem_strdup(why));
        run_say(run, VERDICT_FAILED, "%s (status %d)", told, response->status);
        free(told);
    }
    response->odd = why != NULL;
    free(why);
    return response->odd;
}

enum verdict classify(struct run *run, const json_t *request, struct response *response, bool *again)
{
    *again = false;
    if (response->tokenless || response->hopeless || !response_came(response)) {
        enum verdict verdict = unanswered(run, response, again);
        note_throttling(response, *again, false);
        health_answered(&run->system->health, response);
        return verdict;
    }
    if (is_odd(run, request, response)) {
        *again = !response->unreadable; /* what can't be decoded is no outage: the next answer would be like it */
        response->doubtful = true;
        response->retry_after = -1;
        return VERDICT_FAILED;
    }
    enum verdict verdict = by_predicates(run, request, response, again);
    note_throttling(response, *again, classify_says(run, request, "retry"));
    health_answered(&run->system->health, response);
    return verdict;
}
