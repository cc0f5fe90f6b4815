#include "lib/escrow.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"

enum { POINT = 32, KEY = 32, NONCE = 12, TAG = 16, VALUE_MAX = 4096 };

static const char version[] = "offboard-escrow-1:";

struct escrow_key {
    EVP_PKEY *pkey;
    struct escrow_key *next; /* of private ones: the one behind it; NULL: none */
};

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* A key with a passphrase would have libcrypto ask for it on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static struct escrow_key *key_read(BIO *bio, bool private, struct err *err)
{
    EVP_PKEY *pkey = !bio      ? NULL
                     : private ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)
                               : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    ERR_clear_error(); /* what libcrypto says of it helps nobody, and could hold a part of it */
    if (!pkey || EVP_PKEY_base_id(pkey) != EVP_PKEY_X25519) {
        const char *half = private ? "private" : "public";
        err_set(err, ERR_PERMANENT, pkey ? "it is no X25519 key" : "it is no %s key in PEM without a passphrase", half);
        EVP_PKEY_free(pkey);
        return NULL;
    }
    struct escrow_key *key = MEM_NEW(struct escrow_key);
    key->pkey = pkey;
    return key;
}

struct escrow_key *escrow_public_key(const char *pem, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    struct escrow_key *key = key_read(bio, false, err);
    BIO_free(bio);
    return key;
}

/* Is there another key behind what was read? */
static bool goes_on(BIO *bio)
{
    char *rest;
    long len = BIO_get_mem_data(bio, &rest);
    return len > 0 && memmem(rest, (size_t)len, "-----BEGIN", 10);
}

struct escrow_key *escrow_private_key(const char *pem, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    struct escrow_key *first = key_read(bio, true, err);
    for (struct escrow_key *last = first; first && goes_on(bio); last = last->next) {
        last->next = key_read(bio, true, err);
        if (!last->next) {
            escrow_key_free(first);
            first = NULL;
            break;
        }
    }
    BIO_free(bio);
    return first;
}

void escrow_key_free(struct escrow_key *key)
{
    while (key) {
        struct escrow_key *next = key->next;
        EVP_PKEY_free(key->pkey);
        free(key);
        key = next;
    }
}

static bool point_of(const EVP_PKEY *pkey, unsigned char point[POINT])
{
    size_t size = POINT;
    return EVP_PKEY_get_raw_public_key(pkey, point, &size) == 1 && size == POINT;
}

/* ---- the secret that both sides can make --------------------------------------------------------------------------- */

static bool shared_secret(EVP_PKEY *own, EVP_PKEY *other, unsigned char secret[POINT])
{
    size_t size = POINT;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(own, NULL);
    bool made = context && EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, other) == 1 &&
                EVP_PKEY_derive(context, secret, &size) == 1 && size == POINT;
    EVP_PKEY_CTX_free(context);
    return made;
}

/* AES key and nonce: each shared secret serves one text only, so the nonce may come of it as well. */
static bool keys_of(const unsigned char secret[POINT], const unsigned char salt[2 * POINT],
                    unsigned char keys[KEY + NONCE])
{
    size_t size = KEY + NONCE;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
    bool made = context && EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()) == 1 &&
                EVP_PKEY_CTX_set1_hkdf_salt(context, salt, 2 * POINT) == 1 &&
                EVP_PKEY_CTX_set1_hkdf_key(context, secret, POINT) == 1 &&
                EVP_PKEY_CTX_add1_hkdf_info(context, (const unsigned char *)version, (int)strlen(version)) == 1 &&
                EVP_PKEY_derive(context, keys, &size) == 1 && size == KEY + NONCE;
    EVP_PKEY_CTX_free(context);
    return made;
}

/* `once` is the key made for the text, `lasting` the configured one; whichever half is at hand of each. */
static bool agree(EVP_PKEY *own, EVP_PKEY *other, EVP_PKEY *once, EVP_PKEY *lasting, unsigned char keys[KEY + NONCE])
{
    unsigned char secret[POINT];
    unsigned char salt[2 * POINT];
    bool made = point_of(once, salt) && point_of(lasting, salt + POINT) && shared_secret(own, other, secret) &&
                keys_of(secret, salt, keys);
    OPENSSL_cleanse(secret, sizeof secret);
    return made;
}

/* ---- sealing ------------------------------------------------------------------------------------------------------- */

/* An array: no two places are spelt alike. */
static char *spelt(const struct escrow_place *place)
{
    json_t *list = json_pack("[s, s, s, s, s]", place->offboarding, place->job, place->step,
                             place->account ? place->account : "", place->name);
    char *text = list ? json_text(list) : mem_strdup("");
    json_decref(list);
    return text;
}

static bool encrypt(const unsigned char keys[KEY + NONCE], const char *place, const char *value, unsigned char *out)
{
    int len = (int)strlen(value);
    int size = 0;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool made = context && EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, keys, keys + KEY) == 1 &&
                EVP_EncryptUpdate(context, NULL, &size, (const unsigned char *)place, (int)strlen(place)) == 1 &&
                EVP_EncryptUpdate(context, out, &size, (const unsigned char *)value, len) == 1 && size == len &&
                EVP_EncryptFinal_ex(context, out + len, &size) == 1 && size == 0 &&
                EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG, out + len) == 1;
    EVP_CIPHER_CTX_free(context);
    return made;
}

static bool decrypt(const unsigned char keys[KEY + NONCE], const char *place, unsigned char *in, int len, char *value)
{
    int size = 0;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool opened = context && EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, keys, keys + KEY) == 1 &&
                  EVP_DecryptUpdate(context, NULL, &size, (const unsigned char *)place, (int)strlen(place)) == 1 &&
                  EVP_DecryptUpdate(context, (unsigned char *)value, &size, in, len) == 1 && size == len &&
                  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG, in + len) == 1 &&
                  EVP_DecryptFinal_ex(context, (unsigned char *)value + len, &size) == 1;
    EVP_CIPHER_CTX_free(context);
    return opened;
}

char *escrow_seal(const struct escrow_key *key, const struct escrow_place *place, const char *value, struct err *err)
{
    size_t len = strlen(value);
    if (len == 0 || len > VALUE_MAX) {
        err_set(err, ERR_PERMANENT, "a value of 1 to %d bytes can be sealed, this one has %zu", VALUE_MAX, len);
        return NULL;
    }
    unsigned char keys[KEY + NONCE];
    size_t size = POINT + len + TAG;
    unsigned char *bytes = mem_alloc(size);
    char *bound = spelt(place);
    EVP_PKEY *once = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    bool made = once && *bound && point_of(once, bytes) && agree(once, key->pkey, once, key->pkey, keys) &&
                encrypt(keys, bound, value, bytes + POINT);
    EVP_PKEY_free(once);
    OPENSSL_cleanse(keys, sizeof keys);
    ERR_clear_error();
    char *text = NULL;
    if (made) {
        text = mem_alloc(sizeof version + (size + 2) / 3 * 4);
        memcpy(text, version, sizeof version);
        EVP_EncodeBlock((unsigned char *)text + strlen(version), bytes, (int)size);
    } else {
        err_set(err, ERR_PERMANENT, "libcrypto could not seal it");
    }
    free(bytes);
    free(bound);
    return text;
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

/* Bytes of a sealed text; -1 when it is none. The caller frees. */
static int read_sealed(const char *sealed, unsigned char **bytes)
{
    size_t head = strlen(version);
    size_t len = strncmp(sealed, version, head) == 0 ? strlen(sealed + head) : 0;
    if (len == 0 || len % 4 != 0 || len > 2 * (POINT + VALUE_MAX + TAG)) {
        return -1;
    }
    *bytes = mem_alloc(len / 4 * 3);
    int size = EVP_DecodeBlock(*bytes, (const unsigned char *)sealed + head, (int)len);
    for (size_t i = len; size > 0 && i > len - 2 && sealed[head + i - 1] == '='; i--) {
        size--; /* padding is decoded to zeros */
    }
    if (size <= POINT + TAG) {
        free(*bytes);
        return -1;
    }
    return size;
}

char *escrow_open(const struct escrow_key *key, const struct escrow_place *place, const char *sealed, struct err *err)
{
    unsigned char *bytes;
    int size = read_sealed(sealed, &bytes);
    if (size < 0) {
        err_set(err, ERR_PERMANENT, "it is no sealed value");
        return NULL;
    }
    unsigned char keys[KEY + NONCE];
    int len = size - POINT - TAG;
    char *value = mem_alloc((size_t)len + 1);
    char *bound = spelt(place);
    EVP_PKEY *once = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, bytes, POINT);
    bool opened = false;
    for (; once && key && !opened; key = key->next) {
        opened = agree(key->pkey, once, once, key->pkey, keys) && decrypt(keys, bound, bytes + POINT, len, value);
    }
    EVP_PKEY_free(once);
    OPENSSL_cleanse(keys, sizeof keys);
    ERR_clear_error();
    value[len] = '\0';
    if (!opened) {
        OPENSSL_cleanse(value, (size_t)len);
        free(value);
        value = NULL;
        err_set(err, ERR_PERMANENT, "it was sealed for another job or with another key, or it was altered");
    }
    free(bytes);
    free(bound);
    return value;
}
