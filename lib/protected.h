/* guards.protected: who may never be offboarded. */
#ifndef OFFBOARD_LIB_PROTECTED_H
#define OFFBOARD_LIB_PROTECTED_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/conf.h"

/* Is it on the list: an address, an employee number (zeros in front do not matter), or "system:id"? NULL is not. */
bool protected_name(const struct conf *conf, const char *name);

/* Is the person of an offboarding on the list, by an address, the employee id, or an account ("system:id") that the event names?
 * Accounts that are found later are the workers' to refuse. */
bool protected_person(const struct conf *conf, const json_t *offboarding);

/* Why such an event is refused. */
#define PROTECTED_WHY "the person, or an account of theirs, is on guards.protected"

#endif
