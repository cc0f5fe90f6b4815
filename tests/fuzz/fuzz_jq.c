/* lib/expr_allow.h, lib/expr_jq.h, lib/expr_paths.h: one expression. What the allow-list passes ends soon, whatever the values are; and where
 * only the members that an expression names are handed to jq, the result is as with all of them. The first line is the expression, the
 * rest the body as JSON. */
#include "lib/expr_allow.h"
#include "lib/expr_code.h"
#include "lib/expr_guard.h"
#include "lib/expr_jq.h"
#include "lib/expr_node.h"
#include "lib/expr_paths.h"
#include "tests/fuzz/fuzz.h"

static json_t *context_with(const char *body_text)
{
    json_t *body = json_parse(body_text, strlen(body_text), NULL);
    json_t *context = json_pack("{s:{s:s, s:[s, s], s:i}, s:{s:s}, s:{}, s:i, s:n}", "user", "email",
                                "jane@example.com", "emails", "a@example.com", "b@example.com", "age", 42, "settings",
                                "domain", "example.com", "saved", "status", 200, "item");
    json_object_set_new(context, "body", body ? body : json_string(body_text));
    return context;
}

static void check_plain_path(const struct expr_node *tree, const json_t *context, const json_t *value)
{
    struct expr_path path;
    if (expr_paths_plain(tree, &path)) {
        json_t *found = expr_path_value(&path, context);
        FUZZ_CHECK(!value || json_equal(found, value));
        json_decref(found);
        free((void *)(uintptr_t)path.segments);
    }
}

struct members {
    json_t *reads; /* of the context, by name */
    bool whole;    /* it reads all of it */
};

static void note_member(const struct expr_path *path, void *arg)
{
    struct members *members = arg;
    const char *name = expr_path_name(path, 0);
    members->whole = members->whole || !path->count;
    if (name) {
        json_object_set_new(members->reads, name, json_true());
    }
}

static void run(const char *expression, const struct expr_node *tree, const char *body)
{
    struct err err = ERR_INIT, all_err = ERR_INIT;
    char *guarded = expr_guarded(expression, tree);
    const char *const programs[] = {guarded};
    struct jq_program *program = jq_program_new(programs, 1, NULL);
    free(guarded);
    struct expr_code *code = expr_code_new(tree);
    FUZZ_CHECK(program || !code); /* definitions are not read by jq again when it is not needed */
    expr_code_free(code);
    if (!program) {
        return;
    }
    struct members members = {.reads = json_object()};
    expr_paths_of(tree, note_member, &members);
    json_t *context = context_with(body);
    json_t *before = json_deep_copy(context);
    json_t *value = jq_program_run(program, 0, members.whole ? NULL : members.reads, context, &err);
    json_t *with_all = jq_program_run(program, 0, NULL, context, &all_err);
    FUZZ_CHECK((value != NULL) == (with_all != NULL));
    FUZZ_CHECK(!value || json_equal(value, with_all));
    FUZZ_CHECK(value || err.class == ERR_PERMANENT);
    FUZZ_CHECK(json_equal(context, before));
    check_plain_path(tree, context, value);
    err_release(&err), err_release(&all_err);
    json_decref(members.reads), json_decref(with_all), json_decref(value), json_decref(before), json_decref(context);
    jq_program_free(program);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *expression = fuzz_line(&input), *body = fuzz_text(&input);
    struct err err = ERR_INIT;
    struct expr_node *tree = expr_parse(expression, &err);
    FUZZ_CHECK(tree || err.class == ERR_PERMANENT);
    if (tree && expr_allowed(tree, NULL) == 0) {
        run(expression, tree, body);
    }
    expr_node_free(tree);
    err_release(&err);
    free(body);
    free(expression);
    return 0;
}
