/* links: worker/circuit.c worker/credentials.c worker/engine.c worker/engine_accounts.c worker/engine_auth.c worker/engine_cache.c */
/* links: worker/engine_classify.c worker/engine_context.c worker/engine_defer.c worker/engine_escrow.c worker/engine_gate.c worker/engine_health.c */
/* links: worker/engine_identify.c worker/engine_ldap.c worker/engine_mail.c worker/engine_once.c worker/engine_pages.c */
/* links: worker/engine_poll.c worker/engine_prepare.c worker/engine_protect.c worker/engine_render.c worker/engine_request.c */
/* links: worker/engine_secret.c worker/engine_sequence.c worker/engine_sign.c worker/engine_signal.c worker/engine_systems.c */
/* links: worker/engine_verify.c worker/engine_wait.c worker/fiber.c worker/grants.c worker/ldap_text.c worker/limits.c */
/* links: worker/mail.c worker/mail_address.c worker/report.c worker/report_phase.c worker/retry.c worker/token.c worker/body.c worker/engine_definition.c */
/* links: worker/engine_batch.c worker/engine_lanes.c worker/engine_provide.c */
/* links: worker/engine_ahead.c worker/engine_compare.c worker/engine_lists.c worker/engine_partial.c worker/engine_paths.c worker/engine_seen.c worker/engine_signs.c */
/* links: worker/engine_spelling.c */
/* links: worker/engine_evidence.c worker/engine_told.c worker/engine_explain.c worker/engine_guard.c worker/engine_items.c worker/engine_place.c */
/* links: worker/engine_search.c worker/engine_settings.c worker/engine_state.c worker/engine_check.c worker/engine_trace.c */
/* links: worker/link.c */
#include "tests/fuzz/vendors.h"

#include <openssl/pem.h>

#include "lib/buf.h"
#include "lib/log.h"
#include "lib/message.h"
#include "worker/fiber.h"
#include "worker/ldap_call.h"
#include "worker/ldap_text.h"
#include "worker/smtp.h"

enum { CALLS_MAX = 60 };

static struct fuzz_input *answers; /* of the run in hand */
static struct fuzz_input last;     /* the answer that came last */
static int calls;                  /* made in it */
static bool agreed;                /* some answer may be one to go on with: none of 401, 429, 5xx, and one came */
static bool spoke;                 /* some answer has JSON in it, or its status says something */
static const char *conf_text;      /* the configuration, in which the hosts of all systems stand */
static const char *connector_text; /* of the system in hand */

/* ---- set-up ---------------------------------------------------------------------------------------------------------------------- */

/* A service account's key file, with an RSA key of its own; the caller frees. */
static char *service_account(void)
{
    EVP_PKEY *pkey = EVP_RSA_gen(2048);
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem;
    PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
    long len = BIO_get_mem_data(bio, &pem);
    json_t *file = json_pack("{s:s, s:s%, s:s}", "client_email", "robot@google.example", "private_key", pem,
                             (size_t)len, "token_uri", "https://google.example/token");
    char *text = json_text(file);
    json_decref(file);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return text;
}

/* What `systems.NAME` of the configuration says: a value for each required setting. */
static void add_settings(json_t *systems, const struct definition *connector)
{
    json_t *settings = json_object();
    const char *name;
    json_t *declared;
    json_object_foreach(json_object_get(connector->tree, "settings"), name, declared)
    {
        bool account = strcmp(name, "service_account") == 0, secret = json_true_at(declared, "secret");
        char *value =
            account ? service_account()
            : strstr(name, "url")
                ? mem_printf("%s://%s.example", strcmp(connector->name, "ad") == 0 ? "ldaps" : "https", connector->name)
            : secret ? mem_printf(VENDORS_SECRET "%s-%s", connector->name, name)
                     : mem_printf("%s@example.com", name);
        if (json_true_at(declared, "required")) {
            json_put_string(settings, name, value);
        }
        free(value);
    }
    json_object_set_new(systems, connector->name, settings);
}

static const struct conf *conf_of_all(void)
{
    static struct conf *conf;
    if (conf) {
        return conf;
    }
    char *path = mem_printf("%s/offboard.yaml", fuzz_directory());
    const char plain[] = "{definitions.connectors: [tests/golden/v1/definitions/connectors]}";
    fuzz_write(path, plain, strlen(plain));
    conf = conf_load(path, NULL);
    struct definitions *definitions = definitions_load_or_fail(conf, &(struct definition_use){0}, NULL);
    FUZZ_CHECK(definitions);
    json_t *systems = json_object();
    for (size_t i = 0; i < definition_count(definitions, DEFINITION_CONNECTOR); i++) {
        add_settings(systems, definition_item(definitions, DEFINITION_CONNECTOR, i));
    }
    json_put_string(json_object_get(systems, "webhook"), "secret", "whsec_czNjcmV0LW9mLXRoZS13ZWJob29r");
    json_put_string(json_object_get(systems, "email"), "url", "smtps://email.example");
    json_put_string(json_object_get(systems, "manual"), "url", "smtps://manual.example");
    json_t *worker = json_pack("{s:s, s:s, s:s}", "derive_key", "the key from which pins are derived, long enough",
                               "retry_wait", "0s", "job_time", "1h");
    json_t *all = json_pack("{s:[s], s:o, s:o}", "definitions.connectors", "tests/golden/v1/definitions/connectors",
                            "worker", worker, "systems", systems);
    char *text = json_text(all);
    conf_text = text;
    conf_free(conf);
    definitions_free(definitions);
    fuzz_write(path, text, strlen(text));
    struct err err = ERR_INIT;
    conf = conf_load(path, &err);
    fprintf(stderr, "%s", conf ? "" : err_text(&err));
    FUZZ_CHECK(conf);
    json_decref(all);
    free(path);
    return conf;
}

struct definitions *vendors_definitions(void)
{
    static struct definitions *definitions;
    if (!definitions) {
        log_init("fuzz", LOG_ERROR);
        definitions = definitions_load_or_fail(conf_of_all(), &(struct definition_use){0}, NULL);
        FUZZ_CHECK(definitions);
    }
    return definitions;
}

json_t *vendors_job(const char *system, const char *action)
{
    const json_t *declared = definition_action(vendors_definitions(), system, action);
    json_t *with = json_object();
    const char *name;
    json_t *parameter;
    json_object_foreach(json_object_get(declared, "with"), name, parameter)
    {
        if (json_true_at(parameter, "required")) {
            json_put_string(with, name, "x1");
        }
    }
    json_t *user = json_pack("{s:s, s:s, s:[s], s:s, s:{s:s}}", "email", "jane@example.com", "employee_id", "4711",
                             "emails", "j.doe@example.com", "name", "Jane Doe", "manager", "email", "boss@example.com");
    json_t *job = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:{}, s:n}", "id",
                            "fc15754b-3dae-50fb-888c-f00bddcbf6e0", "phase", "initial", "step", "x", "system", system,
                            "action", action, "attempt", 1, "with", with, "steps", "state");
    json_t *message =
        json_pack("{s:i, s:s, s:o, s:s, s:s, s:{}, s:o}", "version", 1, "id", "5f102b3d-cd48-5792-8cab-975d70c6bb02",
                  "user", user, "runbook", "scim-leaver", "mode", "live", "ids", "job", job);
    if (!declared || !message) {
        json_decref(message);
        return NULL;
    }
    return message;
}

/* ---- running --------------------------------------------------------------------------------------------------------------------- */

struct trial {
    struct engine *engine;
    struct job job;
    struct engine_result *result;
    bool ended;
};

static int on_begin(struct job *job)
{
    (void)job;
    return 0;
}

static int on_before(struct job *job, const json_t *image, const json_t *sealed)
{
    (void)job;
    FUZZ_CHECK(!image || json_is_object(image));
    FUZZ_CHECK(!sealed || json_is_object(sealed));
    return 0;
}

static void on_held(struct job *job, bool held)
{
    (void)job;
    (void)held;
}

static void run(void *arg)
{
    struct trial *trial = arg;
    engine_run(trial->engine, &trial->job, trial->result);
    trial->ended = true;
}

static void run_to_end(json_t *message, struct fuzz_input *input, struct engine_result *result)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    const char *systems[] = {json_string_at(message, "job.system"), NULL};
    struct err err = ERR_INIT;
    struct trial trial = {.result = result};
    connector_text = definition_find(vendors_definitions(), DEFINITION_CONNECTOR, systems[0])->text;
    answers = input;
    last = (struct fuzz_input){NULL, 0};
    calls = 0;
    agreed = spoke = false;
    trial.engine = engine_new(&loop, conf_of_all(), vendors_definitions(), systems, &err);
    fprintf(stderr, "%s", trial.engine ? "" : err_text(&err));
    FUZZ_CHECK(trial.engine);
    trial.job =
        (struct job){.message = message, .system = systems[0], .begin = on_begin, .before = on_before, .held = on_held};
    fiber_start(run, &trial);
    while (!trial.ended) { /* calls are answered at once: it wants to wait */
        engine_interrupt(&trial.job, INTERRUPT_TOO_LONG);
        uv_run(&loop, UV_RUN_ONCE);
    }
    engine_free(trial.engine);
    while (uv_run(&loop, UV_RUN_DEFAULT)) {
    }
    FUZZ_CHECK(uv_loop_close(&loop) == 0);
}

/* What message_job() makes of it; NULL when it refuses, or there is no connector for the system. */
static json_t *accepted(const json_t *message)
{
    char *text = json_text(message);
    json_t *read = message_job(text, strlen(text), NULL);
    const char *system = json_string_at(read, "job.system");
    if (read && !definition_find(vendors_definitions(), DEFINITION_CONNECTOR, system)) {
        json_decref(read);
        read = NULL;
    }
    free(text);
    return read;
}

static void check_result(const struct engine_result *result)
{
    static const char *const outcomes[] = {"succeeded", "already_done", "skipped", "missing",  "deferred",
                                           "failed",    "blocked",      "denied",  "cancelled"};
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(outcomes); i++) {
        known = known || strcmp(outcomes[i], result->outcome) == 0;
    }
    FUZZ_CHECK(known && !result->abandoned);
    FUZZ_CHECK(json_is_object(result->context) && result->message);
    json_t *said = json_pack("{s:s, s:O}", "message", result->message, "context", result->context);
    FUZZ_CHECK(said); /* all of it is UTF-8 */
    char *text = json_text(said);
    FUZZ_CHECK(!strstr(text, VENDORS_SECRET "okta-token") && !strstr(text, VENDORS_SECRET "zoom-client_secret"));
    FUZZ_CHECK(strcmp(result->outcome, "deferred") != 0 || json_string_at(result->context, "due_at"));
    free(text);
    json_decref(said);
}

/* Of a job that begins, and knows no account: what nobody said is not so. */
static void check_proof(const json_t *job, const struct engine_result *result)
{
    bool begins = json_is_null(json_at(job, "job.state")) && json_object_size(json_object_get(job, "ids")) == 0 &&
                  json_object_size(json_object_get(job, "given_ids")) == 0;
    bool live = strcmp(json_string_at(job, "mode"), "live") == 0;
    bool missing = strcmp(result->outcome, "missing") == 0, already = strcmp(result->outcome, "already_done") == 0;
    if (begins && live && calls > 0) {
        FUZZ_CHECK(agreed || !(missing || already || strcmp(result->outcome, "succeeded") == 0));
        FUZZ_CHECK(spoke || !(missing || already));
    }
}

void vendors_run(const json_t *message, struct fuzz_input *input)
{
    json_t *job = message ? accepted(message) : NULL;
    if (job) {
        struct engine_result result;
        run_to_end(job, input, &result);
        check_result(&result);
        check_proof(job, &result);
        engine_result_release(&result);
    }
    json_decref(job);
}

int vendors_load(const char *system, const struct conf *conf, struct err *err)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    const char *systems[] = {system, NULL};
    struct engine *engine = engine_new(&loop, conf, vendors_definitions(), systems, err);
    engine_free(engine);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return engine ? 0 : -1;
}

/* ---- answers, in place of worker/http.c, worker/smtp.c, worker/ldap_call.c ---------------------------------------------------------- */

/* Credentials go to hosts of the configuration and the connector only, and what stands in a path stays one segment of it. */
static void check_url(const char *url)
{
    const char *host = strstr(url, "://");
    FUZZ_CHECK(host);
    host += 3;
    char *name = mem_strndup(host, strcspn(host, "/?#"));
    char *path = mem_strndup(host + strlen(name), strcspn(host + strlen(name), "?#"));
    FUZZ_CHECK(*name && (strstr(conf_text, name) || strstr(connector_text, name)));
    for (const unsigned char *c = (const unsigned char *)url; *c; c++) {
        FUZZ_CHECK(*c > ' ' && *c != 0x7f);
    }
    for (char *segment = path, *next; segment && *segment; segment = next) {
        next = strchr(segment + 1, '/');
        size_t len = next ? (size_t)(next - segment) : strlen(segment);
        FUZZ_CHECK(!(len == 2 && strncmp(segment, "/.", 2) == 0) && !(len == 3 && strncmp(segment, "/..", 3) == 0));
    }
    free(path);
    free(name);
}

static void check_headers(const struct curl_slist *headers)
{
    for (; headers; headers = headers->next) {
        FUZZ_CHECK(!strpbrk(headers->data, "\r\n") && strchr(headers->data, ':'));
    }
}

/* The piece of the input that is the next answer. */
static struct fuzz_input next_piece(void)
{
    if (answers->left) {
        const uint8_t *end = memmem(answers->at, answers->left, "\n---\n", 5);
        size_t len = end ? (size_t)(end - answers->at) : answers->left;
        last = (struct fuzz_input){answers->at, len};
        answers->at += len + (end ? 5 : 0);
        answers->left -= len + (end ? 5 : 0);
    }
    return last;
}

static void note_answer(const struct http_answer *answer)
{
    bool limit;
    char *why = NULL;
    json_t *body = json_parse_foreign(buf_text(&answer->body), answer->body.len, &limit, &why);
    free(why);
    bool ill = answer->error || answer->status == 401 || answer->status == 429 || answer->status >= 500;
    agreed = agreed || !ill;
    spoke = spoke || (!ill && (body || answer->status / 100 != 2));
    json_decref(body);
}

/* `least` is the lowest status that the protocol has. */
static void give_answer(struct http_answer *answer, long least)
{
    struct fuzz_input piece = next_piece();
    char *status = fuzz_line(&piece), *line;
    *answer = (struct http_answer){.headers = json_object(), .body = BUF_INIT, .sent = true};
    answer->status = strtol(status, NULL, 10) % 1000; /* -1 and -2: none came */
    for (line = fuzz_line(&piece); *line; free(line), line = fuzz_line(&piece)) {
        char *colon = strstr(line, ": "), *name = mem_strndup(line, strcspn(line, ":")), *lower = json_lower(name);
        json_put_string(answer->headers, lower, colon ? colon + 2 : "");
        free(lower);
        free(name);
    }
    buf_add(&answer->body, piece.left ? (const char *)piece.at : "", piece.left);
    answer->aborted = ++calls > CALLS_MAX;
    if (answer->aborted || answer->status < least) {
        answer->fault = answer->status % 2 && !answer->aborted ? HTTP_FAULT_ANSWER : HTTP_FAULT_AWAY;
        answer->status = 0;
        answer->error = mem_strdup("nobody answered");
    }
    note_answer(answer);
    free(line);
    free(status);
}

struct http *http_new(uv_loop_t *loop)
{
    (void)loop;
    return NULL;
}

void http_free(struct http *http)
{
    (void)http;
}

void http_perform(struct http *http, const struct http_call *call, struct flight **flight, struct http_answer *answer)
{
    (void)http;
    (void)flight;
    check_url(call->url);
    check_headers(call->headers);
    FUZZ_CHECK(*call->method && strspn(call->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(call->method));
    give_answer(answer, 100);
}

void http_abort(struct flight *flight)
{
    FUZZ_CHECK(!flight);
}

void http_answer_release(struct http_answer *answer)
{
    json_decref(answer->headers);
    buf_release(&answer->body);
    free(answer->error);
    *answer = (struct http_answer){0};
}

void smtp_perform(struct http *http, const struct smtp_call *call, struct flight **flight, struct http_answer *answer)
{
    (void)http;
    (void)flight;
    check_url(call->url);
    FUZZ_CHECK(!call->message || (call->recipients && *call->from));
    give_answer(answer, 100);
}

void ldap_perform(struct http *http, const struct ldap_call *call, struct flight **flight, struct http_answer *answer)
{
    (void)http;
    (void)flight;
    check_url(call->url);
    give_answer(answer, 0);
    answer->status = answer->error ? LDAP_NO_ANSWER : answer->status;
}

void ldap_operation_release(struct ldap_operation *operation)
{
    for (size_t i = 0; operation->changes && operation->changes[i]; i++) {
        ldap_values_free(operation->changes[i]->mod_bvalues);
        free(operation->changes[i]->mod_type);
        free(operation->changes[i]);
    }
    free(operation->changes);
    free(operation->dn);
    free(operation->filter);
    free(operation->newrdn);
    free(operation->newsuperior);
    json_decref(operation->attributes);
    json_decref(operation->hex);
    json_decref(operation->without);
}
