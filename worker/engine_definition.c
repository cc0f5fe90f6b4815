/* What a connector says of a request. */
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_internal.h"

const char *ldap_method(const json_t *ldap)
{
    return json_object_get(ldap, "modify")   ? "MODIFY"
           : json_object_get(ldap, "rename") ? "RENAME"
           : json_object_get(ldap, "delete") ? "DELETE"
                                             : "SEARCH";
}

static const struct {
    const char *key;
    const char *method;
} methods[] = {{"get", "GET"},       {"post", "POST"}, {"put", "PUT"},  {"patch", "PATCH"},
               {"delete", "DELETE"}, {"head", "HEAD"}, {"mail", "MAIL"}};

const char *request_method(const json_t *request, const json_t **path)
{
    *path = request_ldap(request);
    if (*path) {
        return ldap_method(*path);
    }
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        *path = json_object_get(request, methods[i].key);
        if (*path) {
            return methods[i].method;
        }
    }
    return "GET";
}

bool request_changes(const json_t *request)
{
    const json_t *changes = json_object_get(request, "changes");
    const json_t *path;
    const char *method = request_method(request, &path);
    return changes ? json_is_true(changes)
                   : strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "SEARCH") != 0;
}
