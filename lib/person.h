/* By what a person is known: the one list of keys for whoever compares people or cancels them. */
#ifndef OFFBOARD_LIB_PERSON_H
#define OFFBOARD_LIB_PERSON_H

#include <jansson.h>

/* Every key of the person of an offboarding object, each once: e-mail and aliases in lower case, "id:<employee id>"; of somebody
 * with neither e-mail nor employee id the accounts that the event names, "<system>:<account>" (beside those an account is no key: it
 * may be shared). A new array. */
json_t *person_keys(const json_t *offboarding);

/* The key as offboard.control and orders write it: an employee id stands there without "id:". Borrowed from `key`. */
const char *person_control_name(const char *key);

/* What somebody has written for a person, as offboard.control has it: an e-mail in lower case, with its domain as people read it (münchen.de), an employee id or an account as it is. The
 * caller frees; NULL gives NULL. */
char *person_control_key(const char *written);

#endif
