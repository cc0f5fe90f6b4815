/* What is checked of a request that waits for the outside world. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/definition_request.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

static const struct check_key wait_keys[] = {
    {"signal", CHECK_TEMPLATE, true},  {"key", CHECK_TEMPLATE, true},      {"for", CHECK_TEMPLATE, true},
    {"until", CHECK_PREDICATE, false}, {"failed", CHECK_PREDICATE, false}, {"progress", CHECK_TEMPLATE, false},
    {"otherwise", CHECK_TEXT, false},  {"meanwhile", CHECK_MAP, false},
};

void check_duration_template(struct check *check, const char *pointer, const char *name, const char *text)
{
    int64_t duration;
    if (text && !expr_has(text) && time_parse_duration(text, &duration, NULL) != 0) {
        check_problem(check, pointer, "%s: \"%s\" is no duration, such as 30d or 12h", name, text);
    }
}

void check_wait(struct check *check, const char *pointer, const json_t *request)
{
    static const char *const fits[] = {"wait", "if", "save"};
    const json_t *wait = json_object_get(request, "wait");
    char *at = mem_printf("%s/wait", pointer);
    if (!check_map(check, at, wait, wait_keys, COUNT_OF(wait_keys))) {
        free(at);
        return;
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)request, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < COUNT_OF(fits); i++) {
            known = known || strcmp(key, fits[i]) == 0;
        }
        if (!known) {
            check_problem(check, pointer, "a request with \"wait\" has no \"%s\"", key);
        }
    }
    check_duration_template(check, at, "for", json_string_at(wait, "for"));
    const char *otherwise = json_string_at(wait, "otherwise");
    if (otherwise && strcmp(otherwise, "next") != 0 && strcmp(otherwise, "failed") != 0) {
        check_problem(check, at, "otherwise is \"next\" (the next request) or \"failed\", not \"%s\"", otherwise);
    }
    free(at);
}
