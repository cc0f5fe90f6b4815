/* Credentials that are exchanged for access tokens, or that requests are signed with: what a connector's `auth` says, read
 * once when the engine starts, and what is sent to the token endpoint. */
#ifndef OFFBOARD_WORKER_CREDENTIALS_H
#define OFFBOARD_WORKER_CREDENTIALS_H

#include <jansson.h>

#include "lib/err.h"
#include "lib/jwt.h"
#include "worker/engine_internal.h"

enum credentials_kind { CLIENT_CREDENTIALS, SERVICE_ACCOUNT, ACCOUNT_CREDENTIALS, SIGNATURE };

struct credentials {
    enum credentials_kind kind;
    const char *name;       /* of the kind, as in a connector */
    const json_t *declared; /* borrowed from the connector */
    char *url;              /* where tokens are given */
    char *id;               /* of a service account its e-mail */
    char *secret;
    char *account;
    char *user; /* basic auth; NULL: the form holds id and secret */
    char *password;
    char *subject;  /* NULL: for itself */
    json_t *scopes; /* what is asked for unless a request says otherwise */
    json_t *params;
    char *key_id; /* NULL: none */
    struct jwt_key *key;
    unsigned char *hmac_key; /* of signatures */
    size_t hmac_key_len;
};

/* Reads `auth` of the system's connector into system->credentials (NULL: it needs neither), and has what is secret of it
 * masked. ERR_FATAL names the setting that is missing or wrong, and never what it holds. */
int credentials_load(struct system *system, struct err *err);
void credentials_free(struct credentials *credentials); /* NULL is accepted */

/* grants.c: the form of a token request, for the caller to free; it holds secrets. `*assertion` gets what of it is no secret
 * of the credentials but made for it (NULL: nothing), for the caller to free. `subject` NULL: for itself. NULL with an err. */
char *credentials_form(const struct credentials *credentials, const char *subject, const json_t *scopes,
                       char **assertion, struct err *err);

#endif
