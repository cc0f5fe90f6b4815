#include "tests/unit/auth_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/secret.h"
#include "tests/unit/keys.h"

char *auth_connector(const char *auth)
{
    return mem_printf(
        "system: vendor\n"
        "settings: {url: {required: true}, id: {default: my id}, secret: {secret: true}, key: {secret: true}}\n"
        "auth: {%s}\n"
        "check: {get: /check}\n"
        "actions:\n"
        "  read:\n"
        "    effect: notify\n"
        "    accounts: none\n"
        "    requests: [{get: /thing, missing: \"${ .status == 404 }\", save: {said: \"${ .body.said }\"}}]\n"
        "    outputs: {said: \"${ .saved.said }\"}\n"
        "  change: {effect: notify, accounts: none, requests: [{get: /thing}, {post: /change}]}\n"
        "%s",
        auth,
        strncmp(auth, "service", 7) == 0
            ? "  mail: {effect: notify, accounts: none, requests: [{get: /mail, as: {subject: \"${ .user.email "
              "}\"}}]}\n"
              "  post: {effect: notify, accounts: none, requests: [{get: /mail, as: {scopes: [users, directory]}}]}\n"
              "  gone: {effect: notify, accounts: none, requests: [{get: /mail, as: {subject: \"${ .user.former "
              "}\"}}]}\n"
            : "");
}

/* ---- a vendor with a token endpoint ------------------------------------------------------------------------------ */

static const char *keep(struct vendor *vendor, char *body)
{
    assert_true(vendor->body_count < NOTED_MAX);
    vendor->bodies[vendor->body_count++] = body;
    return body;
}

static char *header_of(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);
    return at ? mem_strndup(at + strlen(name), strcspn(at + strlen(name), "\r\n")) : mem_strdup("-");
}

json_t *claims_of(const char *form)
{
    const char *at = strstr(form, "assertion=");
    const char *first = at ? strchr(at, '.') : NULL;
    const char *second = first ? strchr(first + 1, '.') : NULL;
    if (!second) {
        return NULL;
    }
    size_t len;
    char *text = (char *)base64url_decoded(first + 1, (size_t)(second - first) - 1, &len);
    json_t *claims = json_parse(text, len, NULL);
    free(text);
    return claims;
}

static bool fails(struct vendor *vendor, const char *body)
{
    json_t *claims = claims_of(body);
    const char *subject = json_string_at(claims, "sub");
    bool meant = !vendor->fail_for || (subject && strcmp(subject, vendor->fail_for) == 0);
    json_decref(claims);
    return vendor->fail.status && meant && (vendor->fail_times == 0 || vendor->asked <= vendor->fail_times);
}

static struct exchange choose(const char *line, const char *head, const char *body, void *arg)
{
    struct vendor *vendor = arg;
    char *authorization = header_of(head, "\r\nAuthorization: ");
    assert_true(vendor->noted_count < NOTED_MAX);
    vendor->noted[vendor->noted_count++] = mem_printf("%s %s\n%s", line, authorization, body);
    char *latest = mem_printf("Bearer token-%d", vendor->granted);
    bool known =
        vendor->sees_any ? strncmp(authorization, "Bearer token-", 13) == 0 : strcmp(authorization, latest) == 0;
    bool right = !vendor->refuses && known;
    free(latest);
    struct exchange answer = {.status = right ? 200 : 401};
    if (strcmp(line, "POST /token") == 0) {
        vendor->asked++;
        if (fails(vendor, body)) {
            answer = vendor->fail;
        } else {
            answer.status = 200;
            answer.body = keep(vendor, mem_printf("{\"access_token\": \"token-%d\", %s\"token_type\": \"Bearer\"}",
                                                  ++vendor->granted, vendor->expires ? vendor->expires : ""));
        }
    } else if (right) {
        answer.body = keep(vendor, mem_printf("{\"said\": \"hello, %s\"}", authorization));
    }
    free(authorization);
    return answer;
}

char *key_file(const char *pem, const char *url)
{
    json_t *file =
        json_pack("{s:s, s:s, s:s, s:s*, s:s*}", "type", "service_account", "client_email", "offboard@project.example",
                  "private_key_id", "key-1", "private_key", pem, "token_uri", url);
    char *text = json_text(file);
    json_decref(file);
    return text;
}

char *setting(const char *name, const char *value)
{
    json_t *text = json_string(value);
    char *quoted = json_dumps(text, JSON_ENCODE_ANY);
    char *line = mem_printf("%s: %s", name, quoted);
    free(quoted);
    json_decref(text);
    return line;
}

void set_stage(struct stage *stage, const char *auth, const char *options)
{
    *stage = (struct stage){.pkey = EVP_RSA_gen(2048)};
    stage->pem = key_pem(stage->pkey);
    char *file = key_file(stage->pem, "http://127.0.0.1:1/never");
    char *key = setting("key", file);
    char *settings = mem_printf("secret: \"%s\", %s", SECRET, key);
    char *connector = auth_connector(auth);
    stage->stand = engine_stand_with(connector, settings, options);
    vendor_stub_choose(stage->stand->vendor, choose, &stage->vendor);
    free(connector);
    free(settings);
    free(key);
    free(file);
}

void clear_stage(struct stage *stage)
{
    engine_stand_free(stage->stand);
    for (size_t i = 0; i < stage->vendor.noted_count; i++) {
        free(stage->vendor.noted[i]);
    }
    for (size_t i = 0; i < stage->vendor.body_count; i++) {
        free(stage->vendor.bodies[i]);
    }
    EVP_PKEY_free(stage->pkey);
    free(stage->pem);
    secret_forget_all();
}

struct trial *started(struct stage *stage, const char *action, const char *user)
{
    char *offboarding = mem_printf("{\"user\": {\"email\": \"%s\"}}", user);
    struct trial *trial = trial_new(stage->stand, action, offboarding, NULL);
    free(offboarding);
    trial_start(trial);
    return trial;
}

void ended(struct trial *trial, const char *outcome)
{
    trial_finish(trial);
    if (strcmp(trial->result.outcome, outcome) != 0) {
        fail_msg("%s: %s", trial->result.outcome, trial->result.message);
    }
}

void succeeds(struct stage *stage, const char *action, const char *user)
{
    struct trial *trial = started(stage, action, user);
    ended(trial, "succeeded");
    trial_free(trial);
}
