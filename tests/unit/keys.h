/* Keys made for a test. */
#ifndef OFFBOARD_TESTS_UNIT_KEYS_H
#define OFFBOARD_TESTS_UNIT_KEYS_H

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#include "lib/mem.h"

/* PKCS#8 in PEM; encrypted unless `passphrase` is NULL. The caller frees. */
static inline char *key_pem_locked(EVP_PKEY *pkey, const char *passphrase)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const EVP_CIPHER *cipher = passphrase ? EVP_aes_128_cbc() : NULL;
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, cipher, passphrase,
                                                   passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
                     1);
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = mem_strndup(data, (size_t)len);
    BIO_free(bio);
    return text;
}

/* The bytes of base64url without padding; NUL-terminated. The caller frees. */
static inline unsigned char *base64url_decoded(const char *text, size_t text_len, size_t *len)
{
    size_t padded = (text_len + 3) / 4 * 4;
    char *plain = mem_alloc(padded + 1);
    memset(plain, '=', padded);
    for (size_t i = 0; i < text_len; i++) {
        assert_null(strchr("+/=", text[i]));
        plain[i] = (char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    }
    unsigned char *bytes = mem_alloc(padded);
    assert_true(EVP_DecodeBlock(bytes, (unsigned char *)plain, (int)padded) > 0);
    *len = text_len * 3 / 4;
    bytes[*len] = '\0';
    free(plain);
    return bytes;
}

static inline char *key_pem(EVP_PKEY *pkey)
{
    return key_pem_locked(pkey, NULL);
}

static inline char *public_key_pem(EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = mem_strndup(data, (size_t)len);
    BIO_free(bio);
    return text;
}

#endif
