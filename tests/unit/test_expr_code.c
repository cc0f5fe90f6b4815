/* What expressions give without jq is what jq gives: a table of expressions that need no jq, and random ones. */
#include "lib/expr_code.h"
#include "lib/expr_guard.h"
#include "lib/expr_jq.h"
#include "tests/unit/expressions.h"

static const char context_text[] =
    "{\"s\": \"Ada@Example.com\", \"t\": \"a,b,,c,\", \"e\": \"\", \"u\": \"\\u00e9\\ud83d\\ude00x\", \"n\": 7, \"m\": "
    "-3, \"f\": 2.5, \"z\": 0,"
    " \"whole\": 4.0, \"yes\": true, \"no\": false, \"nil\": null, \"digits\": \"0042\", \"number\": \"17\","
    " \"l\": [3, 1, 2, 3, null, \"x\", [1], {\"a\": 1}], \"names\": [\"b\", \"A\", \"a\", \"b\"], \"empty\": [], "
    "\"o\": {\"b\": 2, \"a\": {\"id\": 7}, \"c\": [1]},"
    " \"none\": {}, \"users\": [{\"id\": 1, \"name\": \"Kim\", \"ok\": true, \"tags\": [\"x\", \"y\"]}, {\"id\": 2, "
    "\"name\": null, \"ok\": false},"
    " {\"id\": \"1\", \"name\": \"Bo\", \"ok\": true, \"tags\": []}]}";

static int setup(void **state)
{
    return expressions_start(state, context_text);
}

/* ---- the two ways ---------------------------------------------------------------------------------------------------------- */

/* The value without jq, as JSON; NULL: jq has to. The caller frees. */
static char *without_jq(const char *expression, json_t *context)
{
    struct expr_node *tree = expr_parse(expression, NULL);
    struct expr_code *code = tree ? expr_code_new(tree) : NULL;
    json_t *value = code ? expr_code_value(code, context) : NULL;
    char *text = value ? json_canonical(value) : NULL;
    json_decref(value);
    expr_code_free(code);
    expr_node_free(tree);
    return text;
}

/* By jq, as the expression `index` of a program. */
static char *with_jq(struct jq_program *program, size_t index, const json_t *context)
{
    struct err err = ERR_INIT;
    json_t *value = jq_program_run(program, index, NULL, context, &err);
    char *text = value ? json_canonical(value) : mem_printf("error: %s", err_text(&err));
    json_decref(value);
    err_release(&err);
    return text;
}

static struct jq_program *program_of(char *const *expressions, size_t count)
{
    char **guarded = mem_alloc((count + 1) * sizeof *guarded);
    for (size_t i = 0; i < count; i++) {
        struct expr_node *tree = expr_parse(expressions[i], NULL);
        assert_non_null(tree);
        guarded[i] = expr_guarded(expressions[i], tree);
        expr_node_free(tree);
    }
    struct err err = ERR_INIT;
    struct jq_program *program = jq_program_new((const char *const *)guarded, count, &err);
    err_release(&err);
    for (size_t i = 0; i < count; i++) {
        free(guarded[i]);
    }
    free(guarded);
    return program;
}

/* ---- a table --------------------------------------------------------------------------------------------------------------- */

/* Each is done without jq. */
static const char *const plain[] = {
    ".s // \"x\"",
    ".nil // .no // .n",
    "(.nil // .no) == null",
    ".n == 7 and .s != null",
    ".n < 8 or .s > 3",
    ".n + 1 == 8 and .n * 2 - 4 >= 10",
    "-.m",
    ".n / 2",
    "1 + 2 * 3 - 4 / 2",
    ".s + \"!\"",
    ".names + [\"z\"] - [\"b\"]",
    ".o + {z: 1, b: 3}",
    ".nil + .n",
    "[.users[] | select(.ok) | .id]",
    "[.users[] | .tags[]?]",
    "[.users[] | select(.name != null) | {id, name, of: (.tags // [])}]",
    ".users | map(.id | tostring) | join(\"; \")",
    ".users | any(.[]; .name == \"Bo\")",
    ".users | all(.id != null)",
    "[.users[].ok] | all",
    "any(.users[].id; . == 2)",
    ".n | IN(1, 7, 9)",
    ".s | ascii_downcase | split(\"@\") | .[1]",
    ".t | split(\",\")",
    ".e | split(\",\")",
    ".t | ltrimstr(\"a,\") | rtrimstr(\",\")",
    ".s | startswith(\"Ada\") and endswith(\".com\")",
    ".s | contains(\"@\")",
    ".l | contains([3, [1]])",
    ".o | contains({a: {id: 7}})",
    ".o | has(\"b\") and (has(\"x\") | not)",
    ".o | keys",
    ".u | length",
    "[.l, .o, .nil, .e] | map(length)",
    "[.l[], .o, .yes] | map(type)",
    ".l | unique",
    ".names | sort",
    ".users | sort_by(.id) | map(.id)",
    ".users | unique_by(.ok) | map(.id)",
    "[.n, .m] | add",
    "[] | add",
    ".names | first + last",
    ".number | tonumber + 1",
    ".f | floor",
    "if .n > 5 then \"many\" elif .n > 1 then \"some\" else \"one\" end",
    ".n as $n | .users | map(select(.id == $n)) | length == 0",
    ".users as $all | [$all[] | .id as $id | {$id, all: ($all | length)}]",
    "\"\\(.n) of \\(.yes): \\(.s) \\(.nil)\"",
    ".l[0], .l[-1] | select(type == \"number\")",
    ".l[1:3]",
    ".s[:3]",
    ".u[1:]",
    ".nil[2:]",
    ".o[\"a\"].id",
    ".o.a[\"i\" + \"d\"]",
    ".o.x.y?.z",
    ".s.x? // \"none\"",
    "[.l[] | strings, numbers]",
    "[.l[] | arrays, objects, nulls]",
    "[.l[] | values] | length",
    "empty",
    "[.l[] | empty]",
    "true, false | select(. == false)",
    "null",
    "{a: 1, \"b c\": .n, d: .s | length}",
};

static void test_most_needs_no_jq(void **state)
{
    struct expressions *expressions = *state;
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        char *expression = (char *)(uintptr_t)plain[i];
        struct jq_program *program = program_of(&expression, 1);
        char *ours = without_jq(plain[i], expressions->context), *theirs = with_jq(program, 0, expressions->context);
        if (!ours || strcmp(ours, theirs) != 0) {
            fail_msg("%s gives %s, and %s with jq", plain[i], ours ? ours : "nothing", theirs);
        }
        free(ours);
        free(theirs);
        jq_program_free(program);
    }
}

/* jq refuses them: they are not done without it either. */
static void test_the_grammar_is_jqs(void **state)
{
    static const char *const refused[] = {
        "(.n)? as $v | $v", "(.l)?[0]",        "if .n then .l else [] end[]",  "{a: .n // 1}",
        "{a: (.n)?}",       ".n == 1 == true", "{a: if .n then 1 else 2 end}", "{if: 1, then}"};
    struct expressions *expressions = *state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        char *expression = (char *)(uintptr_t)refused[i];
        struct jq_program *program = program_of(&expression, 1);
        char *value = without_jq(refused[i], expressions->context);
        if (program || value) {
            fail_msg("%s is taken%s%s", refused[i], program ? " by jq" : "", value ? " without jq" : "");
        }
    }
}

/* An error is jq's to tell; so is a number that jq writes in a way of its own, and several values. */
static void test_the_rest_is_left_to_jq(void **state)
{
    static const char *const left[] = {".s + 1",
                                       ".big",
                                       "[.big] | map(. + 1)",
                                       ".f | tostring",
                                       ".users[].id",
                                       ".s | test(\"A\")",
                                       ".n / 0",
                                       ".o[0]",
                                       ".digits | tonumber",
                                       "error(\"x\")",
                                       "try error(\"x\") catch .",
                                       "(.n // 1) | error(\"x\")",
                                       "[.n] == [.n] == true",
                                       "$nobody",
                                       ".users | any(.id | error)"};
    struct expressions *expressions = *state;
    json_object_set_new(expressions->context, "big", json_integer(9007199254740993));
    for (size_t i = 0; i < COUNT_OF(left); i++) {
        char *value = without_jq(left[i], expressions->context);
        if (value) {
            fail_msg("%s gives %s without jq", left[i], value);
        }
    }
    assert_error(expressions, ".s + 1", "cannot be added");
    assert_error(expressions, ".users[].id", "several values");
    assert_value(expressions, ".big | tostring", "\"9007199254740993\"");
    assert_value(expressions, "[.whole]", "[4]");
}

/* What would run for long is left to jq, which is stopped. */
static void test_a_long_evaluation_ends(void **state)
{
    json_t *context = json_object(), *many = json_array();
    (void)state;
    for (int i = 0; i < 3000; i++) {
        json_array_append_new(many, json_integer(i));
    }
    json_object_set_new(context, "many", many);
    assert_null(without_jq(".many as $m | [.many[] | . as $a | $m[] | select(. == $a + 1)] | length", context));
    assert_null(without_jq(".many - (.many | map(. + 1)) | length", context));
    json_decref(context);
}

/* ---- random ones ----------------------------------------------------------------------------------------------------------- */

enum { TOGETHER = 128, ROUNDS = 24 };

static uint64_t seed = 1;

static size_t below(size_t limit)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(seed >> 33) % limit;
}

static void write_expression(struct buf *out, int depth);

/* Writes `form`; each % is an expression, each $ a name. */
static void write_form(struct buf *out, const char *form, int depth)
{
    static const char *const names[] = {"s",    "t",     "e",   "u",      "n",      "m",    "f",     "z",     "whole",
                                        "yes",  "no",    "nil", "digits", "number", "l",    "names", "empty", "o",
                                        "none", "users", "a",   "id",     "name",   "tags", "x"};
    for (; *form; form++) {
        if (*form == '%') {
            write_expression(out, depth - 1);
        } else if (*form == '$' && form[1] != 'v') {
            buf_adds(out, names[below(COUNT_OF(names))]);
        } else {
            buf_add(out, form, 1);
        }
    }
}

static void write_expression(struct buf *out, int depth)
{
    static const char *const leaves[] = {".",         ".$",     ".$",   ".$",    ".$.$",   ".$[]?", ".$[0]",
                                         ".users[]",  ".l[]",   "1",    "\"a\"", "\"b\"",  "null",  "true",
                                         "false",     "[]",     "{}",   "7",     ".$[-1]", ".$?",   "empty",
                                         ".users[0]", ".$[1:]", ".o[]", "2.5"};
    static const char *const forms[] = {
        "(% // %)",
        "(% == %)",
        "(% != %)",
        "(% < %)",
        "(% >= %)",
        "(% and %)",
        "(% or %)",
        "(% + %)",
        "(% - %)",
        "(% * 2)",
        "(% | %)",
        "(%, %)",
        "[%]",
        "[% | %]",
        "{a: (%), b: (%)}",
        "(if % then % else % end)",
        "(% as $v | %)",
        "(% | $v? // .)",
        "(% | tostring)",
        "(% | length)",
        "(% | type)",
        "(% | not)",
        "(% | select(%))",
        "(% | map(%))",
        "[%[]?]",
        "(% | any(%))",
        "(% | all(%))",
        "any(%; %)",
        "(% | IN(%))",
        "(% | keys)",
        "(% | add)",
        "(% | unique)",
        "(% | sort)",
        "(% | sort_by(%))",
        "(% | unique_by(%))",
        "(% | first)",
        "(% | last)",
        "(% | join(\",\"))",
        "(% | split(\",\"))",
        "(% | contains(%))",
        "(% | startswith(\"a\"))",
        "(% | ltrimstr(%))",
        "(% | has(\"a\"))",
        "(% | tonumber)",
        "(% | ascii_downcase)",
        "\"x\\(%)y\"",
        "(% | .[0])",
        "(% | .$)",
        "(% | .$?)",
        "(% | strings)",
        "(% | arrays)",
        "(% | values)",
        "(% | floor)",
        "((%)?)",
        "-%",
        "(% | .[%])",
        "[%, %]",
        "(% | .[:2])",
        "(% | error)",
        "(% | all)",
    };
    const char *form = depth <= 0 || below(4) == 0 ? leaves[below(COUNT_OF(leaves))] : forms[below(COUNT_OF(forms))];
    if (strstr(form, "as $v")) {
        buf_adds(out, "(");
        write_expression(out, depth - 1);
        buf_adds(out, " as $v | ");
        write_form(out, below(2) ? "[$v, %])" : "(% | . == $v))", depth);
        return;
    }
    write_form(out, strstr(form, "$v") ? "(% | .$)" : form, depth);
}

static char *expression_new(void)
{
    struct buf out = BUF_INIT;
    write_expression(&out, 4);
    return buf_take(&out);
}

/* Those that jq takes: the others are taken out of the list. */
static struct jq_program *compiled(char **list, size_t *count)
{
    struct jq_program *program = program_of(list, *count);
    for (size_t i = 0; !program && i < *count;) {
        struct jq_program *alone = program_of(&list[i], 1);
        if (alone) {
            i++;
        } else {
            struct expr_node *tree = expr_parse(list[i], NULL);
            struct expr_code *code = expr_code_new(tree);
            if (code) {
                fail_msg("jq refuses %s, which is done without it", list[i]);
            }
            expr_node_free(tree);
            free(list[i]);
            list[i] = list[--*count];
        }
        jq_program_free(alone);
    }
    return program ? program : program_of(list, *count);
}

static void test_random_expressions(void **state)
{
    struct expressions *expressions = *state;
    size_t same = 0, all = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char *list[TOGETHER];
        size_t count = TOGETHER;
        for (size_t i = 0; i < count; i++) {
            list[i] = expression_new();
        }
        struct jq_program *program = compiled(list, &count);
        for (size_t i = 0; i < count; i++) {
            char *ours = without_jq(list[i], expressions->context);
            char *theirs = ours ? with_jq(program, i, expressions->context) : NULL;
            if (ours && strcmp(ours, theirs) != 0) {
                fail_msg("%s gives %s, and %s with jq", list[i], ours, theirs);
            }
            same += ours != NULL;
            all++;
            free(ours);
            free(theirs);
            free(list[i]);
        }
        jq_program_free(program);
    }
    assert_true(same > all / 10);
    print_message("%zu of %zu were done without jq\n", same, all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_most_needs_no_jq, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_the_grammar_is_jqs, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_the_rest_is_left_to_jq, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_a_long_evaluation_ends, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_random_expressions, setup, expressions_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
