/* Credentials of a request: a header or basic auth as the connector says, or an access token that is fetched for it. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/secret.h"
#include "lib/text.h"
#include "lib/time.h"
#include "worker/body.h"
#include "worker/credentials.h"
#include "worker/retry.h"
#include "worker/token.h"

#define LIFE_UNSAID TIME_HOUR /* of a token whose endpoint doesn't say; a 401 ends it sooner */

/* ---- what is wanted ---------------------------------------------------------------------------------------------- */

static int render_basic(struct run *run, const json_t *basic, struct rendered *rendered, struct err *err)
{
    rendered->user = expr_text(run->engine->exprs, json_string_at(basic, "user"), run->context, err);
    rendered->password = expr_text(run->engine->exprs, json_string_at(basic, "password"), run->context, err);
    return rendered->user && rendered->password ? 0 : err_prefix(err, "auth");
}

/* A subject that came to nothing must not become the service account itself. */
static int render_as(struct run *run, const json_t *request, struct rendered *rendered, struct err *err)
{
    const struct credentials *credentials = run->system->credentials;
    rendered->as = json_pack("{s:s?, s:O}", "subject", credentials->subject, "scopes", credentials->scopes);
    const json_t *tmpl = json_object_get(request, "as");
    json_t *own = tmpl ? expr_render(run->engine->exprs, tmpl, run->context, err) : json_object();
    if (!own) {
        return err_prefix(err, "as");
    }
    const char *subject = json_string_at(own, "subject");
    bool nobody = json_object_get(own, "subject") && (!subject || !*subject);
    json_object_update(rendered->as, own);
    json_decref(own);
    return nobody ? err_set(err, ERR_PERMANENT, "as.subject is empty: whom to act for?") : 0;
}

int auth_render(struct run *run, const json_t *request, struct rendered *rendered, struct err *err)
{
    const json_t *auth = json_object_get(run->system->connector->tree, "auth");
    const json_t *basic = json_object_get(auth, "basic");
    bool ignored = false;
    if (render_headers_but(run, json_object_get(auth, "header"), json_object_get(request, "headers"), rendered,
                           &ignored, err) != 0) {
        return -1;
    }
    if (run->system->credentials && run->system->credentials->kind != SIGNATURE) {
        return render_as(run, request, rendered, err);
    }
    return basic ? render_basic(run, basic, rendered, err) : 0;
}

void auth_release(struct rendered *rendered)
{
    secret_wipe(rendered->password);
    secret_wipe(rendered->bearer);
    free(rendered->user);
    free(rendered->password);
    free(rendered->bearer);
    json_decref(rendered->as);
    token_release(rendered->token);
}

/* ---- fetching ---------------------------------------------------------------------------------------------------- */

/* What the endpoint says of an error (RFC 6749, 5.2), masked, then short enough for one sentence: half a secret would not be
 * known as one. "" when it says nothing. */
static char *explanation(const json_t *body)
{
    static const char *const places[] = {"error_description", "error.message", "reason", "message"};
    const char *code = json_string_at(body, "error");
    const char *more = NULL;
    for (size_t i = 0; i < COUNT_OF(places) && !more; i++) {
        more = json_string_at(body, places[i]);
    }
    char *said = mem_printf("%s%s%s", code ? code : "", code && more ? ": " : "", more ? more : "");
    char *masked = secret_mask(said);
    char *cut = text_shortened(masked, 300);
    char *text = mem_printf("%s%s", *cut ? ": " : "", cut);
    free(cut);
    free(masked);
    free(said);
    return text;
}

static void note_failure(const struct run *run, const struct rendered *rendered, const struct http_answer *answer,
                         const json_t *body, struct grant *grant)
{
    const char *subject = json_string_at(rendered->as, "subject");
    char *why = explanation(body);
    char *said = answer->fault == HTTP_FAULT_ADDRESS ? token_address_error(run, answer->error)
                 : answer->error                     ? mem_strdup(answer->error)
                                                     : mem_printf("the token endpoint answered %ld%s", answer->status,
                                              *why                        ? why
                                                                  : answer->status / 100 == 2 ? " without one"
                                                                                              : "");
    char *text = mem_printf("no access token%s%s: %s", subject ? " for " : "", subject ? subject : "", said);
    grant->refused = answer->status == 400 || answer->status == 401 || answer->status == 403;
    grant->error = secret_mask(text);
    grant->retry_after = retry_after_parse(json_string_at(answer->headers, "retry-after"), time_now());
    free(text);
    free(said);
    free(why);
}

/* `expires_in` is seconds; some write it as a text. */
static int64_t life_of(const json_t *body)
{
    const json_t *value = json_object_get(body, "expires_in");
    double seconds = json_is_string(value) ? strtod(json_string_value(value), NULL) : json_number_value(value);
    return seconds > 0 && seconds < 1e9 ? (int64_t)(seconds * (double)TIME_SECOND) : LIFE_UNSAID;
}

static void read_grant(const struct run *run, const struct rendered *rendered, const struct http_answer *answer,
                       struct grant *grant)
{
    struct body read;
    body_read(answer->body.data, answer->body.len, json_string_at(answer->headers, "content-type"), &read);
    const json_t *body = read.value;
    const char *text = json_string_at(body, "access_token");
    bool granted = answer->status >= 200 && answer->status < 300 && text && *text && !strpbrk(text, "\r\n");
    grant->status = (int)answer->status;
    grant->unreached = answer->fault == HTTP_FAULT_ADDRESS;
    grant->aborted = answer->aborted;
    if (granted) {
        grant->text = mem_strdup(text);
        grant->life = life_of(body);
    } else {
        note_failure(run, rendered, answer, body, grant);
    }
    body_release(&read);
    secret_wipe(answer->body.data);
}

static struct curl_slist *form_headers(void)
{
    static const char *const lines[] = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json",
                                        "User-Agent: offboard", "Expect:"};
    struct curl_slist *headers = NULL;
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        headers = curl_slist_append(headers, lines[i]);
    }
    return headers;
}

/* An assertion is good for an hour, and an endpoint may repeat it in its answer. */
static void fetch(struct run *run, void *arg, struct grant *grant)
{
    const struct rendered *rendered = arg;
    const struct credentials *credentials = run->system->credentials;
    struct err err = ERR_INIT;
    struct http_answer answer;
    char *assertion;
    char *form = credentials_form(credentials, json_string_at(rendered->as, "subject"),
                                  json_object_get(rendered->as, "scopes"), &assertion, &err);
    if (!form) {
        grant->refused = true;
        grant->error = mem_printf("no access token: %s", err_text(&err));
        err_release(&err);
        return;
    }
    struct http_call call = {.method = "POST",
                             .url = credentials->url,
                             .headers = form_headers(),
                             .body = form,
                             .user = credentials->user,
                             .password = credentials->password,
                             .timeout = conf_duration(run->engine->conf, "worker.request_timeout")};
    secret_remember(assertion);
    request_exchange(run, &call, false, &answer);
    read_grant(run, rendered, &answer, grant);
    secret_forget(assertion);
    http_answer_release(&answer);
    curl_slist_free_all(call.headers);
    secret_wipe(assertion);
    secret_wipe(form);
    free(assertion);
    free(form);
}

/* ---- using ------------------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What a token is for, as text; the order of scopes means nothing. The caller frees. */
static char *token_key(const struct run *run, const json_t *as)
{
    const json_t *scopes = json_object_get(as, "scopes");
    size_t count = json_array_size(scopes);
    const char **names = mem_alloc((count + 1) * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(scopes, i));
        names[i] = name ? name : "";
    }
    qsort(names, count, sizeof *names, by_text);
    json_t *key =
        json_pack("[s, s, O]", run->job->system, run->system->credentials->name, json_object_get(as, "subject"));
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(key, json_string(names[i]));
    }
    char *text = json_text(key);
    json_decref(key);
    free(names);
    return text;
}

static enum verdict no_token(struct run *run, const struct grant *grant, struct response *response)
{
    context_forget_answer(run);
    context_set(run, "error", json_string(grant->error));
    run->last_status = grant->status;
    *response = (struct response){.status = grant->status,
                                  .aborted = grant->aborted,
                                  .unreached = grant->unreached,
                                  .tokenless = true,
                                  .ill = !grant->refused && (grant->status == 0 || grant->status >= 500),
                                  .error = json_string_at(run->context, "error"),
                                  .retry_after = grant->retry_after};
    return grant->refused ? run_say(run, VERDICT_DENIED, "credentials refused: %s", grant->error) : VERDICT_DONE;
}

enum verdict auth_authorize(struct run *run, struct rendered *rendered, struct response *response)
{
    if (!rendered->as) {
        return VERDICT_DONE;
    }
    if (!rendered->token) {
        char *key = token_key(run, rendered->as);
        rendered->token = token_take(run->engine->tokens, key);
        free(key);
    }
    const struct grant *grant;
    enum verdict verdict = token_get(run, rendered->token, fetch, rendered, &grant, &rendered->round);
    if (verdict != VERDICT_DONE) {
        response->aborted = true;
        return verdict;
    }
    if (!grant->text) {
        return no_token(run, grant, response);
    }
    secret_wipe(rendered->bearer);
    free(rendered->bearer);
    rendered->bearer = mem_strdup(grant->text);
    return VERDICT_DONE;
}

bool auth_renews(struct rendered *rendered)
{
    if (!rendered->bearer) {
        return false;
    }
    token_discard(rendered->token, rendered->round);
    return true;
}
