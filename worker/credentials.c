#include "worker/credentials.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/jwt.h"
#include "lib/mem.h"
#include "lib/secret.h"

static const char *const kinds[] = {
    [CLIENT_CREDENTIALS] = "client_credentials",
    [SERVICE_ACCOUNT] = "service_account",
    [ACCOUNT_CREDENTIALS] = "account_credentials",
    [SIGNATURE] = "signature",
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void wipe_and_free(char *text)
{
    secret_wipe(text);
    free(text);
}

static void note_setting(const struct expr_path *path, void *arg)
{
    char **name = arg;
    const char *setting = expr_path_within(path, "settings") ? expr_path_name(path, 1) : NULL;
    if (!*name && setting) {
        *name = mem_strdup(setting);
    }
}

/* Where a member's value comes from: "systems.zoom.secret", else its place in the connector. The caller frees. */
static char *origin(const struct system *system, const struct credentials *credentials, const char *member)
{
    const char *tmpl = json_string_at(credentials->declared, member);
    char *setting = NULL;
    if (tmpl) {
        expr_paths(tmpl, note_setting, &setting);
    }
    char *text = setting ? mem_printf("systems.%s.%s", system->connector->name, setting)
                         : mem_printf("%s: auth.%s.%s", system->connector->file, credentials->name, member);
    free(setting);
    return text;
}

/* The value of a template over `.settings`; NULL with an err. */
static json_t *render(const struct system *system, const json_t *tmpl, struct err *err)
{
    json_t *context = json_pack("{s:O}", "settings", system->settings);
    json_t *value = expr_render(system->engine->exprs, tmpl, context, err);
    json_decref(context);
    return value;
}

/* A member as text; `*text` is NULL when it is absent, null or empty, which is an error when it is `needed`. */
static int read_text(const struct system *system, const struct credentials *credentials, const char *member,
                     bool needed, char **text, struct err *err)
{
    const json_t *tmpl = json_object_get(credentials->declared, member);
    json_t *value = tmpl ? render(system, tmpl, NULL) : json_null();
    char *from = origin(system, credentials, member);
    int result = 0;
    char *read = json_is_string(value) && json_string_length(value) ? mem_strdup(json_string_value(value))
                 : json_is_number(value)                            ? json_text(value)
                                                                    : NULL;
    if (!value) { /* what jq says of it could hold a secret */
        result = err_set(err, ERR_FATAL, "%s has no value for auth.%s.%s", from, credentials->name, member);
    } else if (!read && needed) {
        result = err_set(err, ERR_FATAL, "%s is not set, and auth.%s.%s of %s needs it", from, credentials->name,
                         member, system->connector->file);
    } else {
        *text = read;
    }
    free(from);
    json_decref(value);
    return result;
}

static int read_lists(const struct system *system, struct credentials *credentials, struct err *err)
{
    const json_t *scopes = json_object_get(credentials->declared, "scopes");
    const json_t *params = json_object_get(credentials->declared, "params");
    credentials->scopes = scopes ? render(system, scopes, err) : json_array();
    credentials->params = params ? render(system, params, err) : json_object();
    if (!credentials->scopes || !credentials->params) {
        err_prefix(err, "%s: auth.%s", system->connector->file, credentials->name);
        return -1;
    }
    return 0;
}

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

static char *percent_encoded(const char *text)
{
    struct buf out = BUF_INIT;
    percent_encode(&out, text);
    return buf_take(&out);
}

/* User and password travel as base64 of user:password: that form is masked too. */
static void remember_pair(const char *user, const char *password)
{
    char *both = mem_printf("%s:%s", user, password);
    secret_remember(both);
    wipe_and_free(both);
}

static void use_basic(struct credentials *credentials, char *user, char *password)
{
    credentials->user = user;
    credentials->password = password;
    remember_pair(user, password);
}

/* RFC 6749, 2.3.1: id and secret are form-encoded before they become user and password. */
static int load_client(const struct system *system, struct credentials *credentials, struct err *err)
{
    const char *style = json_string_at(credentials->declared, "style");
    if (read_text(system, credentials, "id", true, &credentials->id, err) != 0 ||
        read_text(system, credentials, "secret", true, &credentials->secret, err) != 0) {
        return -1;
    }
    secret_remember(credentials->secret);
    if (!style || strcmp(style, "basic") == 0) {
        use_basic(credentials, percent_encoded(credentials->id), percent_encoded(credentials->secret));
    }
    return 0;
}

static int load_account(const struct system *system, struct credentials *credentials, struct err *err)
{
    if (read_text(system, credentials, "account", true, &credentials->account, err) != 0 ||
        read_text(system, credentials, "id", true, &credentials->id, err) != 0 ||
        read_text(system, credentials, "secret", true, &credentials->secret, err) != 0) {
        return -1;
    }
    secret_remember(credentials->secret);
    use_basic(credentials, mem_strdup(credentials->id), mem_strdup(credentials->secret));
    return 0;
}

/* The members of Google's key file. */
static int take_key(struct credentials *credentials, const char *text, struct err *err)
{
    json_t *file = json_parse(text, strlen(text), NULL); /* what it says of an error would quote the file */
    const char *pem = json_string_at(file, "private_key");
    const char *email = json_string_at(file, "client_email");
    const char *uri = json_string_at(file, "token_uri");
    int result = 0;
    if (!json_is_object(file)) {
        result = err_set(err, ERR_PERMANENT, "it is not the JSON text of a service account's key file");
    } else if (!pem || !email || (!uri && !credentials->url)) {
        result = err_set(err, ERR_PERMANENT, "the key file has no \"%s\"",
                         !pem     ? "private_key"
                         : !email ? "client_email"
                                  : "token_uri");
    } else {
        secret_remember(pem);
        credentials->key = jwt_key_read(pem, err);
        result = credentials->key ? 0 : -1;
        credentials->id = mem_strdup(email);
        credentials->key_id = mem_strdup(json_string_at(file, "private_key_id"));
        credentials->url = credentials->url ? credentials->url : mem_strdup(uri);
    }
    json_decref(file);
    return result;
}

static int load_service(const struct system *system, struct credentials *credentials, struct err *err)
{
    char *text = NULL;
    if (read_text(system, credentials, "key", true, &text, err) != 0 ||
        read_text(system, credentials, "subject", false, &credentials->subject, err) != 0) {
        wipe_and_free(text);
        return -1;
    }
    secret_remember(text);
    struct err why = ERR_INIT;
    int result = take_key(credentials, text, &why);
    if (result != 0) {
        char *from = origin(system, credentials, "key");
        err_set(err, ERR_FATAL, "%s: %s", from, err_text(&why));
        free(from);
    }
    err_release(&why);
    wipe_and_free(text);
    return result;
}

/* RFC 4648, 4, with its padding and nothing else: libcrypto would skip white space. */
static bool decode_base64(const char *text, unsigned char *out, size_t *len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = strlen(text), digits = strspn(text, alphabet), padding = size - digits;
    bool well_formed = size % 4 == 0 && padding <= 2 && strspn(text + digits, "=") == padding;
    int made = well_formed ? EVP_DecodeBlock(out, (const unsigned char *)text, (int)size) : -1;
    *len = made < 0 ? 0 : (size_t)made - padding;
    return made >= 0;
}

static bool decode_hex(const char *text, unsigned char *out, size_t *len)
{
    *len = 0;
    for (const char *at = text; *at; at += 2) {
        char pair[3] = {at[0], at[1], '\0'};
        if (strspn(pair, "0123456789abcdefABCDEF") != 2) {
            return false;
        }
        out[(*len)++] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return true;
}

static int load_signature(const struct system *system, struct credentials *credentials, struct err *err)
{
    const char *coding = json_string_at(credentials->declared, "key_coding");
    char *text = NULL;
    if (read_text(system, credentials, "key", true, &text, err) != 0) {
        return -1;
    }
    secret_remember(text);
    bool plain = !coding || strcmp(coding, "text") == 0;
    credentials->hmac_key = plain ? (unsigned char *)mem_strdup(text) : mem_alloc(strlen(text) + 1);
    credentials->hmac_key_len = plain ? strlen(text) : 0;
    bool good =
        plain || (strcmp(coding, "hex") == 0 ? decode_hex(text, credentials->hmac_key, &credentials->hmac_key_len)
                                             : decode_base64(text, credentials->hmac_key, &credentials->hmac_key_len));
    int result = 0;
    if (!good) {
        char *from = origin(system, credentials, "key");
        result = err_set(err, ERR_FATAL, "%s is not %s, and auth.signature.key of %s needs it so", from, coding,
                         system->connector->file);
        free(from);
    }
    wipe_and_free(text);
    return result;
}

static int load_kind(const struct system *system, struct credentials *credentials, struct err *err)
{
    if (credentials->kind == SIGNATURE) {
        return load_signature(system, credentials, err);
    }
    bool service = credentials->kind == SERVICE_ACCOUNT; /* its key file knows where */
    if (read_text(system, credentials, "url", !service, &credentials->url, err) != 0 ||
        read_lists(system, credentials, err) != 0) {
        return -1;
    }
    return service                                   ? load_service(system, credentials, err)
           : credentials->kind == CLIENT_CREDENTIALS ? load_client(system, credentials, err)
                                                     : load_account(system, credentials, err);
}

/* Plain basic auth needs no token: its requests render it. */
static void remember_basic(const struct system *system, const json_t *basic)
{
    json_t *value = basic ? render(system, basic, NULL) : NULL;
    const char *user = json_string_at(value, "user");
    const char *password = json_string_at(value, "password");
    if (user && password) {
        remember_pair(user, password);
    }
    json_decref(value);
}

int credentials_load(struct system *system, struct err *err)
{
    const json_t *auth = json_object_get(system->connector->tree, "auth");
    remember_basic(system, json_object_get(auth, "basic"));
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const json_t *declared = json_object_get(auth, kinds[i]);
        if (declared) {
            struct credentials *credentials = MEM_NEW(struct credentials);
            system->credentials = credentials;
            credentials->kind = (enum credentials_kind)i;
            credentials->name = kinds[i];
            credentials->declared = declared;
            return load_kind(system, credentials, err);
        }
    }
    return 0;
}

void credentials_free(struct credentials *credentials)
{
    if (!credentials) {
        return;
    }
    free(credentials->url);
    free(credentials->id);
    wipe_and_free(credentials->secret);
    free(credentials->account);
    free(credentials->user);
    wipe_and_free(credentials->password);
    free(credentials->subject);
    json_decref(credentials->scopes);
    json_decref(credentials->params);
    free(credentials->key_id);
    jwt_key_free(credentials->key);
    if (credentials->hmac_key) {
        OPENSSL_cleanse(credentials->hmac_key, credentials->hmac_key_len);
    }
    free(credentials->hmac_key);
    free(credentials);
}
