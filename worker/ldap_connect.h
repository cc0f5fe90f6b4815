/* The way to a directory: a TCP connection, made by libcurl as for HTTP, and TLS over it.
 *
 * libldap could connect too, but only by blocking: it resolves names within a call, under one lock for all threads. Its TLS
 * handshake is one call as well (ldap_install_tls()) and has a thread of its own for that time; everything after it is asynchronous. */
#ifndef OFFBOARD_WORKER_LDAP_CONNECT_H
#define OFFBOARD_WORKER_LDAP_CONNECT_H

#include <ldap.h>

#include "worker/await.h"
#include "worker/http.h"

/* How a step ended. */
struct ldap_outcome {
    int code;              /* LDAP's; negative: libldap's own, nobody answered */
    char *message;         /* owned; what the server or libldap says of it */
    enum http_fault fault; /* of a negative code; else HTTP_FAULT_NONE */
    bool aborted;          /* by http_abort() */
};

/* Replaces it by a code of libldap's, with the text that `ld` (NULL: there is none) has for it. */
void ldap_outcome_take(struct ldap_outcome *outcome, LDAP *ld, int code);

/* Replaces it by one for which there was no answer. `message` is taken over. */
void ldap_outcome_lose(struct ldap_outcome *outcome, int code, enum http_fault fault, char *message);

/* A wait that was in vain: the deadline, an abort. */
void ldap_outcome_give_up(struct ldap_outcome *outcome, enum await_outcome why);

/* A connection in the clear to the server that `url` (ldap: or ldaps:) names; its descriptor does not block. On a fiber; `*flight`
 * names it meanwhile. NULL with the outcome. */
LDAP *ldap_reach(struct http *http, const char *url, int64_t timeout, struct flight **flight,
                 struct ldap_outcome *outcome);

/* The TLS handshake; `ca_file` NULL: the system's. False with the outcome; `*ld` is NULL then if it was left to the thread. */
bool ldap_secure(struct await *await, LDAP **ld, const char *ca_file, struct ldap_outcome *outcome);

#endif
