/* lib/expr.h: texts with expressions, as definitions have them, over what vendors say. What is evaluated twice is the same, changes nothing
 * of its input, and is the same as a value, as a text and as a condition. The first line is the text, the rest the body as JSON. */
#include "lib/expr.h"
#include "tests/fuzz/fuzz.h"

/* A path is written as an expression that reads it. */
static void note_path(const struct expr_path *path, void *arg)
{
    (void)arg;
    char *text = expr_path_text(path);
    FUZZ_CHECK(path->count == 0 || *text);
    free(text);
}

static json_t *context_with(json_t *body)
{
    return json_pack("{s:{s:s, s:s?, s:[s, s]}, s:{s:s}, s:O, s:i}", "user", "email", "jane@example.com", "name", NULL,
                     "emails", "a@example.com", "b@example.com", "settings", "domain", "example.com", "body", body,
                     "status", 200);
}

static void check_result(struct expr_set *set, const char *text, json_t *body)
{
    json_t *context = context_with(body);
    json_t *before = json_deep_copy(context);
    json_t *template = json_string(text);
    struct err err = ERR_INIT, again = ERR_INIT;
    json_t *value = expr_render(set, template, context, &err);
    json_t *same = expr_render(set, template, context, &again);
    FUZZ_CHECK((value != NULL) == (err.class == ERR_NONE));
    FUZZ_CHECK(value ? json_equal(value, same) : !same);
    FUZZ_CHECK(json_equal(context, before));
    char *as_text = expr_text(set, text, context, NULL);
    FUZZ_CHECK(!as_text || value);
    FUZZ_CHECK(!as_text || !json_is_string(value) || strcmp(as_text, json_string_value(value)) == 0);
    bool truth = expr_true(set, template, context, true);
    FUZZ_CHECK(value ? truth == !(json_is_null(value) || json_is_false(value)) : !truth);
    free(as_text);
    err_release(&err), err_release(&again);
    json_decref(same), json_decref(value), json_decref(template), json_decref(before), json_decref(context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_line(&input), *body_text = fuzz_text(&input);
    json_t *utf8 = json_string(text); /* as every definition and every job is */
    json_t *body = json_parse(body_text, strlen(body_text), NULL);
    struct expr_set *set = expr_set_new();
    struct err err = ERR_INIT;
    expr_paths(text, note_path, NULL); /* whatever the text is */
    if (utf8 && expr_check(set, text, &err) == 0) {
        if (expr_set_compile(set, NULL) == 0) {
            check_result(set, text, body ? body : json_null());
        }
        FUZZ_CHECK(expr_has(text) || !strstr(text, "${"));
    } else if (utf8) {
        FUZZ_CHECK(err.class == ERR_PERMANENT && strstr(text, "${"));
    }
    err_release(&err);
    expr_set_free(set);
    json_decref(body);
    json_decref(utf8);
    free(body_text);
    free(text);
    return 0;
}
