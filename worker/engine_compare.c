#include "worker/engine_compare.h"

#include <ctype.h>
#include <string.h>

#include "lib/mem.h"
#include "worker/engine_paths.h"

struct looking {
    const struct run *run;
    const char *text;
    struct comparison found;
};

/* Does the text go on with something that has a meaning for null? */
static bool means_null(const char *rest)
{
    static const char *const words[] = {"== null", "==null", "!= null", "!=null", "| length", "|length"};
    rest += strspn(rest, " )");
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strncmp(rest, words[i], strlen(words[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* Does the expression say what null means for this path, by the last name of it? */
static bool bears_null(const char *text, const struct expr_path *path)
{
    const char *name = path->count ? expr_path_name(path, path->count - 1) : NULL;
    for (const char *at = name ? strstr(text, name) : NULL; at; at = strstr(at + 1, name)) {
        const char *rest = at + strlen(name);
        rest += strncmp(rest, "\"]", 2) == 0 ? 2 : 0;
        if (at > text && (at[-1] == '.' || at[-1] == '"') && means_null(rest)) {
            return true;
        }
    }
    return false;
}

static bool is_number_text(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && *text && text[strspn(text, "0123456789")] == '\0';
}

static void look_at_path(const struct expr_path *path, void *arg)
{
    struct looking *looking = arg;
    struct comparison *found = &looking->found;
    const json_t *value;
    enum reach reach = path_follow(looking->run->context, path, &value);
    bool body = path_named(path, 0, "body");
    if (path->iterated || (body && path->count == 1)) { /* a list, or an object that says something */
        found->absent = found->absent || !(json_is_array(value) || (!path->iterated && json_object_size(value)));
        return;
    }
    found->absent = found->absent || reach == REACH_ABSENT;
    found->null = found->null || (reach == REACH_NULL && !bears_null(looking->text, path));
    found->texts = found->texts || (is_number_text(value) && !strstr(looking->text, "tonumber"));
}

struct comparison compare_look(const struct run *run, const json_t *predicate)
{
    const char *text = json_string_value(predicate);
    struct looking looking = {.run = run, .text = text};
    if (text && strpbrk(text, "<>") && !strstr(text, "//")) {
        expr_paths(text, look_at_path, &looking);
    }
    return looking.found;
}

/* Does the predicate ask whether something is true, or not false, that the answer does not have? */
static bool asks_absent(const struct run *run, const json_t *predicate)
{
    static const char *const words[] = {"== true", "==true", "!= false", "!=false"};
    const char *text = json_string_value(predicate);
    struct looking looking = {.run = run, .text = text};
    bool asks = false;
    for (size_t i = 0; text && i < COUNT_OF(words); i++) {
        asks = asks || strstr(text, words[i]);
    }
    if (asks && !strstr(text, "//")) {
        expr_paths(text, look_at_path, &looking);
    }
    return looking.found.absent;
}

const char *compare_doubt(const struct run *run, const json_t *predicate, bool is_null)
{
    struct comparison found = compare_look(run, predicate);
    return found.absent || found.null ? "the answer lacks the numbers that \"more\" compares"
           : found.texts ? "\"more\" compares numbers that the vendor writes as texts (the connector needs `tonumber`)"
           : is_null || asks_absent(run, predicate)
               ? "the answer lacks what \"more\" reads (if that means no, the connector needs `// false`)"
               : NULL;
}
