#include "lib/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/mem.h"

const char *request_header(const struct request *request, const char *name)
{
    char *lower = json_lower(name);
    const char *value = json_string_value(json_object_get(request->headers, lower));
    free(lower);
    return value;
}

bool request_add_header(json_t *headers, const char *name, const char *value)
{
    char *lower = json_lower(name);
    const char *before = json_string_value(json_object_get(headers, lower));
    char *joined = before ? mem_printf("%s, %s", before, value) : NULL;
    bool added = json_object_set_new(headers, lower, json_string(joined ? joined : value)) == 0;
    free(joined);
    free(lower);
    return added;
}

/* Length of a media type without its parameters. */
static size_t type_len(const char *type)
{
    return strcspn(type, "; \t");
}

bool request_is_type(const struct request *request, const char *type)
{
    const char *given = request_header(request, "content-type");
    return given && type_len(given) == strlen(type) && strncasecmp(given, type, strlen(type)) == 0;
}

bool request_type_is_json(const char *type)
{
    static const char *const ends[] = {"/json", "+json"};
    size_t len = type_len(type);
    bool json = false;
    for (size_t i = 0; i < COUNT_OF(ends) && len > strlen(ends[i]); i++) {
        json = json || strncasecmp(type + len - strlen(ends[i]), ends[i], strlen(ends[i])) == 0;
    }
    return json;
}

int request_check_coding(const struct request *request, struct err *err)
{
    const char *coding = request_header(request, "content-encoding");
    return coding && *coding && strcasecmp(coding, "identity") != 0
               ? err_set(err, ERR_PERMANENT, "Content-Encoding: send the body as it is, not as %.40s", coding)
               : 0;
}

bool request_is_json(const struct request *request)
{
    const char *type = request_header(request, "content-type");
    return type && request_type_is_json(type);
}
