/* Expressions: which places of the context they read. */
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

/* A path's text, with "[]" behind what is iterated and "…" behind what is not known to its end. */
static void add_path(const struct expr_path *path, void *arg)
{
    struct buf *paths = arg;
    char *text = expr_path_text(path);
    buf_addf(paths, "%s%s%s%s", paths->len ? " " : "", text, path->iterated ? "[]" : "", path->complete ? "" : "…");
    free(text);
}

static void assert_paths(const char *text, const char *expected)
{
    struct buf paths = BUF_INIT;
    expr_paths(text, add_path, &paths);
    if (strcmp(buf_text(&paths), expected) != 0) {
        fail_msg("%s reads \"%s\", not \"%s\"", text, buf_text(&paths), expected);
    }
    buf_release(&paths);
}

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *paths;
    } cases[] = {
        {"plain .text", ""},
        {"${ .a.b }, ${ .c } and $${ .d }", "a.b c"},
        {"${ .steps[\"leave-groups\"].outputs.n }", "steps[\"leave-groups\"].outputs.n"},
        {"${ .\"x\".y + .[\"z\"] }", "x.y z"},
        {"${ if .a | .x then .b elif .c then .d else .e end | .y }", "a.x c b.y d.y e.y"},
        {"${ .a | map(.x) | any(.y) }", "a"},
        {"${ any(.a[]; .x == 1) and (.b | not) }", "a[] b"},
        {"${ {user, n: .a, \"m\": .b | .x, o: .c} }", "user a b.x c"},
        {"${ \"\\(.a.b) and \\(.c | .x)\" | .y }", "a.b c.x"},
        {"${ @uri \"x\\(.a)\" }", "a"},
        {"${ .a[.b].c // .d }", "a… b d"},
        {"${ (.a | .x), .b }", "a.x b"},
        {"${ first(.a[] | select(.x == 1)) | .y }", "a[]"},
        {"${ .status == 200 and ((.body.active | tostring) == \"False\") }", "status body.active"},
        {"${ try .a.b catch .message }", "a.b"},
        {"${ .a | sub(\"x\"; .y) }", "a"},
        {"${ .user.name | test(.with.pattern) }", "user.name user.name.with.pattern"},
        {"${ . as $c | .user.name | test($c.with.pattern) }", "user.name with.pattern"},
        {"${ .a | -.b - 1 }", "a.b"},
        {"${ [.a.b, {c: .d}] | length }", "d a.b"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_paths(cases[i].text, cases[i].paths);
    }
}

/* A member whose name has a dot, a quote or nothing in it is told from two members. */
static void test_names_of_every_kind(void **state)
{
    (void)state;
    assert_paths("${ .body[\".tag\"] == \"complete\" and .body[\"a.b\"] == 7 }", "body[\".tag\"] body[\"a.b\"]");
    assert_paths("${ .body.\"@odata.type\" }", "body[\"@odata.type\"]");
    assert_paths("${ .body[\"a\\\"b\"].c }", "body[\"a\\\"b\"].c");
    assert_paths("${ .body[\"\\u00e9\"] }", "body[\"é\"]");
    assert_paths("${ .body[\"\"] }", "body[\"\"]");
    assert_paths("${ .[\".tag\"].x }", "[\".tag\"].x");
    assert_paths("${ .body[\"7\"] }", "body[\"7\"]");
}

static void test_indices_and_slices(void **state)
{
    (void)state;
    assert_paths("${ .body.users[0].id }", "body.users[0].id");
    assert_paths("${ .body.users[ -1 ] }", "body.users[-1]");
    assert_paths("${ .body.users | first | .id }", "body.users[0].id");
    assert_paths("${ .body.users | last }", "body.users[-1]");
    assert_paths("${ .body.users[1:3] }", "body.users[1:3]");
    assert_paths("${ .body.users[:-1][] }", "body.users[:-1][]");
    assert_paths("${ .body.users[2:] | length }", "body.users[2:]");
    assert_paths("${ .body.users[.n:] }", "body.users… n");
    assert_paths("${ .body.users[1.5] }", "body.users…");
    assert_paths("${ .body[\"a\", \"b\"] }", "body…");
    assert_paths("${ .body[\"a\\(.b)\"] }", "body… b");
    assert_paths("${ .body | .. }", "body…");
}

/* Iterated there, in every form in which it can be written; and what isn't. */
static void test_iterated(void **state)
{
    (void)state;
    static const char *const iterated[] = {
        "${ .body.users[] }",
        "${ .body.users[]? }",
        "${ .body.users [ ] }",
        "${ .body.users[\n] }",
        "${ .body.users[\t] | .id }",
        "${ .body | .users[] | .id }",
        "${ .body|.users|.[] }",
        "${ (.body).users[].id }",
        "${ [.body.users[] | select(.ok)] | length }",
        "${ (.body.users // [])[] }",
        "${ .body.users // [] | .[] }",
        "${ .body[\"users\"][] }",
        "${ .body.\"users\"[] }",
        "${ .body as $b | $b.users[] }",
        "${ . as $x | $x.body.users[] }",
        "${ .body.users as $u | $u[] }",
        "${ .body.users as $u | [$u[] | .id] | length }",
        "${ .body as {users: $u} | $u[] }",
        "${ .body as {$users} | $users[] }",
        "${ . as {body: {users: $u}} | $u[] }",
        "${ any(.body.users[]; .id == 1) }",
        "${ .body.users | first(.[] | .id) }",
        "${ try .body.users[] catch null }",
        "${ if true then .body.users else empty end | .[] }",
        "${ .body | select(type == \"object\") | .users[] }",
        "${ .body.users[] as $u | $u.id }",
        "${ .body.users | (.[]) }",
        "${ .body | objects | .users | arrays | .[] }",
        "${ .body.users | select(length == 0)[] }",
    };
    for (size_t i = 0; i < COUNT_OF(iterated); i++) {
        struct buf paths = BUF_INIT;
        expr_paths(iterated[i], add_path, &paths);
        if (!strstr(buf_text(&paths), "body.users[]")) {
            fail_msg("%s reads \"%s\"", iterated[i], buf_text(&paths));
        }
        buf_release(&paths);
    }
    assert_paths("${ .body[] }", "body[]");
    assert_paths("${ .body.users | map(.id) }", "body.users");
    assert_paths("${ .body.users | length }", "body.users");
    assert_paths("${ .body.users | any(.id == 1) }", "body.users");
    assert_paths("${ .body.users | all(.ok) }", "body.users");
    assert_paths("${ .body.users | select(length > 0) }", "body.users body.users");
    assert_paths("${ .body.users == [] }", "body.users");
    assert_paths("${ {a: .body.users} | .a[] }", "body.users");
}

static void test_pipes_and_variables(void **state)
{
    (void)state;
    assert_paths("${ .a.b | .c }", "a.b.c");
    assert_paths("${ .a | .x, .y }", "a.x a.y");
    assert_paths("${ .a as $x | .b + $x.c }", "b a.c");
    assert_paths("${ . as $x | $x.body.users }", "body.users");
    assert_paths("${ .body as [$a, $b] | $b.id }", "body[1].id body[0]");
    assert_paths("${ .a as $x | .b as $x | $x.c }", "b.c a");
    assert_paths("${ (.a as $x | $x.b) + (.c as $x | $x.d) }", "a.b c.d");
    assert_paths("${ .a as {x: $y} ?// [$y] | $y.z }", "a");
    assert_paths("${ .a // .b | .c }", "a.c b.c");
    assert_paths("${ .a | true }", "a");
    assert_paths("${ .a as $x | 1 }", "a");
    assert_paths("${ .saved.n as $n | .body.list | index($n) }", "body.list saved.n");
}

static void test_reads(void **state)
{
    (void)state;
    assert_true(expr_reads("${ .status == 404 }", "status"));
    assert_true(expr_reads("a ${ .user.id } ${ [\"x\", .status] }", "status"));
    assert_true(expr_reads("${ . as $r | $r.status }", "status"));
    assert_true(expr_reads("${ .[\"status\"] }", "status"));
    assert_true(expr_reads("${ {status} }", "status"));
    assert_false(expr_reads("${ .body.status }", "status"));
    assert_false(expr_reads("${ .body | .status }", "status"));
    assert_false(expr_reads("${ \".status\" }", "status"));
    assert_false(expr_reads("${ {status: 1} }", "status"));
    assert_false(expr_reads(".status", "status"));
    json_t *value = json_pack("{s:[s, {s:s}], s:b}", "any", "x", "of", "${ .status }", "on", 1);
    assert_true(expr_reads_in(value, "status"));
    assert_false(expr_reads_in(value, "body"));
    assert_false(expr_reads_in(NULL, "body"));
    json_decref(value);
}

/* ---- what stands there --------------------------------------------------------------------------------------------------- */

static void add_value(const struct expr_path *path, void *arg)
{
    static const char context_text[] =
        "{\"body\": {\".tag\": \"complete\", \"a.b\": 7, \"list\": [1, 2, 3], \"s\": \"aéb\", "
        "\"n\": null}, \"a\": {\"b\": 8}}";
    json_t *context = json_parse(context_text, strlen(context_text), NULL);
    json_t *value = expr_path_value(path, context);
    char *text = json_text(value);
    struct buf *values = arg;
    buf_addf(values, "%s%s", values->len ? " " : "", text);
    free(text);
    json_decref(value);
    json_decref(context);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *value;
    } cases[] = {
        {"${ .body[\".tag\"] }", "\"complete\""},
        {"${ .body[\"a.b\"] }", "7"},
        {"${ .a.b }", "8"},
        {"${ .body.list[0] }", "1"},
        {"${ .body.list[-1] }", "3"},
        {"${ .body.list[-4] }", "null"},
        {"${ .body.list[3] }", "null"},
        {"${ .body.list[1:] }", "[2,3]"},
        {"${ .body.list[:-1] }", "[1,2]"},
        {"${ .body.list[-2:-1] }", "[2]"},
        {"${ .body.list[2:1] }", "[]"},
        {"${ .body.list[1:9][0] }", "2"},
        {"${ .body.s[1:2] }", "\"é\""},
        {"${ .body.s[-1:] }", "\"b\""},
        {"${ .body.s[:0] }", "\"\""},
        {"${ .body.s.x }", "null"},
        {"${ .body.n[1:] }", "null"},
        {"${ .body.nothing.there }", "null"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf values = BUF_INIT;
        expr_paths(cases[i].text, add_value, &values);
        if (strcmp(buf_text(&values), cases[i].value) != 0) {
            fail_msg("%s is %s, not %s", cases[i].text, buf_text(&values), cases[i].value);
        }
        buf_release(&values);
    }
}

/* ---- the context as a whole ---------------------------------------------------------------------------------------------- */

static void look_for_whole(const struct expr_path *path, void *arg)
{
    bool *whole = arg;
    *whole = *whole || !path->count;
}

static bool reads_whole(const char *expression)
{
    bool whole = false;
    char *text = mem_printf("${ %s }", expression);
    expr_paths(text, look_for_whole, &whole);
    free(text);
    return whole;
}

/* Who looks at the whole context gets it whole, though only `user` is named. */
static void test_reading_the_whole_context(void **state)
{
    (void)state;
    static const char *const whole[] = {".",
                                        "keys",
                                        ".[.user]",
                                        ". as $all | \"user\" | $all[.]",
                                        "has(\"x\")",
                                        "{\"us\\(\"er\")\"}",
                                        "to_entries | map(.key)",
                                        "[..]",
                                        "(.user, .) | length",
                                        "with_entries(.)"};
    static const char *const parts[] = {
        ".user",      ".user | .",         ".user | keys", ". as $all | $all.user", "[.user.tags[] | length]", "{user}",
        "{\"user\"}", "{\"user\": .user}", "true",         "any(.user[]; . == 1)",  ".user as $u | $u | .name"};
    for (size_t i = 0; i < COUNT_OF(whole); i++) {
        if (!reads_whole(whole[i])) {
            fail_msg("%s reads everything", whole[i]);
        }
    }
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (reads_whole(parts[i])) {
            fail_msg("%s doesn't read everything", parts[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_names_of_every_kind),
        cmocka_unit_test(test_indices_and_slices),
        cmocka_unit_test(test_iterated),
        cmocka_unit_test(test_pipes_and_variables),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_reading_the_whole_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
