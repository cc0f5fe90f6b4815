/* Expressions: no word and no data may make one run on, eat memory or end the process. */
#include <sys/resource.h>
#include <time.h>

#include "tests/unit/expressions.h"

/* Bodies of the kinds that hurt: `deep` nests as deep as JSON from outside may, `wide` and `members` are long, `text` and `commas`
 * are long texts; `odd` has what trips libraries. */
static int setup(void **state)
{
    int result =
        expressions_start(state, "{\"status\": 200, \"body\": {\"odd\": [\"nan\", \"\", -1, 1e300, 0.5, null, {}, "
                                 "[], \"x*\", \"((((\", \"é\", [\"\", \"g\"]]}}");
    struct expressions *expressions = *state;
    json_t *body = json_object_get(expressions->context, "body");
    json_t *deep = json_integer(1);
    for (int i = 0; i < 100; i++) {
        deep = json_pack("[o]", deep);
    }
    json_t *wide = json_array();
    json_t *members = json_object();
    for (int i = 0; i < 20000; i++) {
        json_array_append_new(wide, json_pack("{s:i, s:s}", "id", i, "name", "somebody"));
        char *name = mem_printf("name %d", i);
        json_object_set_new(members, name, json_integer(i));
        free(name);
    }
    struct buf text = BUF_INIT;
    struct buf commas = BUF_INIT;
    for (int i = 0; i < 200000; i++) {
        buf_adds(&text, "a");
        buf_adds(&commas, "é,");
    }
    json_object_set_new(body, "deep", deep);
    json_object_set_new(body, "wide", wide);
    json_object_set_new(body, "members", members);
    json_object_set_new(body, "text", json_string(buf_text(&text)));
    json_object_set_new(body, "commas", json_string(buf_text(&commas)));
    buf_release(&text);
    buf_release(&commas);
    return result;
}

/* ---- what one evaluation costs -------------------------------------------------------------------------------------------- */

enum {
    SECONDS_MAX =
        6, /* 2 of computing, what one instruction may take beyond them, and compiling; tests may be built slow */
    KIBIBYTES_MAX = 640 * 1024
};

static double computing_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static long most_memory(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* Evaluates it, and looks at time and memory. The value, or "error: …"; the caller frees. */
static char *bounded_value(struct expressions *expressions, const char *expression)
{
    double began = computing_time();
    char *value = value_of(expressions, expression);
    double took = computing_time() - began;
    if (took > SECONDS_MAX) {
        fail_msg("%s took %.1f s", expression, took);
    }
    if (most_memory() > KIBIBYTES_MAX) {
        fail_msg("with %s the process has had %ld MiB", expression, most_memory() / 1024);
    }
    return value;
}

static void assert_stopped(struct expressions *expressions, const char *expression, const char *part)
{
    char *value = bounded_value(expressions, expression);
    if (strncmp(value, "error: ", 7) != 0 || !strstr(value, part)) {
        fail_msg("%s gives %.300s, not an error with \"%s\"", expression, value, part);
    }
    free(value);
}

/* ---- refused when it is loaded ---------------------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    struct expressions *expressions = *state;
    static const struct {
        const char *text;
        const char *why;
    } refused[] = {
        {"env.HOME", "\"env\" is not allowed"},
        {"$ENV.HOME", "\"$ENV\" is not allowed"},
        {"$__prog_args", "is not allowed"},
        {"$__loc__", "is not allowed"},
        {"{a: env}", "\"env\" is not allowed"},
        {"\"x\\(env)\"", "\"env\" is not allowed"},
        {"[.a, input]", "\"input\" is not allowed"},
        {"debug", "\"debug\" is not allowed"},
        {"repeat(1)", "\"repeat\" is not allowed"},
        {"[.[] | recurse]", "\"recurse\" is not allowed in an expression: write .."},
        {"until(false; .)", "\"until\" is not allowed"},
        {"while(true; .)", "\"while\" is not allowed"},
        {"reduce .[] as $x (0; .)", "\"reduce\" is not allowed in an expression: write add"},
        {"label $out | 1", "\"label\" is not allowed"},
        {"def f: f; f", "\"def\" is not allowed"},
        {"import \"x\" as x; 1", "\"import\" is not allowed"},
        {"include \"x\"; 1", "\"include\" is not allowed"},
        {"__fits", "\"__fits\" is no word"},
        {"_multiply(1; 2)", "is no word"},
        {"a::b", "is not expected"},
        {"halt_error", "is not allowed"},
        {".a[1000000000] = 1", "assignments are not allowed"},
        {".a |= 1", "assignments are not allowed"},
        {".a //= 1", "assignments are not allowed"},
        {".a += 1", "assignments are not allowed"},
        {".a # note", "comment"},
        {"sub(\"\"; \"x\"; \"g\")", "no flags"},
        {"match(\"\"; \"g\")", "no flags"},
        {"test(\"a\"; .b)", "no flags"},
        {"split(\"\"; null)", "write splits"},
        {"map", "map takes 1 argument, not 0"},
        {"first(1; 2)", "first takes 0 to 1 argument"},
        {"@evil", "no format \"@evil\""},
        {"@sha256 \"x\\(.a)\"", "write \"…\" | @sha256"},
        {". as {(.a): $x} | $x", "plain names"},
        {" ", "empty"},
        {"(.a", "a bracket is not closed: \")\""},
        {".a)", "\")\" closes nothing"},
        {"if .a then 1 end", "needs an `else`"},
        {"if .a then 1 else 2", "`end` is missing"},
        {".a?//1", "put a blank into"},
        {"1 +", "ends too early"},
        {".a.[0]", "write .list[0], not .list.[0]"},
        {".a. [0]", "write .list[0], not .list.[0]"},
        {"1.2.3", "\"1.2.3\" is not a number"},
        {".5.", "\".5.\" is not a number"},
        {"0x10", "\"x10\" is not expected"},
        {".a 5", "\"5\" is not expected after \".a \""},
        {"\"\\x\"", "not valid"},
        {"test(\"(\")", "test: the pattern \"(\" is not valid: "},
        {"gsub(\"[z-a]\"; \"\")", "gsub: the pattern"},
        {"test(1)", "a pattern must be a text"},
    };
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        assert_refused(expressions, refused[i].text, refused[i].why);
    }
    struct err err = ERR_INIT;
    assert_int_equal(expr_check(expressions->set, "${ .a", &err), -1);
    assert_non_null(strstr(err_text(&err), "put the whole value in quotes"));
    assert_int_equal(expr_check(expressions->set, "a ${ \"}", &err), -1);
    assert_non_null(strstr(err_text(&err), "put the whole value in quotes"));
    err_release(&err);
}

/* Names that are keys, fields or texts are no functions. */
static void test_names_that_are_no_functions(void **state)
{
    struct expressions *expressions = *state;
    static const char *const allowed[] = {
        "${ .env }",       "${ .a.input }",          "${ {env: 1, range: .a} }", "${ \"env range\" }",
        "${ .[\"env\"] }", "${ {\"a\": {def: 1}} }", "${ .a == .b or .c != 1 }", "${ .a <= 1 and .b >= 2 }",
        "${ {if: 1} }",    "${ .and.or }",
    };
    for (size_t i = 0; i < COUNT_OF(allowed); i++) {
        struct err err = ERR_INIT;
        if (expr_check(expressions->set, allowed[i], &err) != 0) {
            fail_msg("%s: %s", allowed[i], err_text(&err));
        }
    }
}

/* "before", thirty times "step", "after" */
static char *repeated(const char *before, const char *step, int times, const char *after)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, before);
    for (int i = 0; i < times; i++) {
        buf_adds(&text, step);
    }
    buf_adds(&text, after);
    return buf_take(&text);
}

/* Each step doubles: thirty of them would be a billion times the input. */
static void test_growth_is_bounded(void **state)
{
    struct expressions *expressions = *state;
    static const char *const steps[] = {" | .+.",         " | [.,.]",     " | [.\n,\t.]",         " | \"\\(.)\\(.)\"",
                                        " | tojson",      " | @json",     " | join(.)",           " | (.+.)",
                                        " | [.[],.[]]",   " | {a:.,b:.}", " | . as $x | [$x,$x]", " | to_entries",
                                        " | [.[\n],.[]]", " | . * ."};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        char *text = repeated(".a", steps[i], 30, "");
        assert_refused(expressions, text, "eat memory");
        free(text);
    }
    static const char *const again[] = {"[..|..]",
                                        "[..] | [..]",
                                        "[.body | ..\n|\t..]",
                                        "[.. as $x | $x | ..]",
                                        "[..|.[]|..]",
                                        "[.. | tojson | @json | @json | @json | @json]"};
    for (size_t i = 0; i < COUNT_OF(again); i++) {
        assert_refused(expressions, again[i], "eat memory");
    }
    char *nested = repeated(".a", " | [.]", 70, "");
    assert_refused(expressions, nested, "more than 64 deep");
    free(nested);
    char *wide = repeated("{a: 0", ", x: .b", 100, "}");
    char *checked = mem_printf("${ %s }", wide);
    assert_int_equal(expr_check(expressions->set, checked, NULL), 0);
    free(checked);
    free(wide);
}

/* ---- stopped ------------------------------------------------------------------------------------------------------------------ */

static void test_time_is_bounded(void **state)
{
    struct expressions *expressions = *state;
    static const char computing[] = "stopped, as it took more than 2 s of computing";
    assert_stopped(expressions, "[.body.wide[] as $x | .body.wide[] as $y | select($x == 1)]", computing);
    assert_stopped(expressions,
                   "[try (range(100000) | range(100000) | error) catch empty] | length | . as $n | "
                   "[range(100000) | range(100000) | (try error catch empty)]",
                   computing); /* nothing that an expression catches */
    assert_value(expressions, "1 + 1", "2");
}

static void test_memory_is_bounded(void **state)
{
    struct expressions *expressions = *state;
    static const char memory[] = "stopped, as it took more than 256 MiB of memory";
    assert_stopped(expressions, ".body.text as $t | .body.wide | map(.name) | join($t) | length", memory);
    assert_stopped(expressions, "[.body.wide[] as $x | .body.wide[] | {a: $x}] | length", memory);
    assert_stopped(expressions, "[range(100000) as $i | .body.text + ($i | tostring)] | length", memory);
    assert_value(expressions, "1 + 1", "2");
}

static void test_values_are_bounded(void **state)
{
    struct expressions *expressions = *state;
    assert_stopped(expressions, ".body | [.,.] | [.,.] | [.,.] | [.,.] | [.,.] | [.,.] | tojson | length",
                   "larger than");
    assert_stopped(expressions, ".body | [.,.] | [.,.] | [.,.] | [.,.] | [.,.] | [.,.] | . == .", "larger than");
    assert_stopped(expressions, ".body | [.,.,.,.,.,.,.,.,.,.,.,.,.,.,.,.]", "larger than");
    assert_stopped(expressions, "[.body.text | fromjson]", "Invalid numeric literal");
    assert_stopped(expressions, "\"[\" * 220 + \"]\" * 220 | fromjson", "nest");
    assert_stopped(expressions, "\"ab\" * 1000000", "longer than 1000000 bytes");
    assert_stopped(expressions, ".body.text * 1000000", "longer than 1000000 bytes");
    assert_stopped(expressions, "[range(1e9)]", "more than 100000 numbers");
    assert_stopped(expressions, "[range(0; 1; 0)]", "go on by 0");
    assert_stopped(expressions, ".body.wide | . - (.[1:] + .[:1]) | length", "too long to be subtracted");
    assert_stopped(expressions, ".body.wide | .[.]", "index(…)");
    assert_stopped(expressions, ".body.text | gsub(\"a\"; \"b\")", "longer than 32768 bytes");
}

/* Patterns that try each way there is, or that are read by recursion; some of them from data. */
static void test_patterns_are_bounded(void **state)
{
    struct expressions *expressions = *state;
    assert_stopped(expressions, ".body.text | test(\"^(a+)+$b\")", "retry-limit");
    assert_stopped(expressions, ".body.text | test(\"(a|aa)+[^a]\")", "retry-limit");
    assert_stopped(expressions, ".body.text | test(\"a*a*a*[^a]\")", "retry-limit");
    assert_stopped(expressions, "(\"(\" * 900) as $p | \"x\" | test($p)", "Regex failure");
    assert_stopped(expressions, ".body.text as $p | \"x\" | test($p)", "longer than 1000 bytes");
    assert_stopped(expressions, "\"aaa\" | gsub(\"x*\"; \"-\")", "matches an empty text");
    assert_stopped(expressions, "[\"\" | scan(\"\")]", "matches an empty text");
    assert_stopped(expressions, "[\"äöü\" | splits(\"(?=ö)\")]", "matches an empty text");
    struct buf deep = BUF_INIT;
    buf_adds(&deep, "test(\"");
    for (int i = 0; i < 400; i++) {
        buf_adds(&deep, "(");
    }
    buf_adds(&deep, "\")");
    assert_refused(expressions, buf_text(&deep), "test: the pattern");
    buf_clear(&deep);
    buf_adds(&deep, "test(\"");
    for (int i = 0; i < 1001; i++) {
        buf_adds(&deep, "a");
    }
    buf_adds(&deep, "\")");
    assert_refused(expressions, buf_text(&deep), "longer than 1000 bytes");
    buf_release(&deep);
}

/* What jq 1.6 answers with an endless loop or an abort must be an error or null here, whatever the data. */
static void test_dangerous_input(void **state)
{
    struct expressions *expressions = *state;
    assert_value(expressions, ".body.odd[1] as $n | \"Ada\" | index($n)", "null");
    assert_value(expressions, ".body.odd[1] as $n | \"Ada\" | [rindex($n), indices($n)]", "[null,null]");
    assert_error(expressions, ".body.odd[3] | todate", "no such time");
    assert_error(expressions, "-.body.odd[3] | strftime(\"%Y\")", "no such time");
    assert_error(expressions, ".body.odd[0] | tonumber | todate", "not a number");
    assert_error(expressions, "(\"[nan]\" | fromjson[0]) | todate", "no such time");
    assert_error(expressions, ".status as $s | 0 | strftime($s)", "must be a text");
    assert_error(expressions, ".body.text as $f | 0 | strftime($f)", "longer than 200 bytes");
    assert_error(expressions, "-9223372036854775808 % -1", "too large for %");
    assert_error(expressions, "\"Ada\" | test([\"\", \"g\"])", "must be a text");
    assert_error(expressions, "\"Ada\" | [match([\"\", \"g\"])]", "must be a text");
    assert_error(expressions, ".body.odd[11] as $p | \"Ada\" | sub($p; \"x\")", "must be a text");
    assert_error(expressions, "\"Ada\" | gsub([\"\", \"g\"]; \"x\")", "must be a text");
}

/* ---- whatever can be written ----------------------------------------------------------------------------------------------- */

static uint64_t seed;

static unsigned chance(unsigned count)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % count;
}

#define ONE_OF(list) (list)[chance(COUNT_OF(list))]

static void write_expression(struct buf *out, int depth);

static void write_arguments(struct buf *out, const char *name, int count, int depth)
{
    buf_addf(out, "%s(", name);
    for (int i = 0; i < count; i++) {
        buf_adds(out, i ? "; " : "");
        write_expression(out, depth);
    }
    buf_adds(out, ")");
}

static void write_call(struct buf *out, int depth)
{
    static const char *const none[] = {
        "add",     "all",        "any",          "arrays",  "ascii_downcase", "explode",  "first",   "flatten",
        "floor",   "fromdate",   "fromjson",     "gmtime",  "implode",        "keys",     "last",    "length",
        "max",     "min",        "mktime",       "not",     "reverse",        "round",    "scalars", "sort",
        "strings", "to_entries", "todate",       "tojson",  "tonumber",       "tostring", "trim",    "type",
        "unique",  "values",     "from_entries", "@base64", "@base64d",       "@csv",     "@html",   "@sh",
        "@sha256", "@uri",       "error",        "empty",   "utf8bytelength"};
    static const char *const one[] = {
        "map",      "select", "has",    "join",    "split",      "test",         "any",       "all",        "sort_by",
        "group_by", "index",  "rindex", "indices", "contains",   "inside",       "ltrimstr",  "startswith", "scan",
        "splits",   "match",  "del",    "range",   "map_values", "with_entries", "unique_by", "strftime",   "strptime",
        "first",    "last",   "IN",     "INDEX",   "min_by",     "flatten",      "capture",   "in",         "isempty"};
    static const char *const two[] = {"sub", "gsub", "range", "limit", "any", "all", "INDEX", "IN"};
    unsigned kind = chance(4);
    if (kind < 2) {
        buf_adds(out, ONE_OF(none));
    } else if (kind == 2) {
        write_arguments(out, ONE_OF(one), 1, depth);
    } else {
        write_arguments(out, ONE_OF(two), 2, depth);
    }
}

static void write_term(struct buf *out, int depth)
{
    static const char *const plain[] = {
        ".",          "..",  ".body", ".body.deep", ".body.wide",  ".body.members", ".body.text", ".body.commas",
        ".body.odd",  ".[]", ".[\n]", ".[0]",       ".[-1:]",      ".[:5]",         ".id",        ".name",
        "$x",         "0",   "-1",    "1e9",        "100000",      "\"a\"",         "\"\"",       "\",\"",
        "\"(a+)+$\"", "[]",  "{}",    "null",       "\"%Y-%m-%d\""};
    static const struct {
        const char *before, *after;
    } around[] = {{"[", "]"},           {"{a: (", ")}"}, {"(", ")[]"},   {"\"\\(", ")\""},
                  {"(", ") as $x | ."}, {".[(", ")]"},   {"try (", ")"}, {"if (", ") then . else [] end"}};
    unsigned kind = depth > 0 ? chance(3) : 0;
    if (kind == 0) {
        buf_adds(out, ONE_OF(plain));
    } else if (kind == 1) {
        unsigned which = chance(COUNT_OF(around));
        buf_adds(out, around[which].before);
        write_expression(out, depth - 1);
        buf_adds(out, around[which].after);
    } else {
        write_call(out, depth - 1);
    }
}

/* Half of what fails is caught, so that what stands behind it is evaluated, too. */
static void write_expression(struct buf *out, int depth)
{
    static const char *const operators[] = {" | ", " | ", " | ", ", ",   " + ", " - ",
                                            " * ", " / ", " % ", " == ", " // "};
    unsigned count = 1 + chance(3);
    for (unsigned i = 0; i < count; i++) {
        bool caught = chance(2);
        buf_adds(out, i ? ONE_OF(operators) : "");
        buf_adds(out, caught ? "(" : "");
        write_term(out, depth);
        buf_adds(out, caught ? ")?" : "");
    }
}

/* Expressions of all that is allowed, on bodies that hurt. EXPR_SEED and EXPR_ROUNDS try others. */
static void test_whatever_can_be_written(void **state)
{
    struct expressions *expressions = *state;
    const char *rounds = getenv("EXPR_ROUNDS");
    const char *start = getenv("EXPR_SEED");
    int evaluated = 0;
    seed = start ? strtoull(start, NULL, 10) : 11;
    for (int i = 0; i < (rounds ? atoi(rounds) : 100); i++) {
        struct buf expression = BUF_INIT;
        buf_adds(&expression, ". as $x | [(");
        write_expression(&expression, 3);
        buf_adds(&expression, ")?] | length");
        if (start) {
            fprintf(stderr, "%d %s\n", i, buf_text(&expression));
        }
        char *value = bounded_value(expressions, buf_text(&expression));
        evaluated += strncmp(value, "error: ", 7) != 0;
        if (start) {
            fprintf(stderr, "   %.150s\n", value);
        }
        free(value);
        buf_release(&expression);
    }
    assert_true(evaluated > 40); /* not all of them are nonsense */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_names_that_are_no_functions, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_growth_is_bounded, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_time_is_bounded, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_memory_is_bounded, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_values_are_bounded, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_patterns_are_bounded, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_dangerous_input, setup, expressions_end),
        cmocka_unit_test_setup_teardown(test_whatever_can_be_written, setup, expressions_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
