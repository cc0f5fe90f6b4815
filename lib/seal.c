#include "lib/seal.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

enum { MAGIC = 4, IV = 16, BLOCK = 16, MAC = 32 };

static const char magic[] = "OBS1";

/* Looked up once: libcrypto takes longer to find them than to use them. */
static struct {
    EVP_CIPHER *cipher;
    EVP_MAC_CTX *mac; /* HMAC-SHA256 without a key; copied for each use */
} crypto;
static pthread_once_t crypto_once = PTHREAD_ONCE_INIT;

static void crypto_open(void)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    crypto.cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    crypto.mac = mac ? EVP_MAC_CTX_new(mac) : NULL;
    if (crypto.mac && EVP_MAC_CTX_set_params(crypto.mac, params) != 1) {
        EVP_MAC_CTX_free(crypto.mac);
        crypto.mac = NULL;
    }
    EVP_MAC_free(mac);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

int seal_key_new(unsigned char key[SEAL_KEY_SIZE], struct err *err)
{
    return RAND_bytes(key, SEAL_KEY_SIZE) == 1 ? 0 : err_set(err, ERR_FATAL, "the system gives no random bytes");
}

void seal_key_wipe(unsigned char key[SEAL_KEY_SIZE])
{
    OPENSSL_cleanse(key, SEAL_KEY_SIZE);
}

struct part {
    const void *bytes;
    size_t len;
};

static bool hmac(const unsigned char key[SEAL_KEY_SIZE], const struct part *parts, size_t count, unsigned char out[MAC])
{
    pthread_once(&crypto_once, crypto_open);
    size_t len = 0;
    EVP_MAC_CTX *context = crypto.mac ? EVP_MAC_CTX_dup(crypto.mac) : NULL;
    bool made = context && EVP_MAC_init(context, key, SEAL_KEY_SIZE, NULL) == 1;
    for (size_t i = 0; made && i < count; i++) {
        made = EVP_MAC_update(context, parts[i].bytes, parts[i].len) == 1;
    }
    made = made && EVP_MAC_final(context, out, &len, MAC) == 1 && len == MAC;
    EVP_MAC_CTX_free(context);
    return made;
}

int seal_digest(const unsigned char key[SEAL_KEY_SIZE], const char *text, char out[SEAL_DIGEST_HEX_SIZE],
                struct err *err)
{
    unsigned char digest[MAC];
    if (!hmac(key, &(struct part){text, strlen(text)}, 1, digest)) {
        return err_set(err, ERR_FATAL, "libcrypto made no digest");
    }
    for (size_t i = 0; i < MAC; i++) {
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
    return 0;
}

static bool derive(const unsigned char key[SEAL_KEY_SIZE], const char *use, unsigned char out[SEAL_KEY_SIZE])
{
    return hmac(key, &(struct part){use, strlen(use)}, 1, out);
}

/* The signature of what stands before it. */
static bool sign(const unsigned char key[SEAL_KEY_SIZE], const char *subject, const unsigned char *sealed, size_t len,
                 unsigned char out[MAC])
{
    unsigned char signing[SEAL_KEY_SIZE];
    bool made = derive(key, "offboard sign", signing) &&
                hmac(signing, (struct part[]){{subject, strlen(subject)}, {sealed, len}}, 2, out);
    seal_key_wipe(signing);
    return made;
}

/* Encrypts or decrypts; `out` has room for a block more. */
static bool transform(const unsigned char key[SEAL_KEY_SIZE], bool encrypts, const unsigned char iv[IV],
                      const void *text, size_t len, unsigned char *out, size_t *out_len)
{
    unsigned char encryption[SEAL_KEY_SIZE];
    int first = 0, rest = 0;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool made = len <= INT_MAX - BLOCK && context && derive(key, "offboard seal", encryption) && crypto.cipher &&
                EVP_CipherInit_ex2(context, crypto.cipher, encryption, iv, encrypts, NULL) == 1 &&
                EVP_CipherUpdate(context, out, &first, text, (int)len) == 1 &&
                EVP_CipherFinal_ex(context, out + first, &rest) == 1;
    *out_len = made ? (size_t)(first + rest) : 0;
    EVP_CIPHER_CTX_free(context);
    seal_key_wipe(encryption);
    return made;
}

/* ---- sealing ----------------------------------------------------------------------------------------------------- */

bool seal_is(const void *value, size_t len)
{
    return value && len >= MAGIC && memcmp(value, magic, MAGIC) == 0;
}

unsigned char *seal_make(const unsigned char key[SEAL_KEY_SIZE], const char *subject, const void *text, size_t len,
                         size_t *sealed_len, struct err *err)
{
    unsigned char *sealed = mem_alloc(MAGIC + IV + len + BLOCK + MAC);
    memcpy(sealed, magic, MAGIC);
    size_t inner = 0;
    if (RAND_bytes(sealed + MAGIC, IV) != 1 ||
        !transform(key, true, sealed + MAGIC, text, len, sealed + MAGIC + IV, &inner) ||
        !sign(key, subject, sealed, MAGIC + IV + inner, sealed + MAGIC + IV + inner)) {
        free(sealed);
        err_set(err, ERR_FATAL, "could not seal a record: libcrypto failed");
        return NULL;
    }
    *sealed_len = MAGIC + IV + inner + MAC;
    return sealed;
}

char *seal_open(const unsigned char key[SEAL_KEY_SIZE], const char *subject, const void *sealed, size_t sealed_len,
                size_t *len, struct err *err)
{
    const unsigned char *bytes = sealed;
    unsigned char expected[MAC];
    if (!seal_is(sealed, sealed_len) || sealed_len < MAGIC + IV + BLOCK + MAC ||
        (sealed_len - MAGIC - IV - MAC) % BLOCK != 0) {
        err_set(err, ERR_PERMANENT, "it is no sealed text");
        return NULL;
    }
    size_t inner = sealed_len - MAGIC - IV - MAC;
    if (!sign(key, subject, bytes, sealed_len - MAC, expected) ||
        CRYPTO_memcmp(expected, bytes + sealed_len - MAC, MAC) != 0) {
        err_set(err, ERR_PERMANENT, "it was sealed with another key or for another offboarding, or it was changed");
        return NULL;
    }
    char *text = mem_alloc(inner + BLOCK + 1);
    size_t text_len = 0;
    if (!transform(key, false, bytes + MAGIC, bytes + MAGIC + IV, inner, (unsigned char *)text, &text_len)) {
        free(text);
        err_set(err, ERR_PERMANENT, "its padding is wrong");
        return NULL;
    }
    text[text_len] = '\0';
    *len = text_len;
    return text;
}
