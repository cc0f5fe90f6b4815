/* Seals personal data with the key of its offboarding. Deleting the key erases every copy of the data, in Kafka and in backups.
 *
 * Sealed bytes are "OBS1", a random IV (16 bytes), AES-256-CBC with PKCS#7 padding of the text, and HMAC-SHA256 (32 bytes) of subject,
 * "OBS1", IV and ciphertext. Both keys come from the offboarding's: HMAC-SHA256(key, "offboard seal") encrypts, HMAC-SHA256(key,
 * "offboard sign") signs. The subject is the offboarding's id in lower case, so what was sealed for one offboarding does not open as
 * another's. PostgreSQL's pgcrypto opens the same bytes (it has no GCM). */
#ifndef OFFBOARD_LIB_SEAL_H
#define OFFBOARD_LIB_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"

enum { SEAL_KEY_SIZE = 32, SEAL_DIGEST_HEX_SIZE = 65 };

/* The content-type of a record whose value is sealed. */
#define SEAL_CONTENT_TYPE "application/vnd.offboard.sealed"

/* Makes a new key. -1 with an ERR_FATAL when the system gives no random bytes. */
int seal_key_new(unsigned char key[SEAL_KEY_SIZE], struct err *err);
void seal_key_wipe(unsigned char key[SEAL_KEY_SIZE]);

/* HMAC-SHA256 of a text, in hexadecimal: with the key of digests that by which PostgreSQL finds a person (person_digests()). -1 with an
 * ERR_FATAL when libcrypto fails. */
int seal_digest(const unsigned char key[SEAL_KEY_SIZE], const char *text, char out[SEAL_DIGEST_HEX_SIZE],
                struct err *err);

/* Do these bytes say that they are sealed? JSON never does. */
bool seal_is(const void *value, size_t len);

/* The caller frees. NULL with an ERR_FATAL when libcrypto fails. */
unsigned char *seal_make(const unsigned char key[SEAL_KEY_SIZE], const char *subject, const void *text, size_t len,
                         size_t *sealed_len, struct err *err);

/* The text with a NUL behind it, which `*len` does not count; the caller frees. The signature is checked, in constant time, before
 * anything is decrypted. NULL with an ERR_PERMANENT when the bytes are not sealed, were sealed
 * with another key or for another subject, or were changed. */
char *seal_open(const unsigned char key[SEAL_KEY_SIZE], const char *subject, const void *sealed, size_t sealed_len,
                size_t *len, struct err *err);

#endif
