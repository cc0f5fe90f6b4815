/* Values that nobody may read but who has a reason: sealed with a public key by the worker, opened with the private one by
 * the edge, on record in between (schema/messages.md, `job.before`).
 *
 * A sealed text is "offboard-escrow-1:" and the base64 of: the public half of an X25519 key made for this one text (32
 * bytes), the ciphertext, its tag (16 bytes). Key and nonce of the AES-256-GCM are HKDF-SHA256 of the shared secret (RFC 7748,
 * RFC 5869), salted with both public keys. What the text belongs to is authenticated with it: another job's text doesn't
 * open. */
#ifndef OFFBOARD_LIB_ESCROW_H
#define OFFBOARD_LIB_ESCROW_H

#include "lib/err.h"

struct escrow_key;

/* Reads a key of `openssl genpkey -algorithm X25519`, its public or its private half, in PEM. NULL with an ERR_PERMANENT.
 * Private keys may be several, one behind the other: escrow_open() tries each, so that what was sealed for an earlier key
 * opens, too. */
struct escrow_key *escrow_public_key(const char *pem, struct err *err);
struct escrow_key *escrow_private_key(const char *pem, struct err *err);
void escrow_key_free(struct escrow_key *key); /* NULL is accepted */

/* What a value belongs to. */
struct escrow_place {
    const char *offboarding; /* ids */
    const char *job;
    const char *step;
    const char *account; /* "": none */
    const char *name;    /* of the value */
};

/* The caller frees both (and wipes what was opened). NULL with an ERR_PERMANENT; its text tells nothing of the value. */
char *escrow_seal(const struct escrow_key *key, const struct escrow_place *place, const char *value, struct err *err);
char *escrow_open(const struct escrow_key *key, const struct escrow_place *place, const char *sealed, struct err *err);

#endif
