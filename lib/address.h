/* Addresses of systems, as a configuration gives them. */
#ifndef OFFBOARD_LIB_ADDRESS_H
#define OFFBOARD_LIB_ADDRESS_H

#include <stdbool.h>

/* What is wrong with an address that paths are put behind; NULL: nothing. It must be absolute (http, https, ldap, ldaps, smtp or smtps
 * and a host) and hold no blanks and no credentials. `whole`: nothing is put behind it, so that it may have a query. The sentence
 * does not repeat the address, which may hold a secret. */
const char *address_fault(const char *address, bool whole);

#endif
