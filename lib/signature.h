/* How the sender of an HTTP request proves that it is who it says: `signature` (an HMAC over the body) and `token` (a shared
 * secret in a header) of a definition; `jwt` is lib/jwt_check.h's. docs/sources.md has the words. Knows nothing of HTTP servers: whoever received the
 * request hands over its headers and its body, byte by byte as it came. */
#ifndef OFFBOARD_LIB_SIGNATURE_H
#define OFFBOARD_LIB_SIGNATURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/definition.h"
#include "lib/err.h"

struct signature_request {
    const char *(*header)(const char *name, void *arg); /* value of a header, whatever the case of its name, or NULL */
    void *arg;
    const char *body;
    size_t body_len;
    int64_t now; /* microseconds */
};

enum signature_verdict {
    SIGNATURE_GOOD,
    SIGNATURE_MISSING,     /* a header is not there, or can't be read */
    SIGNATURE_WRONG,       /* no key and no listed signature fit */
    SIGNATURE_STALE,       /* signed too long ago, or too far ahead */
    SIGNATURE_UNKNOWN_KEY, /* no key of the sender's that is known has signed it */
    SIGNATURE_CLOSED,      /* there is no key: nobody can be let in */
};

/* The keys that are valid at once (an array of texts) by the name of their setting; NULL or empty: none. Borrowed. */
typedef const json_t *signature_keys(const char *setting, void *arg);

/* Checks all that `words` (a map with `signature`, `token` or both) asks for; without either it is SIGNATURE_CLOSED. The
 * err (ERR_PERMANENT) says why not, without any part of a key or of a right signature. Comparisons take the same time
 * whatever differs. */
enum signature_verdict signature_check(const json_t *words, signature_keys *keys, void *arg,
                                       const struct signature_request *request, struct err *err);

/* The same as far as the head of a request tells, `jwt` included: a `token` is checked; of a signature the headers must be there. */
enum signature_verdict signature_check_head(const json_t *words, signature_keys *keys, void *arg,
                                            const struct signature_request *request, struct err *err);

/* "good", "missing", …: a metric's label. */
const char *signature_verdict_name(enum signature_verdict verdict);

/* Do `words` say how the sender proves who it is: by `signature`, `token` or `jwt`? */
bool signature_declared(const json_t *words);

/* Is this header one of those that prove something? Such headers are shown to no expression and kept nowhere. */
bool signature_reads(const json_t *words, const char *header);

/* A key as it stands in the configuration, decoded by `key_encoding` and `key_prefix` of `words`.signature, so that a start
 * can refuse one that is none. NULL with an err that doesn't hold it; the caller wipes and frees. */
char *signature_key(const json_t *signature, const char *text, size_t *len, struct err *err);

#endif
