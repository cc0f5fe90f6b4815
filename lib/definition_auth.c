#include "lib/definition_auth.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"

static const struct check_key auth_keys[] = {
    {"header", CHECK_MAP, false},
    {"basic", CHECK_MAP, false},
    {"client_credentials", CHECK_MAP, false},
    {"service_account", CHECK_MAP, false},
    {"account_credentials", CHECK_MAP, false},
    {"signature", CHECK_MAP, false},
};

static const struct check_key basic_keys[] = {
    {"user", CHECK_TEMPLATE, true},
    {"password", CHECK_TEMPLATE, true},
};

static const struct check_key client_keys[] = {
    {"url", CHECK_TEMPLATE, true},  {"id", CHECK_TEMPLATE, true}, {"secret", CHECK_TEMPLATE, true},
    {"scopes", CHECK_TEXTS, false}, {"style", CHECK_TEXT, false}, {"params", CHECK_MAP, false},
};

static const struct check_key service_keys[] = {
    {"key", CHECK_TEMPLATE, true},
    {"subject", CHECK_TEMPLATE, false},
    {"scopes", CHECK_TEXTS, false},
    {"url", CHECK_TEMPLATE, false},
};

static const struct check_key account_keys[] = {
    {"url", CHECK_TEMPLATE, true},
    {"account", CHECK_TEMPLATE, true},
    {"id", CHECK_TEMPLATE, true},
    {"secret", CHECK_TEMPLATE, true},
};

static const struct check_key signature_keys[] = {
    {"key", CHECK_TEMPLATE, true}, {"key_coding", CHECK_TEXT, false}, {"text", CHECK_TEMPLATE, true},
    {"coding", CHECK_TEXT, false}, {"headers", CHECK_MAP, true},
};

static const struct check_key as_keys[] = {
    {"subject", CHECK_TEMPLATE, false},
    {"scopes", CHECK_TEXTS, false},
};

static const struct {
    const char *name;
    const struct check_key *keys;
    size_t count;
} kinds[] = {
    {"basic", basic_keys, COUNT_OF(basic_keys)},
    {"client_credentials", client_keys, COUNT_OF(client_keys)},
    {"service_account", service_keys, COUNT_OF(service_keys)},
    {"account_credentials", account_keys, COUNT_OF(account_keys)},
};

/* Lists and maps of templates: check_map() looks at single ones only. */
static void check_members(struct check *check, const char *pointer, const json_t *owner)
{
    static const char *const inner[] = {"scopes", "params"};
    for (size_t i = 0; i < COUNT_OF(inner); i++) {
        char *at = mem_printf("%s/%s", pointer, inner[i]);
        check_expressions(check, at, json_object_get(owner, inner[i]));
        free(at);
    }
}

static void check_params(struct check *check, const char *pointer, const json_t *kind)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(kind, "params"), name, value)
    {
        if (!json_is_string(value) && !json_is_number(value)) {
            char *at = mem_printf("%s/params/%s", pointer, name);
            check_problem(check, at, "\"%s\" must be a text", name);
            free(at);
        }
    }
}

static void check_style(struct check *check, const char *pointer, const json_t *kind)
{
    static const char *const styles[] = {"basic", "form"};
    const char *style = json_string_at(kind, "style");
    if (style && strcmp(style, "basic") != 0 && strcmp(style, "form") != 0) {
        char *at = mem_printf("%s/style", pointer);
        char *hint = check_hint(style, styles, COUNT_OF(styles));
        check_problem(check, at, "\"style\" must be basic or form%s", hint);
        free(hint);
        free(at);
    }
}

/* Credentials are the system's, whoever leaves: they are read once, when the worker starts. */
static void read_path(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    (void)arg;
    if (!expr_path_within(path, "settings")) {
        char *text = expr_path_text(path);
        check_problem(check, pointer, "credentials are made of .settings only, not of .%s", text);
        free(text);
    }
}

/* ---- signatures --------------------------------------------------------------------------------------------------- */

static void check_coding(struct check *check, const json_t *signature, const char *member, bool text_too)
{
    static const char *const codings[] = {"base64", "hex", "text"};
    size_t count = text_too ? COUNT_OF(codings) : COUNT_OF(codings) - 1;
    const char *given = json_string_at(signature, member);
    bool known = !given;
    for (size_t i = 0; i < count; i++) {
        known = known || strcmp(given, codings[i]) == 0;
    }
    if (!known) {
        char *at = mem_printf("/auth/signature/%s", member);
        char *hint = check_hint(given, codings, count);
        check_problem(check, at, "\"%s\" must be %s%s", member, text_too ? "text, base64 or hex" : "hex or base64",
                      hint);
        free(hint);
        free(at);
    }
}

struct seen_path {
    const char *wanted;
    bool seen;
};

static void note_path(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    struct seen_path *seen = arg;
    (void)check;
    (void)pointer;
    seen->seen = seen->seen || expr_path_within(path, seen->wanted);
}

/* A signature that is made of no body, or sent in no header, proves nothing. */
static void check_reads(struct check *check, const char *pointer, const json_t *value, const char *wanted)
{
    struct seen_path seen = {wanted, false};
    check_paths(check, pointer, value, note_path, &seen);
    if (value && !seen.seen) {
        check_problem(check, pointer, "nothing here reads .%s", wanted);
    }
}

/* Values of `.signing` are made in this order: what is signed knows no signature yet. */
static void read_signing(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    static const char *const members[] = {"signing.timestamp", "signing.body", "signing.signature"};
    const size_t *count = arg;
    bool known = !expr_path_within(path, "signing");
    for (size_t i = 0; i < *count; i++) {
        known = known || expr_path_within(path, members[i]);
    }
    if (!known) {
        char *text = expr_path_text(path);
        check_problem(check, pointer, "there is no .%s here, only .signing.timestamp%s", text,
                      *count == 2 ? " and .signing.body" : ", .signing.body and .signing.signature");
        free(text);
    }
}

static void check_signature(struct check *check, const json_t *signature)
{
    static const char at[] = "/auth/signature", text_at[] = "/auth/signature/text",
                      headers_at[] = "/auth/signature/headers";
    if (!check_map(check, at, signature, signature_keys, COUNT_OF(signature_keys))) {
        return;
    }
    const json_t *text = json_object_get(signature, "text");
    const json_t *headers = json_object_get(signature, "headers");
    size_t before = 2, after = 3;
    check_coding(check, signature, "key_coding", true);
    check_coding(check, signature, "coding", false);
    check_expressions(check, headers_at, headers);
    check_paths(check, "/auth/signature/key", json_object_get(signature, "key"), read_path, NULL);
    check_paths(check, text_at, text, read_signing, &before);
    check_paths(check, headers_at, headers, read_signing, &after);
    check_reads(check, text_at, text, "signing.body");
    check_reads(check, headers_at, headers, "signing.signature");
}

/* ---- all kinds ---------------------------------------------------------------------------------------------------- */

static void check_kind(struct check *check, const char *pointer, const json_t *kind, const struct check_key *keys,
                       size_t count)
{
    if (check_map(check, pointer, kind, keys, count)) {
        check_members(check, pointer, kind);
        check_style(check, pointer, kind);
        check_params(check, pointer, kind);
        check_paths(check, pointer, kind, read_path, NULL);
    }
}

void check_auth(struct check *check, const json_t *auth)
{
    if (!json_is_object(auth) || !check_map(check, "/auth", auth, auth_keys, COUNT_OF(auth_keys))) {
        return;
    }
    if (json_object_size(auth) != 1) {
        check_problem(check, "/auth",
                      "there is one way to authenticate: header, basic, client_credentials, service_account, "
                      "account_credentials or signature");
    }
    check_expressions(check, "/auth/header", json_object_get(auth, "header"));
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const json_t *kind = json_object_get(auth, kinds[i].name);
        if (json_is_object(kind)) {
            char *at = mem_printf("/auth/%s", kinds[i].name);
            check_kind(check, at, kind, kinds[i].keys, kinds[i].count);
            free(at);
        }
    }
    if (json_is_object(json_object_get(auth, "signature"))) {
        check_signature(check, json_object_get(auth, "signature"));
    }
}

void check_as(struct check *check, const char *pointer, const json_t *request)
{
    const json_t *as = json_object_get(request, "as");
    if (!json_is_object(as)) {
        return; /* not there, or said already */
    }
    char *at = mem_printf("%s/as", pointer);
    if (check_map(check, at, as, as_keys, COUNT_OF(as_keys))) {
        check_members(check, at, as);
        if (json_object_size(as) == 0) {
            check_problem(check, at, "it needs \"subject\", \"scopes\" or both");
        }
    }
    if (!json_at(check->definition->tree, "auth.service_account")) {
        check_problem(check, at, "only a service account acts for others: \"as\" needs `auth: {service_account: …}`");
    }
    free(at);
}
