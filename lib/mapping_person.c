/* Who leaves: the user and the accounts that an event names, and the key by which the person is known. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/identity.h"
#include "lib/json.h"
#include "lib/mapping_internal.h"
#include "lib/mem.h"
#include "lib/message.h"

/* Adds one account to `accounts`. */
static int add_account(const struct mapping *mapping, const char *system, const json_t *id, json_t *accounts)
{
    char *field = mem_printf("ids.%s", system);
    json_t *clean = json_is_string(id) ? identity_clean(field, id, mapping->err) : NULL;
    size_t len = json_string_length(clean);
    int result = -1;
    if (json_is_string(id) && !clean) {
        /* the err says why */
    } else if (len == 0 || len > MAPPING_TEXT_MAX) {
        err_set(mapping->err, ERR_PERMANENT, "%s must be a text, or a list of texts, of at most %d characters", field,
                MAPPING_TEXT_MAX);
    } else {
        result = json_array_append(accounts, clean);
    }
    json_decref(clean);
    free(field);
    return result;
}

/* Accounts of one system, as the event names them: a text or a list of texts. NULL with the err. */
static json_t *account_ids(const struct mapping *mapping, const char *system, json_t *value)
{
    json_t *accounts = json_array();
    json_t *given = json_is_array(value)  ? json_incref(value)
                    : json_is_null(value) ? json_array() /* HR does not know it */
                                          : json_pack("[O]", value);
    size_t i;
    json_t *id;
    json_array_foreach(given, i, id)
    {
        if (add_account(mapping, system, id, accounts) != 0) {
            json_decref(accounts);
            accounts = NULL;
            break;
        }
    }
    json_decref(given);
    return accounts;
}

/* An empty list would tell workers "looked up, there is no account", which only a look-up may say: it is left out. */
static int put_ids(const struct mapping *mapping, json_t *offboarding)
{
    json_t *ids = mapping_value(mapping, "ids");
    if (!ids) {
        return -1;
    }
    json_t *all = json_object();
    json_object_set_new(offboarding, "ids", json_object()); /* what was found; nothing yet */
    json_object_set_new(offboarding, "given_ids", all);
    int result = json_is_null(ids) || json_is_object(ids)
                     ? 0
                     : err_set(mapping->err, ERR_PERMANENT, "ids must be an object: {<system>: [<account id>, …]}");
    const char *system;
    json_t *value;
    json_object_foreach(ids, system, value)
    {
        json_t *accounts = result == 0 ? account_ids(mapping, system, value) : NULL;
        if (!accounts) {
            result = -1;
        } else if (json_array_size(accounts) > 0) {
            json_object_set(all, system, accounts);
        }
        json_decref(accounts);
    }
    json_decref(ids);
    result = result == 0 ? mapping_check_size("ids", all, mapping->err) : -1;
    if (json_object_size(all) == 0) {
        json_object_del(offboarding, "given_ids");
    }
    return result;
}

/* The key of somebody of whom the event names accounts only: the first one, by the systems' names. The caller frees. */
static char *person_by_account(const json_t *given_ids)
{
    const char *first = NULL, *system;
    json_t *accounts;
    json_object_foreach((json_t *)(uintptr_t)given_ids, system, accounts)
    {
        first = !first || strcmp(system, first) < 0 ? system : first;
    }
    accounts = first ? json_object_get(given_ids, first) : NULL;
    return first ? mem_printf("%s:%s", first, json_string_value(json_array_get(accounts, 0))) : NULL;
}

int mapping_put_person(const struct mapping *mapping, struct mapped *mapped)
{
    json_t *given = mapping_value(mapping, "user");
    bool none = json_is_null(given);
    json_t *user = none ? json_object() : given ? mapping_user(given, mapping->err) : NULL;
    json_decref(given);
    if (!user) {
        return -1;
    }
    json_put(mapped->offboarding, "user", user);
    if (put_ids(mapping, mapped->offboarding) != 0) {
        return -1;
    }
    mapped->person = message_person_key(user);
    if (!mapped->person) {
        mapped->person = person_by_account(json_object_get(mapped->offboarding, "given_ids"));
    }
    return mapped->person ? 0
           : none         ? err_set(mapping->err, ERR_PERMANENT, "user is missing or no object")
                          : err_set(mapping->err, ERR_PERMANENT,
                                    "user: give email or employee_id, or the person's account in ids");
}
