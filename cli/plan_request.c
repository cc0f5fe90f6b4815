/* A request to the address of a source, offline: it is read as the edge reads it, and nothing is published. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/plan.h"
#include "lib/json.h"
#include "lib/jwt_check.h"
#include "lib/mem.h"
#include "lib/source_settings.h"
#include "lib/time.h"
#include "lib/webhook.h"
#include "lib/yaml.h"

/* ---- who sent it ------------------------------------------------------------------------------------------------- */

static const json_t *key_set(const char *url, void *arg)
{
    (void)url;
    return arg;
}

/* Does the request carry anything that could prove its sender? */
static bool carries_proof(const struct webhook *webhook)
{
    const json_t *jwt = json_object_get(webhook->source->tree, "jwt");
    bool proof = jwt && !json_object_get(jwt, "header");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)webhook->request->headers, name, value)
    {
        proof = proof || signature_reads(webhook->source->tree, name);
    }
    return proof;
}

/* Editors end a file with a newline, which nobody signed: when the signature fits without it, it is no part of the body. */
static enum signature_verdict verify(struct webhook *webhook, struct request *request, const struct webhook_ring *ring,
                                     struct err *err)
{
    enum signature_verdict verdict = webhook_verify(webhook, ring, time_now(), err);
    if (verdict != SIGNATURE_WRONG || !request->body_len || request->body[request->body_len - 1] != '\n') {
        return verdict;
    }
    struct err again = ERR_INIT;
    request->body_len--;
    enum signature_verdict without = webhook_verify(webhook, ring, time_now(), &again);
    if (without == SIGNATURE_GOOD || without == SIGNATURE_STALE) {
        err_set(err, ERR_PERMANENT, "%s", err_text(&again));
        verdict = without;
    } else {
        request->body_len++;
    }
    err_release(&again);
    return verdict;
}

/* What is said of the sender, by the verdict. The caller frees. */
static char *sender_text(enum signature_verdict verdict, bool carries, bool keys, const char *why)
{
    static const char anyway[] = "The rest assumes that it was let in.";
    if (!carries) {
        return mem_printf(
            "not checked: no header of the request proves who sent it, so the edge would turn it away (401). %s",
            anyway);
    }
    switch (verdict) {
    case SIGNATURE_GOOD:
        return mem_strdup("proven");
    case SIGNATURE_STALE:
        return mem_printf("genuine, but old: %s. Sent now, the request would be turned away (401). %s", why, anyway);
    case SIGNATURE_UNKNOWN_KEY:
        return keys ? mem_printf("turned away (401): %s. %s", why, anyway)
                    : mem_printf("not checked: give the sender's keys (its JWK set) with --keys FILE. %s", anyway);
    case SIGNATURE_CLOSED:
        return mem_printf("turned away (404): %s. %s", why, anyway);
    default:
        return mem_printf("turned away (401): %s. %s", why, anyway);
    }
}

static json_t *read_keys(const char *file, struct err *err)
{
    size_t len = 0;
    char *text = yaml_read_file(file, &len, err);
    json_t *keys = text ? jwt_keys_parse(text, len, err) : NULL;
    free(text);
    if (!keys) {
        err_prefix(err, "%s", file);
    }
    return keys;
}

/* Says who sent it; what the token in the body says is needed to go on, whoever signed it. */
static int check_sender(struct planning *planning, struct webhook *webhook, struct request *request,
                        const char *keys_file, json_t *said, struct err *err)
{
    json_t *keys = keys_file ? read_keys(keys_file, err) : NULL;
    if (keys_file && !keys) {
        return -1;
    }
    struct err why = ERR_INIT;
    json_t *secrets = source_secrets(webhook->source, planning->cli->conf);
    struct webhook_ring ring = {secrets, key_set, keys};
    bool carries = carries_proof(webhook);
    enum signature_verdict verdict = verify(webhook, request, &ring, &why);
    char *text = sender_text(verdict, carries, keys != NULL, err_text(&why));
    json_put_string(said, "sender", text);
    if (!planning->json) {
        printf("sender  %s\n", text);
    }
    bool open = !carries || verdict == SIGNATURE_GOOD || verdict == SIGNATURE_STALE ||
                (verdict == SIGNATURE_UNKNOWN_KEY && !keys);
    planning->code = open ? planning->code : CLI_REFUSED;
    webhook->claims = webhook->claims ? webhook->claims : jwt_claims_of(request->body, request->body_len);
    free(text);
    err_release(&why);
    json_decref(secrets);
    json_decref(keys);
    return 0;
}

/* ---- what is in it ----------------------------------------------------------------------------------------------- */

static void show_item(struct planning *planning, const struct webhook *webhook, const json_t *item)
{
    struct err err = ERR_INIT;
    struct mapped mapped = {0};
    const json_t *event = json_object_get(item, "event");
    if (!event) {
        plan_refused(planning, NULL, "unreadable", json_string_at(item, "error"));
    } else if (mapping_apply(webhook->definitions, webhook->conf, event, NULL, time_now(), &mapped, &err) != 0) {
        plan_refused(planning, event, "refused", err_text(&err));
    } else {
        plan_show(planning, event, &mapped);
    }
    mapped_release(&mapped);
    err_release(&err);
}

static void say_answer(const struct planning *planning, json_t *said, int status, const json_t *body)
{
    json_put(said, "answer", json_pack("{s:i, s:O}", "status", status, "body", body));
    if (!planning->json) {
        char *text = json_text(body);
        printf("answer  %d %s\n", status, text);
        free(text);
    }
}

static void show_items(struct planning *planning, struct webhook *webhook, const json_t *items, json_t *said)
{
    json_t *results = json_array();
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        char *person = NULL;
        json_array_append_new(results, webhook_foresee(webhook, item, time_now(), &person));
        free(person);
    }
    struct webhook_reply reply;
    webhook_answer(webhook, items, results, &reply);
    say_answer(planning, said, reply.status, reply.body);
    webhook_reply_release(&reply);
    json_decref(results);
    json_array_foreach(items, i, item)
    {
        plan_heading(planning, i + 1, json_array_size(items), json_object_get(item, "event"));
        show_item(planning, webhook, item);
    }
}

static int show_post(struct planning *planning, struct webhook *webhook, json_t *said, struct err *err)
{
    struct webhook_reading reading;
    int refused = webhook_read(webhook, &reading, err);
    if (refused) {
        return err_prefix(err, "answered %d", refused);
    }
    if (reading.challenge) {
        say_answer(planning, said, 200, reading.challenge);
    } else {
        show_items(planning, webhook, reading.items, said);
    }
    webhook_reading_release(&reading);
    return 0;
}

static int show_get(struct planning *planning, struct webhook *webhook, json_t *said, struct err *err)
{
    json_t *answer = webhook_challenge(webhook, err);
    if (!answer) {
        return err->class == ERR_NONE
                   ? err_set(err, ERR_PERMANENT, "answered 405: a GET must pose the challenge of the source")
                   : err_prefix(err, "answered 422");
    }
    say_answer(planning, said, 200, answer);
    json_decref(answer);
    return 0;
}

int plan_request(struct planning *planning, const struct definition *source, struct request *request,
                 const char *keys_file, json_t **said, struct err *err)
{
    struct webhook webhook = {
        .definitions = planning->definitions, .conf = planning->cli->conf, .source = source, .request = request};
    int result;
    *said = json_object();
    if (strcmp(request->method, "GET") == 0) {
        result = show_get(planning, &webhook, *said, err);
    } else if (strcmp(request->method, "POST") == 0) {
        result = check_sender(planning, &webhook, request, keys_file, *said, err) != 0
                     ? -1
                     : show_post(planning, &webhook, *said, err);
    } else {
        result = err_set(err, ERR_PERMANENT, "%s requests bring no events; show a POST, or the GET of a challenge",
                         request->method);
    }
    webhook_release(&webhook);
    return result;
}
