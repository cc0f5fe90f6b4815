/* Memory: a job whose message is met twice is known. */
/* links: worker/memory.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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
    struct memory *memory = memory_new(100);
    int task = 0;
    void *owner = NULL;
    assert_int_equal(memory_look(memory, job, 1, 0, &owner), MEMORY_UNKNOWN);
    memory_running(memory, job, 1, &task);
    assert_int_equal(memory_look(memory, job, 1, 9 * TIME_DAY, &owner), MEMORY_RUNNING);
    assert_ptr_equal(owner, &task);
    assert_int_equal(memory_look(memory, job, 2, TIME_DAY, &owner), MEMORY_UNKNOWN);
    assert_int_equal(memory_look(memory, other, 1, TIME_DAY, &owner), MEMORY_UNKNOWN);
    memory_finished(memory, job, 1);
    assert_int_equal(memory_look(memory, job, 1, 0, &owner), MEMORY_FINISHED);
    assert_int_equal(memory_look(memory, job, 1, 9 * TIME_DAY, &owner), MEMORY_FINISHED);
    assert_int_equal(memory_look(memory, job, 2, 9 * TIME_DAY, &owner), MEMORY_UNKNOWN);
    memory_free(memory);
}

/* The message of an attempt that was taken for lost turns up behind the one that was published instead. */
static void test_an_earlier_attempt_is_over(void **state)
{
    (void)state;
    struct memory *memory = memory_new(100);
    int task = 0;
    void *owner = NULL;
    memory_running(memory, job, 2, &task);
    assert_int_equal(memory_look(memory, job, 1, 0, &owner), MEMORY_FINISHED);
    memory_running(memory, job, 1, NULL); /* it was in hand already */
    memory_finished(memory, job, 1);
    assert_int_equal(memory_look(memory, job, 2, 0, &owner), MEMORY_RUNNING);
    assert_ptr_equal(owner, &task);
    memory_finished(memory, job, 2);
    assert_int_equal(memory_look(memory, job, 1, 0, &owner), MEMORY_FINISHED);
    memory_free(memory);
}

/* The two in their order: whoever published the second did not know that the first would succeed. Who knows, and publishes it
 * all the same, has lost the answer. */
static void test_a_later_attempt_of_what_succeeded(void **state)
{
    (void)state;
    struct memory *memory = memory_new(100);
    void *owner = NULL;
    memory_running(memory, job, 1, NULL);
    memory_running(memory, job, 2, NULL); /* waits for its turn */
    memory_succeeded(memory, job, TIME_DAY);
    memory_finished(memory, job, 1);
    assert_int_equal(memory_look(memory, job, 2, TIME_DAY - 1, &owner), MEMORY_FINISHED);
    assert_int_equal(memory_look(memory, job, 2, TIME_DAY + 1, &owner), MEMORY_RUNNING);
    memory_finished(memory, job, 2);
    assert_int_equal(memory_look(memory, job, 3, TIME_DAY - 1, &owner), MEMORY_FINISHED);
    assert_int_equal(memory_look(memory, job, 3, TIME_DAY + 1, &owner), MEMORY_UNKNOWN);
    memory_succeeded(memory, other, TIME_DAY); /* nothing is known of it */
    assert_int_equal(memory_look(memory, other, 1, 0, &owner), MEMORY_UNKNOWN);
    memory_free(memory);
}

static void test_forget(void **state)
{
    (void)state;
    struct memory *memory = memory_new(100);
    void *owner = NULL;
    memory_running(memory, job, 3, &owner);
    memory_forget(memory, job, 2);
    assert_int_equal(memory_look(memory, job, 3, 0, &owner), MEMORY_RUNNING);
    memory_forget(memory, job, 3);
    memory_forget(memory, job, 3);
    assert_int_equal(memory_look(memory, job, 3, 0, &owner), MEMORY_UNKNOWN);
    memory_finished(memory, job, 3);
    memory_forget(memory, job, 3);
    assert_int_equal(memory_look(memory, job, 3, 0, &owner), MEMORY_UNKNOWN);
    memory_free(memory);
}

/* The oldest finished ones give way, never one that runs. */
static void test_room(void **state)
{
    (void)state;
    enum { ROOM = 50 };
    struct memory *memory = memory_new(ROOM);
    void *owner = NULL;
    memory_running(memory, other, 1, &owner);
    char id[16];
    for (int i = 1; i <= 3 * ROOM; i++) {
        snprintf(id, sizeof id, "%d", i);
        memory_running(memory, id, 1, &owner);
        memory_finished(memory, id, 1);
    }
    for (int i = 1; i <= 3 * ROOM; i++) {
        snprintf(id, sizeof id, "%d", i);
        enum remembered expected = i > 2 * ROOM ? MEMORY_FINISHED : MEMORY_UNKNOWN;
        assert_int_equal(memory_look(memory, id, 1, 0, &owner), expected);
    }
    assert_int_equal(memory_look(memory, other, 1, 0, &owner), MEMORY_RUNNING);
    memory_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_running_then_finished),
        cmocka_unit_test(test_an_earlier_attempt_is_over),
        cmocka_unit_test(test_a_later_attempt_of_what_succeeded),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
