#include "lib/expr_jq.h"

#include <jq.h>
#include <jv.h>
#include <math.h>
#include <oniguruma.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"

/* Integers up to here survive a double. */
#define EXACT_MAX 9007199254740992.0

/* jq's regular expressions are Oniguruma's, which reads a pattern by recursion: 4,096 levels by default, half of them too many
 * for a small stack. Patterns may come from data. */
enum { PATTERN_DEPTH_MAX = 250 };

struct jq_program {
    jq_state *jq;
    size_t count;
};

/* ---- values ----------------------------------------------------------------------------------------------------------- */

static jv to_jv(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        jv object = jv_object();
        const char *key;
        json_t *member;
        json_object_foreach((json_t *)(uintptr_t)value, key, member)
        {
            object = jv_object_set(object, jv_string(key), to_jv(member));
        }
        return object;
    }
    case JSON_ARRAY: {
        jv array = jv_array();
        size_t i;
        json_t *item;
        json_array_foreach(value, i, item)
        {
            array = jv_array_append(array, to_jv(item));
        }
        return array;
    }
    case JSON_STRING:
        return jv_string_sized(json_string_value(value), (int)json_string_length(value));
    case JSON_INTEGER: {
        json_int_t number = json_integer_value(value);
        if (llabs(number) > (json_int_t)EXACT_MAX) {
            char *text = mem_printf("%lld", (long long)number);
            jv result = jv_string(text);
            free(text);
            return result;
        }
        return jv_number((double)number);
    }
    case JSON_REAL:
        return jv_number(json_real_value(value));
    case JSON_TRUE:
        return jv_true();
    case JSON_FALSE:
        return jv_false();
    default:
        return jv_null();
    }
}

static json_t *number_from(double number)
{
    if (isfinite(number) && floor(number) == number && fabs(number) <= EXACT_MAX) {
        return json_integer((json_int_t)number);
    }
    json_t *real = json_real(number);
    return real ? real : json_null(); /* infinities and NaN are null in JSON, as jq prints them */
}

/* Consumes `value`. */
static json_t *from_jv(jv value)
{
    json_t *result;
    switch (jv_get_kind(value)) {
    case JV_KIND_OBJECT:
        result = json_object();
        jv_object_foreach(value, key, member)
        {
            json_object_set_new(result, jv_string_value(key), from_jv(member));
            jv_free(key);
        }
        break;
    case JV_KIND_ARRAY:
        result = json_array();
        jv_array_foreach(value, i, item)
        {
            json_array_append_new(result, from_jv(item));
        }
        break;
    case JV_KIND_STRING:
        result = json_stringn(jv_string_value(value), (size_t)jv_string_length_bytes(jv_copy(value)));
        break;
    case JV_KIND_NUMBER:
        result = number_from(jv_number_value(value));
        break;
    case JV_KIND_TRUE:
        result = json_true();
        break;
    case JV_KIND_FALSE:
        result = json_false();
        break;
    default:
        result = json_null();
    }
    jv_free(value);
    return result;
}

/* Bodies can be large, and most expressions don't look at them. */
static jv reachable(const char *expression, const json_t *context)
{
    if (!expression) {
        return to_jv(context);
    }
    jv object = jv_object();
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)context, key, member)
    {
        if (strstr(expression, key)) {
            object = jv_object_set(object, jv_string(key), to_jv(member));
        }
    }
    return object;
}

/* ---- programs ----------------------------------------------------------------------------------------------------------- */

static void on_error(void *arg, jv message)
{
    struct buf *said = arg;
    jv text = jq_format_error(message);
    if (said->len == 0) {
        buf_adds(said, jv_string_value(text));
    }
    jv_free(text);
}

static void swallow(void *arg, jv message)
{
    (void)arg;
    jv_free(message);
}

/* Choosing by halves: one after another, the last of 200 expressions took 100 us to come by. */
static void add_choice(struct buf *text, const char *const *expressions, size_t from, size_t to)
{
    if (to - from == 1) {
        buf_addf(text, "(%s)", expressions[from]);
        return;
    }
    size_t middle = from + (to - from) / 2;
    buf_addf(text, "if $__i < %zu then ", middle);
    add_choice(text, expressions, from, middle);
    buf_adds(text, " else ");
    add_choice(text, expressions, middle, to);
    buf_adds(text, " end");
}

/* What stands before every program: functions of jq 1.6 that never end or abort the process on some inputs, made safe. Empty
 * texts sought by index and its kin loop; numbers no calendar knows, and formats that are no text, trip an assertion in
 * strftime; a list given as pattern brings flags, and "g" loops or crashes where nothing is matched; positions in lists and
 * trimming by what is no text leak memory (all tried). */
static const char prelude[] =
    "def __strftime($f): strftime($f); def __index($i): index($i); def __rindex($i): rindex($i); "
    "def __indices($i): indices($i); def __test($re): test($re); def __match($re): match($re); "
    "def __capture($re): capture($re); def __sub($re; f): sub($re; f); "
    "def __ltrimstr($t): ltrimstr($t); def __rtrimstr($t): rtrimstr($t); "
    "def __text: if type == \"string\" then . else error(\"a pattern or format must be a text\") end; "
    "def __places($i): . as $in | if ($i | type) != \"array\" then [range(0; length) | select($in[.] == $i)] "
    "elif $i == [] then null else [range(0; length) | select($in[.:(. + ($i | length))] == $i)] end; "
    "def index($i): if $i == \"\" then null elif type == \"array\" then __places($i) | .[0] else __index($i) end; "
    "def rindex($i): if $i == \"\" then null elif type == \"array\" then __places($i) | .[-1:] | .[0] else "
    "__rindex($i) end; "
    "def indices($i): if $i == \"\" then null elif type == \"array\" then __places($i) else __indices($i) end; "
    "def ltrimstr($t): if type == \"string\" and ($t | type) == \"string\" then __ltrimstr($t) else . end; "
    "def rtrimstr($t): if type == \"string\" and ($t | type) == \"string\" then __rtrimstr($t) else . end; "
    "def strftime($f): if type == \"number\" and (. < -1e12 or . > 1e12) then error(\"no such time\") "
    "else __strftime($f | __text) end; "
    "def todate: strftime(\"%Y-%m-%dT%H:%M:%SZ\"); def todateiso8601: todate; "
    "def test($re): __test($re | __text); def match($re): __match($re | __text); "
    "def capture($re): __capture($re | __text); def sub($re; f): __sub($re | __text; f); ";

struct jq_program *jq_program_new(const char *const *expressions, size_t count, struct err *err)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, prelude);
    buf_adds(&text, ".[0] as $__i | .[1] | ");
    add_choice(&text, expressions, 0, count);
    struct buf said = BUF_INIT;
    onig_set_parse_depth_limit(PATTERN_DEPTH_MAX); /* of the whole process */
    jq_state *jq = jq_init();
    jq_set_error_cb(jq, on_error, &said);
    struct jq_program *program = NULL;
    if (jq && jq_compile(jq, buf_text(&text))) {
        jq_set_error_cb(jq, swallow, NULL);
        program = MEM_NEW(struct jq_program);
        program->jq = jq;
        program->count = count;
    } else {
        const char *why = buf_text(&said);
        size_t skip = strncmp(why, "jq: error: ", 11) == 0 ? 11 : 0;
        err_set(err, ERR_PERMANENT, "%.*s", (int)strcspn(why + skip, "\n"), why + skip);
        jq_teardown(&jq);
    }
    buf_release(&said);
    buf_release(&text);
    return program;
}

void jq_program_free(struct jq_program *program)
{
    if (program) {
        jq_teardown(&program->jq);
        free(program);
    }
}

static int failed(jv value, struct err *err)
{
    if (!jv_invalid_has_msg(jv_copy(value))) {
        return 0;
    }
    jv message = jv_invalid_get_msg(jv_copy(value));
    jv text = jv_get_kind(message) == JV_KIND_STRING ? jv_copy(message) : jv_dump_string(jv_copy(message), 0);
    err_set(err, ERR_PERMANENT, "%s", jv_string_value(text));
    jv_free(text);
    jv_free(message);
    return -1;
}

json_t *jq_program_run(struct jq_program *program, size_t index, const char *expression, const json_t *context,
                       struct err *err)
{
    jv input = jv_array();
    input = jv_array_append(input, jv_number((double)index));
    input = jv_array_append(input, reachable(expression, context));
    jq_start(program->jq, input, 0);
    jv value = jq_next(program->jq);
    json_t *result = NULL;
    if (jv_is_valid(value)) {
        jv second = jq_next(program->jq);
        if (jv_is_valid(second)) {
            err_set(err, ERR_PERMANENT, "it yields several values; put it in [ ]");
        } else if (failed(second, err) == 0) {
            result = from_jv(jv_copy(value));
        }
        jv_free(second);
    } else if (failed(value, err) == 0) {
        result = json_null();
    }
    jv_free(value);
    return result;
}
