/* JSON web tokens that say who we are, signed with our own RSA key (RFC 7519; RS256: RFC 7518, 3.3). */
#ifndef OFFBOARD_LIB_JWT_H
#define OFFBOARD_LIB_JWT_H

#include <jansson.h>

#include "lib/err.h"

struct jwt_key;

/* An RSA key of at least 2,048 bits from PEM (PKCS#8, as in Google's key files, or PKCS#1; no passphrase). NULL with an
 * ERR_PERMANENT whose text holds nothing of the key. */
struct jwt_key *jwt_key_read(const char *pem, struct err *err);
void jwt_key_free(struct jwt_key *key); /* NULL is accepted */

/* The compact form, header.claims.signature. `key_id` (NULL: none) becomes the header's `kid`. The caller frees; it is a
 * secret as long as the claims hold. NULL with an ERR_PERMANENT. */
char *jwt_sign(const struct jwt_key *key, const char *key_id, const json_t *claims, struct err *err);

#endif
