/* Fibers: order of execution, nesting, reuse of stacks, depth. */
/* links: worker/fiber.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/expr.h"
#include "lib/mem.h"
#include "tests/unit/helpers.h"
#include "worker/fiber.h"

struct trace {
    struct buf text;
    struct fiber *child;
};

static void step_twice(void *arg)
{
    struct trace *trace = arg;
    buf_adds(&trace->text, "a");
    fiber_wait();
    buf_adds(&trace->text, "b");
    fiber_wait();
    buf_adds(&trace->text, "c");
}

static void test_waits_and_goes_on(void **state)
{
    (void)state;
    struct trace trace = {BUF_INIT, NULL};
    struct fiber *fiber = fiber_start(step_twice, &trace);
    assert_non_null(fiber);
    assert_null(fiber_self());
    buf_adds(&trace.text, "1");
    fiber_resume(fiber);
    buf_adds(&trace.text, "2");
    fiber_resume(fiber);
    assert_string_equal(buf_text(&trace.text), "a1b2c");
    buf_release(&trace.text);
    fibers_release();
}

static void end_at_once(void *arg)
{
    *(struct fiber **)arg = fiber_self();
}

static void test_end_at_once(void **state)
{
    (void)state;
    struct fiber *seen = NULL;
    assert_null(fiber_start(end_at_once, &seen));
    assert_non_null(seen);
    fibers_release();
}

static void parent(void *arg)
{
    struct trace *trace = arg;
    struct fiber *self = fiber_self();
    trace->child = fiber_start(step_twice, trace);
    assert_ptr_equal(fiber_self(), self);
    buf_adds(&trace->text, "p");
    fiber_wait();
    buf_adds(&trace->text, "q");
}

/* A child started by a fiber gives its parent the turn when it waits, and the loop when the loop resumed it. */
static void test_nested_start(void **state)
{
    (void)state;
    struct trace trace = {BUF_INIT, NULL};
    struct fiber *fiber = fiber_start(parent, &trace);
    assert_null(fiber_self());
    fiber_resume(trace.child);
    fiber_resume(fiber);
    fiber_resume(trace.child);
    assert_string_equal(buf_text(&trace.text), "apbqc");
    buf_release(&trace.text);
    fibers_release();
}

static int descend(int depth)
{
    volatile char frame[512];
    frame[0] = (char)depth;
    frame[511] = (char)depth;
    return depth == 0 ? 0 : descend(depth - 1) + (frame[0] == frame[511]);
}

static void use_stack(void *arg)
{
    int *sum = arg;
    *sum += descend(150);
    fiber_wait();
    *sum += descend(150);
}

/* Many at a time, several rounds on the same stacks, each deep: kept stacks must come back clean. */
static void test_many_and_reuse(void **state)
{
    (void)state;
    enum { COUNT = 300, ROUNDS = 3 };
    struct fiber **fibers = mem_alloc(COUNT * sizeof *fibers);
    int sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++) {
            fibers[i] = fiber_start(use_stack, &sum);
        }
        for (int i = COUNT - 1; i >= 0; i--) {
            fiber_resume(fibers[i]);
        }
    }
    assert_int_equal(sum, 2 * 150 * COUNT * ROUNDS);
    free(fibers);
    fibers_release();
}

struct evaluation {
    char *pattern;
    char *said; /* what is wrong with it; NULL: nothing */
};

static void evaluate(void *arg)
{
    struct evaluation *evaluation = arg;
    struct expr_set *set = expr_set_new();
    struct err err = ERR_INIT;
    json_t *context = json_pack("{s:s}", "pattern", evaluation->pattern);
    char *text = expr_text(set, "${ .pattern as $p | \"abc\" | test($p) }", context, &err);
    evaluation->said = text ? NULL : mem_strdup(err_text(&err));
    free(text);
    err_release(&err);
    json_decref(context);
    expr_set_free(set);
}

/* What is wrong with "((…a…))", as an expression on a fiber says it; the caller frees. NULL: nothing. */
static char *complaint(const char *open, const char *close, int times)
{
    struct buf pattern = BUF_INIT;
    for (int i = 0; i < times; i++) {
        buf_adds(&pattern, open);
    }
    buf_adds(&pattern, "a");
    for (int i = 0; i < times; i++) {
        buf_adds(&pattern, close);
    }
    struct evaluation evaluation = {buf_take(&pattern), NULL};
    assert_null(fiber_start(evaluate, &evaluation));
    free(evaluation.pattern);
    return evaluation.said;
}

/* A pattern may come from a vendor: what it nests is read by recursion. */
static void test_nested_patterns(void **state)
{
    (void)state;
    static const char *const nested[][2] = {{"(", ")"}, {"(?:", ")+"}, {"(?=", ")"}, {"(a|", "b)"}};
    static const char *const flat[][2] = {{"a|", "|b"}, {"[", "]"}, {"a", "*"}, {"a?", ""}, {"[a]", "b{2}"}};
    for (size_t i = 0; i < COUNT_OF(nested); i++) {
        assert_null(complaint(nested[i][0], nested[i][1], 20));
        char *said = complaint(nested[i][0], nested[i][1], 5000);
        assert_contains(said, "the pattern is longer than 1000 bytes");
        free(said);
    }
    char *said = complaint("(", ")", 400); /* short enough, and too deep */
    assert_contains(said, "parse depth limit over");
    free(said);
    for (size_t i = 0; i < COUNT_OF(flat); i++) {
        free(complaint(flat[i][0], flat[i][1], 5000)); /* it is enough that it comes back */
    }
    fibers_release();
}

struct loop_wait {
    uv_timer_t timer;
    struct fiber *fiber;
    int woken;
};

static void on_timer(uv_timer_t *timer)
{
    struct loop_wait *wait = timer->data;
    fiber_resume(wait->fiber);
}

static void wait_for_timer(void *arg)
{
    struct loop_wait *wait = arg;
    wait->fiber = fiber_self();
    for (int i = 0; i < 3; i++) {
        uv_timer_start(&wait->timer, on_timer, 1, 0);
        fiber_wait();
        wait->woken++;
    }
    uv_close((uv_handle_t *)&wait->timer, NULL);
}

static void test_with_a_loop(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct loop_wait wait = {.woken = 0};
    assert_int_equal(uv_loop_init(&loop), 0);
    uv_timer_init(&loop, &wait.timer);
    wait.timer.data = &wait;
    fiber_start(wait_for_timer, &wait);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(wait.woken, 3);
    assert_int_equal(uv_loop_close(&loop), 0);
    fibers_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_and_goes_on), cmocka_unit_test(test_end_at_once),
        cmocka_unit_test(test_nested_start),      cmocka_unit_test(test_many_and_reuse),
        cmocka_unit_test(test_nested_patterns),   cmocka_unit_test(test_with_a_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
