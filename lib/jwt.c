#include "lib/jwt.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"

enum { KEY_BITS_MIN = 2048 }; /* RFC 7518, 3.3 */

struct jwt_key {
    EVP_PKEY *pkey;
};

/* A key with a passphrase would have libcrypto ask for it on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

struct jwt_key *jwt_key_read(const char *pem, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error(); /* what libcrypto says of it helps nobody, and could hold a part of it */
    const char *why = !pkey                                    ? "it is no private key in PEM without a passphrase"
                      : EVP_PKEY_base_id(pkey) != EVP_PKEY_RSA ? "it is no RSA key"
                      : EVP_PKEY_bits(pkey) < KEY_BITS_MIN     ? "it has less than 2,048 bits"
                                                               : NULL;
    if (why) {
        EVP_PKEY_free(pkey);
        err_set(err, ERR_PERMANENT, "could not read the private key: %s", why);
        return NULL;
    }
    struct jwt_key *key = MEM_NEW(struct jwt_key);
    key->pkey = pkey;
    return key;
}

void jwt_key_free(struct jwt_key *key)
{
    if (key) {
        EVP_PKEY_free(key->pkey);
        free(key);
    }
}

/* RFC 7515, 2: the alphabet for URLs, without padding. */
static void add_base64url(struct buf *out, const void *bytes, size_t len)
{
    char *text = mem_alloc((len + 2) / 3 * 4 + 1);
    EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
    text[strcspn(text, "=")] = '\0';
    for (char *c = text; *c; c++) {
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    }
    buf_adds(out, text);
    free(text);
}

static void add_json(struct buf *out, const json_t *value)
{
    char *text = json_text(value);
    add_base64url(out, text, strlen(text));
    free(text);
}

/* Adds ".signature" of what stands in `out`; 0 or -1. */
static int add_signature(const struct jwt_key *key, struct buf *out)
{
    size_t size = (size_t)EVP_PKEY_size(key->pkey);
    unsigned char *signature = mem_alloc(size);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int signed_it = context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
                    EVP_DigestSign(context, signature, &size, (const unsigned char *)out->data, out->len) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    if (signed_it) {
        buf_adds(out, ".");
        add_base64url(out, signature, size);
    }
    free(signature);
    return signed_it ? 0 : -1;
}

char *jwt_sign(const struct jwt_key *key, const char *key_id, const json_t *claims, struct err *err)
{
    json_t *header = json_pack("{s:s, s:s}", "alg", "RS256", "typ", "JWT");
    struct buf out = BUF_INIT;
    json_put_string(header, "kid", key_id);
    add_json(&out, header);
    buf_adds(&out, ".");
    add_json(&out, claims);
    json_decref(header);
    if (add_signature(key, &out) != 0) {
        buf_release(&out);
        err_set(err, ERR_PERMANENT, "could not sign with the private key");
        return NULL;
    }
    return buf_take(&out);
}
