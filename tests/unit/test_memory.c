/* Memory: repeats of a (job id, attempt) pair are known, new publications are not. */
/* links: worker/memory.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "lib/time.h"
#include "worker/memory.h"

static const char job[] = "0b1c9c7e-6a4e-5f7e-8d1a-0a7f7f5c1d11";
static const char other[] = "0b1c9c7e-6a4e-5f7e-8d1a-0a7f7f5c1d12";

static void test_running_then_finished(void **state)
{
    (void)state;
    struct memory *memory = memory_new(10 * TIME_MINUTE, 100);
    int task = 0;
    void *owner = NULL;
    assert_int_equal(memory_look(memory, job, 1, 0, &owner), MEMORY_UNKNOWN);
    memory_running(memory, job, 1, TIME_DAY, &task);
    assert_int_equal(memory_look(memory, job, 1, 9 * TIME_DAY, &owner), MEMORY_RUNNING);
    assert_ptr_equal(owner, &task);
    assert_int_equal(memory_look(memory, job, 2, TIME_DAY, &owner), MEMORY_UNKNOWN);
    assert_int_equal(memory_look(memory, other, 1, TIME_DAY, &owner), MEMORY_UNKNOWN);
    memory_finished(memory, job, 1, TIME_DAY);
    assert_int_equal(memory_look(memory, job, 1, TIME_DAY + 10 * TIME_MINUTE, &owner), MEMORY_FINISHED);
    assert_int_equal(memory_look(memory, job, 1, TIME_DAY - 10 * TIME_MINUTE, &owner), MEMORY_FINISHED);
    memory_free(memory);
}

/* The scheduler publishes a job that nobody answered for again, same attempt, a day later: that one is to be run. */
static void test_late_publication_is_new(void **state)
{
    (void)state;
    struct memory *memory = memory_new(10 * TIME_MINUTE, 100);
    void *owner = NULL;
    memory_finished(memory, job, 1, TIME_DAY);
    int64_t later = TIME_DAY + 10 * TIME_MINUTE + 1;
    assert_int_equal(memory_look(memory, job, 1, later, &owner), MEMORY_UNKNOWN);
    memory_running(memory, job, 1, later, &owner);
    memory_finished(memory, job, 1, later);
    assert_int_equal(memory_look(memory, job, 1, later, &owner), MEMORY_FINISHED);
    memory_free(memory);
}

static void test_forget(void **state)
{
    (void)state;
    struct memory *memory = memory_new(TIME_MINUTE, 100);
    void *owner = NULL;
    memory_running(memory, job, 3, 0, &owner);
    memory_forget(memory, job, 3);
    memory_forget(memory, job, 3);
    assert_int_equal(memory_look(memory, job, 3, 0, &owner), MEMORY_UNKNOWN);
    memory_finished(memory, job, 3, 0);
    memory_forget(memory, job, 3);
    assert_int_equal(memory_look(memory, job, 3, 0, &owner), MEMORY_UNKNOWN);
    memory_free(memory);
}

/* The oldest finished ones give way, never one that runs. */
static void test_room(void **state)
{
    (void)state;
    enum { ROOM = 50 };
    struct memory *memory = memory_new(TIME_MINUTE, ROOM);
    void *owner = NULL;
    memory_running(memory, other, 1, 0, &owner);
    for (int64_t attempt = 1; attempt <= 3 * ROOM; attempt++) {
        memory_running(memory, job, attempt, 0, &owner);
        memory_finished(memory, job, attempt, 0);
    }
    for (int64_t attempt = 1; attempt <= 3 * ROOM; attempt++) {
        enum remembered expected = attempt > 2 * ROOM ? MEMORY_FINISHED : MEMORY_UNKNOWN;
        assert_int_equal(memory_look(memory, job, attempt, 0, &owner), expected);
    }
    assert_int_equal(memory_look(memory, other, 1, 0, &owner), MEMORY_RUNNING);
    memory_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_running_then_finished),
        cmocka_unit_test(test_late_publication_is_new),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
