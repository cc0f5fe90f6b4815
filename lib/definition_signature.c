/* What is checked of `signature`, `token` and `jwt`: how a sender proves who it is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/definition_check.h"
#include "lib/json.h"
#include "lib/jwt_check.h"
#include "lib/mem.h"

static const struct check_key hmac_keys[] = {
    {"header", CHECK_TEXT, true},      {"prefix", CHECK_TEXT, false},        {"encoding", CHECK_TEXT, false},
    {"text", CHECK_TEXT, false},       {"timestamp", CHECK_TEXT, false},     {"timestamp_prefix", CHECK_TEXT, false},
    {"id", CHECK_TEXT, false},         {"tolerance", CHECK_DURATION, false}, {"key", CHECK_NAME, true},
    {"key_prefix", CHECK_TEXT, false}, {"key_encoding", CHECK_TEXT, false},  {"algorithm", CHECK_TEXT, false},
};

static const struct check_key token_keys[] = {
    {"header", CHECK_TEXT, true},
    {"prefix", CHECK_TEXT, false},
    {"encoding", CHECK_TEXT, false},
    {"key", CHECK_NAME, true},
};

static const struct check_key jwt_keys[] = {
    {"header", CHECK_TEXT, false}, {"prefix", CHECK_TEXT, false},        {"keys", CHECK_TEMPLATE, true},
    {"claims", CHECK_MAP, true},   {"tolerance", CHECK_DURATION, false}, {"body_sha256", CHECK_TEXT, false},
};

static void check_one_of(struct check *check, const char *pointer, const json_t *owner, const char *key,
                         const char *const *words, size_t count)
{
    const char *word = json_string_at(owner, key);
    bool known = !word;
    for (size_t i = 0; i < count; i++) {
        known = known || strcmp(words[i], word) == 0;
    }
    if (!known) {
        char *at = mem_printf("%s/%s", pointer, key);
        char *hint = check_hint(word, words, count);
        check_problem(check, at, "\"%s\" must be %s%s%s%s%s", key, words[0], count > 2 ? ", " : " or ", words[1],
                      count > 2 ? " or " : "", count > 2 ? words[2] : "");
        free(hint);
        free(at);
    }
}

/* RFC 9110, 5.6.2: a name that no request can have would leave the source closed for good. */
static void check_header_name(struct check *check, const char *pointer, const json_t *owner, const char *key)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";
    const char *name = json_string_at(owner, key);
    if (name && (!*name || name[strspn(name, letters)])) {
        char *at = mem_printf("%s/%s", pointer, key);
        check_problem(check, at, "\"%s\" must be the name of a header, as in X-Signature", key);
        free(at);
    }
}

static void check_key_setting(struct check *check, const char *pointer, const json_t *way)
{
    const char *name = json_string_at(way, "key");
    const json_t *settings = json_object_get(check->definition->tree, "settings");
    const json_t *setting = name ? json_object_get(settings, name) : NULL;
    char *at = mem_printf("%s/key", pointer);
    if (name && !setting) {
        char *hint = check_hint_keys(name, settings);
        check_problem(check, at, "there is no setting \"%s\"; declare it: settings: {%s: {secret: true}}%s", name, name,
                      hint);
        free(hint);
    } else if (setting && !json_true_at(setting, "secret")) {
        check_problem(check, at, "setting \"%s\" proves who sends: it must be `secret: true`", name);
    }
    free(at);
}

/* What stands in a header and is not signed proves nothing: whoever repeats an old request would put a new one there. */
static void check_signed(struct check *check, const json_t *signature, const char *text, const char *word)
{
    char *part = mem_printf("{%s}", word);
    bool declared = json_object_get(signature, word) != NULL;
    bool there = strstr(text, part) != NULL;
    char *at = mem_printf("/signature/%s", declared ? word : "text");
    if (declared && !there) {
        check_problem(check, at, "\"%s\" is not signed: \"text\" lacks %s", word, part);
    } else if (there && !declared) {
        check_problem(check, at, "\"text\" has %s, but \"%s\" does not name its header", part, word);
    }
    free(at);
    free(part);
}

static void check_text_parts(struct check *check, const json_t *signature)
{
    static const char *const parts[] = {"{timestamp}", "{id}", "{body}"};
    const char *text = json_string_at(signature, "text");
    const char *given = text ? text : "{body}";
    const char *body = strstr(given, "{body}");
    if (!body || strstr(body + 1, "{body}")) {
        check_problem(check, "/signature/text", "\"text\" must have {body} once");
    }
    for (const char *brace = strchr(given, '{'); brace; brace = strchr(brace + 1, '{')) {
        bool known = false;
        for (size_t i = 0; i < COUNT_OF(parts); i++) {
            known = known || strncmp(brace, parts[i], strlen(parts[i])) == 0;
        }
        if (!known) {
            check_problem(check, "/signature/text",
                          "\"text\" is made of {timestamp}, {id}, {body} and plain characters");
            break;
        }
    }
    check_signed(check, signature, given, "timestamp");
    check_signed(check, signature, given, "id");
}

static void check_tolerance(struct check *check, const char *pointer, const json_t *way)
{
    const char *tolerance = json_string_at(way, "tolerance");
    if (tolerance && expr_has(tolerance)) {
        char *at = mem_printf("%s/tolerance", pointer);
        check_problem(check, at, "\"tolerance\" must be a duration, not an expression");
        free(at);
    }
}

/* The parts of a header's value are told apart by blanks. */
static void check_prefix(struct check *check, const json_t *signature, const char *word)
{
    const char *prefix = json_string_at(signature, word);
    if (prefix && (!*prefix || strpbrk(prefix, " \t"))) {
        char *at = mem_printf("/signature/%s", word);
        check_problem(check, at,
                      "\"%s\" must be what a part of the header begins with, without blanks: they stand between the "
                      "parts; without it every part is tried",
                      word);
        free(at);
    }
}

/* The time within the header, and the time in a header of its own. */
static void check_times(struct check *check, const json_t *signature)
{
    const char *timestamp = json_string_at(signature, "timestamp");
    const char *header = json_string_at(signature, "header");
    bool part = json_object_get(signature, "timestamp_prefix") != NULL;
    if (!timestamp && json_object_get(signature, "tolerance")) {
        check_problem(check, "/signature/tolerance", "\"tolerance\" needs \"timestamp\": the header that says when");
    }
    if (!timestamp && part) {
        check_problem(check, "/signature/timestamp_prefix",
                      "\"timestamp_prefix\" needs \"timestamp\": the header in which the time is a part");
    }
    if (timestamp && header && strcasecmp(timestamp, header) == 0 && !part) {
        check_problem(check, "/signature/timestamp",
                      "the header %s holds the signature and the time: \"timestamp_prefix\" must say which part is the "
                      "time, as in \"t=\"",
                      header);
    }
}

static void check_hmac_words(struct check *check, const json_t *signature)
{
    static const char *const encodings[] = {"hex", "base64"};
    static const char *const key_encodings[] = {"plain", "base64", "hex"};
    static const char *const algorithms[] = {"sha256", "sha512", "sha1"};
    static const char *const headers[] = {"header", "timestamp", "id"};
    check_one_of(check, "/signature", signature, "encoding", encodings, COUNT_OF(encodings));
    check_one_of(check, "/signature", signature, "key_encoding", key_encodings, COUNT_OF(key_encodings));
    check_one_of(check, "/signature", signature, "algorithm", algorithms, COUNT_OF(algorithms));
    const char *algorithm = json_string_at(signature, "algorithm");
    if (algorithm && strcmp(algorithm, "sha1") == 0) {
        check_warning(check, "/signature/algorithm",
                      "SHA-1 is out of use elsewhere: take it only where the sender offers nothing better");
    }
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        check_header_name(check, "/signature", signature, headers[i]);
    }
    check_prefix(check, signature, "prefix");
    check_prefix(check, signature, "timestamp_prefix");
    check_tolerance(check, "/signature", signature);
    check_times(check, signature);
    check_text_parts(check, signature);
    check_key_setting(check, "/signature", signature);
}

/* ---- tokens that their sender signs --------------------------------------------------------------------------------- */

static void read_settings(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    (void)arg;
    static const char *const members[] = {"settings"};
    check_member(check, pointer, path, 0, members, COUNT_OF(members));
}

static void check_key_address(struct check *check, const json_t *jwt)
{
    const char *keys = json_string_at(jwt, "keys");
    if (keys && !expr_has(keys) && !jwt_address_safe(keys)) {
        check_problem(check, "/jwt/keys", "\"keys\" must be the https:// address of the sender's keys (a JWK set)");
    }
}

static void check_claims(struct check *check, const json_t *claims)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)claims, name, value)
    {
        if (!json_is_string(value)) {
            char *at = mem_printf("/jwt/claims/%s", name);
            check_problem(check, at, "\"%s\" must be a text: what the token has to say", name);
            free(at);
        }
    }
    if (json_is_object(claims) && !json_object_get(claims, "aud")) {
        check_problem(
            check, "/jwt/claims",
            "\"claims\" needs \"aud\", whom the token is meant for: the sender signs others' with the same key");
    }
}

static void check_jwt(struct check *check, const json_t *jwt)
{
    if (!json_is_object(jwt) || !check_map(check, "/jwt", jwt, jwt_keys, COUNT_OF(jwt_keys))) {
        return;
    }
    check_header_name(check, "/jwt", jwt, "header");
    check_key_address(check, jwt);
    check_claims(check, json_object_get(jwt, "claims"));
    check_tolerance(check, "/jwt", jwt);
    check_expressions(check, "/jwt/claims", json_object_get(jwt, "claims"));
    check_paths(check, "/jwt", jwt, read_settings, NULL);
    static const char *const words[] = {"prefix", "body_sha256"};
    for (size_t i = 0; i < COUNT_OF(words) && !json_object_get(jwt, "header"); i++) {
        if (json_object_get(jwt, words[i])) {
            char *at = mem_printf("/jwt/%s", words[i]);
            check_problem(check, at, "\"%s\" needs \"header\": without it the body is the token", words[i]);
            free(at);
        }
    }
}

void check_proof(struct check *check)
{
    static const char *const encodings[] = {"plain", "base64"};
    const json_t *signature = json_object_get(check->definition->tree, "signature");
    const json_t *token = json_object_get(check->definition->tree, "token");
    if (json_is_object(signature) && check_map(check, "/signature", signature, hmac_keys, COUNT_OF(hmac_keys))) {
        check_hmac_words(check, signature);
    }
    if (json_is_object(token) && check_map(check, "/token", token, token_keys, COUNT_OF(token_keys))) {
        check_header_name(check, "/token", token, "header");
        check_one_of(check, "/token", token, "encoding", encodings, COUNT_OF(encodings));
        check_key_setting(check, "/token", token);
    }
    check_jwt(check, json_object_get(check->definition->tree, "jwt"));
}
