#include "lib/jwt_check.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/decode.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

enum {
    TOKEN_MAX = 64 * 1024, /* bytes */
    KEYS_MAX = 64,
    RSA_BITS_MIN = 2048, /* RFC 7518, 3.3 */
    P256_BYTES = 32,     /* of a coordinate, and of each half of a signature */
    LEEWAY_S = 60,       /* between the clocks of sender and receiver */
};

/* ---- the compact form: header.claims.signature ------------------------------------------------------------------ */

struct token {
    json_t *header, *claims;
    const char *text; /* what is signed: the first two parts */
    size_t text_len;
    unsigned char *signature;
    size_t signature_len;
};

static void token_release(struct token *token)
{
    json_decref(token->header);
    json_decref(token->claims);
    free(token->signature);
}

/* NULL when it is no object in base64. */
static json_t *part_object(const char *text, size_t text_len)
{
    size_t len = 0;
    char *bytes = (char *)decode_base64(text, text_len, &len);
    json_t *object = bytes ? json_parse(bytes, len, NULL) : NULL;
    free(bytes);
    if (!json_is_object(object)) {
        json_decref(object);
        object = NULL;
    }
    return object;
}

static int token_read(const char *text, size_t len, struct token *token, struct err *err)
{
    *token = (struct token){.text = text};
    const char *first = len <= TOKEN_MAX ? memchr(text, '.', len) : NULL;
    const char *second = first ? memchr(first + 1, '.', len - (size_t)(first + 1 - text)) : NULL;
    if (second) {
        token->text_len = (size_t)(second - text);
        token->header = part_object(text, (size_t)(first - text));
        token->claims = part_object(first + 1, (size_t)(second - first - 1));
        token->signature = decode_base64(second + 1, len - token->text_len - 1, &token->signature_len);
    }
    if (!token->header || !token->claims || !token->signature) {
        token_release(token);
        return err_set(err, ERR_PERMANENT, "it is no JSON web token");
    }
    return 0;
}

json_t *jwt_claims_of(const char *text, size_t len)
{
    struct token token;
    while (len && strchr(" \t\r\n", text[len - 1])) {
        len--;
    }
    json_t *claims = token_read(text, len, &token, NULL) == 0 ? json_incref(token.claims) : NULL;
    if (claims) {
        token_release(&token);
    }
    return claims;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static BIGNUM *number_of(const json_t *jwk, const char *name)
{
    const char *text = json_string_at(jwk, name);
    size_t len = 0;
    unsigned char *bytes = text ? decode_base64(text, strlen(text), &len) : NULL;
    BIGNUM *number = bytes && len > 0 && len <= 2048 ? BN_bin2bn(bytes, (int)len, NULL) : NULL;
    free(bytes);
    return number;
}

static EVP_PKEY *key_from(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params && context && EVP_PKEY_fromdata_init(context) == 1) {
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params);
    }
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa_key(const json_t *jwk)
{
    BIGNUM *n = number_of(jwk, "n"), *e = number_of(jwk, "e");
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (n && e && BN_num_bits(n) >= RSA_BITS_MIN && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e)) {
        key = key_from("RSA", build);
    }
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return key;
}

/* SEC 1, 2.3.3: an uncompressed point. */
static EVP_PKEY *p256_key(const json_t *jwk)
{
    unsigned char point[1 + 2 * P256_BYTES] = {4};
    BIGNUM *x = number_of(jwk, "x"), *y = number_of(jwk, "y");
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (x && y && BN_bn2binpad(x, point + 1, P256_BYTES) == P256_BYTES &&
        BN_bn2binpad(y, point + 1 + P256_BYTES, P256_BYTES) == P256_BYTES &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point)) {
        key = key_from("EC", build);
    }
    OSSL_PARAM_BLD_free(build);
    BN_free(x);
    BN_free(y);
    return key;
}

/* What a key of the set is good for: "RS256", "ES256", or NULL. */
static const char *algorithm_of(const json_t *jwk)
{
    const char *type = json_string_at(jwk, "kty"), *use = json_string_at(jwk, "use");
    const char *alg = json_string_at(jwk, "alg"), *curve = json_string_at(jwk, "crv");
    const char *fits = !type || (use && strcmp(use, "sig") != 0)                     ? NULL
                       : strcmp(type, "RSA") == 0                                    ? "RS256"
                       : strcmp(type, "EC") == 0 && curve && !strcmp(curve, "P-256") ? "ES256"
                                                                                     : NULL;
    return fits && alg && strcmp(alg, fits) != 0 ? NULL : fits;
}

json_t *jwt_keys_parse(const char *text, size_t len, struct err *err)
{
    json_t *set = json_parse(text, len, err);
    const json_t *listed = json_object_get(set, "keys");
    json_t *keys = json_array();
    size_t i;
    json_t *jwk;
    json_array_foreach(listed, i, jwk)
    {
        if (algorithm_of(jwk) && json_array_size(keys) < KEYS_MAX) {
            json_array_append(keys, jwk);
        }
    }
    bool found = json_array_size(keys) > 0;
    json_decref(set);
    if (set && !found) {
        err_set(err, ERR_PERMANENT, "it is no JWK set with a key for RS256 or ES256");
    }
    json_t *result = found ? json_pack("{s:O}", "keys", keys) : NULL;
    json_decref(keys);
    return result;
}

bool jwt_address_safe(const char *url)
{
    static const char *const local[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    bool safe = strncmp(url, "https://", 8) == 0 && url[8] && url[8] != '/';
    for (size_t i = 0; i < COUNT_OF(local); i++) {
        size_t len = strlen(local[i]);
        safe = safe || (strncmp(url, local[i], len) == 0 && strchr(":/", url[len]));
    }
    return safe;
}

/* ---- signatures -------------------------------------------------------------------------------------------------- */

/* RFC 7518, 3.4: r and s side by side; libcrypto wants them in DER. NULL when it is none. */
static unsigned char *der_signature(const struct token *token, size_t *len)
{
    if (token->signature_len != 2 * P256_BYTES) {
        return NULL;
    }
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(token->signature, P256_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(token->signature + P256_BYTES, P256_BYTES, NULL);
    ECDSA_SIG_set0(signature, r, s);
    unsigned char *encoded = NULL;
    int encoded_len = i2d_ECDSA_SIG(signature, &encoded);
    ECDSA_SIG_free(signature);
    unsigned char *der = encoded_len > 0 ? mem_alloc((size_t)encoded_len) : NULL;
    if (der) {
        memcpy(der, encoded, (size_t)encoded_len);
        *len = (size_t)encoded_len;
    }
    OPENSSL_free(encoded);
    return der;
}

static bool key_fits(const json_t *jwk, const char *algorithm, const struct token *token)
{
    bool elliptic = strcmp(algorithm, "ES256") == 0;
    size_t der_len = 0;
    unsigned char *der = elliptic ? der_signature(token, &der_len) : NULL;
    const unsigned char *signature = elliptic ? der : token->signature;
    size_t len = elliptic ? der_len : token->signature_len;
    EVP_PKEY *key = signature ? (elliptic ? p256_key(jwk) : rsa_key(jwk)) : NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool fits = key && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(context, signature, len, (const unsigned char *)token->text, token->text_len) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    free(der);
    ERR_clear_error();
    return fits;
}

/* A token that names no key may fit any. */
static enum signature_verdict check_signature(const struct token *token, const json_t *keys, struct err *err)
{
    const char *algorithm = json_string_at(token->header, "alg");
    const char *kid = json_string_at(token->header, "kid");
    if (!algorithm || (strcmp(algorithm, "RS256") != 0 && strcmp(algorithm, "ES256") != 0) ||
        json_object_get(token->header, "crit")) {
        err_set(err, ERR_PERMANENT, "the token must be signed by RS256 or ES256, without further conditions (crit)");
        return SIGNATURE_WRONG;
    }
    bool known = false, fits = false;
    size_t i;
    json_t *jwk;
    json_array_foreach(json_object_get(keys, "keys"), i, jwk)
    {
        const char *id = json_string_at(jwk, "kid"), *good_for = algorithm_of(jwk);
        if (good_for && strcmp(good_for, algorithm) == 0 && (!kid || (id && strcmp(id, kid) == 0))) {
            known = true;
            fits = fits || key_fits(jwk, algorithm, token);
        }
    }
    if (!known) {
        err_set(err, ERR_PERMANENT, "the token's key \"%.100s\" is not among the sender's", kid ? kid : "");
        return SIGNATURE_UNKNOWN_KEY;
    }
    if (!fits) {
        err_set(err, ERR_PERMANENT, "the token's signature fits no key of the sender's");
    }
    return fits ? SIGNATURE_GOOD : SIGNATURE_UNKNOWN_KEY; /* a sender may have replaced a key under the same name */
}

/* ---- claims ------------------------------------------------------------------------------------------------------ */

/* Seconds since 1970; -1 when the claim is not there. False with the err when it is there, but is no such number: a limit that
 * cannot be read must not count as none. */
static bool read_seconds(const json_t *claims, const char *name, int64_t *read, struct err *err)
{
    const json_t *value = json_object_get(claims, name);
    double seconds = json_number_value(value);
    bool fine = json_is_number(value) && seconds >= 0 && seconds < 1e11;
    *read = fine ? (int64_t)seconds : -1;
    if (value && !fine) {
        err_set(err, ERR_PERMANENT, "the token's claim %s is not a number of seconds since 1970", name);
    }
    return !value || fine;
}

static enum signature_verdict stale(struct err *err, const char *what, int64_t by)
{
    err_set(err, ERR_PERMANENT, "the token %s %lld s ago", what, (long long)by);
    return SIGNATURE_STALE;
}

/* `exp` and `nbf` count where they stand; `iat` where the source says how old a token may be, or no other claim limits it. */
static enum signature_verdict check_age(const json_t *jwt, const json_t *claims, int64_t now, struct err *err)
{
    const char *text = json_string_at(jwt, "tolerance");
    int64_t ends, begins, made;
    if (!read_seconds(claims, "exp", &ends, err) || !read_seconds(claims, "nbf", &begins, err) ||
        !read_seconds(claims, "iat", &made, err)) {
        return SIGNATURE_WRONG;
    }
    int64_t tolerance = 5 * TIME_MINUTE, at = now / TIME_SECOND;
    if (text) {
        time_parse_duration(text, &tolerance, NULL);
    }
    tolerance /= TIME_SECOND;
    if (ends < 0 && made < 0) {
        err_set(err, ERR_PERMANENT, "the token says neither when it ends (exp) nor when it was made (iat)");
        return SIGNATURE_MISSING;
    }
    if (ends >= 0 && at > ends + LEEWAY_S) {
        return stale(err, "ended", at - ends);
    }
    if (made >= 0 && (text || ends < 0) && at > made + tolerance) {
        return stale(err, "was made", at - made);
    }
    if (begins > at + LEEWAY_S || made > at + LEEWAY_S) {
        err_set(err, ERR_PERMANENT, "the token is of a time that is ahead of this machine's clock");
        return SIGNATURE_STALE;
    }
    return SIGNATURE_GOOD;
}

/* `aud` may be a list; it must hold what is asked for. */
static bool says(const json_t *claim, const json_t *wanted)
{
    bool said = json_is_string(claim) && json_equal((json_t *)(uintptr_t)claim, (json_t *)(uintptr_t)wanted);
    size_t i;
    json_t *item;
    json_array_foreach(claim, i, item)
    {
        said = said || json_equal(item, (json_t *)(uintptr_t)wanted);
    }
    return said;
}

static enum signature_verdict check_claims(const json_t *jwt, const json_t *claims, struct err *err)
{
    const char *name;
    json_t *wanted;
    json_object_foreach(json_object_get(jwt, "claims"), name, wanted)
    {
        if (!says(json_object_get(claims, name), wanted)) {
            err_set(err, ERR_PERMANENT, "the token's claim %s is not the one that the source asks for", name);
            return SIGNATURE_WRONG;
        }
    }
    return SIGNATURE_GOOD;
}

static enum signature_verdict check_body(const json_t *jwt, const json_t *claims,
                                         const struct signature_request *request, struct err *err)
{
    const char *name = json_string_at(jwt, "body_sha256");
    const char *said = name ? json_string_value(json_object_get(claims, name)) : NULL;
    char digest[ID_SHA256_HEX_SIZE];
    id_sha256_hex(request->body, request->body_len, digest);
    if (name && (!said || strcasecmp(said, digest) != 0)) {
        err_set(err, ERR_PERMANENT, "the token is that of another body: its claim %s does not fit", name);
        return SIGNATURE_WRONG;
    }
    return SIGNATURE_GOOD;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* Where the token stands; NULL with the err. */
static const char *find_token(const json_t *jwt, const struct signature_request *request, size_t *len, struct err *err)
{
    const char *name = json_string_at(jwt, "header"), *prefix = json_string_at(jwt, "prefix");
    const char *text = name ? request->header(name, request->arg) : request->body;
    size_t skip = prefix ? strlen(prefix) : 0;
    if (name && (!text || strncasecmp(text, prefix ? prefix : "", skip) != 0)) {
        err_set(err, ERR_PERMANENT, "the header %s is missing%s", name, text ? ", or begins with something else" : "");
        return NULL;
    }
    text += name ? skip : 0;
    *len = name ? strlen(text) : request->body_len;
    while (*len && strchr(" \t\r\n", text[*len - 1])) {
        (*len)--;
    }
    return text;
}

enum signature_verdict jwt_check(const json_t *jwt, const json_t *keys, const struct signature_request *request,
                                 json_t **claims, struct err *err)
{
    size_t len = 0;
    struct token token;
    const char *text = find_token(jwt, request, &len, err);
    if (!text || token_read(text, len, &token, err) != 0) {
        return SIGNATURE_MISSING;
    }
    enum signature_verdict verdict = check_signature(&token, keys, err);
    verdict = verdict == SIGNATURE_GOOD ? check_claims(jwt, token.claims, err) : verdict;
    verdict = verdict == SIGNATURE_GOOD ? check_body(jwt, token.claims, request, err) : verdict;
    verdict = verdict == SIGNATURE_GOOD ? check_age(jwt, token.claims, request->now, err) : verdict;
    if (verdict == SIGNATURE_GOOD) {
        *claims = json_incref(token.claims);
    }
    token_release(&token);
    return verdict;
}
