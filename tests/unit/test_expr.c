/* Expressions: values and texts, what is refused and why, what is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/expr.h"
#include "lib/json.h"
#include "lib/mem.h"

static const char context_text[] = "{\"user\": {\"email\": \"ada@example.com\", \"name\": \"Ada\", \"country\": "
                                   "\"CA\", \"age\": 36, \"big\": 9007199254740993,"
                                   "  \"tags\": [\"a\", \"b\"], \"first-name\": \"A\", \"nick\": null, \"none\": \"\"},"
                                   " \"settings\": {\"token\": \"s3\", \"on\": true}, \"status\": 404,"
                                   " \"body\": {\"active\": \"False\", \"items\": [{\"id\": 1, \"ok\": true}, {\"id\": "
                                   "2, \"ok\": false}], \"huge\": 1e300}}";

struct fixture {
    struct expr_set *set;
    json_t *context;
};

static int setup(void **state)
{
    struct fixture *fixture = MEM_NEW(struct fixture);
    fixture->set = expr_set_new();
    fixture->context = json_parse(context_text, strlen(context_text), NULL);
    *state = fixture;
    return fixture->context ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    expr_set_free(fixture->set);
    json_decref(fixture->context);
    free(fixture);
    return 0;
}

/* The value of a template given as JSON text, as JSON text; "error: …" when it has none. */
static char *value_of(struct fixture *fixture, const char *tmpl)
{
    struct err err = ERR_INIT;
    json_t *parsed = json_parse(tmpl, strlen(tmpl), &err);
    assert_non_null(parsed);
    json_t *value = expr_render(fixture->set, parsed, fixture->context, &err);
    char *text = value ? json_canonical(value) : mem_printf("error: %s", err_text(&err));
    json_decref(parsed);
    json_decref(value);
    err_release(&err);
    return text;
}

static void assert_value(struct fixture *fixture, const char *tmpl, const char *expected)
{
    char *value = value_of(fixture, tmpl);
    assert_string_equal(value, expected);
    free(value);
}

static void assert_error(struct fixture *fixture, const char *tmpl, const char *part)
{
    char *value = value_of(fixture, tmpl);
    if (strncmp(value, "error: ", 7) != 0 || !strstr(value, part)) {
        fail_msg("%s gives %s, not an error with \"%s\"", tmpl, value, part);
    }
    free(value);
}

static void test_values_keep_their_type(void **state)
{
    struct fixture *fixture = *state;
    assert_value(fixture, "\"plain $ { text }\"", "\"plain $ { text }\"");
    assert_value(fixture, "\"${ .user.email }\"", "\"ada@example.com\"");
    assert_value(fixture, "\"${.user.age}\"", "36");
    assert_value(fixture, "\"${ .user.tags }\"", "[\"a\",\"b\"]");
    assert_value(fixture, "\"${ .user[\\\"first-name\\\"] }\"", "\"A\"");
    assert_value(fixture, "\"${ .user.nobody.at.all }\"", "null");
    assert_value(fixture, "\"${ empty }\"", "null");
    assert_value(fixture, "\"${ .user.age + 1 }\"", "37");
    assert_value(fixture, "\"${ .user.age / 8 }\"", "4.5");
    assert_value(fixture, "{\"a\": [\"${ .status }\", 1, true], \"b\": \"x-${ .user.name }-${ .settings.on }\"}",
                 "{\"a\":[404,1,true],\"b\":\"x-Ada-true\"}");
    assert_value(fixture, "\"cost $${ .user }: $5\"", "\"cost ${ .user }: $5\"");
}

/* jq computes with doubles: an integer it would round travels as text. */
static void test_big_integers_stay_exact(void **state)
{
    struct fixture *fixture = *state;
    assert_value(fixture, "\"${ .user.big }\"", "\"9007199254740993\"");
    assert_value(fixture, "\"${ [.user.big] }\"", "[\"9007199254740993\"]");
    json_object_set_new(json_object_get(fixture->context, "user"), "native", json_integer(9007199254740993));
    assert_value(fixture, "\"${ [.user.native] }\"", "[\"9007199254740993\"]");
}

static void test_jq_evaluates(void **state)
{
    struct fixture *fixture = *state;
    assert_value(fixture, "\"${ .user.nick // .user.name }\"", "\"Ada\"");
    assert_value(fixture, "\"${ .user.country | IN(\\\"US\\\", \\\"CA\\\") }\"", "true");
    assert_value(fixture, "\"${ [.body.items[] | select(.ok) | .id] }\"", "[1]");
    assert_value(fixture, "\"${ .status as $s | .body.items | map(.id + $s) | add }\"", "811");
    assert_value(fixture, "\"${ if .status == 404 then \\\"gone\\\" elif .settings.on then 1 else 2 end }\"",
                 "\"gone\"");
    assert_value(fixture, "\"${ .body.active | tostring | ascii_downcase == \\\"false\\\" }\"", "true");
    assert_value(fixture, "\"${ \\\"eq \\\\(.user.email | tojson)\\\" }\"", "\"eq \\\"ada@example.com\\\"\"");
    assert_value(fixture, "\"${ .user.email | split(\\\"@\\\") | last }\"", "\"example.com\"");
    assert_value(fixture, "\"${ {email: .user.email, (.user.name): 1} | keys }\"", "[\"Ada\",\"email\"]");
    assert_value(fixture, "\"${ .user.name | @base64 }\"", "\"QWRh\"");
    assert_value(fixture, "\"${ .user.email | test(\\\"(?i)@EXAMPLE\\\") }\"", "true");
    assert_value(fixture, "\"${ .user.name | sub(\\\"(?<x>d)\\\"; \\\"<\\\\(.x)>\\\") }\"", "\"A<d>a\"");
    assert_value(fixture, "\"${ 0 | todate }\"", "\"1970-01-01T00:00:00Z\"");
    assert_value(fixture, "\"${ .user.email | index(\\\"@\\\") }\"", "3");
    assert_error(fixture, "\"${ .body.items[].id }\"", "several values");
    assert_error(fixture, "\"${ .user.name | tonumber }\"", "in ${ .user.name | tonumber }");
    assert_error(fixture, "\"${ .user.email.host }\"", "no object");
}

static void test_texts(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    char *text = expr_text(fixture->set, "SSWS ${ .settings.token } ${ .status }", fixture->context, &err);
    assert_string_equal(text, "SSWS s3 404");
    free(text);
    assert_null(expr_text(fixture->set, "a ${ .user.nick }", fixture->context, &err));
    assert_non_null(strstr(err_text(&err), "null can't stand within a text"));
    assert_null(expr_text(fixture->set, "${ .user.tags }", fixture->context, &err));
    assert_non_null(strstr(err_text(&err), "a list"));
    err_release(&err);
    assert_error(fixture, "\"hello ${ .user.nick }\"", "null");
}

static bool predicate(struct fixture *fixture, const char *text, bool otherwise)
{
    json_t *tmpl = text ? json_string(text) : NULL;
    bool result = expr_true(fixture->set, tmpl, fixture->context, otherwise);
    json_decref(tmpl);
    return result;
}

static void test_predicates(void **state)
{
    struct fixture *fixture = *state;
    assert_true(predicate(fixture, NULL, true));
    assert_false(predicate(fixture, NULL, false));
    assert_true(predicate(fixture, "${ .status == 404 }", false));
    assert_false(predicate(fixture, "${ .status == 200 }", true));
    assert_false(predicate(fixture, "${ .user.nick }", true));
    assert_true(predicate(fixture, "${ .user.age }", false));
    assert_false(predicate(fixture, "${ .user.name | tonumber > 1 }", true)); /* an error is false */
    assert_true(expr_true(fixture->set, json_true(), fixture->context, false));
    assert_false(expr_true(fixture->set, json_false(), fixture->context, true));
}

/* ---- refused ------------------------------------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *text;
        const char *why;
    } refused[] = {
        {"${ env.HOME }", "\"env\" is not allowed"},
        {"${ $ENV.HOME }", "\"$ENV\" is not allowed"},
        {"${ $__prog_args }", "is not allowed"},
        {"${ {a: env} }", "\"env\" is not allowed"},
        {"${ \"x\\(env)\" }", "\"env\" is not allowed"},
        {"${ [.a, input] }", "\"input\" is not allowed"},
        {"${ range(1e9) }", "\"range\" is not allowed"},
        {"${ repeat(1) }", "\"repeat\" is not allowed"},
        {"${ [.[] | recurse] }", "\"recurse\" is not allowed"},
        {"${ until(false; .) }", "\"until\" is not allowed"},
        {"${ while(true; .) }", "\"while\" is not allowed"},
        {"${ limit(1; .) }", "\"limit\" is not allowed"},
        {"${ reduce .[] as $x (0; .) }", "\"reduce\" is not allowed"},
        {"${ def f: f; f }", "\"def\" is not allowed"},
        {"${ import \"x\" as x; 1 }", "\"import\" is not allowed"},
        {"${ include \"x\"; 1 }", "\"include\" is not allowed"},
        {"${ gsub(\"\"; \"x\") }", "\"gsub\" is not allowed in an expression; did you mean \"sub\"?"},
        {"${ now }", "\"now\" is not allowed"},
        {"${ halt_error }", "is not allowed"},
        {"${ .a | lenght }", "did you mean \"length\"?"},
        {"${ \"x\" * 1000000000 }", "\"*\" is not allowed"},
        {"${ .a % -1 }", "\"%\" is not allowed"},
        {"${ .a[1000000000] = 1 }", "assignments are not allowed"},
        {"${ .a |= 1 }", "assignments are not allowed"},
        {"${ .a //= 1 }", "assignments are not allowed"},
        {"${ .a # note }", "comment"},
        {"${ sub(\"\"; \"x\"; \"g\") }", "no flags"},
        {"${ match(\"\"; \"g\") }", "no flags"},
        {"${ test(\"a\"; .b) }", "no flags"},
        {"${ split(\"\"; null) }", "one argument"},
        {"${ @evil }", "no format \"@evil\""},
        {"${ }", "empty"},
        {"${ (.a }", "not closed"},
        {"${ .a) }", "closes nothing"},
        {"${ .a + }", "ends too early"},
        {"${ .a", "put the whole value in quotes"},
        {"a ${ \"}", "put the whole value in quotes"},
    };
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(expr_check(fixture->set, refused[i].text, &err), -1);
        if (!strstr(err_text(&err), refused[i].why)) {
            fail_msg("%s: %s", refused[i].text, err_text(&err));
        }
        assert_int_equal(err.class, ERR_PERMANENT);
        err_release(&err);
    }
}

/* Names that are keys, fields or texts are no functions. */
static void test_names_that_are_no_functions(void **state)
{
    struct fixture *fixture = *state;
    static const char *const allowed[] = {
        "${ .env }",       "${ .a.input }",          "${ {env: 1, range: .a} }", "${ \"env range\" }",
        "${ .[\"env\"] }", "${ {\"a\": {def: 1}} }", "${ .a == .b or .c != 1 }", "${ .a <= 1 and .b >= 2 }",
    };
    for (size_t i = 0; i < COUNT_OF(allowed); i++) {
        struct err err = ERR_INIT;
        if (expr_check(fixture->set, allowed[i], &err) != 0) {
            fail_msg("%s: %s", allowed[i], err_text(&err));
        }
    }
}

/* Each stage doubles: thirty of them would be a billion times the input. */
static void test_growth_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    static const char *const stages[] = {".+.", "[.,.]", "\"\\(.)\\(.)\"", "tojson", "@json", "join(.)"};
    for (size_t i = 0; i < COUNT_OF(stages); i++) {
        struct buf text = BUF_INIT;
        buf_adds(&text, "${ .a");
        for (int n = 0; n < 30; n++) {
            buf_addf(&text, " | %s", stages[i]);
        }
        buf_adds(&text, " }");
        struct err err = ERR_INIT;
        assert_int_equal(expr_check(fixture->set, buf_text(&text), &err), -1);
        assert_non_null(strstr(err_text(&err), "eat memory"));
        err_release(&err);
        buf_release(&text);
    }
    struct buf wide = BUF_INIT;
    for (int n = 0; n < 100; n++) {
        buf_addf(&wide, "%sa%d: .b%d", n ? ", " : "${ {", n, n);
    }
    buf_adds(&wide, "} }");
    assert_int_equal(expr_check(fixture->set, buf_text(&wide), NULL), 0);
    buf_release(&wide);
}

/* What jq 1.6 answers with an endless loop or an abort must be an error or null here, whatever the data. */
static void test_dangerous_input(void **state)
{
    struct fixture *fixture = *state;
    assert_value(fixture, "\"${ .user.none as $n | .user.name | index($n) }\"", "null");
    assert_value(fixture, "\"${ .user.none as $n | .user.email | [rindex($n), indices($n)] }\"", "[null,null]");
    assert_error(fixture, "\"${ .body.huge | todate }\"", "no such time");
    assert_error(fixture, "\"${ -.body.huge | strftime(\\\"%Y\\\") }\"", "no such time");
    assert_error(fixture, "\"${ .status as $s | 0 | strftime($s) }\"", "must be a text");
    assert_error(fixture, "\"${ .user.name | test([\\\"\\\", \\\"g\\\"]) }\"", "must be a text");
    assert_error(fixture, "\"${ .user.name | [match([\\\"\\\", \\\"g\\\"])] }\"", "must be a text");
    assert_error(fixture, "\"${ .user.name | sub([\\\"\\\", \\\"g\\\"]; \\\"x\\\") }\"", "must be a text");
}

/* ---- compiled together ------------------------------------------------------------------------------------------------- */

static void test_compiled_together(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    for (int i = 0; i < 200; i++) {
        char *text = mem_printf("${ .user.age + %d }", i);
        assert_int_equal(expr_check(fixture->set, text, &err), 0);
        free(text);
    }
    assert_int_equal(expr_set_compile(fixture->set, &err), 0);
    for (int i = 0; i < 200; i++) {
        char *text = mem_printf("${ .user.age + %d }", i);
        char *value = expr_text(fixture->set, text, fixture->context, &err);
        char *expected = mem_printf("%d", 36 + i);
        assert_string_equal(value, expected);
        free(expected);
        free(value);
        free(text);
    }
}

static void test_compile_names_the_wrong_one(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    assert_int_equal(expr_check(fixture->set, "${ .user.age + 1 }", &err), 0);
    assert_int_equal(expr_check(fixture->set, "${ .user.age + $nobody }", &err), 0); /* the tokens are fine */
    assert_int_equal(expr_set_compile(fixture->set, &err), -1);
    assert_non_null(strstr(err_text(&err), "in ${ .user.age + $nobody }"));
    err_release(&err);
}

/* Texts come with jobs; what was forgotten is made again. */
static void test_more_texts_than_room(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 9000; i++) {
        char *tmpl = mem_printf("\"${ .user.age }-%d\"", i);
        char *expected = mem_printf("\"36-%d\"", i);
        assert_value(fixture, tmpl, expected);
        free(expected);
        free(tmpl);
    }
    assert_value(fixture, "\"${ .user.age }-0\"", "\"36-0\"");
}

/* ---- what is read ------------------------------------------------------------------------------------------------------- */

static void test_ends(void **state)
{
    (void)state;
    const char *text = "${ {a: \"}\"} } rest";
    assert_string_equal(expr_end(text), " rest");
    assert_string_equal(expr_end("${ open"), "");
    assert_true(expr_has(text));
    assert_false(expr_has("$ { }"));
    assert_false(expr_has(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values_keep_their_type, setup, teardown),
        cmocka_unit_test_setup_teardown(test_big_integers_stay_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jq_evaluates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_predicates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_are_no_functions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_growth_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dangerous_input, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compiled_together, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compile_names_the_wrong_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_texts_than_room, setup, teardown),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
