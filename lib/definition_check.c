#include "lib/definition_check.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/nearest.h"
#include "lib/time.h"

static int line_of(const struct definition *definition, const char *pointer)
{
    char *at = mem_strdup(pointer);
    int line = 0;
    while (line == 0) {
        line = (int)json_integer_value(json_object_get(definition->lines, at));
        char *slash = strrchr(at, '/');
        if (!slash) {
            break;
        }
        *slash = '\0';
    }
    free(at);
    return line ? line : 1;
}

static void add(struct check *check, const char *pointer, bool warning, const char *format, va_list args)
{
    struct definition_problems *problems = check->problems;
    problems->items = mem_realloc(problems->items, (problems->count + 1) * sizeof *problems->items);
    problems->items[problems->count++] = (struct definition_problem){
        .file = mem_strdup(check->definition->file),
        .line = line_of(check->definition, pointer),
        .warning = warning,
        .text = mem_vprintf(format, args),
    };
}

void check_problem(struct check *check, const char *pointer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(check, pointer, false, format, args);
    va_end(args);
}

void check_warning(struct check *check, const char *pointer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(check, pointer, true, format, args);
    va_end(args);
}

char *check_hint(const char *wrong, const char *const *right, size_t count)
{
    const char *near = nearest_name(wrong, right, count);
    return near ? mem_printf("; did you mean \"%s\"?", near) : mem_strdup("");
}

char *check_hint_keys(const char *wrong, const json_t *object)
{
    size_t count = 0;
    const char **names = mem_alloc((json_object_size(object) + 1) * sizeof *names);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        names[count++] = key;
    }
    char *hint = check_hint(wrong, names, count);
    free(names);
    return hint;
}

/* Calls `each` for every text within `value` that holds an expression. */
static void each_text(struct check *check, const char *pointer, const json_t *value,
                      void (*each)(struct check *, const char *, const char *, void *), void *arg)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_string(value) && expr_has(json_string_value(value))) {
        each(check, pointer, json_string_value(value), arg);
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        char *at = mem_printf("%s/%s", pointer, key);
        each_text(check, at, member, each, arg);
        free(at);
    }
    json_array_foreach(value, i, member)
    {
        char *at = mem_printf("%s/%zu", pointer, i);
        each_text(check, at, member, each, arg);
        free(at);
    }
}

static void check_text(struct check *check, const char *pointer, const char *text, void *arg)
{
    (void)arg;
    struct err err = ERR_INIT;
    if (expr_check(check->exprs, text, &err) != 0) {
        check_problem(check, pointer, "%s", err_text(&err));
    }
    err_release(&err);
}

void check_expressions(struct check *check, const char *pointer, const json_t *value)
{
    each_text(check, pointer, value, check_text, NULL);
}

static void name_refused(struct check *check, const char *pointer, const char *text, void *arg)
{
    (void)arg;
    const char *why = expr_set_refused(check->exprs, text);
    if (why) {
        check_problem(check, pointer, "%s", why);
    }
}

void check_refused(struct check *check, const char *pointer, const json_t *value)
{
    each_text(check, pointer, value, name_refused, NULL);
}

/* ---- what expressions read --------------------------------------------------------------------------------------------- */

struct reading {
    struct check *check;
    const char *pointer;
    check_path_fn *each;
    void *arg;
};

static void read_path(const struct expr_path *path, void *arg)
{
    struct reading *reading = arg;
    reading->each(reading->check, reading->pointer, path, reading->arg);
}

static void read_text(struct check *check, const char *pointer, const char *text, void *arg)
{
    struct reading *reading = arg;
    reading->check = check;
    reading->pointer = pointer;
    expr_set_paths(check->exprs, text, read_path, reading);
}

void check_paths(struct check *check, const char *pointer, const json_t *value, check_path_fn *each, void *arg)
{
    struct reading reading = {.each = each, .arg = arg};
    each_text(check, pointer, value, read_text, &reading);
}

const char *check_path_member(const struct expr_path *path, const char *owner)
{
    size_t depth = 1;
    for (const char *at = owner; *at; at++) {
        depth += *at == '.';
    }
    return expr_path_within(path, owner) ? expr_path_name(path, depth) : NULL;
}

void check_member(struct check *check, const char *pointer, const struct expr_path *path, size_t i,
                  const char *const *members, size_t count)
{
    const char *name = expr_path_name(path, i);
    bool known = !name;
    for (size_t j = 0; j < count; j++) {
        known = known || strcmp(members[j], name) == 0;
    }
    if (!known) {
        char *hint = check_hint(name, members, count);
        check_problem(check, pointer, "there is no .%s here%s", name, hint);
        free(hint);
    }
}

/* ---- values of keys ---------------------------------------------------------------------------------------------------- */

static const char *wanted(enum check_kind kind)
{
    static const char *const names[] = {
        [CHECK_ANY] = "anything",
        [CHECK_TEXT] = "a text",
        [CHECK_NAME] = "a name: letters, digits, \"-\" and \"_\"",
        [CHECK_TEMPLATE] = "a text",
        [CHECK_PREDICATE] = "an expression \"${ … }\" in quotes, or true or false",
        [CHECK_DURATION] = "a duration with its unit (30s, 6h, 90d)",
        [CHECK_BOOL] = "true or false",
        [CHECK_COUNT] = "a whole number above 0",
        [CHECK_MAP] = "a map",
        [CHECK_LIST] = "a list",
        [CHECK_TEXTS] = "a list of texts",
    };
    return names[kind];
}

static bool is_name(const json_t *value)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const char *text = json_string_value(value);
    return text && *text && strspn(text, letters) == json_string_length(value);
}

static bool is_expression(const json_t *value)
{
    return json_is_string(value) && expr_has(json_string_value(value));
}

static bool all_texts(const json_t *list)
{
    size_t i;
    json_t *item;
    bool texts = json_is_array(list);
    json_array_foreach(list, i, item)
    {
        texts = texts && json_is_string(item);
    }
    return texts;
}

static bool fits(const json_t *value, enum check_kind kind)
{
    switch (kind) {
    case CHECK_ANY:
        return true;
    case CHECK_TEXT:
    case CHECK_DURATION:
        return json_is_string(value);
    case CHECK_NAME:
        return is_name(value);
    case CHECK_TEMPLATE:
        return json_is_string(value) || json_is_number(value);
    case CHECK_PREDICATE:
        return json_is_boolean(value) || is_expression(value);
    case CHECK_BOOL:
        return json_is_boolean(value);
    case CHECK_COUNT:
        return (json_is_integer(value) && json_integer_value(value) > 0) || is_expression(value);
    case CHECK_MAP:
        return json_is_object(value);
    case CHECK_LIST:
        return json_is_array(value);
    case CHECK_TEXTS:
        return all_texts(value);
    }
    return false;
}

static void check_value(struct check *check, const char *pointer, const struct check_key *key, const json_t *value)
{
    static const bool holds_expressions[CHECK_TEXTS + 1] = {
        [CHECK_TEMPLATE] = true, [CHECK_PREDICATE] = true, [CHECK_COUNT] = true};
    if (!fits(value, key->kind)) {
        check_problem(check, pointer, "\"%s\" must be %s", key->name, wanted(key->kind));
        return;
    }
    const char *text = json_string_value(value);
    struct err err = ERR_INIT;
    int64_t duration;
    if (key->kind == CHECK_DURATION && time_parse_duration(text, &duration, &err) != 0) {
        check_problem(check, pointer, "\"%s\": %s", key->name, err_text(&err));
    }
    err_release(&err);
    if (holds_expressions[key->kind]) {
        check_expressions(check, pointer, value);
    }
}

static const struct check_key *find_key(const struct check_key *keys, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].name, name) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

static void unknown_key(struct check *check, const char *pointer, const char *name, const struct check_key *keys,
                        size_t count)
{
    const char **names = mem_alloc((count + 1) * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = keys[i].name;
    }
    char *hint = check_hint(name, names, count);
    check_problem(check, pointer, "there is no \"%s\" here%s", name, hint);
    free(hint);
    free(names);
}

bool check_map(struct check *check, const char *pointer, const json_t *value, const struct check_key *keys,
               size_t count)
{
    if (!json_is_object(value)) {
        check_problem(check, pointer, "this must be a map");
        return false;
    }
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        char *at = mem_printf("%s/%s", pointer, name);
        const struct check_key *key = find_key(keys, count, name);
        if (key) {
            check_value(check, at, key, member);
        } else {
            unknown_key(check, at, name, keys, count);
        }
        free(at);
    }
    for (size_t i = 0; i < count; i++) {
        if (keys[i].required && !json_object_get(value, keys[i].name)) {
            check_problem(check, pointer, "\"%s\" is missing", keys[i].name);
        }
    }
    return true;
}
