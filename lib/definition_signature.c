/* What is checked of `signature` and `token`: how a sender proves who it is. */
#include <stdlib.h>
#include <string.h>

#include "lib/definition_check.h"
#include "lib/json.h"
#include "lib/mem.h"

static const struct check_key signature_keys[] = {
    {"header", CHECK_TEXT, true},      {"prefix", CHECK_TEXT, false},    {"encoding", CHECK_TEXT, false},
    {"text", CHECK_TEXT, false},       {"timestamp", CHECK_TEXT, false}, {"tolerance", CHECK_DURATION, false},
    {"id", CHECK_TEXT, false},         {"key", CHECK_NAME, true},        {"key_encoding", CHECK_TEXT, false},
    {"key_prefix", CHECK_TEXT, false}, {"algorithm", CHECK_TEXT, false},
};

static const struct check_key token_keys[] = {
    {"header", CHECK_TEXT, true},
    {"prefix", CHECK_TEXT, false},
    {"key", CHECK_NAME, true},
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

static void check_hmac_words(struct check *check, const json_t *signature)
{
    static const char *const encodings[] = {"hex", "base64"};
    static const char *const key_encodings[] = {"plain", "base64", "hex"};
    static const char *const algorithms[] = {"sha256", "sha512"};
    static const char *const headers[] = {"header", "timestamp", "id"};
    check_one_of(check, "/signature", signature, "encoding", encodings, COUNT_OF(encodings));
    check_one_of(check, "/signature", signature, "key_encoding", key_encodings, COUNT_OF(key_encodings));
    check_one_of(check, "/signature", signature, "algorithm", algorithms, COUNT_OF(algorithms));
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        check_header_name(check, "/signature", signature, headers[i]);
    }
    const char *tolerance = json_string_at(signature, "tolerance");
    if (tolerance && expr_has(tolerance)) {
        check_problem(check, "/signature/tolerance", "\"tolerance\" must be a duration, not an expression");
    }
    if (tolerance && !json_object_get(signature, "timestamp")) {
        check_problem(check, "/signature/tolerance", "\"tolerance\" needs \"timestamp\": the header that says when");
    }
    check_text_parts(check, signature);
    check_key_setting(check, "/signature", signature);
}

void check_proof(struct check *check)
{
    const json_t *signature = json_object_get(check->definition->tree, "signature");
    const json_t *token = json_object_get(check->definition->tree, "token");
    if (json_is_object(signature) &&
        check_map(check, "/signature", signature, signature_keys, COUNT_OF(signature_keys))) {
        check_hmac_words(check, signature);
    }
    if (json_is_object(token) && check_map(check, "/token", token, token_keys, COUNT_OF(token_keys))) {
        check_header_name(check, "/token", token, "header");
        check_key_setting(check, "/token", token);
    }
}
