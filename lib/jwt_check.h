/* Requests whose sender signs a JSON web token (RFC 7519), with keys that it publishes as a JWK set (RFC 7517): the word `jwt` of a
 * source. The token stands in a header, or it is the body (RFC 8935, security event tokens). */
#ifndef OFFBOARD_LIB_JWT_CHECK_H
#define OFFBOARD_LIB_JWT_CHECK_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/err.h"
#include "lib/signature.h"

/* Checks the token that `jwt` (the word, its expressions filled in) asks for against `keys`, a JWK set (NULL: it is not known
 * yet): RS256 and ES256, the age, the claims, the body's hash. SIGNATURE_UNKNOWN_KEY when no key among
 * them has signed the token: the sender may have a new one. On SIGNATURE_GOOD `*claims` is a new reference to what the token says. The err (ERR_PERMANENT) says why not. */
enum signature_verdict jwt_check(const json_t *jwt, const json_t *keys, const struct signature_request *request,
                                 json_t **claims, struct err *err);

/* What a token says, whoever signed it: to be shown, and never to be trusted. NULL: it is no token. New reference. */
json_t *jwt_claims_of(const char *text, size_t len);

/* A JWK set as its address answers it; NULL with an ERR_PERMANENT when there is no key in it that could be used. */
json_t *jwt_keys_parse(const char *text, size_t len, struct err *err);

/* May keys be fetched from there? By https, or from this machine. */
bool jwt_address_safe(const char *url);

#endif
