/* Checking who sent a request. */
#include "lib/signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/decode.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

enum {
    CANDIDATES_MAX =
        16, /* signatures in one header: each costs a comparison, and the sender chooses how many there are */
    TIMESTAMPS_MAX = 4,    /* and each time in it an HMAC of the body for every key */
    DIGITS_MAX = 15,       /* of a timestamp */
    MILLISECONDS_FROM = 11 /* digits: seconds have ten until the year 2286 */
};

const char *signature_verdict_name(enum signature_verdict verdict)
{
    static const char *const names[] = {"good", "missing", "wrong", "stale", "unknown_key", "closed"};
    return names[verdict];
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static bool encoded_as(const json_t *words, const char *key, const char *encoding, const char *otherwise)
{
    const char *given = json_string_at(words, key);
    return strcmp(given ? given : otherwise, encoding) == 0;
}

char *signature_key(const json_t *signature, const char *text, size_t *len, struct err *err)
{
    const char *prefix = json_string_at(signature, "key_prefix");
    if (prefix && strncmp(text, prefix, strlen(prefix)) == 0) {
        text += strlen(prefix);
    }
    char *key = NULL;
    if (encoded_as(signature, "key_encoding", "base64", "plain")) {
        key = (char *)decode_base64(text, strlen(text), len);
    } else if (encoded_as(signature, "key_encoding", "hex", "plain")) {
        key = (char *)decode_hex(text, strlen(text), len);
    } else {
        key = mem_strdup(text);
        *len = strlen(text);
    }
    if (key && *len == 0) {
        free(key);
        key = NULL;
    }
    if (!key) {
        err_set(err, ERR_PERMANENT, "it is empty or no %s", json_string_at(signature, "key_encoding"));
    }
    return key;
}

/* ---- signatures -------------------------------------------------------------------------------------------------- */

struct signing {
    const json_t *words; /* `signature` */
    const struct signature_request *request;
    const char *signatures; /* value of the header */
    const char *timestamp;
    const char *id;
};

static const char *header_of(const struct signing *signing, const char *word)
{
    const char *name = json_string_at(signing->words, word);
    return name ? signing->request->header(name, signing->request->arg) : NULL;
}

/* `text` with {timestamp}, {id} and {body} filled in: what the sender signed. */
static void signed_text(const struct signing *signing, struct buf *out)
{
    const struct signature_request *request = signing->request;
    const char *at = json_string_at(signing->words, "text");
    at = at ? at : "{body}";
    while (*at) {
        if (strncmp(at, "{timestamp}", strlen("{timestamp}")) == 0) {
            buf_adds(out, signing->timestamp);
            at += strlen("{timestamp}");
        } else if (strncmp(at, "{id}", strlen("{id}")) == 0) {
            buf_adds(out, signing->id);
            at += strlen("{id}");
        } else if (strncmp(at, "{body}", strlen("{body}")) == 0) {
            buf_add(out, request->body, request->body_len);
            at += strlen("{body}");
        } else {
            buf_add(out, at++, 1);
        }
    }
}

/* The next part of a header's value that begins with `prefix` (NULL: any), without it; NULL: there is none. Parts end at blanks,
 * commas and semicolons: "t=1,v1=2" (Stripe), "v1,2 v1,3" (Standard Webhooks), "ts=1;h1=2" (Paddle). */
static const char *next_part(const char **at, const char *prefix, size_t *len)
{
    static const char separators[] = " \t,;";
    size_t skip = prefix ? strlen(prefix) : 0;
    while (*(*at += strspn(*at, separators))) {
        if (strncmp(*at, prefix ? prefix : "", skip) == 0) {
            const char *part = *at + skip;
            *len = strcspn(part, separators);
            *at = part + *len;
            return part;
        }
        *at += strcspn(*at, separators);
    }
    return NULL;
}

/* Is `expected` among the signatures of the header? All are looked at, whichever fits. */
static bool listed(const struct signing *signing, const unsigned char *expected, size_t expected_len)
{
    const char *prefix = json_string_at(signing->words, "prefix");
    bool base64 = encoded_as(signing->words, "encoding", "base64", "hex");
    bool found = false;
    const char *at = signing->signatures, *part;
    size_t part_len, len = 0;
    for (int i = 0; i < CANDIDATES_MAX && (part = next_part(&at, prefix, &part_len)); i++) {
        unsigned char *bytes = base64 ? decode_base64(part, part_len, &len) : decode_hex(part, part_len, &len);
        found = (bytes && len == expected_len && CRYPTO_memcmp(bytes, expected, len) == 0) || found;
        free(bytes);
    }
    return found;
}

static const EVP_MD *digest_of(const json_t *words)
{
    return encoded_as(words, "algorithm", "sha512", "sha256") ? EVP_sha512()
           : encoded_as(words, "algorithm", "sha1", "sha256") ? EVP_sha1()
                                                              : EVP_sha256();
}

static bool key_fits(const struct signing *signing, const char *key_text, const struct buf *text)
{
    size_t key_len = 0;
    char *key = signature_key(signing->words, key_text, &key_len, NULL);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_len = 0;
    bool made = key && HMAC(digest_of(signing->words), key, (int)key_len, (const unsigned char *)buf_text(text),
                            text->len, mac, &mac_len);
    bool fits = made && listed(signing, mac, mac_len);
    if (key) {
        OPENSSL_cleanse(key, key_len);
    }
    OPENSSL_cleanse(mac, sizeof mac);
    free(key);
    return fits;
}

/* Does a signature of the header fit what was signed at this `timestamp` (NULL: no time is signed)? */
static bool fits_at(struct signing *signing, const json_t *keys, const char *timestamp)
{
    struct buf text = BUF_INIT;
    bool fits = false;
    size_t i;
    json_t *key;
    signing->timestamp = timestamp;
    signed_text(signing, &text);
    json_array_foreach(keys, i, key)
    {
        fits = key_fits(signing, json_string_value(key), &text) || fits;
    }
    fits = fits && !text.overflow;
    buf_release(&text);
    return fits;
}

/* Unix seconds or milliseconds, or RFC 3339. */
static int read_timestamp(const char *text, int64_t *at)
{
    size_t digits = strspn(text, "0123456789");
    if (digits && !text[digits] && digits <= DIGITS_MAX) {
        int64_t number = strtoll(text, NULL, 10);
        *at = number * (digits > MILLISECONDS_FROM ? 1000 : TIME_SECOND);
        return 0;
    }
    return time_parse(text, at, NULL);
}

static enum signature_verdict check_age(const struct signing *signing, struct err *err)
{
    const char *name = json_string_at(signing->words, "timestamp");
    const char *text = json_string_at(signing->words, "tolerance");
    int64_t tolerance = 5 * TIME_MINUTE, at = 0;
    if (!name) {
        return SIGNATURE_GOOD;
    }
    if (text) {
        time_parse_duration(text, &tolerance, NULL);
    }
    if (read_timestamp(signing->timestamp, &at) != 0) {
        err_set(err, ERR_PERMANENT, "the header %s holds no time: Unix seconds or milliseconds, or RFC 3339", name);
        return SIGNATURE_MISSING;
    }
    int64_t age = signing->request->now - at;
    if (age > tolerance || age < -tolerance) {
        err_set(err, ERR_PERMANENT, "it was signed %lld s %s, which is too %s", (long long)(llabs(age) / TIME_SECOND),
                age < 0 ? "ahead of this machine's clock" : "ago", age < 0 ? "far" : "long");
        return SIGNATURE_STALE;
    }
    return SIGNATURE_GOOD;
}

static enum signature_verdict check_headers(struct signing *signing, const char **timestamp, struct err *err)
{
    const struct {
        const char *word;
        const char **value;
    } headers[] = {{"header", &signing->signatures}, {"timestamp", timestamp}, {"id", &signing->id}};
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        const char *name = json_string_at(signing->words, headers[i].word);
        *headers[i].value = header_of(signing, headers[i].word);
        if (name && (!*headers[i].value || !**headers[i].value)) {
            err_set(err, ERR_PERMANENT, "the header %s is missing", name);
            return SIGNATURE_MISSING;
        }
    }
    return SIGNATURE_GOOD;
}

static enum signature_verdict refuse_signature(const struct signing *signing, struct err *err)
{
    err_set(err, ERR_PERMANENT, "the signature in %s does not fit", json_string_at(signing->words, "header"));
    return SIGNATURE_WRONG;
}

/* Of the times that a header lists (a sender that replaces its key may sign once with each), one that a signature fits must be
 * young enough. */
static enum signature_verdict check_listed_times(struct signing *signing, const json_t *keys, const char *times,
                                                 struct err *err)
{
    const char *prefix = json_string_at(signing->words, "timestamp_prefix");
    enum signature_verdict verdict = SIGNATURE_MISSING;
    const char *part;
    size_t len;
    for (int i = 0; i < TIMESTAMPS_MAX && verdict != SIGNATURE_GOOD && (part = next_part(&times, prefix, &len)); i++) {
        char *timestamp = mem_strndup(part, len);
        if (fits_at(signing, keys, timestamp)) {
            err_release(err);
            verdict = check_age(signing, err);
        } else if (verdict == SIGNATURE_MISSING) {
            verdict = refuse_signature(signing, err);
        }
        free(timestamp);
    }
    if (verdict == SIGNATURE_MISSING && (!err || err->class == ERR_NONE)) {
        err_set(err, ERR_PERMANENT, "no part of the header %s begins with \"%s\"",
                json_string_at(signing->words, "timestamp"), prefix);
    }
    return verdict;
}

/* The signature is looked at before the time: only a sender who knows the key learns what this machine's clock says. */
static enum signature_verdict check_hmac(const json_t *words, const json_t *keys,
                                         const struct signature_request *request, struct err *err)
{
    struct signing signing = {.words = words, .request = request};
    const char *timestamp = NULL;
    enum signature_verdict verdict = check_headers(&signing, &timestamp, err);
    if (verdict != SIGNATURE_GOOD) {
        return verdict;
    }
    if (json_object_get(words, "timestamp_prefix")) {
        return check_listed_times(&signing, keys, timestamp, err);
    }
    return fits_at(&signing, keys, timestamp) ? check_age(&signing, err) : refuse_signature(&signing, err);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

/* The secret as the sender has it: as it stands after the prefix, or in base64 (HTTP's Basic: user:password). NULL: it is none. */
static char *token_given(const json_t *words, const char *text)
{
    size_t len = 0;
    return encoded_as(words, "encoding", "base64", "plain") ? (char *)decode_base64(text, strlen(text), &len)
                                                            : mem_strdup(text);
}

/* Digests are compared, in constant time: nothing can be learned from how long it takes. */
static bool token_fits(const char *given, const json_t *keys)
{
    char digest[ID_SHA256_HEX_SIZE], expected[ID_SHA256_HEX_SIZE];
    id_sha256_hex(given, strlen(given), digest);
    bool fits = false;
    size_t i;
    json_t *key;
    json_array_foreach(keys, i, key)
    {
        id_sha256_hex(json_string_value(key), json_string_length(key), expected);
        fits = (json_string_length(key) > 0 && CRYPTO_memcmp(digest, expected, sizeof digest) == 0) || fits;
    }
    return fits;
}

static enum signature_verdict check_token(const json_t *words, const json_t *keys,
                                          const struct signature_request *request, struct err *err)
{
    const char *name = json_string_at(words, "header");
    const char *prefix = json_string_at(words, "prefix");
    const char *header = request->header(name, request->arg);
    if (!header || (prefix && strncasecmp(header, prefix, strlen(prefix)) != 0)) {
        err_set(err, ERR_PERMANENT, "the header %s is missing%s", name,
                header ? ", or begins with something else" : "");
        return SIGNATURE_MISSING;
    }
    char *given = token_given(words, header + (prefix ? strlen(prefix) : 0));
    bool fits = given && token_fits(given, keys);
    if (given) {
        OPENSSL_cleanse(given, strlen(given));
    }
    free(given);
    if (!fits) {
        err_set(err, ERR_PERMANENT, "the secret in %s does not fit", name);
    }
    return fits ? SIGNATURE_GOOD : SIGNATURE_WRONG;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

typedef enum signature_verdict way_check(const json_t *way, const json_t *keys, const struct signature_request *request,
                                         struct err *err);

/* A way that the definition does not speak of is SIGNATURE_GOOD, and leaves `*found` as it is. */
static enum signature_verdict check_way(const json_t *way, way_check *check, signature_keys *keys, void *arg,
                                        const struct signature_request *request, bool *found, struct err *err)
{
    if (!way) {
        return SIGNATURE_GOOD;
    }
    *found = true;
    const char *setting = json_string_at(way, "key");
    const json_t *valid = setting ? keys(setting, arg) : NULL;
    if (json_array_size(valid) == 0) {
        err_set(err, ERR_PERMANENT, "the setting \"%s\" is not set", setting ? setting : "key");
        return SIGNATURE_CLOSED;
    }
    return check(way, valid, request, err);
}

static enum signature_verdict check_ways(const json_t *words, way_check *signature, signature_keys *keys, void *arg,
                                         const struct signature_request *request, bool *found, struct err *err)
{
    enum signature_verdict verdict =
        check_way(json_object_get(words, "signature"), signature, keys, arg, request, found, err);
    return verdict == SIGNATURE_GOOD
               ? check_way(json_object_get(words, "token"), check_token, keys, arg, request, found, err)
               : verdict;
}

enum signature_verdict signature_check(const json_t *words, signature_keys *keys, void *arg,
                                       const struct signature_request *request, struct err *err)
{
    bool found = false;
    enum signature_verdict verdict = check_ways(words, check_hmac, keys, arg, request, &found, err);
    if (!found) {
        err_set(err, ERR_PERMANENT, "there is neither \"signature\" nor \"token\"");
        return SIGNATURE_CLOSED;
    }
    return verdict;
}

static enum signature_verdict check_hmac_headers(const json_t *words, const json_t *keys,
                                                 const struct signature_request *request, struct err *err)
{
    (void)keys;
    struct signing signing = {.words = words, .request = request};
    const char *timestamp;
    return check_headers(&signing, &timestamp, err);
}

enum signature_verdict signature_check_head(const json_t *words, signature_keys *keys, void *arg,
                                            const struct signature_request *request, struct err *err)
{
    bool found = false;
    enum signature_verdict verdict = check_ways(words, check_hmac_headers, keys, arg, request, &found, err);
    const char *jwt = json_string_at(words, "jwt.header");
    if (verdict == SIGNATURE_GOOD && jwt && !request->header(jwt, request->arg)) {
        err_set(err, ERR_PERMANENT, "the header %s is missing", jwt);
        return SIGNATURE_MISSING;
    }
    return verdict;
}

bool signature_declared(const json_t *words)
{
    return json_object_get(words, "signature") || json_object_get(words, "token") || json_object_get(words, "jwt");
}

bool signature_reads(const json_t *words, const char *header)
{
    static const char *const paths[] = {"signature.header", "token.header", "jwt.header"};
    bool reads = false;
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        const char *name = json_string_at(words, paths[i]);
        reads = reads || (name && strcasecmp(name, header) == 0);
    }
    return reads;
}
