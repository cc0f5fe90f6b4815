/* What is written to a directory and read from one: filters, names, values. Pure but for memory. */
#ifndef OFFBOARD_WORKER_LDAP_TEXT_H
#define OFFBOARD_WORKER_LDAP_TEXT_H

#include <jansson.h>
#include <ldap.h>
#include <stdbool.h>

#include "lib/buf.h"
#include "lib/err.h"

/* A value within a filter (RFC 4515, 3): it can neither end its assertion nor be a wildcard. */
void ldap_filter_escape(struct buf *out, const char *value);

/* A value within a name (RFC 4514, 2.4): it can neither begin another attribute nor another level. */
void ldap_dn_escape(struct buf *out, const char *value);

/* The first level of a name, as it is written there, and what follows it. The caller frees both; "" where there is none. */
void ldap_dn_split(const char *dn, char **rdn, char **parent);

/* An RFC 4516 URL for the record: easy to read, so only what would break it is encoded. `filter` NULL: none. The caller frees. */
char *ldap_url(const char *server, const char *dn, const char *scope, const char *filter);

/* Values as the connector writes them: a text, a number, true or false (TRUE, FALSE), {utf16: text} (UTF-16LE), {base64: text}, or
 * a list of these; null is no value. NULL-terminated, for ldap_values_free(); NULL with an ERR_PERMANENT. */
struct berval **ldap_values(const json_t *value, struct err *err);
void ldap_values_free(
    struct berval **values); /* overwritten first: there may be passwords among them; NULL is accepted */

/* A value read, as JSON: text; base64 where it is no UTF-8 or holds a NUL; with `hex` two digits a byte. */
json_t *ldap_value_read(const struct berval *value, bool hex);

/* How an attribute that the server calls `name` was asked for in `wanted` (a list of texts, NULL: all): names know no case, and
 * expressions do. Borrowed. */
const char *ldap_name_wanted(const char *name, const json_t *wanted);

/* Did the server give only a part of the values ("member;range=0-1499")? */
bool ldap_name_partial(const char *name);

/* What a result code means (RFC 4511, appendix A), unless the request says otherwise. */
enum ldap_meaning { LDAP_MEANS_DONE, LDAP_MEANS_LATER, LDAP_MEANS_DENIED, LDAP_MEANS_REFUSED };
enum ldap_meaning ldap_meaning(int code);

#endif
