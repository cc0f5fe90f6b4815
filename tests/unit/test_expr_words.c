/* Expressions: the words, as the code, the reference page and jq itself have them. */
#include <jq.h>
#include <jv.h>
#include <stdio.h>

#include "lib/expr_words.h"
#include "tests/unit/expressions.h"

static int setup(void **state)
{
    return expressions_start(state, "{}");
}

/* ---- the reference page ---------------------------------------------------------------------------------------------------- */

static char *page(void)
{
    FILE *file = fopen("docs/connectors.md", "r");
    assert_non_null(file);
    struct buf text = BUF_INIT;
    char part[4096];
    for (size_t length; (length = fread(part, 1, sizeof part, file)) > 0;) {
        buf_add(&text, part, length);
    }
    fclose(file);
    return buf_take(&text);
}

/* The page from behind the line `heading` to the next heading. */
static char *section(const char *heading)
{
    char *text = page();
    char *from = strstr(text, heading);
    assert_non_null(from);
    from += strlen(heading);
    char *to = strstr(from, "\n#");
    char *found = mem_strndup(from, to ? (size_t)(to - from) : strlen(from));
    free(text);
    return found;
}

/* The next text in backticks, "\|" in it being "|"; NULL when there is none. `*at` then stands behind it. */
static char *next_code(const char **at)
{
    const char *from = strchr(*at, '`');
    const char *to = from ? strchr(from + 1, '`') : NULL;
    if (!to) {
        return NULL;
    }
    struct buf code = BUF_INIT;
    for (const char *c = from + 1; c < to; c++) {
        buf_add(&code, c + (c[0] == '\\' && c[1] == '|'), 1);
        c += c[0] == '\\' && c[1] == '|';
    }
    *at = to + 1;
    return buf_take(&code);
}

/* The words of the table's rows, those that are no operators. */
static json_t *words_of_page(void)
{
    json_t *words = json_object();
    char *text = section("### Words of expressions\n");
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        const char *at = line[0] == '|' ? line : "";
        for (char *word; (word = next_code(&at));) {
            bool name = (word[0] >= 'a' && word[0] <= 'z') || (word[0] >= 'A' && word[0] <= 'Z') || word[0] == '@';
            if (name) {
                json_object_set_new(words, word, json_true());
            }
            free(word);
        }
    }
    free(text);
    return words;
}

static json_t *words_of_code(void)
{
    static const char *const grammar[] = {"and", "as", "catch", "elif", "else", "end", "if", "or", "then", "try"};
    json_t *words = json_object();
    size_t count;
    const struct expr_word *known = expr_words(&count);
    for (size_t i = 0; i < count; i++) {
        json_object_set_new(words, known[i].name, json_true());
    }
    const char *const *formats = expr_formats(&count);
    for (size_t i = 0; i < count; i++) {
        json_object_set_new(words, formats[i], json_true());
    }
    for (size_t i = 0; i < COUNT_OF(grammar); i++) {
        json_object_set_new(words, grammar[i], json_true());
    }
    return words;
}

static void assert_all_in(const json_t *words, const json_t *others, const char *where)
{
    const char *word;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)words, word, value)
    {
        if (!json_object_get(others, word)) {
            fail_msg("\"%s\" is not %s", word, where);
        }
    }
}

static void test_page_lists_the_words(void **state)
{
    (void)state;
    json_t *page_words = words_of_page();
    json_t *code_words = words_of_code();
    assert_all_in(page_words, code_words, "in lib/expr_words.c, but in docs/connectors.md");
    assert_all_in(code_words, page_words, "in docs/connectors.md, but in lib/expr_words.c");
    json_decref(page_words);
    json_decref(code_words);
}

/* | wanted | `expression` | `of` | `gives` | */
static void try_row(struct expressions *expressions, const char *row)
{
    const char *at = row;
    char *expression = next_code(&at);
    char *of = next_code(&at);
    char *gives = next_code(&at);
    assert_non_null(gives);
    json_t *expected = json_parse(gives, strlen(gives), NULL);
    char *text = json_canonical(expected);
    json_decref(expressions->context);
    expressions->context = json_parse(of, strlen(of), NULL);
    assert_non_null(expressions->context);
    assert_value(expressions, expression, text);
    free(text);
    json_decref(expected);
    free(gives);
    free(of);
    free(expression);
}

static void test_page_is_right(void **state)
{
    struct expressions *expressions = *state;
    char *text = section("### How it is written\n");
    int rows = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (line[0] == '|' && strchr(line, '`')) {
            try_row(expressions, line);
            rows++;
        }
    }
    assert_true(rows > 10);
    free(text);
}

/* ---- every word of the table works, every other of jq is told why not ------------------------------------------------------- */

/* The table has a word with so many arguments: jq, or what stands before the program, has it, too. */
static void test_words_exist(void **state)
{
    struct expressions *expressions = *state;
    size_t count;
    const struct expr_word *words = expr_words(&count);
    for (size_t i = 0; i < count; i++) {
        for (unsigned arguments = words[i].least; arguments <= words[i].most; arguments++) {
            static const char *const given[] = {"", "(\"a\")", "(\"a\"; \"b\")", "(1; 2; 1)"};
            char *call = mem_printf("try (%s%s) catch null", words[i].name, given[arguments]);
            char *value = value_of(expressions, call);
            if (strstr(value, "not defined")) {
                fail_msg("%s: %s", call, value);
            }
            free(value);
            free(call);
        }
    }
}

/* No word of jq may be taken for a misspelt other one. */
static void test_words_that_are_refused(void **state)
{
    struct expressions *expressions = *state;
    jq_state *jq = jq_init();
    assert_true(jq_compile(jq, "builtins | map(split(\"/\")[0]) | unique[]"));
    jq_start(jq, jv_null(), 0);
    int refused = 0;
    json_t *known = words_of_code();
    for (jv word = jq_next(jq); jv_is_valid(word); word = jq_next(jq)) {
        const char *name = jv_string_value(word);
        if (!json_object_get(known, name)) {
            char *text = mem_printf("\"%s\" is not allowed in an expression", name);
            assert_refused(expressions, name, text);
            free(text);
            refused++;
        }
        jv_free(word);
    }
    assert_true(refused > 50);
    json_decref(known);
    jq_teardown(&jq);
}

static void test_what_to_write_instead(void **state)
{
    struct expressions *expressions = *state;
    assert_refused(expressions, "now", "\"now\" is not allowed in an expression: write .now");
    assert_refused(expressions, "md5", "write @md5");
    assert_refused(expressions, "walk(.)", "write .. for every value");
    assert_refused(expressions, "reduce .[] as $x (0; . + $x)", "write add");
    assert_refused(expressions, "env.HOME", "configuration is .settings");
    assert_refused(expressions, ".a | lenght", "\"lenght\" is no word of an expression; did you mean \"length\"?");
    assert_refused(expressions, "to_entry", "did you mean \"to_entries\"?");
    assert_refused(expressions, ".a = 1", "write . * {a: {b: 1}}");
    assert_refused(expressions, "@sha255", "there is no format \"@sha255\"; did you mean \"@sha256\"?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_lists_the_words),
        cmocka_unit_test_setup_teardown(test_page_is_right, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_words_exist, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_words_that_are_refused, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_what_to_write_instead, setup, expressions_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
