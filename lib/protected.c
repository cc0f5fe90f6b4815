#include "lib/protected.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fold.h"
#include "lib/identity.h"
#include "lib/json.h"
#include "lib/mem.h"

bool protected_name(const struct conf *conf, const char *name)
{
    bool found = false;
    bool number = name && *name && !name[strspn(name, "0123456789")];
    for (size_t i = 0; name && *name && i < conf_list_size(conf, "guards.protected"); i++) {
        const char *item = conf_list_item(conf, "guards.protected", i);
        found = found || fold_same(item, name) || (number && identity_same_number(item, name));
    }
    return found;
}

static bool account_listed(const struct conf *conf, const json_t *given_ids)
{
    bool found = false;
    const char *system;
    json_t *accounts, *account;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)given_ids, system, accounts)
    {
        json_array_foreach(accounts, i, account)
        {
            char *name = mem_printf("%s:%s", system, json_string_value(account));
            found = found || protected_name(conf, name);
            free(name);
        }
    }
    return found;
}

bool protected_person(const struct conf *conf, const json_t *offboarding)
{
    const json_t *user = json_object_get(offboarding, "user");
    bool found = protected_name(conf, json_string_at(user, "email")) ||
                 protected_name(conf, json_string_at(user, "employee_id")) ||
                 account_listed(conf, json_object_get(offboarding, "given_ids"));
    size_t i;
    json_t *alias;
    json_array_foreach(json_object_get(user, "emails"), i, alias)
    {
        found = found || protected_name(conf, json_string_value(alias));
    }
    return found;
}
