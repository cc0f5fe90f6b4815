/* What is checked of a connector's credentials. */
#ifndef OFFBOARD_LIB_DEFINITION_AUTH_H
#define OFFBOARD_LIB_DEFINITION_AUTH_H

#include "lib/definition_check.h"

/* The connector's `auth`: one kind, with its members. */
void check_auth(struct check *check, const json_t *auth);

/* A request's `as`: whom a service account acts for, and with which scopes. */
void check_as(struct check *check, const char *pointer, const json_t *request);

#endif
