/* One request: sent through the gate, classified, retried, saved. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/text.h"
#include "lib/time.h"
#include "worker/body.h"
#include "worker/engine_search.h"
#include "worker/retry.h"

enum { CALLS_MAX = 50, BODY_SHOWN_MAX = 2000, ODD_TRIES = 3 };

/* ---- the record of a call ---------------------------------------------------------------------------------------- */

/* A new call on record, borrowed; NULL when there is no room for it. */
static json_t *new_call(struct run *run, const char *method, const char *to, bool changes)
{
    struct record *record = run->record;
    if (json_array_size(record->calls) >= CALLS_MAX) {
        record->left_out++;
        return NULL;
    }
    char *url = run_mask(run, to);
    json_t *call =
        json_pack("{s:s, s:s, s:i, s:b}", "method", method, "url", url, "try", run->tries + 1, "changes", (int)changes);
    free(url);
    json_array_append_new(record->calls, call);
    return call;
}

static void record_answered(struct run *run, json_t *call, const struct http_answer *answer)
{
    json_put(call, "status", json_integer(answer->status));
    json_put(call, "ms", json_integer(answer->duration / 1000));
    json_put_string(call, "request_id", json_string_at(answer->headers, "x-request-id"));
    json_put_string(call, "span_id", *run->span_id ? run->span_id : NULL);
    if (answer->error) {
        char *error = run_mask(run, answer->error);
        json_put_string(call, "error", error);
        free(error);
    }
}

/* What a dry run would send. */
static void record_unsent(struct run *run, const struct rendered *rendered, bool changes)
{
    json_t *call = new_call(run, rendered->method, rendered->url, changes);
    if (!call) {
        return;
    }
    json_put(call, "status", json_integer(0));
    json_put(call, "dry_run", json_true());
    json_put(call, "uncertain", run->uncertain ? json_true() : NULL);
    const char *text = rendered->is_mail ? rendered->mail.message : rendered->body;
    if (text && *text) {
        char *masked = run_mask(run, text);
        char *shown = text_shortened(masked, BODY_SHOWN_MAX);
        json_put_string(call, "body", shown);
        free(shown);
        free(masked);
    }
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

/* What comes without a body may be a page all the same: the answer to a HEAD is about what a GET would bring, and a gateway's error. */
static bool is_web_page(const struct rendered *rendered, const struct http_answer *answer, const struct body *body)
{
    const char *type = json_string_at(answer->headers, "content-type");
    const char *text = body->kind == BODY_TEXT ? json_string_value(body->value) : NULL;
    bool claimed =
        type && (strncasecmp(type, "text/html", 9) == 0 || strncasecmp(type, "application/xhtml+xml", 21) == 0);
    bool empty = answer->body.len == 0 && (strcmp(rendered->method, "HEAD") == 0 || answer->status >= 400);
    return (claimed && empty) || /* "OK" is no page, whatever its type */
           (text && ((claimed && strchr(text, '<')) || text_is_page(text)));
}

static int64_t vendor_wait(struct run *run, const struct http_answer *answer)
{
    const json_t *rule = json_object_get(run->system->connector->tree, "retry_after");
    static const char *const kinds[] = {"seconds", "date", "epoch"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const char *tmpl = json_string_at(rule, kinds[i]);
        char *text = tmpl ? expr_text(run->engine->exprs, tmpl, run->context, NULL) : NULL;
        int64_t wait = retry_after_parse(text, time_now());
        if (wait >= 0 && strcmp(kinds[i], "epoch") == 0) {
            wait = wait > time_now() ? wait - time_now() + TIME_SECOND : 0; /* epoch seconds, one to be sure */
        }
        free(text);
        if (wait >= 0) {
            return wait;
        }
    }
    return retry_after_parse(json_string_at(answer->headers, "retry-after"), time_now());
}

/* What `doubtful` and `ill` of a response mean, by the kind of answer. */
static void judge(const struct rendered *rendered, const struct http_answer *answer, struct response *response)
{
    bool mail = rendered->is_mail;
    long status = answer->status;
    if (!response_came(response)) {
        response->doubtful = answer->sent;
        response->ill = !response->hopeless; /* what is odd about one request is no trouble of the vendor's */
    } else if (rendered->is_ldap) {
        response->ill = ldap_meaning((int)status) == LDAP_MEANS_LATER;
    } else {
        bool trouble = status >= 500 && status_is_temporary((int)status);
        response->doubtful = !mail && (status == 408 || trouble);
        response->ill = mail ? status == 421 : trouble; /* SMTP says 5yz of this one mail, and 421 of itself */
    }
}

static void take_answer(struct run *run, const json_t *request, const struct rendered *rendered,
                        struct http_answer *answer, struct response *response)
{
    struct body body;
    body_read(answer->body.data, answer->body.len, json_string_at(answer->headers, "content-type"), &body);
    run->last_status = (int)answer->status;
    run->unsent = false;
    context_set(run, "status", json_integer(answer->status));
    context_set(run, "headers", json_incref(answer->headers));
    context_set(run, "body", json_incref(answer->status >= 400 && body.rough ? body.rough : body.value));
    *response = (struct response){
        .status = answer->fault == HTTP_FAULT_ANSWER ? 0 : (int)answer->status,
        .sent = answer->sent,
        .ldap = rendered->is_ldap,
        .aborted = answer->aborted,
        .web_page = is_web_page(rendered, answer, &body),
        .plain = body.kind == BODY_TEXT,
        .unreached = answer->fault == HTTP_FAULT_ADDRESS,
        .hopeless = answer->fault == HTTP_FAULT_ANSWER || answer->fault == HTTP_FAULT_REQUEST,
    };
    judge(rendered, answer, response);
    bool addressed = response->unreached || answer->fault == HTTP_FAULT_REQUEST;
    const char *why = answer->error ? answer->error : body.why;
    char *error = addressed ? address_error(run, request, answer->error) : run_mask(run, why);
    context_set(run, "error", error ? json_string(error) : json_null());
    free(error);
    response->error = json_string_at(run->context, "error");
    response->unreadable = body.kind == BODY_UNREADABLE ? response->error : NULL;
    body_release(&body);
    response->retry_after = vendor_wait(run, answer);
}

static const char *limit_of(const struct run *run, const json_t *request)
{
    const char *limit = json_string_at(request, "limit");
    limit = limit ? limit : json_string_at(run->action, "limit");
    return limit ? limit : "default";
}

static int64_t timeout_of(const struct run *run, const json_t *request)
{
    int64_t timeout = conf_duration(run->engine->conf, "worker.request_timeout");
    const char *own = json_string_at(request, "timeout");
    if (own) {
        time_parse_duration(own, &timeout, NULL);
    }
    return timeout;
}

void request_note(struct run *run, const char *method, const char *url, bool changes, const struct http_answer *answer)
{
    json_t *call = new_call(run, method, url, changes);
    if (call) {
        record_answered(run, call, answer);
    }
    *run->span_id = '\0'; /* a request for a token has none */
    char *code = mem_printf("%ld", answer->status);
    series_add(metric_series(run->engine->requests, run->job->system, method, code, NULL), 1);
    series_observe(metric_series(run->engine->request_seconds, run->job->system, NULL),
                   (double)answer->duration / (double)TIME_SECOND);
    free(code);
}

void request_exchange(struct run *run, struct http_call *call, bool changes, struct http_answer *answer)
{
    struct flight *flight = NULL;
    call->ca_file = json_string_at(run->system->settings, "ca_file");
    run->engaged.flight = &flight;
    http_perform(run->engine->http, call, &flight, answer);
    run->engaged.flight = NULL;
    trace_call(run, call, changes, answer);
    request_note(run, call->method, call->url, changes, answer);
}

static void perform_once(struct run *run, const json_t *request, const struct rendered *rendered,
                         struct response *response)
{
    struct http_call call = {.method = rendered->method,
                             .url = rendered->url,
                             .headers = rendered->headers,
                             .body = rendered->body,
                             .user = rendered->user,
                             .password = rendered->password,
                             .bearer = rendered->bearer,
                             .timeout = timeout_of(run, request)};
    struct http_answer answer;
    if (rendered->is_mail) {
        mail_exchange(run, rendered, call.timeout, &answer);
    } else if (rendered->is_ldap) {
        ldap_exchange(run, rendered, call.timeout, &answer);
    } else {
        request_exchange(run, &call, request_changes(request), &answer);
    }
    take_answer(run, request, rendered, &answer, response);
    if (request_changes(request) && answer.sent) {
        run->record->changed = true;
        run->seen = false;
    }
    http_answer_release(&answer);
}

/* A token may end before its time: a 401 is asked about once, with a new one. */
static enum verdict perform(struct run *run, const json_t *request, struct rendered *rendered,
                            struct response *response)
{
    enum verdict verdict = auth_sign(run, rendered);
    response->aborted = verdict != VERDICT_DONE; /* the vendor heard nothing */
    verdict = verdict == VERDICT_DONE ? auth_authorize(run, rendered, response) : verdict;
    if (verdict == VERDICT_DONE && !response->tokenless) {
        perform_once(run, request, rendered, response);
        if (response->status == 401 && auth_renews(rendered)) {
            verdict = auth_authorize(run, rendered, response);
            if (verdict == VERDICT_DONE && !response->tokenless) {
                perform_once(run, request, rendered, response);
            }
        }
    }
    return verdict;
}

/* A vendor knows nothing of what only a change would have made: a dry run doesn't ask about it. */
static bool asks_about_stand_in(const struct rendered *rendered)
{
    const char *subject = json_string_at(rendered->as, "subject");
    return (subject && strstr(subject, STAND_IN)) || strstr(rendered->url, STAND_IN) ||
           strstr(rendered->url, STAND_IN_ENCODED) ||
           (rendered->body && (strstr(rendered->body, STAND_IN) || strstr(rendered->body, STAND_IN_ENCODED)));
}

static enum verdict send_gated(struct run *run, const json_t *request, struct rendered *rendered,
                               struct response *response)
{
    struct named_limit *taken = NULL;
    enum verdict verdict = gate_enter(run, limit_of(run, request), &taken);
    if (verdict == VERDICT_DONE) {
        verdict = perform(run, request, rendered, response);
        if (!response->aborted) {
            gate_result(run->system, response, json_string_at(run->job->message, "id"));
        }
        gate_leave(run->system, taken);
    }
    return verdict;
}

/* Tells who follows the job what is about to be asked, and what its expressions see. */
static void tell(struct run *run, const json_t *request, const struct rendered *rendered)
{
    if (!run->job->asks) {
        return;
    }
    json_t *question =
        json_pack("{s:s, s:b, s:b, s:b, s:s, s:s, s:O, s:O}", "at", run->where ? run->where : "", "search",
                  (int)run->searching, "look", (int)run->looking, "changes", (int)request_changes(request), "method",
                  rendered->method, "url", rendered->url, "request", request, "context", run->context);
    json_put_string(question, "body", rendered->is_mail ? rendered->mail.message : rendered->body);
    json_t *masked = run_masked(run, question);
    run->job->asks(run->job, masked);
    json_decref(masked);
    json_decref(question);
}

static enum verdict send_request(struct run *run, const json_t *request, struct response *response, bool gated)
{
    struct err err = ERR_INIT;
    struct rendered rendered = {0};
    enum verdict verdict = VERDICT_DONE;
    *response = (struct response){.retry_after = -1, .ill = true};
    if (request_changes(request) && !run->dry) {
        verdict = before_change(run);
    }
    if (verdict != VERDICT_DONE) {
        return verdict;
    }
    if (request_render(run, request, &rendered, &err) != 0) {
        verdict = run_say(run, VERDICT_FAILED, "could not build the request: %s", err_text(&err));
    } else if (run->dry && (run->uncertain || request_changes(request) || asks_about_stand_in(&rendered))) {
        record_unsent(run, &rendered, request_changes(request));
        trace_rendered(run, &rendered, request_changes(request), NULL);
        context_forget_answer(run);
        run->unsent = true;
        run->record->held_back = run->record->held_back || request_changes(request);
        response->unsent = true;
    } else {
        tell(run, request, &rendered);
        verdict = gated ? send_gated(run, request, &rendered, response) : perform(run, request, &rendered, response);
    }
    if (verdict == VERDICT_DONE && response->unreached && run->engine->impatient) {
        verdict = run_say(run, VERDICT_FAILED, "no answer: %s", response->error);
    }
    rendered_release(&rendered);
    err_release(&err);
    return verdict;
}

enum verdict request_send(struct run *run, const json_t *request, struct response *response)
{
    return send_request(run, request, response, true);
}

enum verdict request_send_ungated(struct run *run, const json_t *request, struct response *response)
{
    return send_request(run, request, response, false);
}

/* ---- with retries ------------------------------------------------------------------------------------------------ */

bool request_look(struct run *run, const json_t *request, const struct response *response, enum verdict verdict,
                  bool again, look_fn *look)
{
    bool refused = verdict == VERDICT_FAILED || verdict == VERDICT_DENIED;
    if (!look || !verify_covers(run, request) || response->throttled || !(again ? response->sent : refused)) {
        return false;
    }
    run->seen = look(run);
    run->read_back = run->read_back || run->seen;
    return run->seen;
}

bool request_waits_at_gate(const struct run *run, const struct response *response)
{
    return run->system->circuit.open && response->ill;
}

/* What the answer names and what `save` says of it, as far as it is a good one. */
enum verdict request_save(struct run *run, const json_t *request, enum verdict verdict)
{
    struct err err = ERR_INIT;
    const json_t *save = json_object_get(request, "save");
    bool found = json_object_get(request, "found") != NULL;
    if ((found && search_take(run, request, &err) != 0) ||
        (save && save_values(run, save, run->collecting, &err) != 0)) {
        verdict = run_say(run, VERDICT_FAILED, "could not read the answer: %s", err_text(&err));
    }
    secrets_keep(run, request);
    err_release(&err);
    return verdict;
}

static bool says_gone(int status)
{
    return status == 404 || status == 410;
}

/* A good answer is saved; then it must show what is required of it, and what is waited for. */
static enum verdict answered(struct run *run, const json_t *request, enum verdict verdict)
{
    bool good = verdict == VERDICT_DONE || verdict == VERDICT_ALREADY;
    run->place->gone = run->place->gone || (good && request_changes(request) && says_gone(run->last_status));
    enum verdict next = good ? request_save(run, request, verdict) : verdict;
    if (next == VERDICT_DONE) {
        next = request_requires(run, request);
    }
    return next == VERDICT_DONE ? request_polls(run, request) : next;
}

enum verdict request_wait(struct run *run, const struct response *response)
{
    bool enough = response->odd && run->tries + 1 >= ODD_TRIES; /* it is no outage: the next look is the scheduler's */
    enum verdict verdict = enough ? run_put_off(run, retry_deferral(0, engine_random()), true)
                                  : run_wait_or_defer(run, response->retry_after);
    if (response->odd && verdict == VERDICT_DEFERRED) {
        place_first_page(run->place); /* some vendors say so that the link to a later page has expired */
    }
    return verdict;
}

enum verdict request_run(struct run *run, const json_t *request, look_fn *look)
{
    run->tries = 0;
    for (;;) {
        struct response response;
        int tries = run->tries; /* what is required first counts its own */
        enum verdict verdict = request_requires_first(run, request);
        run->tries = tries;
        if (verdict == VERDICT_DONE) {
            verdict = request_send(run, request, &response);
        }
        if (verdict != VERDICT_DONE) {
            return verdict;
        }
        if (response.unsent) {
            return request_save(run, request, VERDICT_DONE);
        }
        bool again = false;
        verdict = classify(run, request, &response, &again);
        if (request_look(run, request, &response, verdict, again, look)) {
            return VERDICT_DONE;
        }
        if (!again) {
            trouble_over(run);
            return answered(run, request, verdict);
        }
        if (request_waits_at_gate(run, &response)) {
            continue;
        }
        verdict = request_wait(run, &response);
        if (verdict != VERDICT_DONE) {
            return verdict;
        }
    }
}
