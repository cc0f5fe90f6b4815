/* YAML: what a text means, on which line it stands, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/yaml.h"
#include "tests/unit/helpers.h"

static void assert_means(const char *yaml, const char *expected)
{
    struct err err = ERR_INIT;
    json_t *value = yaml_parse(yaml, strlen(yaml), "x.yaml", NULL, &err);
    if (!value) {
        fail_msg("%s", err_text(&err));
    }
    char *text = json_text(value);
    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

#define assert_refused(yaml, place, why) assert_refused_text(yaml, sizeof(yaml) - 1, place, why)

static void assert_refused_text(const char *yaml, size_t len, const char *place, const char *why)
{
    struct err err = ERR_INIT;
    json_t *lines = NULL;
    json_t *value = yaml_parse(yaml, len, "x.yaml", &lines, &err);
    if (value) {
        fail_msg("this was accepted: %s", yaml);
    }
    assert_null(lines);
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_contains(err_text(&err), place);
    assert_contains(err_text(&err), why);
    err_release(&err);
}

static void test_scalars(void **state)
{
    (void)state;
    assert_means(
        "a: 1\nb: -2.5\nc: true\nd: False\ne: ~\nf: \ng: \"1\"\nh: 'true'\ni: yes\nj: 0x1F\n",
        "{\"a\":1,\"b\":-2.5,\"c\":true,\"d\":false,\"e\":null,\"f\":null,\"g\":\"1\",\"h\":\"true\",\"i\":\"yes\","
        "\"j\":\"0x1F\"}");
    assert_means("a: 9007199254740993\nb: 90d\nc: 1.2.3\nd: 1e999\n",
                 "{\"a\":\"9007199254740993\",\"b\":\"90d\",\"c\":\"1.2.3\",\"d\":\"1e999\"}");
    assert_means("a: |\n  two\n  lines\nb: >\n  one\n  line\n", "{\"a\":\"two\\nlines\\n\",\"b\":\"one line\\n\"}");
    assert_means("a: \"${ .x == \\\"y\\\" }\"\n", "{\"a\":\"${ .x == \\\"y\\\" }\"}");
    assert_means("a: no # a comment\nb: no#comment\n", "{\"a\":\"no\",\"b\":\"no#comment\"}");
}

static void test_shapes(void **state)
{
    (void)state;
    assert_means("", "{}");
    assert_means("# only a comment\n", "{}");
    assert_means(" \n\t\n  # one\n\n# two", "{}");
    assert_means("# one\n---\na: 1\n...\n# two\n", "{\"a\":1}");
    assert_means("- 1\n- [2, {a: 3}]\n", "[1,[2,{\"a\":3}]]");
    assert_means("x: &one {a: 1}\ny: *one\n", "{\"x\":{\"a\":1},\"y\":{\"a\":1}}");
}

static void test_texts(void **state)
{
    (void)state;
    const char *yaml = "a: 007\nb: 1.10\nc: true\nd: ~\ne: [1, x]\nf: null\ng: 'null'\n";
    json_t *value = yaml_parse_texts(yaml, strlen(yaml), "x.yaml", NULL, NULL);
    char *text = json_text(value);
    assert_string_equal(
        text, "{\"a\":\"007\",\"b\":\"1.10\",\"c\":\"true\",\"d\":null,\"e\":[\"1\",\"x\"],\"f\":null,\"g\":\"null\"}");
    free(text);
    json_decref(value);
}

static void test_lines(void **state)
{
    (void)state;
    const char *yaml = "# first\nphases:\n  - name: initial\n    steps:\n      - {id: a,\n         with: {x: 1}}\n     "
                       " - id: b\n\"q/~\": 1\n";
    json_t *lines = NULL;
    json_t *value = yaml_parse(yaml, strlen(yaml), "x.yaml", &lines, NULL);
    assert_non_null(value);
    static const struct {
        const char *pointer;
        int line;
    } expected[] = {
        {"/phases", 2},
        {"/phases/0", 3},
        {"/phases/0/name", 3},
        {"/phases/0/steps/0/id", 5},
        {"/phases/0/steps/0/with/x", 6},
        {"/phases/0/steps/1", 7},
        {"/q~1~0", 8},
    };
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        assert_int_equal(json_integer_value(json_object_get(lines, expected[i].pointer)), expected[i].line);
    }
    char *pointer = yaml_pointer("/a", "q/~");
    assert_string_equal(pointer, "/a/q~1~0");
    free(pointer);
    json_decref(lines);
    json_decref(value);
}

static void test_refused(void **state)
{
    (void)state;
    assert_refused("a: 1\nb: [1, 2\nc: 3\n", "x.yaml:", "");
    assert_refused("a: 1\nb:\n  c: 1\n  c: 2\n", "x.yaml:4: ", "duplicate");
    assert_refused("a: \"x\n", "x.yaml:", "");
    assert_refused("? {a: 1}\n: 2\n", "x.yaml:1: ", "a key must be plain text");
    assert_refused("a: 1\nb: *nobody\n", "x.yaml:", "");
    assert_refused("a: 1\nb: \"x\\0y\"\n", "x.yaml:2: ", "NUL");
    assert_refused("a: 1\nb: \xff\xfe\n", "x.yaml:2: ", "UTF-8");
    assert_refused("a: 1\n\xff: 1\n", "x.yaml:2: ", "UTF-8");
    assert_refused("a: 1\nb: x\0y\n", "x.yaml:2: ", "UTF-8");
    assert_refused("a: 1\n---\nb: 2\n", "x.yaml:3: ", "one document only");
    assert_refused("a: 1\n...\n---\nb: [\n", "x.yaml:", "");
}

static void test_files(void **state)
{
    (void)state;
    char *path = temporary_file("a: 1\n");
    size_t len;
    char *text = yaml_read_file(path, &len, NULL);
    assert_string_equal(text, "a: 1\n");
    assert_int_equal(len, 5);
    free(text);
    assert_int_equal(truncate(path, 1024 * 1024 + 1), 0);
    struct err err = ERR_INIT;
    assert_null(yaml_read_file(path, &len, &err));
    assert_contains(err_text(&err), "larger than 1 MiB");
    temporary_remove(path);
    assert_null(yaml_read_file("/nonexistent/x.yaml", &len, &err));
    assert_contains(err_text(&err), "/nonexistent/x.yaml: No such file");
    assert_null(yaml_read_file("/", &len, &err));
    assert_contains(err_text(&err), "could not read /: ");
    err_release(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars), cmocka_unit_test(test_shapes),  cmocka_unit_test(test_texts),
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_refused), cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
