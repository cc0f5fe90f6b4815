/* Expressions: values and texts; many of them in one set. */
#include <time.h>

#include "tests/unit/expressions.h"

static const char context_text[] = "{\"user\": {\"email\": \"ada@example.com\", \"name\": \"Ada\", \"country\": "
                                   "\"CA\", \"age\": 36, \"big\": 9007199254740993,"
                                   "  \"tags\": [\"a\", \"b\"], \"first-name\": \"A\", \"nick\": null, \"none\": \"\"},"
                                   " \"settings\": {\"token\": \"s3\", \"on\": true}, \"status\": 404,"
                                   " \"body\": {\"active\": \"False\", \"items\": [{\"id\": 1, \"ok\": true}, {\"id\": "
                                   "2, \"ok\": false}], \"huge\": 1e300}}";

static int setup(void **state)
{
    return expressions_start(state, context_text);
}

/* The value of a template given as JSON text, as JSON text. */
static void assert_rendered(struct expressions *expressions, const char *tmpl, const char *expected)
{
    struct err err = ERR_INIT;
    json_t *parsed = json_parse(tmpl, strlen(tmpl), NULL);
    json_t *value = expr_render(expressions->set, parsed, expressions->context, &err);
    char *text = value ? json_canonical(value) : mem_strdup(err_text(&err));
    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
    json_decref(parsed);
    err_release(&err);
}

static void test_values_keep_their_type(void **state)
{
    struct expressions *expressions = *state;
    assert_rendered(expressions, "\"plain $ { text }\"", "\"plain $ { text }\"");
    assert_value(expressions, ".user.email", "\"ada@example.com\"");
    assert_value(expressions, ".user.age", "36");
    assert_value(expressions, ".user.tags", "[\"a\",\"b\"]");
    assert_value(expressions, ".user[\"first-name\"]", "\"A\"");
    assert_value(expressions, ".user.nobody.at.all", "null");
    assert_value(expressions, "empty", "null");
    assert_value(expressions, ".user.age + 1", "37");
    assert_value(expressions, ".user.age / 8", "4.5");
    assert_rendered(expressions, "{\"a\": [\"${ .status }\", 1, true], \"b\": \"x-${ .user.name }-${ .settings.on }\"}",
                    "{\"a\":[404,1,true],\"b\":\"x-Ada-true\"}");
    assert_rendered(expressions, "\"cost $${ .user }: $5\"", "\"cost ${ .user }: $5\"");
}

/* jq computes with doubles: an integer it would round travels as text. */
static void test_big_integers_stay_exact(void **state)
{
    struct expressions *expressions = *state;
    assert_value(expressions, ".user.big", "\"9007199254740993\"");
    assert_value(expressions, "[.user.big]", "[\"9007199254740993\"]");
    json_object_set_new(json_object_get(expressions->context, "user"), "native", json_integer(9007199254740993));
    assert_value(expressions, "[.user.native]", "[\"9007199254740993\"]");
}

static void test_jq_evaluates(void **state)
{
    struct expressions *expressions = *state;
    assert_value(expressions, ".user.nick // .user.name", "\"Ada\"");
    assert_value(expressions, ".user.country | IN(\"US\", \"CA\")", "true");
    assert_value(expressions, "[.body.items[] | select(.ok) | .id]", "[1]");
    assert_value(expressions, ".status as $s | .body.items | map(.id + $s) | add", "811");
    assert_value(expressions, "if .status == 404 then \"gone\" elif .settings.on then 1 else 2 end", "\"gone\"");
    assert_value(expressions, ".body.active | tostring | ascii_downcase == \"false\"", "true");
    assert_value(expressions, "\"eq \\(.user.email | tojson)\"", "\"eq \\\"ada@example.com\\\"\"");
    assert_value(expressions, ".user.email | split(\"@\") | last", "\"example.com\"");
    assert_value(expressions, "{email: .user.email, (.user.name): 1} | keys", "[\"Ada\",\"email\"]");
    assert_value(expressions, ".user.name | @base64", "\"QWRh\"");
    assert_value(expressions, ".user.email | test(\"(?i)@EXAMPLE\")", "true");
    assert_value(expressions, ".user.name | sub(\"(?<x>d)\"; \"<\\(.x)>\")", "\"A<d>a\"");
    assert_value(expressions, "0 | todate", "\"1970-01-01T00:00:00Z\"");
    assert_value(expressions, ".user.email | index(\"@\")", "3");
    assert_error(expressions, ".body.items[].id", "several values");
    assert_error(expressions, ".user.name | tonumber", "in ${ .user.name | tonumber }");
    assert_error(expressions, ".user.email.host", "no object");
}

/* What jq 1.6 has not, does wrong, or takes the square of a list's length for. */
static void test_own_words(void **state)
{
    struct expressions *expressions = *state;
    assert_value(expressions, ".user.age * 2", "72");
    assert_value(expressions, "\"ab\" * 3", "\"ababab\"");
    assert_value(expressions, "{a: {b: 1, c: 2}} * {a: {b: 3}}", "{\"a\":{\"b\":3,\"c\":2}}");
    assert_value(expressions, ".user.age % 5", "1");
    assert_value(expressions, "[[range(4)], [range(2; 4)], [range(5; 0; -2)]]", "[[0,1,2,3],[2,3],[5,3,1]]");
    assert_value(expressions, "[limit(2; .user.tags[], 1)]", "[\"a\",\"b\"]");
    assert_value(expressions, "[limit(0; 1, 2)]", "[]");
    assert_value(expressions, ".body | del(.items, .huge)", "{\"active\":\"False\"}");
    assert_value(expressions, ".body.items | del(.[] | select(.ok))", "[{\"id\":2,\"ok\":false}]");
    assert_value(expressions, "[1, 2, 3, 4] | del(.[0], .[2], .[0])", "[2,4]");
    assert_value(expressions, ".user.email | gsub(\"[aeiou]\"; \"\")", "\"d@xmpl.cm\"");
    assert_value(expressions, ".user.name | gsub(\"(?<letter>[a-z])\"; \"<\" + .letter + \">\")", "\"A<d><a>\"");
    assert_value(expressions, "\"\" | gsub(\"a\"; \"b\")", "\"\"");
    assert_value(expressions, "\"äöä\" | gsub(\"ö\"; \"-\")", "\"ä-ä\"");
    assert_value(expressions, "[.user.email | scan(\"[a-z]+\")]", "[\"ada\",\"example\",\"com\"]");
    assert_value(expressions, "[\"a1b2\" | scan(\"([a-z])([0-9])\")]", "[[\"a\",\"1\"],[\"b\",\"2\"]]");
    assert_value(expressions, "[\"a, b,c\" | splits(\", *\")]", "[\"a\",\"b\",\"c\"]");
    assert_value(expressions, "\" a b\\n\" | trim", "\"a b\"");
    assert_value(expressions, "[\"ä@b@\" | index(\"@\"), rindex(\"@\"), indices(\"@\")]", "[1,3,[1,3]]");
    assert_value(expressions, "[\"a\", null, 1, true] | join(\"-\")", "\"a--1-true\"");
    assert_value(expressions, "[] | join(\"-\")", "\"\"");
    assert_value(expressions, "{a: 1, b: 2} | map_values(select(. > 1) | . + 1)", "{\"b\":3}");
    assert_value(expressions, "[1, 2] | map_values(. + 1)", "[2,3]");
    assert_value(expressions, ".body.items | INDEX(.id) | keys", "[\"1\",\"2\"]");
    assert_value(expressions,
                 "{a: [\"xy\"], b: 1} | [contains({a: [\"x\"]}), contains({a: [\"z\"]}), contains({b: \"1\"})]",
                 "[true,false,false]");
    assert_value(expressions, "\"2026-11-29T10:00:00.123456Z\" | fromdate", "1795946400");
    assert_value(expressions, "[1, 2, 3] - [2]", "[1,3]");
    assert_value(expressions, "[3, 1, 3] | [sort, unique, group_by(.)]", "[[1,3,3],[1,3],[[1],[3,3]]]");
    assert_value(expressions, "\"abc\" | @md5", "\"900150983cd24fb0d6963f7d28e17f72\"");
    assert_value(expressions, "\"abc\" | @sha1", "\"a9993e364706816aba3e25717850c26c9cd0d89d\"");
    assert_value(expressions, "\"x-\\(\"abc\" | @sha256)\"",
                 "\"x-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"");
}

static void test_texts(void **state)
{
    struct expressions *expressions = *state;
    struct err err = ERR_INIT;
    char *text = expr_text(expressions->set, "SSWS ${ .settings.token } ${ .status }", expressions->context, &err);
    assert_string_equal(text, "SSWS s3 404");
    free(text);
    assert_null(expr_text(expressions->set, "a ${ .user.nick }", expressions->context, &err));
    assert_non_null(strstr(err_text(&err), "null can't stand within a text"));
    assert_null(expr_text(expressions->set, "${ .user.tags }", expressions->context, &err));
    assert_non_null(strstr(err_text(&err), "a list"));
    err_release(&err);
    assert_null(expr_text(expressions->set, "hello ${ .user.nick }", expressions->context, &err));
    err_release(&err);
}

static bool predicate(struct expressions *expressions, const char *text, bool otherwise)
{
    json_t *tmpl = text ? json_string(text) : NULL;
    bool result = expr_true(expressions->set, tmpl, expressions->context, otherwise);
    json_decref(tmpl);
    return result;
}

static void test_predicates(void **state)
{
    struct expressions *expressions = *state;
    assert_true(predicate(expressions, NULL, true));
    assert_false(predicate(expressions, NULL, false));
    assert_true(predicate(expressions, "${ .status == 404 }", false));
    assert_false(predicate(expressions, "${ .status == 200 }", true));
    assert_false(predicate(expressions, "${ .user.nick }", true));
    assert_true(predicate(expressions, "${ .user.age }", false));
    assert_false(predicate(expressions, "${ .user.name | tonumber > 1 }", true)); /* an error is false */
    assert_true(expr_true(expressions->set, json_true(), expressions->context, false));
    assert_false(expr_true(expressions->set, json_false(), expressions->context, true));
}

/* ---- compiled together ------------------------------------------------------------------------------------------------- */

/* Dates are left to jq. */
static void test_compiled_together(void **state)
{
    struct expressions *expressions = *state;
    struct err err = ERR_INIT;
    for (int i = 0; i < 200; i++) {
        char *text = mem_printf("${ .user.age + %d | todate }", i);
        assert_int_equal(expr_check(expressions->set, text, &err), 0);
        free(text);
    }
    assert_int_equal(expr_set_compile(expressions->set, &err), 0);
    for (int i = 0; i < 200; i++) {
        char *text = mem_printf("${ .user.age + %d | todate }", i);
        char *value = expr_text(expressions->set, text, expressions->context, &err);
        char *expected = mem_printf("1970-01-01T00:%02d:%02dZ", (36 + i) / 60, (36 + i) % 60);
        assert_string_equal(value, expected);
        free(expected);
        free(value);
        free(text);
    }
}

static void test_compile_names_the_wrong_one(void **state)
{
    struct expressions *expressions = *state;
    struct err err = ERR_INIT;
    assert_int_equal(expr_check(expressions->set, "${ .user.age + 1 }", &err), 0);
    assert_int_equal(expr_check(expressions->set, "${ .user.age + $nobody }", &err), 0); /* the tokens are fine */
    assert_int_equal(expr_set_compile(expressions->set, &err), -1);
    assert_non_null(strstr(err_text(&err), "in ${ .user.age + $nobody }"));
    err_release(&err);
}

/* Texts come with jobs; what was forgotten is made again. */
static void test_more_texts_than_room(void **state)
{
    struct expressions *expressions = *state;
    for (int i = 0; i < 9000; i++) {
        char *text = mem_printf("${ .user.age }-%d", i);
        char *expected = mem_printf("36-%d", i);
        char *value = expr_text(expressions->set, text, expressions->context, NULL);
        assert_string_equal(value, expected);
        free(value);
        free(expected);
        free(text);
    }
    assert_rendered(expressions, "\"${ .user.age }-0\"", "\"36-0\"");
}

static int64_t computing_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void render_numbered(struct expressions *expressions, const char *format, int number)
{
    char *text = mem_printf(format, number);
    json_t *tmpl = json_string(text);
    json_t *value = expr_render(expressions->set, tmpl, expressions->context, NULL);
    assert_non_null(value);
    json_decref(value);
    json_decref(tmpl);
    free(text);
}

/* Compiling takes 15 ms: neither those of a definition nor one in constant use may be forgotten for others that pass by. */
static void test_the_oldest_is_forgotten(void **state)
{
    struct expressions *expressions = *state;
    assert_int_equal(expr_check(expressions->set, "${ .user.age + 0 | todate }", NULL), 0);
    assert_int_equal(expr_set_compile(expressions->set, NULL), 0);
    render_numbered(expressions, "${ .user.age * %d | todate }", 7);
    for (int i = 0; i < 5000; i++) {
        render_numbered(expressions, "${ .user.age } %d", i);
        if (i % 1000 == 0) {
            render_numbered(expressions, "${ .user.age * %d | todate }", 7);
        }
    }
    int64_t before = computing_time();
    render_numbered(expressions, "${ .user.age + %d | todate }", 0);
    render_numbered(expressions, "${ .user.age * %d | todate }", 7);
    assert_in_range(computing_time() - before, 0, 5000);
}

/* ---- where an expression ends ---------------------------------------------------------------------------------------------- */

static void test_ends(void **state)
{
    (void)state;
    const char *text = "${ {a: \"}\"} } rest";
    assert_string_equal(expr_end(text), " rest");
    assert_string_equal(expr_end("${ open"), "");
    assert_string_equal(expr_end("${ \"\\(.a | join(\"}\"))\" } rest"), " rest");
    assert_string_equal(expr_end("${ \"a\\\"}\" } rest"), " rest");
    assert_string_equal(expr_end("${ {a: {b: \"\\({c: \"{\"} | .c)\"}} } rest"), " rest");
    assert_true(expr_has(text));
    assert_false(expr_has("$ { }"));
    assert_false(expr_has(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values_keep_their_type, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_big_integers_stay_exact, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_jq_evaluates, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_own_words, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_texts, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_predicates, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_compiled_together, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_compile_names_the_wrong_one, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_more_texts_than_room, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_the_oldest_is_forgotten, setup, expressions_end),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
