/* A system's check: a read that must work, made once, without the gate: it is what opens the gate. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/secret.h"
#include "lib/text.h"
#include "worker/engine_internal.h"

/* ---- a job that changes nothing ---------------------------------------------------------------------------------- */

static int never_begin(struct job *job)
{
    (void)job;
    return -1;
}

static int never_before(struct job *job, const json_t *image, const json_t *sealed)
{
    (void)job;
    (void)image;
    (void)sealed;
    return -1;
}

static void never_held(struct job *job, bool held)
{
    (void)job;
    (void)held;
}

void job_only_reads(struct job *job)
{
    job->begin = never_begin;
    job->before = never_before;
    job->held = never_held;
}

/* ---- is it an answer? -------------------------------------------------------------------------------------------- */

static void note_member(const struct expr_path *path, void *arg)
{
    bool *reads = arg;
    *reads = *reads || (expr_path_within(path, "body") && path->count > 1);
}

/* Does the connector read members of answers anywhere? Then these are JSON. */
static bool reads_members(const json_t *value)
{
    bool reads = false;
    size_t i;
    const char *name;
    json_t *member;
    if (json_is_string(value)) {
        expr_paths(json_string_value(value), note_member, &reads);
    }
    json_array_foreach(value, i, member)
    {
        reads = reads || reads_members(member);
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        reads = reads || reads_members(member);
    }
    return reads;
}

static bool begins(const char *text, const char *with)
{
    return strncasecmp(text, with, strlen(with)) == 0;
}

/* Why what came is no data; NULL: it is, or the system answers a ping with a word in plain text. */
static const char *why_no_data(const struct run *run, const json_t *request, int status)
{
    const json_t *value = json_object_get(run->context, "body");
    const char *body = json_string_value(value);
    const json_t *headers = json_object_get(run->context, "headers");
    const char *said = json_string_value(json_object_get(headers, "content-type"));
    const char *type = said ? said : "";
    bool silent = status == 204 || request_changes(request) || json_object_get(request, "success");
    if (json_is_null(value)) {
        return silent || json_object_get(request, "head") ? NULL : "an empty answer";
    }
    if (!body) {
        return NULL; /* it was JSON */
    }
    bool plain = json_true_at(request, "text") || begins(type, "text/plain") || begins(type, "application/json");
    return text_is_page(body) ? "a web page" : plain ? NULL : *type ? type : "something else";
}

static enum verdict expect_data(struct run *run, const json_t *request)
{
    const char *why = request_is_mail(request) ? NULL : why_no_data(run, request, run->last_status);
    if (why && reads_members(run->system->connector->tree)) {
        return run_say(run, VERDICT_FAILED, "it answered %d with %s instead of JSON: is the address right?",
                       run->last_status, why);
    }
    return VERDICT_DONE;
}

/* ---- the check --------------------------------------------------------------------------------------------------- */

static enum verdict check_as(struct job *job, struct system *system, bool *ill, struct err *err)
{
    json_t *message = json_pack("{s:s, s:{}, s:{}, s:{s:s, s:s}}", "id", "check", "user", "ids", "job", "id", "check",
                                "action", "check");
    job->message = message;
    job->system = system->connector->name;
    job_only_reads(job);
    struct run run;
    struct record record;
    struct place place;
    run_init(&run, system, job, &record);
    place_init(&place);
    run.place = &place;
    const json_t *check = json_object_get(system->connector->tree, "check");
    json_t *request = check ? json_incref((json_t *)(uintptr_t)check) : json_pack("{s:s}", "get", "");
    struct response response;
    bool again = false;
    enum verdict verdict = request_send_ungated(&run, request, &response);
    if (verdict == VERDICT_DONE) {
        verdict = classify(&run, request, &response, &again);
    }
    if (verdict == VERDICT_DONE && response.status >= 200 && response.status < 300 && !response.ldap) {
        verdict = expect_data(&run, request);
    }
    if (verdict != VERDICT_DONE && verdict != VERDICT_ALREADY) {
        char *text = secret_mask(run.message ? run.message : "no success");
        err_set(err, again ? ERR_RETRY : ERR_PERMANENT, "%s", text);
        health_checked(&system->health, verdict == VERDICT_DENIED, response.status, text);
        free(text);
    } else {
        health_checked(&system->health, false, response.status, NULL);
    }
    *ill = response.ill;
    json_decref(request);
    place_release(&place);
    run_release(&run);
    json_decref(message);
    job->message = NULL;
    return verdict;
}

enum verdict gate_check(struct system *system, bool *ill, struct err *err)
{
    struct job job = {.message = NULL};
    return check_as(&job, system, ill, err);
}

enum credential engine_credential(struct engine *engine, const char *name, struct job *job, struct err *err)
{
    bool ill;
    struct err why = ERR_INIT;
    enum verdict verdict = check_as(job, engine_system(engine, name), &ill, &why);
    enum credential credential = why.class == ERR_NONE       ? CREDENTIAL_TAKEN
                                 : verdict == VERDICT_DENIED ? CREDENTIAL_REFUSED
                                                             : CREDENTIAL_UNKNOWN;
    if (why.class != ERR_NONE) {
        err_set(err, why.class, "%s", err_text(&why));
    }
    err_release(&why);
    return credential;
}

bool engine_has_check(const struct engine *engine, const char *name)
{
    return json_object_get(engine_system(engine, name)->connector->tree, "check") != NULL;
}

int engine_check(struct engine *engine, const char *name, struct err *err)
{
    struct system *system = engine_system(engine, name);
    if (!json_object_get(system->connector->tree, "check")) {
        return err_set(err, ERR_PERMANENT, "the connector has no `check`");
    }
    struct err why = ERR_INIT;
    bool ill;
    gate_check(system, &ill, &why);
    if (why.class == ERR_NONE) {
        return 0;
    }
    err_set(err, why.class, "%s", err_text(&why));
    err_release(&why);
    return -1;
}
