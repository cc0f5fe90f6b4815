#include "lib/person.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fold.h"
#include "lib/json.h"
#include "lib/mem.h"

#define EMPLOYEE "id:"

/* Takes `key` over; NULL is passed over. */
static void add_key(json_t *keys, char *key)
{
    bool known = !key || !*key;
    size_t i;
    json_t *other;
    json_array_foreach(keys, i, other)
    {
        known = known || strcmp(json_string_value(other), key) == 0;
    }
    if (!known) {
        json_array_append_new(keys, json_string(key));
    }
    free(key);
}

static void add_accounts(json_t *keys, const json_t *given_ids)
{
    const char *system;
    json_t *accounts, *account;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)given_ids, system, accounts)
    {
        json_array_foreach(accounts, i, account)
        {
            add_key(keys, mem_printf("%s:%s", system, json_string_value(account)));
        }
    }
}

json_t *person_keys(const json_t *offboarding)
{
    const json_t *user = json_object_get(offboarding, "user");
    const char *employee = json_string_at(user, "employee_id");
    json_t *keys = json_array();
    add_key(keys, fold_text(json_string_at(user, "email")));
    size_t i;
    json_t *alias;
    json_array_foreach(json_object_get(user, "emails"), i, alias)
    {
        add_key(keys, fold_text(json_string_value(alias)));
    }
    add_key(keys, employee ? mem_printf(EMPLOYEE "%s", employee) : NULL);
    if (!json_string_at(user, "email") && !employee) {
        add_accounts(keys, json_object_get(offboarding, "given_ids"));
    }
    return keys;
}

const char *person_control_name(const char *key)
{
    size_t len = strlen(EMPLOYEE);
    return strncmp(key, EMPLOYEE, len) == 0 ? key + len : key;
}

char *person_control_key(const char *written)
{
    if (!written || !strchr(written, '@')) {
        return mem_strdup(written);
    }
    char *shown = fold_shown(written), *key = fold_text(shown);
    free(shown);
    return key;
}
