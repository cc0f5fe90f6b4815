#include "worker/engine_told.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_paths.h"

static bool is_name(const char *name, const char *const *names)
{
    for (; *names; names++) {
        if (strcasecmp(name, *names) == 0) {
            return true;
        }
    }
    return false;
}

/* Something is said: neither null, false, 0, nor empty. */
static bool says_something(const json_t *value)
{
    return json_is_true(value) || json_string_length(value) || json_array_size(value) || json_object_size(value) ||
           (json_is_number(value) && json_number_value(value) != 0);
}

static bool says_no(const json_t *value)
{
    const char *text = json_string_value(value);
    return json_is_false(value) || (json_is_number(value) && json_number_value(value) == 0) ||
           (text && (strcasecmp(text, "false") == 0 || strcasecmp(text, "no") == 0));
}

/* 400 to 599, as a number or as a text. */
static bool is_error_code(const json_t *value)
{
    const char *text = json_string_value(value);
    double code = json_is_number(value) ? json_number_value(value) : text && strlen(text) == 3 ? strtod(text, NULL) : 0;
    return code >= 400 && code < 600;
}

static bool explains_itself(const json_t *body)
{
    static const char *const words[] = {"message", "detail", "title", "error_description", "reason"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (json_string_length(json_object_get(body, words[i]))) {
            return true;
        }
    }
    return false;
}

/* JSend, RFC 9457, and what is like them: a status that is an error, and a sentence beside it. */
static bool is_error_status(const json_t *body, const json_t *status)
{
    const char *word = json_string_value(status);
    bool told = json_object_size(body) == 1 || explains_itself(body) || json_object_get(body, "data");
    return told &&
           (is_error_code(status) || (word && (strcasecmp(word, "error") == 0 || strcasecmp(word, "fail") == 0)));
}

static bool tells(const json_t *body, const char *name, const json_t *value)
{
    static const char *const errors[] = {
        "error",          "errors",       "fault",         "faults",    "exception", "errorMessages",
        "error_messages", "errorMessage", "error_message", "timed_out", NULL};
    static const char *const good[] = {"ok", "success", NULL};
    static const char *const codes[] = {"status", "code", "statusCode", "error_code", "errorCode", NULL};
    return (is_name(name, errors) && says_something(value)) || (is_name(name, good) && says_no(value)) ||
           (is_name(name, codes) && is_error_status(body, value));
}

const char *told_error(const json_t *body)
{
    const json_t *schemas = json_object_get(body, "schemas"); /* RFC 7644, 3.12 */
    const char *schema = json_string_value(json_array_get(schemas, 0));
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        if (tells(body, name, value)) {
            return name;
        }
    }
    return schema && strcmp(schema, "urn:ietf:params:scim:api:messages:2.0:Error") == 0 ? "schemas" : NULL;
}

bool told_error_read(const json_t *body, const json_t *predicate)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        if (tells(body, name, value) && paths_read(predicate, "body", name)) {
            return true;
        }
    }
    return false;
}
