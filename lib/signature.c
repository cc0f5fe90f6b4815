/* Checking who sent a request. */
#include "lib/signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

enum {
    CANDIDATES_MAX =
        16,          /* signatures in one header: each costs a comparison, and the sender chooses how many there are */
    DIGITS_MAX = 15, /* of a timestamp */
    MILLISECONDS_FROM = 11 /* digits: seconds have ten until the year 2286 */
};

const char *signature_verdict_name(enum signature_verdict verdict)
{
    static const char *const names[] = {"good", "missing", "wrong", "stale", "closed"};
    return names[verdict];
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static unsigned char *decode_hex(const char *text, size_t text_len, size_t *len)
{
    unsigned char *bytes = mem_alloc(text_len / 2 + 1);
    for (size_t i = 0; i + 1 < text_len; i += 2) {
        int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0) {
            free(bytes);
            return NULL;
        }
        bytes[i / 2] = (unsigned char)(high * 16 + low);
    }
    *len = text_len / 2;
    if (text_len % 2) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

/* RFC 4648, 4 and 5: both alphabets; padding may be left out. */
static unsigned char *decode_base64(const char *text, size_t text_len, size_t *len)
{
    for (int i = 0; i < 2 && text_len && text[text_len - 1] == '='; i++) {
        text_len--;
    }
    unsigned char *bytes = mem_alloc(text_len / 4 * 3 + 3);
    unsigned int bits = 0;
    size_t held = 0;
    *len = 0;
    for (size_t i = 0; i < text_len; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0 || text_len % 4 == 1) {
            free(bytes);
            return NULL;
        }
        bits = bits << 6 | (unsigned int)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[(*len)++] = (unsigned char)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    return bytes;
}

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

/* Is `expected` among the signatures of the header? All are looked at, whichever fits. */
static bool listed(const struct signing *signing, const unsigned char *expected, size_t expected_len)
{
    const char *prefix = json_string_at(signing->words, "prefix");
    bool base64 = encoded_as(signing->words, "encoding", "base64", "hex");
    bool found = false;
    const char *at = signing->signatures;
    for (int i = 0; i < CANDIDATES_MAX && *(at += strspn(at, " ")); i++) {
        size_t text_len = strcspn(at, " "), len = 0;
        const char *text = at;
        at += text_len;
        if (prefix && strncmp(text, prefix, strlen(prefix)) != 0) {
            continue;
        }
        text += prefix ? strlen(prefix) : 0;
        text_len -= prefix ? strlen(prefix) : 0;
        unsigned char *bytes = base64 ? decode_base64(text, text_len, &len) : decode_hex(text, text_len, &len);
        found = (bytes && len == expected_len && CRYPTO_memcmp(bytes, expected, len) == 0) || found;
        free(bytes);
    }
    return found;
}

static bool key_fits(const struct signing *signing, const char *key_text, const struct buf *text)
{
    size_t key_len = 0;
    char *key = signature_key(signing->words, key_text, &key_len, NULL);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_len = 0;
    const EVP_MD *digest = encoded_as(signing->words, "algorithm", "sha512", "sha256") ? EVP_sha512() : EVP_sha256();
    bool made = key && HMAC(digest, key, (int)key_len, (const unsigned char *)buf_text(text), text->len, mac, &mac_len);
    bool fits = made && listed(signing, mac, mac_len);
    if (key) {
        OPENSSL_cleanse(key, key_len);
    }
    OPENSSL_cleanse(mac, sizeof mac);
    free(key);
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

static enum signature_verdict check_headers(struct signing *signing, struct err *err)
{
    const struct {
        const char *word;
        const char **value;
    } headers[] = {{"header", &signing->signatures}, {"timestamp", &signing->timestamp}, {"id", &signing->id}};
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

/* The signature is looked at before the time: only a sender who knows the key learns what this machine's clock says. */
static enum signature_verdict check_hmac(const json_t *words, const json_t *keys,
                                         const struct signature_request *request, struct err *err)
{
    struct signing signing = {.words = words, .request = request};
    enum signature_verdict verdict = check_headers(&signing, err);
    if (verdict != SIGNATURE_GOOD) {
        return verdict;
    }
    struct buf text = BUF_INIT;
    signed_text(&signing, &text);
    bool fits = false;
    size_t i;
    json_t *key;
    json_array_foreach(keys, i, key)
    {
        fits = key_fits(&signing, json_string_value(key), &text) || fits;
    }
    fits = fits && !text.overflow;
    buf_release(&text);
    if (!fits) {
        err_set(err, ERR_PERMANENT, "the signature in %s does not fit", json_string_at(words, "header"));
        return SIGNATURE_WRONG;
    }
    return check_age(&signing, err);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static enum signature_verdict check_token(const json_t *words, const json_t *keys,
                                          const struct signature_request *request, struct err *err)
{
    const char *name = json_string_at(words, "header");
    const char *prefix = json_string_at(words, "prefix");
    const char *given = request->header(name, request->arg);
    if (!given || (prefix && strncasecmp(given, prefix, strlen(prefix)) != 0)) {
        err_set(err, ERR_PERMANENT, "the header %s is missing%s", name, given ? ", or begins with something else" : "");
        return SIGNATURE_MISSING;
    }
    given += prefix ? strlen(prefix) : 0;
    /* Digests are compared, in constant time: nothing can be learned from how long it takes. */
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
    if (!fits) {
        err_set(err, ERR_PERMANENT, "the secret in %s does not fit", name);
    }
    return fits ? SIGNATURE_GOOD : SIGNATURE_WRONG;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

enum signature_verdict signature_check(const json_t *words, signature_keys *keys, void *arg,
                                       const struct signature_request *request, struct err *err)
{
    static const struct {
        const char *word;
        enum signature_verdict (*check)(const json_t *, const json_t *, const struct signature_request *, struct err *);
    } ways[] = {{"signature", check_hmac}, {"token", check_token}};
    enum signature_verdict verdict = SIGNATURE_CLOSED;
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        const json_t *way = json_object_get(words, ways[i].word);
        if (!way) {
            continue;
        }
        const char *setting = json_string_at(way, "key");
        const json_t *valid = setting ? keys(setting, arg) : NULL;
        if (json_array_size(valid) == 0) {
            err_set(err, ERR_PERMANENT, "the setting \"%s\" is not set", setting ? setting : "key");
            return SIGNATURE_CLOSED;
        }
        verdict = ways[i].check(way, valid, request, err);
        if (verdict != SIGNATURE_GOOD) {
            return verdict;
        }
    }
    if (verdict == SIGNATURE_CLOSED) {
        err_set(err, ERR_PERMANENT, "there is neither \"signature\" nor \"token\"");
    }
    return verdict;
}

bool signature_reads(const json_t *words, const char *header)
{
    static const char *const paths[] = {"signature.header", "token.header"};
    bool reads = false;
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        const char *name = json_string_at(words, paths[i]);
        reads = reads || (name && strcasecmp(name, header) == 0);
    }
    return reads;
}
