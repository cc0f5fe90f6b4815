/* LDAP (RFC 4511) by libldap's asynchronous calls; a call blocks its fiber, not the loop. */
#ifndef OFFBOARD_WORKER_LDAP_CALL_H
#define OFFBOARD_WORKER_LDAP_CALL_H

#include <ldap.h>

#include "worker/http.h"

/* The server's result codes are 0 and more; of them only success is 0. */
enum { LDAP_NO_ANSWER = -1 };

/* What is asked of the server. Everything is owned but for the JSON of others. */
struct ldap_operation {
    enum { LDAP_OP_SEARCH, LDAP_OP_MODIFY, LDAP_OP_RENAME, LDAP_OP_DELETE } kind;
    char *dn;
    int scope; /* of a search: LDAP_SCOPE_… */
    char *filter;
    json_t *attributes; /* names; NULL: all that are for users */
    json_t *hex;        /* those whose values are read as hex digits; NULL: none */
    json_t *without;    /* first parts of names: what lies below them elsewhere need not be searched; NULL: none */
    LDAPMod **changes;  /* of a modify */
    char *newrdn;       /* of a rename */
    char *newsuperior;  /* NULL: where it is */
};

void ldap_operation_release(struct ldap_operation *operation); /* zeroed ones too */

/* One operation on a connection of its own; everything is borrowed until ldap_perform() returns. */
struct ldap_call {
    const char *url;  /* ldap: or ldaps: */
    const char *user; /* a DN (or what else the server takes for one); NULL: nobody logs in */
    const char *password;
    const char *ca_file; /* NULL: the system's */
    int64_t timeout;     /* microseconds, of all of it */
    bool tls;            /* ldap: insist on StartTLS */
    const struct ldap_operation *operation;
};

/* Makes the call; on a fiber, as http_perform(). The status is LDAP's result code, that of the log-in when this fails, and
 * LDAP_NO_ANSWER with a fault and an error when nobody answered. The body of a search is a list of {dn, rdn, parent, attributes:
 * {name: [value]}}; of what was refused, {message}. Referrals are not followed: a search that was referred to another server for a part
 * of the directory ends with LDAP_REFERRAL, unless the part is named in `without`. `sent`: a change was sent. http_abort() takes effect at once, but a TLS handshake goes on by itself for up to ten seconds and keeps the loop from ending. */
void ldap_perform(struct http *http, const struct ldap_call *call, struct flight **flight, struct http_answer *answer);

#endif
