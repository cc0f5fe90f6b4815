/* What an answer means: the request's own predicates first, then the defaults of the field (vendor API sheet, 0.2). */
#include <stdlib.h>

#include "lib/json.h"
#include "worker/engine_internal.h"

static bool predicate(struct run *run, const json_t *request, const char *name)
{
    return expr_true(run->engine->exprs, json_object_get(request, name), run->context, false);
}

/* What the vendor says of an error, short enough for one sentence. */
static const char *explanation(const struct run *run)
{
    static const char *const places[] = {"detail",          "error.details.0.message",
                                         "error.message",   "error_description",
                                         "message",         "errorSummary",
                                         "errorMessages.0", "meta.message",
                                         "error",           "errors.0.description"};
    const json_t *body = json_object_get(run->context, "body");
    for (size_t i = 0; json_is_object(body) && i < sizeof places / sizeof places[0]; i++) {
        const char *text = json_string_at(body, places[i]);
        if (text) {
            return text;
        }
    }
    return json_is_string(body) ? json_string_value(body) : "";
}

static enum verdict say_status(struct run *run, enum verdict verdict, const char *what)
{
    char *why = run_mask(run, explanation(run)); /* before it is cut: half a secret would not be known as one */
    run_say(run, verdict, "%s: the vendor answered %d%s%.300s", what, run->last_status, *why ? ": " : "", why);
    free(why);
    return verdict;
}

/* What SMTP means by its codes (RFC 5321, 4.2.1; RFC 4954, 6). */
static enum verdict by_mail(struct run *run, int status, bool *again)
{
    if (status < 400) {
        return VERDICT_DONE;
    }
    if (status < 500) {
        *again = true;
        return say_status(run, VERDICT_FAILED, "temporary trouble");
    }
    if (status == 530 || status == 534 || status == 535 || status == 538) {
        return say_status(run, VERDICT_DENIED, "credentials or rights refused");
    }
    return say_status(run, VERDICT_FAILED, "refused");
}

static enum verdict by_ldap(struct run *run, int status, bool *again)
{
    switch (ldap_meaning(status)) {
    case LDAP_MEANS_DONE:
        return VERDICT_DONE;
    case LDAP_MEANS_LATER:
        *again = true;
        return say_status(run, VERDICT_FAILED, "temporary trouble");
    case LDAP_MEANS_DENIED:
        return say_status(run, VERDICT_DENIED, "credentials or rights refused");
    case LDAP_MEANS_REFUSED:
        break;
    }
    return say_status(run, VERDICT_FAILED, "refused");
}

static enum verdict by_default(struct run *run, const json_t *request, int status, bool *again)
{
    if (request_is_mail(request)) {
        return by_mail(run, status, again);
    }
    if (request_ldap(request)) {
        return by_ldap(run, status, again);
    }
    if (status >= 200 && status < 300) {
        return VERDICT_DONE;
    }
    if (status == 408 || status == 425 || status == 429 || status >= 500) {
        *again = true;
        return say_status(run, VERDICT_FAILED, "temporary trouble");
    }
    if (status == 401 || status == 403) {
        return say_status(run, VERDICT_DENIED, "credentials or rights refused");
    }
    return say_status(run, VERDICT_FAILED, "refused");
}

/* The request's own predicates; where several hold, the gravest counts. */
static enum verdict by_predicates(struct run *run, const json_t *request, const struct response *response, bool *again)
{
    static const struct {
        const char *name;
        enum verdict verdict;
        const char *what;
    } own[] = {
        {"denied", VERDICT_DENIED, "credentials or rights refused"},
        {"blocked", VERDICT_BLOCKED, "a person must act"},
        {"missing", VERDICT_MISSING, "not there"},
        {"already", VERDICT_ALREADY, NULL},
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (predicate(run, request, own[i].name)) {
            return own[i].what ? say_status(run, own[i].verdict, own[i].what) : own[i].verdict;
        }
    }
    if (predicate(run, request, "retry")) {
        *again = true;
        return say_status(run, VERDICT_FAILED, "temporary trouble");
    }
    const json_t *success = json_object_get(request, "success");
    if (success) {
        if (expr_true(run->engine->exprs, success, run->context, false)) {
            return VERDICT_DONE;
        }
        bool fine = response->ldap ? response->status == 0 : response->status >= 200 && response->status < 300;
        return fine ? say_status(run, VERDICT_FAILED, "the answer is not what success looks like")
                    : by_default(run, request, response->status, again);
    }
    return by_default(run, request, response->status, again);
}

/* Only who throttles says how long; a rate-limit header beside any other answer means nothing for it. */
static void note_throttling(struct response *response, bool again, bool by_request)
{
    response->throttled =
        again && (response->status == 429 || (response->retry_after >= 0 && (response->status == 503 || by_request)));
    if (!response->throttled) {
        response->retry_after = -1;
    }
}

enum verdict classify(struct run *run, const json_t *request, struct response *response, bool *again)
{
    *again = false;
    if (response->tokenless) { /* nobody answered the request: its own predicates have nothing to say */
        *again = true;
        note_throttling(response, true, false);
        return run_say(run, VERDICT_FAILED, "temporary trouble: %s", response->error);
    }
    if (!response_came(response)) {
        *again = true;
        note_throttling(response, true, false);
        return run_say(run, VERDICT_FAILED, "no answer: %s", response->error);
    }
    enum verdict verdict = by_predicates(run, request, response, again);
    note_throttling(response, *again, predicate(run, request, "retry"));
    return verdict;
}
