/* For the tests of expressions: templates given as JSON text, their values as JSON text. */
#ifndef OFFBOARD_TESTS_UNIT_EXPRESSIONS_H
#define OFFBOARD_TESTS_UNIT_EXPRESSIONS_H

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

struct expressions {
    struct expr_set *set;
    json_t *context;
};

static inline int expressions_start(void **state, const char *context)
{
    struct expressions *expressions = MEM_NEW(struct expressions);
    expressions->set = expr_set_new();
    expressions->context = json_parse(context, strlen(context), NULL);
    *state = expressions;
    return expressions->context ? 0 : -1;
}

static inline int expressions_end(void **state)
{
    struct expressions *expressions = *state;
    expr_set_free(expressions->set);
    json_decref(expressions->context);
    free(expressions);
    return 0;
}

/* The value of one expression, without its "${ }"; "error: …" when it has none. The caller frees. */
static inline char *value_of(struct expressions *expressions, const char *expression)
{
    struct err err = ERR_INIT;
    char *text = mem_printf("${ %s }", expression);
    json_t *tmpl = json_string(text);
    json_t *value = expr_render(expressions->set, tmpl, expressions->context, &err);
    char *result = value ? json_canonical(value) : mem_printf("error: %s", err_text(&err));
    json_decref(value);
    json_decref(tmpl);
    err_release(&err);
    free(text);
    return result;
}

static inline void assert_value(struct expressions *expressions, const char *expression, const char *expected)
{
    char *value = value_of(expressions, expression);
    if (strcmp(value, expected) != 0) {
        fail_msg("%s gives %s, not %s", expression, value, expected);
    }
    free(value);
}

static inline void assert_error(struct expressions *expressions, const char *expression, const char *part)
{
    char *value = value_of(expressions, expression);
    if (strncmp(value, "error: ", 7) != 0 || !strstr(value, part)) {
        fail_msg("%s gives %.300s, not an error with \"%s\"", expression, value, part);
    }
    free(value);
}

/* It is refused before it is evaluated, and the err says `part`. */
static inline void assert_refused(struct expressions *expressions, const char *expression, const char *part)
{
    struct err err = ERR_INIT;
    char *text = mem_printf("${ %s }", expression);
    if (expr_check(expressions->set, text, &err) == 0 || !strstr(err_text(&err), part) || err.class != ERR_PERMANENT) {
        fail_msg("%s: %s, not \"%s\"", expression, err_text(&err), part);
    }
    err_release(&err);
    free(text);
}

#endif
