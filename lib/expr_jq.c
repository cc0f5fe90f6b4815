#include "lib/expr_jq.h"

#include <jq.h>
#include <jv.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/expr_hook.h"
#include "lib/expr_limit.h"
#include "lib/expr_pattern.h"
#include "lib/expr_prelude.h"
#include "lib/expr_value.h"
#include "lib/mem.h"

struct jq_program {
    jq_state *jq;
    struct expr_hook hook;
};

/* Bodies can be large, and most expressions don't look at them. Invalid when they are too large. */
static jv reachable(const json_t *reads, const json_t *context)
{
    size_t budget = EXPR_VALUE_MAX;
    jv object = jv_object();
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)context, key, member)
    {
        if (reads && !json_object_get(reads, key)) {
            continue;
        }
        jv converted = expr_value_to_jq(member, &budget);
        if (!jv_is_valid(converted)) {
            jv_free(object);
            return converted;
        }
        object = jv_object_set(object, jv_string(key), converted);
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

struct jq_program *jq_program_new(const char *const *expressions, size_t count, struct err *err)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, expr_prelude);
    buf_adds(&text, ".[0] as $__i | .[1] | ");
    add_choice(&text, expressions, 0, count);
    struct buf said = BUF_INIT;
    expr_pattern_limit();
    jq_state *jq = jq_init();
    jq_set_error_cb(jq, on_error, &said);
    struct jq_program *program = NULL;
    if (jq && jq_compile(jq, buf_text(&text))) {
        jq_set_error_cb(jq, swallow, NULL);
        program = MEM_NEW(struct jq_program);
        program->jq = jq;
        expr_hook_set(&program->hook, jq);
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
        expr_hook_release(&program->hook);
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

/* The value of a program that was started: none is null, several are an error. */
static json_t *only_value(jq_state *jq, struct err *err)
{
    jv value = jq_next(jq);
    json_t *result = NULL;
    if (!jv_is_valid(value)) {
        result = failed(value, err) == 0 ? json_null() : NULL;
        jv_free(value);
        return result;
    }
    jv second = jq_next(jq);
    if (jv_is_valid(second)) {
        err_set(err, ERR_PERMANENT, "it yields several values; put it in [ ]");
    } else if (failed(second, err) == 0 && !jq_halted(jq)) {
        if (expr_value_fits(value)) {
            result = expr_value_from_jq(jv_copy(value));
        } else {
            err_set(err, ERR_PERMANENT, "what it gives is larger than %zu MiB, or nests deeper than %d levels",
                    EXPR_VALUE_MAX / 1024 / 1024, EXPR_DEPTH_MAX);
        }
    }
    jv_free(second);
    jv_free(value);
    return result;
}

json_t *jq_program_run(struct jq_program *program, size_t index, const json_t *reads, const json_t *context,
                       struct err *err)
{
    jv read = reachable(reads, context);
    if (!jv_is_valid(read)) {
        jv_free(read);
        err_set(err, ERR_PERMANENT, "what it reads is larger than %zu MiB", EXPR_VALUE_MAX / 1024 / 1024);
        return NULL;
    }
    if (expr_limit_begin(program->jq, err) != 0) {
        jv_free(read);
        return NULL;
    }
    jv input = jv_array_append(jv_array(), jv_number((double)index));
    jq_start(program->jq, jv_array_append(input, read), 0);
    json_t *result = only_value(program->jq, err);
    if (expr_limit_end(err) != 0) {
        json_decref(result);
        result = NULL;
    }
    jq_start(program->jq, jv_null(), 0); /* lets go of what it held */
    return result;
}
